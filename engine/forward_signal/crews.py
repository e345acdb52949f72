"""The processes of the forward signal's engine, in either runtime: one for the gate with its scheduler, and one for each rank."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from protocol.types import Value

from ..metrics import Completion
from ..runtime.placement import OUTSIDE, Crew, Desk, Letter, Part, Placement, Station
from ..workload import Request
from .batch import Result
from .plan import SignalPlan
from .rank import Rank
from .scheduler import Scheduler

GATE = "gate"


@dataclass(frozen=True)
class Finished:
    """From the gate: what came of the requests, in how many forwards and how many seconds."""

    completions: Sequence[Completion]
    forwards: int
    duration_s: float


class GateCrew(Crew):
    """The scheduler, which says to the outside how many requests are completed, and then what came of them."""

    def __init__(self, requests: Sequence[Request], speed: float, desk: Desk):
        self._desk, self._began, self._told = desk, desk.now(), 0
        self._results: deque[Result] = deque()
        self._scheduler = Scheduler(requests, speed, desk.clock(GATE), self._taken)
        self._requested = len(requests)

    def roles(self, machine: str, copy: tuple[Value, ...]) -> Sequence[object]:
        return [self._scheduler]

    def receive(self, letter: Letter) -> None:
        self._results.append(letter.content)

    def settle(self) -> None:
        done = len(self._scheduler.completions)
        if done > self._told or (self._requested == 0 and self._told == 0):
            self._told = done
            self._desk.post(OUTSIDE, done)
            if self._scheduler.finished:
                self._desk.post(OUTSIDE, Finished(self._scheduler.completions, self._scheduler.forwards, self._desk.now() - self._began))

    def _taken(self) -> Iterator[Result]:
        while self._results:
            yield self._results.popleft()


class RankCrew(Crew):
    """One rank."""

    def __init__(self, rank: int, speed: float, desk: Desk):
        self._role = Rank(rank, speed, desk.clock("worker", (rank,)))

    def roles(self, machine: str, copy: tuple[Value, ...]) -> Sequence[object]:
        return [self._role]


def placement_of(plan: SignalPlan, requests: Sequence[Request], speed: float) -> Placement:
    """A process for the gate, and one for each rank."""
    gate = Station(GATE, (Part(GATE),), partial(GateCrew, requests, speed))
    ranks = [Station(f"worker[{r}]", (Part("worker", (r,)),), partial(RankCrew, r, speed), results_to=GATE) for r in range(plan.ranks)]
    return Placement(plan.composition, (gate, *ranks))
