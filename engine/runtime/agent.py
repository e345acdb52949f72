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
from ..roles.binding import Bindings

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
        instances = self._copy.instances[self._copy.state]
        for instance in instances:
            if instance.action.row.decided != "decided" and self._fire(instance):
                return True
        open_rows = [i for i in instances if i.action.row.decided == "decided"]
        open_rows = [i for i in self._driver.enabled(self._copy) if i in open_rows] if open_rows else []
        return bool(open_rows) and self._decide(open_rows)

    def _decide(self, open_rows: list[Instance]) -> bool:
        outcome = self._bindings.decision(open_rows[0].action.name)()
        if outcome is None:
            return False
        for instance in open_rows:
            if instance.action.row.event == outcome.event and instance.values == outcome.values:
                return self._fire(instance)
        known = ", ".join(i.action.row.event for i in open_rows)
        raise DefinitionError(f"its handler decided on {outcome.event}{outcome.values or ''}; open are {known}", machine=self._copy.name)

    def _fire(self, instance: Instance) -> bool:
        began = self._clock.now()
        step: Step | None = self._driver.attempt(self._copy, instance, self._bindings.cargo(instance.action.name))
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
            self._clock.sleep(POLL_S)
        return True
