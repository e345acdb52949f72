"""Mutants of a small system: what refuses, kills or overlooks them."""

from __future__ import annotations

from enum import IntEnum

import pytest

from checker.mutate import Mutant, Trial, judge, mutants
from protocol.effect import when
from protocol.machine import Machine, Row
from protocol.properties import leads_to, never
from protocol.system import System
from protocol.types import BOOL
from protocol.variable import Lock, locked, private


class Light(IntEnum):
    """The light is ..."""

    RED, GREEN = range(2)


def build() -> System:
    """A light that crosses a counter of cars; `noise` is nobody's business."""
    lock = Lock("lock")
    car, noise = locked("car", BOOL, lock), private("noise", BOOL)
    open_, here = car.set(True), car.cell()
    rows = [
        Row("turn_green", Light.RED, Light.GREEN, ~here, [open_, noise.set(~noise.cell())], under=lock),
        Row("turn_red", Light.GREEN, Light.RED, here, [when(here, car.set(False))], under=lock),
    ]
    light = Machine("light", Light, rows)
    green = light.at() == Light.GREEN
    asked = [never("green_without_car", green & ~here), leads_to("turns_green", ~green, green), leads_to("turns_red", green, ~green)]
    return System("crossing", [light], asked)


def test_a_row_is_changed_in_every_way() -> None:
    changes = [str(m) for m in mutants(build()) if m.event == "turn_red"]
    assert changes == [
        "light.turn_red: drop the row",
        "light.turn_red: drop the guard car",
        "light.turn_red: drop what it does to car",
        "light.turn_red: do always what it does to car",
        "light.turn_red: drop the lock lock",
        "light.turn_red: stay instead of going to RED",
    ]


@pytest.mark.parametrize(
    ("event", "change", "part", "verdict", "by"),
    [
        ("turn_green", "drop the lock", "lock", "refused", "without its lock"),
        ("turn_green", "drop what it does to", "car", "killed", "green_without_car"),
        ("turn_red", "drop what it does to", "car", "killed", "turns_green"),
        ("turn_red", "drop the row", "", "killed", "turns_red"),
        ("turn_green", "drop the guard", "not car", "equal", ""),
        ("turn_red", "do always what it does to", "car", "equal", ""),
        ("turn_green", "drop what it does to", "noise", "survived", ""),
    ],
)
def test_a_mutant_is_judged(event: str, change: str, part: str, verdict: str, by: str) -> None:
    mutant = Mutant("light", event, 0, change, part)
    trial = Trial(build, "crossing")
    assert mutant in trial.mutants
    found = judge(mutant, [trial])
    assert (found.verdict, found.bounds) == (verdict, "crossing" if verdict != "equal" else "") and by in found.by


def test_the_system_is_as_it_was_when_its_mutants_have_been_judged() -> None:
    trial = Trial(build, "crossing")
    before = trial.size
    for mutant in trial.mutants:
        trial.judge(mutant)
    assert Trial(lambda: trial.system.focused("green_without_car", "turns_green", "turns_red"), "again").size == before
