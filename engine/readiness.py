"""Readiness: which copies could fire a row now, kept up as rows fire instead of asked anew.

One rule: a copy is looked at again when it has fired itself, or when somebody has written a cell that the guards of its rows may
read. Which cells these are is found once, from the rows: constant indices and the copy's own tell them apart, a chosen index stands
for all. A variable with many cells is watched in stretches of neighbouring cells.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from typing import Any

from protocol.action import Action, Instance
from protocol.expr import Cell, Literal, Me
from protocol.types import Value, flat_index, product_size
from protocol.variable import Variable

from .driver import Copy, Driver
from .row import Write

STRETCHES = 256
"""A variable is watched in at most so many stretches."""


class Readiness:
    """Copies of a driver, by number, and which of them are able to fire.

    Args:
        fires: whether a row may fire at all, whoever decides it, when it is enabled.
        heard: told of each copy that heeds changes when another has written a variable that its rows mention.
    """

    def __init__(
        self,
        driver: Driver,
        copies: Sequence[Copy],
        fires: Callable[[int, Action], bool] = lambda number, action: True,
        heard: Callable[[int, str], None] = lambda number, variable: None,
    ):
        self._driver, self._copies, self._heard = driver, list(copies), heard
        self._heeding = 0
        self._by_name: dict[str, int] = {}
        self._rows = [{s: [a for a in rows if fires(k, a)] for s, rows in copy.rows.items()} for k, copy in enumerate(copies)]
        self._able: list[int] = []
        self._is_able = [False] * len(copies)
        self._stale = (1 << len(copies)) - 1
        driver.observers.append(self._observer())

    def able(self) -> Sequence[int]:
        """The numbers of the copies that could fire a row now, ascending.

        Raises:
            OutOfRange: a guard left its types.
        """
        stale, number = self._stale, 0
        while stale:
            number = (stale & -stale).bit_length() - 1
            stale &= stale - 1
            self._look(number)
        self._stale = 0
        return self._able

    def heed(self, number: int, names: Iterable[str]) -> None:
        """The copy wants to hear of what its rows mention, and of these variables, from now on."""
        self._heeding |= 1 << number
        for name in names:
            self._by_name[name] = self._by_name.get(name, 0) | 1 << number

    def _look(self, number: int) -> None:
        copy = self._copies[number]
        now = any(self._driver.is_enabled(copy, action) for action in self._rows[number][copy.state])
        if now != self._is_able[number]:
            self._is_able[number] = now
            if now:
                insort(self._able, number)
            else:
                self._able.remove(number)

    def _observer(self) -> Callable[[Copy, Instance, Sequence[Write]], None]:
        """What keeps the copies up."""
        numbers, numbering = {id(copy): 1 << k for k, copy in enumerate(self._copies)}, self._driver.numbering
        variables = numbering.variables
        widths = [-(-v.cells // STRETCHES) for v in variables]
        watchers = [[0] * -(-v.cells // width) for v, width in zip(variables, widths)]
        for k, copy in enumerate(self._copies):
            for cell in _guard_cells(copy):
                n = numbering.number(cell.variable)
                for stretch in _stretches(cell, dict(zip(copy.machine.copies, copy.indices)), widths[n]):
                    watchers[n][stretch] |= 1 << k

        def observe(copy: Copy, instance: Instance, writes: Sequence[Write]) -> None:
            own = numbers.get(id(copy), 0)
            stale = self._stale | own
            for n, place, _ in writes:
                concerned = watchers[n][place // widths[n]]
                stale |= concerned
                heeding = concerned & self._heeding | self._by_name.get(variables[n].name, 0)
                if heeding:
                    self._tell(heeding & ~own, variables[n].name)
            self._stale = stale

        return observe

    def _tell(self, concerned: int, variable: str) -> None:
        while concerned:
            self._heard((concerned & -concerned).bit_length() - 1, variable)
            concerned &= concerned - 1


def _guard_cells(copy: Copy) -> Iterator[Cell]:
    """Every cell that a guard of the copy mentions, and its own control state, which a crash resets."""
    actions = {a.number: a for rows in copy.rows.values() for a in rows}
    for action in actions.values():
        for part in action.guard.walk():
            if isinstance(part, Cell):
                yield part


def _stretches(cell: Cell, own: dict[Any, Value], width: int) -> Iterator[int]:
    """The stretches of its variable that the cell may lie in, for a copy with these indices."""
    variable: Variable = cell.variable
    known = [(i.const,) if isinstance(i, Literal) else (own[i.type],) if isinstance(i, Me) else None for i in cell.indices]
    leading = next((k for k, values in enumerate(known) if values is None), len(known))
    if width == 1:
        domains = [values if values is not None else tuple(dim.values()) for values, dim in zip(known, variable.over)]
        yield from (flat_index(variable.over, where) for where in product(*domains))
        return
    inner = product_size(variable.over[leading:])
    first = flat_index(variable.over[:leading], tuple(v for values in known[:leading] if values is not None for v in values)) * inner
    yield from range(first // width, (first + inner - 1) // width + 1)
