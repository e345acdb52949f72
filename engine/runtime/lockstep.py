"""Lockstep: all copies in one process, the next turn given by a seeded policy over virtual time. Same seed, same bytes.

Rows take no time; a copy that sleeps (the forward's stand-in, the pauses of idle loops) gets no turn until it wakes, and
time moves on only when nobody who is awake has a row to fire. A run in which nobody can fire and nobody sleeps is stuck.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from typing import IO

from ..clock import VirtualClock, VirtualTime
from ..driver import Driver
from ..errors import EngineError
from ..log import LogPart, last_line
from ..metrics import Report
from ..roles.batch import Result
from ..roles.binding import Bindings
from ..roles.rank import Rank
from ..roles.scheduler import Scheduler
from ..store import Store
from ..workload import Request
from .agent import Agent
from .plan import Plan


def run_lockstep(requests: Sequence[Request], plan: Plan, *, speed: float = 1.0, seed: int = 0, log: IO[str] | None = None) -> Report:
    """Run to the last token of the last request. `seed` orders the turns; `log` gets a line for every fired row, and the last one.

    Raises:
        EngineError: nothing can fire any more.
    """
    system, time, results = plan.system(), VirtualTime(), deque[Result]()
    driver = Driver(system, Store(system))
    clocks = [VirtualClock(time) for _ in driver.copies]
    gate = list(driver.copies).index(("gate", ()))
    scheduler = Scheduler(requests, speed, clocks[gate], lambda: _taken(results))
    agents = []
    for ((machine, where), copy), clock in zip(driver.copies.items(), clocks):
        role = scheduler if machine == "gate" else Rank(where[0], speed, clock)
        part = None if log is None else LogPart(log, copy.name)
        agents.append(Agent(driver, copy, Bindings(system, [role], [machine]), clock, part, results.append))
    take_turns(agents, clocks, time, scheduler, random.Random(seed))
    fired = sum(agent.fired for agent in agents)
    if log is not None:
        log.write(last_line(plan.described(), {copy.name: agent.fired for copy, agent in zip(driver.copies.values(), agents)}))
    done = tuple(sorted(scheduler.completions, key=lambda c: c.request))
    return Report(len(requests), done, time.now, scheduler.forwards, fired, speed, plan.ranks, plan.variant, seed)


def take_turns(agents: Sequence[Agent], clocks: Sequence[VirtualClock], time: VirtualTime, scheduler: Scheduler, rng: random.Random) -> None:
    """Turn until the scheduler has finished. `waiting`: copies that had nothing to fire since something last changed.

    Raises:
        EngineError: nobody can fire, and nobody sleeps.
    """
    waiting: set[int] = set()
    while not scheduler.finished:
        ready = [k for k, clock in enumerate(clocks) if clock.wakes <= time.now and k not in waiting]
        if ready:
            chosen = rng.choice(ready)
            if agents[chosen].turn():
                waiting.clear()
            else:
                waiting.add(chosen)
            continue
        wakes = [clock.wakes for clock in clocks if clock.wakes > time.now]
        if not wakes:
            raise EngineError("no copy can fire a row any more; check the system for deadlock")
        time.advance(min(wakes))
        waiting.clear()


def _taken(results: deque[Result]) -> list[Result]:
    taken = list(results)
    results.clear()
    return taken
