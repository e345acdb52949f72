"""An agent: the thread of one copy, in either runtime.

One rule: act after commit. A turn looks at the rows of the copy's state, fires one that is enabled (a decided one only on
its handler's word), logs it, and only then calls its handler.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from protocol import DefinitionError
from protocol.lower import Instance

from ..clock import Clock
from ..driver import Copy, Driver, Step
from ..log import LogPart
from ..roles.binding import Bindings, Outcome

POLL_S = 0.0005
"""Pause after an unsuccessful look of a polling loop, which would else take the processor from those it waits for."""


class Agent:
    """Fires the rows of one copy; `deliver` gets what its handlers return."""

    def __init__(self, driver: Driver, copy: Copy, bindings: Bindings, clock: Clock, log: LogPart | None, deliver: Callable[[Any], None]):
        self._driver, self._copy, self._bindings, self._clock = driver, copy, bindings, clock
        self._log, self._deliver = log, deliver
        self.fired = 0

    def turn(self) -> bool:
        """Fire one row; False when none is enabled.

        Raises:
            DefinitionError: a handler decided on a row that is not open.
        """
        rows = self._copy.rows[self._copy.state]
        for action in rows:
            if action.row.decided != "decided":
                for instance in self._driver.enabled(self._copy, action):
                    if self._is_due(instance) and self._fire(instance):
                        return True
        decided = [action for action in rows if action.row.decided == "decided"]
        open_rows = list(self._driver.enabled(self._copy, *decided)) if decided else []
        return bool(open_rows) and self._decide(open_rows)

    def _decide(self, open_rows: list[Instance]) -> bool:
        outcomes = [_outcome(instance) for instance in open_rows]
        chosen = self._bindings.decision(open_rows[0].action.name)(outcomes)
        if chosen is None:
            return False
        if chosen not in outcomes:
            known = ", ".join(outcome.event for outcome in outcomes)
            raise DefinitionError(f"its handler decided on {chosen.event}{chosen.values or ''}; open are {known}", machine=self._copy.name)
        return self._fire(open_rows[outcomes.index(chosen)])

    def _fire(self, instance: Instance) -> bool:
        began = self._clock.now()
        step: Step | None = self._driver.attempt(self._copy, instance, self._bindings.cargo(instance.action.name, _outcome(instance)))
        if step is None:
            return False
        self.fired += 1
        if self._log is not None:
            self._log.write(step, began, self._clock.now())
        act = self._bindings.after(step.name)
        data = None if act is None else act(step)
        if data is not None:
            self._deliver(data)
        if instance.action.row.poll:
            self._rest()
        return True

    def _rest(self) -> None:
        """A polling loop has looked in vain."""
        self._clock.sleep(POLL_S)

    def _is_due(self, instance: Instance) -> bool:
        """Whether a row that no handler decides may fire now, if it is enabled."""
        return True


def _outcome(instance: Instance) -> Outcome:
    return Outcome(instance.action.row.event, instance.values)
