"""D's ranks under D's worker: what the split says, and that it is about the rows that the engine runs."""

from __future__ import annotations

from typing import Any

import pytest

from checker import check
from checker.result import Finding, Verdict
from engine.disaggregated.plant import Plant
from engine.model.config import TINY, TINY_EXPERTS
from protocol import DefinitionError
from protocol.machines.repaired.decode_ranks import build
from protocol.machines.repaired.decode_rounds import build as build_rounds
from protocol.system import System

from .paths import in_order


def found(part: str, asked: str, explorer: str = "reference", **config: Any) -> Finding:
    """The answer, of the slow explorer where there are few states."""
    return check(build(part, **config).focused(asked), explorer=explorer).findings[asked]


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_step_of_the_ranks_is_what_the_worker_of_the_composition_believes(ranks: int) -> None:
    assert found("ranks", "ranks_covered", ranks=ranks).verdict is Verdict.HOLDS
    for asked in ("engine_covered", "decode_covered", "rank_works_after_step", "report_of_another_step", "step_on_freed_reservation"):
        assert found("engine", asked, ranks=ranks).verdict is Verdict.HOLDS


def test_a_report_of_one_rank_does_not_speak_for_another_that_runs_on_by_itself() -> None:
    finding = found("ranks", "ranks_covered", forward="async")
    assert finding.verdict is Verdict.VIOLATED and finding.path is not None
    assert list(map(str, finding.path))[-3:] == ["decode_rank[0,0].read_batch", "decode_rank[0,0].start_forward", "decode_rank[0,0].finish_forward"]


def test_new_weights_are_a_step_that_every_rank_has_taken_when_it_is_reported() -> None:
    assert found("ranks", "ranks_covered", control=True).verdict is Verdict.HOLDS
    assert found("engine", "step_with_other_weights", control=True).verdict is Verdict.HOLDS
    finding = found("whole", "step_with_other_weights", "table", control=True, forward="async")
    assert finding.verdict is Verdict.VIOLATED and finding.path is not None
    assert in_order(list(map(str, finding.path)), "decode_worker[0].begin_update", "decode_rank[0,0].finish_forward", "decode_worker[0].end_update")
    assert "decode_rank[0,1].start_forward" not in list(map(str, finding.path))


def test_a_step_ends_when_the_gate_schedules_it_and_the_ranks_keep_together() -> None:
    assert found("whole", "step_ends", "table").verdict is Verdict.HOLDS
    assert found("whole", "step_ends", "table", variant="B'", loop_top_barrier=False).verdict is Verdict.VIOLATED


PLANTS: dict[str, tuple[Plant, System]] = {
    "own": (Plant(TINY, 2, mortal=True), build("ranks", ranks=2)),
    "shared": (Plant(TINY_EXPERTS, 2, 2, expert_parallel=4, mortal=True), build_rounds("ranks", ranks=2)),
    "balanced": (Plant(TINY_EXPERTS, 2, 2, expert_parallel=4, redundant_experts=0, mortal=True), build_rounds("ranks", ranks=2, balances=True)),
}


@pytest.mark.parametrize("name", PLANTS)
def test_the_ranks_are_those_that_the_engine_runs(name: str) -> None:
    plant, part = PLANTS[name]
    engine = plant.protocol.system()
    for machine in ("decode_gate", "decode_rank"):
        rows, ours = ([(r.event, r.sources, r.destination) for r in m.rows] for m in (engine.machine(machine), part.machine(machine)))
        assert rows == ours


@pytest.mark.parametrize("balances", [False, True])
def test_a_step_in_a_round_with_others_is_what_the_worker_believes(balances: bool) -> None:
    found = check(build_rounds(ranks=1, balances=balances).focused("ranks_covered"))
    assert found.findings["ranks_covered"].verdict is Verdict.HOLDS and (found.distinct or 0) > 10_000


def test_choices_are_named() -> None:
    with pytest.raises(DefinitionError, match="reporter='nobody': choose one of rank, gate"):
        build(reporter="nobody")
    with pytest.raises(DefinitionError, match="there is no side 'worker'; choose one of ranks, engine"):
        build("worker")
    with pytest.raises(DefinitionError, match="instances=1, ranks=1: give two instances or more"):
        build_rounds(instances=1)
