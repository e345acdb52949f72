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
from .request import ASKED, IN_WAITING, OVER, Stage

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
    else:
        take = [*again, m.slot_owner[i].set(q), m.block_owner[b].set(q)]
        add = {"choose": (q,), "moves": [m.machine[q].add], **here}
        rows = [
            _row("reserve", Intake.READY, None, fresh & m.is_lowest_slot(i) & m.is_lowest_block(b), take, choose=(q, i, b), **move, cite="8.1"),
            _row("add", Intake.READY, None, m.machine.at(q) == Stage.RESERVED, [m.running.push(q)], **add, cite="8.2: the first token has come"),
        ]
    return Machine("intake", Intake, rows, final=Intake.READY, doc="FETCH of the mixed role, DECODE of the decode role")


def control(m: Manager, drains: bool) -> Machine:
    """Aborts, their forced recycling, and (`drains`) the pause that waits until every request is over (3.8, H12, #7642)."""
    c, q, stage = Control, choice("request", m.request), Stage
    rows = []
    if m.aborts:
        left = private("aborts_left", Range(0, m.aborts), init=m.aborts)
        at, sources = m.machine.at(q), [s for s in ASKED if not (m.variant.owns_aborts and s in IN_WAITING)]
        here: dict[str, Any] = {"choose": (q,), "under": m.lock}
        rows.append(_row("abort", c.LISTENING, None, (left > 0) & at.is_in(*sources), [left.sub(1)], moves=[m.machine[q].abort], **here, cite="6.4"))
        if m.variant.owns_aborts:
            effects = [left.sub(1), m.waiting.remove(q), *m.free_slot(q), *m.answer(q)]
            guard = (left > 0) & at.is_in(stage.WAITING, stage.AGAIN)
            rows.append(_row("abort_waiting", c.LISTENING, None, guard, effects, moves=[m.machine[q].abort], **here, cite="ours: the owner acts"))
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
