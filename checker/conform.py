"""Conformance: is the log of a run a behaviour of its system, and if not, which event is the first that cannot be?

A log keeps, for every copy, the order of its rows with the values that each read and wrote, and brackets every firing in time.
It is a behaviour when its rows can be put into one order that keeps each copy's and contradicts no bracket (a row that ended before
another began comes first), so that each is enabled when it fires, reads what the log says, and writes what the log says.
Private cells are not logged: they follow from the rows.

The search goes by time and steps back only where overlapping rows were put the wrong way round.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from protocol import DefinitionError, TraceError
from protocol.action import Action, Instance
from protocol.combine import conjuncts
from protocol.errors import OutOfRange
from protocol.evaluate import Load, Writes, effects_of, evaluate, may_fire
from protocol.system import System
from protocol.types import Scalar, Type, Value, all_values, flat_index
from protocol.variable import Medium, Variable

UNSEEN = (Medium.PRIVATE, Medium.GHOST, Medium.LOCK)
"""What a run does not log."""
FIELDS = ("t", "began", "process", "copy", "event", "values", "reads", "writes")
NO_VALUE = object()
Event = dict[str, Any]


@dataclass(frozen=True)
class Conformance:
    """The answer. `events`: rows in the log. `line` (from 1) and `reason`: the first that cannot be; None where all can."""

    system: str
    events: int
    line: int | None = None
    reason: str = ""

    @property
    def conforms(self) -> bool:
        """The log is a behaviour."""
        return self.line is None


def conform(path: str | os.PathLike[str]) -> Conformance:
    """Judge a log by the system that its last line names. Cost: one evaluation of a row per event, and per step back.

    Raises:
        TraceError: the file cannot be read, or is no whole log.
    """
    system, events, fired = read_log(path)
    miscounted = _miscounted(events, fired)
    if miscounted is not None:
        return Conformance(system.name, len(events), *miscounted)
    return judge(system, events)


def read_log(path: str | os.PathLike[str]) -> tuple[System, list[Event], Mapping[str, int]]:
    """The system, the events, and how many rows each copy is said to have fired.

    Raises:
        TraceError: naming the file and the line.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror or error}; give the file that `interlock run --log` wrote") from error
    except UnicodeDecodeError as error:
        raise TraceError(f"{path}: is not text ({error.reason}); give the file that `interlock run --log` wrote") from error
    parsed = [_parsed(path, number, line) for number, line in enumerate(lines, 1)]
    if not parsed or set(parsed[-1]) != {"system", "fired"}:
        raise TraceError(f"{path}: has no last line that names its system; the log was cut off or is of another kind")
    for number, event in enumerate(parsed[:-1], 1):
        if set(event) != set(FIELDS):
            raise TraceError(f"{path}:{number}: an event has the fields {', '.join(FIELDS)}; this line has others")
    return _system(path, parsed[-1]["system"]), parsed[:-1], parsed[-1]["fired"]


def judge(system: System, events: list[Event]) -> Conformance:
    """Whether the events are a behaviour of the system."""
    return _Search(system, events).run()


# -- reading -------------------------------------------------------------------------------------------------------


def _parsed(path: object, number: int, line: str) -> Any:
    try:
        parsed = json.loads(line)
    except ValueError as error:
        raise TraceError(f"{path}:{number}: is not JSON ({error}); give the file that `interlock run --log` wrote") from error
    if not isinstance(parsed, dict):
        raise TraceError(f"{path}:{number}: is not a JSON object")
    return parsed


def _system(path: object, described: Any) -> System:
    """Only builders of ours are called: a log is data."""
    try:
        module, _, function = described["builder"].partition(":")
        if not module.startswith("protocol.machines."):
            raise TraceError(f"{path}: names the builder {described['builder']!r}, which is not below protocol.machines")
        return getattr(import_module(module), function)(**described["config"]).focused()  # type: ignore[no-any-return]
    except (KeyError, TypeError, AttributeError, ImportError, DefinitionError) as error:
        raise TraceError(f"{path}: its system cannot be built ({error}); use the version of the protocol that wrote it") from error


def _miscounted(events: list[Event], fired: Mapping[str, int]) -> tuple[int, str] | None:
    """A copy with more or fewer rows than the last line says, or in two processes."""
    counts = Counter(event["copy"] for event in events)
    homes: dict[str, str] = {}
    for number, event in enumerate(events, 1):
        if homes.setdefault(event["copy"], event["process"]) != event["process"]:
            return number, f"{event['copy']} fires in two processes, {homes[event['copy']]} and {event['process']}"
    for copy in sorted(set(counts) | set(fired)):
        if counts[copy] != fired.get(copy, 0):
            last = max((k for k, e in enumerate(events, 1) if e["copy"] == copy), default=len(events))
            return last, f"{copy} has fired {fired.get(copy, 0)} rows by the last line, and {counts[copy]} are there"
    return None


