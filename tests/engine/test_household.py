"""Whom a household blames when its processes have ended: the one that took the others along, whoever is seen first."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.forkserver import read_signed, write_signed
from typing import Any

import pytest

from engine.runtime.household import QUEUE_SERVER, Household, Patience
from engine.runtime.process import SPAWN, Child

from .test_live_composition import GIVER, TAKERS, placed

KILLED, ABORTED, RUNS = -signal.SIGKILL, -signal.SIGABRT, None
Start = Callable[..., None]


class Process:
    """One that has ended, at the moment when the fork server has written its exit code and not yet closed the pipe.

    Its sentinel is readable until the exit code is read, and not again. One that is about to end ends when it is waited for.
    """

    pid = 1

    def __init__(self, code: int | None, later: int | None):
        self.sentinel, self._theirs = os.pipe()
        self._later, self._code = later, None
        self._end(code)

    def _end(self, code: int | None) -> None:
        if code is not None:
            write_signed(self._theirs, code)

    @property
    def exitcode(self) -> int | None:
        if self._code is None and wait([self.sentinel], 0):
            self._code = read_signed(self.sentinel)
        return self._code

    def start(self) -> None:
        pass

    def is_alive(self) -> bool:
        return self.exitcode is None

    def join(self, seconds: float | None = None) -> None:
        self._end(self._later)
        self._later = None

    def kill(self) -> None:
        self._end(KILLED)

    def close(self) -> None:
        os.close(self.sentinel)
        os.close(self._theirs)


@pytest.fixture
def house() -> Iterator[Household]:
    house = Household(placed(GIVER, TAKERS), None, Patience(stop_s=0.0))
    yield house
    house.close()


@pytest.fixture
def begin(house: Household, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Gives the household a process that has ended so, or will when it is waited for, and has said this."""

    def begin(name: str, code: int | None, later: int | None = None, said: tuple[str, Any] | None = None) -> None:
        monkeypatch.setattr(SPAWN, "Process", lambda **_: Process(code, later))

        def say(control: Connection) -> tuple[Any, ...]:
            if said is not None:
                control.send(said)
            return ()

        house.children[name] = Child(name, lambda: None, say)

    return begin


def test_a_killed_queue_server_is_blamed_and_not_who_has_lost_it(house: Household, begin: Start) -> None:
    """Its exit code has been read before, and its sentinel shows nothing."""
    begin(QUEUE_SERVER, KILLED)
    begin("giver", 0, said=("lost", "EOFError"))
    assert not house.children[QUEUE_SERVER].process.is_alive()
    assert str(house.early_end()).startswith("queue server (process 1) was killed by SIGKILL before the run was over")


def test_a_queue_server_that_is_seen_last_is_blamed(house: Household, begin: Start) -> None:
    begin(QUEUE_SERVER, RUNS, later=KILLED)
    begin("giver", 0)
    assert str(house.early_end()).startswith("queue server (process 1) was killed by SIGKILL before")


@pytest.mark.parametrize("code, how", [(1, "ended with exit code 1"), (ABORTED, "was killed by SIGABRT")])
def test_who_has_crashed_is_blamed_before_who_has_merely_ended(house: Household, begin: Start, code: int, how: str) -> None:
    begin(QUEUE_SERVER, RUNS)
    begin("giver", 0)
    begin("takers", code)
    assert str(house.early_end()).startswith(f"takers (process 1) {how} before")


def test_who_is_ended_by_the_household_is_not_blamed(house: Household, begin: Start) -> None:
    """As when the queue server is lost while another's death is dealt with."""
    begin("giver", RUNS)
    begin(QUEUE_SERVER, ABORTED)
    house.children["giver"].kill()
    assert house.children["giver"].was_killed
    assert str(house.early_end()).startswith("queue server (process 1) was killed by SIGABRT before")


def test_who_has_told_its_failure_is_blamed_first(house: Household, begin: Start) -> None:
    begin(QUEUE_SERVER, KILLED)
    begin("giver", 0, said=("failed", "ValueError: no room"))
    assert str(house.early_end()).startswith("giver failed: ValueError: no room before")


def test_nobody_is_blamed_who_still_runs(house: Household, begin: Start) -> None:
    begin(QUEUE_SERVER, RUNS)
    begin("giver", 0)
    assert str(house.early_end()).startswith("giver (process 1) ended with exit code 0 before")
