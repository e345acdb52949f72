"""The threads that bring requests and their aborts into the resource manager, and the one that waits until all are over."""

from __future__ import annotations

from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import all_of, choice
from ...effect import when
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from ...types import Range
from ...variable import private
from .manager import Answers, Manager
from .request import OVER, Stage, abortable, taken_at_once

_row = partial(Row, actor="engine", fair="none")


class Intake(IntEnum):
    """The intake is ..."""

    READY = 0


class Control(IntEnum):
    """The control thread is ..."""

    LISTENING, DRAINING, DRAINED = range(3)


def intake(m: Manager) -> Machine:
    """FETCH (mixed: add_request) or DECODE (preallocate_resource_in_d and the first token); a client may use an id again when it was answered."""
    q, i, b = choice("request", m.request), choice("slot", m.slot), choice("block", m.block)
    fresh = m.machine.at(q) == Stage.ABSENT
    if m.attempts > 1:
        fresh = fresh | ((m.machine.at(q) == Stage.GONE) & (m.number[q] < m.attempts - 1))
    again: list[Any] = [when(m.machine.at(q) == Stage.GONE, m.number[q].add(1)), m.answers[q].set(Answers.NONE)]
    here: dict[str, Any] = {"under": m.lock, "fair": "weak"}
    move: dict[str, Any] = {"moves": [m.machine[q].post], **here}
    if m.role == "mixed":
        rows = [_row("post", Intake.READY, None, fresh, [*again, m.waiting.push(q)], choose=(q,), **move, cite="6.4: add_request")]
        if m.variant.forgets_errors and m.failures and m.attempts > 1:
            known = (m.machine.at(q) == Stage.ERRORED) & (m.number[q] < m.attempts - 1)
            refuse: list[Any] = [m.number[q].add(1), m.refused.set(True)]
            rows.append(_row("refuse_retry", Intake.READY, None, known, refuse, choose=(q,), **here, cite="H15: duplicated request_id"))
    else:
        rows = [_row("post", Intake.READY, None, fresh, again, choose=(q,), **move, cite="4.4: P's message"), *_reservation(m, q, i, b)]
    return Machine("intake", Intake, rows, final=Intake.READY, doc="FETCH of the mixed role, DECODE of the decode role")


def _reservation(m: Manager, q: Any, i: Any, b: Any) -> list[Row]:
    """DECODE: slot and block for a request of P's, then its first token, or an error."""
    at, here = m.machine.at(q), dict[str, Any](under=m.lock, fair="weak")
    kept = (Stage.RESERVED,) if m.variant.owns_aborts else (Stage.RESERVED, Stage.RESERVED_ASKED)
    take: list[Any] = [m.slot_owner[i].set(q), m.block_owner[b].set(q)]
    add: dict[str, Any] = {"choose": (q,), "moves": [m.machine[q].add], **here}
    gone = [*m.free_slot(q), *m.free_blocks(q), *m.answer(q)]
    reserve = (at == Stage.ARRIVED) & m.is_lowest_slot(i) & m.is_lowest_block(b)
    rows = [
        _row("reserve", Intake.READY, None, reserve, take, choose=(q, i, b), moves=[m.machine[q].reserve], **here, cite="8.1"),
        _row("add", Intake.READY, None, at.is_in(*kept), [m.running.push(q)], **add, cite="8.2: the first token has come"),
    ]
    if m.aborts and m.variant.owns_aborts:
        rows.append(_row("free_aborted", Intake.READY, None, at == Stage.RESERVED_ASKED, gone, **add, cite="ours: P has sent all"))
    if m.failures:
        left = private("failures_left", Range(0, m.failures), init=m.failures)
        failed, fail = (left > 0) & at.is_in(Stage.RESERVED, Stage.RESERVED_ASKED), [left.sub(1), *gone]
        rows.append(
            _row("receive_error", Intake.READY, None, failed, fail, choose=(q,), moves=[m.machine[q].fail], under=m.lock, cite="4.11: P failed")
        )
    return rows


def control(m: Manager, drains: bool) -> Machine:
    """Aborts, their forced recycling, and (`drains`) the pause that waits until every request is over (3.8, H12, #7642)."""
    c, q, stage = Control, choice("request", m.request), Stage
    rows = []
    if m.aborts:
        left = private("aborts_left", Range(0, m.aborts), init=m.aborts)
        at, sources, taken = m.machine.at(q), abortable(m.variant, m.role, m.chunks), taken_at_once(m.variant, m.role)
        here: dict[str, Any] = {"choose": (q,), "under": m.lock}
        rows.append(_row("abort", c.LISTENING, None, (left > 0) & at.is_in(*sources), [left.sub(1)], moves=[m.machine[q].abort], **here, cite="6.4"))
        if taken:
            queue = m.waiting if m.role == "mixed" else m.running
            effects = [left.sub(1), queue.remove(q), *m.free_slot(q), *m.free_blocks(q), *m.answer(q)]
            guard = (left > 0) & at.is_in(*taken)
            rows.append(_row("abort_waiting", c.LISTENING, None, guard, effects, moves=[m.machine[q].take], **here, cite="ours: the owner acts"))
        if m.variant.forces:
            effects = [*m.free_slot(q), *m.free_blocks(q), *m.answer(q)]
            rows.append(
                _row("force", c.LISTENING, None, at == stage.ABORTING, effects, moves=[m.machine[q].recycle], **here, cite="6.4: after 1 s; H12")
            )
    if drains:
        rows += [
            _row("begin_drain", c.LISTENING, c.DRAINING, TRUE, [], cite="3.8: the new pause"),
            _row("drained", c.DRAINING, c.DRAINED, _is_over(m), [], under=m.lock, fair="weak", cite="3.8: no time-out"),
        ]
    return Machine("control", c, rows, final=c.LISTENING, doc="the engine's thread for aborts and pauses")


def _is_over(m: Manager) -> Expr:
    return all_of(m.request, lambda q: m.machine.at(q).is_in(*OVER))
