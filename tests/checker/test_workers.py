"""The answer does not depend on the number of workers: the same counts, numbering, findings and paths."""

import pytest
from hypothesis import given

from checker import Limits, Result, Verdict, check, space
from protocol import DefinitionError, System
from protocol.catalogue import find_scenario
from tests.checker.random_systems import EXAMPLES, systems
from tests.reference import alternating_bit, dining, peterson, producer_consumer, two_phase_commit

FEW = 64
"""Successors handed over at a time: so few that small systems, too, keep both threads busy."""

SYSTEMS = {
    "two_phase_commit": lambda: two_phase_commit.build(6),
    "peterson": lambda: peterson.build("none"),
    "dining": lambda: dining.build(8),
    "producer_consumer": lambda: producer_consumer.build(3, 3, 4, 3),
    "alternating_bit": lambda: alternating_bit.build("weak"),
    "two_words": lambda: producer_consumer.build(2, 20, 2, 4),
    "early_zero": lambda: find_scenario("early-zero-in-b-async-tp3").system(),
    "layer0": lambda: find_scenario("layer0-signal-dropped-in-e1").system(),
    "layer0_liveness": lambda: find_scenario("layer0-signal-never-answered-in-e1").system(),
    "larger": lambda: find_scenario("layer0-signal-two-requests-in-ours-one-layer").system(),
}


def answer(system: System, workers: int) -> object:
    """Everything of a result but the time it took; of a wrong definition, what is said of it."""
    try:
        result: Result = check(system, workers=workers)
    except DefinitionError as error:
        return str(error)
    findings = {n: (f.verdict, f.reason, f.loop_start, None if f.path is None else [str(i) for i in f.path]) for n, f in result.findings.items()}
    return result.distinct, result.generated, result.depth, result.complete, result.never_fired, findings


def same(system: System) -> None:
    assert answer(system, 1) == answer(system, 2) == answer(system, 3)


@pytest.mark.parametrize("name", SYSTEMS)
def test_workers_agree_on_known_systems(name: str) -> None:
    same(SYSTEMS[name]())


@pytest.mark.parametrize("name", [n for n in SYSTEMS if n != "larger"])
def test_workers_agree_when_little_is_handed_over_at_a_time(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space, "PIPELINE_ROOM", FEW)
    same(SYSTEMS[name]())


def test_a_budget_that_runs_out_is_inconclusive_on_any_number_of_workers() -> None:
    for workers in (1, 2):
        result = check(SYSTEMS["larger"](), workers=workers, limits=Limits(max_states=70_000))
        assert (result.complete, result.findings["deadlock"].verdict) == (False, Verdict.INCONCLUSIVE)


def is_small(system: System) -> bool:
    """Whether the system is worth exploring three times over (a wrong definition is)."""
    try:
        return check(system, limits=Limits(max_states=20_000)).complete
    except DefinitionError:
        return True


@EXAMPLES
@given(systems())
def test_workers_agree_on_random_systems(system: System) -> None:
    room, space.PIPELINE_ROOM = space.PIPELINE_ROOM, FEW
    try:
        if is_small(system):
            same(system)
    finally:
        space.PIPELINE_ROOM = room
