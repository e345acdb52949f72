"""A step: a fired row, as its handler gets it and as a log tells it.

One rule: nothing about a step is worked out before somebody asks. A log asks for every one, so what it says of a cell with a value is kept
as text once it has been said: a system has few of these, and says them over and over.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from functools import cached_property
from typing import Any

from protocol import DefinitionError
from protocol.action import Action, Instance
from protocol.types import Value, flat_index
from protocol.variable import Medium, Variable

from .cargo import UNASKED
from .numbering import Place, indices_at
from .row import Cells, Write

UNSEEN = (Medium.PRIVATE, Medium.GHOST, Medium.LOCK)
"""What a log does not tell."""
TEXTS_KEPT = 1 << 16
"""Texts of each kind that are kept once they have been written out."""


class Step:
    """A fired row, as a handler and the log get it.

    `source`: the control state that the copy was in. `chosen`: the values of its choices by name. `seen` and `stored`: the cells that it loaded and
    stored, the copy's own among them.
    `values`, `reads` and `writes` are the same as text, shared cells only; `told` is what a log says. `loads` and `stores` are the cells by number.
    """

    def __init__(
        self,
        copy_name: str,
        source: IntEnum,
        instance: Instance,
        telling: Telling,
        seen: dict[Place, Value],
        stored: Sequence[Write],
        cargo: Any,
    ):
        self.copy_name, self.source, self.instance, self.loads, self.stores = copy_name, source, instance, seen, stored
        self._telling, self._cargo = telling, cargo

    @property
    def machine(self) -> str:
        """The machine's name."""
        return self.instance.action.machine.name

    @property
    def copy(self) -> tuple[Value, ...]:
        """The copy's indices."""
        return self.instance.copy

    @property
    def event(self) -> str:
        """The row's name within its machine."""
        return self.instance.action.row.event

    @property
    def name(self) -> str:
        """The row's name: `machine.event`."""
        return self.instance.action.name

    @property
    def cargo(self) -> Any:
        """What lay with the message that it took, or beside what it looked at; None for nothing.

        Raises:
            DefinitionError: the handler has said that it does not look.
        """
        if self._cargo is UNASKED:
            raise DefinitionError(f"{self.name} has looked for no cargo; its handler says finds=False: leave that out")
        return self._cargo

    @property
    def destination(self) -> IntEnum | None:
        """The control state that the row leads to; None of one that stays."""
        return self.instance.action.row.destination

    @cached_property
    def chosen(self) -> Mapping[str, Value]:
        """The values of its choices."""
        return {p.name: v for p, v in zip(self.instance.action.row.choose, self.instance.values)}

    @cached_property
    def seen(self) -> Mapping[tuple[Variable, tuple[Value, ...]], Value]:
        """The cells that it loaded."""
        return {self._telling.indexed(n, place): value for (n, place), value in self.loads.items()}

    @cached_property
    def stored(self) -> Mapping[tuple[Variable, tuple[Value, ...]], Value]:
        """The cells that it stored to."""
        return {self._telling.indexed(n, place): value for n, place, value in self.stores}

    def saw(self, variable: str, *indices: Value) -> Value:
        """What the row found in that cell, by the variable's name.

        Of private variables every cell may be asked for that the row did not store to: nobody but the copy's machine has touched it since.
        """
        for (v, where), value in self.seen.items():
            if v.name == variable and where == indices:
                return value
        if any(v.name == variable and where == indices for v, where in self.stored):
            raise DefinitionError(f"{self.name} has stored to {variable}{list(indices)} without a look at it; ask what it has left there")
        return self._telling.private(variable, indices)

    def left(self, variable: str, *indices: Value) -> Value | None:
        """What the row stored there, or found there and left; None when it did not touch the cell."""
        for cells in (self.stored, self.seen):
            for (v, where), value in cells.items():
                if v.name == variable and where == indices:
                    return value
        return None

    @property
    def values(self) -> dict[str, str]:
        """The values of its choices, as text."""
        return self._telling.values(self.instance.action, self.instance.values)

    @property
    def reads(self) -> dict[str, str]:
        """The shared cells that it loaded, as text."""
        return dict(self._telling.cells(self.loads.items()))

    @property
    def writes(self) -> dict[str, str]:
        """The shared cells that it stored to, as text."""
        return dict(self._telling.cells(self._stores()))

    @property
    def told(self) -> str:
        """What a log says of it; see `Telling.row`."""
        return self._telling.row(self.copy_name, self.instance.action, self.instance.values, self.loads.items(), self._stores())

    def _stores(self) -> Iterator[tuple[Place, Value]]:
        return (((n, place), value) for n, place, value in self.stores)


