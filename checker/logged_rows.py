"""Rows as a log tells them: which row a line may be, and what that row does in a state, as values and as text.

One rule: what a row does follows from what it loads. A row is interpreted once for each combination of values that it loads, and what
came of it is kept: a run says the same few things over and over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from os.path import commonprefix
from typing import Any

from protocol.action import Action, Instance
from protocol.combine import conjuncts
from protocol.errors import OutOfRange
from protocol.evaluate import Load, effects_of, evaluate, may_fire
from protocol.system import System, action_cells
from protocol.types import Scalar, Type, Value, all_values, flat_index
from protocol.variable import Medium, Variable

from .event_log import Event, Texts

UNSEEN = (Medium.PRIVATE, Medium.GHOST, Medium.LOCK)
"""What a run does not log."""
SHOWN = 60
"""Characters of a value that are shown, from a little before the first in which it differs."""
COURSES = 8
"""Of a row that loads now these cells and now those, so many sets of cells are kept."""
NO_VALUE = object()


class State:
    """The cells of a system, one behind another in `cells`."""

    def __init__(self, system: System):
        self._first: dict[int, int] = {}
        self._found: dict[tuple[int, tuple[Value, ...]], tuple[int, str]] = {}
        self.cells: list[Value] = []
        for variable in system.variables:
            self._first[id(variable)] = len(self.cells)
            self.cells += variable.initial

    def find(self, variable: Variable, where: tuple[Value, ...]) -> tuple[int, str]:
        """Where the cell is, and how a log names it."""
        key = id(variable), where
        if key not in self._found:
            self._found[key] = self._first[id(variable)] + flat_index(variable.over, where), variable.cell_name(where)
        return self._found[key]

    def load(self, variable: Variable, where: tuple[Value, ...]) -> Value:
        """The value of a cell."""
        return self.cells[self.find(variable, where)[0]]


@dataclass(frozen=True)
class Firing:
    """What a row does that loads certain values.

    Args:
        writes: places and their new values; None: it cannot fire. reads: the shared cells that it loads, as text. told: those that it
            stores to, as text, each with its place and type.
    """

    writes: Sequence[tuple[int, Value]] | None
    reads: Texts
    told: dict[str, tuple[str, int, Type]]

    @cached_property
    def texts(self) -> Texts:
        """What a log says that it writes."""
        return {cell: text for cell, (text, _, _) in self.told.items()}


class LoggedRow:
    """An instance in a state that changes."""

    def __init__(self, instance: Instance, state: State):
        self.instance, self._state = instance, state
        self._known: dict[tuple[int, ...], dict[tuple[Value, ...], Firing]] = {}

    def firing(self) -> Firing:
        """What it does now. Cost: a look at the cells that it loads, where it has loaded these values before."""
        cells = self._state.cells
        for places, known in self._known.items():
            found = known.get(tuple([cells[place] for place in places]))
            if found is not None:
                return found
        loaded: dict[int, Value] = {}
        reads: dict[str, str] = {}
        found = self._interpreted(self._recording(loaded, reads), reads)
        if len(self._known) > COURSES:
            del self._known[next(iter(self._known))]
        self._known.setdefault(tuple(loaded), {})[tuple(loaded.values())] = found
        return found

    def why_not(self, event: Event) -> str | None:
        """Why it is not this event, in the state as it is now; None when it is."""
        firing = self.firing()
        if firing.writes is None:
            return self._why_closed()
        for cell, value in sorted(event.reads.items()):
            if firing.reads.get(cell) != value:
                said, found = _apart(value, firing.reads.get(cell, "not read"))
                return f"reads {cell} = {said}, where it was {found}"
        if firing.reads != event.reads:
            return f"reads {', '.join(sorted(firing.reads.keys() - event.reads.keys()))}, too, which the log leaves out"
        for cell, value in sorted(event.writes.items()):
            if firing.texts.get(cell) != value:
                said, found = _apart(value, firing.texts.get(cell, "nothing"))
                return f"writes {cell} = {said}, where the row writes {found}"
        for cell, (value, place, kind) in sorted(firing.told.items()):
            if cell not in event.writes and value != kind.show(self._state.cells[place]):  # a store that changes nothing may be left out
                return f"writes {cell} = nothing, where the row writes {_apart(value, '')[0]}"
        return None

    def fits(self, event: Event) -> Firing | None:
        """What it does now, where that is this event."""
        firing = self.firing()
        if firing.writes is None or firing.reads != event.reads:
            return None
        return firing if firing.texts == event.writes or self.why_not(event) is None else None

    def _interpreted(self, load: Load, reads: Texts) -> Firing:
        try:
            if not may_fire(self.instance, load):
                return Firing(None, reads, {})
            written = effects_of(self.instance, load)
        except OutOfRange:
            return Firing(None, reads, {})
        writes, told = [], {}
        for variable, where, value in written:
            place, name = self._state.find(variable, where)
            writes.append((place, value))
            if variable.medium not in UNSEEN and variable is not self.instance.action.machine.state:
                told[name] = variable.type.show(value), place, variable.type
        return Firing(writes, reads, told)

    def _recording(self, loaded: dict[int, Value], reads: dict[str, str]) -> Callable[[Variable, tuple[Value, ...]], Value]:
        def load(variable: Variable, where: tuple[Value, ...]) -> Value:
            place, name = self._state.find(variable, where)
            if place in loaded:
                return loaded[place]
            value = loaded[place] = self._state.cells[place]
            if variable.medium not in UNSEEN:
                reads[name] = variable.type.show(value)
            return value

        return load

    def _why_closed(self) -> str:
        load, bind = self._state.load, self.instance.environment()
        try:
            for part in conjuncts(self.instance.action.guard):
                if not evaluate(part, bind, load):
                    return f"cannot fire here, because `{part}` is false"
            effects_of(self.instance, load)
        except OutOfRange as error:
            return f"cannot fire here: {error}"
        raise AssertionError(f"{self.instance} can fire")


class LoggedRows:
    """The rows of a system, by what a log says of them."""

    def __init__(self, system: System, state: State):
        self.copies = {m.copy_name(c): (m, c) for m in system.machines for c in all_values(m.copies)}
        self._state = state
        self.actions: dict[str, dict[str, list[Action]]] = {}
        for action in system.actions:
            self.actions.setdefault(action.machine.name, {}).setdefault(action.row.event, []).append(action)
        self._values: dict[int, dict[str, Value]] = {}
        self._rows: dict[tuple[Any, ...], list[LoggedRow]] = {}
        self._touched = _untold(system)

    def of(self, event: Event) -> list[LoggedRow]:
        """The rows of that copy and name, with the event's values; without listing all values of their choices."""
        key = (event.copy, event.row, *event.values.items())
        if key not in self._rows:
            self._rows[key] = [LoggedRow(instance, self._state) for instance in self._instances(event)]
        return self._rows[key]

    def untold(self, event: Event) -> frozenset[str]:
        """What the event's row touches that no log tells and others touch, too; `everything` of a row that resets what is private to others."""
        machine, _ = self.copies[event.copy]
        return self._touched[machine.name, event.row]

    def impossible(self, event: Event) -> str | None:
        """Why no state has this event, where its names alone tell."""
        if event.copy not in self.copies:
            return "there is no such copy"
        if event.row not in self.actions.get(self.copies[event.copy][0].name, {}):
            return "there is no such row"
        return None if self.of(event) else "has other values than the row's choices have"

    def _instances(self, event: Event) -> list[Instance]:
        machine, copy = self.copies[event.copy]
        found = []
        for action in self.actions[machine.name][event.row]:
            choices = action.row.choose
            if event.values.keys() == {p.name for p in choices}:
                values = tuple(self._named(p.type).get(event.values[p.name], NO_VALUE) for p in choices)
                if NO_VALUE not in values:
                    found.append(Instance(action, copy, values))
        return found

    def _named(self, of: Type) -> dict[str, Value]:
        assert isinstance(of, Scalar)
        if id(of) not in self._values:
            self._values[id(of)] = {of.show(v): v for (v,) in all_values((of,))}
        return self._values[id(of)]


