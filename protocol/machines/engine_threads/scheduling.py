"""SCHED: the engine's thread that fetches, looks at the gate, schedules and puts (facts 3.1 - 3.5).

A looks at the queue, submits a fetch (mixed: when nothing waits) and schedules; B submits first, whatever waits, and looks at
the queue (under its lock) and at the forward signal; R leaves fetching to its own threads. Ours is R with the look at the
forward signal, and with one critical section from `schedule()` to the end of `put_tasks`, which cannot wait there: the gate
has seen the queue empty, and nobody else puts.

One row is one look, one store, one submission, or one critical section. What a closed pool does depends on who catches its
RuntimeError: the handler beside the submission looks for a word that stands in the text of a shutdown and in that of the
interpreter's exit; the handler of the whole loop, in A, for the text of a shutdown only, and swallows any other (facts 3.4).

A call that stops requests admits none here; the real one admits as well, into the same batch, in which the stops come first.

Left out: empty batches for experts, error replies, metrics, sleeps.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import all_of, any_of, choice, count
from ...effect import each, when
from ...expr import FALSE, TRUE, Expr
from ...machine import Machine, Row
from ...types import Optional
from ...variable import private
from .engine import IN_RUNNING, Engine, Stage

_row = partial(Row, actor="prefill")


class Schedule(IntEnum):
    """The scheduling thread is ..."""

    STARTING, AWAKE, SEEING_WAITING, SEEING_FETCH, RAISING, SUBMITTING, LOOKING, LOOKING_FORWARD = range(8)
    SCHEDULING, PUTTING, RELEASING, ANSWERING, ENDED, DEAD = range(8, 14)


def scheduling(e: Engine) -> Machine:
    """The thread of one epoch."""
    s = Schedule
    fetch = s.SEEING_WAITING if e.role == "mixed" and not e.epoch.fetches_first else s.SEEING_FETCH
    gate = s.LOOKING_FORWARD if e.is_gated else s.SCHEDULING
    if not e.epoch.pooled:
        first, after_look, after_fetch = s.LOOKING, gate, s.SCHEDULING
    elif e.epoch.fetches_first:
        first, after_look, after_fetch = fetch, gate, s.LOOKING
    else:
        first, after_look, after_fetch = s.LOOKING, fetch, gate
    rows = [*_start(e, first), *_look(e, after_look), *_schedule(e), *_put(e)]
    if e.epoch.pooled:
        rows += _submit(e, fetch, after_fetch)
    if e.epoch.owned_abort and e.asks_aborts:
        rows += _withdraw(e)
    final = (s.ENDED,) if e.exits == "shutdown" else ()
    return Machine("schedule", s, rows, final=final, doc="the engine's scheduling thread")


def _start(e: Engine, first: Schedule) -> list[Row]:
    """The top of the loop: `running`, and the wait while paused."""
    s = Schedule
    awake = s.STARTING
    rows = []
    if e.exits == "shutdown":
        awake = s.AWAKE
        rows = [
            _row("see_running", s.STARTING, awake, e.running, [], cite="facts 3: while running"),
            _row("leave", s.STARTING, s.ENDED, ~e.running, [], cite="facts 3.8: shutdown"),
        ]
    return [*rows, _row("see_not_paused", awake, first, ~e.paused, [], under=e.pause_lock, cite="facts 3.1 A1")]


def _look(e: Engine, after: Schedule) -> list[Row]:
    """The gate: the queue, and then the forward signal."""
    s = Schedule
    if e.epoch.locked_look:
        empty, under, cite = e.queue.tasks.empty, e.queue.lock, "#6680; facts 3.2 B3: num_tasks"
    else:
        empty, under, cite = ~e.queue.filled, None, "#5376; facts 3.1 A2: exist_tasks"
    rows = [
        _row("find_queue_empty", s.LOOKING, after, empty, [], under=under, cite=cite),
        _row("find_queue_full", s.LOOKING, s.STARTING, ~empty, [], under=under, poll=True, cite=cite),
    ]
    if e.is_gated:
        rows += [
            _row("find_forward_over", s.LOOKING_FORWARD, s.SCHEDULING, ~e.forward_signal, [], cite="facts 3.2 B3"),
            _row("find_forward_running", s.LOOKING_FORWARD, s.STARTING, e.forward_signal, [], poll=True, cite="facts 3.2 B3"),
        ]
    return rows


def _submit(e: Engine, fetch: Schedule, after: Schedule) -> list[Row]:
    """A fetch is submitted unless one is under way. In the mixed role of A and A' also unless something waits."""
    s = Schedule
    rows = []
    if fetch is s.SEEING_WAITING:
        rows += [
            _row("see_nothing_waiting", s.SEEING_WAITING, s.SEEING_FETCH, e.waiting.empty, [], cite="facts 3.1 A3: without RM.lock"),
            _row("see_something_waiting", s.SEEING_WAITING, after, ~e.waiting.empty, [], cite="facts 3.1 A3: without RM.lock"),
        ]
    rows += [
        _row("see_fetch_over", s.SEEING_FETCH, s.RAISING, ~e.fetching, [], cite="facts 3.1 A3"),
        _row("see_fetching", s.SEEING_FETCH, after, e.fetching, [], cite="facts 3.1 A3"),
        _row("raise_fetching", s.RAISING, s.SUBMITTING, TRUE, [e.fetching.set(True)], cite="facts 3.1 A3"),
        _row("submit_fetch", s.SUBMITTING, after, ~e.pool_closed, [e.jobs.send(0)], cite="facts 3.1 A3"),
    ]
    if e.exits == "none":
        return rows
    known = e.exits == "shutdown" and e.epoch.swallows
    if known or e.role in e.epoch.guards_submit:
        rows.append(_row("leave_closed_pool", s.SUBMITTING, s.ENDED, e.pool_closed, [], cite="facts 3.1: after shutdown"))
    elif e.epoch.swallows:
        rows.append(_row("swallow_error", s.SUBMITTING, s.STARTING, e.pool_closed, [], cite="facts 3.4: after interpreter shutdown"))
    else:
        rows.append(_row("die_of_submission", s.SUBMITTING, s.DEAD, e.pool_closed, [], cite="#7791; facts 3.4"))
    return rows


