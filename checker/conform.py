"""Conformance: is the log of a run a behaviour of its system, and if not, which event is the first that cannot be?

A log keeps, for every process, the order of its rows with the values that each read and wrote, and brackets every firing in time.
It is a behaviour when its rows can be put into one order that keeps each process's and contradicts no bracket (a row that ended before
another began comes first), so that each is enabled when it fires, reads what the log says, and writes what the log says.
Private cells are not logged: they follow from the rows.
"""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from protocol.system import System

from .culprit import Counts, Fault, accuse
from .event_log import Event, read_log
from .log_order import Ordering
from .logged_rows import LoggedRows, State


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
    """Judge a log by the system that its last line names. Cost: about 80 us an event, and half as much again for one that does not conform.

    Raises:
        TraceError: the file cannot be read, or is no whole log.
    """
    collects = gc.isenabled()
    gc.disable()  # a log is hundreds of thousands of objects and no cycle: to look for some is a third of the time
    try:
        log = read_log(path)
        return _judged(log.system, log.events, _miscounted(log.events, log.fired))
    finally:
        if collects:
            gc.enable()


def judge(system: System, lines: Sequence[Mapping[str, Any]]) -> Conformance:
    """Whether events, each with the fields of a log's line, are a behaviour of the system."""
    return _judged(system, [Event.of(line) for line in lines], {})


def _judged(system: System, events: Sequence[Event], counts: Counts) -> Conformance:
    state = State(system)
    rows = LoggedRows(system, state)
    fault = _misplaced(events) or _impossible(rows, events)
    if fault is None:
        ordering = Ordering(rows, state, events)
        ends = ordering.run()
        if ends:
            fault = accuse(ordering, ends, counts)
        elif counts:
            fault = _uncounted(events, counts)
    return Conformance(system.name, len(events), *(fault or ()))


def _misplaced(events: Sequence[Event]) -> Fault | None:
    """A line that is not in the order of the ends, or in another process than its copy."""
    ends = [event.ended for event in events]
    falls = [k for k, (one, other) in enumerate(pairwise(ends)) if other < one]
    if falls:
        first, last = falls[0], falls[-1] + 1
        ends[first], ends[last] = ends[last], ends[first]
        exchanged = all(one <= other for one, other in pairwise(ends))
        said = f"it is exchanged with line {last + 1:,}, {events[last].name}" if exchanged else "one of them is misplaced, or its time is forged"
        return first + 1, f"{events[first].name}: ended after line {first + 2:,}, {events[first + 1].name}, which follows it; {said}"
    homes: dict[str, Counter[str]] = {}
    for event in events:
        homes.setdefault(event.copy, Counter())[event.process] += 1
    for number, event in enumerate(events, 1):
        home = homes[event.copy].most_common(1)[0][0]
        if event.process != home:
            return number, f"{event.name}: fires in the process {event.process}, and {event.copy} else in {home}"
    return None


def _impossible(rows: LoggedRows, events: Sequence[Event]) -> Fault | None:
    """A line that no state has."""
    for number, event in enumerate(events, 1):
        why = rows.impossible(event)
        if why is not None:
            return number, f"{event.name}: {why}"
    return None


def _miscounted(events: Sequence[Event], fired: Mapping[str, int]) -> Counts:
    counts = Counter(event.copy for event in events)
    return {copy: (fired.get(copy, 0), counts[copy]) for copy in sorted(counts.keys() | fired) if counts[copy] != fired.get(copy, 0)}


def _uncounted(events: Sequence[Event], counts: Counts) -> Fault:
    """Where rows are missing, or one too many, that make no difference to any other."""
    copy, (said, there) = next(iter(counts.items()))
    told = f"{copy} has fired {said:,} rows by the last line, and {there:,} are there"
    seen: dict[tuple[object, ...], int] = {}
    for number, event in enumerate(events, 1):
        if event.copy == copy and there > said:
            before = seen.setdefault((event.ended, event.began, event.row), number)
            if before != number and events[before - 1] == event:
                return number, f"{event.name}: is line {before:,} again; {told}"
    return len(events) + 1, f"{told}; the others are a behaviour without " + ("what is missing" if there < said else "what is too many")
