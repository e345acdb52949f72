"""The event log: one line of JSON for every fired row, and a last line that says of which system, and how many of each copy.

One rule: the file appears whole or not at all. Each process writes its own part into an unnamed temporary file, which the
kernel removes with its last user; the parts are merged by time when the run is over. `began` and `t` (seconds of the run's
clock) bracket the firing: where the brackets of two rows overlap, either may have been first.
"""

from __future__ import annotations

import heapq
import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from protocol import TraceError

from .step import Step, as_json, told

Line = tuple[float, str]
Cells = Mapping[str, str]
"""Names and values, as text."""


class LogPart:
    """The lines of one process, in the order in which it fired."""

    def __init__(self, stream: IO[str], process: str):
        self._stream, self.process = stream, process
        self._process = as_json(process)

    def write(self, step: Step, began: float, ended: float) -> None:
        """One line for a fired row. Cost: about 5 us, for a row that has been told before with these values."""
        self._line(step.told, began, ended)

    def tell(self, copy: str, event: str, values: Cells, reads: Cells, writes: Cells, began: float, ended: float) -> None:
        """One line for a row that is known by what it did, as text."""
        self._line(told(copy, event, values, reads, writes), began, ended)

    def _line(self, row: str, began: float, ended: float) -> None:
        self._stream.write(f'{{"t": {ended:.9f}, "began": {began:.9f}, "process": {self._process}, {row}}}\n')

    def go_on(self, stream: IO[str]) -> None:
        """Write there from now on."""
        self._stream = stream

    def flush(self) -> None:
        """Hand everything to the file."""
        self._stream.flush()


def last_line(system: Mapping[str, Any], fired: Mapping[str, int]) -> str:
    """The line that ends a log: its system (builder and arguments), and how many rows each copy has fired."""
    return json.dumps({"system": dict(system), "fired": dict(sorted(fired.items()))}, ensure_ascii=False) + "\n"


def merge(parts: Iterable[IO[str]], path: str | os.PathLike[str], system: Mapping[str, Any]) -> None:
    """Write all parts as one log, ordered by time, with its last line.

    Raises:
        TraceError: it cannot be written; nothing is left behind.
    """
    lines = whole(parts, system)
    target, temporary = Path(path), None
    try:
        if target.exists() and not target.is_file():
            # A device or a pipe cannot be replaced, only written to.
            with open(target, "w", encoding="utf-8") as stream:
                stream.writelines(lines)
            return
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.writelines(lines)
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
        temporary = None
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror or error}; choose a file that can be written") from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def beside(path: str | os.PathLike[str], part: str) -> Path:
    """The name of another log beside that one: `events.ndjson` and `decode0` are `events.decode0.ndjson`. A device has no neighbours."""
    target = Path(path)
    return target.with_name(f"{target.stem}.{part}{target.suffix}") if target.is_file() or not target.exists() else target


def whole(parts: Iterable[IO[str]], system: Mapping[str, Any]) -> Iterator[str]:
    """The lines of all parts ordered by time, and the last line."""
    fired: Counter[str] = Counter()
    for _, line in heapq.merge(*(_lines(part) for part in parts), key=lambda timed: timed[0]):
        fired[json.loads(line)["copy"]] += 1
        yield line
    yield last_line(system, fired)


def _lines(part: IO[str]) -> Iterator[Line]:
    part.seek(0)
    return ((json.loads(line)["t"], line) for line in part)
