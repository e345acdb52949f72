"""Lockstep: all copies in one process, the next turn given by a policy over virtual time. Same seed, same bytes.

Rows take no time; a copy that sleeps (a forward, the pauses of idle loops) gets no turn until it wakes, and time moves on only when
nobody who is awake has a row to fire. A polling loop that has looked in vain sleeps until a cell that its rows mention has changed. So
a run in which nobody can fire and nobody wakes is stuck, for certain; one that goes round without any new state is, as far as anybody
can see (`novelty.py`): `standing` says who waits for what.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from protocol.action import Action, Instance

from ..binding import Bindings
from ..clock import VirtualClock, VirtualTime
from ..driver import Copy, Driver
from ..log import LogPart
from ..readiness import Readiness
from ..waiting import folded, waiting
from .agent import Agent
from .alarms import Alarms
from .placement import TIMER_S
from .policy import Policy

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
        self._pause_s = TIMER_S if any(a.row.decided == "timer" for rows in copy.rows.values() for a in rows) else math.inf
        self.has_acted = False
        """Whether a handler has acted in its last turn."""

    @property
    def wakes(self) -> float:
        """When it could have something to fire that it has not now, as far as time goes."""
        now = self.clock.now()
        return min((t for t in (self.clock.wakes, self._alarms.next) if t > now), default=math.inf)

    def is_awake(self, now: float) -> bool:
        """Whether it may have a turn."""
        return self.clock.wakes <= now or self._alarms.next <= now

    def turn(self) -> bool:
        """Fire one row; False when none is enabled, or those that are shall not be fired now."""
        self.has_acted = False
        self._alarms.wind(self.clock.now())
        return super().turn()

    def is_decided(self, action: Action) -> bool:
        """Whether a handler decides the row."""
        return self._handler(action) is not None

    def halt(self) -> None:
        """Its process has died: no turn any more until it begins anew."""
        self.clock.sleep(math.inf)
        self._alarms.clear()

    def begin_anew(self, bindings: Bindings, clock: VirtualClock, deliver: Callable[[Any], None]) -> None:
        """Its process runs again, and remembers nothing."""
        self._bindings, self._clock, self.clock, self._deliver = bindings, clock, clock, deliver
        self._plans.clear()

    def _is_due(self, instance: Instance) -> bool:
        return self._alarms.is_due(instance, self.clock.now())

    def _fire(self, instance: Instance) -> bool:
        self._alarms.stop(instance)
        fired = super()._fire(instance)
        self.has_acted = fired and self._bindings.of(instance.action.name).acts
        return fired

    def _rest(self) -> None:
        self.clock.doze(self._pause_s)


class Lockstep:
    """The agents of one driver, one row at a time.

    Args:
        agents: all on one virtual time. policy: whose turn it is.
    """

    def __init__(self, agents: Sequence[LockstepAgent], time: VirtualTime, policy: Policy):
        self._agents, self._time, self._policy = list(agents), time, policy
        self._readiness = Readiness(agents[0].driver, [a.copy for a in agents], self._fires, self._rouse)
        self._declined: set[int] = set()
        self._heeded: dict[int, frozenset[str]] = {}
        self.last = 0
        """The number of the agent that has fired last."""
        for agent in agents:
            agent.order, agent.pick = policy.order, policy.pick

    def _heed(self, number: int) -> None:
        """Tell a copy of changes once it has lain down."""
        names = self._agents[number].clock.heeds
        if names is not None and names is not self._heeded.get(number):
            self._heeded[number] = names
            self._readiness.heed(number, names)

    def _rouse(self, number: int, variable: str) -> None:
        self._agents[number].clock.rouse(variable)

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
            able = [k for k in self._readiness.able() if k not in self._declined and self._agents[k].is_awake(now)]
            if not able:
                return False
            chosen = self._policy.turn(able)
            if self._agents[chosen].turn():
                self._declined.clear()
                self.last = chosen
                self._heed(chosen)
                return True
            # Its handler said no, or its time has not come: it is asked again when something has changed.
            self._declined.add(chosen)

    @property
    def wakes(self) -> float:
        """When the first of those who sleep wakes; infinity where nobody does."""
        return min((agent.wakes for agent in self._agents), default=math.inf)

    def advance(self, moment: float) -> None:
        """Move time on, and ask those again who said no."""
        self._time.advance(moment)
        self._declined.clear()

    def ask_again(self) -> None:
        """Something beside the cells has changed: those who said no may say yes."""
        self._declined.clear()


def standing(driver: Driver) -> str:
    """Who waits for what."""
    return folded(waiting(driver, lambda action: action.row.decided == "prompt" and not action.row.poll)) or "all are at rest"
