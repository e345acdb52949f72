"""The timeline of a run: its event logs as a trace that Perfetto (ui.perfetto.dev) and chrome://tracing open.

A process of the run is a process there, and each copy in it a track; a fired row is a slice of its track, with what it chose, read
and wrote; the rows that name a request are connected by a flow, one for each turn of a request number. A row names a request by a
choice, by being a row of the request's own copy, or by storing to cells of that request alone. Rows of one copy follow each other, so
its slices never overlap; a row that took no time (lockstep) gets a microsecond. The format is Google's "Trace Event Format",
JSON object form.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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

Event = dict[str, Any]


@dataclass(frozen=True)
class Log:
    """A log as it was read: its system's name and its rows as they were written.

    `owners`: the copies that are there once for every request, with their requests. `places`: of the variables that are there once
    for every request, which of their indices it is.
    """

    name: str
    rows: list[Event]
    owners: Mapping[str, str]
    places: Mapping[str, int]

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


@dataclass(frozen=True)
class Slice:
    """A fired row on its track. `flow`: the log, request and turn that it belongs to; None for none."""

    process: str
    track: tuple[int, str]
    start_us: float
    duration_us: float
    row: Event
    flow: tuple[int, str, str] | None

    @property
    def middle_us(self) -> float:
        """A moment that is this slice's alone on its track."""
        return self.start_us + self.duration_us / 2


def write_timeline(logs: Sequence[str | os.PathLike[str]], path: str | os.PathLike[str]) -> None:
    """Write the timeline of one run. `logs`: one for each system that it drove.

    Raises:
        TraceError: a log cannot be read, or the file cannot be written.
    """
    events = timeline([read_log(log) for log in logs])
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
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            raise TraceError(f"{path}:{number}: is not JSON ({error}); give an event log") from error
    described = rows.pop().get("system") if rows and isinstance(rows[-1], dict) else None
    # A log is data: only builders of ours are called.
    if not isinstance(described, dict) or not str(described.get("builder")).startswith("protocol.machines."):
        raise TraceError(f"{path}: has no last line that names its system; the log was cut off or is of another kind")
    system = Composition(described["builder"], described["config"]).system()
    return Log(system.name, rows, _owners(system), _places(system))


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


def timeline(logs: Sequence[Log]) -> list[Event]:
    """The events of the trace: names first, then everything in order of time."""
    slices = list(_slices(logs))
    pids = {process: pid for pid, process in enumerate(sorted({s.process for s in slices}, key=_natural), 1)}
    tracks = sorted({(s.process, s.track) for s in slices}, key=lambda t: (_natural(t[0]), t[1][0], _natural(t[1][1])))
    tids = {track: tid for tid, track in enumerate(tracks, 1)}
    events: list[Event] = []
    for process, pid in pids.items():
        events.append({"ph": "M", "pid": pid, "tid": 0, "name": "process_name", "args": {"name": process}})
        events.append({"ph": "M", "pid": pid, "tid": 0, "name": "process_sort_index", "args": {"sort_index": pid}})
    for (process, (log, copy)), tid in tids.items():
        name = copy if len(logs) == 1 else f"{copy} ({logs[log].name})"
        events.append({"ph": "M", "pid": pids[process], "tid": tid, "name": "thread_name", "args": {"name": name}})
        events.append({"ph": "M", "pid": pids[process], "tid": tid, "name": "thread_sort_index", "args": {"sort_index": tid}})
    where = {(s.process, s.track): {"pid": pids[s.process], "tid": tids[s.process, s.track]} for s in slices}
    timed = [_slice_event(s) | where[s.process, s.track] for s in slices]
    timed += [event | where[s.process, s.track] for s, event in _flow_events(slices)]
    return events + sorted(timed, key=lambda event: event["ts"])


def _slices(logs: Sequence[Log]) -> Iterator[Slice]:
    began = min((row["began"] for log in logs for row in log.rows), default=0.0)
    for number, log in enumerate(logs):
        ends: dict[tuple[str, str], float] = {}
        turns: dict[str, str] = {}
        for row in log.rows:
            track = (row["process"], row["copy"])
            start = max((row["began"] - began) * 1e6, ends.get(track, 0.0))
            duration = max((row["t"] - began) * 1e6 - start, SHORTEST_US)
            ends[track] = start + duration
            request = log.request_of(row)
            flow = None
            if request is not None:
                turns[request] = log.turn_of(row, request) or turns.get(request, "0")
                # A choice may name an earlier turn than the request's own: that of a message that was delayed.
                flow = (number, request, row["values"].get(TURN, turns[request]))
            yield Slice(row["process"], (number, row["copy"]), start, duration, row, flow)


def _slice_event(s: Slice) -> Event:
    args = {name: s.row[name] for name in ("values", "reads", "writes") if s.row[name]}
    machine = s.row["copy"].partition("[")[0]
    return {"ph": "X", "name": s.row["event"], "cat": machine, "ts": round(s.start_us, 3), "dur": round(s.duration_us, 3), "args": args}


def _flow_events(slices: Sequence[Slice]) -> Iterator[tuple[Slice, Event]]:
    """The arrows: for each turn of a request, from its first row through all others to its last."""
    flows: dict[tuple[int, str, str], list[Slice]] = {}
    for s in slices:
        if s.flow is not None:
            flows.setdefault(s.flow, []).append(s)
    for number, ((_, request, turn), rows) in enumerate(flows.items(), 1):
        rows.sort(key=lambda s: s.middle_us)
        for place, s in enumerate(rows if len(rows) > 1 else []):
            phase = "s" if place == 0 else "f" if place == len(rows) - 1 else "t"
            event: Event = {"ph": phase, "id": number, "cat": REQUEST, "name": f"request {request}, turn {turn}", "ts": round(s.middle_us, 3)}
            # The arrow is bound to the slice around its moment, not to the next one.
            yield s, event if phase == "s" else event | {"bp": "e"}


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts worker[10] behind worker[2]."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
