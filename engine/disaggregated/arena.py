"""The arena: shared memory with the KV caches of all ranks and the exchanges of every instance. Whoever makes it removes it.

Instances are numbered as in `Plant.instances`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.shared_memory import SharedMemory

import numpy as np

from ..errors import EngineError
from ..model.kv_cache import KvCache
from ..model.shared_exchange import SharedExchange
from .fence import Fence
from .job import NewWeights
from .plant import Plant

PATH_BYTES, LENGTH_BYTES = 4096, 4
"""Of the segment with the path of the weights in force, which begins with its length."""
KEY_BYTES = 8
"""Of a reservation's key."""


class Mapped(SharedMemory):
    """A segment whose views may outlive it: the mapping ends with the process, silently."""

    _fd: int

    @property
    def file(self) -> int:
        """The open file behind it."""
        return self._fd

    def __del__(self) -> None:
        pass


class Arena:
    """The memory of an engine: a segment for each rank's cache, one for each instance's exchange, one for the fence, one that names the weights."""

    def __init__(self, plant: Plant, name: str):
        self.name, self._plant = name, plant
        self._made: list[SharedMemory] = []

    @classmethod
    def create(cls, plant: Plant, name: str) -> Arena:
        """New segments, all zero.

        Raises:
            OSError: there is no room for them; none is left.
        """
        arena = cls(plant, name)
        try:
            arena._make(f"{name}-weights", PATH_BYTES)
            arena._make(f"{name}-fence", plant.numbers * KEY_BYTES)
            if plant.shares_experts:
                arena._make(f"{name}-world", SharedExchange.bytes_needed(plant.expert_parallel, _world_floats(plant)))
            for instance in plant.instances:
                arena._make(f"{name}-exchange-{instance}", SharedExchange.bytes_needed(plant.ranks, _floats(plant, instance)))
                for rank in range(plant.ranks):
                    shape = KvCache.shape(plant.config, plant.ranks, plant.blocks(instance), plant.shape.block_size)
                    arena._make(f"{name}-cache-{instance}-{rank}", int(np.prod(shape)) * 4)
        except OSError:
            arena.remove()
            raise
        return arena

    def cache(self, instance: int, rank: int) -> KvCache:
        """The KV cache of a rank, for any process."""
        memory, plant = Mapped(f"{self.name}-cache-{instance}-{rank}"), self._plant
        return KvCache(plant.config, plant.ranks, plant.blocks(instance), plant.shape.block_size, memory.buf)

    def exchange(self, instance: int, rank: int) -> SharedExchange:
        """A rank's end of its instance's exchange, for the rank's process."""
        return SharedExchange(Mapped(f"{self.name}-exchange-{instance}"), rank, self._plant.ranks, _floats(self._plant, instance))

    def world(self, instance: int, rank: int) -> SharedExchange:
        """The end of a D's rank of the exchange between the ranks of all D's, for the rank's process."""
        plant, decode = self._plant, self._plant.decode_number(instance)
        assert decode is not None
        member = decode * plant.ranks + rank
        return SharedExchange(Mapped(f"{self.name}-world"), member, plant.expert_parallel, _world_floats(plant))

    def fence(self) -> Fence:
        """The fence around the caches of all D instances, for any process."""
        memory = Mapped(f"{self.name}-fence")
        keys = np.ndarray((self._plant.numbers,), np.int64, memory.buf)
        return Fence(keys, memory.file, refuses=self._plant.fences_writes)

    def publish(self, weights: NewWeights) -> None:
        """Say which weights are in force. Called while no rank computes; one that begins anew meanwhile asks before its first batch."""
        path = weights.path.encode()
        if len(path) > PATH_BYTES - LENGTH_BYTES:
            raise EngineError(f"the path {weights.path} has {len(path)} bytes, of at most {PATH_BYTES - LENGTH_BYTES}; give a shorter one")
        with _opened(f"{self.name}-weights") as cells:
            cells[LENGTH_BYTES : LENGTH_BYTES + len(path)] = path
            cells[:LENGTH_BYTES] = len(path).to_bytes(LENGTH_BYTES, "little")

    def weights(self) -> NewWeights:
        """Which weights are in force."""
        with _opened(f"{self.name}-weights") as cells:
            length = int.from_bytes(cells[:LENGTH_BYTES], "little")
            return NewWeights(bytes(cells[LENGTH_BYTES : LENGTH_BYTES + length]).decode())

    def remove(self) -> None:
        """Remove every segment that this object has made."""
        for memory in self._made:
            memory.close()
            memory.unlink()
        self._made = []

    def _make(self, name: str, size: int) -> None:
        self._made.append(SharedMemory(name, create=True, size=size))


@contextmanager
def _opened(name: str) -> Iterator[memoryview]:
    memory = SharedMemory(name)
    assert memory.buf is not None
    try:
        yield memory.buf
    finally:
        memory.close()


def _floats(plant: Plant, instance: int) -> int:
    """The most that a rank gives to a collective: the residual stream of the largest batch, or the logits of all rows that want some.

    With experts spread, a row comes back from as many experts as it visits, which may be all of one rank.
    """
    prefills = plant.decode_number(instance) is None
    rows = plant.slots * plant.shape.chunk_tokens if prefills else plant.sequences * plant.step_tokens
    wanted = plant.slots if prefills else rows
    copies = max(1, plant.config.experts_per_token) if plant.spreads_experts else 1
    return max(copies * rows * plant.config.hidden, wanted * plant.config.vocabulary)


def _world_floats(plant: Plant) -> int:
    """The same between all D's: a rank may serve the rows of all of them, or send experts away."""
    moved = sum(map(len, plant.placement.held)) * plant.config.expert_floats if plant.balances_experts else 0
    return max(moved, plant.decodes * _floats(plant, plant.instance_of(0)))
