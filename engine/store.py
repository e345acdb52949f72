"""The cells of a system: what a driver reads and writes.

One rule: a row's whole access goes through one transaction, `begin`, then reads of cells, then `commit`, if its guard holds. Here all cells
lie in one process (lockstep); `runtime/live_store.py` is a store that keeps them where their medium says. Of a variable with many cells only those
that are not at rest, hence differ from their initial value, are kept: 16 requests with 1000 turns each cost what is under way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from protocol.action import Action
from protocol.system import System
from protocol.types import Value, flat_index
from protocol.variable import Variable

from .cargo import Hold
from .numbering import Numbering, Place
from .row import Write


class Sparse(dict[int, Value]):
    """The cells of a variable that are not at rest, by place; every other has the value `rest`."""

    def __init__(self, rest: Value):
        super().__init__()
        self.rest = rest

    def __missing__(self, place: int) -> Value:
        return self.rest

    def __setitem__(self, place: int, value: Value) -> None:
        if value == self.rest:
            self.pop(place, None)
        else:
            super().__setitem__(place, value)

    def active(self) -> Iterable[int]:
        """Places that may not be at rest."""
        return self.keys()


class Store:
    """The cells of a system, all in this process."""

    def __init__(self, system: System):
        self.numbering = Numbering(system)
        self._cells: list[Any] = [self._initial(v) for v in system.variables]
        self._hold = Hold()
        self._carries = False

    def _initial(self, variable: Variable) -> Sparse | list[Value]:
        return Sparse(variable.initial[0]) if self.numbering.is_sparse(variable) else list(variable.initial)

    def reset(self) -> None:
        """Give every cell its initial value; nothing travels any more."""
        for variable, cells in zip(self.numbering.variables, self._cells):
            if isinstance(cells, Sparse):
                cells.clear()
            else:
                cells[:] = variable.initial
        self._hold, self._carries = Hold(), False

    def look(self) -> None:
        """Somebody is about to look for rows that could fire."""

    def begin(self, action: Action) -> None:
        """Somebody is about to fire a row."""

    def cells(self, variable: Variable) -> Any:
        """The cells of a variable by place; those of a sparse one are a `Sparse`."""
        return self._cells[self.numbering.number(variable)]

    def load(self, variable: Variable, where: tuple[Value, ...]) -> Value:
        """The value of one cell: a `protocol.evaluate.Load`."""
        return self.cells(variable)[flat_index(variable.over, where)]

    def commit(self, writes: Sequence[Write], seen: Mapping[Place, Value], cargo: Any = None) -> Any:
        """Write everything; what the row has `seen` and the `cargo` that it carries tell which cargo it finds, which is returned."""
        cells, found = self._cells, None
        if self._carries or cargo is not None:
            # Until something is carried there is nothing to be found.
            self._carries = True
            changes = [((n, place), self.numbering.variables[n], cells[n][place], value) for n, place, value in writes]
            found = self._hold.move(seen, changes, cargo)
        for number, place, value in writes:
            cells[number][place] = value
        return found
