"""What a run measured, request by request, and the figures that follow from it; defined as users of `vllm bench serve` know them.

One rule: a time is a difference of two readings of one clock, in seconds of that clock; nothing is scaled back by the speed of
the run. A latency counts from the sending of the request, an answer ends with its last piece, and what failed counts in nothing
but the number of failures.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np


@dataclass(frozen=True)
class Completion:
    """One request and its answer, as the client saw them.

    Args:
        request: its number in the workload. prompt_tokens, output_tokens: lengths; of a failed one, the answer's is 0.
        due_s, sent_s: when it was to be sent, and when it was (later while the client was at its concurrency).
        pieces_s: when the pieces of the answer came, in order; at least one unless it failed. A piece is a token, or several
            that came together.
        error: why there is no answer; empty where there is one.
    """

    request: int
    prompt_tokens: int
    output_tokens: int
    due_s: float
    sent_s: float
    pieces_s: tuple[float, ...]
    error: str = ""

    @property
    def finished_s(self) -> float:
        """When the last piece came."""
        return self.pieces_s[-1]

    @property
    def queued_s(self) -> float:
        """How long the client held it back."""
        return self.sent_s - self.due_s

    @property
    def ttft_s(self) -> float:
        """Time to first token."""
        return self.pieces_s[0] - self.sent_s

    @property
    def tpot_s(self) -> float | None:
        """Time per output token after the first; None for an answer of one token."""
        return (self.e2el_s - self.ttft_s) / (self.output_tokens - 1) if self.output_tokens > 1 else None

    @property
    def itl_s(self) -> list[float]:
        """Inter-token latencies: the intervals between pieces."""
        return [later - earlier for earlier, later in pairwise(self.pieces_s)]

    @property
    def e2el_s(self) -> float:
        """End-to-end latency: from sending to the last piece."""
        return self.finished_s - self.sent_s


@dataclass(frozen=True)
class Summary:
    """Mean, median, standard deviation and percentiles of some values, in their unit; percentiles interpolate between the two nearest."""

    mean: float
    median: float
    std: float
    percentiles: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float], percentiles: Sequence[float]) -> Summary:
        """The summary of these values; zeros for none, as vLLM has it."""
        data = np.asarray(values or [0.0], dtype=np.float64)
        return cls(float(data.mean()), float(np.median(data)), float(data.std()), tuple(float(np.percentile(data, p)) for p in percentiles))


@dataclass(frozen=True)
class Measurement:
    """A finished run as its client measured it: every request, in the workload's order, and how long all of it took."""

    completions: tuple[Completion, ...]
    duration_s: float

    @property
    def answered(self) -> list[Completion]:
        """The requests that have an answer."""
        return [c for c in self.completions if not c.error]

    @property
    def failed(self) -> list[Completion]:
        """The requests that have none."""
        return [c for c in self.completions if c.error]

    @property
    def input_tokens(self) -> int:
        """Tokens of the prompts that were answered."""
        return sum(c.prompt_tokens for c in self.answered)

    @property
    def output_tokens(self) -> int:
        """Tokens generated."""
        return sum(c.output_tokens for c in self.answered)

    def per_second(self, count: float) -> float:
        """A count over the whole run, per second; 0 for a run of no duration."""
        return count / self.duration_s if self.duration_s > 0 else 0.0

    def values_s(self, metric: str) -> list[float]:
        """All values of `ttft`, `tpot`, `itl`, `e2el` or `queued`, in seconds."""
        if metric == "itl":
            return [interval for c in self.answered for interval in c.itl_s]
        values = (getattr(c, f"{metric}_s") for c in self.answered)
        return [value for value in values if value is not None]

    def good(self, objectives_ms: Mapping[str, float]) -> int:
        """Answered requests none of whose latencies is above its objective (milliseconds, by `ttft`, `tpot` or `e2el`)."""
        # An answer of one token has no time per output token, and cannot miss an objective for it.
        return sum(all((getattr(c, f"{m}_s") or 0.0) * 1e3 <= most for m, most in objectives_ms.items()) for c in self.answered)

    @property
    def peak_pieces(self) -> int:
        """The most pieces that came within one second, counted in whole seconds from the first sending."""
        began = min((c.sent_s for c in self.answered), default=0.0)
        counts = Counter(math.floor(piece - began) for c in self.answered for piece in c.pieces_s)
        return max(counts.values(), default=0)

    @property
    def peak_requests(self) -> int:
        """The most answered requests that were under way at one moment; one that ends as another begins is over."""
        changes = sorted(change for c in self.answered for change in ((c.sent_s, 1), (c.finished_s, -1)))
        return max(accumulate(step for _, step in changes), default=0)
