"""The paged key-value cache of one rank, and the pool that says which block is whose.

A block holds `block_size` tokens of all layers. The arrays lie in whatever buffer they are given (shared memory in the live
engine); the pool is the engine's, and refuses to free what is not taken or to take what is not free.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence

import numpy as np

from protocol import DefinitionError

from .config import ModelConfig
from .weights import Floats


class Place:
    """Where consecutive tokens of a sequence lie, and those before them: the same in every layer.

    Args:
        table: the sequence's blocks. start, tokens: position of the first, and how many.
    """

    def __init__(self, table: Sequence[int], start: int, tokens: int, block_size: int):
        positions, all_blocks = np.arange(start, start + tokens), np.asarray(table, np.int64)
        self.blocks, self.offsets = all_blocks[positions // block_size], positions % block_size
        self.length = start + tokens
        self.context = all_blocks[: -(-self.length // block_size)]
        first = int(self.context[0])
        self.together = slice(first, first + len(self.context)) if (np.diff(self.context) == 1).all() else None
        """The blocks of the context where they lie one behind the other; None where they do not."""


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

    def write(self, layer: int, place: Place, keys: Floats, values: Floats) -> None:
        """Store the keys and values (tokens, kv_heads, head_dim) of the tokens at that place."""
        for kind, part in enumerate((keys, values)):
            self.array[kind, layer][:, place.blocks, place.offsets] = part.transpose(1, 0, 2)

    def read(self, layer: int, place: Place) -> tuple[Floats, Floats]:
        """The keys and values up to the last token at that place: two arrays (length, kv_heads, head_dim).

        Views, if the blocks lie together, else copies.
        """
        layers = self.array[:, layer]
        blocks = layers.take(place.context, axis=2) if place.together is None else layers[:, :, place.together]
        keys, values = blocks.reshape(2, blocks.shape[1], -1, blocks.shape[4])[:, :, : place.length].transpose(0, 2, 1, 3)
        return keys, values

    def copy_blocks(self, layer: int, source: KvCache, blocks: Sequence[int], to: Sequence[int]) -> int:
        """Write blocks of another cache into this one, as the messager does; returns the bytes written."""
        part = source.array[:, layer].take(blocks, axis=2)
        self.array[:, layer][:, :, list(to)] = part
        return part.nbytes


class BlockPool:
    """Which blocks are free, and who holds the others. Given are the first blocks that lie one behind the other, else the lowest."""

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
        together = (k for k in range(len(self._free) - count + 1) if count and self._free[k + count - 1] - self._free[k] == count - 1)
        first = next(together, 0)
        taken = self._free[first : first + count]
        del self._free[first : first + count]
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
            insort(self._free, block)

    def hand_over(self, blocks: Sequence[int], owner: object, to: object) -> None:
        """Make an owner's blocks another's.

        Raises:
            DefinitionError: a block is not his.
        """
        self._check_owner(blocks, owner, "hands over")
        self._owner.update((block, to) for block in blocks)

    def check(self) -> None:
        """Raise a DefinitionError unless every block is either free or held, once."""
        if sorted([*self._free, *self._owner]) != list(range(self.blocks)):
            raise DefinitionError(f"blocks 0 to {self.blocks - 1} are not each free or held once: free are {self._free}, held {sorted(self._owner)}")

    def held_by(self, owner: object) -> list[int]:
        """The blocks of an owner, ascending."""
        return sorted(block for block, holder in self._owner.items() if holder == owner)

    def _check_owner(self, blocks: Sequence[int], owner: object, does: str) -> None:
        for block in blocks:
            if block not in self._owner or self._owner[block] != owner:
                raise DefinitionError(f"{owner} {does} block {block}, which belongs to {self._owner.get(block, 'nobody')}")
        if len(set(blocks)) < len(blocks):
            raise DefinitionError(f"{owner} {does} a block twice: {sorted(blocks)}")
