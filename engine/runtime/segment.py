"""The segment: one piece of shared memory with every register and world fact of an engine, and what each process tells there beside them.

A cell is 64 bits wide and aligned, so one load or store of it is one access of the machine. Registers are stored by whoever fires
the row, world facts by the supervisor's rows only. Of each process there are the times of its last turn and of its last heartbeat, in
seconds of the clock that all processes share; how many messages the queue server has sent it, so that it need not look for news
where there are none; and its intent, which says what it is about to store: whoever finds it dead can tell whether it has.
"""

from __future__ import annotations

import os
import secrets
import struct
from multiprocessing.shared_memory import SharedMemory

from .directory import Directory

SEGMENT_PREFIX = "interlock-"
CELL_BYTES = 8


def new_name() -> str:
    """A name for a piece of shared memory that no other engine has; it tells who made it."""
    return f"{SEGMENT_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"


INTENT_BYTES = 2048
"""Room for the intent of a process; a longer one cannot be left."""
LENGTH = struct.Struct("Q")


class Segment:
    """The cells of a directory's registers and facts (`cells`); of so many processes the last turns (`beats`), heartbeats (`pulses`), counts of
    messages (`mail`) and intents."""

    def __init__(self, directory: Directory, memory: SharedMemory, processes: int):
        assert memory.buf is not None
        self._memory = memory
        split = directory.memory_cells * CELL_BYTES
        self.cells = memory.buf[:split].cast("q")
        times = processes * CELL_BYTES
        self.beats = memory.buf[split : split + times].cast("d")
        self.pulses = memory.buf[split + times : split + 2 * times].cast("d")
        self.mail = memory.buf[split + 2 * times : split + 3 * times].cast("q")
        self._intents = memory.buf[split + 3 * times : split + 3 * times + processes * INTENT_BYTES]

    @classmethod
    def create(cls, directory: Directory, processes: int, name: str) -> Segment:
        """A new segment with every cell at its initial value. Whoever creates it calls `unlink`."""
        size = (directory.memory_cells + 3 * processes) * CELL_BYTES + processes * INTENT_BYTES
        segment = cls(directory, SharedMemory(name, create=True, size=size), processes)
        for number in range(len(directory.variables)):
            segment.reset(directory, number)
        return segment

    @classmethod
    def attach(cls, directory: Directory, processes: int, name: str) -> Segment:
        """The segment of that name, made by another process."""
        return cls(directory, SharedMemory(name), processes)

    @property
    def name(self) -> str:
        """What another process attaches to."""
        return self._memory.name

    def reset(self, directory: Directory, number: int) -> None:
        """Give the cells of a variable their initial values; nothing for a variable that lies elsewhere."""
        first = directory.memory_place((number, 0))
        if first is not None:
            for place in range(directory.variables[number].cells):
                self.cells[first + place] = directory.initial((number, place))

    def intend(self, number: int, intent: bytes) -> bool:
        """Leave a process's intent instead of its last one; False, with nothing left, when it is too long. Empty for none."""
        start = number * INTENT_BYTES + LENGTH.size
        # Killed in the middle it leaves none: it has not stored anything yet.
        LENGTH.pack_into(self._intents, start - LENGTH.size, 0)
        if len(intent) > INTENT_BYTES - LENGTH.size:
            return False
        self._intents[start : start + len(intent)] = intent
        LENGTH.pack_into(self._intents, start - LENGTH.size, len(intent))
        return True

    def intent(self, number: int) -> bytes:
        """The intent that the process has left last; empty when there is none."""
        start = number * INTENT_BYTES + LENGTH.size
        (length,) = LENGTH.unpack_from(self._intents, start - LENGTH.size)
        return bytes(self._intents[start : start + length])

    def close(self) -> None:
        """Let go of the segment; it lives on for others."""
        self.cells.release()
        self.beats.release()
        self.pulses.release()
        self.mail.release()
        self._intents.release()
        self._memory.close()

    def unlink(self) -> None:
        """Remove the segment; a segment that is gone already is no error."""
        try:
            self._memory.unlink()
        except FileNotFoundError:
            pass