EVERYTHING = frozenset({"everything"})


def _untold(system: System) -> dict[tuple[str, str], frozenset[str]]:
    """For the rows of each machine and name: the variables that several copies touch and no log tells.

    These are locks, ghosts, and control states that others may look at. What is private is its copy's own, but for a crash, which resets it.
    """
    states = {id(m.state): m for m in system.machines}
    touched: dict[tuple[str, str], frozenset[str]] = {}
    for action in system.actions:
        mine = {id(cell.variable): cell.variable for cell in action_cells(action)}.values()
        names = {v.name for v in mine if v.medium in (Medium.LOCK, Medium.GHOST) or (id(v) in states and v.medium is not Medium.PRIVATE)}
        if any(v.medium is Medium.PRIVATE and states.get(id(v), action.machine) is not action.machine for v in mine):
            names |= EVERYTHING
        key = action.machine.name, action.row.event
        touched[key] = touched.get(key, frozenset()) | names
    return touched


def _apart(one: str, other: str) -> tuple[str, str]:
    """Two values, long ones cut to where they differ."""
    start = max(len(commonprefix((one, other))) - SHOWN // 3, 0)
    return _cut(one, start), _cut(other, start)


def _cut(text: str, start: int) -> str:
    if len(text) <= SHOWN:
        return text
    end = start + SHOWN
    return ("..." if start else "") + text[start:end] + ("..." if end < len(text) else "")
