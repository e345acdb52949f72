"""Lockstep: all copies in one process, the next turn given by a policy over virtual time. Same seed, same bytes.

Rows take no time; a copy that sleeps (the forward's stand-in, the pauses of idle loops) gets no turn until it wakes, and
time moves on only when nobody who is awake has a row to fire. A run in which nobody can fire and nobody sleeps is stuck.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any

from protocol import TraceError
from protocol.lower import Action, Instance

from ..clock import VirtualClock, VirtualTime
from ..driver import Copy, Driver
from ..errors import EngineError
from ..log import LogPart, last_line
from ..metrics import Report
from ..readiness import Readiness
from ..roles.batch import Result
from ..roles.binding import Bindings
from ..roles.rank import Rank
from ..roles.scheduler import Scheduler
from ..store import Store
from ..workload import Request
from .agent import Agent
from .alarms import Alarms
from .plan import Plan
from .policy import Policy, Recorded, SeededRandom

NO_TIMERS: Mapping[str, float] = {}


class LockstepAgent(Agent):
    """An agent on virtual time."""

    def __init__(
        self,
        driver: Driver,
        copy: Copy,
        bindings: Bindings,
        clock: VirtualClock,
        log: LogPart | None = None,
        deliver: Callable[[Any], None] = lambda data: None,
        timers: Mapping[str, float] = NO_TIMERS,
    ):
        super().__init__(driver, copy, bindings, clock, log, deliver)
        self.clock, self._alarms = clock, Alarms(driver, copy, timers)

    @property
    def wakes(self) -> float:
        """When it could have something to fire that it has not now, as far as time goes."""
        now = self.clock.now()
        return min((t for t in (self.clock.wakes, self._alarms.next) if t > now), default=math.inf)

    def turn(self) -> bool:
        """Fire one row; False when none is enabled, or those that are shall not be fired now."""
        self._alarms.wind(self.clock.now())
        return super().turn()

    def _is_due(self, instance: Instance) -> bool:
        return self._alarms.is_due(instance, self.clock.now())

    def _fire(self, instance: Instance) -> bool:
        self._alarms.stop(instance)
        return super()._fire(instance)


class FreeAgent(LockstepAgent):
    """An agent without handlers: the policy decides what a handler, the clock or the environment would decide."""

    def __init__(self, driver: Driver, copy: Copy, time: VirtualTime):
        super().__init__(driver, copy, Bindings(driver.system, [], []), VirtualClock(time))

    def fires(self, action: Action) -> bool:
        """Every row does."""
        return True

    def _handler(self, action: Action) -> None:
        return None

    def _is_due(self, instance: Instance) -> bool:
        return True

    def _rest(self) -> None:
        """No time goes by."""


class Lockstep:
    """The agents of one or several drivers, one row at a time.

    Args:
        agents: all on one virtual time. policy: whose turn it is.
    """

    def __init__(self, agents: Sequence[LockstepAgent], time: VirtualTime, policy: Policy):
        self._agents, self._time, self._policy = list(agents), time, policy
        self._readiness = Readiness([(a.driver, a.copy) for a in agents], self._fires)
        self._declined: set[int] = set()
        for agent in agents:
            agent.order, agent.pick = policy.order, policy.pick

    def _fires(self, number: int, action: Action) -> bool:
        return self._agents[number].fires(action)

    @property
    def fired(self) -> int:
        """Rows fired by the agents."""
        return sum(agent.fired for agent in self._agents)

    def turn(self) -> bool:
        """One row of some copy; False when nobody who is awake has one to fire.

        Raises:
            OutOfRange: a row left its types.
        """
        now = self._time.now
        while True:
            able = [k for k in self._readiness.able() if k not in self._declined and self._agents[k].clock.wakes <= now]
            if not able:
                return False
            chosen = self._policy.turn(able)
            if self._agents[chosen].turn():
                self._declined.clear()
                return True
            # Its handler said no, or its time has not come: it is asked again when something has changed.
            self._declined.add(chosen)

    def run(self, finished: Callable[[], bool]) -> None:
        """Turn until finished, moving time on when nobody has a row to fire.

        Raises:
            EngineError: nobody can fire, and nobody sleeps.
        """
        while not finished():
            if self.turn():
                continue
            wakes = min((agent.wakes for agent in self._agents), default=math.inf)
            if wakes == math.inf:
                raise EngineError(f"no copy can fire a row any more ({self._standing()}); check the system for deadlock")
            self._time.advance(wakes)
            self._declined.clear()

    def follow(self, driver: Driver, path: Recorded) -> None:
        """Fire the rows of a recorded path, whoever decides them; handlers act as ever, and the environment's rows happen again.

        Raises:
            TraceError: a step is not enabled where it stands. OutOfRange: the last step of a path that ends so.
        """
        agents = {id(agent.copy): agent for agent in self._agents}
        for number, (copy, instances) in enumerate(path.steps(driver), 1):
            agent = agents.get(id(copy))
            if not any(agent.take(i) if agent is not None else driver.attempt(copy, i) for i in instances):
                text = f"step {number} of the trace, {instances[0]}, is not enabled there"
                raise TraceError(f"{text}; find the trace anew with `interlock check --trace`")
        self._declined.clear()

    def _standing(self) -> str:
        """Where the copies stand that are not at rest."""
        copies = [agent.copy for agent in self._agents if agent.copy.state not in agent.copy.machine.final]
        return ", ".join(f"{copy.name} in {copy.state.name}" for copy in copies) or "all are at rest"


def run_lockstep(
    requests: Sequence[Request], plan: Plan, *, speed: float = 1.0, seed: int = 0, log: IO[str] | None = None, policy: Policy | None = None
) -> Report:
    """Run to the last token of the last request. `policy` gives the turns (`SeededRandom(seed)` if None); `log` gets a line for every fired row.

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
        agents.append(LockstepAgent(driver, copy, Bindings(system, [role], [machine]), clock, part, results.append))
    lockstep = Lockstep(agents, time, policy if policy is not None else SeededRandom(seed))
    lockstep.run(lambda: scheduler.finished)
    if log is not None:
        log.write(last_line(plan.described(), {copy.name: agent.fired for copy, agent in zip(driver.copies.values(), agents)}))
    done = tuple(sorted(scheduler.completions, key=lambda c: c.request))
    return Report(len(requests), done, time.now, scheduler.forwards, lockstep.fired, speed, plan.ranks, plan.variant, seed)


def _taken(results: deque[Result]) -> list[Result]:
    taken = list(results)
    results.clear()
    return taken
