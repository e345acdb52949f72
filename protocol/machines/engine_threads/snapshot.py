"""What the queue carries is a copy, made when it is put: what if the request has changed since `schedule()`? (H29)

`schedule()` collects requests under RM.lock; `put_tasks` copies them when it appends (facts 2.1, 2.2), without that lock. In between
FIN may free the blocks of a request in the batch, or, with B's abort, TOK may recycle it: the copy then has an empty table.

Two requests follow each other on one slot. A request is scheduled for its prefill, and once more for further blocks of its
decoding. The worker keeps the table of its slot, and stops the slot with the last token. With B's abort the control thread puts a
stop for the request that has the slot; other slots, which are not shown, see to it that the stop is reported.

The table is a field of the request without a lock of its own; here it is whole or empty. One row is one load or store of it.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import all_of, choice
from ...effect import when
from ...expr import TRUE
from ...machine import Machine, Row
from ...properties import never, sometimes
from ...system import System
from ...types import BOOL, Enum, Index, Optional, Range, Record, Sequence
from ...variable import Lock, channel, locked, private, unlocked
from ..arguments import one_of, within

VARIANTS = ("A", "B", "repaired")
_row = partial(Row, actor="prefill")


class Life(IntEnum):
    """The request is ..."""

    QUEUED, RUNNING, ENDING, GONE = range(4)


class Kind(IntEnum):
    """What a task makes the worker do."""

    PREFILL, DECODE, STOP = range(3)


class Schedule(IntEnum):
    """The scheduling thread is ..."""

    SCHEDULING, ENTERING, COPYING, PUTTING, RELEASING = range(5)


class Control(IntEnum):
    """The control thread is ..."""

    IDLE, PUTTING, DONE = range(3)


class Rank(IntEnum):
    """The worker is ..."""

    POLLING, FORWARDING = range(2)


class Report(IntEnum):
    """What a step reports of the slot."""

    LAST, STOPPED = range(2)


class Complete(IntEnum):
    """The completing threads are ..."""

    IDLE, FREEING = range(2)


class Snapshot:
    """The shared variables of one slot."""

    def __init__(self, variant: str, requests: int):
        one_of(VARIANTS, variant=variant)
        within(1, 3, requests=requests)
        self.aborts, self.holds_lock = variant == "B", variant == "repaired"
        self.request = q = Index("request", requests)
        self.task = Record("Task", kind=Enum(Kind), request=q, whole=BOOL)
        self.resources = Lock("resource_lock", cite="facts 6.2: RM.lock")
        self.life = locked("request_life", Enum(Life), self.resources, over=q, cite="facts 6.2: requests, running")
        self.owner = locked("slot_owner", Optional(q), self.resources, cite="facts 6.2: tasks_list")
        self.wants_blocks = locked("wants_blocks", BOOL, self.resources, over=q, init=True, cite="facts 6.3 S1: free slots in its blocks")
        self.aborted = locked("abort_asked", BOOL, self.resources, over=q, cite="abort_req_ids_set")
        self.table = unlocked("block_table", BOOL, over=q, cite="facts 2.1: request.block_tables; H29")
        self.queue = Lock("queue_lock", cite="facts 2.1")
        self.tasks = locked("queue_tasks", Sequence(self.task, 1), self.queue, cite="facts 2.2: Q")
        self.reports = channel("step_outputs", Enum(Report), 2, cite="facts 9.1: OUTQ")
        self.finishing = channel("finishing", q, requests, cite="finish_execution_pool")
        self.slot_live, self.slot_whole = private("slot_live", BOOL), private("slot_whole", BOOL)
        self.slot_left, self.slot_stopped = private("slot_steps_left", Range(0, 2)), private("slot_stopped", BOOL)


def build(variant: str = "repaired", requests: int = 2) -> System:
    """The threads that touch one slot's table.

    Args:
        variant: A; B with its abort; repaired, where `schedule()` and `put_tasks` are one critical section.
        requests: how many, one after the other.

    Raises:
        DefinitionError: a parameter outside its choices.
    """
    s = Snapshot(variant, requests)
    machines = [_schedule(s), _rank(s), _tokens(s), _finisher(s), *([_control(s)] if s.aborts else [])]
    forwarding = (machines[1].at() == Rank.FORWARDING) & s.slot_live
    empty = ~s.tasks.empty & (s.tasks.head.kind != Kind.STOP) & ~s.tasks.head.whole
    properties = [
        never("no_live_slot_without_table", forwarding & ~s.slot_whole, "no step runs a slot whose table is empty"),
        sometimes("some_live_slot", forwarding, "a step runs the slot"),
        never("no_empty_copy", empty, "what is put has its blocks"),
        sometimes("some_copy", ~s.tasks.empty, "something is put"),
    ]
    return System("snapshot", machines, properties, doc=__doc__ or "")


def _schedule(s: Snapshot) -> Machine:
    """SCHED: schedule, enter the queue, copy, put."""
    t, q = Schedule, choice("request", s.request)
    kind, about, whole = private("task_kind", Enum(Kind)), private("task_request", s.request), private("task_whole", BOOL)
    keep: dict[str, Any] = {"acquire": s.resources} if s.holds_lock else {"under": s.resources}
    first = (s.life[q] == Life.QUEUED) & all_of(s.request, lambda i: (i >= q) | (s.life[i] != Life.QUEUED)) & s.owner.is_none
    start = [s.life[q].set(Life.RUNNING), s.owner.set(q), s.table[q].set(True), kind.set(Kind.PREFILL), about.set(q)]
    more = (s.life[q] == Life.RUNNING) & s.wants_blocks[q]
    extend = [s.wants_blocks[q].set(False), kind.set(Kind.DECODE), about.set(q)]
    put = [s.tasks.push(s.task(kind=kind, request=about, whole=whole)), kind.set(Kind.PREFILL), about.set(0), whole.set(False)]
    rows = [
        _row("schedule_prefill", t.SCHEDULING, t.ENTERING, first, start, choose=(q,), **keep, cite="facts 6.3 S3"),
        _row("schedule_more", t.SCHEDULING, t.ENTERING, more, extend, choose=(q,), **keep, cite="facts 6.3 S1: DECODE task"),
        _row("enter_queue", t.ENTERING, t.COPYING, s.tasks.empty, [], acquire=s.queue, cite="facts 2.2: put_tasks"),
        _row("copy", t.COPYING, t.PUTTING, TRUE, [whole.set(s.table[about])], cite="facts 2.1: a pickled copy"),
        _row("put_batch", t.PUTTING, t.RELEASING if s.holds_lock else t.SCHEDULING, TRUE, put, release=s.queue, cite="facts 2.2: put_tasks"),
    ]
    if s.holds_lock:
        rows.append(_row("release_resources", t.RELEASING, t.SCHEDULING, TRUE, [], release=s.resources, cite="ours: one critical section"))
    return Machine("schedule", t, rows, final=t.SCHEDULING, doc="the engine's scheduling thread")


def _control(s: Snapshot) -> Machine:
    """B's abort of whoever has the slot, once."""
    c, about = Control, private("control_request", Optional(s.request))
    noted = [s.aborted[s.owner.value].set(True), about.set(s.owner)]
    put = [s.tasks.push(s.task(kind=Kind.STOP, request=about.value, whole=False)), about.set(None)]
    rows = [
        _row("abort", c.IDLE, c.PUTTING, ~s.owner.is_none, noted, under=s.resources, decided="observed", fair="none", cite="facts 3.8: abort, B"),
        _row("put_stop", c.PUTTING, c.DONE, s.tasks.empty, put, under=s.queue, cite="facts 3.8: abort, B"),
    ]
    return Machine("control", c, rows, final=(c.IDLE, c.DONE), doc="the thread that aborts")


