"""Time, for everything in the engine: nothing else reads a clock or sleeps.

Seconds of a clock that never goes back. Live time is the machine's monotonic clock, which all processes share.
"""

from __future__ import annotations

import time
from typing import Protocol

NAP_S = 0.001
"""In virtual time, the longest sleep of one who waits for something to change."""


class Clock(Protocol):
    """What roles and logs know of time."""

    def now(self) -> float: ...
    def sleep(self, seconds: float) -> None: ...

    def doze(self, seconds: float, *variables: str) -> None:
        """Sleep until one of these variables changes (any that the copy's rows mention, if none is named), but no longer than that."""
        ...


class LiveClock:
    """The machine's monotonic clock."""

    def now(self) -> float:
        """Seconds since some fixed moment, the same in every process."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        if seconds > 0:
            time.sleep(seconds)

    def doze(self, seconds: float, *variables: str) -> None:
        """Wait; nobody is there to say what changes."""
        self.sleep(seconds)


class VirtualTime:
    """One time for all copies of a lockstep run; it moves only when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def advance(self, moment: float) -> None:
        """Move on to a later moment."""
        self.now = max(self.now, moment)


class VirtualClock:
    """One copy's clock over a virtual time: who sleeps is not given a turn before `wakes`, and holds nobody else up."""

    def __init__(self, time: VirtualTime | None = None):
        self._time = time if time is not None else VirtualTime()
        self.wakes = 0.0

    def now(self) -> float:
        """Seconds of virtual time."""
        return self._time.now

    def sleep(self, seconds: float) -> None:
        """Put the copy to sleep from now on, or for longer if it sleeps already."""
        self.wakes = max(self.wakes, self._time.now) + max(0.0, seconds)

    def doze(self, seconds: float, *variables: str) -> None:
        """Sleep, but not for long: looking again costs no time here."""
        self.sleep(min(seconds, NAP_S))
