"""Time, for everything in the engine: nothing else reads a clock or sleeps.

Seconds of a clock that never goes back. Live time is the machine's monotonic clock, which all processes share.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What roles and logs know of time."""

    def now(self) -> float: ...
    def sleep(self, seconds: float) -> None: ...


class LiveClock:
    """The machine's monotonic clock."""

    def now(self) -> float:
        """Seconds since some fixed moment, the same in every process."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        if seconds > 0:
            time.sleep(seconds)


class VirtualClock:
    """A clock that moves only when somebody sleeps: one process, no waiting, the same readings every time."""

    def __init__(self) -> None:
        self._now = 0.0

    def now(self) -> float:
        """Seconds slept so far, by anybody."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Move the clock on."""
        self._now += max(0.0, seconds)
