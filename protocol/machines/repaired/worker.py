"""The worker of a rank: the loop around the forward, and the forward, layer by layer.

The loop is that of `signalling/worker.py`, repaired: two meetings an iteration, rank 0 looks, announces, raises the forward
signal before it reads and lowers it behind the barrier at the top, where every rank has finished. In a forward each layer is
written and signalled, and the ranks meet; a batch of withdrawals only is signalled without a forward.

All meetings are one barrier, as collectives of one group are: a ghost notes from where each rank arrived.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import all_of, any_of, me, passed
from ...effect import each, when
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from ...types import BOOL, Range
from .plane import Plane, Point, per_request

_row = partial(Row, actor="worker")


class Worker(IntEnum):
    """The rank is ..., in the order of one iteration."""

    STARTING, AT_TOP, LOOKING, ANNOUNCING, RETRACTING, LOOKED, AT_FLAG = range(7)
    RAISING, READING, COMPUTING, WRITTEN, SIGNALLED, MEETING, LOWERING = range(7, 14)


def worker(p: Plane) -> Machine:
    """P.W[r]: the event loop (engine_worker facts 4) and the forward (6.2)."""
    hand = p.private("worker_hand", p.task, over=(p.rank, p.request))
    layer = p.private("worker_layer", Range(0, p.layers - 1), over=p.rank)
    update = p.private("worker_update", BOOL, over=p.rank)
    rows = [*_look_rows(p), *_read_rows(p, hand, update), *_forward_rows(p, hand, layer, update)]
    return Machine("worker", Worker, rows, copies=p.each_rank, process=p.worker_process, doc="P.W[r]: the event loop and the forward.")


def _look_rows(p: Plane) -> list[Row]:
    """Meet, lower, look, announce, meet."""
    w, r = Worker, me(p.rank)
    leads, follows = r == 0, r != 0
    meet = [*p.arrive(Point.FLAG), *p.witness.begin()]
    # fmt: off
    return [
        *_top_rows(p),
        _row("find_batch",             w.LOOKING,    w.ANNOUNCING, leads & p.queue_filled,    [],   cite="4.1 W3"),
        _row("find_no_batch",          w.LOOKING,    w.RETRACTING, leads & ~p.queue_filled,   [],   cite="4.1 W3"),
        _row("follow",                 w.LOOKING,    w.LOOKED,     follows,                   [],   cite="4.1 W3"),
        _row("announce",               w.ANNOUNCING, w.LOOKED,     TRUE, [p.announced.set(True)],   cite="4.1 W3"),
        _row("retract",                w.RETRACTING, w.LOOKED,     TRUE, [p.announced.set(False)],  cite="4.3 W3'"),
        _row("arrive_at_flag_barrier", w.LOOKED,     w.AT_FLAG,    TRUE,                      meet, cite="4.1 W4: TPB#1"),
    ]
    # fmt: on


def _top_rows(p: Plane) -> list[Row]:
    """Meet; behind the meeting rank 0 lowers the signal, for every rank has finished its forward."""
    w, r = Worker, me(p.rank)
    lower, at = [p.forward_signal.set(False)], w.STARTING
    met: Expr = TRUE
    rows = []
    if p.rules.meets_at_top:
        at, met = w.AT_TOP, passed(p.met)
        rows.append(_row("arrive_at_top_barrier", w.STARTING, at, TRUE, p.arrive(Point.TOP), cite="4.3: TPB#0"))
    if not p.rules.lowers_behind_barrier:
        return [*rows, _row("leave_top_barrier", at, w.LOOKING, met, [])]
    return [
        *rows,
        _row("lower_forward", at, w.LOOKING, met & (r == 0), lower, cite="ours: zero by its owner, H1"),
        _row("leave_top_barrier", at, w.LOOKING, met & (r != 0), []),
    ]


def _read_rows(p: Plane, hand: object, update: object) -> list[Row]:
    """See the announcement; raise the signal; `get_tasks`."""
    w, r, met = Worker, me(p.rank), passed(p.met)
    mine: list[Any] = [each(p.request, lambda q: hand[r, q].set(p.queue[q]))]  # type: ignore[index]
    if p.bounds.control:
        mine.append(update[r].set(p.queue_update))  # type: ignore[index]
    read = [p.queue_read[r].set(True), *mine, *p.witness.hold(p.batch_number)]
    last = all_of(p.rank, lambda i: (i == r) | p.queue_read[i])
    empty = [each(p.request, lambda q: p.queue[q].set(0)), p.queue_filled.set(False), *([p.queue_update.set(False)] if p.bounds.control else [])]
    lock = p.queue_lock
    raises = r == 0 if p.rules.lowers_behind_barrier else TRUE
    # fmt: off
    rows = [
        _row("see_batch",       w.AT_FLAG, w.RAISING,   met & raises & p.announced,  [], cite="4.1 W6"),
        _row("see_no_batch",    w.AT_FLAG, w.STARTING,  met & ~p.announced, p.witness.hold(), cite="4.2: else-branch"),
        _row("raise_forward",   w.RAISING, w.READING,   TRUE, [p.forward_signal.set(True)], cite="#6680; 4.2 W6"),
        _row("read_batch",      w.READING, w.COMPUTING, ~last, read,            under=lock, cite="2.2: get_tasks"),
        _row("read_last_batch", w.READING, w.COMPUTING, last, [*read, *empty],  under=lock, cite="2.2: get_tasks"),
    ]
    # fmt: on
    if p.rules.lowers_behind_barrier:
        rows.append(_row("see_batch", w.AT_FLAG, w.READING, met & ~raises & p.announced, [], cite="4.1 W6"))
    return rows


def _forward_rows(p: Plane, hand: object, layer: object, update: object) -> list[Row]:
    """Per layer: write, signal, meet; then rank 0 emits the tokens of the requests that are through. Or, new weights."""
    w, r, met = Worker, me(p.rank), passed(p.met)
    now = layer[r]  # type: ignore[index]

    def task(q: object) -> Expr:
        return hand[r, q]  # type: ignore[index]

    def written(q: Expr) -> tuple:
        freed = when(p.is_chunk(task(q)) & ~p.prefill_holds[q], p.freed_written.set(True))
        served = p.serve(q, p.rank_weights[r], p.is_chunk(task(q))) if p.bounds.control else ()
        mark = p.marks(p.chunk_of(task(q)), now)  # of layers in order: behind one that is left out nothing counts
        return (*served, *when(p.is_chunk(task(q)) & (p.computed[r, q] + 1 == mark), p.computed[r, q].set(mark)), *freed)

    message = p.signal(layer=now, tasks=per_request(p.tasks, lambda k: task(k)))
    write, signal = [each(p.request, written)], [p.signals[r].send(message)]
    forget = [each(p.request, lambda q: task(q).set(0)), now.set(0)]
    forwards = any_of(p.request, lambda q: p.is_chunk(task(q)))
    withdraws = ~forwards & ~update[r] if p.bounds.control else ~forwards  # type: ignore[index]
    final, through = now == p.layers - 1, any_of(p.request, lambda q: p.is_last(task(q)))
    tokens = [
        p.tokens.send(per_request(p.rows, lambda k: p.is_last(task(k)))),
        each(p.request, lambda q: when(p.is_last(task(q)), p.produced[q].set(True))),
    ]
    arrive = p.arrive(Point.LAYER)
    emits = (r == 0) & through
    ends = w.STARTING if p.rules.lowers_behind_barrier else w.LOWERING
    # fmt: off
    rows = [
        _row("write_layer",        w.COMPUTING, w.WRITTEN,   forwards,              write,  cite="6.2 w1"),
        _row("signal_layer",       w.WRITTEN,   w.SIGNALLED, TRUE,                  signal, cite="6.2 w2, CH6"),
        _row("signal_withdrawals", w.COMPUTING, ends,        withdraws, [*signal, *forget], cite="ours: behind every signal of the request"),
        _row("meet",               w.SIGNALLED, w.MEETING,   TRUE,                  arrive, cite="13: TP rendezvous"),
        _row("next_layer",         w.MEETING,   w.COMPUTING, met & ~final,  [now.add(1)],   cite="6.2"),
        _row("end_forward",        w.MEETING,   ends,        met & final & ~emits,  forget, cite="4.1 W10"),
        _row("emit_tokens",        w.MEETING,   ends,        met & final & emits, [*tokens, *forget], cite="CH9"),
    ]
    # fmt: on
    if p.bounds.control:
        load = [update[r].set(False), p.rank_weights[r].set(p.weights)]  # type: ignore[index]
        rows.append(_row("load_weights", w.COMPUTING, ends, update[r], load, cite="facts 4.1 W5"))  # type: ignore[index]
    if not p.rules.lowers_behind_barrier:
        rows.append(_row("lower_forward", w.LOWERING, w.STARTING, TRUE, [p.forward_signal.set(False)], cite="#6680; 4.2 W10, H1"))
    return rows
