"""The gate: P's scheduling thread, which schedules only after the forward, and then everything there is.

A forward is over when the queue is empty and then the forward signal is down; the order matters (see
`signalling/gate.py`). `schedule` takes the next chunk of every running request, and the withdrawal of every doomed one, which
reaches the messagers behind all signals of that request. It allocates nothing, preempts nobody and has no waiting queue: a
request is running only when all it needs is held (the purpose of #7944, without its assert).
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial

from ...combine import all_of, any_of, if_else
from ...effect import each, when
from ...expr import Expr
from ...machine import Machine, Row
from ...slice import Copies
from ...types import BOOL
from . import prefix_cache
from .plane import Plane, Stage

_row = partial(Row, actor="prefill")


class Gate(IntEnum):
    """The scheduling thread is ..."""

    CHECKING, CHECKING_FORWARD, SCHEDULING, PUTTING, PUTTING_UPDATE = range(5)


def gate(p: Plane, request: Copies) -> Machine:
    """P.S: the gate and `prefill_schedule()` (7.2, 7.3)."""
    g = Gate
    batch = p.private("gate_batch", p.task, over=p.request)

    def unfinished(q: Expr) -> Expr:
        return p.scheduled[q] < p.prompt_chunks[q]

    def runs(q: Expr) -> Expr:
        return request.at(q) == Stage.RUNNING

    def is_due(q: Expr) -> Expr:
        return request.at(q).is_in(Stage.RUNNING, Stage.DOOMED) & unfinished(q)

    def next_task(q: Expr) -> Expr:
        following = p.scheduled[q] + 1
        return p.task_of(following, following == p.prompt_chunks[q])

    task = each(p.request, lambda q: when(is_due(q), batch[q].set(if_else(runs(q), next_task(q), p.withdraw))))
    over = prefix_cache.publish(p, p.request, lambda q: p.cache.computing[q])
    count = each(p.request, lambda q: when(is_due(q), p.scheduled[q].set(if_else(runs(q), p.scheduled[q] + 1, p.prompt_chunks[q]))))
    some = any_of(p.request, is_due)
    begun = each(p.request, lambda q: when(is_due(q) & runs(q), p.cache.computing[q].set(p.scheduled[q] + 1))) if p.cache is not None else []
    unread = [p.queue_read[r].set(False) for r in p.rank]
    moved = each(p.request, lambda q: (p.queue[q].set(batch[q]), batch[q].set(0)))
    put = [moved, *unread, p.queue_filled.set(True), p.batch_number.set(1 - p.batch_number)]
    all_read, lock = all_of(p.rank, lambda r: p.queue_read[r]), p.resources
    nothing = ~some & ~p.update_due if p.bounds.control else ~some
    under = lock if over else None
    # fmt: off
    rows = [
        _row("find_queue_empty",     g.CHECKING,         g.CHECKING_FORWARD, ~p.queue_filled,   [], cite="#5376; 3.3"),
        _row("find_forward_over",    g.CHECKING_FORWARD, g.SCHEDULING,       ~p.forward_signal, over, under=under, cite="#6680; 3.2 B3"),
        _row("find_forward_running", g.CHECKING_FORWARD, g.CHECKING,         p.forward_signal,  [], poll=True, cite="#6680; 3.2 B3"),
        _row("schedule",             g.SCHEDULING,       g.PUTTING,          some,  [task, count, begun], under=lock, cite="#7944; 7.2"),
        _row("schedule_nothing",     g.SCHEDULING,       g.CHECKING,         nothing, [], under=lock, poll=True, cite="3.1 A8"),
        _row("put_tasks",            g.PUTTING,          g.CHECKING,         all_read, put, under=p.queue_lock, cite="CH1"),
    ]
    # fmt: on
    if p.bounds.control:
        rows += _update_rows(p, ~some, all_read)
    return Machine("gate", g, rows, copies=p.instances, process=p.engine_process, doc="P.S: schedules after the forward, everything at once.")


def _update_rows(p: Plane, idle: Expr, all_read: Expr) -> list[Row]:
    """New weights are a batch without requests, which every rank reads; it is over when the forward is."""
    g, putting = Gate, p.private("gate_updating", BOOL)
    due, under_way, lock = p.update_due & idle, putting, p.resources
    put = [p.queue_update.set(True), p.queue_filled.set(True), *(p.queue_read[r].set(False) for r in p.rank), p.batch_number.set(1 - p.batch_number)]
    prepare, done = [putting.set(True), *prefix_cache.clear(p)], [p.update_due.set(False), putting.set(False)]
    # fmt: off
    return [
        _row("schedule_update", g.SCHEDULING,     g.PUTTING_UPDATE, due & ~under_way, prepare, under=lock, cite="ours: one putter"),
        _row("put_update",      g.PUTTING_UPDATE, g.CHECKING,       all_read,         put,  under=p.queue_lock, cite="facts 3.8: control to workers"),
        _row("end_update",      g.SCHEDULING,     g.CHECKING,       due & under_way,  done, under=lock, cite="ours: the forward is over"),
    ]
    # fmt: on
