"""The routes of tokens (R3): which experts each has visited, captured in a forward, to travel with the tokens that come of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .layers import Integers, Routes
from .shard import Rows


def routes_of(rows: Rows, layers: Sequence[Routes]) -> list[list[Integers]]:
    """For every chunk of a batch, what its tokens visited: an array (tokens, experts_per_token) a layer."""
    return [[routes.chosen[own] for routes in layers] for own in rows.spans]


@dataclass(frozen=True)
class Routing:
    """The experts that consecutive tokens visited, as bytes, to travel with a token. `shape`: (layers, tokens, experts_per_token)."""

    shape: tuple[int, int, int]
    experts: bytes

    @classmethod
    def of(cls, layers: Sequence[Integers]) -> Routing:
        """From an array (tokens, experts_per_token) a layer."""
        together = np.stack(layers).astype(np.uint16)
        layer_count, tokens, per_token = together.shape
        return cls((layer_count, tokens, per_token), together.tobytes())

    def arrays(self) -> list[Integers]:
        """An array (tokens, experts_per_token) a layer."""
        return list(np.frombuffer(self.experts, np.uint16).reshape(self.shape).astype(np.int64))


def joined(parts: Sequence[Sequence[Integers]]) -> list[Integers]:
    """The routes of consecutive parts of a sequence as those of the whole, layer by layer."""
    return [np.concatenate(layers) for layers in zip(*parts, strict=True)]
