"""The event log that `interlock run --log` writes, as it is read: a line for each row that fired, and a last one that names the system.

A log is data from outside: whatever is not as a run writes it is a TraceError that names the file and the line.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from protocol import DefinitionError, TraceError
from protocol.system import System

FIELDS = ("t", "began", "process", "copy", "event", "values", "reads", "writes")
REMEDY = "give the file that `interlock run --log` wrote"
Texts = Mapping[str, str]
"""Names of choices or cells, and their values as text."""


class Event(NamedTuple):
    """A row that fired between `began` and `ended` (seconds of the run's clock); `row` is its name, without the machine's."""

    ended: float
    began: float
    process: str
    copy: str
    row: str
    values: Texts
    reads: Texts
    writes: Texts

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Event:
        """The event of a line, by the names that the log gives its fields.

        Raises:
            ValueError: a field is missing, is not known, or is of another kind.
        """
        if fields.keys() != set(FIELDS):
            raise ValueError(f"an event has the fields {', '.join(FIELDS)}; this line has others")
        event = cls(*map(fields.__getitem__, FIELDS))
        if not (_is_time(event.ended) and _is_time(event.began) and event.began <= event.ended):
            raise ValueError(f"`began` and `t` are seconds, in this order; here they are {event.began!r} and {event.ended!r}")
        for name in ("process", "copy", "event"):
            if type(fields[name]) is not str:
                raise ValueError(f"`{name}` is text; here it is {fields[name]!r}")
        for name in ("values", "reads", "writes"):
            if type(fields[name]) is not dict or not all(type(text) is str for text in fields[name].values()):
                raise ValueError(f"`{name}` has a text for each name; here it is {fields[name]!r}")
        return event

    @property
    def name(self) -> str:
        """The copy and its row."""
        return f"{self.copy}.{self.row}"


@dataclass(frozen=True)
class Log:
    """A log: its system, its events in the order of their ends, and how many rows each copy is said to have fired."""

    system: System
    events: Sequence[Event]
    fired: Mapping[str, int]


def read_log(path: str | os.PathLike[str]) -> Log:
    """Read a log.

    Raises:
        TraceError: the file cannot be read, or is no whole log.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror or error}; {REMEDY}") from error
    except UnicodeDecodeError as error:
        raise TraceError(f"{path}: is not text ({error.reason}); {REMEDY}") from error
    if not lines:
        raise TraceError(f"{path}: is empty; {REMEDY}")
    last = _last_line(path, lines)
    events = [_event(path, number, line) for number, line in enumerate(lines[:-1], 1)]
    return Log(_system(path, last["system"]), events, last["fired"])


def _last_line(path: object, lines: Sequence[str]) -> Mapping[str, Any]:
    try:
        last = json.loads(lines[-1])
    except (ValueError, RecursionError):
        last = None
    if not isinstance(last, dict) or last.keys() != {"system", "fired"}:
        _event(path, 1, lines[0])  # no log at all, perhaps
        raise TraceError(f"{path}:{len(lines)}: does not name the system, as a log's last line does: the log was cut off; take the whole file")
    fired = last["fired"]
    if type(fired) is not dict or not all(type(count) is int for count in fired.values()):
        raise TraceError(f"{path}:{len(lines)}: `fired` has a number for each copy; here it is {fired!r}")
    return last


def _parsed(path: object, number: int, line: str) -> dict[str, Any]:
    try:
        parsed = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise TraceError(f"{path}:{number}: is not JSON ({error}); {REMEDY}") from error
    if not isinstance(parsed, dict):
        raise TraceError(f"{path}:{number}: is not a JSON object; {REMEDY}")
    return parsed


def _event(path: object, number: int, line: str) -> Event:
    try:
        return Event.of(_parsed(path, number, line))
    except ValueError as error:
        raise TraceError(f"{path}:{number}: {error}; {REMEDY}") from error


def _is_time(value: object) -> bool:
    return type(value) in (float, int) and math.isfinite(value)  # type: ignore[arg-type]


def _system(path: object, described: Any) -> System:
    """Only builders of ours are called: a log is data."""
    try:
        module, _, function = described["builder"].partition(":")
        if not module.startswith("protocol.machines."):
            raise TraceError(f"{path}: names the builder {described['builder']!r}, which is not below protocol.machines")
        return getattr(import_module(module), function)(**described["config"]).focused()  # type: ignore[no-any-return]
    except (LookupError, TypeError, AttributeError, ImportError, DefinitionError) as error:
        raise TraceError(f"{path}: its system cannot be built ({error}); use the version of the protocol that wrote it") from error