def _schedule(e: Engine) -> list[Row]:
    """`schedule()`: what it finds to do, one critical section each; nothing to do leads back to the top."""
    s, q = Schedule, e.request
    stops, some_stop = _stops(e)
    keep: dict[str, Any] = {"acquire": e.resources} if e.epoch.holds_lock else {"under": e.resources}
    rows, idle = [], ~some_stop
    if e.stops_running:
        batch = e.make_batch(stops=lambda i: any_of(q, lambda r: stops(r) & (e.place[r] == i)))
        issue = [each(q, lambda r: when(stops(r), e.stage[r].set(Stage.ABORTING), *_issue_stop(e, r))), e.in_hand.set(batch)]
        rows.append(_row("schedule_stops", s.SCHEDULING, s.PUTTING, some_stop, issue, **keep, cite="facts 6.3 S1: trigger_abort"))
    admits, found = _admissions(e, idle, keep)
    rows += admits
    if e.epoch.one_putter and "control" in e.commands:
        control = [e.control_asked.set(False), e.in_hand.set(e.make_batch(control=True))]
        rows.append(_row("schedule_control", s.SCHEDULING, s.PUTTING, idle & ~found & e.control_asked, control, **keep, cite="ours"))
        found = found | e.control_asked
    if e.epoch.owned_abort:
        found = found | any_of(q, lambda r: e.stage[r].is_in(Stage.WAITING, Stage.READY) & e.abort_asked[r])
    rows.append(_row("schedule_nothing", s.SCHEDULING, s.STARTING, idle & ~found, [], under=e.resources, cite="facts 3.1 A8"))
    return rows


def _stops(e: Engine) -> tuple[Any, Expr]:
    """Which running requests `schedule()` aborts."""
    if not e.stops_running:
        return (lambda r: FALSE), FALSE

    def stops(r: Any) -> Expr:
        return (e.stage[r] == Stage.RUNNING) & e.abort_asked[r]

    return stops, any_of(e.request, stops)


def _issue_stop(e: Engine, r: Any) -> list[Any]:
    """The epochs free the blocks now; ours keeps them until the stop is reported."""
    return [] if e.epoch.owned_abort else [*e.free_block(r), e.abort_asked[r].set(False)]


def _admissions(e: Engine, idle: Expr, keep: dict[str, Any]) -> tuple[list[Row], Expr]:
    """What runs next: on P the first of `running`, in the mixed role the head of `waiting`. Returns the rows, and whether there is any."""
    s, b = Schedule, choice("block", e.block)
    if e.role == "prefill":
        return _ready_rows(e, idle, keep)
    slot, head = choice("slot", e.slot), e.waiting.head
    counted = (*IN_RUNNING, Stage.ABORTING, Stage.PREEMPTED) if e.epoch.counts_aborting else (*IN_RUNNING, Stage.PREEMPTED)
    room = count(e.request, lambda r: e.stage[r].is_in(*counted)) < e.slot.size
    some_block = any_of(e.block, lambda i: e.block_free[i])
    wanted = ~e.waiting.empty
    if e.epoch.owned_abort:
        wanted = wanted & ~e.abort_asked[head]
    fresh = wanted & ~e.holds_slot(head) & room
    again = wanted & e.holds_slot(head)

    def run(place: Any) -> list[Any]:
        batch = e.make_batch(request=head, slot=place, block=b)
        late = e.late_schedule.set(e.late_schedule | e.answered[head])
        return [e.waiting.pop(), *e.take_block(head, b), e.stage[head].set(Stage.RUNNING), e.in_hand.set(batch), late]

    may, lowest = idle & fresh & e.is_lowest_slot(slot), e.is_lowest_block(b)
    rows = [
        _row(
            "schedule_waiting", s.SCHEDULING, s.PUTTING, may & lowest, [run(slot), *e.take_slot(head, slot)], choose=(slot, b), **keep, cite="6.3 S3"
        ),
    ]
    if "pause" in e.commands and not e.epoch.drains:
        rows.append(
            _row("schedule_preempted", s.SCHEDULING, s.PUTTING, idle & again & lowest, [run(e.place[head])], choose=(b,), **keep, cite="6.3 S3")
        )
    found = some_block & ((fresh & e.some_slot_free) | again)
    if e.stops_running and not e.epoch.counts_aborting:
        rows.append(_position_error(e, idle & fresh & ~e.some_slot_free, b))
        found = some_block & (fresh | again)
    return rows, found


