"""The logs of a live engine while it runs: a part for each process and system, in files without names.

A process writes down a row when it has committed. One that is killed between the two leaves out a row whose effects others have seen; the
queue server knows that row, or the intent that the process has left, so it is added when the process is buried.

A system that begins anew begins a new *page*: its log is one file a life, each a whole log of its own.
"""

from __future__ import annotations

import marshal
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from ..clock import LiveClock
from ..log import Line, beside, line, merge
from .child import LogFile
from .directory import Directory
from .journal import Journal, Shorthand, append, entries_of
from .placement import Placement
from .queue_server import Commit


class Logs:
    """The parts, by process and system.

    Args:
        targets: where the log of each system goes.
    """

    def __init__(self, placement: Placement, directory: Directory, targets: Mapping[str, str | os.PathLike[str]]):
        self._placement, self._targets = placement, dict(targets)
        self._shorthand = {name: Shorthand(directory.systems[name]) for name in self._targets}
        self._parts: dict[tuple[str, str], IO[bytes]] = {}
        self._begun: dict[tuple[str, str], int] = {}
        self._pages: dict[str, list[dict[str, IO[bytes]]]] = {system: [] for system in self._targets}
        self._own: dict[str, tuple[str, Journal]] = {}

    def begin(self, process: str) -> dict[str, LogFile]:
        """A process begins, or begins anew: its part of each system that is logged and has copies there; the supervisor fires rows of them all."""
        station = next((s for s in self._placement.stations if s.name == process), None)
        mine = [name for name in self._targets if station is None or any(part.system == name for part in station.parts)]
        for system in mine:
            part = self._parts.setdefault((process, system), _unnamed())
            part.seek(0, os.SEEK_END)
            self._begun[process, system] = part.tell()
        return {system: LogFile(self._parts[process, system]) for system in mine}

    def of_process(self, process: str) -> dict[str, Journal]:
        """The supervisor's own parts."""
        self._own = {system: (process, Journal(system, self._shorthand[system], file.stream)) for system, file in self.begin(process).items()}
        return {system: journal for system, (_, journal) in self._own.items()}

    def turn_page(self, system: str) -> None:
        """The system begins anew; all its processes are dead."""
        if system in self._targets:
            self._pages[system].append({process: self._parts.pop((process, system)) for process, name in list(self._parts) if name == system})
            if system in self._own:
                process, journal = self._own[system]
                journal.go_on(self._parts.setdefault((process, system), _unnamed()))

    def complete(self, process: str, last: Sequence[Commit]) -> None:
        """A process was killed: drop what it had half written, and add the last row that it committed, if that is not there.

        Args:
            last: the last row that it committed in each way; only one of them can be missing.
        """
        copies = {name: self._whole_entries(self._parts[at, name], self._begun[at, name]) for at, name in self._parts if at == process}
        for commit in last:
            if commit.note is not None:
                name, fired, entry = marshal.loads(commit.note)
                if name in copies and copies[name].count(entry[0]) == fired:
                    append(self._parts[process, name], [(*entry[:-1], LiveClock().now())])

    def _whole_entries(self, part: IO[bytes], begun: int) -> list[str]:
        """The copies of the rows from there on; a last piece that is not whole (a killed process ends a write at any page) is cut off."""
        entries = list(entries_of(part, begun))
        part.truncate(part.seek(entries[-1][1] if entries else begun))
        return [entry[0] for entry, _ in entries]

    def merge(self) -> list[Path]:
        """Write every log whole, a file for each life of its system: which."""
        written = []
        for system, target in self._targets.items():
            last = {process: part for (process, name), part in self._parts.items() if name == system}
            for life, parts in enumerate([*self._pages[system], last], 1):
                written.append(life_of(target, life))
                lines = [self._lines(system, process, part) for process, part in parts.items()]
                merge(lines, written[-1], self._placement.systems[system].described())
        return written

    def _lines(self, system: str, process: str, part: IO[bytes]) -> Iterator[Line]:
        """A part in words."""
        tell = self._shorthand[system].told
        for entry, _ in entries_of(part):
            copy, *_, began, ended = entry
            yield ended, copy, line(process, tell(entry), began, ended)

    def close(self) -> None:
        """Drop the parts."""
        for part in [*self._parts.values(), *(part for pages in self._pages.values() for page in pages for part in page.values())]:
            part.close()
        self._parts, self._pages = {}, {system: [] for system in self._targets}


def life_of(target: str | os.PathLike[str], life: int) -> Path:
    """Where the log of that life (from 1) goes: the first one's to the target itself."""
    return Path(target) if life == 1 else beside(target, f"life{life}")


def _unnamed() -> IO[bytes]:
    return tempfile.TemporaryFile("w+b")
