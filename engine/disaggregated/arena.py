"""The arena: one piece of shared memory with the KV caches of all ranks, and the buffers of their collectives.

Whoever makes it removes it. A collective is a rank's turn of a counter: each rank puts its array into the half of its buffer
that the counter's parity names, then counts up; it reads the others' when they have counted up, too. A rank can be one
collective ahead of another, never two, so two halves are enough. (One store of an aligned word is seen whole, and after
the stores before it, on the machines that this runs on.)
"""

from __future__ import annotations

import os
import time
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np

from ..errors import EngineError
from ..model.collective import AllGather, AllReduce, Collective, reduce
from ..model.kv_cache import KvCache
from ..model.weights import Floats
from .plant import Plant

YIELDS = 200
"""How often a rank offers its processor to another before it sleeps."""
SLEEP_S = 0.00005
HEADER_WORDS = 8
"""Of a rank's buffer: its counter, then rows and columns of each half; a cache line."""


class Exchange:
    """One rank's end of the collectives of its instance."""

    def __init__(self, buffers: list[memoryview], rank: int):
        self._rank = rank
        self._headers = [buffer[: 8 * HEADER_WORDS].cast("q") for buffer in buffers]
        self._halves = [self._halves_of(buffer) for buffer in buffers]
        self._count = self._headers[rank][0]

    def swap(self, collective: Collective) -> Any:
        """Give the rank's array, wait for the others', and return what the collective delivers.

        Raises:
            EngineError: an array that is too large for the buffers, or an exchange that the ranks of one instance do not have.
        """
        if not isinstance(collective, AllReduce | AllGather):
            raise EngineError(f"{type(collective).__name__} joins several instances; spread experts in lockstep, or give --ep 1")
        self._count += 1
        self._put(collective.given)
        arrays = [collective.given if r == self._rank else self._take(r) for r in range(len(self._headers))]
        return reduce(arrays) if isinstance(collective, AllReduce) else np.concatenate(arrays, axis=-1)

    def _put(self, array: Floats) -> None:
        header, half = self._headers[self._rank], self._count % 2
        room = self._halves[self._rank][half]
        if array.size > room.size:
            raise EngineError(f"a collective of {array.size} numbers does not fit into {room.size}; lower the batch or raise the arena")
        room[: array.size] = array.reshape(-1)
        header[1 + 2 * half], header[2 + 2 * half] = array.shape
        header[0] = self._count

    def _take(self, rank: int) -> Floats:
        header, half, tries = self._headers[rank], self._count % 2, 0
        while header[0] < self._count:
            tries += 1
            if tries < YIELDS:
                os.sched_yield()
            else:
                time.sleep(SLEEP_S)
        rows, columns = header[1 + 2 * half], header[2 + 2 * half]
        return self._halves[rank][half][: rows * columns].reshape(rows, columns)

    @staticmethod
    def _halves_of(buffer: memoryview) -> list[Floats]:
        numbers = np.frombuffer(buffer, np.float32, offset=8 * HEADER_WORDS)
        middle = len(numbers) // 2
        return [numbers[:middle], numbers[middle : 2 * middle]]


class Arena:
    """The memory of an engine. Instance 0 is P, instance 1 + d is D number d."""

    def __init__(self, plant: Plant, memory: SharedMemory):
        self._plant, self._memory = plant, memory

    @classmethod
    def create(cls, plant: Plant, name: str) -> Arena:
        """A new one, all zero."""
        return cls(plant, SharedMemory(name, create=True, size=_size(plant)))

    @classmethod
    def attach(cls, plant: Plant, name: str) -> Arena:
        """The one of that name."""
        return cls(plant, SharedMemory(name))

    @property
    def name(self) -> str:
        """What another process attaches to."""
        return self._memory.name

    def cache(self, instance: int, rank: int) -> KvCache:
        """The KV cache of a rank."""
        start, size = _place(self._plant, instance, rank), _cache_bytes(self._plant, instance)
        plant = self._plant
        return KvCache(plant.config, plant.ranks, plant.blocks(instance), plant.shape.block_size, self._buffer(start, size))

    def exchange(self, instance: int, rank: int) -> Exchange:
        """A rank's end of its instance's collectives."""
        plant, size = self._plant, _cache_bytes(self._plant, instance)
        starts = [_place(plant, instance, r) + size for r in range(plant.ranks)]
        return Exchange([self._buffer(start, _exchange_bytes(plant, instance)) for start in starts], rank)

    def close(self) -> None:
        """Let go; views that are still in use keep the memory mapped until they go."""
        try:
            self._memory.close()
        except BufferError:
            pass

    def unlink(self) -> None:
        """Remove it."""
        try:
            self._memory.unlink()
        except FileNotFoundError:
            pass

    def _buffer(self, start: int, size: int) -> memoryview:
        assert self._memory.buf is not None
        return self._memory.buf[start : start + size]


def _cache_bytes(plant: Plant, instance: int) -> int:
    return int(np.prod(KvCache.shape(plant.config, plant.ranks, plant.blocks(instance), plant.shape.block_size))) * 4


def _exchange_bytes(plant: Plant, instance: int) -> int:
    """Two halves, each for the residual stream of the largest batch, or for a rank's part of the logits."""
    sequences = plant.slots if instance == 0 else plant.sequences
    rows = sequences * plant.shape.chunk_tokens if instance == 0 else sequences
    numbers = max(rows * plant.config.hidden, sequences * plant.config.vocabulary)
    return 8 * HEADER_WORDS + 8 * (-(-numbers // 8) * 8)


def _place(plant: Plant, instance: int, rank: int) -> int:
    """Where a rank's cache begins; its exchange buffer lies behind it."""
    whole = [_cache_bytes(plant, i) + _exchange_bytes(plant, i) for i in range(1 + plant.decodes)]
    return sum(whole[:instance]) * plant.ranks + rank * whole[instance]


def _size(plant: Plant) -> int:
    return _place(plant, 1 + plant.decodes - 1, plant.ranks - 1) + _cache_bytes(plant, plant.decodes) + _exchange_bytes(plant, plant.decodes)
