"""A meter: the CPU time of a process, and the part of it that its handlers take. The rest is the protocol's share."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Usage:
    """What some processes have done: rows fired; CPU seconds, all their threads together; and those spent in handlers.

    Handlers compute, sample, copy KV blocks, send letters and talk to clients. Everything else - looking for rows, guards, effects, commits, the
    queue server, waking and logging - is the protocol.
    """

    rows: int = 0
    cpu_s: float = 0.0
    handlers_s: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.rows + other.rows, self.cpu_s + other.cpu_s, self.handlers_s + other.handlers_s)

    @property
    def protocol_share(self) -> float:
        """The protocol's part of the CPU time; 0 where none was used."""
        return (self.cpu_s - self.handlers_s) / self.cpu_s if self.cpu_s else 0.0


class Meter:
    """Counts the CPU time of this process, and of the calls that it is given, from `begin` on."""

    def __init__(self) -> None:
        self._began_ns = self._spent_ns = 0

    def begin(self) -> None:
        """Count from now on."""
        self._began_ns, self._spent_ns = time.process_time_ns(), 0

    def metered(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same call, counted. Such calls must not nest. Cost: two looks at the clock, about 2 us."""

        def counted(*args: Any) -> Any:
            began = time.process_time_ns()
            try:
                return call(*args)
            finally:
                self._spent_ns += time.process_time_ns() - began

        return counted

    def usage(self, rows: int) -> Usage:
        """What was counted, with so many rows fired."""
        return Usage(rows, (time.process_time_ns() - self._began_ns) / 1e9, self._spent_ns / 1e9)
