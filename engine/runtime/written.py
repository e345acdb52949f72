"""The log of a live engine while it runs: a part for each process, in files without names.

A process writes down a row when it has committed. One that is killed between the two leaves out a row whose effects others have seen; the
queue server knows that row, or the intent that the process has left, so it is added when the process is buried.
"""

from __future__ import annotations

import marshal
import os
import tempfile
from collections.abc import Iterator, Sequence
from typing import IO

from protocol.system import System

from ..clock import LiveClock
from ..log import Line, line, merge
from .child import LogFile
from .journal import Journal, Shorthand, append, entries_of
from .placement import Composition
from .queue_server import Commit


class WrittenLog:
    """The parts, by process. `target`: where the log goes; None for nowhere, and nothing is kept."""

    def __init__(self, composition: Composition, system: System, target: str | os.PathLike[str] | None):
        self._composition, self.target, self._shorthand = composition, target, Shorthand(system)
        self._parts: dict[str, IO[bytes]] = {}
        self._begun: dict[str, int] = {}

    def begin(self, process: str) -> LogFile | None:
        """A process begins, or begins anew: its part, if there is a log."""
        if self.target is None:
            return None
        if process not in self._parts:
            self._parts[process] = tempfile.TemporaryFile("w+b")
        part = self._parts[process]
        part.seek(0, os.SEEK_END)
        self._begun[process] = part.tell()
        return LogFile(part)

    def journal(self, process: str) -> Journal | None:
        """The journal of the supervisor, who writes here, too."""
        file = self.begin(process)
        return None if file is None else Journal(self._shorthand, file.stream)

    def complete(self, process: str, last: Sequence[Commit]) -> None:
        """A process was killed: drop what it had half written, and add the last row that it committed, if that is not there.

        Args:
            last: the last row that it committed in each way; only one of them can be missing.
        """
        part = self._parts.get(process)
        copies = [] if part is None else self._whole_entries(part, self._begun[process])
        for commit in last:
            if part is not None and commit.note is not None:
                fired, entry = marshal.loads(commit.note)
                if copies.count(entry[0]) == fired:
                    append(part, [(*entry[:-1], LiveClock().now())])

    def _whole_entries(self, part: IO[bytes], begun: int) -> list[str]:
        """The copies of the rows from there on; a last piece that is not whole (a killed process ends a write at any page) is cut off."""
        entries = list(entries_of(part, begun))
        part.truncate(part.seek(entries[-1][1] if entries else begun))
        return [entry[0] for entry, _ in entries]

    def merge(self) -> None:
        """Write the log whole."""
        if self.target is not None:
            merge([self._lines(process, part) for process, part in self._parts.items()], self.target, self._composition.described())

    def _lines(self, process: str, part: IO[bytes]) -> Iterator[Line]:
        """A part in words."""
        for entry, _ in entries_of(part):
            copy, *_, began, ended = entry
            yield ended, copy, line(process, self._shorthand.told(entry), began, ended)

    def close(self) -> None:
        """Drop the parts."""
        for part in self._parts.values():
            part.close()
        self._parts = {}
