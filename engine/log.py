"""The event log: one line of JSON for every fired row, and a last line that says of which system, and how many of each copy.

One rule: the file appears whole or not at all. Its parts are kept elsewhere, and merged by time when the run is over. `began` and `t`
(seconds of the run's clock) bracket the firing: where the brackets of two rows overlap, either may have been first.
"""

from __future__ import annotations

import heapq
import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Protocol

from protocol import TraceError

from .step import Step, as_json

Line = tuple[float, str, str]
"""When a row had fired, the name of its copy, and its line."""


class LogPart(Protocol):
    """Where an agent puts the rows that it has fired."""

    def write(self, step: Step, began: float, ended: float) -> None: ...


class TextPart:
    """The lines of one process, in the order in which it fired, as they stand in the log."""

    def __init__(self, stream: IO[str], process: str):
        self._stream, self._process = stream, process

    def write(self, step: Step, began: float, ended: float) -> None:
        """One line for a fired row. Cost: about 5 us, for a row that has been told before with these values."""
        self._stream.write(line(self._process, step.told, began, ended))


def line(process: str, told: str, began: float, ended: float) -> str:
    """The line of a row; `told`: its members, see `Step`."""
    return f'{{"t": {ended:.9f}, "began": {began:.9f}, "process": {as_json(process)}, {told}}}\n'


def lines_of(stream: IO[str]) -> Iterator[Line]:
    """The lines of a text part, from its beginning."""
    stream.seek(0)
    for text in stream:
        row = json.loads(text)
        yield row["t"], row["copy"], text


def last_line(system: Mapping[str, Any], fired: Mapping[str, int]) -> str:
    """The line that ends a log: its system (builder and arguments), and how many rows each copy has fired."""
    return json.dumps({"system": dict(system), "fired": dict(sorted(fired.items()))}, ensure_ascii=False) + "\n"


def merge(parts: Iterable[Iterable[Line]], path: str | os.PathLike[str], system: Mapping[str, Any]) -> None:
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
    """The name of another log beside that one: `events.ndjson` and `engine2` are `events.engine2.ndjson`. A device has no neighbours."""
    target = Path(path)
    return target.with_name(f"{target.stem}.{part}{target.suffix}") if target.is_file() or not target.exists() else target


def whole(parts: Iterable[Iterable[Line]], system: Mapping[str, Any]) -> Iterator[str]:
    """The lines of all parts ordered by time, and the last line."""
    fired: Counter[str] = Counter()
    for _, copy, text in heapq.merge(*parts, key=lambda timed: timed[0]):
        fired[copy] += 1
        yield text
    yield last_line(system, fired)
