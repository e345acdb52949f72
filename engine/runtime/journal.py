"""The journal of a live process: the rows that it has fired, as data; they are put into words when the log is written.

One rule: nobody hears of a row that its journal does not know. Rows are kept until a message leaves or a register is stored to, and then
written together. To tell them at once would cost twice as much (250 and 130 ms for 10,000 rows): after a forward nothing that it takes is
in a cache.
"""

from __future__ import annotations

import marshal
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

from protocol.action import Instance
from protocol.system import System
from protocol.types import Value

from ..numbering import Place
from ..row import Write
from ..step import UNSEEN, Step, Telling
from .directory import decoder, encoder

Cells = list[tuple[int, int, Any]]
Entry = tuple[str, int, list[Any], Cells, Cells, float, float]
"""A row: its copy, its number, the values of its choices, the shared cells that it loaded and stored to, and its two times."""
LENGTH = struct.Struct("!I")


class Shorthand:
    """How the rows of a system are written down: plain integers for members of enumerations, numbers for names."""

    def __init__(self, system: System):
        self._actions = system.actions
        self._told = [v.medium not in UNSEEN for v in system.variables]
        self._encoders = [encoder(v.type) for v in system.variables]
        self._decoders = [decoder(v.type) for v in system.variables]
        self._telling = Telling(system.variables)

    def entry(self, copy: str, instance: Instance, loads: Mapping[Place, Value], stores: Sequence[Write], began: float, ended: float = 0.0) -> Entry:
        """A row, written down."""
        told, encoders = self._told, self._encoders
        choices = [v if (code := encoder(p.type)) is None else code(v) for p, v in zip(instance.action.row.choose, instance.values)]
        reads = [(n, place, v if (code := encoders[n]) is None else code(v)) for (n, place), v in loads.items() if told[n]]
        writes = [(n, place, v if (code := encoders[n]) is None else code(v)) for n, place, v in stores if told[n]]
        return copy, instance.action.number, choices, reads, writes, began, ended

    def told(self, entry: Entry) -> str:
        """What a log says of it; see `Telling.row`."""
        copy, number, choices, reads, writes, _, _ = entry
        action = self._actions[number]
        values = tuple(v if (code := decoder(p.type)) is None else code(v) for p, v in zip(action.row.choose, choices))
        return self._telling.row(copy, action, values, self._cells(reads), self._cells(writes))

    def _cells(self, cells: Cells) -> Iterator[tuple[Place, Value]]:
        for number, place, value in cells:
            code = self._decoders[number]
            yield (number, place), value if code is None else code(value)


class Journal:
    """The rows of one process, in the order in which it fired."""

    def __init__(self, shorthand: Shorthand, stream: IO[bytes]):
        self._shorthand, self._stream = shorthand, stream
        self._kept: list[tuple[Step, Entry | None, float, float]] = []
        self._noted: tuple[Mapping[Place, Value], Entry] | None = None

    def write(self, step: Step, began: float, ended: float) -> None:
        """Keep a fired row until the next `flush`."""
        noted = self._noted
        self._kept.append((step, noted[1] if noted is not None and noted[0] is step.loads else None, began, ended))

    def flush(self, at_least: int = 1) -> None:
        """Write down what has been kept, if it is so many rows."""
        if len(self._kept) >= at_least:
            entries: list[Entry] = []
            for step, noted, began, ended in self._kept:
                if noted is None:
                    entries.append(self._shorthand.entry(step.copy_name, step.instance, step.loads, step.stores, began, ended))
                else:
                    entries.append((*noted[:-2], began, ended))
            self._kept.clear()
            append(self._stream, entries)

    def note(self, copy: str, fired: int, instance: Instance, loads: Mapping[Place, Value], stores: Sequence[Write], began: float) -> bytes:
        """What is to be written down of a row that is about to commit, if it is lost with the process. `fired`: rows of its copy before it."""
        entry = self._shorthand.entry(copy, instance, loads, stores, began)
        self._noted = loads, entry
        return marshal.dumps((fired, entry))


def append(stream: IO[bytes], entries: list[Entry]) -> None:
    """Write these rows, in one piece."""
    packed = marshal.dumps(entries)
    stream.write(LENGTH.pack(len(packed)) + packed)
    stream.flush()


def entries_of(stream: IO[bytes], start: int = 0) -> Iterator[tuple[Entry, int]]:
    """The rows from that position on, each with the position behind its piece. A killed process may have left half a piece, which is no row."""
    size = os.fstat(stream.fileno()).st_size
    while start + LENGTH.size <= size:
        (length,) = LENGTH.unpack(os.pread(stream.fileno(), LENGTH.size, start))
        start += LENGTH.size + length
        if start > size:
            return
        for entry in marshal.loads(os.pread(stream.fileno(), length, start - length)):
            yield entry, start
