"""Polling loops: where a copy waits although a row of its could fire, because that row only leads to a look that would be in vain.

Such a row changes nothing but the state, and one cell tells whether a row behind it would do more than go back: the gate that finds
the queue empty looks at the forward signal next, and as long as that is up it is back where it was. To wake its process for this
costs more than all its other rows of a step together, so it sleeps on until the cell has another value. Nothing is lost: the loop is gone
round once less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

from protocol.action import Action
from protocol.evaluate import evaluate, no_cell
from protocol.expr import Cell, Literal, Me
from protocol.types import Scalar, Value
from protocol.variable import Variable

from ..driver import Copy


class Vain(NamedTuple):
    """A row that leads nowhere from that state while a cell has one of these values."""

    state: IntEnum
    action: Action
    variable: Variable
    where: tuple[Value, ...]
    values: frozenset[Value]


def vain_rows(copy: Copy, is_quiet: Callable[[Action], bool]) -> Iterator[Vain]:
    """The rows of a copy that may lead nowhere. `is_quiet`: whether nobody acts behind the row."""
    for state, actions in copy.rows.items():
        for action in actions:
            destination = action.row.destination
            if destination is not None and _only_moves(action) and is_quiet(action):
                vain = _vain(copy, state, action, copy.rows[destination], is_quiet)
                if vain is not None:
                    yield vain


def _vain(copy: Copy, state: IntEnum, action: Action, behind: Sequence[Action], is_quiet: Callable[[Action], bool]) -> Vain | None:
    machine, process = copy.machine, copy.machine.process
    bind: dict[Any, Value] = dict(zip(machine.copies, copy.indices))
    own: dict[int, Value] = {id(machine.state): action.row.destination}
    if process is not None:
        own[id(process.alive)] = True  # who looks is alive
    looked_at = [part for row in behind for part in row.guard.walk() if isinstance(part, Cell) and id(part.variable) not in own]
    if any(row.row.choose or row.row.decided != "prompt" for row in behind) or not all(
        isinstance(index, (Me, Literal)) for cell in looked_at for index in cell.indices
    ):
        return None
    cells = {(cell.variable, tuple(evaluate(index, bind, no_cell) for index in cell.indices)) for cell in looked_at}
    if len(cells) != 1:
        return None
    ((variable, where),) = cells
    if not isinstance(variable.type, Scalar):
        return None

    def leads_back(value: Value) -> bool:
        able = [row for row in behind if evaluate(row.guard, bind, lambda of, _: own.get(id(of), value))]
        return bool(able) and all(row.row.poll and row.row.destination is state and _only_moves(row) and is_quiet(row) for row in able)

    values = frozenset(value for value in variable.type.values() if leads_back(value))
    return Vain(state, action, variable, where, values) if values else None


def _only_moves(action: Action) -> bool:
    return all(store.cell.variable is action.machine.state for store in action.stores)
