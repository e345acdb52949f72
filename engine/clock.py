"""Time, for everything in the engine: nothing else asks what time it is, or sleeps. CPU time is `meter.py`'s.

Seconds of a clock that never goes back. Live time is the machine's monotonic clock, which all processes share.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Set
from typing import Protocol


class Clock(Protocol):
    """What roles and logs know of time."""

    def now(self) -> float: ...
    def sleep(self, seconds: float) -> None: ...

    def doze(self, seconds: float, *variables: str) -> None:
        """Sleep until one of these variables changes (any that the copy's rows mention, if none is named), but no longer than that.

        A letter to the process ends it, too, and so does, where rows of the copy wait for a handler's word, what another handler does.
        """
        ...

    def forget(self) -> None:
        """What has changed up to now has been looked at, and ends no doze any more."""
        ...


class LiveClock:
    """The machine's monotonic clock."""

    now = staticmethod(time.monotonic)
    """Seconds since some fixed moment, the same in every process."""

    def sleep(self, seconds: float) -> None:
        """Wait."""
        if seconds > 0:
            time.sleep(seconds)

    def doze(self, seconds: float, *variables: str) -> None:
        """Wait; nobody is there to say what changes."""
        self.sleep(seconds)

    def forget(self) -> None:
        """Nothing is kept."""


class Sleeper(ABC):
    """One copy that may sleep: until a time, or until something changes. A base of clocks, which say what time it is."""

    def __init__(self) -> None:
        self.wakes = 0.0
        """Until then it wants no turn."""
        self._waits_for: frozenset[str] | None = None
        self._changed: set[str] = set()

    @abstractmethod
    def now(self) -> float:
        """Seconds."""

    @property
    def dozes_for(self) -> frozenset[str] | None:
        """The variables that end its doze, all if there are none; None when it does not doze."""
        return self._waits_for if self.sleeps else None

    @property
    def sleeps(self) -> bool:
        """Whether it wants no turn yet."""
        return self.wakes > 0 and self.wakes > self.now()

    def sleep(self, seconds: float) -> None:
        """Give the copy no turn for so long."""
        self.wakes, self._waits_for = max(self.wakes, self.now() + seconds), None

    def doze(self, seconds: float, *variables: str) -> None:
        """Give the copy no turn for so long, or until it is roused; see `Clock`. What changed since the last time counts."""
        waits_for, changed = frozenset(variables), self._changed
        self._changed = set()
        if not _concerns(changed, waits_for):
            self.sleep(seconds)
            self._waits_for = waits_for

    def forget(self) -> None:
        """What has changed up to now ends no doze any more."""
        self._changed.clear()

    def rouse(self, variable: str) -> None:
        """That variable has changed; or, without a name, a letter has come or a handler has acted."""
        self._changed.add(variable)
        if self._waits_for is not None and _concerns({variable}, self._waits_for):
            self.wakes, self._waits_for = 0.0, None


def _concerns(changed: Set[str], waits_for: Set[str]) -> bool:
    return bool(changed) if not waits_for else bool(changed & waits_for) or "" in changed


class VirtualTime:
    """One time for all copies of a lockstep run; it moves only when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def advance(self, moment: float) -> None:
        """Move on to a later moment."""
        self.now = max(self.now, moment)


class VirtualClock(Sleeper):
    """One copy's clock over a virtual time: who sleeps is not given a turn before `wakes`, and holds nobody else up."""

    def __init__(self, time: VirtualTime | None = None):
        super().__init__()
        self._time = time if time is not None else VirtualTime()
        self.heeds: frozenset[str] | None = None
        """The variables by whose names it has dozed; None as long as it has not at all, and is told of no change."""

    def now(self) -> float:
        """Seconds of virtual time."""
        return self._time.now

    def doze(self, seconds: float, *variables: str) -> None:
        """See `Sleeper`. The first time it is to look once more instead: it has not been told what changed until now."""
        if self.heeds is not None and self.heeds.issuperset(variables):
            super().doze(seconds, *variables)
        else:
            self.heeds = frozenset(variables).union(self.heeds or ())
