"""The timeline of a run: the event logs of its engines as a trace that Perfetto (ui.perfetto.dev) and chrome://tracing open.

A process of the run is a process there, and each copy in it a track; a fired row is a slice of its track, with what it chose, read
and wrote; the rows that name a request are connected by a flow, one for each turn of a request number. A row names a request by a
choice, by being a row of the request's own copy, or by storing to cells of that request alone. Rows of one copy follow each other, so
its slices never overlap; a row that took no time (lockstep) gets a microsecond. The format is Google's "Trace Event Format",
JSON object form.
"""

from __future__ import annotations

import heapq
import json
import math
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from protocol import TraceError
from protocol.system import System
from protocol.trace import write_whole
from protocol.types import Index, Type, all_values

from .runtime.placement import Composition

REQUEST, TURN = "request", "turn"
"""What a choice or an index is called that names a request; what names one of its turns, in a choice or in a variable's name."""
SHORTEST_US = 1.0

WAY = ("router", "prefill", "messager", "decode")
"""How the names of processes begin, in the order in which a request comes by: its arrow goes down the page."""

FIELDS = {"t", "began", "process", "copy", "event", "values", "reads", "writes"}
"""What is known of a fired row."""

Event = dict[str, Any]
Track = tuple[str, str]
"""The process, and the copy whose rows these are."""


@dataclass(frozen=True)
class Log:
    """A log as it was read.

    Args:
        path: of its file. lines: of its rows, as they were written.
        engine: whose it is, where several engines have processes of the same names.
        owners: the copies that are there once for every request, with their requests.
        places: of the variables that are there once for every request, which of their indices it is.
    """

    path: str
    lines: list[str]
    owners: Mapping[str, str]
    places: Mapping[str, int]
    engine: str = ""

    def process(self, row: Event) -> str:
        """The process that fired a row, by a name that no other engine's has."""
        return sys.intern(f"{row['process']} ({self.engine})" if self.engine else row["process"])

    def rows(self) -> Iterator[tuple[str, Event]]:
        """Every line with what it says.

        Raises:
            TraceError: naming the line that is no fired row.
        """
        for number, line in enumerate(self.lines, 1):
            row = _parsed(self.path, number, line)
            if not isinstance(row, dict) or not row.keys() >= FIELDS:
                raise TraceError(f"{self.path}:{number}: is no fired row; give an event log")
            yield line, row

    def request_of(self, row: Event) -> str | None:
        """The request that a row names; None where it names none, or several."""
        named = row["values"].get(REQUEST) or self.owners.get(row["copy"])
        if named is not None:
            return str(named)
        stored = {request for cell in row["writes"] if (request := self._of_cell(cell)) is not None}
        return stored.pop() if len(stored) == 1 else None

    def turn_of(self, row: Event, request: str) -> str | None:
        """The turn that a row stores for its request, or finds; None where it does neither."""
        for cells in (row["writes"], row["reads"]):
            for cell, value in cells.items():
                if TURN in cell.partition("[")[0] and self._of_cell(cell) == request:
                    return str(value)
        return None

    def _of_cell(self, cell: str) -> str | None:
        name, _, indices = cell.partition("[")
        return indices.removesuffix("]").split(",")[self.places[name]] if name in self.places else None


@dataclass(frozen=True, slots=True)
class Slice:
    """A fired row on its track, by its line: of millions of rows, what they say would not fit into memory.

    `flow`: the log, request and turn that it belongs to; None for none. Times are of the run's clock.
    """

    track: Track
    start_us: float
    duration_us: float
    line: str
    flow: tuple[int, str, str] | None

    @property
    def middle_us(self) -> float:
        """A moment that is this slice's alone on its track."""
        return self.start_us + self.duration_us / 2


def write_timeline(logs: Mapping[Path, str], path: str | os.PathLike[str]) -> None:
    """Write the timeline of one run. `logs`: of its engines, one after another, each with its name; an empty one for the only one, or the first.

    Raises:
        TraceError: a log cannot be read, or the file cannot be written.
    """
    events = timeline([replace(read_log(log), engine=engine) for log, engine in logs.items()])
    lines = ",\n".join(json.dumps(event, ensure_ascii=False, separators=(",", ":")) for event in events)
    write_whole(path, f'{{"displayTimeUnit":"ms","traceEvents":[\n{lines}\n]}}\n')


