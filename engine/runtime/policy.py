"""Policies: who has the next turn in lockstep, and which of its rows it takes. The same seed gives the same run.

`RoundRobin` is for engines that shall get on; `SeededRandom` and `Priorities` (PCT) look for interleavings that go wrong. `recording.py` has those
that write down what another chose, and do it again. A path that the checker has found leaves nothing to choose: see `replay/path.py`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Protocol

from protocol.action import Instance

from .agent import Offer

PATIENCE = 50
"""Turns after which a copy loses its priority: a loop that polls, or some that ask and refuse one another, would keep the rest from what they
wait for."""


class Policy(Protocol):
    """What a lockstep run asks."""

    def turn(self, able: Sequence[int]) -> int:
        """Which of these copies, by number, has the next turn."""

    def order(self, offers: list[Offer]) -> list[Offer]:
        """In which order it tries its rows, the least recent of which comes first."""

    def pick(self, instances: Sequence[Instance]) -> Instance:
        """Which values a row takes that it may choose."""


class RoundRobin:
    """Each in turn, its least recent row first."""

    def __init__(self) -> None:
        self._last = -1

    def turn(self, able: Sequence[int]) -> int:
        """The next after the one before."""
        self._last = next((k for k in able if k > self._last), able[0])
        return self._last

    def order(self, offers: list[Offer]) -> list[Offer]:
        """As they come."""
        return offers

    def pick(self, instances: Sequence[Instance]) -> Instance:
        """The first in canonical order."""
        return instances[0]


class SeededRandom:
    """Any copy, any row, any value, each as likely as the others."""

    def __init__(self, seed: int):
        self._rng = random.Random(seed)

    def turn(self, able: Sequence[int]) -> int:
        """Any."""
        return self._rng.choice(able)

    def order(self, offers: list[Offer]) -> list[Offer]:
        """Any order."""
        self._rng.shuffle(offers)
        return offers

    def pick(self, instances: Sequence[Instance]) -> Instance:
        """Any."""
        return self._rng.choice(instances)


class Priorities(SeededRandom):
    """Probabilistic concurrency testing (Burckhardt et al., ASPLOS 2010): the copy of highest priority goes on until a change point demotes it.

    Args:
        seed: of the priorities, of the change points, and of what a copy chooses.
        changes: d - 1 of the paper: a bug that needs d rows in a certain order is met with probability 1 / (copies * rows ** (d - 1)) at least.
        rows: how many rows the run is expected to fire.
    """

    def __init__(self, seed: int, changes: int, rows: int):
        super().__init__(seed)
        self._priority: dict[int, float] = {}
        self._points = set(self._rng.sample(range(1, rows + 1), min(changes, rows)))
        self._lowest, self._turns = 0.0, 0
        self._had: dict[int, int] = {}

    def turn(self, able: Sequence[int]) -> int:
        """The able copy of highest priority; at a change point it is demoted first."""
        for k in able:
            if k not in self._priority:
                self._priority[k] = self._rng.random()
        self._turns += 1
        chosen = max(able, key=self._priority.__getitem__)
        if self._turns in self._points or self._had.get(chosen, 0) == PATIENCE:
            self._lowest -= 1.0
            self._priority[chosen], self._had[chosen] = self._lowest, 0
            chosen = max(able, key=self._priority.__getitem__)
        self._had[chosen] = self._had.get(chosen, 0) + 1
        return chosen
