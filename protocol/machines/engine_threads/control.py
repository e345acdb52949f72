"""ZMQ-in: the control thread that takes requests, aborts, pauses, resumes and control requests (facts 3.8).

One thread for all of them, so a message waits while the one before is at work. In the epochs this thread puts into the queue
itself: the stop of an aborted request (B, R), the stops of a pause, control requests. Ours only notes what is asked.

The look-up of an id in RM.requests takes no lock in the real code; here it takes RM.lock for the one load, which is the same
as long as nobody holds that lock from one row to the next.

Left out: the workers' answers to a control request (the wait for them ends after 60 s), and the time-outs of the old pause
but for the one that gives up waiting for the stops (`gives_up`).
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import all_of, any_of
from ...effect import each, when
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from ...types import BOOL, Optional
from ...variable import private
from .engine import IN_RUNNING, Engine, Intake, Message, Stage

_row = partial(Row, actor="prefill")


class Control(IntEnum):
    """The control thread is ..."""

    IDLE, ADMITTING, ACCEPTING, NOTING, LOOKING_UP, UNQUEUEING, UNNOTING, PUTTING_STOP, RESUMING, CONTROLLING = range(10)
    PAUSING, WAITING_FOR_QUEUE, PREEMPTING, PUTTING_PREEMPTED, WAITING_FOR_STOPS, CLEARING, ANSWERING, RESETTING = range(10, 18)
    LISTING, ASKING, DEQUEUING, DRAINING_QUEUE, DRAINING = range(18, 23)


def control(e: Engine, gives_up: bool) -> Machine:
    """The control thread of one epoch, with the rows that its messages need."""
    c = Control
    about = private("control_request", Optional(e.request))
    rejecting = private("rejecting", BOOL)
    rows: list[Row] = []
    if e.late:
        rows += _requests(e, about, rejecting)
    if "abort" in e.commands:
        rows += [_receive(e, Message.ABORT, c.NOTING, [about.set(e.socket.head.request)]), *_aborts(e, about)]
    if "pause" in e.commands:
        first = c.LISTING if e.epoch.drains else c.PAUSING
        rows += [_receive(e, Message.PAUSE, first, [rejecting.set(True)]), *(_draining_pause(e) if e.epoch.drains else _clearing_pause(e, gives_up))]
    if "resume" in e.commands:
        resume = [e.paused.set(False), rejecting.set(False)]
        rows += [
            _receive(e, Message.RESUME, c.RESUMING, []),
            _row("resume", c.RESUMING, c.IDLE, TRUE, resume, under=e.pause_lock, cite="facts 3.8: resume"),
        ]
    if "control" in e.commands:
        rows += [_receive(e, Message.CONTROL, c.CONTROLLING, []), _controls(e)]
    return Machine("control", c, rows, final=c.IDLE, doc="the engine's thread for messages from outside")


def _receive(e: Engine, kind: Message, destination: Control, effects: list[Any]) -> Row:
    """The message at the head of the socket, of that kind."""
    guard = e.socket.head.kind == kind
    return _row(f"receive_{kind.name.lower()}", Control.IDLE, destination, guard, [e.socket.receive(), *effects], cite="facts 3.8")


def _requests(e: Engine, about: Any, rejecting: Any) -> list[Row]:
    """A new request goes to the scheduler; one that comes during a pause is refused."""
    c, q = Control, about.value
    refused = rejecting | e.paused
    accept = [e.intake[q].set(Intake.UNREAD), about.set(None)]
    rows = [
        _receive(e, Message.REQUEST, c.ADMITTING, [about.set(e.socket.head.request)]),
        _row("admit", c.ADMITTING, c.ACCEPTING, ~refused, [], under=e.pause_lock, cite="facts 3.8"),
        _row("accept", c.ACCEPTING, c.IDLE, TRUE, accept, under=e.mutex, cite="facts 5: put_requests"),
    ]
    if "pause" in e.commands:
        drop, cite = [about.set(None)], "facts 3.8: dropped with an error response"
        rows.append(_row("reject", c.ADMITTING, c.IDLE, refused, drop, under=e.pause_lock, cite=cite))
    return rows


def _aborts(e: Engine, about: Any) -> list[Row]:
    """B puts the stop itself; A only notes the id; ours notes it, and takes the request out of the scheduler if it is there yet."""
    c, q = Control, about.value
    done, note = [about.set(None)], e.abort_asked[q].set(True)
    unread = e.intake[q] == Intake.UNREAD
    if not e.epoch.direct_abort:
        known = ~e.stage[q].is_in(Stage.ENDING, Stage.GONE)
        noted = [when(known, note), *([] if e.epoch.owned_abort else done)]
        rows = [
            _row("ask_abort", c.NOTING, c.UNQUEUEING if e.epoch.owned_abort else c.IDLE, TRUE, noted, under=e.resources, cite="add_abort_req_ids")
        ]
        if e.epoch.owned_abort:
            unqueue = [when(unread, *e.answer(q)), *done]
            rows.append(_row("unqueue", c.UNQUEUEING, c.IDLE, TRUE, unqueue, under=e.mutex, cite="ours"))
        return rows
    there, placed = e.in_requests(q), e.holds_slot(q)
    stop = [each(e.slot, lambda s: when(e.slot_owner[s] == q, e.stops_in_hand[s].set(True)))]
    rows = [
        _row("note_abort", c.NOTING, c.LOOKING_UP, TRUE, [note], cite="facts 3.8: abort_req_ids_set"),
        _row("find_with_slot", c.LOOKING_UP, c.PUTTING_STOP, there & placed, [*stop, *done], under=e.resources, cite="9.4: id in RM.requests"),
        _row("find_absent", c.LOOKING_UP, c.UNQUEUEING, ~there, [], under=e.resources, cite="9.4: else"),
        _row("unqueue", c.UNQUEUEING, c.UNNOTING, TRUE, e.answer(q), under=e.mutex, cite="9.4: scheduler._recycle; without the mutex: H17"),
        _row("forget_abort", c.UNNOTING, c.IDLE, TRUE, [e.abort_asked[q].set(False), *done], cite="9.4"),
        _put_stops(e, "put_stop", c.PUTTING_STOP, c.IDLE),
    ]
    if e.role == "mixed":
        waits = there & ~placed
        rows.append(_row("find_without_slot", c.LOOKING_UP, c.IDLE, waits, done, under=e.resources, cite="9.4: there is no slot to stop"))
    return rows


def _put_stops(e: Engine, event: str, source: Control, destination: Control) -> Row:
    """`put_tasks` by this thread."""
    batch = e.make_batch(stops=lambda s: e.stops_in_hand[s])
    put = [e.queue.put(batch), each(e.slot, lambda s: e.stops_in_hand[s].set(False))]
    return _row(event, source, destination, e.queue.is_read_by_all, put, under=e.queue.lock, cite="facts 3.8, H27: outside RM.lock, no gate")


def _controls(e: Engine) -> Row:
    """A control request: put by this thread, or left to the scheduling thread."""
    c = Control
    if e.epoch.one_putter:
        return _row("ask_control", c.CONTROLLING, c.IDLE, TRUE, [e.control_asked.set(True)], under=e.resources, cite="ours")
    put = [e.queue.put(e.make_batch(control=True))]
    return _row("put_control", c.CONTROLLING, c.IDLE, e.queue.is_read_by_all, put, under=e.queue.lock, cite="facts 3.8: control to workers")


def _clearing_pause(e: Engine, gives_up: bool) -> list[Row]:
    """The old pause: preempt what runs, wait for the stops, clear what waits, answer everybody, reset."""
    c, q = Control, e.request
    running = any_of(q, lambda r: e.stage[r].is_in(*IN_RUNNING))
    busy = any_of(q, lambda r: e.stage[r].is_in(*IN_RUNNING, Stage.PREEMPTED))
    stop = each(e.slot, lambda s: e.stops_in_hand[s].set(any_of(q, lambda r: e.stage[r].is_in(*IN_RUNNING) & (e.place[r] == s))))
    preempt = each(q, lambda r: when(e.stage[r].is_in(*IN_RUNNING), e.stage[r].set(Stage.PREEMPTED), *e.free_block(r)))
    cleared = (*IN_RUNNING, Stage.WAITING, Stage.PREEMPTED, Stage.ABORTING)
    clear = [e.waiting.clear(), each(q, lambda r: when(e.stage[r].is_in(*cleared), *e.recycle(r)))]
    reset = [each(e.block, lambda b: e.block_free[b].set(True))]
    lock, cite = e.resources, "facts 3.8, 9.8: pause, old"
    rows = [
        _row("pause", c.PAUSING, c.WAITING_FOR_QUEUE, TRUE, [e.paused.set(True)], under=e.pause_lock, cite=cite),
        _row("see_queue_read", c.WAITING_FOR_QUEUE, c.PREEMPTING, ~e.queue.filled, [], cite=cite),
        _row("preempt_all", c.PREEMPTING, c.PUTTING_PREEMPTED, running, [stop, preempt], under=lock, cite=cite),
        _row("preempt_nobody", c.PREEMPTING, c.WAITING_FOR_STOPS, ~running, [], under=lock, cite=cite),
        _put_stops(e, "put_preempted", c.PUTTING_PREEMPTED, c.WAITING_FOR_STOPS),
        _row("see_all_stopped", c.WAITING_FOR_STOPS, c.CLEARING, ~busy, [], under=lock, cite=cite),
        _row("clear_data", c.CLEARING, c.ANSWERING, TRUE, clear, under=lock, cite=cite),
        _row("answer_all", c.ANSWERING, c.RESETTING, TRUE, [each(q, lambda r: e.answer(r))], under=e.mutex, cite=cite + "; scheduler.reset()"),
        _row("reset_cache", c.RESETTING, c.IDLE, TRUE, reset, under=lock, cite=cite),
    ]
    if gives_up:
        rows.append(_row("give_up", c.WAITING_FOR_STOPS, c.CLEARING, busy, [], under=lock, decided="timer", cite=cite + ": 60 s, then only a log"))
    return rows


def _draining_pause(e: Engine) -> list[Row]:
    """The new pause: refuse, ask to abort everything, wait until nothing is left. Ours also waits for the blocks, and resets."""
    c, q = Control, e.request
    known = private("requests_known", BOOL, over=q)
    list_all = each(q, lambda r: known[r].set(_is_open(e, r)))
    ask = each(q, lambda r: (when(known[r] | e.in_requests(r), e.abort_asked[r].set(True)), known[r].set(False)))
    empty, lock, cite = all_of(q, lambda r: ~_is_open(e, r)), e.resources, "facts 3.8: pause, new"
    over = all_of(q, lambda r: ~e.in_requests(r))
    ours = e.epoch.owned_abort
    if ours:
        over = over & all_of(q, lambda r: e.stage[r] != Stage.ENDING)
    rows = [
        _row("list_requests", c.LISTING, c.ASKING, TRUE, [list_all], under=e.mutex, cite=cite),
        _row("ask_aborts", c.ASKING, c.DEQUEUING if ours else c.DRAINING_QUEUE, TRUE, [ask], under=lock, cite=cite),
        _row("see_queue_empty", c.DRAINING_QUEUE, c.DRAINING, empty, [], under=e.mutex, cite=cite + ": no time-out"),
        _row("see_drained", c.DRAINING, c.PAUSING, over, [], under=lock, cite=cite + ": no time-out"),
        _row("pause", c.PAUSING, c.RESETTING if ours else c.IDLE, TRUE, [e.paused.set(True)], under=e.pause_lock, cite=cite),
    ]
    if ours:
        dequeue = each(q, lambda r: when(e.intake[r] == Intake.UNREAD, *e.answer(r)))
        reset = [each(e.block, lambda b: e.block_free[b].set(True))]
        rows.append(_row("dequeue_all", c.DEQUEUING, c.DRAINING_QUEUE, TRUE, [dequeue], under=e.mutex, cite="ours"))
        rows.append(_row("reset_cache", c.RESETTING, c.IDLE, TRUE, reset, under=lock, cite="ours"))
    return rows


def _is_open(e: Engine, r: Any) -> Expr:
    """The id is in scheduler.requests."""
    return e.intake[r].is_in(Intake.UNREAD, Intake.READ)
