"""The worker of a rank: the loop around the forward.

The loop is that of `signalling/worker.py`, repaired: two meetings an iteration, rank 0 looks, announces, raises the forward
signal before it reads and lowers it behind the barrier at the top, where every rank has finished. The forward
itself is in `forward.py`: the loop runs it, or launches it on the rank's device (`device.py`), which lowers the signal then.

All meetings are one barrier, as collectives of one group are: a ghost notes from where each rank arrived.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import all_of, me, passed
from ...effect import each
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from .device import launch_rows
from .forward import Work, forward_rows
from .plane import Plane, Point

_row = partial(Row, actor="worker")


class Worker(IntEnum):
    """The rank is ..., in the order of one iteration."""

    STARTING, AT_TOP, LOOKING, ANNOUNCING, RETRACTING, LOOKED, AT_FLAG = range(7)
    RAISING, READING, COMPUTING, WRITTEN, SIGNALLED, MEETING, LOWERING = range(7, 14)


def worker(p: Plane) -> Machine:
    """P.W[r]: the event loop (engine_worker facts 4) and the forward (6.2)."""
    w, work = Worker, Work(p, "worker")
    rows = [*_look_rows(p), *_read_rows(p, work)]
    if p.bounds.asynchronous:
        rows += launch_rows(p, work, w.COMPUTING, w.STARTING)
    else:
        ends = w.STARTING if p.rules.lowers_behind_barrier else w.LOWERING
        rows += forward_rows(p, work, w, ends, p.met, p.arrive(Point.LAYER))
        if not p.rules.lowers_behind_barrier:
            rows.append(_row("lower_forward", w.LOWERING, w.STARTING, TRUE, [p.forward_signal.set(False)], cite="#6680; 4.2 W10, H1"))
    return Machine("worker", w, rows, copies=p.each_rank, process=p.worker_process, doc="P.W[r]: the event loop and the forward.")


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
    if not p.rules.lowers_behind_barrier or (p.bounds.asynchronous and p.rules.speaks_in_stream):
        return [*rows, _row("leave_top_barrier", at, w.LOOKING, met, [])]
    return [
        *rows,
        _row("lower_forward", at, w.LOOKING, met & (r == 0), lower, cite="ours: zero by its owner, H1"),
        _row("leave_top_barrier", at, w.LOOKING, met & (r != 0), []),
    ]


def _read_rows(p: Plane, work: Work) -> list[Row]:
    """See the announcement; raise the signal; `get_tasks`."""
    w, r, met = Worker, me(p.rank), passed(p.met)
    mine: list[Any] = [each(p.request, lambda q: work.task(q).set(p.queue[q]))]
    if p.bounds.control:
        mine.append(work.update.set(p.queue_update))
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
