"""The logs of a live engine while it runs: a part for each process and system, in files without names.

A process writes a line when its row has committed. One that is killed between the two leaves out a line about a row whose effects
others have seen; the queue server knows that row, so its line is added when the process is buried.

A system that begins anew begins a new *page*: its log is one file a life, each a whole log of its own.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from ..clock import LiveClock
from ..log import LogPart, beside, merge
from ..queue_server import Commit
from .child import LogFile
from .directory import Directory
from .live_store import Note
from .placement import Placement


class Logs:
    """The parts, by process and system.

    Args:
        targets: where the log of each system goes.
    """

    def __init__(self, placement: Placement, directory: Directory, targets: Mapping[str, str | os.PathLike[str]]):
        self._placement, self._directory, self._targets = placement, directory, dict(targets)
        self._parts: dict[tuple[str, str], IO[str]] = {}
        self._begun: dict[tuple[str, str], int] = {}
        self._pages: dict[str, list[list[IO[str]]]] = {system: [] for system in self._targets}
        self._own: dict[str, LogPart] = {}

    def begin(self, process: str) -> dict[str, LogFile]:
        """A process begins, or begins anew: its part of each system that is logged and has copies there; the supervisor fires rows of them all."""
        station = next((s for s in self._placement.stations if s.name == process), None)
        mine = [name for name in self._targets if station is None or any(part.system == name for part in station.parts)]
        for system in mine:
            part = self._parts.setdefault((process, system), _unnamed())
            part.seek(0, os.SEEK_END)
            self._begun[process, system] = part.tell()
        return {system: LogFile(self._parts[process, system]) for system in mine}

    def of_process(self, process: str) -> dict[str, LogPart]:
        """The supervisor's own parts."""
        self._own = {system: LogPart(file.stream, process) for system, file in self.begin(process).items()}
        return self._own

    def turn_page(self, system: str) -> None:
        """The system begins anew; all its processes are dead."""
        if system in self._targets:
            self._pages[system].append([self._parts.pop(key) for key in list(self._parts) if key[1] == system])
            for name, own in self._own.items():
                if name == system:
                    own.go_on(self._parts.setdefault((own.process, system), _unnamed()))

    def complete(self, process: str, last: Commit | None) -> None:
        """A process was killed: drop the line that it had half written, and add that of the last row that it committed, if there is none."""
        mine = [key for key in self._parts if key[0] == process]
        written = {key[1]: self._whole_lines(self._parts[key], self._begun[key]) for key in mine}
        if last is None or last.note is None:
            return
        note = Note.unpacked(last.note)
        if note.system in written and sum(json.loads(line)["copy"] == note.copy_name for line in written[note.system]) == note.fired:
            told = self._directory.told(last.reads | note.home[0]), self._directory.told(last.writes | note.home[1])
            part = self._parts[process, note.system]
            LogPart(part, process).tell(note.copy_name, note.event, note.values, *told, note.began, LiveClock().now())
            part.flush()

    def _whole_lines(self, part: IO[str], begun: int) -> list[str]:
        """The lines from there on; a last one without an end (a killed process ends a write at any page) is cut off."""
        part.seek(begun)
        lines = part.readlines()
        part.seek(0, os.SEEK_END)
        if lines and not lines[-1].endswith("\n"):
            cut = lines.pop()
            part.truncate(part.seek(part.tell() - len(cut.encode())))
        return lines

    def merge(self) -> list[Path]:
        """Write every log whole, a file for each life of its system: which."""
        written = []
        for system, target in self._targets.items():
            last = [part for (_, name), part in self._parts.items() if name == system]
            for life, parts in enumerate([*self._pages[system], last], 1):
                written.append(life_of(target, life))
                merge(parts, written[-1], self._placement.systems[system].described())
        return written

    def close(self) -> None:
        """Drop the parts."""
        for part in [*self._parts.values(), *(part for pages in self._pages.values() for page in pages for part in page)]:
            part.close()
        self._parts, self._pages = {}, {system: [] for system in self._targets}


def life_of(target: str | os.PathLike[str], life: int) -> Path:
    """Where the log of that life (from 1) goes: the first one's to the target itself."""
    return Path(target) if life == 1 else beside(target, f"life{life}")


def _unnamed() -> IO[str]:
    return tempfile.TemporaryFile("w+", encoding="utf-8")
