"""The layers as pure functions of arrays, row by row: what one token gets does not depend on what else is in the batch.

Rows are tokens. Products are of 32-bit floats; sums over ranks are left to the caller, who makes them in the order
of the ranks. `narrow` is applied to the result of every operation (see `numerics.py`).

A library sums a product of one row in another order than that of several, so "does not depend" means: up to the rounding of
32-bit floats.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .numerics import Narrow, exact
from .weights import Floats, Weights

Integers = NDArray[np.int64]


FEW_ROWS = 4
"""Up to so many rows are multiplied one by one, and have the very bits that each has alone."""


CACHED_FLOATS = 1 << 17
"""What surely fits into the cache of a core."""
FEW_HEAD_ROWS = 16
"""The same of the query heads and tokens that share a key head."""


def product(x: Floats, matrix: Floats) -> Floats:
    """x @ matrix. A library copies the whole matrix before it multiplies several rows, which for few rows costs more than it saves.

    A transposed matrix, as the weights are, is taken a few columns at a time, which the next row finds in the core's cache.
    """
    if not 1 < len(x) <= FEW_ROWS:
        return x @ matrix
    out = np.empty((len(x), matrix.shape[1]), np.float32)
    width = max(1, CACHED_FLOATS // len(matrix)) if matrix.strides[0] < matrix.strides[1] else matrix.shape[1]
    for columns in (slice(begin, begin + width) for begin in range(0, matrix.shape[1], width)):
        part = matrix[:, columns]
        for row, into in zip(x, out):
            into[columns] = row @ part  # `np.dot` would copy a part of a shard, whose columns do not lie together
    return out


def rms_norm(x: Floats, weight: Floats, eps: float, narrow: Narrow = exact) -> Floats:
    """x / sqrt(mean(x^2) + eps) * weight, over the last axis."""
    scale: Floats = np.reciprocal(np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + np.float32(eps)))
    return narrow(x * scale * weight)


@dataclass(frozen=True)
class Rotation:
    """The rotary embedding at some positions: cosines (tokens, 1, head_dim), each half alike, and sines (tokens, 1, head_dim / 2)."""

    cos: Floats
    sin: Floats

    @classmethod
    def at(cls, positions: Integers, head_dim: int, theta: float) -> Rotation:
        """The angles position * theta^(-2i / head_dim), computed in 64-bit floats."""
        half = head_dim // 2
        angles = positions[:, None, None].astype(np.float64) * theta ** (-np.arange(half, dtype=np.float64) / half)
        cos = np.cos(angles).astype(np.float32)
        return cls(np.concatenate([cos, cos], axis=-1), np.sin(angles).astype(np.float32))

    def __call__(self, x: Floats, narrow: Narrow = exact) -> Floats:
        """Turn (tokens, heads, head_dim), first half against second."""
        half = self.sin.shape[-1]
        turned = x * self.cos
        turned[..., :half] -= x[..., half:] * self.sin
        turned[..., half:] += x[..., :half] * self.sin
        return narrow(turned)


def attend(query: Floats, keys: Floats, values: Floats, start: int, narrow: Narrow = exact) -> Floats:
    """Causal attention of the tokens at `start`, start + 1, ... over all keys up to their own position.

    Shapes: query (tokens, heads, head_dim); keys and values (context, kv_heads, head_dim), context = start + tokens.
    Returns (tokens, heads * head_dim). Cost: tokens * context * heads * head_dim multiplications, twice.
    """
    tokens, heads, width = query.shape
    context, kv_heads, _ = keys.shape
    group = heads // kv_heads
    # One product a key head, over all its query heads and tokens: (kv_heads, group * tokens, context).
    grouped = query.reshape(tokens, kv_heads, group, width).transpose(1, 2, 0, 3).reshape(kv_heads, group * tokens, width)
    scale: np.float32 = np.float32(width**-0.5)
    scores = narrow(_products(grouped, keys.transpose(1, 2, 0)) * scale)
    if tokens > 1:
        future = np.arange(context) > (start + np.arange(tokens))[:, None]
        scores.reshape(kv_heads, group, tokens, context)[:, :, future] = -np.inf
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    mixed = narrow(_products(narrow(scores), values.transpose(1, 0, 2)))
    return mixed.reshape(kv_heads, group, tokens, width).transpose(2, 0, 1, 3).reshape(tokens, heads * width)


def _products(left: Floats, right: Floats) -> Floats:
    """left @ right, head by head; few rows one by one, as in `product`: (heads, rows, width of right)."""
    if left.shape[1] > FEW_HEAD_ROWS:
        return left @ right
    out = np.empty((*left.shape[:2], right.shape[2]), np.float32)
    for rows, matrix, into in zip(left, right, out):
        for row, to in zip(rows, into):
            np.dot(row, matrix, out=to)
    return out


def feed(x: Floats, weights: Weights, at: str, narrow: Narrow = exact) -> Floats:
    """SwiGLU of one block: (silu(x @ gate) * (x @ up)) @ down; a partial sum when the weights are a shard."""
    gate, up = narrow(product(x, weights[f"{at}.gate"])), narrow(product(x, weights[f"{at}.up"]))
    return narrow(product(narrow(gate / (1 + np.exp(-gate)) * up), weights[f"{at}.down"]))


@dataclass(frozen=True)
class Routes:
    """Which experts each token visits, best first, and with what weight; both (tokens, experts_per_token). Weights add up to one."""

    chosen: Integers
    share: Floats

    def visits(self, expert: int) -> tuple[Integers, Floats]:
        """The rows that visit an expert, ascending, and their weights (rows, 1)."""
        rows, place = np.nonzero(self.chosen == expert)
        return rows, self.share[rows, place, None]


def route(x: Floats, router: Floats, per_token: int, chosen: Integers | None = None) -> Routes:
    """The routes of these tokens; `chosen` replays the choice of an earlier pass (the weights are always of this one)."""
    scores = x @ router
    if chosen is None:
        chosen = np.argsort(-scores, axis=-1, kind="stable")[:, :per_token]
    picked = np.take_along_axis(scores, chosen, axis=-1)
    picked = np.exp(picked - picked.max(axis=-1, keepdims=True))
    return Routes(chosen, picked / picked.sum(axis=-1, keepdims=True))


def feed_experts(x: Floats, routes: Routes, weights: Weights, at: str, narrow: Narrow = exact) -> Floats:
    """The experts' SwiGLU blocks, each over the tokens that visit it, weighted."""
    out = np.zeros_like(x)
    for expert in range(weights.config.experts):
        rows, share = routes.visits(expert)
        if len(rows):
            out[rows] += share * feed(x[rows], weights, f"{at}.{expert}", narrow)
    return narrow(out)
