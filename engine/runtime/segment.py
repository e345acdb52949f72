"""The segment: one piece of shared memory with every register and world fact of an engine, and two times for each process.

A cell is 64 bits wide and aligned, so one load or store of it is one access of the machine. Registers are stored by whoever fires
the row, world facts by the supervisor's rows only. The times are those of the process's last turn and of its last heartbeat, in
seconds of the clock that all processes share.
"""

from __future__ import annotations

from multiprocessing.shared_memory import SharedMemory

from .directory import Directory

CELL_BYTES = 8


class Segment:
    """The cells of a directory's registers and facts (`cells`), the last turns of so many processes (`beats`), their heartbeats (`pulses`)."""

    def __init__(self, directory: Directory, memory: SharedMemory, processes: int):
        assert memory.buf is not None
        self._memory = memory
        split = directory.memory_cells * CELL_BYTES
        self.cells = memory.buf[:split].cast("q")
        times = processes * CELL_BYTES
        self.beats = memory.buf[split : split + times].cast("d")
        self.pulses = memory.buf[split + times : split + 2 * times].cast("d")

    @classmethod
    def create(cls, directory: Directory, processes: int, name: str) -> Segment:
        """A new segment with every cell at its initial value. Whoever creates it calls `unlink`."""
        size = max(1, (directory.memory_cells + 2 * processes) * CELL_BYTES)
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

    def close(self) -> None:
        """Let go of the segment; it lives on for others."""
        self.cells.release()
        self.beats.release()
        self.pulses.release()
        self._memory.close()

    def unlink(self) -> None:
        """Remove the segment; a segment that is gone already is no error."""
        try:
            self._memory.unlink()
        except FileNotFoundError:
            pass
