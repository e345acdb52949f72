"""The explored states of one system and their memory: arrays that only grow, and the questions asked of them.

The arrays of states reserve address space for as many states as memory can hold and let the operating system commit pages
as they are first touched, so growing copies nothing. The hash table is rebuilt from the states when it is 0.8 full, after
the old one is gone, so that two never exist at once. Per state: 8 bytes a word, 8 for how it was reached, 10 to 15 of
the table.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from protocol.action import Instance

from . import kernel as k
from .permutation import Permutation
from .symmetry import IDENTITY
from .tables import Tables

LOAD = 0.8
SLOTS = 1 << 16
GRAPH_BATCH = 1 << 18
"""States whose edges are regenerated between two words on how far that is."""
PIPELINE_ROOM = 1 << 16
"""Successors handed over at a time: enough that handing over costs nothing beside making them."""
LARGE_SLOTS = 1 << 24
MOST_STATES = (1 << 32) - 2


def available_bytes() -> int:
    """The memory that this process may still take: what the machine has free, or its control group; 8 GB where neither says."""
    free = 8 * 10**9
    with suppress(OSError, StopIteration, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]) * 1024
    with suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        free = min(free, int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()))
    return free


class Space:
    """States found so far, numbered in breadth-first order.

    Args:
        most_states: reserve no more than that many.
        most_bytes: the memory budget of all arrays.
        workers: threads; from two on, one expands while another inserts what was made before. A reduced search uses one.
    """

    def __init__(self, tables: Tables, most_states: int, most_bytes: int, workers: int = 1):
        self.tables = tables
        self.width = tables.layout.words
        self.numbered = len(tables.alone) > 0
        workers = 1 if self.numbered else workers
        self.most_bytes = most_bytes
        self.room = max(8192 if workers == 1 else PIPELINE_ROOM, 2 * len(tables.instances))
        self.slots = max(SLOTS, 4 * self.room)
        per_state = 8 * self.width + 8
        self._reserve(min(most_states, MOST_STATES, most_bytes // per_state) + self.room + 1)
        self.table = np.zeros(self.slots, dtype=np.uint64)
        self.counters = np.full(k.COUNTERS, -1, dtype=np.int64)
        self.counters[[k.HEAD, k.TRANSITIONS, k.DEPTH, k.SINK, k.FOUND]] = 0
        self.counters[[k.TAIL, k.LEVEL_END]] = 1
        watched = [p for p in tables.predicates if p.watched]
        self.events = np.full(len(watched), -1, dtype=np.int64)
        self.fired = np.zeros((len(tables.instances) + 63) // 64, dtype=np.uint64)
        self.waited = np.array([p.event for p in watched], dtype=np.uint8)
        self.last_rival = np.full(tables.rival_groups, -1, dtype=np.int64)
        self.buffers = [self._buffer() for _ in range(min(workers, 2))]
        self.inserter = ThreadPoolExecutor(1) if workers > 1 else None
        self.states[: self.width] = tables.layout.pack(tables.system.initial_state())
        self.parents[0] = self.via[0] = 0
        k.fill(self.states, self.width, 1, self.table, self.numbered)

    def _reserve(self, capacity: int) -> None:
        """Room for so many states, or for as many as the address space of this process is allowed."""
        while True:
            try:
                self.states = np.empty(capacity * self.width, dtype=np.uint64)
                self.parents = np.empty(capacity, dtype=np.uint32)
                self.via = np.empty(capacity, dtype=np.uint32)
            except MemoryError:
                if capacity <= self.room + 1:
                    raise
                self.states = np.empty(0, dtype=np.uint64)
                capacity = max(capacity // 2, self.room + 1)
                self.most_bytes = capacity * (8 * self.width + 8)
            else:
                return

    def _buffer(self) -> tuple[np.ndarray, ...]:
        """Room for successors: their words, hashes, parents and instances."""
        of_words, of_links = np.dtype(np.uint64), np.dtype(np.uint32)
        return (
            np.empty(self.room * self.width, of_words),
            np.empty(self.room, of_words),
            np.empty(self.room, of_links),
            np.empty(self.room, of_links),
        )

    # -- growing -----------------------------------------------------------------------------------------------------

    @property
    def distinct(self) -> int:
        """States found."""
        return int(self.counters[k.TAIL])

    @property
    def expanded(self) -> int:
        """States whose successors are known."""
        return int(self.counters[k.HEAD])

    @property
    def bytes_used(self) -> int:
        """Bytes of the arrays that are in use."""
        return self.distinct * (8 * self.width + 8) + 8 * self.table.size

    def expand(self, batch: int, final_program: int, stop_when_found: bool) -> None:
        """Expand states up to the next multiple of `batch`, or until an array has to grow.

        The order of states, hence every count and path, does not depend on the number of workers.
        """
        target = (self.expanded // batch + 1) * batch
        if self.inserter is not None and not stop_when_found:
            self._expand_and_insert(target, final_program)
            return
        t = self.tables
        k.explore(
            t.code, t.entries, t.programs, t.selector_code, t.selector_sets, t.environment, t.rivals, self.last_rival, self.waited, len(self.events),
            final_program, self.width, t.alone, t.alone_sets, t.turns, t.moves, t.symmetry.whole, t.work_words, target, stop_when_found,
            self.numbered, self.states, self.parents, self.via, self.table,
            self.counters, self.events, self.fired, *self.buffers[0],
        )  # fmt: skip

    def _expand_and_insert(self, target: int, final_program: int) -> None:
        """As `kernel.explore`, in two threads: this one expands, the other inserts the successors made before, in order."""
        t, c = self.tables, self.counters
        limit = min(self.parents.size, int(LOAD * self.table.size))
        work, turned, chosen = (np.zeros(n, dtype=np.uint64) for n in (t.work_words, t.work_words, (len(t.instances) + 63) // 64))
        scratch = np.empty(self.room, dtype=np.uint64), np.empty(self.room, dtype=np.uint64), np.empty(self.room, dtype=np.int64)
        assert self.inserter is not None
        # The tail is read only while nothing is being inserted, so that where a batch stops does not depend on timing.
        pending, tail, coming, turn = None, int(c[k.TAIL]), 0, 0
        while True:
            if pending is not None and (c[k.HEAD] == c[k.LEVEL_END] or tail + coming + self.room > limit):
                pending.result()
                pending, tail, coming = None, int(c[k.TAIL]), 0
            if c[k.HEAD] >= target or (pending is None and c[k.HEAD] >= tail) or tail + coming + self.room > limit:
                break
            if c[k.HEAD] == c[k.LEVEL_END]:
                c[k.DEPTH] += 1
                c[k.LEVEL_END] = tail
            buffer = self.buffers[turn]
            count = k.expand(
                t.code, t.entries, t.programs, t.selector_code, t.selector_sets, t.environment, t.rivals, self.last_rival, self.waited,
                len(self.events), final_program, self.width, t.alone, t.alone_sets, t.turns, t.moves, t.symmetry.whole, self.table,
                self.states, c, self.events, self.fired, *buffer, work, turned, chosen,
                min(target, int(c[k.LEVEL_END])),
            )  # type: ignore[call-arg]  # fmt: skip
            if pending is not None:
                pending.result()
                tail = int(c[k.TAIL])
            arrays = self.states, self.parents, self.via, self.table, c
            pending, coming = self.inserter.submit(k.insert, *buffer, *scratch, count, self.width, False, *arrays), count  # type: ignore[call-arg]
            turn = 1 - turn
        if pending is not None:
            pending.result()

    def close(self) -> None:
        """Let the second thread go."""
        if self.inserter is not None:
            self.inserter.shutdown()

    @property
    def crowded(self) -> bool:
        """Whether the hash table has to grow before anything else."""
        return self.distinct + self.room > LOAD * self.table.size

    @property
    def exhausted(self) -> bool:
        """Whether there is no room for the successors of another block of states."""
        return self.distinct + self.room > self.parents.size

    def grow(self) -> bool:
        """Double the hash table (once it is large, only half as much again); False where the budget, or the system, forbids it."""
        before, used = self.table.size, self.bytes_used
        slots = before * 2 if before < LARGE_SLOTS else before * 3 // 2
        if used - 8 * before + 8 * slots > self.most_bytes:
            return False
        self.table = np.zeros(0, dtype=np.uint64)
        try:
            self.table = np.zeros(slots, dtype=np.uint64)
        except MemoryError:
            self.most_bytes = used
            return False
        k.fill(self.states, self.width, self.distinct, self.table, self.numbered)
        return True

    # -- answers -----------------------------------------------------------------------------------------------------

    def fired_instances(self) -> list[int]:
        """The numbers of the instances that took a step from some expanded state."""
        return [v * 64 + b for v, word in enumerate(self.fired.tolist()) for b in range(64) if word >> b & 1]

    def words(self, state: int) -> np.ndarray:
        """The words of a state."""
        return self.states[state * self.width : (state + 1) * self.width]

    def path(self, state: int, last: int | None = None, seen: Permutation = IDENTITY) -> tuple[Instance, ...]:
        """The instances by which the state was first reached, then the instance with that number.

        Where states stand for their renamings, the path is one of the system nevertheless; it ends in the renaming by `seen`.
        """
        steps = []
        while state:
            steps.append(self.tables.instances[int(self.via[state])])
            state = int(self.parents[state])
        steps.reverse()
        then = None if last is None else self.tables.instances[last]
        if self.tables.symmetry.elements:
            return self.tables.symmetry.unfold(self.tables.layout, steps, then, seen)
        return tuple(steps) if then is None else (*steps, then)

    def judge(self, predicate: int) -> np.ndarray:
        """Per state 0 where a predicate holds, `kernel.DISABLED` where not, another code where it cannot be evaluated; [states] uint8."""
        t = self.tables
        answers = np.empty(self.distinct, dtype=np.uint8)
        first, last = t.programs[len(t.instances) + predicate]
        k.judge(t.code, t.entries, first, last, self.width, t.work_words, self.states, self.distinct, answers)
        return answers

    def graph_bytes(self) -> int:
        """What `graph` would take."""
        return self.distinct * 20 + int(self.counters[k.TRANSITIONS]) * 9

    def graph(self, tell: Callable[[str], None] | None = None) -> tuple[Any, np.ndarray]:
        """All edges, as `liveness.StateGraph`; the whole space must be explored, and nothing is explored after.

        With it the number of the permutation by which the successor of each edge became its representative, -1 for none; [edges] int8.
        `tell` is called now and then with how far it is.
        Cost: as long as the exploration; `graph_bytes` of memory.
        """
        from .liveness import StateGraph

        t, n, m = self.tables, self.distinct, int(self.counters[k.TRANSITIONS])
        assert not len(t.alone), "a search that lets copies move alone has not taken every step"
        if self.width == 1:
            self.table[:] = 0
            k.fill(self.states, 1, n, self.table, True)
        offsets = np.zeros(n + 1, dtype=np.int64)
        targets, labels = np.empty(m, dtype=np.int32), np.empty(m, dtype=np.int32)
        turned_by = np.full(m if t.symmetry.whole else 0, -1, dtype=np.int8)
        for start in range(0, n, GRAPH_BATCH):
            if tell is not None:
                tell(f"graph: {start:,} of {n:,} states")
            k.connect(
                t.code, t.entries, t.programs, t.selector_code, t.selector_sets, t.turns, t.moves, t.symmetry.whole, len(t.instances),
                self.width, t.work_words, self.states, self.table, start, min(start + GRAPH_BATCH, n), offsets, targets, labels,
                turned_by,
            )  # fmt: skip
        parents = self.parents[:n].astype(np.int64)
        parents[0] = -1
        via = self.via[:n].astype(np.int32)
        via[0] = -1
        return StateGraph(offsets, targets, labels, parents, via), turned_by
