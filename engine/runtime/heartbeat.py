"""The heartbeat of a process: a thread that says, again and again, that the process is being run at all.

It goes on while another thread computes for long, because numpy lets go of the interpreter meanwhile; it ends when the process is
stopped (SIGSTOP, a debugger, a frozen container) or stuck in foreign code that holds the interpreter.
"""

from __future__ import annotations

import threading

from ..clock import LiveClock
from .segment import Segment


class Heartbeat:
    """The thread; `number` is the process's among those of the segment, and `pulse_s` the time between two beats."""

    def __init__(self, segment: Segment, number: int, pulse_s: float):
        self._segment, self._number, self._pulse_s, self._clock, self._over = segment, number, pulse_s, LiveClock(), threading.Event()
        self._thread = threading.Thread(target=self._beat, name="interlock-heartbeat", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Beat no more, and let go of the segment."""
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._over.is_set():
            self._segment.pulses[self._number] = self._clock.now()
            self._over.wait(self._pulse_s)