# -- the search ----------------------------------------------------------------------------------------------------


class _Cells:
    """The one state that the search is in; a row that is taken back leaves it as it was."""

    def __init__(self, system: System):
        self._cells = {id(v): list(v.initial) for v in system.variables}

    def load(self, variable: Variable, where: tuple[Value, ...]) -> Value:
        """The value of a cell."""
        return self._cells[id(variable)][flat_index(variable.over, where)]

    def apply(self, writes: Writes) -> Writes:
        """Store, and return the stores that undo it."""
        before = [(variable, where, self.load(variable, where)) for variable, where, _ in writes]
        self._store(writes)
        return before

    def undo(self, before: Writes) -> None:
        """Take a row back."""
        self._store(before)

    def frozen(self) -> Hashable:
        """The whole state. Cost: one look at every cell."""
        return tuple(map(tuple, self._cells.values()))

    def _store(self, writes: Writes) -> None:
        for variable, where, value in writes:
            self._cells[id(variable)][flat_index(variable.over, where)] = value


@dataclass
class _Node:
    """A place in the search: the rows that may come next and are not tried yet, and the row that led here."""

    untried: list[int]
    placed: int | None = None
    before: Writes = field(default_factory=list)


class _Search:
    """Depth first over orders of the rows; what has failed once, with as many rows of each copy in the same state, is not tried again."""

    def __init__(self, system: System, events: list[Event]):
        self.system, self.events, self.cells = system, events, _Cells(system)
        self.copies = sorted({e["copy"] for e in events})
        self.lines = [[k for k, e in enumerate(events) if e["copy"] == copy] for copy in self.copies]
        self.rows = _Rows(system)
        self.places = [0] * len(self.copies)
        self.farthest, self.blame = -1, Conformance(system.name, len(events))

    def run(self) -> Conformance:
        """Place all events, or tell where the longest order ends."""
        failed: dict[tuple[int, ...], set[Hashable]] = {}
        path = [self._arrive(None, [])]
        while path and self.farthest < len(self.events):
            node = path[-1]
            if node.untried:
                k = node.untried.pop(0)
                before = self._place(k)
                if before is not None:
                    path.append(self._arrive(k, before))
                    states = failed.get(tuple(self.places))
                    if states is not None and self.cells.frozen() in states:
                        path[-1].untried = []
            else:
                failed.setdefault(tuple(self.places), set()).add(self.cells.frozen())
                self._leave(path.pop())
        return Conformance(self.system.name, len(self.events)) if self.farthest == len(self.events) else self.blame

    def _arrive(self, placed: int | None, before: Writes) -> _Node:
        reached = sum(self.places)
        untried = self._next() if reached < len(self.events) else []
        if reached > self.farthest:
            self.farthest = reached
            if untried and not any(self._fits(k) for k in untried):
                self.blame = self._blame(untried)
        return _Node(untried, placed, before)

    def _leave(self, node: _Node) -> None:
        if node.placed is not None:
            self.cells.undo(node.before)
            self.places[node.placed] -= 1

    def _next(self) -> list[int]:
        """The copies whose next row may come next, by the end of their rows."""
        heads = [(self.events[line[place]], k) for k, (line, place) in enumerate(zip(self.lines, self.places)) if place < len(line)]
        first_end = min(event["t"] for event, _ in heads)
        # In virtual time many rows end at one moment: then the order of the log is tried first.
        return [k for event, k in sorted(heads, key=lambda head: (head[0]["t"], self._head(head[1]))) if event["began"] <= first_end]

    def _head(self, k: int) -> int:
        return self.lines[k][self.places[k]]

    def _fits(self, k: int) -> bool:
        event = self.events[self._head(k)]
        return any(_why_not(self.cells.load, instance, event) is None for instance in self.rows.candidates(event))

    def _place(self, k: int) -> Writes | None:
        event = self.events[self._head(k)]
        for instance in self.rows.candidates(event):
            if _why_not(self.cells.load, instance, event) is None:
                self.places[k] += 1
                return self.cells.apply(effects_of(instance, self.cells.load))
        return None

    def _blame(self, heads: list[int]) -> Conformance:
        """The earliest line that could not be placed where the longest order ends: those behind it may only wait for it."""
        number = min(self._head(k) for k in heads)
        event = self.events[number]
        name = f"{event['copy']}.{event['event']}"
        candidates = self.rows.candidates(event)
        if not candidates:
            said = "has other values than the row's choices have" if self.rows.has(event) else "there is no such row"
            return Conformance(self.system.name, len(self.events), number + 1, f"{name}: {said}")
        reasons = [reason for i in candidates if (reason := _why_not(self.cells.load, i, event)) is not None]
        return Conformance(self.system.name, len(self.events), number + 1, f"{name}: {min(reasons, key=_rank)}")


