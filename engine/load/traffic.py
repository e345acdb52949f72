"""Traffic: when the sessions of a workload begin, and how many may be under way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from protocol import DefinitionError

from ..workload import Session


@dataclass(frozen=True)
class Traffic:
    """How a workload is played.

    Args:
        request_rate: sessions that begin in a second, on average (a request of no session is one); infinity for all at once;
            None for the workload's own timestamps.
        burstiness: shape of the gamma distribution of the intervals: 1 is a Poisson process, less is burstier, infinity is even.
        concurrency: sessions that may be under way, each with one request at most; None for any number. A session that may not
            begin yet waits in the client.
        speed: how much faster than its timestamps a workload is played.
        seed: of the intervals.

    Raises:
        DefinitionError: a number out of range.
    """

    request_rate: float | None = None
    burstiness: float = 1.0
    concurrency: int | None = None
    speed: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("request_rate", "burstiness", "speed"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise DefinitionError(f"{name}={value}: give a positive number")
        if math.isinf(self.speed):
            raise DefinitionError(f"speed={self.speed}: give a finite number; an infinite request rate sends everything at once")
        if self.concurrency is not None and self.concurrency < 1:
            raise DefinitionError(f"concurrency={self.concurrency}: give at least 1")

    @property
    def timed(self) -> bool:
        """Whether the workload's own timestamps count."""
        return self.request_rate is None

    def starts_s(self, sessions: Sequence[Session]) -> list[float]:
        """When each session is to begin, in seconds after the start of the run, in order of the sessions."""
        if self.request_rate is None:
            return [rounds[0][1].arrival_s / self.speed for rounds in sessions]
        mean = 1 / self.request_rate
        if math.isinf(self.request_rate) or math.isinf(self.burstiness):
            return [(k + 1) * mean for k in range(len(sessions))]
        drawn = np.random.default_rng(self.seed).gamma(self.burstiness, mean / self.burstiness, len(sessions))
        starts = np.cumsum(drawn)
        # vLLM scales the intervals so that their sum is what the rate promises: runs with different seeds then load a server alike.
        return list(starts * (len(sessions) * mean / starts[-1]))
