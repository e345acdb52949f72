"""Alarms: when the rows of one copy that a timer decides may fire.

A timer's row fires when it has been enabled, with the same values of its choices, for its time-out; what is disabled in between starts
anew. The clock of the runtime tells the time, so in lockstep a time-out comes when virtual time has moved on to it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from protocol.action import Instance

from ..driver import Copy, Driver
from .placement import TIMER_S


class Alarms:
    """The alarms of one copy.

    Args:
        timers: seconds by `machine.event`; a row that is not named has `TIMER_S`.
    """

    def __init__(self, driver: Driver, copy: Copy, timers: Mapping[str, float]):
        self._driver, self._copy, self._timers = driver, copy, timers
        self._due: dict[Instance, float] = {}
        self._rows = {s: timed for s, rows in copy.rows.items() if (timed := [a for a in rows if a.row.decided == "timer"])}
        self.next = math.inf
        """When the first of them goes off; infinity where none is set."""

    def wind(self, now: float) -> None:
        """Set the alarm of each timer's row that could fire, and stop those of the others."""
        if self._rows:
            able = [i for row in self._rows.get(self._copy.state, ()) for i in self._driver.openings(self._copy, row)]
            self._set({i: self._due.get(i, now + self._timers.get(i.action.name, TIMER_S)) for i in able})

    def is_due(self, instance: Instance, now: float) -> bool:
        """Whether the row, one that a timer decides, may fire."""
        return self._due.get(instance, math.inf) <= now

    def stop(self, instance: Instance) -> None:
        """The row has fired: its time starts anew."""
        if self._due.pop(instance, None) is not None:
            self._set(self._due)

    def clear(self) -> None:
        """Stop all of them."""
        self._set({})

    def _set(self, due: dict[Instance, float]) -> None:
        self._due, self.next = due, min(due.values(), default=math.inf)
