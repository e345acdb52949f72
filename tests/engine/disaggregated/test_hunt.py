"""Hunts: the engine with a rule left out goes wrong under seeded schedules, and with all rules kept it does not."""

from __future__ import annotations

import pytest

from engine.disaggregated.hunt import ADVERSITIES, Hunt
from engine.runtime.policy import Policy, Priorities, SeededRandom
from protocol import DefinitionError


def policy(name: str, seed: int) -> Policy:
    return SeededRandom(seed) if name == "random" else Priorities(seed, changes=3, rows=2400)


@pytest.mark.parametrize(
    ("rule", "name", "seed", "kinds"),
    [
        ("counts_reports", "random", 0, {"stands still"}),
        ("fences_writes", "random", 1, {"stray writes"}),
        ("reserves_once", "random", 0, {"leaks"}),
        ("parks_early_signals", "pct", 3, {"stands still"}),
    ],
)
def test_what_a_rule_is_for_comes_back_without_it(rule: str, name: str, seed: int, kinds: set[str]) -> None:
    outcome = Hunt(rule).run(policy(name, seed), seed)
    assert {kind for kind, _ in outcome.harms} == kinds
    kept = Hunt(None, ADVERSITIES.get(rule)).run(policy(name, seed), seed)
    assert kept.harms == []


def test_a_stall_tells_who_waits_for_what() -> None:
    outcome = Hunt("counts_reports").run(policy("random", 0), 0)
    assert " in WAITING waits for receive_answer (answers[" in outcome.stall


def test_a_run_is_had_again_by_its_seed_also_in_a_hunt_that_has_run_before() -> None:
    hunt = Hunt("fences_writes")
    hunt.run(policy("pct", 2), 2)
    assert hunt.run(policy("random", 1), 1) == Hunt("fences_writes").run(policy("random", 1), 1)


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(DefinitionError, match="without='fences': choose one of"):
        Hunt("fences").run(policy("random", 0), 0)
