"""What a run measured: time to first token and end-to-end latency of every request, and their summary.

One rule: a time is a difference of two readings of one clock, in seconds of that clock; nothing is scaled back by the
speed of the run. Arrival is when the request was due.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

PERCENTILES = (50, 90, 99)


@dataclass(frozen=True)
class Completion:
    """One completed request: its number in the workload, lengths in tokens, and three readings of the clock in seconds."""

    request: int
    prompt_tokens: int
    output_tokens: int
    arrived_s: float
    first_token_s: float
    finished_s: float

    @property
    def ttft_s(self) -> float:
        """Time to first token."""
        return self.first_token_s - self.arrived_s

    @property
    def end_to_end_s(self) -> float:
        """Arrival to last token."""
        return self.finished_s - self.arrived_s


@dataclass(frozen=True)
class Summary:
    """Mean and percentiles of one latency, in seconds; percentiles interpolate between the two nearest values."""

    mean: float
    p50: float
    p90: float
    p99: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Summary | None:
        """The summary of these values; None for none."""
        if not values:
            return None
        data = np.asarray(values, dtype=np.float64)
        return cls(float(data.mean()), *(float(p) for p in np.percentile(data, PERCENTILES)))


@dataclass(frozen=True)
class Report:
    """A finished run. `duration_s` and all latencies are on the run's clock; `speed` says how much faster than the trace it ran.

    `seed`: of the generated workload, or of the policy in lockstep; None where nothing was drawn.
    """

    requests: int
    completions: tuple[Completion, ...]
    duration_s: float
    forwards: int
    rows_fired: int
    speed: float
    ranks: int
    variant: str
    seed: int | None

    @property
    def ttft(self) -> Summary | None:
        """Time to first token over all completed requests."""
        return Summary.of([c.ttft_s for c in self.completions])

    @property
    def end_to_end(self) -> Summary | None:
        """End-to-end latency over all completed requests."""
        return Summary.of([c.end_to_end_s for c in self.completions])

    @property
    def output_tokens(self) -> int:
        """Tokens generated."""
        return sum(c.output_tokens for c in self.completions)

    def summary_rows(self) -> list[tuple[str, str]]:
        """What the run did, as label and value."""
        throughput = self.output_tokens / self.duration_s if self.duration_s > 0 else 0.0
        return [
            ("requests completed", f"{len(self.completions):,} of {self.requests:,}"),
            ("output tokens", f"{self.output_tokens:,}"),
            ("output tokens a second", f"{throughput:,.0f}"),
            ("forwards", f"{self.forwards:,}"),
            ("rows fired", f"{self.rows_fired:,}"),
            ("duration (s)", f"{self.duration_s:,.2f}"),
            ("speed (latencies are not scaled back)", f"{self.speed:g}"),
            ("variant, ranks", f"{self.variant}, {self.ranks}"),
        ]

    def latency_rows(self) -> list[tuple[str, str, str, str, str]]:
        """The two latencies in milliseconds: name, mean, P50, P90, P99; a dash where no request completed."""
        return [_latency_row(name, summary) for name, summary in (("TTFT", self.ttft), ("end to end", self.end_to_end))]

    def as_json(self) -> dict[str, Any]:
        """The report as plain JSON values; latencies in milliseconds."""
        return {
            "requests": self.requests,
            "completed": len(self.completions),
            "output_tokens": self.output_tokens,
            "forwards": self.forwards,
            "rows_fired": self.rows_fired,
            "duration_s": self.duration_s,
            "speed": self.speed,
            "ranks": self.ranks,
            "variant": self.variant,
            "seed": self.seed,
            "ttft_ms": _milliseconds(self.ttft),
            "end_to_end_ms": _milliseconds(self.end_to_end),
        }


def _latency_row(name: str, summary: Summary | None) -> tuple[str, str, str, str, str]:
    if summary is None:
        return (name, "-", "-", "-", "-")
    mean, p50, p90, p99 = (f"{value * 1e3:,.2f}" for value in (summary.mean, summary.p50, summary.p90, summary.p99))
    return (name, mean, p50, p90, p99)


def _milliseconds(summary: Summary | None) -> dict[str, float] | None:
    if summary is None:
        return None
    return {"mean": summary.mean * 1e3, "p50": summary.p50 * 1e3, "p90": summary.p90 * 1e3, "p99": summary.p99 * 1e3}
