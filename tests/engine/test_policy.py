"""What random schedules find and PCT finds, on a bug of depth 2; and recordings of either."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from pathlib import Path

import pytest

from engine.clock import VirtualTime
from engine.driver import Driver
from engine.runtime.lockstep import Lockstep
from engine.runtime.policy import Policy, Priorities, RoundRobin, SeededRandom
from engine.runtime.recording import Recorder, Repeated, load_choices, save_choices
from engine.store import Store
from protocol import BOOL, TRUE, Machine, Row, System, TraceError, register

from .free_agent import FreeAgent

WORK = 8
"""Rows between the look and the check."""
SEEDS = 240


class Worker(IntEnum):
    NEW, STARTED, FINISHED = range(3)


Watcher = IntEnum("Watcher", ["LOOKING", *(f"WORKING_{k}" for k in range(WORK)), "RIGHT", "WRONG"], start=0)  # type: ignore[misc]


def build() -> System:
    """Wrong only where the watcher looks after the start, does all its work and checks before the finish: two orders."""
    started, finished = register("started", BOOL), register("finished", BOOL)
    worker = Machine(
        "worker",
        Worker,
        [
            Row("start", Worker.NEW, Worker.STARTED, TRUE, [started.set(True)], "worker"),
            Row("finish", Worker.STARTED, Worker.FINISHED, TRUE, [finished.set(True)], "worker"),
        ],
        final=Worker.FINISHED,
    )
    steps = [Watcher[f"WORKING_{k}"] for k in range(WORK)]
    work = [Row(f"work_{k}", steps[k], steps[k + 1], TRUE, [], "watcher") for k in range(WORK - 1)]
    watcher = Machine(
        "watcher",
        Watcher,
        [
            Row("look", Watcher["LOOKING"], steps[0], started, [], "watcher"),
            Row("look_too_early", Watcher["LOOKING"], Watcher["RIGHT"], ~started, [], "watcher"),
            *work,
            Row("check", steps[-1], Watcher["RIGHT"], finished, [], "watcher"),
            Row("check_too_early", steps[-1], Watcher["WRONG"], ~finished, [], "watcher"),
        ],
        final=(Watcher["RIGHT"], Watcher["WRONG"]),
    )
    return System("depth two", [worker, watcher])


SYSTEM = build()
ROWS = Driver(SYSTEM, Store(SYSTEM)).rows


def goes_wrong(policy: Policy) -> bool:
    driver, time = Driver(SYSTEM, Store(SYSTEM), ROWS), VirtualTime()
    lockstep = Lockstep([FreeAgent(driver, copy, time) for copy in driver.copies.values()], time, policy)
    while lockstep.turn():
        pass
    return driver.copies["watcher", ()].state is Watcher["WRONG"]


def struck(policy_of: Callable[[int], Policy]) -> int:
    return sum(goes_wrong(policy_of(seed)) for seed in range(SEEDS))


def test_pct_meets_a_bug_of_depth_two_within_its_bound_and_random_hardly_ever() -> None:
    rows = WORK + 4
    pct, random = struck(lambda seed: Priorities(seed, changes=1, rows=rows)), struck(SeededRandom)
    assert pct >= SEEDS / (2 * rows)
    assert random < pct / 10


def test_without_a_change_point_pct_cannot_meet_it() -> None:
    assert struck(lambda seed: Priorities(seed, changes=0, rows=WORK + 4)) == 0


@pytest.mark.parametrize("policy", [RoundRobin(), SeededRandom(3), Priorities(5, changes=2, rows=12)], ids=["round-robin", "random", "pct"])
def test_a_recorded_run_is_repeated(policy: Policy, tmp_path: Path) -> None:
    recorder = Recorder(policy)
    was = goes_wrong(recorder)
    save_choices(recorder.choices, tmp_path / "choices")
    again = Recorder(Repeated(load_choices(tmp_path / "choices")))
    assert goes_wrong(again) == was and again.choices == recorder.choices


@pytest.mark.parametrize(("choices", "said"), [([], "made 0 choices"), ([7], "choice 1 .* was among others"), ([[0, 1]], "was among others")])
def test_the_choices_of_another_run_are_refused(choices: list[int | list[int]], said: str) -> None:
    with pytest.raises(TraceError, match=said):
        goes_wrong(Repeated(choices))


def test_a_file_that_holds_no_choices_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("[]")
    with pytest.raises(TraceError, match="holds no choices of a run"):
        load_choices(tmp_path / "other")
