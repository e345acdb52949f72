"""The layer-wise sender (MS[r]): takes a work item, sends each layer as it is computed, reports and cleans up.

One row sends one layer of the whole batch: the writes go to D's memory, which only the properties look at, so their order
within the batch shows nowhere. The head of the batch alone steers (H-15). The record found for a slot is kept, as `task`
is in the loop of the real sender.

A progress mark that is missing or has gone back fails an assertion of the real sender. At the bounds of the catalogue no
mark ever is (checked over all epochs with two requests), so there is no row for it: the sender would wait.

Before the repair two anonymous barriers pair the ranks by count only, and the finish phase holds
`engine_cache_task_thread_lock` from the first barrier to the last deletion. Clearing `engine_cache_tasks[slot]` shares
its row with the deletion that follows: the lock is held, so nobody sees the difference. Ours cleans first, under the lock,
and reports last: whoever reads the report may reuse the slot at once, and finds it empty on the ranks that reported; CH4
is complete only when all have.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import all_of, any_of, choice, me, passed
from ...effect import Effect, each, when
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from ...types import Optional, Range
from ...variable import private
from .hand_over import HandOver, has

_row = partial(Row, actor="messager")


class Sender(IntEnum):
    """The sending thread is ..."""

    WAITING, POPPED, MEETING, SENDING, SENT, CLOSING, REPORTED, CLEANED, UNREGISTERED = range(9)


class _Work:
    """The work item in hand: its slots, the record found for each, and the next layer."""

    def __init__(self, h: HandOver):
        self.h, self.r = h, me(h.rank)
        self.slots = h.in_hand
        self.task = private("send_task", Optional(h.request), over=(h.rank, h.slot))
        self.layer = private("send_layer", Range(0, h.layers - 1), over=h.rank)
        self.slot = choice("slot", h.slot)

    def is_head(self) -> Expr:
        """The chosen slot is the lowest of the item."""
        s = self.slot
        return self.slots[self.r, s] & all_of(self.h.slot, lambda i: (i >= s) | ~self.slots[self.r, i])

    def is_last(self) -> Expr:
        """No slot of the item but the chosen one."""
        return all_of(self.h.slot, lambda i: (i == self.slot) | ~self.slots[self.r, i])

    def is_next_to_find(self) -> Expr:
        """The chosen slot is the lowest whose record is not found yet."""
        s, r = self.slot, self.r
        missing = self.slots[r, s] & self.task[r, s].is_none
        return missing & all_of(self.h.slot, lambda i: (i >= s) | ~self.slots[r, i] | ~self.task[r, i].is_none)

    def all_found(self) -> Expr:
        """Every slot of the item has its record."""
        return all_of(self.h.slot, lambda i: ~self.slots[self.r, i] | ~self.task[self.r, i].is_none)

    def drop_slot(self) -> list:
        """The chosen slot is done."""
        return [self.slots[self.r, self.slot].set(False), self.task[self.r, self.slot].set(None)]

    def drop_all(self) -> list:
        """The item is abandoned before its first layer."""
        return [each(self.h.slot, lambda i: (self.slots[self.r, i].set(False), self.task[self.r, i].set(None)))]


def sender(h: HandOver) -> Machine:
    """MS[r]: `prefill_layerwise_send_cache_thread` (6.4)."""
    work, s = _Work(h), Sender
    rows = [*_begin_rows(h, work), *_send_rows(h, work)]
    rows += _unmet_finish(h, work) if h.epoch.unmet else _finish_rows(h, work)
    return Machine("sender", s, rows, copies=h.rank, final=s.WAITING, doc="MS[r]: layer-wise sending (6.4).")


def _begin_rows(h: HandOver, work: _Work) -> list[Row]:
    """s1 to s3: pop an item, (meet,) find the record of each of its slots."""
    r, s, slot = me(h.rank), Sender, work.slot
    task = h.registered[r, slot]
    head = h.work[r].head
    pop = [each(h.slot, lambda i: work.slots[r, i].set(has(head, i))), h.work[r].receive()]
    find = [work.task[r, slot].set(task)]
    if h.epoch.unmet:
        return [
            _row("pop", s.WAITING, s.SENDING, TRUE, pop, cite="6.4 s1"),
            _row("find_task", s.SENDING, s.SENDING, work.is_next_to_find() & ~task.is_none, find, choose=(slot,), under=h.messager[r], cite="6.4 s3"),
        ]
    rows = [
        _row("pop", s.WAITING, s.POPPED, TRUE, pop, cite="6.4 s1"),
        _row("meet_to_begin", s.POPPED, s.MEETING, TRUE, [h.begin_met.arrive()], cite="6.4 s2"),
    ]
    turn = work.is_next_to_find()
    rows += [
        _row("begin_item", s.MEETING, s.SENDING, passed(h.begin_met), [], cite="6.4 s2"),
        _row("find_task", s.SENDING, s.SENDING, turn & ~task.is_none, find, choose=(slot,), cite="6.4 s3; E1: waits"),
    ]
    if h.epoch.asserts:
        rows.append(_row("abandon", s.SENDING, s.WAITING, turn & task.is_none, work.drop_all(), choose=(slot,), cite="6.4 s3: assert, exception"))
    return rows


def _send_rows(h: HandOver, work: _Work) -> list[Row]:
    """s4: the next layer, once the head's progress mark has reached it; the last one ends the loop."""
    r, s, slot = me(h.rank), Sender, work.slot
    layer = work.layer[r]
    ready = work.is_head() & work.all_found()
    if not h.epoch.unmarked:
        ready = ready & (h.progress[r, slot] >= layer)
    final = layer == h.layers - 1

    def written(i: Any) -> tuple[Effect, ...]:
        """Only a layer computed before and in order counts as sent."""
        q = work.task[r, i].value
        return when(work.slots[r, i] & (h.computed[r, q] > layer) & (h.sent[r, q] == layer), h.sent[r, q].set(layer + 1))

    def some_slot(fact: Callable[[Expr], Expr]) -> Expr:
        return any_of(h.slot, lambda i: work.slots[r, i] & fact(work.task[r, i].value))

    send = each(h.slot, written)
    read = when(some_slot(lambda q: h.computed[r, q] <= layer), h.uncomputed_sent.set(True))
    late = when(some_slot(lambda q: h.freed[q]), h.freed_read.set(True))
    effects, lock = [send, read, late], h.messager[r]
    return [
        _row("send_layer", s.SENDING, s.SENDING, ready & ~final, [*effects, layer.add(1)], choose=(slot,), under=lock, cite="6.4 s4"),
        _row("send_last_layer", s.SENDING, s.SENT, ready & final, [*effects, layer.set(0)], choose=(slot,), under=lock, cite="6.4 s4"),
    ]


