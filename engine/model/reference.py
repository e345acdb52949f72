"""The monolithic pass: the whole sequence at once, one shard, no pages, no protocol. What the engine is compared with.

Written apart from `shard.py` on purpose: it shares the layers, and neither the cache nor the cutting into ranks and chunks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .layers import Integers, Rotation, attend, feed, feed_experts, rms_norm, route
from .weights import Doubles, Floats, Weights


def log_probabilities(weights: Weights, tokens: Sequence[int], routes: Sequence[Integers] | None = None) -> Floats:
    """log p(next token | tokens up to here) for every position: (len(tokens), vocabulary). Cost: quadratic in the tokens.

    `routes`: the experts that each token visits, an array (len(tokens), experts_per_token) a layer; None for the router's own choice.
    """
    config, count = weights.config, len(tokens)
    rotation = Rotation.at(np.arange(count), config.head_dim, config.rope_theta)
    x = weights["embedding"][np.asarray(tokens, np.int64)]
    for layer in range(config.layers):
        at = f"layers.{layer}"
        normed = rms_norm(x, weights[f"{at}.attention.norm"], config.norm_eps)
        heads = [(normed @ weights[f"{at}.attention.{kind}"]).reshape(count, -1, config.head_dim) for kind in ("query", "key", "value")]
        x = x + attend(rotation(heads[0]), rotation(heads[1]), heads[2], 0) @ weights[f"{at}.attention.output"]
        normed = rms_norm(x, weights[f"{at}.feed.norm"], config.norm_eps)
        if config.experts:
            found = route(normed, weights[f"{at}.feed.router"], config.experts_per_token, None if routes is None else routes[layer])
            x = x + feed_experts(normed, found, weights, f"{at}.feed")
        else:
            x = x + feed(normed, weights, f"{at}.feed")
    logits = rms_norm(x, weights["norm"], config.norm_eps) @ (weights["embedding"].T if config.tied else weights["head"])
    return log_softmax(logits)


def greedy(weights: Weights, prompt: Sequence[int], count: int) -> list[int]:
    """The next `count` tokens, each the likeliest; the whole sequence is computed anew for each."""
    tokens = list(prompt)
    for _ in range(count):
        tokens.append(int(np.argmax(log_probabilities(weights, tokens)[-1])))
    return tokens[len(prompt) :]


def log_softmax(logits: Floats) -> Floats:
    """Logarithms of the probabilities, over the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def k3(reference: Floats | Doubles, engine: Floats | Doubles) -> Doubles:
    """The k3 estimate of the divergence, per token, from the log-probabilities of the generated tokens.

    (r - 1) - log r with r = p_reference / p_engine: never negative, zero where both agree (facts: serving.md).
    """
    log_ratio = np.asarray(reference, np.float64) - np.asarray(engine, np.float64)
    return np.expm1(log_ratio) - log_ratio
