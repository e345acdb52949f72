"""TOK and FIN: what the engine does with a step's report (facts 6.4, 6.5).

TOK takes a report and handles slot by slot. It looks who has the slot (an unlocked read), and then acts on that request: two
rows, between which others may act. FIN has one thread: the slot is freed, the cache is stored (without the lock), the blocks are
freed. A request that it finds in `waiting` it skips.

A token goes to the request that the slot belongs to *now*. Ours carries (request, attempt) in the report, and looks, acts and credits
in one critical section, by that.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import all_of, any_of, choice
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from ...types import Enum, Optional
from ...variable import private
from .manager import Manager, Output
from .request import FORGOTTEN, PREEMPTED, PREFILLING, RUNNING, Stage

_row = partial(Row, actor="engine")


class Tokens(IntEnum):
    """The token processor is ..."""

    WAITING, LOOKING_UP, FINDING, HANDLING, ACTING = range(5)


class Finish(IntEnum):
    """The finishing thread is ..."""

    IDLE, STORING, FREEING = range(3)


class Report:
    """The report that TOK has in hand."""

    def __init__(self, m: Manager):
        self.kind = private("step_kind", Enum(Output), over=m.slot)
        self.of = private("step_request", Optional(m.request), over=m.slot)
        self.number = private("step_attempt", m.attempt, over=m.slot)
        self.task = private("task_in_hand", Optional(m.request))
        self.sought = private("request_sought", Optional(m.request))


def token_processor(m: Manager) -> Machine:
    """TOK."""
    t, r, head = Tokens, Report(m), m.outputs.head
    take: list[Any] = [m.outputs.receive()]
    for s in m.slot:
        take += [r.kind[s].set(getattr(head, f"kind_{s}")), r.of[s].set(getattr(head, f"of_{s}")), r.number[s].set(getattr(head, f"attempt_{s}"))]
    over = all_of(m.slot, lambda s: r.kind[s] == Output.NOTHING)
    first = t.LOOKING_UP if m.variant.looks_up else t.HANDLING
    rows = [
        _row("receive_step", t.WAITING, first, TRUE, take, cite="6.5"),
        _row("end_step", t.HANDLING, t.WAITING, over, [], cite="6.5"),
    ]
    if m.variant.looks_up:
        rows += _look_up(m, r)
    return Machine("token_processor", t, [*rows, *_handle(m, r)], final=t.WAITING, doc="the engine's thread that credits what the steps report")


def _handle(m: Manager, r: Report) -> list[Row]:
    """The lowest slot of which the report says something."""
    t, s, q = Tokens, choice("slot", m.slot), choice("request", m.request)
    lowest = (r.kind[s] != Output.NOTHING) & all_of(m.slot, lambda i: (i >= s) | (r.kind[i] == Output.NOTHING))
    done: list[Any] = [r.kind[s].set(Output.NOTHING), r.of[s].set(None), r.number[s].set(0)]
    stage = m.machine.at(q)
    if m.variant.numbers:
        same = (r.number[s] == m.number[q]) if m.variant.attempts else TRUE
        mine = lowest & (m.slot_owner[s] == q) & (r.of[s] == q) & same
        skip = lowest & ~any_of(m.request, lambda p: (m.slot_owner[s] == p) & (r.of[s] == p) & (same if same is TRUE else r.number[s] == m.number[p]))
        source, rows = (
            t.HANDLING,
            [_row("skip_foreign", t.HANDLING, t.HANDLING, skip, done, choose=(s,), under=m.lock, cite="ours: (request, attempt)")],
        )
    else:
        mine, source, done = lowest & (r.task.cell() == q), t.ACTING, [*done, r.task.set(None)]
        rows = [
            _row("skip_free", t.HANDLING, t.HANDLING, lowest & m.slot_owner[s].is_none, done, choose=(s,), under=m.lock, cite="6.5: stop_flags"),
            _row("look", t.HANDLING, t.ACTING, lowest & (m.slot_owner[s] == q), [r.task.set(q)], choose=(s, q), under=m.lock, cite="6.5: tasks_list"),
        ]
    token, last, stop = (mine & (r.kind[s] == k) for k in (Output.TOKEN, Output.LAST, Output.STOPPED))
    foreign = m.foreign.set(m.foreign.cell() | (r.of[s] != q) | (r.number[s] != m.number[q]))
    here: dict[str, Any] = {"choose": (s, q), "under": m.lock}
    rows += [
        _row("credit", source, t.HANDLING, token, [*done, foreign], **here, cite="6.5; H10"),
    ]
    if not m.variant.attempts:
        ended = stop & ~stage.is_in(*PREEMPTED, Stage.ABORTING)
        rows.append(_row("end_stop", source, t.HANDLING, ended, done, **here, cite="6.5: any other negative is skipped"))
    finish = [*done, foreign, *m.answer(q), m.finishing.send(q)]
    if m.variant.ends_at_once:
        finish += m.leave_running(q)
        rows.append(_row("credit_last", source, t.HANDLING, last, finish, **here, moves=[m.machine[q].last], cite="ours: FINISHING"))
    else:
        rows.append(_row("credit_last", source, t.HANDLING, last, finish, **here, cite="6.4: finish_requests_async"))
    if m.preemptions and m.role == "mixed":
        kept = PREEMPTED if not m.variant.owns_aborts else (Stage.PREEMPTED,)
        back = [*done, m.waiting.push_front(q), *(m.free_blocks(q) if m.variant.keeps else [])]
        rows.append(_row("reschedule", source, t.HANDLING, stop & stage.is_in(*kept), back, **here, moves=[m.machine[q].reschedule], cite="6.5"))
    gone = [*done, *m.free_slot(q), *m.free_blocks(q), *m.answer(q)]
    if m.preemptions and m.role == "decode" and m.variant.keeps:
        preempted, move = stop & (stage == Stage.PREEMPTED), [m.machine[q].recycle]
        rows.append(_row("recycle_preempted", source, t.HANDLING, preempted, gone, **here, moves=move, cite="ours: the worker has stopped"))
    if m.aborts:
        ends = (Stage.ABORTING, Stage.PREEMPTED_ASKED) if m.variant.owns_aborts else (Stage.ABORTING,)
        rows.append(_row("recycle_aborted", source, t.HANDLING, stop & stage.is_in(*ends), gone, **here, moves=[m.machine[q].recycle], cite="6.5"))
    return rows


def _look_up(m: Manager, r: Report) -> list[Row]:
    """Before the slots: each preempted request is looked up in `requests`, to see whether its slot is in the report."""
    t, q = Tokens, choice("request", m.request)
    clear: list[Any] = [r.sought.set(None)]
    for s in m.slot:
        clear += [r.kind[s].set(Output.NOTHING), r.of[s].set(None), r.number[s].set(0)]
    gone = m.machine.at(r.sought.value).is_in(*FORGOTTEN)
    preempted = m.machine.at(q).is_in(*PREEMPTED)
    none = ~any_of(m.request, lambda p: m.machine.at(p).is_in(*PREEMPTED))
    here: dict[str, Any] = {"under": m.lock}
    return [
        _row("find_preempted", t.LOOKING_UP, t.FINDING, preempted, [r.sought.set(q)], choose=(q,), **here, cite="6.5: the pre-pass"),
        _row("find_none", t.LOOKING_UP, t.HANDLING, none, [], **here, cite="6.5"),
        _row("found", t.FINDING, t.HANDLING, ~gone, [r.sought.set(None)], **here, cite="6.5: its slot is in the report"),
        _row("drop_step", t.FINDING, t.WAITING, gone, [*clear, m.dropped.set(True)], **here, cite="H23: KeyError, requests[id].idx"),
    ]


def finisher(m: Manager) -> Machine:
    """FIN."""
    f, q = Finish, m.finishing.head
    hand = private("finishing_request", Optional(m.request))
    mine = hand.value
    stage: Expr = m.machine.at(q)
    if m.variant.frees_once:
        rows = [
            _row("take", f.IDLE, f.STORING, TRUE, [m.finishing.receive(), hand.set(q)], cite="ours: the store comes first"),
            _row("store", f.STORING, f.FREEING, TRUE, [], cite="6.4: optional storage write"),
            _finish(m, f, mine, hand),
        ]
        return Machine("finisher", f, rows, final=f.IDLE, doc="the engine's thread that finishes requests")
    sources = [Stage.FINISHING] if m.variant.ends_at_once else [*RUNNING, *PREFILLING, *PREEMPTED, Stage.ABORTING]
    known = stage.is_in(*sources)
    free = [m.finishing.receive(), hand.set(q), *m.leave_running(q), *m.free_slot(q)]
    skipped = m.end_skipped[q].set(m.end_skipped[q] | m.late_stop[q])
    rows = [
        _row("free_slot", f.IDLE, f.STORING, known, free, under=m.lock, moves=[m.machine[q].finish], cite="6.4: FIN"),
        _row("skip", f.IDLE, f.IDLE, ~known, [m.finishing.receive(), skipped], under=m.lock, cite="6.4: FIN; H23, H-41"),
        _row("store", f.STORING, f.FREEING, TRUE, [], cite="6.4: optional storage write"),
        _row("free_blocks", f.FREEING, f.IDLE, TRUE, [*m.free_blocks(mine), hand.set(None)], under=m.lock, moves=[m.machine[mine].free], cite="6.4"),
    ]
    return Machine("finisher", f, rows, final=f.IDLE, doc="the engine's thread that finishes requests")


def _finish(m: Manager, f: type[Finish], mine: Expr, hand: Any) -> Row:
    effects = [*m.free_slot(mine), *m.free_blocks(mine), hand.set(None)]
    return _row("free", f.FREEING, f.IDLE, TRUE, effects, under=m.lock, moves=[m.machine[mine].finish], cite="ours: one place")
