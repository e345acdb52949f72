"""SPIN's second opinion: states, transitions, depth and verdicts of the exported systems agree with ours."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, reject, settings

from checker import Limits, Verdict, check
from protocol import DefinitionError, System
from protocol.catalogue import Scenario, scenarios
from protocol.machines.repaired import protocol as repaired
from protocol.render.promela import CANNOT_SAY, ask_name, export
from protocol.render.promela_liveness import formula_names
from tests.checker.random_systems import systems
from tests.checker.spin import AVAILABLE, MISSING, run_spin
from tests.checker.test_tables import waits
from tests.reference import dining, orphaned_lock, peterson, producer_consumer, tcommit, two_phase_commit

pytestmark = [pytest.mark.spin, pytest.mark.skipif(not AVAILABLE, reason=MISSING)]

FEW = 30_000
"""States up to which SPIN is asked about every variant of every builder; INTERLOCK_SPIN=all asks about every scenario."""

LARGE = (
    "repaired-tp2-same-batch-per-iteration",
    "repaired-threads-taken-twice",
    "repaired-crash-of-decode-foreign-written",
    "layer0-signal-slot-reused-in-e3a",
)
"""Scenarios above 10^5 states."""


def chosen() -> list[Scenario]:
    """The largest scenario below FEW of every builder and variant, and the large ones."""
    small = [s for s in scenarios().values() if not s.deep and (s.distinct or 0) < FEW]
    if os.environ.get("INTERLOCK_SPIN") != "all":
        best: dict[tuple[object, str], Scenario] = {}
        for scenario in sorted(small, key=lambda s: s.distinct or 0):
            best[scenario.build, scenario.variant] = scenario
        small = list(best.values())
    return [*small, *(scenarios()[name] for name in LARGE)]


def agree(system: System) -> None:
    """Distinct states, generated states and depth are the same."""
    ours = check(system)
    theirs = run_spin(export(system), bfs=True)
    assert (theirs.states, theirs.transitions, theirs.depth) == (ours.distinct, ours.generated, ours.depth)


PUBLISHED = {
    "two_phase_commit_3": (two_phase_commit.build(3), 288, 1_145, 10),
    "two_phase_commit_5": (two_phase_commit.build(5), 8_832, 58_145, 16),
    "tcommit_3": (tcommit.build(3), 34, 93, 6),
    "tcommit_5": (tcommit.build(5), 274, 1_295, 10),
    "peterson": (peterson.build(), 34, 62, 9),
    "dining_3": (dining.build(3), 14, None, 3),
    "dining_5": (dining.build(5), 82, None, 5),
    "dining_8": (dining.build(8), 1_154, None, 8),
    "dining_3_ordered": (dining.build(3, ordered=True), 12, None, None),
    "dining_5_ordered": (dining.build(5, ordered=True), 70, None, None),
    "producer_consumer_2_2_3_2": (producer_consumer.build(2, 2, 3, 2), 250, None, 12),
    "producer_consumer_2_2_5_3": (producer_consumer.build(2, 2, 5, 3), 1_738, None, 20),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_reference_systems_have_the_published_counts(name: str) -> None:
    system, states, transitions, depth = PUBLISHED[name]
    spin = run_spin(export(system), bfs=True)
    ours = check(system)
    assert (ours.distinct, ours.generated, ours.depth) == (spin.states, spin.transitions, spin.depth)
    assert spin.states == states
    assert transitions in (None, spin.transitions - 1)
    assert depth in (None, spin.depth)


def test_depth_first_search_with_hidden_temporaries_counts_the_same() -> None:
    system = producer_consumer.build()
    assert run_spin(export(system)).transitions == check(system).generated


def test_locks_barriers_and_passive_machines_agree() -> None:
    agree(waits())


def test_what_a_dead_copy_held_agrees() -> None:
    agree(orphaned_lock.build())


@pytest.mark.parametrize("ordered", [False, True])
def test_deadlock_is_an_assertion_at_its_depth(ordered: bool) -> None:
    spin = run_spin(export(dining.build(5, ordered)), bfs=True, ask=ask_name("deadlock"))
    assert (spin.errors, spin.depth) == ((0, 5) if ordered else (1, 5))


def test_the_large_ones_are_large() -> None:
    assert len(chosen()) >= 10
    assert sum((scenarios()[name].distinct or 0) > 100_000 for name in LARGE) >= 3


@pytest.mark.parametrize("scenario", chosen(), ids=lambda s: s.name)
def test_scenarios_agree(scenario: Scenario) -> None:
    agree(scenario.system())


COMPOSITIONS: dict[str, dict[str, Any]] = {
    "two_prefills": {"prefills": 2},
    "two_prefills_of_a_full_decode": {"prefills": 2, "requests": 2, "full": True},
    "launched_layers": {"asynchronous": True, "layers": 2},
    "launched_faults": {"asynchronous": True, "chunks": 2, "aborts": True, "errors": True},
    "launched_crash": {"asynchronous": True, "crash": "rank"},
}
"""Bounds of the repaired protocol of which no scenario is among the chosen."""


@pytest.mark.parametrize("name", COMPOSITIONS)
def test_compositions_of_the_repaired_protocol_agree(name: str) -> None:
    agree(repaired.build(**COMPOSITIONS[name]).focused("committed_unsent"))


ASKED = (
    "links-rank-connects-twice", "links-acknowledged-not-landed", "links-flushed-before-the-report", "links-first-instance-reserves-for-all",
    "words-ask-lost-under-the-zero", "words-abort-takes-rows-away-in-b", "words-half-written-experts-loaded", "words-whole-experts-loaded-in-ours",
    "decode-ranks-tp1", "decode-ranks-async-tp2", "repaired-launched-some-forward-before-registration", "repaired-launched-layers-committed-unsent",
    "repaired-launched-without-speaks-in-stream-schedule-during-forward",
)  # fmt: skip
"""Scenarios of stand-ins, of crowded words and of launched forwards whose verdicts SPIN is asked, too."""


@pytest.mark.parametrize("name", ASKED)
def test_verdicts_of_scenarios_agree(name: str) -> None:
    """SPIN, asked for a violation (or a witness), finds one at the end of the recorded path, or none."""
    scenario = scenarios()[name]
    system = scenario.system()
    found = run_spin(export(system), bfs=True, ask=ask_name(scenario.property))
    witnessed = system.find_property(scenario.property).kind == "sometimes"
    assert (found.errors > 0) == ((scenario.expected == "violated") != witnessed)
    if found.errors:
        assert found.depth == scenario.path_length


@settings(max_examples=8, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(systems())
def test_random_systems_agree(system: System) -> None:
    try:
        ours = check(system, limits=Limits(max_states=FEW))
    except DefinitionError:
        reject()
    if not ours.complete or ours.distinct < 5:
        reject()
    text = export(system)
    theirs = run_spin(text, bfs=True)
    assert (theirs.states, theirs.transitions, theirs.depth) == (ours.distinct, ours.generated, ours.depth)
    kinds = {p.name: p.kind for p in system.properties}
    asked = next(n for n in ours.findings if kinds.get(n, "range") not in CANNOT_SAY)
    assert (run_spin(text, ask=ask_name(asked)).errors > 0) == (ours.findings[asked].path is not None)


@pytest.mark.parametrize("fair", ["weak", "none"])
def test_starvation_freedom_of_peterson_needs_weak_fairness(fair: str) -> None:
    system = peterson.build(fair)
    options = ("-a", "-f") if fair == "weak" else ("-a",)
    for name in formula_names(system)["enters"]:
        spin = run_spin(export(system, liveness=True), flags=("-DNOREDUCE", "-DNFAIR=3"), options=(*options, "-N", name))
        assert (spin.errors > 0) == (fair == "none")
    assert check(system).findings["enters"].verdict is (Verdict.HOLDS if fair == "weak" else Verdict.VIOLATED)
