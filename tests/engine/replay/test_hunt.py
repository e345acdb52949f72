"""Versions of the catalogue under seeded schedules: what goes wrong, and that nothing does in the version that holds."""

from __future__ import annotations

import pytest

from engine.replay.hunt import ROWS, attempt_on
from engine.runtime.policy import Priorities, SeededRandom
from protocol.catalogue import find_scenario

SEEDS = range(10)


def kinds(name: str, *, holds: bool = False) -> dict[str, int]:
    """In how many of the schedules each kind of harm was done, by PCT."""
    attempt = attempt_on(find_scenario(name), holds=holds)
    found: dict[str, int] = {}
    for seed in SEEDS:
        for kind, _ in attempt(Priorities(seed, changes=3, rows=ROWS), seed):
            found[kind] = found.get(kind, 0) + 1
    return found


def test_a_dropped_signal_leaves_its_request_for_ever() -> None:
    assert kinds("layer0-signal-dropped-in-e1") == {"never ends": 4, "leaks": 4}
    assert kinds("layer0-signal-dropped-in-e1", holds=True) == {}


@pytest.mark.parametrize("seed", [4, 10])
def test_a_run_is_had_again_by_its_seed(seed: int) -> None:
    attempt = attempt_on(find_scenario("layer0-signal-dropped-in-e1"))
    assert attempt(SeededRandom(seed), seed) == attempt(SeededRandom(seed), seed)
