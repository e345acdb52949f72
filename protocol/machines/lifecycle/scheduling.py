"""SCHED: `schedule()` under RM.lock, and the put of what it decided (facts 6.3).

One decision a call: stop an aborted request, compute a prompt's last chunk, give a running request a second block or preempt for it, or
admit the head of `waiting` (on D: the first in `running` that has not run). Whether a request needs a second block is left open. The victim
is the last of `running`; in ours it keeps its blocks until its stop is reported, and nobody else is stopped for want of a block before that.
Only SCHED puts, so its look at the empty queue stays true until it puts; the look and the critical section are one row.

Left out: the token budget, the extend table (`running_list.py`), control requests (the group "engine-threads").
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import any_of, choice
from ...effect import when
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from ...types import Range
from ...variable import private
from .manager import Answers, Manager
from .request import IN_RUNNING, PREEMPTED, Stage, stoppable

_row = partial(Row, actor="engine")


class Schedule(IntEnum):
    """The scheduling thread is ..."""

    LOOKING, PUTTING, RAISED = range(3)


def scheduling(m: Manager) -> Machine:
    """The thread."""
    rows = [*_admissions(m)]
    if m.aborts:
        rows.append(_stop(m))
    if m.preemptions:
        rows += _growth(m)
    if m.chunks > 1:
        rows.append(_chunk(m))
    if m.failures and m.role == "mixed":
        rows.append(_failure(m))
    s = Schedule
    if not m.variant.puts_inside:
        rows.append(_row("put_tasks", s.PUTTING, s.LOOKING, TRUE, [m.tasks.send(m.in_hand.cell()), m.in_hand.set(m.make_batch())], cite="3.1 A6; H9"))
    return Machine("schedule", s, rows, final=s.LOOKING, doc="the engine's scheduling thread")


def _decide(m: Manager, event: str, guard: Expr, batch: Expr, effects: list[Any], **more: Any) -> Row:
    """A decision of `schedule()`, and where its batch goes."""
    s = Schedule
    if m.variant.puts_inside:
        return _row(event, s.LOOKING, s.LOOKING, guard, [m.tasks.send(batch), *effects], under=m.lock, **more)
    return _row(event, s.LOOKING, s.PUTTING, m.tasks.empty & guard, [m.in_hand.set(batch), *effects], under=m.lock, **more)


def _no_stop_due(m: Manager) -> Expr:
    return ~any_of(m.request, lambda r: m.machine.at(r).is_in(*stoppable(m.variant, m.chunks))) if m.aborts else TRUE


def _chunk(m: Manager) -> Row:
    """The last chunk of a running request's prompt; an abort that was noted waits for it, in the published code."""
    q, i, at = choice("request", m.request), choice("slot", m.slot), Stage
    asked = m.machine.at(q) == at.PREFILLING_ASKED
    due = m.machine.at(q).is_in(at.PREFILLING, *(() if m.variant.owns_aborts else (at.PREFILLING_ASKED,)))
    guard, late = _no_stop_due(m) & due & (m.slot_owner[i] == q), [m.late_chunk.set(m.late_chunk.cell() | asked)]
    batch, move = m.make_batch(run=q, slot=i, fresh=True), [m.machine[q].last_chunk]
    return _decide(m, "schedule_chunk", guard, batch, late, choose=(q, i), moves=move, cite="6.3 S1: a prefill chunk")


def _stop(m: Manager) -> Row:
    q, i = choice("request", m.request), choice("slot", m.slot)
    guard = m.machine.at(q).is_in(*stoppable(m.variant, m.chunks)) & (m.slot_owner[i] == q)
    effects = [m.running.remove(q), *([] if m.variant.keeps else m.free_blocks(q))]
    return _decide(m, "stop_aborted", guard, m.make_batch(stop=i), effects, choose=(q, i), moves=[m.machine[q].stop], cite="6.3 S1: trigger_abort")


def _growth(m: Manager) -> list[Row]:
    """A running request needs one more block: it gets it, or the last of `running` is stopped for it."""
    q, i, b = choice("request", m.request), choice("slot", m.slot), choice("block", m.block)
    needs = _no_stop_due(m) & (m.machine.at(q) == Stage.RUNNING) & (m.slot_owner[i] == q) & (m.table_size(q) < 2)
    grown = m.make_batch(run=q, slot=i, more=b)
    grow = _decide(m, "grow", needs & m.is_lowest_block(b), grown, [m.block_owner[b].set(q)], choose=(q, i, b), fair="none", cite="6.3 S1")
    return [grow, *_preemptions(m, needs)]