def _rank(s: Snapshot) -> Machine:
    """The worker: insert what is read, run the slot, report its last token and its stop."""
    w, task = Rank, s.tasks.head
    prefill, decode, stop = (task.kind == k for k in (Kind.PREFILL, Kind.DECODE, Kind.STOP))
    insert = [
        s.tasks.pop(),
        when(prefill, s.slot_live.set(True), s.slot_left.set(2), s.slot_stopped.set(False)),
        when(prefill | decode, s.slot_whole.set(task.whole)),
        when(stop, s.slot_live.set(False), s.slot_left.set(0), s.slot_whole.set(False), s.slot_stopped.set(True)),
    ]
    last = s.slot_live & (s.slot_left == 1)
    move_on = [when(s.slot_live, s.slot_left.sub(1)), when(last, s.slot_live.set(False)), s.slot_stopped.set(False)]
    work, stopped = s.slot_live | s.slot_stopped, s.slot_stopped
    rows = [
        _row("read_batch", w.POLLING, w.POLLING, ~s.tasks.empty, insert, under=s.queue, cite="facts 4.5"),
        _row("start_step", w.POLLING, w.FORWARDING, work, [], cite="facts 4.1 W10"),
        _row("end_step", w.FORWARDING, w.POLLING, ~last & ~stopped, move_on, cite="facts 4.5"),
        _row("report_last", w.FORWARDING, w.POLLING, last & ~stopped, [s.reports.send(Report.LAST), *move_on], cite="facts 4.5"),
        _row("report_stop", w.FORWARDING, w.POLLING, stopped, [s.reports.send(Report.STOPPED), *move_on], cite="facts 4.5"),
    ]
    return Machine("rank", w, rows, final=w.POLLING, doc="the worker, with one slot")


