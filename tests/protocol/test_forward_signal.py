"""The forward signal: recorded verdicts and counts, the paths that the facts describe, and the repaired variant asked everything."""

from __future__ import annotations

from typing import Any

import pytest

from checker import Verdict, check
from protocol import DefinitionError
from protocol.catalogue import Scenario
from protocol.catalogue.forward_signal import SCENARIOS
from protocol.machines.signalling.forward_signal import build

from .paths import in_order, paths_of

path_of = paths_of()

SMALL = [s for s in SCENARIOS if not s.deep and (s.distinct or 0) <= 200_000]


def scenario(name: str) -> Scenario:
    return next(s for s in SCENARIOS if s.name == name)


@pytest.mark.parametrize("asked", SMALL, ids=lambda s: s.name)
def test_scenario_has_its_recorded_answer(asked: Scenario) -> None:
    result = check(asked.system())
    finding = result.findings[asked.property]
    assert (finding.verdict.value, result.distinct, finding.path_length) == (asked.expected, asked.distinct, asked.path_length)
    assert result.findings["range"].verdict is Verdict.HOLDS


def test_scenarios_are_named_once_and_say_what_happens() -> None:
    names = [s.name for s in SCENARIOS]
    assert len(set(names)) == len(names)
    assert all(s.group == "forward-signal" and s.about and s.sources and s.distinct for s in SCENARIOS)


def test_early_zero_is_the_interleaving_of_the_facts() -> None:
    steps = path_of("early-zero-in-b-async-tp2")
    reads = [s for s in steps if s.endswith(("read_batch", "read_last_batch"))]
    assert len(reads) == 2
    assert in_order(steps, reads[1], "gate.find_queue_empty", "worker[0].lower_forward", "gate.find_forward_over")
    assert "worker[1].finish_forward" not in steps
    assert steps[-1] == "gate.find_forward_over"


def test_early_zero_of_a_blocking_forward_lies_between_two_returns() -> None:
    steps = path_of("early-zero-in-b-sync-tp2")
    assert in_order(steps, "worker[1].synchronise_forward", "worker[0].finish_forward", "worker[0].lower_forward", "gate.find_forward_over")
    assert "worker[1].finish_forward" not in steps


def test_divided_ranks_is_the_interleaving_of_the_facts() -> None:
    steps = path_of("divided-ranks-in-a-experts-async-tp2")
    assert in_order(steps, "worker[0].find_no_batch", "gate.put_batch", "worker[0].announce", "worker[1].see_batch")
    assert in_order(steps, "worker[0].see_no_batch", "worker[0].finish_forward", "worker[0].announce")
    assert "worker[0].see_batch" not in steps


def test_worker_is_killed_by_an_announcement_of_a_batch_that_all_have_read() -> None:
    steps = path_of("worker-killed-in-b-prefill-async-tp2")
    assert in_order(steps, "worker[0].find_batch", "worker[1].read_last_batch", "worker[1].reset_flag", "worker[0].announce")
    assert steps[-1].endswith("fail_assertion")


def faults(variant: str, role: str, forward: str, expert_parallel: bool) -> set[str]:
    """The table of the catalogue's docstring, as properties that are violated."""
    found = {"no_schedule_during_forward"}
    if variant in ("B", "B'"):
        found.add("no_lost_store_on_forward_signal")
    if variant == "A" and forward == "async":
        found |= {"same_batch_per_iteration", "each_batch_read_once", "no_write_conflict_on_batch_announced"}
    if variant == "B" and forward == "async" and not (role == "prefill" and expert_parallel):
        found |= {"no_write_conflict_on_forward_signal", "no_write_conflict_on_batch_announced", "same_batch_per_iteration"}
        found |= {"no_worker_fails", "deadlock", "gate_opens", "batch_is_read"}
        if role == "mixed":
            found |= {"each_batch_read_once", "work_goes_on"}
    return found


@pytest.mark.parametrize("expert_parallel", [False, True], ids=["dense", "experts"])
@pytest.mark.parametrize("forward", ["sync", "async"])
@pytest.mark.parametrize("role", ["mixed", "prefill"])
@pytest.mark.parametrize("variant", ["A", "B", "B'"])
def test_each_variant_has_the_faults_of_the_table(variant: str, role: str, forward: str, expert_parallel: bool) -> None:
    result = check(build(variant, role=role, forward=forward, expert_parallel=expert_parallel))
    violated = {name for name, finding in result.findings.items() if finding.verdict is Verdict.VIOLATED}
    assert violated == faults(variant, role, forward, expert_parallel)
    assert Verdict.INCONCLUSIVE not in {finding.verdict for finding in result.findings.values()}


@pytest.mark.parametrize("expert_parallel", [False, True], ids=["dense", "experts"])
@pytest.mark.parametrize("forward", ["sync", "async"])
@pytest.mark.parametrize("role", ["mixed", "prefill"])
@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("batches", [2, None], ids=["two", "endless"])
def test_repaired_variant_satisfies_everything(ranks: int, role: str, forward: str, expert_parallel: bool, batches: int | None) -> None:
    result = check(build("repaired", ranks, role, forward, expert_parallel, batches))
    wrong = {name for name, finding in result.findings.items() if finding.verdict is not Verdict.HOLDS}
    assert wrong == set()


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"variant": "C"}, "choose one of A, B, B', repaired"),
        ({"role": "decode"}, "choose one of mixed, prefill"),
        ({"forward": "eager"}, "choose one of sync, async"),
        ({"ranks": 0}, "at least one rank"),
        ({"batches": 0}, "or None for no end"),
        ({"decode_steps": -1}, "zero or more"),
    ],
)
def test_unknown_choice_is_a_definition_error_that_lists_the_choices(config: dict[str, Any], named: str) -> None:
    with pytest.raises(DefinitionError, match=named):
        build(**config)
