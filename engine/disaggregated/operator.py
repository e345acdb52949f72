"""The operator of an engine: pause, resume, new weights. What it may do when is the protocol's; see `machines/repaired/control.py`.

An order is a letter to the router's process; what has come of it is one back.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from protocol.machines.repaired.control import Control

from ..binding import Outcome, after, carries, decides
from ..step import Step
from .job import NewWeights
from .plant import Plant


class Order(StrEnum):
    """What the operator wants; the names of the rows that begin it."""

    PAUSE = "pause"
    RESUME = "resume"
    UPDATE = "update"


@dataclass(frozen=True)
class Command:
    """To the router's process. `weights`: of an update."""

    order: Order
    weights: NewWeights | None = None


@dataclass(frozen=True)
class Obeyed:
    """From the router's process: the order is carried out."""

    order: Order


class Operator:
    """Handlers of the operator's thread.

    Args:
        publish: told which weights are in force, before any rank is; a rank that begins anew asks for them.
    """

    def __init__(self, publish: Callable[[NewWeights], None]):
        self._publish = publish
        self._wanted: deque[Command] = deque()
        self._weights: NewWeights | None = None

    def take(self, command: Command) -> None:
        """Take an order in; it is carried out behind those that came before."""
        self._wanted.append(command)

    @decides("control.pause", "control.resume", "control.update")
    def decide(self, open_rows: Sequence[Outcome]) -> Outcome | None:
        """Begin what is wanted next."""
        if not self._wanted:
            return None
        return next((outcome for outcome in open_rows if outcome.event == self._wanted[0].order), None)

    @after("control.pause")
    def pause(self, step: Step) -> None:
        """The router posts nothing from now on."""
        self._wanted.popleft()

    @after("control.see_prefill_idle")
    def rest(self, step: Step) -> Obeyed | None:
        """Nothing is under way, when the last P has nothing either."""
        return Obeyed(Order.PAUSE) if step.destination is Control.PAUSED else None

    @after("control.resume")
    def resume(self, step: Step) -> Obeyed:
        """The router posts again."""
        self._wanted.popleft()
        return Obeyed(Order.RESUME)

    @after("control.update")
    def update(self, step: Step) -> None:
        """Other weights are in force."""
        self._weights = self._wanted.popleft().weights
        assert self._weights is not None
        self._publish(self._weights)

    @carries("control.ask_prefill", "control.ask_decode")
    def weights(self, outcome: Outcome) -> NewWeights | None:
        """Which weights they are."""
        return self._weights

    @after("control.end_update")
    def end(self, step: Step) -> Obeyed:
        """Every rank has them."""
        return Obeyed(Order.UPDATE)


class Operated(ABC):
    """The orders of a `generation.Operable` over the protocol's rows."""

    plant: Plant
    is_paused: bool = False

    def pause(self, *, abort: bool = False) -> None:
        """Begin no further request, and return when none is under way; see `Operable`."""
        if abort:
            self._abort_all()
        if not self.is_paused:
            self._carry_out(Command(Order.PAUSE))
            self.is_paused = True

    def resume(self) -> None:
        """Begin what has waited; see `Operable`."""
        if self.is_paused:
            self._carry_out(Command(Order.RESUME))
            self.is_paused = False

    def update_weights(self, path: str | os.PathLike[str]) -> None:
        """Give every rank the weights of a file; see `Operable`."""
        weights = NewWeights(str(Path(path).resolve()))
        self.plant.weights(weights)
        was_paused = self.is_paused
        self.pause()
        self._carry_out(Command(Order.UPDATE, weights))
        if not was_paused:
            self.resume()

    @abstractmethod
    def _carry_out(self, command: Command) -> None:
        """Give the order and wait until it is obeyed."""

    @abstractmethod
    def _abort_all(self) -> None:
        """Give up every request that has not ended."""
