"""One rank's forward over a batch, from one exchange with the other ranks to the next.

A batch is rows of several requests: chunks of prompts and single tokens of decoding requests, each with a position and a block
table of its own. `Forward` is the same in every runtime: it stops where ranks must exchange something, and goes on with what it
receives. The keys and values of a layer are written by the step that begins the layer; nothing else writes them.

What one request gets does not depend on its batch or its chunks, up to the rounding of 32-bit floats (see `layers.py`).
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .collective import AllGather, AllReduce, AllToAll, Collective, reduce, run_together
from .kv_cache import KvCache, Place
from .layers import Integers, Rotation, Routes, attend, feed, feed_experts, product, rms_norm, route
from .numerics import Narrow, exact
from .weights import Floats, Weights

__all__ = ["Chunk", "Forward", "Rows", "Shard", "forward", "reduce"]
Steps = Generator[Collective, Any, Floats]


@dataclass(frozen=True)
class Chunk:
    """Consecutive tokens of one sequence in a forward: their ids, the position of the first, the sequence's block table.

    `outputs`: of how many of its last tokens the logits are wanted: one, none in the middle of a prompt, more with drafts.
    """

    tokens: tuple[int, ...]
    start: int
    table: tuple[int, ...]
    outputs: int = 1


class Rows(tuple[Chunk, ...]):
    """A batch laid out in rows: the chunks' tokens one after another.

    `spans[k]`: the rows of chunk k. `ids`, `positions`: of every row. `wanted`: the rows whose logits are wanted.
    """

    def __init__(self, batch: Sequence[Chunk]):
        ends = np.cumsum([0, *(len(chunk.tokens) for chunk in self)])
        self.spans = [slice(int(begin), int(end)) for begin, end in zip(ends, ends[1:])]
        self.ids = _joined([chunk.tokens for chunk in self])
        self.positions = _joined([range(chunk.start, chunk.start + len(chunk.tokens)) for chunk in self])
        self.wanted = _joined([range(rows.stop - chunk.outputs, rows.stop) for chunk, rows in zip(self, self.spans)])
        self._rotations: dict[tuple[int, float], Rotation] = {}
        self._places: dict[int, list[Place]] = {}

    @classmethod
    def of(cls, batch: Sequence[Chunk]) -> Rows:
        """The batch laid out, if it is not yet."""
        return batch if isinstance(batch, Rows) else cls(batch)

    def places(self, block_size: int) -> list[Place]:
        """Where each chunk lies in a paged cache: found once a forward, not once a layer."""
        if block_size not in self._places:
            self._places[block_size] = [Place(chunk.table, chunk.start, len(chunk.tokens), block_size) for chunk in self]
        return self._places[block_size]

    def rotation(self, head_dim: int, theta: float) -> Rotation:
        """The rotary embedding of the rows: computed once a forward, not once a layer."""
        if (head_dim, theta) not in self._rotations:
            self._rotations[head_dim, theta] = Rotation.at(self.positions, head_dim, theta)
        return self._rotations[head_dim, theta]


class Shard:
    """One rank: its shard of the weights and its cache; the pieces of a forward, and the forward made of them.

    A piece takes the residual stream (rows, hidden), which is the same on all ranks, and returns the rank's partial sum.

    Args:
        narrow: what every operation's result is rounded to.
        captures: whether the routes of all rows are wanted of this rank, also of those that another rank sends to their experts.
    """

    def __init__(self, weights: Weights, cache: KvCache, narrow: Narrow = exact, *, captures: bool = False):
        self.captures = captures
        self.weights, self.cache, self.config, self.narrow = weights, cache, weights.config, narrow

    def steps(self, batch: Sequence[Chunk], captured: list[Routes]) -> Steps:
        """The forward: gives each collective, is sent what it delivers, and returns the logits of the wanted rows.

        `captured` gets the routes of every layer with experts: of the rank's own rows when experts are spread and it does not capture,
        else of all.
        """
        rows = Rows.of(batch)
        x = self.embed(rows)
        for layer in range(self.config.layers):
            x = self.narrow(x + (yield AllReduce(layer, "attention", self.attention(x, layer, rows))))
            if self.weights.placement is None:
                partial = self.feed_forward(x, layer, captured)
            else:
                partial = yield from self._spread_experts(x, layer, captured)
            x = self.narrow(x + (yield AllReduce(layer, "feed", partial)))
        logits: Floats = yield AllGather(self.config.layers, "logits", self.head(x, rows, self.weights.vocabulary))
        return logits

    def embed(self, batch: Sequence[Chunk]) -> Floats:
        """The residual stream before the first layer."""
        return self.weights["embedding"][Rows.of(batch).ids]

    def keys_and_values(self, x: Floats, layer: int, batch: Sequence[Chunk]) -> tuple[Floats, Floats, Floats]:
        """Query, key and value of the rank's heads: (rows, heads, head_dim) each, query and key rotated."""
        at, config, narrow = f"layers.{layer}.attention", self.config, self.narrow
        normed, rotation = self._normed(x, f"{at}.norm"), Rows.of(batch).rotation(config.head_dim, config.rope_theta)
        flat = [narrow(product(normed, self.weights[f"{at}.{kind}"])) for kind in ("query", "key", "value")]
        query, key, value = (part.reshape(len(x), part.shape[1] // config.head_dim, config.head_dim) for part in flat)
        return rotation(query, narrow), rotation(key, narrow), value

    def attention(self, x: Floats, layer: int, batch: Sequence[Chunk]) -> Floats:
        """Write the keys and values of the batch, attend, project."""
        rows = Rows.of(batch)
        query, key, value = self.keys_and_values(x, layer, rows)
        mixed = np.empty((len(x), query.shape[1] * query.shape[2]), np.float32)
        for chunk, own, place in zip(rows, rows.spans, rows.places(self.cache.block_size)):
            self.cache.write(layer, place, key[own], value[own])
            keys, values = self.cache.read(layer, place)
            mixed[own] = attend(query[own], keys, values, chunk.start, self.narrow)
        return self.narrow(product(mixed, self.weights[f"layers.{layer}.attention.output"]))

    def feed_forward(self, x: Floats, layer: int, captured: list[Routes] | None = None) -> Floats:
        """The SwiGLU block, or the rank's part of every expert; `captured` gets the routes then."""
        at, narrow = f"layers.{layer}.feed", self.narrow
        normed = self._normed(x, f"{at}.norm")
        if not self.config.experts:
            return feed(normed, self.weights, at, narrow)
        routes = self._route(normed, at)
        if captured is not None:
            captured.append(routes)
        return feed_experts(normed, routes, self.weights, at, narrow)

    def head(self, x: Floats, batch: Sequence[Chunk], vocabulary: slice) -> Floats:
        """The logits of the wanted rows over a part of the vocabulary."""
        projection = self.weights["embedding"].T if self.config.tied else self.weights["head"]
        return self.narrow(product(self._normed(x[Rows.of(batch).wanted], "norm"), projection[:, vocabulary]))

    def _normed(self, x: Floats, name: str) -> Floats:
        return rms_norm(x, self.weights[name], self.config.norm_eps, self.narrow)

    def _route(self, normed: Floats, at: str) -> Routes:
        return route(normed, self.weights[f"{at}.router"], self.config.experts_per_token)

    def _spread_experts(self, x: Floats, layer: int, captured: list[Routes]) -> Generator[Collective, Any, Floats]:
        """Send the rank's own rows to the ranks that have their experts, serve what comes, and add up what comes back.

        The rows of an instance are dealt out to its ranks, so that no row travels twice; the partial sum is zero elsewhere.
        """
        at, placement = f"layers.{layer}.feed", self.weights.placement
        assert placement is not None
        own = np.arange(self.weights.rank, len(x), self.weights.ranks)
        rows = np.arange(len(x)) if self.captures else own
        normed = self._normed(x[rows], f"{at}.norm")
        routes = self._route(normed, at)
        captured.append(routes)
        if self.captures:
            normed, routes = normed[own], Routes(routes.chosen[own], routes.share[own])
        visits = [routes.visits(expert) for expert in range(self.config.experts)]
        sent = [[(rows[mine], share[mine]) for (rows, share), mine in ((visits[e], mine) for e, mine in part)] for part in placement.parts()]
        received = yield AllToAll(layer, "dispatch", tuple(tuple(normed[rows] for rows, _ in parcel) for parcel in sent))
        mine = placement.held[self.weights.place]
        served = tuple(tuple(feed(rows, self.weights, f"{at}.{e}", self.narrow) for e, rows in zip(mine, parcel)) for parcel in received)
        returned = yield AllToAll(layer, "combine", served)
        partial = np.zeros_like(x)
        for parcel, answers in zip(sent, returned):
            for (rows, share), answer in zip(parcel, answers):
                partial[own[rows]] += share * answer
        return self.narrow(partial)


class Forward:
    """A forward of one rank that stops at each collective.

    `waits`: the collective that it is at, None before the first and after the last. `begun`: the layers that it has begun, whose keys and
    values are in the cache. `logits`: (wanted rows, vocabulary) at the end. `routes`: of each layer with experts that it has passed.
    """

    def __init__(self, shard: Shard, batch: Sequence[Chunk]):
        self.layers, self.begun = shard.config.layers, 0
        self.routes: list[Routes] = []
        self.waits: Collective | None = None
        self.logits: Floats | None = None
        self._steps = shard.steps(batch, self.routes)

    @property
    def begins(self) -> bool:
        """Whether the next `advance` begins a layer."""
        return self.begun < self.layers and (self.waits is None or self.waits.part == "feed")

    def advance(self, received: Any = None) -> None:
        """Go on to the next collective, with what the last one delivered."""
        self.begun += self.begins
        try:
            self.waits = self._steps.send(received)
        except StopIteration as end:
            self.waits, self.logits = None, end.value


def forward(shards: Sequence[Shard], batch: Sequence[Chunk]) -> Floats:
    """A whole forward over all ranks of an instance, in one thread: the logits of the wanted rows, in order."""
    forwards = [Forward(shard, batch) for shard in shards]
    run_together(forwards, len(forwards))
    assert forwards[0].logits is not None
    return forwards[0].logits


def _joined(parts: Sequence[Sequence[int]]) -> Integers:
    return np.concatenate([np.zeros(0, np.int64), *(np.asarray(part, np.int64) for part in parts)])