def _preemptions(m: Manager, needs: Expr) -> list[Row]:
    """The victim is the last of `running`: in the published code its blocks are another's at once; ours waits for the report of its stop."""
    q, v, i, j, b = (
        choice("request", m.request),
        choice("victim", m.request),
        choice("slot", m.slot),
        choice("other", m.slot),
        choice("block", m.block),
    )
    left = private("preemptions_left", Range(0, m.preemptions), init=m.preemptions)
    last = (left > 0) & ~m.running.empty & m.is_full & m.machine.at(v).is_in(*IN_RUNNING) & (m.running.at(m.running.length - 1) == v)
    late = m.late_stop[v].set(m.late_stop[v] | (m.answers[v] != Answers.NONE))
    lose: list[Any] = [left.sub(1), m.running.pop_back(), late]
    gone = [*m.free_slot(v), *m.answer(v)] if m.role == "decode" else []
    more: dict[str, Any] = {"moves": [m.machine[v].preempt], "fair": "none"}
    itself = {"choose": (q, v, i), **more, "cite": "6.3 S2; H10"}
    taken = (m.block_owner[b] == v) & ~any_of(m.block, lambda a: (a < b) & (m.block_owner[a] == v))
    others = [when(m.block_owner[a] == v, m.block_owner[a].set(None)) for a in m.block]
    hand_on = [when(b != a, *others[a]) for a in m.block] + [m.block_owner[b].set(q)]
    stop, told = m.make_batch(stop=i), j if m.variant.tells else None
    if not m.variant.keeps:
        rows = [_decide(m, "preempt_itself", needs & last & (v == q), stop, [*lose, *gone, *m.free_blocks(q)], **itself)]
        guard, swapped = needs & last & (v != q) & (m.slot_owner[j] == v) & taken, m.make_batch(stop=told, run=q, slot=i, more=b)
        last_row = _decide(m, "preempt_last", guard, swapped, [*lose, *gone, *hand_on], choose=(q, v, i, j, b), **more, cite="6.3 S2; H23")
        return [*rows, *([last_row] if m.slot.size > 1 else [])]
    none_coming, has_run = ~any_of(m.request, lambda r: m.machine.at(r).is_in(*PREEMPTED)), m.machine.at(v) != Stage.READY
    rows = [_decide(m, "preempt_itself", needs & none_coming & last & (v == q), stop, lose, **itself)]
    if m.slot.size > 1:
        guard = needs & none_coming & last & (v != q) & has_run & (m.slot_owner[j] == v)
        rows.append(_decide(m, "preempt_last", guard, m.make_batch(stop=j), lose, choose=(q, v, i, j), **more, cite="ours: its block comes later"))
    if m.slot.size > 1 and m.role == "decode":
        guard, grown = needs & last & ~has_run & taken, m.make_batch(run=q, slot=i, more=b)
        rows.append(
            _decide(m, "preempt_unstarted", guard, grown, [*lose, *gone, *hand_on], choose=(q, v, i, b), **more, cite="6.3 S2: no worker has it")
        )
    return rows


def _admissions(m: Manager) -> list[Row]:
    """Admission of the head of `waiting`; on D the first task of a request that has its slot and block."""
    q, i, b, stage = choice("request", m.request), choice("slot", m.slot), choice("block", m.block), Stage
    alive = [m.zombie.set(m.zombie.cell() | (m.answers[q] != Answers.NONE)), m.late_zombie.set(m.late_zombie.cell() | m.end_skipped[q])]
    move: dict[str, Any] = {"moves": [m.machine[q].admit], "cite": "6.3 S3"}
    if m.role == "decode":
        ready = (stage.READY,) if m.variant.owns_aborts else (stage.READY, stage.READY_ASKED)
        guard = _no_stop_due(m) & m.machine.at(q).is_in(*ready) & (m.slot_owner[i] == q)
        return [_decide(m, "admit", guard, m.make_batch(run=q, slot=i, fresh=True), [], choose=(q, i), **move)]
    counted = [m.running.length, m.machine.count(*PREEMPTED)]
    if m.variant.counts_stopping:
        counted += [m.machine.count(stage.ABORTING, stage.AGAIN, stage.AGAIN_ASKED), m.machine.count(stage.FINISHING)]
    room = sum(counted[1:], start=counted[0]) < m.slot.size
    head = _no_stop_due(m) & ~m.waiting.empty & (m.waiting.head == q) & m.is_lowest_block(b)
    first = head & m.machine.at(q).is_in(stage.WAITING, stage.WAITING_ASKED) & room
    again = head & m.machine.at(q).is_in(stage.AGAIN, stage.AGAIN_ASKED) & (m.slot_owner[i] == q)
    take: list[Any] = [m.waiting.pop(), m.running.push(q), m.block_owner[b].set(q), *alive]
    batch = m.make_batch(run=q, slot=i, fresh=True, part=m.chunks > 1, more=b)
    rows = [_decide(m, "admit", first & m.is_lowest_slot(i), batch, [*take, m.slot_owner[i].set(q)], choose=(q, i, b), **move)]
    if m.preemptions:
        rows.append(_decide(m, "admit_again", again, batch, take, choose=(q, i, b), **move))
    if not m.variant.counts_stopping:
        s = Schedule
        here: dict[str, Any] = {"choose": (q, b), "under": m.lock, **move}
        rows.append(_row("find_no_slot", s.LOOKING, s.RAISED, first & ~m.has_slot, take, **(here | {"cite": "#7141; H26"})))
    return rows


def _failure(m: Manager) -> Row:
    """Preprocessing of the head of `waiting` has failed: an error for the client."""
    q, left = choice("request", m.request), private("failures_left", Range(0, m.failures), init=m.failures)
    guard = (left > 0) & ~m.waiting.empty & (m.waiting.head == q) & (m.machine.at(q) == Stage.WAITING)
    effects = [left.sub(1), m.waiting.pop(), *m.answer(q)]
    s = Schedule
    return _row(
        "answer_error", s.LOOKING, s.LOOKING, guard, effects, under=m.lock, choose=(q,), moves=[m.machine[q].fail], fair="none", cite="6.3 S3; H15"
    )
