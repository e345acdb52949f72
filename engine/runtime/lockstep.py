"""Lockstep: all copies in one process, the next turn given by a seeded policy. Same seed, same bytes."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from typing import IO

from protocol import DefinitionError

from ..clock import VirtualClock
from ..driver import Driver
from ..log import LogPart
from ..metrics import Report
from ..roles.batch import Result
from ..roles.binding import Bindings
from ..roles.rank import Rank
from ..roles.scheduler import Scheduler
from ..store import Store
from ..workload import Request
from .agent import Agent
from .plan import Plan

QUIET_TURNS_MAX = 10_000
"""Turns in a row in which nothing fires, after which the run is taken to be stuck."""


def run_lockstep(requests: Sequence[Request], plan: Plan, *, speed: float = 1.0, seed: int = 0, log: IO[str] | None = None) -> Report:
    """Run to the last token of the last request, in virtual time: a sleep of any copy moves the one clock.

    Raises:
        DefinitionError: nothing can fire any more.
    """
    system, clock, results = plan.system(), VirtualClock(), deque[Result]()
    driver = Driver(system, Store(system))

    def inbox() -> list[Result]:
        taken = list(results)
        results.clear()
        return taken

    scheduler = Scheduler(requests, speed, clock, inbox)
    agents = []
    for (machine, where), copy in driver.copies.items():
        role = scheduler if machine == "gate" else Rank(where[0], speed, clock)
        part = None if log is None else LogPart(log, copy.name)
        agents.append(Agent(driver, copy, Bindings(system, [role], [machine]), clock, part, results.append))
    rng, quiet = random.Random(seed), 0
    while not scheduler.finished:
        quiet = 0 if rng.choice(agents).turn() else quiet + 1
        if quiet > QUIET_TURNS_MAX:
            raise DefinitionError(f"system {system.name} is stuck: no row has fired for {quiet} turns; check it for deadlock")
    fired = sum(agent.fired for agent in agents)
    done = tuple(sorted(scheduler.completions, key=lambda c: c.request))
    return Report(len(requests), done, clock.now(), scheduler.forwards, fired, speed, plan.ranks, plan.variant, seed)
