"""What a terminal shows while something takes long."""

from __future__ import annotations

import os
import sys
import time


class Progress:
    """One line on a terminal's standard error, for anything that takes over a second."""

    def __init__(self, name: str):
        self.name, self.started, self.shown = name, time.perf_counter(), False
        self.terminal = sys.stderr.isatty()

    def __enter__(self) -> Progress:
        return self

    def __call__(self, states: int, depth: int, rate_per_s: float, queue: int) -> None:
        self.show(f"{states:,} states, depth {depth}, {rate_per_s:,.0f} states/s, {queue:,} waiting")

    def show(self, text: str) -> None:
        """Replace the line."""
        if self.terminal and time.perf_counter() - self.started > 1:
            self.shown = True
            line = f"{self.name}: {text}"
            sys.stderr.write("\r\x1b[K" + line[: os.get_terminal_size(sys.stderr.fileno()).columns - 1])
            sys.stderr.flush()

    def __exit__(self, *_: object) -> None:
        if self.shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