def read_log(path: str | os.PathLike[str]) -> Log:
    """A whole event log.

    Raises:
        TraceError: naming the file and the line that is not of an event log.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TraceError(f"{path}: cannot be read ({error}); give an event log") from error
    last = _parsed(path, len(lines), lines.pop()) if lines else None
    described = last.get("system") if isinstance(last, dict) else None
    # A log is data: only builders of ours are called.
    if not isinstance(described, dict) or not str(described.get("builder")).startswith("protocol.machines."):
        raise TraceError(f"{path}: has no last line that names its system; the log was cut off or is of another kind")
    system = Composition(described["builder"], described["config"]).system()
    return Log(str(path), lines, _owners(system), _places(system))


def _parsed(path: object, number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise TraceError(f"{path}:{number}: is not JSON ({error}); give an event log") from error


def _owners(system: System) -> dict[str, str]:
    owners: dict[str, str] = {}
    for machine in system.machines:
        place = _place(machine.copies)
        if place is not None:
            owners |= {machine.copy_name(copy): machine.copies[place].show(copy[place]) for copy in all_values(machine.copies)}
    return owners


def _places(system: System) -> dict[str, int]:
    places = {variable.name: _place(variable.over) for variable in system.variables}
    return {name: place for name, place in places.items() if place is not None}


def _place(over: Sequence[Type]) -> int | None:
    """Which of these indices is the request's."""
    return next((place for place, kind in enumerate(over) if isinstance(kind, Index) and kind.name == REQUEST), None)


def timeline(logs: Sequence[Log]) -> Iterator[Event]:
    """The events of the trace: names first, then everything in order of time, from 0.

    Raises:
        TraceError: a line is no fired row.
    Cost: two readings of every line; about 20 microseconds and 0.7 KB of memory a row, the file's text included.
    """
    slices = sorted(_slices(logs), key=lambda s: s.start_us)
    began = slices[0].start_us if slices else 0.0
    tracks = sorted({s.track for s in slices}, key=lambda t: (_on_the_way(t[0]), _natural(t[0]), _natural(t[1])))
    pids = {process: pid for pid, process in enumerate(dict.fromkeys(process for process, _ in tracks), 1)}
    where = {track: {"pid": pids[track[0]], "tid": tid} for tid, track in enumerate(tracks, 1)}
    for process, pid in pids.items():
        yield from _names({"pid": pid, "tid": 0}, "process", process, pid)
    for (_, copy), place in where.items():
        yield from _names(place, "thread", copy, place["tid"])
    rows = ((s.start_us, s, _slice_event(s)) for s in slices)
    for moment, s, event in heapq.merge(rows, _arrows(slices), key=lambda timed: timed[0]):
        yield event | {"ts": round(moment - began, 3)} | where[s.track]


def _on_the_way(process: str) -> int:
    return next((k for k, name in enumerate(WAY) if process.startswith(name)), len(WAY))


def _names(place: Mapping[str, int], kind: str, name: str, sort_index: int) -> Iterator[Event]:
    yield {"ph": "M", **place, "name": f"{kind}_name", "args": {"name": name}}
    yield {"ph": "M", **place, "name": f"{kind}_sort_index", "args": {"sort_index": sort_index}}


def _slices(logs: Sequence[Log]) -> Iterator[Slice]:
    for number, log in enumerate(logs):
        ends: dict[Track, float] = {}
        turns: dict[str, str] = {}
        for line, row in log.rows():
            track = (log.process(row), sys.intern(row["copy"]))
            start = max(row["began"] * 1e6, ends.get(track, -math.inf))
            duration = max(row["t"] * 1e6 - start, SHORTEST_US)
            ends[track] = start + duration
            request = log.request_of(row)
            flow = None
            if request is not None:
                turns[request] = log.turn_of(row, request) or turns.get(request, "0")
                # A choice may name an earlier turn than the request's own: that of a message that was delayed.
                flow = (number, request, row["values"].get(TURN, turns[request]))
            yield Slice(track, start, duration, line, flow)


def _slice_event(s: Slice) -> Event:
    row = json.loads(s.line)
    args = {name: row[name] for name in ("values", "reads", "writes") if row[name]}
    return {"ph": "X", "name": row["event"], "cat": row["copy"].partition("[")[0], "dur": round(s.duration_us, 3), "args": args}


def _arrows(slices: Sequence[Slice]) -> list[tuple[float, Slice, Event]]:
    """For each turn of a request, from its first row through all others to its last; in order of time."""
    flows: dict[tuple[int, str, str], list[Slice]] = {}
    for s in slices:
        if s.flow is not None:
            flows.setdefault(s.flow, []).append(s)
    arrows = []
    for number, ((_, request, turn), rows) in enumerate(flows.items(), 1):
        rows.sort(key=lambda s: s.middle_us)
        for place, s in enumerate(rows if len(rows) > 1 else []):
            phase = "s" if place == 0 else "f" if place == len(rows) - 1 else "t"
            event: Event = {"ph": phase, "id": number, "cat": REQUEST, "name": f"request {request}, turn {turn}"}
            # The arrow is bound to the slice around its moment, not to the next one.
            arrows.append((s.middle_us, s, event if phase == "s" else event | {"bp": "e"}))
    return sorted(arrows, key=lambda arrow: arrow[0])


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts worker[10] behind worker[2]."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
