"""The repaired composition live, without tensors: several copies a process, requests from outside, and every process that may die."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from checker.conform import conform
from engine.errors import EngineError
from engine.runtime.live import LiveEngine, start
from engine.runtime.placement import Composition, Letter, Part, Placement, Station
from engine.runtime.supervision import Died, Returned
from protocol import DefinitionError

from .live_roles import BUILDER, EngineCrew, repaired
from .small_system import build
from .test_live import is_gone, process_numbers, segments

PREFILL = ("messager[0]", "prefill engine", "worker[0]")
SMALL: dict[str, Any] = {"requests": 2, "ranks": 1, "layers": 1}
PATIENCE_S = 60

pytestmark = pytest.mark.live


def next_letter(engine: LiveEngine) -> Letter:
    letter = engine.received(PATIENCE_S)
    assert letter is not None
    return letter


def outcomes(engine: LiveEngine, count: int, until: type | None = None) -> tuple[list[int], list[Any]]:
    """The requests that have ended, so many, and what the supervisor has said; `until` it has said that, too."""
    ended, said = list[int](), list[Any]()
    while len(ended) < count or not (until is None or any(isinstance(s, until) for s in said)):
        letter = next_letter(engine)
        if letter.sender == "router":
            ended.append(letter.content[1])
        else:
            said.append(letter.content)
    return sorted(ended), said


def kill(engine: LiveEngine, name: str) -> None:
    number = engine.children[name].process.pid
    assert number is not None
    os.kill(number, signal.SIGKILL)


def test_requests_sent_at_run_time_are_answered_and_the_log_conforms(tmp_path: Path) -> None:
    log = tmp_path / "events.ndjson"
    with start(repaired(0), log) as engine:
        processes = process_numbers(engine)
        assert engine.received(0) is None
        engine.send("router", 1)
        assert outcomes(engine, 4)[0] == [0, 1, 2, 3]
        engine.send("router", 1)
        assert outcomes(engine, 4)[0] == [0, 1, 2, 3]
        fired = engine.stop().rows
    answer = conform(log)
    assert answer.conforms and answer.events == fired, answer
    assert len(processes) == 9 and all(map(is_gone, processes)) and not segments() and os.listdir(tmp_path) == ["events.ndjson"]


@pytest.mark.parametrize(
    ("crash", "victim", "group"),
    [("decode", "decode engine[1]", ("decode engine[1]",)), ("prefill", "prefill engine", PREFILL), ("rank", "messager[0]", PREFILL)],
)
def test_a_killed_process_comes_back_and_every_request_ends(tmp_path: Path, crash: str, victim: str, group: tuple[str, ...]) -> None:
    log = tmp_path / "events.ndjson"
    with start(repaired(1, crash=crash, repeats=True, **SMALL), log) as engine:
        processes = process_numbers(engine)
        kill(engine, victim)
        ended, said = outcomes(engine, 2, Returned)
        assert ended == [0, 1] and said[0] == Died(group, said[0].fate) and said[1] == Returned(group)
        assert said[0].fate.startswith(f"{victim} (process ") and said[0].fate.endswith("was killed by SIGKILL")
        processes += process_numbers(engine)
        engine.send("router", 1)
        assert outcomes(engine, 2) == ([0, 1], [])
        engine.stop()
    answer = conform(log)
    assert answer.conforms, answer
    assert all(map(is_gone, processes)) and not segments() and os.listdir(tmp_path) == ["events.ndjson"]


def test_a_process_that_the_system_lets_die_once_ends_the_engine_the_second_time(tmp_path: Path) -> None:
    with start(repaired(0, crash="decode", repeats=True, **SMALL), tmp_path / "events.ndjson") as engine:
        kill(engine, "decode engine[0]")
        while not isinstance(next_letter(engine).content, Returned):
            pass
        kill(engine, "decode engine[0]")
        with pytest.raises(EngineError, match=r"^decode engine\[0\] \(process \d+\) was killed by SIGKILL, and the protocol has no row for that"):
            next_letter(engine)
        with pytest.raises(EngineError, match="was killed"):
            engine.send("router", 1)
        with pytest.raises(EngineError, match="was killed"):
            engine.stop()
    assert not segments() and os.listdir(tmp_path) == []


def test_a_killed_process_that_the_system_does_not_know_ends_the_engine(tmp_path: Path) -> None:
    with start(repaired(0, **SMALL), tmp_path / "events.ndjson") as engine:
        processes = process_numbers(engine)
        kill(engine, "decode engine[0]")
        with pytest.raises(EngineError, match=r"^decode engine\[0\] \(process \d+\) was killed by SIGKILL before the run was over"):
            next_letter(engine)
    assert all(map(is_gone, processes)) and not segments() and os.listdir(tmp_path) == []


def test_a_crew_that_cannot_be_made_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"messager\[0\] failed: ValueError: no weights for messager\[0\] before"):
        start(repaired(0, broken="messager[0]", **SMALL), tmp_path / "events.ndjson")
    assert not segments() and os.listdir(tmp_path) == []


def placed(*stations: Station) -> Placement:
    return Placement(Composition("tests.engine.small_system:build"), stations)


GIVER, TAKERS = Station("giver", (Part("giver"),), EngineCrew), Station("takers", (Part("taker"),), EngineCrew)


@pytest.mark.parametrize(
    ("placement", "message"),
    [
        (placed(GIVER), r"taker\[0\] is placed in no process"),
        (placed(GIVER, TAKERS, Station("one", (Part("taker", (1,)),), EngineCrew)), r"taker\[1\] is placed in takers and in one"),
        (placed(GIVER, Station("giver", (Part("taker"),), EngineCrew)), "two processes of the placement have one name"),
        (placed(GIVER, Station("takers", (Part("taker"),), EngineCrew, results_to="nobody")), "takers names the process 'nobody'; there are giver"),
    ],
)
def test_a_placement_that_does_not_fit_starts_nothing(placement: Placement, message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        start(placement)
    assert not segments()


def test_copies_that_die_apart_are_not_placed_together() -> None:
    both = Composition(BUILDER, {"decodes": 2, "repeats": True, "crash": "decode"})
    placement = Placement(both, (Station("decode engines", (Part("listener"),), EngineCrew),))
    with pytest.raises(DefinitionError, match="decode engines runs copies of several processes"):
        placement.life(placement.stations[0], both.system())


def test_a_small_system_is_placed_whole() -> None:
    placed(GIVER, TAKERS).check(build())
