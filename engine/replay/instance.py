"""The tensors of one engine instance in a replay: a tensor-parallel group, its paged caches, who holds its blocks.

One rule: it does what a handler says with whatever lies in the blocks at that moment, and counts whose blocks it writes to; it
never asks whether the protocol allows it. Every block holds the keys and values of an earlier prompt from the start, as memory
in use does: who reads a block that nobody has written for him reads another's text, not zeros.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from protocol import DefinitionError

from ..model.collective import complete
from ..model.config import TINY
from ..model.kv_cache import KvCache, Place
from ..model.numerics import Narrow, exact
from ..model.shard import Chunk, Forward, Shard, forward
from ..model.weights import Floats, Weights, seeded

BLOCK_SIZE = 4
WEIGHTS_SEED = 7


@cache
def weights(version: int = 0) -> Weights:
    """The tiny model; other versions are what an update of the weights brings."""
    return seeded(TINY, WEIGHTS_SEED + version)


def drawn_prompt(seed: int, number: int, length: int) -> tuple[int, ...]:
    """Begin of sequence, then bytes drawn from the seed and the number."""
    first, generator = weights().config.first_token, np.random.default_rng((seed, number))
    assert first is not None
    return (first, *map(int, generator.integers(0, 256, length - 1)))


class Instance:
    """A tensor-parallel group with its caches, and who holds which block.

    Args:
        ranks: tensor-parallel degree. blocks: how many. seed: of what lies in the blocks. narrow: `exact`, or `bfloat16`.
        shared: holders into whose blocks any request may write.
    """

    def __init__(self, ranks: int, blocks: int, seed: int, narrow: Narrow = exact, shared: Sequence[object] = ()):
        model = weights()
        self.shards = [Shard(model.shard(r, ranks), KvCache(model.config, ranks, blocks, BLOCK_SIZE), narrow) for r in range(ranks)]
        self.blocks, self._shared = blocks, shared
        self.holder: dict[int, object] = {}
        """Who holds a block; a block that is not there is free."""
        self.written: Counter[str] = Counter()
        """Bytes of keys and values by whose block they went into: own, other, free."""
        forward(self.shards, [Chunk(drawn_prompt(seed, 1000 + b, BLOCK_SIZE), 0, (b,)) for b in range(blocks)])

    def hold(self, owner: object, count: int) -> tuple[int, ...]:
        """The lowest free blocks, for an owner."""
        free = [b for b in range(self.blocks) if b not in self.holder]
        if count > len(free):
            raise DefinitionError(f"request {owner} wants {count} blocks and {len(free)} are free; give the instance of the replay more")
        return self.give(owner, free[:count])

    def give(self, owner: object, blocks: Sequence[int]) -> tuple[int, ...]:
        """These blocks are the owner's from now on, whoever had them."""
        self.holder.update((b, owner) for b in blocks)
        return tuple(blocks)

    def free(self, owner: object, blocks: Sequence[int] | None = None) -> None:
        """Take these blocks from the owner, or all that he holds; what lies in them stays there."""
        for block in self.held_by(owner) if blocks is None else blocks:
            if self.holder.get(block) == owner:
                del self.holder[block]

    def held_by(self, owner: object) -> list[int]:
        """The blocks of an owner."""
        return [block for block, holder in self.holder.items() if holder == owner]

    def charge(self, writer: object, blocks: Sequence[int], nbytes: int) -> None:
        """Count bytes that a writer has put evenly into blocks: his own, another's, or nobody's."""
        for block in blocks:
            holder = self.holder.get(block)
            self.written["free" if holder is None else "own" if holder in (writer, *self._shared) else "other"] += nbytes // len(blocks)

    def receive(self, source: Instance, rank: int, layers: Sequence[int], blocks: Sequence[int], to: Sequence[int], writer: object) -> None:
        """A one-sided write of the messager: these layers of another instance's blocks into these of ours, whatever lies there."""
        nbytes = sum(self.shards[rank].cache.copy_blocks(layer, source.shards[rank].cache, blocks, to) for layer in layers)
        self.charge(writer, to, nbytes)

    def step(self, batch: Sequence[tuple[object, Chunk]]) -> Floats:
        """A whole forward: logits after each chunk; the keys and values are written for the chunks' owners."""
        logits = forward(self.shards, [chunk for _, chunk in batch])
        for owner, chunk in batch:
            blocks = [chunk.table[p // BLOCK_SIZE] for p in range(chunk.start, chunk.start + len(chunk.tokens))]
            self.charge(owner, blocks, weights().config.kv_bytes_per_token * len(blocks))
        return logits


def layer_groups(groups: int) -> list[list[int]]:
    """The model's layers, cut into as many consecutive groups as a machine has layers."""
    return [list(map(int, part)) for part in np.array_split(np.arange(weights().config.layers), groups)]


class Prefill:
    """One forward of P over some chunks, a group of layers at a time; a rank's keys and values are in its cache from its own row on.

    What a group computes rests on what lay in the caches when its first rank came: the ranks of a real forward meet twice in each layer.
    """

    def __init__(self, instance: Instance, batch: Sequence[tuple[object, Chunk]], groups: int):
        self._instance, self._batch, self._groups = instance, list(batch), layer_groups(groups)
        self._staged = [_staged(shard) for shard in instance.shards]
        self._forwards = [Forward(shard, [chunk for _, chunk in batch]) for shard in self._staged]
        self._received: list[Any] = [None] * len(self._forwards)
        self._computed = 0

    def store(self, rank: int, group: int) -> None:
        """The rank's row of that group: its keys and values are in its cache now."""
        while self._computed <= group:
            self._compute(self._groups[self._computed])
            self._computed += 1
        staged, own = self._staged[rank].cache, self._instance.shards[rank].cache
        for owner, chunk in self._batch:
            place, nbytes = Place(chunk.table, chunk.start, len(chunk.tokens), BLOCK_SIZE), 0
            for layer in self._groups[group]:
                computed = staged.array[:, layer][:, :, place.blocks, place.offsets]
                own.array[:, layer][:, :, place.blocks, place.offsets] = computed
                nbytes += computed.nbytes
            self._instance.charge(owner, chunk.table[chunk.start // BLOCK_SIZE : -(-place.length // BLOCK_SIZE)], nbytes)

    @property
    def owners(self) -> list[object]:
        """Whose the chunks are, in the order of the logits."""
        return [owner for owner, _ in self._batch]

    def logits(self) -> Floats:
        """After the last token of each chunk; every group has been stored by some rank."""
        logits = self._forwards[0].logits
        assert logits is not None
        return logits

    def _compute(self, layers: Sequence[int]) -> None:
        """Up to the first step of the next group, or to the end."""
        for staged, shard in zip(self._staged, self._instance.shards):
            staged.cache.array[:, layers] = shard.cache.array[:, layers]
        while True:
            for forward_, received in zip(self._forwards, self._received):
                forward_.advance(received)
            entered = [forward_.waits for forward_ in self._forwards if forward_.waits is not None]
            if not entered:
                return
            self._received = complete(entered)
            if (entered[0].layer, entered[0].part) == (layers[-1], "feed") and layers != self._groups[-1]:
                return


def _staged(shard: Shard) -> Shard:
    """The rank over a copy of its cache."""
    staged, staged.cache = copy.copy(shard), copy.copy(shard.cache)
    staged.cache.array = shard.cache.array.copy()
    return staged
