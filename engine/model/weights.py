"""A model's weights: named arrays, seeded or given, and the shard of a tensor-parallel rank.

Names follow the field: `layers.3.attention.query`. Every matrix is stored (in, out), so that a row of activations is multiplied
from the left. A shard cuts heads and the intermediate width into consecutive parts, and keeps norms, the embedding and the
router whole; with expert parallelism it keeps some experts whole instead. Cuts are views: no rank owns a copy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .config import ModelConfig
from .experts import ExpertPlacement

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
COLUMNS = ("query", "key", "value", "gate", "up")
"""Matrices that are cut by their outputs."""
ROWS = ("output", "down")
"""Matrices that are cut by their inputs; their products are partial sums."""


@dataclass(frozen=True)
class Weights:
    """The arrays of a model, or of one rank's shard of it.

    `placement`: with expert parallelism, which place has which experts whole, and `place` is this rank's; None when it has its
    part of each.
    """

    config: ModelConfig
    arrays: Mapping[str, Floats]
    rank: int = 0
    ranks: int = 1
    place: int = 0
    placement: ExpertPlacement | None = None

    def __getitem__(self, name: str) -> Floats:
        return self.arrays[name]

    def shard(self, rank: int, ranks: int) -> Weights:
        """The part of a rank.

        Raises:
            DefinitionError: the model cannot be cut into so many.
        """
        self.config.check_ranks(ranks)
        return Weights(self.config, {name: _cut(name, array, rank, ranks) for name, array in self.arrays.items()}, rank, ranks)

    def expert_shard(self, rank: int, ranks: int, place: int, places: int) -> Weights:
        """The part of a rank when experts are spread evenly over `places` ranks of all instances, of which it is number `place`.

        Raises:
            DefinitionError: the model cannot be cut so.
        """
        self.config.check_places(places)
        return self.placed_shard(rank, ranks, place, ExpertPlacement.even(self.config.experts, places))

    def placed_shard(self, rank: int, ranks: int, place: int, placement: ExpertPlacement) -> Weights:
        """The part of a rank with the experts that the placement gives to its place.

        Raises:
            DefinitionError: the model cannot be cut into so many ranks.
        """
        arrays = {name: array for name, array in self.shard(rank, ranks).arrays.items() if _expert_of(name) is None}
        arrays.update((name, array) for name, array in self.arrays.items() if _expert_of(name) in placement.held[place])
        return Weights(self.config, arrays, rank, ranks, place, placement)

    def placed_like(self, part: Weights) -> Weights:
        """The part of a rank that has such a part of another whole."""
        assert part.placement is not None
        return self.placed_shard(part.rank, part.ranks, part.place, part.placement)

    def expert(self, layer: int, expert: int) -> Floats:
        """The matrices of an expert in a layer, end to end: what travels when it moves. Shape (config.expert_floats,)."""
        return np.concatenate([self.arrays[f"layers.{layer}.feed.{expert}.{kind}"].ravel() for kind, _ in feed_shapes(self.config)])

    def moved(self, placement: ExpertPlacement, arrived: Mapping[tuple[int, int], Floats]) -> Weights:
        """The same rank's part under another placement: the experts that it keeps, and those that have arrived, by layer and number."""
        mine = placement.held[self.place]
        arrays = {name: array for name, array in self.arrays.items() if _expert_of(name) is None or _expert_of(name) in mine}
        for (layer, expert), floats in arrived.items():
            begin = 0
            for kind, (inputs, outputs) in feed_shapes(self.config):
                end = begin + inputs * outputs
                arrays[f"layers.{layer}.feed.{expert}.{kind}"] = floats[begin:end].reshape(inputs, outputs)
                begin = end
        return replace(self, arrays=arrays, placement=placement)

    @property
    def vocabulary(self) -> slice:
        """The tokens whose logits this rank computes: consecutive parts, as even as may be."""
        size = self.config.vocabulary
        return slice(self.rank * size // self.ranks, (self.rank + 1) * size // self.ranks)


def feed_shapes(config: ModelConfig) -> list[tuple[str, tuple[int, int]]]:
    """The matrices of a SwiGLU block, by their last name."""
    wide = config.hidden, config.intermediate
    return [("gate", wide), ("up", wide), ("down", wide[::-1])]


def shapes(config: ModelConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape of every array of the whole model."""
    h, d = config.hidden, config.head_dim
    yield "embedding", (config.vocabulary, h)
    for layer in range(config.layers):
        at = f"layers.{layer}"
        yield f"{at}.attention.norm", (h,)
        yield f"{at}.attention.query", (h, config.heads * d)
        yield f"{at}.attention.key", (h, config.kv_heads * d)
        yield f"{at}.attention.value", (h, config.kv_heads * d)
        yield f"{at}.attention.output", (config.heads * d, h)
        yield f"{at}.feed.norm", (h,)
        if config.experts:
            yield f"{at}.feed.router", (h, config.experts)
        for expert in [f".{e}" for e in range(config.experts)] or [""]:
            yield from ((f"{at}.feed{expert}.{kind}", shape) for kind, shape in feed_shapes(config))
    yield "norm", (h,)
    if not config.tied:
        yield "head", (h, config.vocabulary)


PEAKED = 4.0
"""Factor of a seeded output projection: without it, seeded weights predict next to nothing, and a damaged cache would hardly show."""


def seeded(config: ModelConfig, seed: int = 0) -> Weights:
    """Weights drawn from a seed, scaled so that activations keep their size, and logits are as peaked as a trained model's; norms are near one."""
    generator = np.random.default_rng(seed)
    arrays = {}
    for name, shape in shapes(config):
        if name.endswith("norm"):
            arrays[name] = (1 + 0.1 * generator.standard_normal(shape)).astype(np.float32)
        else:
            scale = 1.0 if name == "embedding" else (PEAKED if name == "head" else 1) / np.sqrt(shape[0])
            arrays[name] = (scale * generator.standard_normal(shape)).astype(np.float32)
    return Weights(config, arrays)


def _cut(name: str, array: Floats, rank: int, ranks: int) -> Floats:
    kind = name.rpartition(".")[2]
    if kind in COLUMNS:
        width = array.shape[1] // ranks
        return array[:, rank * width : (rank + 1) * width]
    if kind in ROWS:
        width = array.shape[0] // ranks
        return array[rank * width : (rank + 1) * width]
    return array


def _expert_of(name: str) -> int | None:
    """The expert that an array belongs to: `layers.0.feed.2.gate` is of expert 2."""
    parts = name.split(".")
    return int(parts[3]) if len(parts) == 5 else None
