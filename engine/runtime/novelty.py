"""Novelty: how long it is since a run has come to a state that it had not been in before."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

from protocol.action import Instance
from protocol.types import Value, flat_index

from ..driver import Copy, Driver
from ..row import Write


class Novelty:
    """Watches the cells of a driver. `quiet`: rows fired since a state was new.

    A state is known by the sum of its cells' hashes, kept up as cells are written: two that are unlike and seem alike cost a row of patience.
    """

    def __init__(self, driver: Driver):
        self.quiet = 0
        self._cells: dict[Hashable, int] = {}
        self._state = 0
        self._known = {0}
        driver.observers.append(self._observer(driver))

    def begin(self) -> None:
        """Something has happened that no cell tells: whatever state comes next is new."""
        self.quiet = 0
        self._known = {self._state}

    def _observer(self, driver: Driver) -> Callable[[Copy, Instance, Sequence[Write]], None]:
        def observe(copy: Copy, instance: Instance, writes: Sequence[Write]) -> None:
            state = copy.machine.state
            self._note((driver.numbering.number(state), flat_index(state.over, copy.indices)), copy.state)
            for number, place, value in writes:
                self._note((number, place), value)
            if self._state in self._known:
                self.quiet += 1
            else:
                self.quiet = 0
                self._known.add(self._state)

        return observe

    def _note(self, cell: Hashable, value: Value) -> None:
        now = hash((cell, value))
        self._state ^= self._cells.get(cell, 0) ^ now
        self._cells[cell] = now
