"""The forward of a rank, layer by layer: write, signal, meet; then rank 0 emits the tokens of the requests that are through.

The same rows are the worker's own, where its loop waits for the kernels (EW-SYNC), and the device's, where the loop only launches them
(EW-ASYNC, `device.py`). A batch of withdrawals only is signalled without a forward, and one of new weights loads them.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import any_of, count, if_else, me, passed
from ...effect import each, when
from ...expr import TRUE, Expr
from ...machine import Row
from ...operators import lift
from ...types import BOOL, Range
from .plane import Plane, per_request
from .prefix_contents import computes, is_gone, note_read, note_write

_row = partial(Row, actor="worker")


class Work:
    """What a thread of a rank has in hand: a task per request, the layer that it is at, and whether there are new weights to load.

    Args:
        p: the plane. owner: the thread's name, in front of its variables'.
    """

    def __init__(self, p: Plane, owner: str):
        self.rank = me(p.rank)
        self._hand: Any = p.private(f"{owner}_hand", p.task, over=(p.rank, p.request))
        self.layer: Any = p.private(f"{owner}_layer", Range(0, p.layers - 1), over=p.rank)[self.rank]
        self.update: Any = p.private(f"{owner}_update", BOOL, over=p.rank)[self.rank]
        self.forwards = any_of(p.request, lambda q: p.is_chunk(self.task(q)))
        """Whether there is a chunk to compute."""
        self.withdraws = ~self.forwards & ~self.update if p.bounds.control else ~self.forwards
        """Whether there are withdrawals and nothing else."""
        self.tasks = per_request(p.tasks, self.task if p.rules.names_requests else partial(self._task_of_row, p))
        """What a signal says: the task of each request."""
        self.forget = [each(p.request, lambda q: self.task(q).set(0)), self.layer.set(0)]

    def task(self, q: Any) -> Any:
        """The task of that request."""
        return self._hand[self.rank, q]

    def _task_of_row(self, p: Plane, row: Any) -> Expr:
        """The task in that row of the batch, in which the requests lie side by side."""
        found: Expr = lift(0)
        for i in p.request:
            before = count(p.request, lambda j, i=i: (j < i) & (self.task(j) != 0))  # type: ignore[misc]
            found = if_else((self.task(i) != 0) & (before == row), self.task(i), found)
        return found

    def signal(self, p: Plane) -> list[Any]:
        """Say to the rank's messager that this layer is written, and who is withdrawn."""
        return [p.signals[self.rank].send(p.signal(layer=self.layer, tasks=self.tasks))]


def forward_rows(p: Plane, work: Work, w: Any, ends: IntEnum, met: Any, arrive: list[Any]) -> list[Row]:
    """The rows between COMPUTING and `ends`.

    Args:
        p, work: the plane and what is in hand. w: the states of the thread. ends: the one behind the forward.
        met, arrive: the barrier of the layers' collectives, and what arriving at it does.
    """
    r, now = work.rank, work.layer

    def written(q: Expr) -> tuple:
        task = work.task(q)
        chunk, really = p.chunk_of(task), computes(p, q, task)
        freed = when(really & is_gone(p, q, chunk), p.freed_written.set(True))
        served = p.serve(q, p.rank_weights[r], really) if p.bounds.control else ()
        mark = p.marks(chunk, now)  # of layers in order: behind one that is left out nothing counts
        early = note_write(p, q, chunk, now, r, really)
        return (*served, *when(really & (p.computed[r, q] + 1 == mark), p.computed[r, q].set(mark)), *early, *freed)

    write, past = [each(p.request, written)], passed(met)
    signal = [*work.signal(p), *note_read(p, work.task, now, r)]
    final, through = now == p.layers - 1, any_of(p.request, lambda q: p.is_last(work.task(q)))
    tokens = [
        p.tokens.send(per_request(p.rows, lambda k: p.is_last(work.task(k)))),
        each(p.request, lambda q: when(p.is_last(work.task(q)), p.produced[q].set(True))),
    ]
    emits = (r == 0) & through
    if p.bounds.asynchronous:
        write.append(when(final, p.kernels_due[r].sub(1)))
    # fmt: off
    rows = [
        _row("write_layer",        w.COMPUTING, w.WRITTEN,   work.forwards,         write,  cite="6.2 w1"),
        _row("signal_layer",       w.WRITTEN,   w.SIGNALLED, TRUE,                  signal, cite="6.2 w2, CH6"),
        _row("signal_withdrawals", w.COMPUTING, ends, work.withdraws, [*signal, *work.forget], cite="ours: behind every signal of the request"),
        _row("meet",               w.SIGNALLED, w.MEETING,   TRUE,                  arrive, cite="13: TP rendezvous"),
        _row("next_layer",         w.MEETING,   w.COMPUTING, past & ~final, [now.add(1)],   cite="6.2"),
        _row("end_forward",        w.MEETING,   ends,        past & final & ~emits, work.forget, cite="4.1 W10"),
        _row("emit_tokens",        w.MEETING,   ends,        past & final & emits, [*tokens, *work.forget], cite="CH9"),
    ]
    # fmt: on
    if p.bounds.control:
        load = [work.update.set(False), p.rank_weights[r].set(p.weights)]
        rows.append(_row("load_weights", w.COMPUTING, ends, work.update, load, cite="facts 4.1 W5"))
    return rows