def _position_error(e: Engine, guard: Expr, b: Any) -> Row:
    """get_available_position raises when the request has already been moved from `waiting` to `running`."""
    head, s = e.waiting.head, Schedule
    lost = [e.waiting.pop(), *e.take_block(head, b), e.stage[head].set(Stage.RUNNING)]
    after, event = (s.STARTING, "swallow_no_position") if e.epoch.swallows else (s.DEAD, "die_of_no_position")
    cite = "#7141; facts 6.3 S3: RuntimeError if none"
    return _row(event, s.SCHEDULING, after, guard & e.is_lowest_block(b), lost, choose=(b,), under=e.resources, cite=cite)


def _ready_rows(e: Engine, idle: Expr, keep: dict[str, Any]) -> tuple[list[Row], Expr]:
    s, r, b = Schedule, choice("request", e.request), choice("block", e.block)

    def ready(i: Any) -> Expr:
        return (e.stage[i] == Stage.READY) & (~e.abort_asked[i] if e.epoch.owned_abort else TRUE)

    def leads(i: Any) -> Expr:
        return ready(i) & all_of(e.request, lambda j: (j >= i) | ~ready(j))

    first = idle & leads(r)
    late = e.late_schedule.set(e.late_schedule | e.answered[r])

    def run(block: Any) -> list[Any]:
        return [e.stage[r].set(Stage.RUNNING), e.in_hand.set(e.make_batch(request=r, slot=e.place[r], block=block)), late]

    has = ~e.table[r].is_none
    rows = [_row("schedule_ready", s.SCHEDULING, s.PUTTING, first & has, run(e.table[r].value), choose=(r,), **keep, cite="facts 6.3 S1")]
    found = any_of(e.request, lambda i: leads(i) & ~e.table[i].is_none)
    if e.epoch.direct_abort:
        bare, take = first & ~has & e.is_lowest_block(b), [run(b), *e.take_block(r, b)]
        rows.append(_row("schedule_without_block", s.SCHEDULING, s.PUTTING, bare, take, choose=(r, b), **keep, cite="H-22: allocates anew"))
        found = found | (any_of(e.request, ready) & any_of(e.block, lambda i: e.block_free[i]))
    return rows, found


def _withdraw(e: Engine) -> list[Row]:
    """Ours: what waits and is to be aborted is dropped here, by the owner of the stage, and answered."""
    s, r = Schedule, choice("request", e.request)
    dropped = private("dropped_request", Optional(e.request))

    def asked(i: Any) -> Expr:
        return e.stage[i].is_in(Stage.WAITING, Stage.READY) & e.abort_asked[i]

    first = asked(r) & all_of(e.request, lambda i: (i >= r) | ~asked(i))
    queued = e.stage[r] == Stage.WAITING
    drop = [when(queued, e.waiting.remove(r)), *e.recycle(r), dropped.set(r)]
    answer = [*e.answer(dropped.value), dropped.set(None)]
    return [
        _row("withdraw", s.SCHEDULING, s.ANSWERING, first & ~_stops(e)[1], drop, choose=(r,), under=e.resources, cite="ours"),
        _row("answer_withdrawn", s.ANSWERING, s.STARTING, TRUE, answer, under=e.mutex, cite="ours"),
    ]


def _put(e: Engine) -> list[Row]:
    """`put_tasks`: waits until every rank has read, which the polling loop amounts to."""
    s, queue = Schedule, e.queue
    put = [queue.put(e.in_hand), e.in_hand.set(e.make_batch())]
    ready = queue.is_read_by_all & ~e.manager_closed if e.exits == "shutdown" else queue.is_read_by_all
    after = s.RELEASING if e.epoch.holds_lock else s.STARTING
    rows = [_row("put_batch", s.PUTTING, after, ready, put, under=queue.lock, cite="facts 2.2: put_tasks")]
    if e.epoch.holds_lock:
        rows.append(_row("release_resources", s.RELEASING, s.STARTING, TRUE, [], release=e.resources, cite="ours: one critical section"))
    if e.exits == "shutdown":
        drop = [e.in_hand.set(e.make_batch())]
        rows.append(_row("fail_put", s.PUTTING, after, e.manager_closed, drop, cite="facts 3.8: the call raises"))
    return rows
