"""A placement in one process: its letters, its deaths, and what it says where nothing happens any more."""

from __future__ import annotations

from enum import IntEnum

import pytest

from engine.errors import EngineError
from engine.runtime.ensemble import ROUNDS, Ensemble
from engine.runtime.placement import OUTSIDE, Composition, Crew, Desk, Letter, Part, Placement, Station
from engine.runtime.policy import RoundRobin
from protocol import BOOL, DefinitionError, Lock, Machine, Row, System, locked, register


class Loop(IntEnum):
    RUNNING, DONE = range(2)


def build(spins: bool = False) -> System:
    """Two loops that wait for a flag which nobody raises; one of them asks and is refused for ever, if it `spins`."""
    lock, flag = Lock("asked_lock"), register("flag", BOOL)
    asked = locked("asked", BOOL, lock)
    ask = [Row("ask", Loop.RUNNING, Loop.RUNNING, ~asked, [asked.set(True)], "patient", under=lock)] if spins else []
    refuse = [Row("refuse", Loop.RUNNING, Loop.RUNNING, asked, [asked.set(False)], "stubborn", under=lock)] if spins else []
    patient = Machine("patient", Loop, [Row("go", Loop.RUNNING, Loop.DONE, flag, [], "patient"), *ask], final=Loop.DONE)
    stubborn = Machine("stubborn", Loop, [Row("go", Loop.RUNNING, Loop.DONE, flag, [], "stubborn"), *refuse], final=Loop.DONE)
    return System("patience", [patient, stubborn])


class Echo(Crew):
    """Sends back what it gets, and tells the outside of every row."""

    def __init__(self, desk: Desk):
        self._desk = desk

    def receive(self, letter: Letter) -> None:
        self._desk.post(OUTSIDE, (letter.sender, letter.content))


def placement(**config: bool) -> Placement:
    parts = (Part("patient"), Part("stubborn"))
    return Placement(Composition(f"{__name__}:build", config), (Station("home", parts, Echo),))


def test_letters_come_back_in_order() -> None:
    ensemble = Ensemble(placement(), RoundRobin())
    for number in range(3):
        ensemble.send("home", number)
    assert [letter.content for letter in ensemble.received] == [(OUTSIDE, 0), (OUTSIDE, 1), (OUTSIDE, 2)]


def test_where_nobody_can_fire_it_says_who_waits_for_what() -> None:
    said = r"any more: patient in RUNNING waits for go \(flag is False\); stubborn in RUNNING waits for go \(flag is False\); check"
    with pytest.raises(EngineError, match=said):
        Ensemble(placement(), RoundRobin()).run(lambda: False)


def test_where_nothing_new_happens_it_says_so() -> None:
    ensemble = Ensemble(placement(spins=True), RoundRobin())
    with pytest.raises(EngineError, match="goes round in a circle: "):
        ensemble.run(lambda: False)
    assert ROUNDS * 2 < ensemble.fired < ROUNDS * 3


def test_the_log_of_a_system_is_kept_with_its_last_line() -> None:
    ensemble = Ensemble(placement(spins=True), RoundRobin(), logged=True)
    for _ in range(6):
        ensemble.turn()
    *events, last = ensemble.log()
    assert len(events) == 6 and '"fired": {"patient": 3, "stubborn": 3}' in last


def test_who_is_no_process_or_cannot_die_is_not_killed() -> None:
    ensemble = Ensemble(placement(), RoundRobin())
    with pytest.raises(DefinitionError, match="no process 'nobody'; there are home"):
        ensemble.kill("nobody")
    with pytest.raises(EngineError, match="home was killed, and the protocol has no row for that"):
        ensemble.kill("home")
    assert ensemble.mortal == []
