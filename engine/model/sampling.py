"""Choosing the next token: greedy, or by temperature and nucleus, with a generator of the request's own.

A request's draws depend on its own seed and on how many it has made, never on its batch. The log-probability that is reported
is the model's, before temperature and nucleus.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from protocol import DefinitionError

from .reference import log_softmax
from .weights import Floats

GREEDY_BELOW = 1e-5
"""A lower temperature is 0: logits divided by it would leave the range of 32-bit floats."""
NUCLEUS_EDGE = 1e-5
"""Sums of probabilities that are closer to top_p may be on either side of it, by rounding."""


@dataclass(frozen=True)
class Sampling:
    """How a request's tokens are chosen: temperature 0 (or nearly) is greedy; top_p in (0, 1]; seed of its own draws.

    Raises:
        DefinitionError: a number outside its range.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.temperature) and 0 <= self.temperature <= 2):
            raise DefinitionError(f"temperature={self.temperature}: give a number from 0 to 2")
        if self.temperature < GREEDY_BELOW:
            object.__setattr__(self, "temperature", 0.0)
        if not 0 < self.top_p <= 1:
            raise DefinitionError(f"top_p={self.top_p}: give a number above 0, at most 1")


def nucleus(probabilities: Floats, top_p: float) -> Floats:
    """The distribution over the likeliest tokens whose probabilities together reach top_p; shape (vocabulary,)."""
    if top_p >= 1:
        return probabilities
    order = np.argsort(-probabilities, kind="stable")
    reached = np.cumsum(probabilities[order])
    keep = order[: int(np.searchsorted(reached, top_p)) + 1]
    kept = np.zeros_like(probabilities)
    kept[keep] = probabilities[keep]
    return kept / kept.sum()


def distribution(logits: Floats, temperature: float, top_p: float) -> Floats:
    """The distribution that is drawn from; temperature above 0."""
    return nucleus(np.exp(log_softmax(logits / np.float32(temperature))), top_p)


def choose(logits: Floats, sampling: Sampling, drawn: int) -> tuple[int, float]:
    """The next token of a request that has drawn so many, and its log-probability. Logits: (vocabulary,)."""
    logs = log_softmax(logits)
    if sampling.temperature == 0:
        token = int(np.argmax(logits))
    else:
        weights = distribution(logits, sampling.temperature, sampling.top_p)
        token = int(np.searchsorted(np.cumsum(weights), _draw(sampling, drawn) * weights.sum(), side="right"))
    return min(token, len(logits) - 1), float(logs[min(token, len(logits) - 1)])


def missed(logs: Floats, sampling: Sampling, drawn: int, token: int) -> float:
    """By how much log-probabilities miss a token that `choose` is said to have chosen of nearly the same ones; 0 if they choose it, too.

    Of a greedy token, how much likelier another is, in log-probability. Of a drawn one, how far the draw is from the token's part of the
    distribution (0 to 1), whichever way rounding has moved the edge of the nucleus.
    """
    if sampling.temperature == 0:
        return float(logs.max() - logs[token])
    edges = {max(sampling.top_p - NUCLEUS_EDGE, NUCLEUS_EDGE), sampling.top_p, min(sampling.top_p + NUCLEUS_EDGE, 1.0)}
    draw = _draw(sampling, drawn)
    return min(_missed(distribution(logs, sampling.temperature, top_p), draw, token) for top_p in edges)


def _missed(weights: Floats, draw: float, token: int) -> float:
    if weights[token] == 0:
        return 1.0
    ends = np.cumsum(weights, dtype=np.float64)
    begin, end = (ends[token] - weights[token]) / ends[-1], ends[token] / ends[-1]
    return float(max(begin - draw, draw - end, 0.0))


def _draw(sampling: Sampling, drawn: int) -> float:
    return float(np.random.default_rng((sampling.seed, drawn)).random())
