"""One rank's forward, cut where the ranks must add up: two partial sums a layer.

`start` .. `finish` are the pieces between the all-reduces. The residual stream is the same on all ranks; a piece takes it, writes the
rank's keys and values, and returns the rank's partial sum. `reduce` adds partial sums in the order of the ranks, so that the
result has the same bits on every rank and in every run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .kv_cache import KvCache
from .layers import attend, feed, feed_experts, rms_norm, rotate
from .weights import Floats, Weights


@dataclass(frozen=True)
class Chunk:
    """Consecutive tokens of one sequence in a forward: their ids, the position of the first, the sequence's block table."""

    tokens: tuple[int, ...]
    start: int
    table: tuple[int, ...]


def reduce(partials: Sequence[Floats]) -> Floats:
    """The sum over the ranks, in their order."""
    total = partials[0].copy()
    for partial in partials[1:]:
        total += partial
    return total


class Shard:
    """The forward of one rank over its shard of the weights and its cache."""

    def __init__(self, weights: Weights, cache: KvCache):
        self.weights, self.cache, self.config = weights, cache, weights.config

    def embed(self, batch: Sequence[Chunk]) -> Floats:
        """The residual stream before the first layer: (tokens of the batch, hidden)."""
        return self.weights["embedding"][np.concatenate([np.asarray(c.tokens, np.int64) for c in batch])]

    def keys_and_values(self, x: Floats, layer: int, batch: Sequence[Chunk]) -> tuple[Floats, Floats, Floats]:
        """Query, key and value of the rank's heads: (tokens, heads, head_dim) each, rotated."""
        at, config = f"layers.{layer}.attention", self.config
        normed = rms_norm(x, self.weights[f"{at}.norm"], config.norm_eps)
        positions = _positions(batch)
        query, key, value = (
            (normed @ self.weights[f"{at}.{kind}"]).reshape(len(x), -1, config.head_dim) for kind in ("query", "key", "value")
        )
        return rotate(query, positions, config.rope_theta), rotate(key, positions, config.rope_theta), value

    def attention(self, x: Floats, layer: int, batch: Sequence[Chunk]) -> Floats:
        """Write the keys and values of the batch, attend, project: the rank's partial sum."""
        query, key, value = self.keys_and_values(x, layer, batch)
        mixed = np.empty((len(x), query.shape[1] * query.shape[2]), np.float32)
        row = 0
        for chunk in batch:
            rows = slice(row, row + len(chunk.tokens))
            self.cache.write(layer, chunk.table, chunk.start, key[rows], value[rows])
            keys, values = self.cache.read(layer, chunk.table, chunk.start + len(chunk.tokens))
            mixed[rows] = attend(query[rows], keys, values, chunk.start)
            row = rows.stop
        return mixed @ self.weights[f"layers.{layer}.attention.output"]

    def feed_forward(self, x: Floats, layer: int) -> Floats:
        """The rank's partial sum of the SwiGLU block, or of the experts."""
        at = f"layers.{layer}.feed"
        normed = rms_norm(x, self.weights[f"{at}.norm"], self.config.norm_eps)
        return feed_experts(normed, self.weights, at) if self.config.experts else feed(normed, self.weights, at)

    def logits(self, x: Floats, batch: Sequence[Chunk]) -> Floats:
        """Logits after the last token of each chunk: (chunks, vocabulary)."""
        last = np.cumsum([len(c.tokens) for c in batch]) - 1
        normed = rms_norm(x[last], self.weights["norm"], self.config.norm_eps)
        return normed @ (self.weights["embedding"].T if self.config.tied else self.weights["head"])


def forward(shards: Sequence[Shard], batch: Sequence[Chunk]) -> Floats:
    """A whole forward over all ranks of a group, in one thread: the logits after each chunk."""
    x = shards[0].embed(batch)
    for layer in range(shards[0].config.layers):
        x = x + reduce([shard.attention(x, layer, batch) for shard in shards])
        x = x + reduce([shard.feed_forward(x, layer) for shard in shards])
    return shards[0].logits(x, batch)


def _positions(batch: Sequence[Chunk]) -> NDArray[np.int64]:
    return np.concatenate([np.arange(c.start, c.start + len(c.tokens)) for c in batch])
