"""Processes that are lost on their way back, and that fall silent: what the supervision makes of them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from checker.conform import conform
from engine.errors import EngineError
from engine.runtime.household import Household, Patience
from engine.runtime.live import start
from engine.runtime.placement import Crew, Desk, Letter, Placement, Station
from engine.runtime.supervision import Died, Returned, Stalls

from .live_roles import EngineCrew, repaired
from .test_live import is_gone, process_numbers, segments
from .test_live_composition import PREFILL, SMALL, kill, next_letter, outcomes

D = "decode engine[0]"
SHORT = Patience(frozen_s=1.0, attempts=2, pause_s=0.01)

pytestmark = pytest.mark.live


def mortal(posts: int, crash: str = "decode") -> Placement:
    return repaired(posts, crash=crash, repeats=True, **SMALL)


@pytest.fixture
def shoot_returning(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
    """Kills so many of the processes that come back, at once; the list of their numbers."""
    shot: list[int] = []
    launch = Household.launch

    def arm(times: int) -> list[int]:
        def launch_and_kill(house: Household, name: str, *, mortal: bool, returns: bool) -> None:
            launch(house, name, mortal=mortal, returns=returns)
            number = house.children[name].process.pid
            if returns and len(shot) < times and number is not None:
                shot.append(number)
                os.kill(number, signal.SIGKILL)

        monkeypatch.setattr(Household, "launch", launch_and_kill)
        return shot

    return arm


@pytest.mark.parametrize(("crash", "victim", "group", "times"), [("decode", D, (D,), 2), ("prefill", "worker[0]", PREFILL, 2)])
def test_who_is_killed_while_it_comes_back_comes_back_later(
    tmp_path: Path, shoot_returning: Callable[[int], list[int]], crash: str, victim: str, group: tuple[str, ...], times: int
) -> None:
    shot, log = shoot_returning(times), tmp_path / "events.ndjson"
    with start(mortal(1, crash), log, patience=SHORT) as engine:
        kill(engine, victim)
        ended, said = outcomes(engine, 2, Returned)
        assert ended == [0, 1] and [type(s) for s in said] == [Died, Returned] and said[1].names == group
        engine.send("router", 1)
        assert outcomes(engine, 2) == ([0, 1], [])
        engine.stop()
    assert len(shot) == times and all(map(is_gone, shot)) and not segments()
    assert conform(log).conforms


def test_who_is_killed_at_every_return_ends_the_engine(shoot_returning: Callable[[int], list[int]]) -> None:
    shot = shoot_returning(9)
    with start(mortal(0), patience=SHORT) as engine:
        kill(engine, D)
        assert isinstance(next_letter(engine).content, Died)
        wanted = r"^decode engine\[0\] \(process \d+\) was killed by SIGKILL while it was coming back, 3 times; the run is given up"
        with pytest.raises(EngineError, match=wanted):
            next_letter(engine)
    assert len(shot) == 3 and all(map(is_gone, shot)) and not segments()


def test_a_crew_that_cannot_be_made_again_is_told(tmp_path: Path) -> None:
    placement = mortal(0)
    stations = tuple(Station(s.name, s.parts, partial(once_crew, tmp_path / "made")) if s.name == D else s for s in placement.stations)
    with start(Placement(placement.composition, stations), patience=SHORT) as engine:
        kill(engine, D)
        assert isinstance(next_letter(engine).content, Died)
        with pytest.raises(EngineError, match=r"decode engine\[0\] failed: ValueError: no second model while it was coming back, 3 times"):
            next_letter(engine)
    assert not segments()


def once_crew(made: Path, desk: Desk) -> Crew:
    """A crew that can be made once."""
    if made.exists():
        raise ValueError("no second model")
    made.touch()
    return EngineCrew(desk)


@pytest.mark.parametrize(("crash", "victim", "group"), [("decode", D, (D,)), ("prefill", "messager[0]", PREFILL)])
def test_a_process_that_is_stopped_is_taken_for_dead_and_comes_back(crash: str, victim: str, group: tuple[str, ...]) -> None:
    with start(mortal(1, crash), patience=SHORT) as engine:
        processes = process_numbers(engine)
        os.kill(engine.children[victim].process.pid or 0, signal.SIGSTOP)
        ended, said = outcomes(engine, 2, Returned)
        assert ended == [0, 1] and said == [Died(group, said[0].fate), Returned(group)]
        assert said[0].fate.startswith(f"{victim} (process ") and said[0].fate.endswith("was frozen: it has no heartbeat for 1 s")
        engine.send("router", 1)
        assert outcomes(engine, 2) == ([0, 1], [])
        engine.stop()
    assert all(map(is_gone, processes)) and not segments()


class Stuck(EngineCrew):
    """Never comes back from a letter, though its heart beats."""

    def receive(self, letter: Letter) -> None:
        signal.pause()


def test_a_handler_that_never_ends_is_ended() -> None:
    placement = mortal(0)
    stations = tuple(Station(s.name, s.parts, Stuck) if s.name == D else s for s in placement.stations)
    with start(Placement(placement.composition, stations), patience=Patience(hung_s=3.0)) as engine:
        engine.send(D, "think")
        died, back = next_letter(engine).content, next_letter(engine).content
        assert died.fate.endswith("was hung: it has not taken a turn for 3 s") and back == Returned((D,))


def test_a_queue_server_that_is_stopped_ends_the_engine() -> None:
    with start(mortal(0), patience=SHORT) as engine:
        processes = process_numbers(engine)
        os.kill(engine.children["queue server"].process.pid or 0, signal.SIGSTOP)
        with pytest.raises(EngineError, match=r"^queue server \(process \d+\) was frozen: it has no heartbeat for 1 s before the run was over"):
            next_letter(engine)
    assert all(map(is_gone, processes)) and not segments()


def test_a_time_that_nobody_looked_at_is_no_silence() -> None:
    stalls, times = Stalls(lambda name: 7.0, most_s=0.5), (0.0, 0.25, 0.5, 1000.0)
    assert [stalls.seconds("one", now) for now in times] == [0.0, 0.25, 0.5, 1.0]
    stalls.forget("one")
    assert stalls.seconds("one", 2000.0) == 0.0
