"""Policies: who has the next turn in lockstep, and which of its rows it takes. The same seed gives the same run.

`RoundRobin` is for engines that shall get on; `SeededRandom` and `Priorities` (PCT) look for interleavings that go wrong; `Recorded` goes along a
path that the checker has found. `recording.py` has those that write down what another chose, and do it again.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Protocol

from protocol import TraceError
from protocol.action import Instance
from protocol.trace import Trace
from protocol.types import Boolean, Enum, Optional, Type, Value

from ..driver import Copy, Driver
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


class Recorded:
    """A path of (copy, event, values), as a trace of `interlock check` holds it."""

    def __init__(self, trace: Trace):
        self._trace = trace

    def steps(self, driver: Driver) -> Iterator[tuple[Copy, list[Instance]]]:
        """Of each step in turn, the copy and the rows of its name that can leave the copy's state, at most one of which is enabled.

        Whoever asks fires it before it asks for the next.

        Raises:
            TraceError: a step names no row that could be taken where it stands.
        """
        copies = {copy.name: copy for copy in (*driver.copies.values(), *driver.environment.values())}
        for number, step in enumerate(self._trace.steps, 1):
            copy = copies.get(step.copy)
            rows = [] if copy is None else [a for a in copy.rows[copy.state] if a.row.event == step.event]
            if copy is None or not rows:
                text = f"step {number} of the trace, {step.name}, is no row that {step.copy} could take there"
                raise TraceError(f"{text}; find the trace anew with `interlock check --trace`")
            chosen = dict(step.values)
            yield copy, [Instance(a, copy.indices, tuple(value_of(p.type, chosen[p.name]) for p in a.row.choose)) for a in rows]


def value_of(kind: Type, text: str) -> Value:
    """The value of a scalar type that is shown as this text.

    Raises:
        TraceError: there is none.
    """
    try:
        if isinstance(kind, Optional):
            return None if text == "-" else value_of(kind.inner, text)
        if isinstance(kind, Enum):
            return kind.cls[text]
        value: Value = {"False": False, "True": True}[text] if isinstance(kind, Boolean) else int(text)
    except (KeyError, ValueError):
        value = None
    if not kind.contains(value):
        raise TraceError(f"{text!r} is no value of {kind}; find the trace anew with `interlock check --trace`")
    return value
