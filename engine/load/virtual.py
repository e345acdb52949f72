"""An event loop on virtual time: what a load client does against an engine that runs in lockstep, or against a stand-in of one.

Where another loop waits for sockets and timers, this one has somebody bring virtual time on. Nothing else is in the process, so two runs
are alike.
"""

from __future__ import annotations

import asyncio
import math
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from ..clock import VirtualTime

Result = TypeVar("Result")


class _Waiting(selectors.DefaultSelector):
    """Never waits for a file."""

    def __init__(self, time: VirtualTime, wait: Callable[[float], None]):
        super().__init__()
        self._time, self._wait = time, wait

    def select(self, timeout: float | None = None) -> Any:
        """Where the loop has nothing to do, let time go by until its next timer, or until something has come for it."""
        if timeout is None or timeout > 0:
            self._wait(math.inf if timeout is None else self._time.now + timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop for one coroutine and what it starts.

    Args:
        wait: called with a moment when the loop has nothing to do: brings `time` on to that moment, or returns as soon as something has
            been called on the loop; infinity where no timer is set.
    """

    def __init__(self, time: VirtualTime, wait: Callable[[float], None]):
        self._virtual = time
        super().__init__(_Waiting(time, wait))

    def time(self) -> float:
        """Seconds of virtual time."""
        return self._virtual.now

    def _write_to_self(self) -> None:
        """Nobody sleeps who would have to be woken."""


def run(main: Coroutine[Any, Any, Result], time: VirtualTime, wait: Callable[[float], None]) -> Result:
    """`asyncio.run` on virtual time; see `VirtualLoop`."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(time, wait)) as runner:
        return runner.run(main)
