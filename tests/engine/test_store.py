"""Cells per medium: local and shared memory."""

from collections.abc import Iterator

import pytest

from engine.driver import Driver
from engine.store import Registers, section_of
from protocol.variable import Variable

from .small_system import build


@pytest.fixture
def registers() -> Iterator[Registers]:
    made = Registers.create(build())
    yield made
    made.close()
    made.unlink()


def take_turns(driver: Driver, fires: dict[str, tuple[int, ...]]) -> list[str]:
    """Fire what is enabled, copy after copy, until nothing is; decided rows only with the values given."""
    fired = []
    progress = True
    while progress:
        progress = False
        for copy in driver.copies.values():
            for instance in list(driver.enabled(copy)):
                if instance.values == fires.get(instance.action.row.event, ()) and driver.attempt(copy, instance):
                    fired.append(str(instance))
                    progress = True
                    break
    return fired


def test_a_variable_lives_where_its_medium_says() -> None:
    system = build()
    homes = {v.name: section_of(v) for v in system.variables}
    assert homes["box"] == homes["box_taken"] == "box_lock"
    assert homes["meeting"] == homes["meeting.waiting.taker"] == "meeting"
    assert homes["box_filled"] is homes["giver_number"] is None


def test_a_register_is_seen_by_whoever_attaches(registers: Registers) -> None:
    system = build()
    filled: Variable = system.variable("box_filled")
    other = Registers.attach(system, registers.name)
    assert other.load(filled, 0) is False
    registers.store(filled, 0, True)
    assert other.load(filled, 0) is True
    other.close()