class _Rows:
    """The rows that an event may be, without listing all values of their choices."""

    def __init__(self, system: System):
        self._copies = {m.copy_name(c): (m.name, c) for m in system.machines for c in all_values(m.copies)}
        self._actions: dict[tuple[str, str], list[Action]] = {}
        for action in system.actions:
            self._actions.setdefault((action.machine.name, action.row.event), []).append(action)
        self._values: dict[int, dict[str, Value]] = {}

    def has(self, event: Event) -> bool:
        """Whether the copy has a row of that name."""
        machine, _ = self._copies.get(event["copy"], ("", ()))
        return (machine, event["event"]) in self._actions

    def candidates(self, event: Event) -> list[Instance]:
        """The rows of that copy and name, with the event's values."""
        machine, copy = self._copies.get(event["copy"], ("", ()))
        found = []
        for action in self._actions.get((machine, event["event"]), []):
            texts = event["values"]
            if texts.keys() == {p.name for p in action.row.choose}:
                values = tuple(self._named(p.type).get(texts[p.name], NO_VALUE) for p in action.row.choose)
                if NO_VALUE not in values:
                    found.append(Instance(action, copy, values))
        return found

    def _named(self, of: Type) -> dict[str, Value]:
        assert isinstance(of, Scalar)
        if id(of) not in self._values:
            self._values[id(of)] = {of.show(v): v for v in all_values((of,)) for v in v}
        return self._values[id(of)]


def _rank(reason: str) -> int:
    """Values first, then what was read: the closer a row came to being possible, the more its reason says."""
    return [reason.startswith(word) for word in ("reads", "writes", "cannot fire")].index(True)


def _why_not(known: Load, instance: Instance, event: Event) -> str | None:
    """Why this row is not the event, where the cells hold what `known` loads; None when it is."""
    reads: dict[str, str] = {}
    load = _recording(known, reads)
    try:
        if not may_fire(instance, load):
            return f"cannot fire here, because `{_false_conjunct(instance, known)}` is false"
        writes = effects_of(instance, load)
    except OutOfRange as error:
        return f"cannot fire here: {error}"
    for cell, value in sorted(event["reads"].items()):
        if reads.get(cell) != value:
            return f"reads {cell} = {value}, where it was {reads.get(cell, 'not read')}"
    if set(reads) != set(event["reads"]):
        return f"reads {', '.join(sorted(set(reads) ^ set(event['reads'])))} in the protocol or in the log only"
    written = {_cell(v, where): (v.type.show(value), v.type.show(known(v, where))) for v, where, value in writes if _is_told(v, instance)}
    for cell, value in sorted(event["writes"].items()):
        if cell not in written or written[cell][0] != value:
            return f"writes {cell} = {value}, where the row writes {written.get(cell, ('nothing',))[0]}"
    for cell, (value, before) in sorted(written.items()):
        if cell not in event["writes"] and value != before:  # a store that changes nothing may be left out
            return f"writes {cell} = nothing, where the row writes {value}"
    return None


def _is_told(variable: Variable, instance: Instance) -> bool:
    return variable.medium not in UNSEEN and variable is not instance.action.machine.state


def _recording(load: Callable[..., Value], reads: dict[str, str]) -> Callable[[Variable, tuple[Value, ...]], Value]:
    def recorded(variable: Variable, where: tuple[Value, ...]) -> Value:
        value = load(variable, where)
        if variable.medium not in UNSEEN:
            reads[_cell(variable, where)] = variable.type.show(value)
        return value

    return recorded


def _false_conjunct(instance: Instance, load: Callable[..., Value]) -> object:
    """The first conjunct of the row's guard that does not hold."""
    bind = instance.environment()
    return next((part for part in conjuncts(instance.action.guard) if not evaluate(part, bind, load)), "its guard")


def _cell(variable: Variable, where: tuple[Value, ...]) -> str:
    shown = ",".join(d.show(w) for d, w in zip(variable.over, where))
    return f"{variable.name}[{shown}]" if shown else variable.name
