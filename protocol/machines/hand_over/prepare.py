"""Preparation on P (P.F, P.IO) and scheduling (P.S): from the queue to the workers' mailbox.

E0 prepares with one thread and lets the scheduler see a request only when every rank has acknowledged its registration;
from E1 on there is a thread a request and no acknowledgement. The decode instance's half of the cache task is put by
another thread, which announces the answer first: nothing orders the two halves.

Left out: the network to D and its refusals (the answer may come at any time after the request was held), the deletion of
the answer's key (it has no reader), a batch of several requests in one preparation.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial

from ...combine import all_of, any_of, count, me
from ...effect import Effect, each, when
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from ...types import BOOL
from ...variable import private
from .hand_over import Answer, HandOver, Stage

_row = partial(Row, actor="prefill")


class Prepare(IntEnum):
    """The prepare thread is ... with its request."""

    WAITING, HOLDING, REGISTERED, ACKNOWLEDGED, DONE = range(5)


class DecodeHalf(IntEnum):
    """The thread that handles D's answer has ..."""

    IDLE, RECEIVED, ANNOUNCED, PUT = range(4)


class Schedule(IntEnum):
    """The scheduling thread is ..."""

    LOOKING, PUTTING = range(2)


def _put_info(h: HandOver, request: Expr) -> tuple[Expr, list[Effect | tuple[Effect, ...]]]:
    """CH2: `put_cache_info` waits until every rank has read the previous content."""
    unread = [h.infos_read[r].set(False) for r in h.rank]
    return all_of(h.rank, lambda r: h.infos_read[r]), [h.infos.set(request), *unread]


def _may_hold(h: HandOver, q: Expr) -> Expr:
    """Its slot is free, blocks are free, and in E0 the single thread is done with the request before."""
    holding = count(h.request, lambda i: h.stage[i].is_in(Stage.HELD, Stage.RUNNING, Stage.SCHEDULED, Stage.SLOTLESS))
    guard = holding < h.slots
    if h.requests > h.slots:
        # The two stages after losing the slot are the two last ones.
        gone = any_of(h.request, lambda i: (i + h.slots == q) & h.stage[i].is_in(Stage.SLOTLESS, Stage.FREED))
        guard = guard & ((q < h.slots) | gone)
    if h.epoch.acknowledged:
        waiting = any_of(h.request, lambda i: (i < q) & h.stage[i].is_in(Stage.QUEUED, Stage.HELD))
        guard = guard & ~waiting
    return guard


def prepare(h: HandOver) -> Machine:
    """P.F: hold slot and blocks, wait for D's answer, put P's half, (E0: wait for the acknowledgements,) add."""
    q, p = me(h.request), Prepare
    may_put, put = _put_info(h, q)
    ask = [h.answer[q].set(Answer.ASKED)] if h.halves == 2 else []
    answered = (h.answer[q] == Answer.ANSWERED) if h.halves == 2 else TRUE
    rows = [
        _row("hold", p.WAITING, p.HOLDING, _may_hold(h, q), [h.stage[q].set(Stage.HELD), *ask], under=h.resources, cite="4.3, 4.4"),
        _row("put_prefill_half", p.HOLDING, p.REGISTERED, answered & may_put, put, under=h.infos_lock, cite="4.6, 4.7, CH2"),
    ]
    ready = p.REGISTERED
    if h.epoch.acknowledged:
        ready = p.ACKNOWLEDGED
        taken = [h.added.set(None), *(h.added_by[r].set(False) for r in h.rank)]
        all_added = all_of(h.rank, lambda r: h.added_by[r])
        rows.append(_row("collect_acknowledgements", p.REGISTERED, ready, all_added & (h.added == q), taken, under=h.added_lock, cite="5.1 F5, CH3"))
    rows.append(_row("add_to_running", ready, p.DONE, TRUE, [h.stage[q].set(Stage.RUNNING)], under=h.resources, cite="4.8"))
    return Machine("prepare", p, rows, copies=h.request, final=p.DONE, doc="P.F: one request's preparation (5.1, 5.2).")


def decode_half(h: HandOver) -> Machine:
    """P.IO: announces D's answer, then puts D's half of the cache task."""
    q, d = me(h.request), DecodeHalf
    may_put, put = _put_info(h, q)
    rows = [
        _row("receive_answer", d.IDLE, d.RECEIVED, h.answer[q] == Answer.ASKED, [], cite="4.4: D answers what it was asked"),
        _row("announce_answer", d.RECEIVED, d.ANNOUNCED, TRUE, [h.answer[q].set(Answer.ANSWERED)], cite="4.5: a store without a look"),
        _row("put_decode_half", d.ANNOUNCED, d.PUT, may_put, put, under=h.infos_lock, cite="4.5: status first, put second"),
    ]
    return Machine("decode_half", d, rows, copies=h.request, final=d.PUT, doc="P.IO: one `cache_sync` from D (4.5).")


def schedule(h: HandOver) -> Machine:
    """P.S: one batch of everything in running, then the workers' mailbox (CH1)."""
    s = Schedule
    batch = private("scheduled_batch", BOOL, over=h.request)
    running = any_of(h.request, lambda q: h.stage[q] == Stage.RUNNING)
    take = each(h.request, lambda q: when(h.stage[q] == Stage.RUNNING, batch[q].set(True), h.stage[q].set(Stage.SCHEDULED)))
    all_read = all_of(h.rank, lambda r: h.tasks_read[r])
    put = [each(h.request, lambda q: (h.tasks[q].set(batch[q]), batch[q].set(False))), *(h.tasks_read[r].set(False) for r in h.rank)]
    rows = [
        _row("schedule", s.LOOKING, s.PUTTING, running, take, under=h.resources, cite="7.1"),
        _row("put_tasks", s.PUTTING, s.LOOKING, all_read, put, under=h.tasks_lock, cite="CH1"),
    ]
    return Machine("schedule", s, rows, final=s.LOOKING, doc="P.S (7.1).")