def _tokens(s: Snapshot) -> Machine:
    """TOK: the last token goes to FIN; a stop recycles who has the slot, if it is to be aborted."""
    c, owner = Complete, s.owner.value
    runs = ~s.owner.is_none & (s.life[owner] == Life.RUNNING)
    taken = private("report_in_hand", Optional(Enum(Report)))
    done = [taken.set(None)]
    finish = [s.finishing.send(owner), *done]
    recycle = [s.owner.set(None), s.life[owner].set(Life.GONE), s.table[owner].set(False), *done]
    asked = runs & s.aborted[owner]
    rows = [
        _row("receive_report", c.IDLE, c.FREEING, TRUE, [s.reports.receive(), taken.set(s.reports.head)], cite="facts 6.5"),
        _row("handle_last", c.FREEING, c.IDLE, (taken == Report.LAST) & runs, finish, under=s.resources, cite="facts 6.4: EOS"),
        _row("skip_last", c.FREEING, c.IDLE, (taken == Report.LAST) & ~runs, done, under=s.resources, cite="facts 6.5"),
    ]
    if s.aborts:
        rows += [
            _row("recycle_aborted", c.FREEING, c.IDLE, (taken == Report.STOPPED) & asked, recycle, under=s.resources, cite="facts 6.5: -9"),
            _row("skip_stop", c.FREEING, c.IDLE, (taken == Report.STOPPED) & ~asked, done, under=s.resources, cite="facts 6.5"),
        ]
    return Machine("token_processor", c, rows, final=c.IDLE, doc="the engine's thread that credits what the steps report")


def _finisher(s: Snapshot) -> Machine:
    """FIN: the slot, then the blocks."""
    c, freeing, head = Complete, private("finishing_request", Optional(s.request)), s.finishing.head
    runs = s.life[head] == Life.RUNNING
    slot = [s.finishing.receive(), freeing.set(head), s.life[head].set(Life.ENDING), when(s.owner == head, s.owner.set(None))]
    table = [s.table[freeing.value].set(False), s.life[freeing.value].set(Life.GONE), freeing.set(None)]
    rows = [
        _row("free_slot", c.IDLE, c.FREEING, runs, slot, under=s.resources, cite="4.10 a"),
        _row("free_block", c.FREEING, c.IDLE, TRUE, table, under=s.resources, cite="4.10 c: block_tables = []"),
    ]
    if s.aborts:
        rows.append(_row("skip_finished", c.IDLE, c.IDLE, ~runs, [s.finishing.receive()], under=s.resources, cite="4.10: not in requests"))
    return Machine("finisher", c, rows, final=c.IDLE, doc="the engine's thread that finishes requests")
