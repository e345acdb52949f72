"""Ctrl-C and SIGTERM while processes are owned: the first one ends them in good order, further ones must not interrupt that."""

from __future__ import annotations

import signal
import threading
from typing import Any

STOPPING = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """The handlers of both signals: KeyboardInterrupt, or SystemExit, once. Nothing happens outside of the main thread, which alone gets signals."""

    def __init__(self) -> None:
        self._before: dict[signal.Signals, Any] = {}

    def take(self) -> None:
        """Handle them from now on."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._interrupted) for number in STOPPING}

    def give_back(self) -> None:
        """Leave them to whoever handled them before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _interrupted(self, number: int, _: object) -> None:
        for each in STOPPING:
            signal.signal(each, signal.SIG_IGN)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)
