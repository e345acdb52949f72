"""The paged key-value cache of one rank, and the pool that says which block is whose.

A block holds `block_size` tokens of all layers. The arrays lie in whatever buffer they are given (shared memory in the live
engine); the pool is the engine's, and refuses to free what is not taken or to take what is not free.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np

from protocol import DefinitionError

from .config import ModelConfig
from .weights import Floats


class KvCache:
    """Keys and values: array (2, layers, blocks, block_size, kv_heads of the rank, head_dim)."""

    def __init__(self, config: ModelConfig, ranks: int, blocks: int, block_size: int, buffer: memoryview | None = None):
        shape = self.shape(config, ranks, blocks, block_size)
        self.array: Floats = np.zeros(shape, np.float32) if buffer is None else np.ndarray(shape, np.float32, buffer)
        self.block_size = block_size

    @staticmethod
    def shape(config: ModelConfig, ranks: int, blocks: int, block_size: int) -> tuple[int, ...]:
        """The shape of one rank's array."""
        config.check_ranks(ranks)
        return (2, config.layers, blocks, block_size, config.kv_heads // ranks, config.head_dim)

    def write(self, layer: int, table: Sequence[int], start: int, keys: Floats, values: Floats) -> None:
        """Store the keys and values (tokens, kv_heads, head_dim) of the tokens from position `start` on."""
        positions = np.arange(start, start + len(keys))
        blocks, offsets = np.asarray(table)[positions // self.block_size], positions % self.block_size
        self.array[0, layer, blocks, offsets] = keys
        self.array[1, layer, blocks, offsets] = values

    def read(self, layer: int, table: Sequence[int], length: int) -> tuple[Floats, Floats]:
        """The keys and values of the first `length` tokens: two arrays (length, kv_heads, head_dim)."""
        blocks = np.asarray(table)[: -(-length // self.block_size)]
        keys, values = (self.array[kind, layer, blocks].reshape(-1, *self.array.shape[4:])[:length] for kind in (0, 1))
        return keys, values

    def copy_blocks(self, layer: int, source: KvCache, blocks: Sequence[int], to: Sequence[int]) -> int:
        """Write blocks of another cache into this one, as the messager does; returns the bytes written."""
        part = source.array[:, layer, list(blocks)]
        self.array[:, layer, list(to)] = part
        return part.nbytes


class BlockPool:
    """Which blocks are free, and who holds the others. The lowest free block is given first."""

    def __init__(self, blocks: int):
        self.blocks = blocks
        self._free = list(range(blocks))
        self._owner: dict[int, object] = {}

    @property
    def free(self) -> int:
        """Blocks that nobody holds."""
        return len(self._free)

    def take(self, count: int, owner: object) -> list[int]:
        """So many blocks for that owner.

        Raises:
            DefinitionError: fewer are free; the caller's guard should have said so.
        """
        if count > len(self._free):
            raise DefinitionError(f"{owner} wants {count} blocks and {len(self._free)} are free; ask `free` first")
        taken = [heapq.heappop(self._free) for _ in range(count)]
        self._owner.update((block, owner) for block in taken)
        return taken

    def give_back(self, blocks: Sequence[int], owner: object) -> None:
        """Free the owner's blocks.

        Raises:
            DefinitionError: a block is not his: it was freed before, or is another's.
        """
        for block in blocks:
            if self._owner.get(block) is not owner and self._owner.get(block) != owner:
                raise DefinitionError(f"{owner} frees block {block}, which belongs to {self._owner.get(block, 'nobody')}")
        for block in blocks:
            del self._owner[block]
            heapq.heappush(self._free, block)

    def held_by(self, owner: object) -> list[int]:
        """The blocks of an owner, ascending."""
        return sorted(block for block, holder in self._owner.items() if holder == owner)