class Telling:
    """How rows of a system and their cells are told. `cells`: what is in them now, where somebody may ask."""

    def __init__(self, variables: Sequence[Variable], cells: Sequence[Cells] = ()):
        self._variables, self._cells = variables, cells
        self._told = [v.medium not in UNSEEN for v in variables]
        self._names: dict[Place, str] = {}
        self._members: dict[tuple[Place, Value], str] = {}
        self._heads: dict[tuple[str, int, tuple[Value, ...]], str] = {}

    def indexed(self, number: int, place: int) -> tuple[Variable, tuple[Value, ...]]:
        """The variable and the indices of a cell."""
        return self._variables[number], indices_at(self._variables[number], place)

    def private(self, name: str, indices: tuple[Value, ...]) -> Value:
        """What is in a cell of a private variable.

        Raises:
            DefinitionError: others touch it, too.
        """
        number = next(n for n, variable in enumerate(self._variables) if variable.name == name)
        variable = self._variables[number]
        if variable.medium is not Medium.PRIVATE:
            raise DefinitionError(f"the row has not looked at {variable.cell_name(indices)}, where others may have stored since")
        return self._cells[number][flat_index(variable.over, indices)]

    def values(self, action: Action, values: tuple[Value, ...]) -> dict[str, str]:
        """The values of a row's choices, as text."""
        return {p.name: p.type.show(v) for p, v in zip(action.row.choose, values)}

    def cells(self, cells: Iterable[tuple[Place, Value]]) -> Iterator[tuple[str, str]]:
        """The shared ones of these cells, as text."""
        variables, shared = self._variables, self._told
        return ((self._name(cell), variables[cell[0]].type.show(value)) for cell, value in cells if shared[cell[0]])

    def row(
        self,
        copy: str,
        action: Action,
        values: tuple[Value, ...],
        seen: Iterable[tuple[Place, Value]],
        stored: Iterable[tuple[Place, Value]],
    ) -> str:
        """What a log says of a row, members of a JSON object: who fired what with which choices, what it read and what it wrote.

        Cost: 3 us for one that has been told before with these values.
        """
        key = copy, action.number, values
        head = self._heads.get(key)
        if head is None:
            head = _kept(self._heads, key, _head(copy, action.row.event, self.values(action, values)))
        return f"{head}{self._object(seen)}{WRITES}{self._object(stored)}"

    def _object(self, cells: Iterable[tuple[Place, Value]]) -> str:
        shared, known = self._told, self._members
        return "{" + ", ".join([known.get(cell) or self._member(*cell) for cell in cells if shared[cell[0][0]]]) + "}"

    def _member(self, cell: Place, value: Value) -> str:
        name, shown = next(self.cells([(cell, value)]))
        return _kept(self._members, (cell, value), f"{as_json(name)}: {as_json(shown)}")

    def _name(self, cell: Place) -> str:
        name = self._names.get(cell)
        if name is None:
            variable, where = self.indexed(*cell)
            name = _kept(self._names, cell, variable.cell_name(where))
        return name


WRITES = ', "writes": '


def _head(copy: str, event: str, values: Mapping[str, str]) -> str:
    return f'"copy": {as_json(copy)}, "event": {as_json(event)}, "values": {as_json(values)}, "reads": '


def as_json(what: str | Mapping[str, str]) -> str:
    """As JSON, in UTF-8."""
    return json.dumps(what, ensure_ascii=False)


def _kept(texts: dict[Any, str], key: Any, text: str) -> str:
    if len(texts) < TEXTS_KEPT:
        texts[key] = text
    return text
