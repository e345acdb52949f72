"""What travels between the engine and its ranks beside the protocol: a batch's contents and a forward's result."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Batch:
    """The work of one forward: how many tokens it runs over, and which requests (by number) get an output token from it."""

    forward: int
    tokens: int
    requests: tuple[int, ...]
    emitting: tuple[int, ...]


@dataclass(frozen=True)
class Result:
    """A forward is over: its batch, and when (seconds of the run's clock)."""

    batch: Batch
    at: float
