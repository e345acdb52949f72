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
    """Keys and values: array (2, layers, kv_heads of the rank, blocks, block_size, head_dim), so that a head's tokens lie together."""

    def __init__(self, config: ModelConfig, ranks: int, blocks: int, block_size: int, buffer: memoryview | None = None):
        shape = self.shape(config, ranks, blocks, block_size)
        self.array: Floats = np.zeros(shape, np.float32) if buffer is None else np.ndarray(shape, np.float32, buffer)
        self.block_size = block_size

    @staticmethod
    def shape(config: ModelConfig, ranks: int, blocks: int, block_size: int) -> tuple[int, ...]:
        """The shape of one rank's array."""
        config.check_ranks(ranks)
        return (2, config.layers, config.kv_heads // ranks, blocks, block_size, config.head_dim)

    def write(self, layer: int, table: Sequence[int], start: int, keys: Floats, values: Floats) -> None:
        """Store the keys and values (tokens, kv_heads, head_dim) of the tokens from position `start` on."""
        positions = np.arange(start, start + len(keys))
        blocks, offsets = np.asarray(table)[positions // self.block_size], positions % self.block_size
        for kind, part in enumerate((keys, values)):
            self.array[kind, layer][:, blocks, offsets] = part.transpose(1, 0, 2)

    def read(self, layer: int, table: Sequence[int], length: int) -> tuple[Floats, Floats]:
        """The keys and values of the first `length` tokens: two arrays (length, kv_heads, head_dim), copied."""
        blocks = np.asarray(table)[: -(-length // self.block_size)]
        together = (self.array.shape[2], len(blocks) * self.block_size, self.array.shape[5])
        keys, values = (self.array[kind, layer].take(blocks, axis=1).reshape(together) for kind in (0, 1))
        return keys[:, :length].transpose(1, 0, 2), values[:, :length].transpose(1, 0, 2)

    def copy_blocks(self, layer: int, source: KvCache, blocks: Sequence[int], to: Sequence[int]) -> int:
        """Write blocks of another cache into this one, as the messager does; returns the bytes written."""
        part = source.array[:, layer].take(blocks, axis=2)
        self.array[:, layer][:, :, list(to)] = part
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
        self._check_owner(blocks, owner, "frees")
        for block in blocks:
            del self._owner[block]
            heapq.heappush(self._free, block)

    def hand_over(self, blocks: Sequence[int], owner: object, to: object) -> None:
        """Make an owner's blocks another's.

        Raises:
            DefinitionError: a block is not his.
        """
        self._check_owner(blocks, owner, "hands over")
        self._owner.update((block, to) for block in blocks)

    def check(self) -> None:
        """Raise a DefinitionError unless every block is either free or held, once."""
        free = sorted(self._free)
        if sorted([*free, *self._owner]) != list(range(self.blocks)):
            raise DefinitionError(f"blocks 0 to {self.blocks - 1} are not each free or held once: free are {free}, held {sorted(self._owner)}")

    def held_by(self, owner: object) -> list[int]:
        """The blocks of an owner, ascending."""
        return sorted(block for block, holder in self._owner.items() if holder == owner)

    def _check_owner(self, blocks: Sequence[int], owner: object, does: str) -> None:
        for block in blocks:
            if block not in self._owner or self._owner[block] != owner:
                raise DefinitionError(f"{owner} {does} block {block}, which belongs to {self._owner.get(block, 'nobody')}")
        if len(set(blocks)) < len(blocks):
            raise DefinitionError(f"{owner} {does} a block twice: {sorted(blocks)}")
