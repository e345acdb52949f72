"""The rank: what a tensor-parallel worker process does when its machine's rows fire.

The forward is a timed stand-in: a fixed time and a time per token, divided by the speed of the run. One rank reports the
result, as one rank of the real system does; the machine's barrier has made sure that it speaks for all.
"""

from __future__ import annotations

from ..binding import after
from ..clock import Clock
from ..step import Step
from .batch import Batch, Result

FORWARD_S = 0.005
TOKEN_S = 5e-6
IDLE_S = 0.2
"""Longest pause of an iteration without work. The real ones look every ms (facts section 4); ours are told when the queue is filled."""
REPORTING = LOOKING = 0
"""The rank that reports the result, and the one that looks at the queue. The others meet it at a barrier, and nobody tells them of the queue."""


class Rank:
    """One rank's data plane."""

    def __init__(self, rank: int, speed: float, clock: Clock):
        self._rank, self._speed, self._clock = rank, speed, clock
        self._batch: Batch | None = None

    @after("worker.read_batch", "worker.read_last_batch")
    def take(self, step: Step) -> None:
        """The batch has been read: its contents came with it."""
        self._batch = step.cargo

    @after("worker.start_forward")
    def forward(self, step: Step) -> None:
        """Run the forward."""
        tokens = 0 if self._batch is None else self._batch.tokens
        self._clock.sleep((FORWARD_S + TOKEN_S * tokens) / self._speed)

    @after("worker.finish_forward")
    def report(self, step: Step) -> Result | None:
        """The forward is over: the result, once per instance."""
        batch, self._batch = self._batch, None
        return Result(batch, self._clock.now()) if batch is not None and self._rank == REPORTING else None

    @after("worker.see_no_batch")
    def rest(self, step: Step) -> None:
        """No work in this iteration."""
        if self._rank == LOOKING:
            self._clock.doze(IDLE_S, "queue_filled")