def _finish_rows(h: HandOver, work: _Work) -> list[Row]:
    """The finish phase: for each slot meet, report (CH4), clear, delete, delete; the lock is held throughout."""
    r, s, slot = me(h.rank), Sender, work.slot
    head, last, lock, met = work.is_head(), work.is_last(), h.messager[r], h.finish_met
    task = work.task[r, slot]
    may_put, put = _report(h, task)
    clear = [h.progress[r, slot].set(-1), h.cache_info[r][task.value].set(False)]
    if h.epoch.parks:
        clear.append(h.pending[r, slot].set(False))
    delete = [h.registered[r, slot].set(None), *work.drop_slot()]
    step = partial(_row, choose=(slot,))
    # fmt: off
    return [
        _row("enter_finish",    s.SENT,         s.CLOSING,      TRUE,                         [met.arrive()], acquire=lock, cite="6.4 finish"),
        step("report",          s.CLOSING,      s.REPORTED,     passed(met) & head & may_put, put,    under=h.finished_lock, cite="CH4"),
        step("delete_info",     s.REPORTED,     s.CLEANED,      head,                         clear,  under=lock, cite="6.4 finish"),
        step("unregister_slot", s.CLEANED,      s.UNREGISTERED, head & ~last,                 delete, cite="6.4 finish, H-06"),
        _row("meet_to_finish",  s.UNREGISTERED, s.CLOSING,      TRUE,                         [met.arrive()], cite="6.4 finish"),
        step("unregister_last", s.CLEANED,      s.WAITING,      head & last,                  delete, release=lock, cite="6.4 finish, H-06"),
    ]
    # fmt: on


def _report(h: HandOver, task: Expr) -> tuple[Expr, list[Effect | tuple[Effect, ...]]]:
    """Guard and effects of `put_finished_req`: by request (ours), or into the round, which takes nothing while it is full."""
    r = me(h.rank)
    if h.epoch.counted:
        return TRUE, [h.finished_count[task.value, r].set(True)]
    return ~all_of(h.rank, lambda i: h.finished_by[i]), [when(h.finished.is_none, h.finished.set(task)), h.finished_by[r].set(True)]


def _unmet_finish(h: HandOver, work: _Work) -> list[Row]:
    """Ours: clean a slot under the lock, then report its request; no barrier, no lock held across rows."""
    r, s, slot = me(h.rank), Sender, work.slot
    head, last, task = work.is_head(), work.is_last(), work.task[r, slot]
    clean = [h.progress[r, slot].set(-1), h.registered[r, slot].set(None), h.cache_info[r][task.value].set(False)]
    may_put, put = _report(h, task)
    clean_under, report_under = h.messager[r], h.finished_lock
    step = partial(_row, choose=(slot,))
    # fmt: off
    if h.epoch.cleans_first:
        done = [*put, *work.drop_slot()]
        return [
            step("clean",       s.SENT,    s.CLEANED, head,                   clean, under=clean_under,  cite="ours: clean before report, H-06"),
            step("report",      s.CLEANED, s.SENT,    head & ~last & may_put, done,  under=report_under, cite="ours: CH4 by request id"),
            step("report_last", s.CLEANED, s.WAITING, head & last & may_put,  done,  under=report_under, cite="ours: CH4 by request id"),
        ]
    done = [*clean, *work.drop_slot()]
    return [
        step("report",      s.SENT,     s.REPORTED, head & may_put, put,  under=report_under, cite="CH4"),
        step("clean",       s.REPORTED, s.SENT,     head & ~last,   done, under=clean_under,  cite="H-06: late"),
        step("clean_last",  s.REPORTED, s.WAITING,  head & last,    done, under=clean_under,  cite="H-06: late"),
    ]
    # fmt: on
