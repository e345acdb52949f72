"""One child process as the supervisor sees it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from .interrupts import STOPPING

SPAWN = multiprocessing.get_context("forkserver")
# A child runs the main module's imports again, and those of its crew: it finds them done.
SPAWN.set_forkserver_preload(
    ["__main__", "interlock", "engine.runtime.child", "engine.disaggregated.crews", "engine.disaggregated.live_memory", "numpy.random"]
)


@contextmanager
def environment_of_children() -> Iterator[None]:
    """The environment in which the fork server is started.

    It finds modules where this interpreter does, and not in the working folder, as it would. Its matrix products have one thread: the library
    would start one a core again in each child, which limits them only then (`model/threads.py`). What the user says of threads counts more.
    """
    theirs = {
        "PYTHONSAFEPATH": "1",
        "PYTHONPATH": os.pathsep.join(place or os.getcwd() for place in sys.path),
        "OPENBLAS_DEFAULT_NUM_THREADS": "1",
    }
    before = {name: os.environ.get(name) for name in theirs}
    os.environ.update(theirs)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


ORPHANED = 255
"""The exit code that `multiprocessing` gives to processes whose fork server has been killed, which ends them, too."""


class Child:
    """Its name, its process and the end of its control pipe. `arguments` makes its target's arguments from the other end."""

    def __init__(self, name: str, target: Callable[..., None], arguments: Callable[[Connection], tuple[Any, ...]]):
        self.name, self._verdict, self._was_dismissed = name, "", False
        self.control, theirs = SPAWN.Pipe()
        self.process: BaseProcess = SPAWN.Process(target=target, args=arguments(theirs), name=name, daemon=True)
        # The child inherits the mask for life, and so does the fork server: Ctrl-C, and a SIGTERM to the whole group (as systemd sends it), are
        # the supervisor's business, from their first instructions on.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        try:
            with environment_of_children():
                self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()

    def end(self) -> None:
        """Kill it if it still runs, and forget it."""
        self.kill()
        self.process.close()
        self.control.close()

    def dismiss(self) -> None:
        """Kill it without waiting; that it ends is no news."""
        if self.process.is_alive():
            self._was_dismissed = True
            self.process.kill()

    def kill(self) -> None:
        """End it at once, and wait until it has ended."""
        self.dismiss()
        self.process.join()

    def shoot(self, verdict: str) -> None:
        """Kill it without waiting, because of what is said of it: its end is seen like any other."""
        self._verdict = verdict
        self.process.kill()

    def tell(self, order: str) -> bool:
        """Give it an order; False when it has gone."""
        try:
            self.control.send(order)
        except OSError:
            return False
        return True

    def heard(self) -> tuple[str, Any] | None:
        """What it has said, if it has said something; None also when it can say nothing any more."""
        try:
            return self.control.recv() if self.control.poll() else None  # type: ignore[no-any-return]
        except (EOFError, OSError):
            return None

    def cpu_s(self) -> float:
        """The CPU time that it has used, in seconds."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def has_ended(self) -> bool:
        """Whether it has ended. Its sentinel does not tell: between the exit code, once that is read, and the end of its pipe it shows nothing."""
        return self.process.exitcode is not None

    @property
    def has_crashed(self) -> bool:
        """Whether it has ended as nobody does who was told to or has lost his peer: by a signal or with an exit code, and not by `kill`."""
        return bool(self.process.exitcode) and not self._was_dismissed

    @property
    def was_killed(self) -> bool:
        """Whether a signal ended it."""
        return (self.process.exitcode or 0) < 0

    def fate(self) -> str:
        """How it ended, in words."""
        code = self.process.exitcode or 0
        ended = "was lost with the fork server" if code == ORPHANED else f"ended with exit code {code}"
        how = self._verdict or (f"was killed by {signal.Signals(-code).name}" if code < 0 else ended)
        return f"{self.name} (process {self.process.pid}) {how}"

    def last_words(self) -> str:
        """The failure that it reported and nobody has read yet; empty for none."""
        while (said := self.heard()) is not None:
            if said[0] == "failed":
                return f"{self.name} failed: {said[1]}"
        return ""
