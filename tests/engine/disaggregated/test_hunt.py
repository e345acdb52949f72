"""Hunts: the engine with a rule left out goes wrong under seeded schedules, and with all rules kept it does not."""

from __future__ import annotations

import pytest

from engine.binding import after
from engine.disaggregated.hunt import ADVERSITIES, Adversity, Hunt
from engine.disaggregated.messager import Messager
from engine.runtime.policy import Policy, Priorities, SeededRandom
from engine.step import Step
from protocol import DefinitionError


def policy(name: str, seed: int) -> Policy:
    return SeededRandom(seed) if name == "random" else Priorities(seed, changes=3, rows=2400)


@pytest.mark.parametrize(
    ("rule", "name", "seed", "kinds"),
    [
        ("counts_reports", "pct", 3, {"stands still", "wrong tokens", "k3"}),
        ("fences_writes", "random", 1, {"stray writes"}),
        ("reserves_once", "random", 0, {"leaks"}),
        ("parks_early_signals", "pct", 4, {"stands still"}),
        ("speaks_in_stream", "pct", 12, {"stands still"}),
        ("ends_steps", "random", 35, {"wrong tokens", "k3"}),
        ("cleans_first", "random", 9, {"stands still"}),
        ("credits_singly", "random", 18, {"cut short"}),
        ("publishes_computed", "pct", 0, {"wrong tokens", "k3"}),
        ("counts_users", "random", 4, {"wrong tokens", "k3"}),
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


def test_a_commit_that_is_said_again_brings_the_first_token() -> None:
    adversity = Adversity(faults=25, troubles={"losses": True})
    assert Hunt(None, adversity).run(policy("random", 5), 5).harms == []


def test_what_an_abort_has_put_back_into_the_intake_is_taken_twice_and_skipped() -> None:
    assert Hunt("leaves_intake").run(policy("random", 0), 0).harms == []


def test_a_failure_tells_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(messager: Messager, step: Step) -> None:
        raise KeyError(3)

    monkeypatch.setattr(Messager, "send", after("sender.send_layer", "sender.send_last_layer")(fail))
    outcome = Hunt(None).run(policy("random", 0), 0)
    assert outcome.failure.startswith("KeyError: 3 behind sender[")


def test_a_process_that_dies_while_another_is_on_its_way_back_returns_once() -> None:
    adversity = Adversity(kills=3)
    for seed in (5, 21):
        assert Hunt(None, adversity).run(policy("random", seed), seed).harms == []


@pytest.mark.parametrize("rule", ["drains_before_pause", "holds_posts"])
def test_tokens_that_come_during_a_pause_are_told(rule: str) -> None:
    outcome = Hunt(rule).run(policy("random", 1), 1)
    assert [kind for kind, _ in outcome.harms] == ["no pause"]
    assert Hunt(None, ADVERSITIES[rule]).run(policy("random", 1), 1).harms == []


def test_idle_ranks_that_poll_let_time_pass_for_those_who_sleep() -> None:
    # Without this rule a rank of P lowers no signal in an iteration without work, where it would rest.
    assert Hunt("lowers_behind_barrier").run(policy("random", 1), 1).harms == []


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(DefinitionError, match="without='fences': choose one of"):
        Hunt("fences").run(policy("random", 0), 0)
