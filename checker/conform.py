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
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from protocol import DefinitionError, TraceError
from protocol.combine import conjuncts
from protocol.errors import OutOfRange
from protocol.evaluate import effects_of, evaluate, loader, may_fire, successor
from protocol.lower import Instance
from protocol.system import State, System
from protocol.types import Value
from protocol.variable import Medium, Variable

UNSEEN = (Medium.PRIVATE, Medium.GHOST, Medium.LOCK)
"""What a run does not log."""
FIELDS = ("t", "began", "process", "copy", "event", "values", "reads", "writes")
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
    except (OSError, UnicodeDecodeError) as error:
        raise TraceError(f"{path}: cannot be read ({error}); give the file that `interlock run --log` wrote") from error
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


class _Search:
    """Depth first over (how many rows of each copy are placed, state)."""

    def __init__(self, system: System, events: list[Event]):
        self.system, self.events = system, events
        self.copies = sorted({e["copy"] for e in events})
        self.lines = [[k for k, e in enumerate(events) if e["copy"] == copy] for copy in self.copies]
        self.instances: dict[tuple[str, str], list[Instance]] = {}
        for instance in system.instances():
            copy = instance.action.machine.copy_name(instance.copy)
            self.instances.setdefault((copy, instance.action.row.event), []).append(instance)
        self.farthest, self.stuck = -1, (system.initial_state(), (0,) * len(self.copies))

    def run(self) -> Conformance:
        """Place all events, or tell where the longest order ends."""
        total = len(self.events)
        seen: set[tuple[tuple[int, ...], State]] = set()
        stack = [((0,) * len(self.lines), self.system.initial_state())]
        while stack:
            places, state = stack.pop()
            if (places, state) in seen:
                continue
            seen.add((places, state))
            if sum(places) > self.farthest:
                self.farthest, self.stuck = sum(places), (state, places)
            if self.farthest == total:
                return Conformance(self.system.name, total)
            stack += reversed([follower for k in self._next(places) if (follower := self._placed(places, state, k)) is not None])
        return self._blame()

    def _next(self, places: tuple[int, ...]) -> list[int]:
        """The copies whose next row may come next, by the end of their rows."""
        heads = [(self.events[line[place]], k) for k, (line, place) in enumerate(zip(self.lines, places)) if place < len(line)]
        first_end = min(event["t"] for event, _ in heads)
        return [k for event, k in sorted(heads, key=lambda head: head[0]["t"]) if event["began"] <= first_end]

    def _placed(self, places: tuple[int, ...], state: State, k: int) -> tuple[tuple[int, ...], State] | None:
        event = self.events[self.lines[k][places[k]]]
        for instance in self.instances.get((event["copy"], event["event"]), []):
            if _why_not(self.system, state, instance, event) is None:
                return (*places[:k], places[k] + 1, *places[k + 1 :]), successor(self.system, state, instance)
        return None

    def _blame(self) -> Conformance:
        """The earliest line that could not be placed where the longest order ends: those behind it may only wait for it."""
        state, places = self.stuck
        k = min(self._next(places), key=lambda k: self.lines[k][places[k]])
        number = self.lines[k][places[k]]
        event = self.events[number]
        name = f"{event['copy']}.{event['event']}"
        candidates = self.instances.get((event["copy"], event["event"]), [])
        if not candidates:
            return Conformance(self.system.name, len(self.events), number + 1, f"{name}: there is no such row")
        reasons = [reason for i in candidates if (reason := _why_not(self.system, state, i, event)) is not None]
        return Conformance(self.system.name, len(self.events), number + 1, f"{name}: {min(reasons, key=_rank)}")


def _rank(reason: str) -> int:
    """Values first, then what was read: the closer a row came to being possible, the more its reason says."""
    return [reason.startswith(word) for word in ("reads", "writes", "cannot fire", "has other values")].index(True)


def _why_not(system: System, state: State, instance: Instance, event: Event) -> str | None:
    """Why this row is not the event; None when it is."""
    values = {p.name: p.type.show(v) for p, v in zip(instance.action.row.choose, instance.values)}
    if values != event["values"]:
        return f"has other values than {event['values']}"
    reads: dict[str, str] = {}
    load = _recording(loader(system, state), reads)
    try:
        if not may_fire(instance, load):
            return f"cannot fire here, because `{_false_conjunct(instance, loader(system, state))}` is false"
        writes = effects_of(instance, load)
    except OutOfRange as error:
        return f"cannot fire here: {error}"
    for cell, value in sorted(event["reads"].items()):
        if reads.get(cell) != value:
            return f"reads {cell} = {value}, where it was {reads.get(cell, 'not read')}"
    if set(reads) != set(event["reads"]):
        return f"reads {', '.join(sorted(set(reads) ^ set(event['reads'])))} in the protocol or in the log only"
    written = {_cell(v, where): v.type.show(value) for v, where, value in writes if v.medium not in UNSEEN and v is not instance.action.machine.state}
    if written != event["writes"]:
        differing = sorted(c for c in written.keys() | event["writes"].keys() if written.get(c) != event["writes"].get(c))
        return f"writes {differing[0]} = {event['writes'].get(differing[0], 'nothing')}, where the row writes {written.get(differing[0], 'nothing')}"
    return None


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
