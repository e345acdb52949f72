"""The layers as pure functions of arrays, row by row: what one token gets does not depend on what else is in the batch.

Rows are tokens. Products are made with `@` on 32-bit floats; sums over ranks are left to the caller, who makes them in the order
of the ranks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .weights import Floats, Weights


def rms_norm(x: Floats, weight: Floats, eps: float) -> Floats:
    """x / sqrt(mean(x^2) + eps) * weight, over the last axis."""
    return x * (1 / np.sqrt(np.mean(np.square(x), axis=-1, keepdims=True) + np.float32(eps))) * weight


def rotate(x: Floats, positions: NDArray[np.int64], theta: float) -> Floats:
    """Rotary embedding of (tokens, heads, head_dim), first half against second half, at these positions."""
    half = x.shape[-1] // 2
    frequencies = theta ** (-np.arange(half, dtype=np.float64) / half)
    angles = positions[:, None].astype(np.float64) * frequencies
    cos, sin = np.cos(angles).astype(np.float32)[:, None, :], np.sin(angles).astype(np.float32)[:, None, :]
    first, second = x[..., :half], x[..., half:]
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)


def attend(query: Floats, keys: Floats, values: Floats, start: int) -> Floats:
    """Causal attention of the tokens at `start`, start + 1, ... over all keys up to their own position.

    Shapes: query (tokens, heads, head_dim); keys and values (context, kv_heads, head_dim), context = start + tokens.
    Returns (tokens, heads * head_dim). Cost: tokens * context * heads * head_dim multiplications, twice.
    """
    tokens, heads, width = query.shape
    context, kv_heads, _ = keys.shape
    groups = query.reshape(tokens, kv_heads, heads // kv_heads, width)
    scores = np.einsum("tkgd,ckd->kgtc", groups, keys) * np.float32(width**-0.5)
    future = np.arange(context)[None, :] > (start + np.arange(tokens))[:, None]
    scores[:, :, future] = -np.inf
    scores -= scores.max(axis=-1, keepdims=True)
    weights = np.exp(scores)
    weights /= weights.sum(axis=-1, keepdims=True)
    return np.einsum("kgtc,ckd->tkgd", weights, values).reshape(tokens, heads * width)


def feed(x: Floats, weights: Weights, at: str) -> Floats:
    """SwiGLU of one block: (silu(x @ gate) * (x @ up)) @ down; a partial sum when the weights are a shard."""
    gate = x @ weights[f"{at}.gate"]
    return (gate / (1 + np.exp(-gate)) * (x @ weights[f"{at}.up"])) @ weights[f"{at}.down"]


def route(x: Floats, router: Floats, per_token: int) -> tuple[NDArray[np.int64], Floats]:
    """The experts that each token visits, best first, and their weights, which add up to one. Shapes (tokens, per_token)."""
    scores = x @ router
    chosen = np.argsort(-scores, axis=-1, kind="stable")[:, :per_token]
    picked = np.take_along_axis(scores, chosen, axis=-1)
    picked = np.exp(picked - picked.max(axis=-1, keepdims=True))
    return chosen, picked / picked.sum(axis=-1, keepdims=True)


def feed_experts(x: Floats, weights: Weights, at: str) -> Floats:
    """The experts' SwiGLU blocks, each over the tokens that visit it, weighted."""
    chosen, share = route(x, weights[f"{at}.router"], weights.config.experts_per_token)
    out = np.zeros_like(x)
    for expert in range(weights.config.experts):
        rows, place = np.nonzero(chosen == expert)
        if len(rows):
            out[rows] += share[rows, place, None] * feed(x[rows], weights, f"{at}.{expert}")
    return out
