"""The exchanges of a forward between processes: one shared-memory segment, in which every rank has a place to write.

A rank writes what it gives into its place, then its count of collectives; it reads when every rank's count has come as far. Two
places a rank, used in turn, are enough: nobody enters a collective before it has read the last one. Sums are made by every rank, in
the order of the ranks. Data are visible before the count that announces them as stores are on x86-64, in their order.

How long to wait is not judged here: whoever supervises the processes sees that one has died, is frozen or hangs, and ends those that wait
for it. Where nobody does, `patience_s` ends the wait with an error. A rank that has closed its end comes no more, and whoever waits for it is
told at once.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np

from ..clock import LiveClock
from ..errors import EngineError
from .collective import AllToAll, Collective, CollectiveMismatch, Exchanging, complete, describe
from .shard import Chunk, Forward, Shard
from .weights import Floats

LINE = 8
"""Counts lie a cache line apart, in 64-bit cells; beside each lies whether the rank has parted."""
HEADER = 64
"""Cells before the floats of a place: what the collective is, and the shape of each array given."""
PARTS = ("attention", "feed", "logits", "dispatch", "combine", "loads", "experts")
YIELDS_BEFORE_SLEEP = 2_000
NAP_S = 0.0005


class Parted(EngineError):
    """A rank that others wait for has closed its end: its process was told to stop."""


class SharedExchange:
    """One rank's end of the segment.

    Args:
        segment: of at least `bytes_needed`, zeroed, the same for all ranks.
        ranks, rank: how many exchange, and which of them this is.
        floats: that one rank gives at most to one collective.
        patience_s: how long to wait for the others, where nobody supervises them.
    """

    def __init__(self, segment: SharedMemory, rank: int, ranks: int, floats: int, patience_s: float = math.inf):
        self._rank, self._ranks, self._patience_s, self._segment, self._clock = rank, ranks, patience_s, segment, LiveClock()
        counts, headers = ranks * LINE, 2 * ranks * HEADER
        assert segment.buf is not None
        cells = np.ndarray((counts + headers,), np.int64, segment.buf)
        self._counts, self._parted = cells[:counts:LINE], cells[1:counts:LINE]
        self._headers = cells[counts:].reshape(2, ranks, HEADER)
        self._places: Floats = np.ndarray((2, ranks, floats), np.float32, segment.buf, cells.nbytes)
        # A rank that comes back begins anew, and so do all others of its instance, before any of them exchanges again.
        self._entered = self._counts[rank] = self._parted[rank] = 0

    @staticmethod
    def bytes_needed(ranks: int, floats: int) -> int:
        """The size of the segment."""
        return (ranks * LINE + 2 * ranks * HEADER) * 8 + 2 * ranks * floats * 4

    def run(self, shard: Shard, batch: Sequence[Chunk], world: SharedExchange | None = None) -> Floats:
        """A whole forward of this rank, beside those of the others: the logits of the wanted rows.

        `world`: this rank's end of the exchange between the ranks of all instances, when experts are spread over them.
        """
        forward = Forward(shard, batch)
        self.carry(forward, world)
        assert forward.logits is not None
        return forward.logits

    def carry(self, rank: Exchanging, world: SharedExchange | None = None) -> None:
        """Advance what this rank computes from its first exchange to its last, beside the others; `world` as for `run`."""
        rank.advance()
        while rank.waits is not None:
            carrier = world if world is not None and isinstance(rank.waits, AllToAll) else self
            rank.advance(carrier.exchange(rank.waits))

    def exchange(self, collective: Collective) -> Any:
        """Give, wait for all, and get what the collective delivers to this rank.

        Raises:
            Parted: a rank comes no more. EngineError: one has not come in time. CollectiveMismatch: the ranks are not at the same collective.
        """
        side = self._entered % 2
        self._give(side, collective)
        self._entered += 1
        self._counts[self._rank] = self._entered
        self._await(collective)
        given = [collective if rank == self._rank else self._given(side, rank, collective) for rank in range(self._ranks)]
        return complete(given)[self._rank]

    def close(self) -> None:
        """Come to no exchange any more, and let go of the segment; whoever made it unlinks it."""
        self._parted[self._rank] = 1
        del self._counts, self._parted, self._headers, self._places
        self._segment.close()

    # -- packing -------------------------------------------------------------------------------------------------------

    def _give(self, side: int, collective: Collective) -> None:
        arrays = _arrays(collective)
        header, place = self._headers[side, self._rank], self._places[side, self._rank]
        shapes = [cell for array in arrays for cell in array.shape]
        if len(shapes) > HEADER - 3 or sum(array.size for array in arrays) > place.size:
            size = sum(array.size for array in arrays)
            raise EngineError(f"{describe(collective)}: {size} floats in {len(arrays)} arrays; there is room for {place.size}: give a smaller batch")
        header[:3] = collective.layer, PARTS.index(collective.part), len(arrays)
        header[3 : 3 + len(shapes)] = shapes
        begin = 0
        for array in arrays:
            place[begin : begin + array.size].reshape(array.shape)[...] = array
            begin += array.size

    def _given(self, side: int, rank: int, expected: Collective) -> Collective:
        """What another rank has given, seen in its place."""
        header, place = self._headers[side, rank], self._places[side, rank]
        layer, part, count = (int(cell) for cell in header[:3])
        if (layer, PARTS[part]) != (expected.layer, expected.part):
            raise CollectiveMismatch(f"rank {self._rank} is at {describe(expected)}; rank {rank} at {PARTS[part]}, layer {layer}")
        arrays, begin = [], 0
        for shape in header[3 : 3 + 2 * count].reshape(count, 2).tolist():
            size = shape[0] * shape[1]
            arrays.append(place[begin : begin + size].reshape(shape))
            begin += size
        if isinstance(expected, AllToAll):
            each = count // self._ranks
            return AllToAll(layer, expected.part, tuple(tuple(arrays[k : k + each]) for k in range(0, count, each)))
        return type(expected)(layer, expected.part, arrays[0])

    # -- waiting -------------------------------------------------------------------------------------------------------

    def _await(self, collective: Collective) -> None:
        """Until every rank has entered; first giving way to others on the same core, then sleeping."""
        looks, deadline = 0, 0.0
        while self._counts.min() < self._entered:
            looks += 1
            if looks < YIELDS_BEFORE_SLEEP:
                os.sched_yield()
                continue
            now = self._clock.now()
            deadline = deadline or now + self._patience_s
            parted = self._parted == 1  # looked at before the counts, which do not change any more then
            absent = self._counts < self._entered
            names = ", ".join(f"rank {rank}" for rank in np.nonzero(absent)[0])
            if (absent & parted).any():
                raise Parted(f"rank {self._rank} waits in {describe(collective)} for {names}, of whom some come no more")
            if now > deadline:
                raise EngineError(f"rank {self._rank} has waited {self._patience_s:g} s in {describe(collective)} for {names}")
            self._clock.sleep(NAP_S)


def _arrays(collective: Collective) -> list[Floats]:
    if isinstance(collective, AllToAll):
        return [array for parcel in collective.given for array in parcel]
    return [collective.given]
