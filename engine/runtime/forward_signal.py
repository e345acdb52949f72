"""The forward-signal engine on either runtime: a gate with its scheduler, and a timed stand-in for a forward on every rank."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import IO

from protocol.types import Value

from ..metrics import Completion, Report
from ..queue_server import Letter
from ..roles.batch import Result
from ..roles.rank import Rank
from ..roles.scheduler import Scheduler
from ..workload import Request
from .ensemble import Ensemble
from .live import LiveEngine, start
from .placement import OUTSIDE, Composition, Crew, Desk, Part, Placement, Station
from .plan import Plan
from .policy import Policy, SeededRandom

GATE = "gate"
Finished = tuple[list[Completion], int, float]
"""Completions, forwards, seconds."""


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
                finished: Finished = self._scheduler.completions, self._scheduler.forwards, self._desk.now() - self._began
                self._desk.post(OUTSIDE, finished)

    def _taken(self) -> Iterator[Result]:
        while self._results:
            yield self._results.popleft()


class RankCrew(Crew):
    """One rank."""

    def __init__(self, rank: int, speed: float, desk: Desk):
        self._role = Rank(rank, speed, desk.clock("worker", (rank,)))

    def roles(self, machine: str, copy: tuple[Value, ...]) -> Sequence[object]:
        return [self._role]


def placement_of(plan: Plan, requests: Sequence[Request], speed: float) -> Placement:
    """A process for the gate, and one for each rank."""
    described = plan.described()
    gate = Station(GATE, (Part(GATE),), partial(GateCrew, requests, speed))
    ranks = [Station(f"worker[{r}]", (Part("worker", (r,)),), partial(RankCrew, r, speed), results_to=GATE) for r in range(plan.ranks)]
    return Placement({"": Composition(described["builder"], described["config"])}, (gate, *ranks))


def run_live(
    requests: Sequence[Request],
    plan: Plan,
    *,
    speed: float = 1.0,
    log_path: str | os.PathLike[str] | None = None,
    seed: int | None = None,
    started: Callable[[LiveEngine], None] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """Run to the last token of the last request.

    `started` is told when all processes are ready, `progress` how many requests are completed each time it changes.

    Raises:
        EngineError: a process ended too early or could not be started. TraceError: the log cannot be written. Nothing is left in either case.
    """
    with start(placement_of(plan, requests, speed), {} if log_path is None else {"": log_path}) as engine:
        if started is not None:
            started(engine)
        finished = _wait(engine, progress)
        return _report(finished, requests, plan, engine.stop().rows, speed, seed)


def run_lockstep(
    requests: Sequence[Request], plan: Plan, *, speed: float = 1.0, seed: int = 0, log: IO[str] | None = None, policy: Policy | None = None
) -> Report:
    """Run to the last token of the last request, in this process. `policy` gives the turns (`SeededRandom(seed)` if None); `log` gets the event log.

    Raises:
        EngineError: nothing can fire any more.
    """
    turns = policy if policy is not None else SeededRandom(seed)
    with closing(Ensemble(placement_of(plan, requests, speed), turns, [] if log is None else [""])) as engine:
        engine.run(lambda: bool(engine.received) and isinstance(engine.received[-1].content, tuple))
        if log is not None:
            log.writelines(engine.log(""))
        return _report(engine.received[-1].content, requests, plan, engine.fired, speed, seed)


def _report(finished: Finished, requests: Sequence[Request], plan: Plan, fired: int, speed: float, seed: int | None) -> Report:
    completions, forwards, seconds = finished
    done = tuple(sorted(completions, key=lambda c: c.request))
    return Report(len(requests), done, seconds, forwards, fired, speed, plan.ranks, plan.variant, seed)


def _wait(engine: LiveEngine, progress: Callable[[int], None] | None) -> Finished:
    """What came of the requests, when the last one is completed."""
    while True:
        letter = engine.received()
        assert letter is not None
        if isinstance(letter.content, tuple):
            return letter.content  # type: ignore[return-value]
        if progress is not None:
            progress(letter.content)
