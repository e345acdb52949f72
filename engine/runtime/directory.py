"""The directory: where the shared cells of an engine's system live, the same in every process that is built from the same placement.

A cell's *key* is its variable's number and its place among the variable's cells. Registers and world facts lie in shared memory,
one 64-bit cell each, as the number of their value; everything else that is shared lies in the queue server, by its value with
plain integers for the members of enumerations, which travel in a tenth of the bytes. Private cells and ghosts stay in their process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import IntEnum
from typing import Any

from protocol import DefinitionError
from protocol.action import Action
from protocol.expr import Cell, Literal, Me
from protocol.machine import Machine
from protocol.system import System, action_cells
from protocol.types import Array, Enum, Optional, Record, Scalar, Sequence, Type, Value, flat_index, product_size
from protocol.variable import Medium, Variable

Key = tuple[int, int]
"""A shared cell: its variable's number, its place."""
Span = tuple[int, int, int]
"""Cells of one variable: its number, the first place and the place behind the last."""

LOCAL = (Medium.PRIVATE, Medium.GHOST)
IN_MEMORY = (Medium.REGISTER, Medium.WORLD)


class Directory:
    """How the values of a system's variables travel, by their numbers, and where they lie.

    Args:
        at_home: variables, by number, that need not leave the processes that mention them; see `locality.py`.
        stored_by_one: those, cell by cell, to which only one process stores as long as it lives.

    Raises:
        DefinitionError: a fact of the world that is no scalar, hence no cell of shared memory.
    """

    def __init__(self, system: System, at_home: frozenset[int] = frozenset(), stored_by_one: frozenset[int] = frozenset()):
        self.system, self.at_home, self.stored_by_one = system, at_home, stored_by_one
        self.variables = system.variables
        self.is_shared = [v.medium not in LOCAL and number not in at_home for number, v in enumerate(self.variables)]
        self._codecs = [(encoder(v.type), decoder(v.type)) for v in self.variables]
        self._places: dict[int, int] = {}
        self.memory_cells = 0
        for number, variable in enumerate(self.variables):
            if variable.medium in IN_MEMORY and self.is_shared[number]:
                if not isinstance(variable.type, Scalar):
                    raise DefinitionError(f"{variable.name}: a cell of shared memory is one scalar, not {variable.type}; split it")
                self._codecs[number] = (variable.type.ordinal, variable.type.value)
                self._places[number] = self.memory_cells
                self.memory_cells += variable.cells

    def memory_place(self, key: Key) -> int | None:
        """The cell's place in shared memory; None when the queue server has it."""
        first = self._places.get(key[0])
        return None if first is None else first + key[1]

    def is_served(self, number: int) -> bool:
        """Whether the queue server has the variable."""
        return self.is_shared[number] and number not in self._places

    def initial(self, key: Key) -> Any:
        """The cell's first value, as it travels."""
        return self.encode(key[0], self.variables[key[0]].initial[key[1]])

    def encode(self, number: int, value: Value) -> Any:
        """A value of that variable as it travels."""
        change = self._codecs[number][0]
        return value if change is None else change(value)

    def decode(self, number: int, value: Any) -> Value:
        """The value that travelled so."""
        change = self._codecs[number][1]
        return value if change is None else change(value)

    def spans_of(self, machine: Machine, copy: tuple[Value, ...]) -> set[Span]:
        """The shared cells that rows of the copy mention, as closely as their leading indices tell."""
        actions = [action for action in self.system.actions if action.machine is machine]
        found = self._spans_of((cell for action in actions for cell in action_cells(action)), machine, copy)
        return merged(span for span in found if self.is_shared[span[0]])

    def stored_spans(self, machine: Machine, copy: tuple[Value, ...]) -> set[Span]:
        """Those of them that its rows store to."""
        cells = (store.cell for action in self.system.actions if action.machine is machine for store in action.stores)
        return merged(span for span in self._spans_of(cells, machine, copy) if self.is_shared[span[0]])

    def guard_spans(self, action: Action, copy: tuple[Value, ...]) -> set[Span]:
        """The cells on which it depends whether a row of the copy is enabled in a state that it can leave, private ones among them."""
        cells = (part for part in action.guard.walk() if isinstance(part, Cell) and part.variable is not action.machine.state)
        return merged(self._spans_of(cells, action.machine, copy))

    def _spans_of(self, cells: Iterable[Cell], machine: Machine, copy: tuple[Value, ...]) -> Iterator[Span]:
        bind, position = dict(zip(machine.copies, copy)), self.system.position
        for cell in cells:
            yield position[id(cell.variable)], *_range(cell.variable, tuple(_known(cell.indices, bind)))


def merged(spans: Iterable[Span]) -> set[Span]:
    """The same cells in as few spans as possible."""
    whole: list[Span] = []
    for number, first, end in sorted(spans):
        if whole and whole[-1][0] == number and first <= whole[-1][2]:
            whole[-1] = (number, whole[-1][1], max(end, whole[-1][2]))
        else:
            whole.append((number, first, end))
    return set(whole)


def _known(indices: tuple[Any, ...], bind: Mapping[Any, Value]) -> Iterator[Value]:
    """The leading indices that are the copy's own or constant."""
    for index in indices:
        if isinstance(index, Me):
            yield bind[index.type]
        elif isinstance(index, Literal):
            yield index.const
        else:
            return


def _range(variable: Variable, leading: tuple[Value, ...]) -> tuple[int, int]:
    rest = variable.over[len(leading) :]
    width = product_size(rest)
    first = flat_index(variable.over[: len(leading)], leading) * width
    return first, first + width


# -- how values travel ---------------------------------------------------------------------------------------------

Change = Callable[[Any], Any]


def encoder(kind: Type) -> Change | None:
    """What turns the enumerations in a value of that type into integers; None where there are none."""
    return _walker(kind, lambda cls: int)


def decoder(kind: Type) -> Change | None:
    """What turns them back; None where there are none."""
    return _walker(kind, lambda cls: cls)


def _walker(kind: Type, change: Callable[[type[IntEnum]], Change]) -> Change | None:
    if isinstance(kind, Enum):
        return change(kind.cls)
    if isinstance(kind, Optional):
        inner = _walker(kind.inner, change)
        return None if inner is None else lambda value: None if value is None else inner(value)
    if isinstance(kind, Record):
        parts = [_walker(part, change) for _, part in kind.fields]
        if not any(parts):
            return None
        return lambda value: tuple(v if part is None else part(v) for v, part in zip(value, parts))
    if isinstance(kind, (Array, Sequence)):
        element = _walker(kind.element, change)
        return None if element is None else lambda value: tuple(map(element, value))
    return None
