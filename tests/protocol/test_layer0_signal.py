"""The layer-0 signal: recorded verdicts and counts, and the paths that the facts describe."""

from __future__ import annotations

import pytest

from checker import Verdict, check
from protocol import DefinitionError
from protocol.catalogue import Scenario
from protocol.catalogue.layer0_signal import SCENARIOS
from protocol.machines.hand_over.layer0_signal import build

from .paths import in_order, paths_of

path_of = paths_of("layer0-signal")

SMALL = [s for s in SCENARIOS if not s.deep and (s.distinct or 0) <= 50_000]


@pytest.mark.parametrize("asked", SMALL, ids=lambda s: s.name)
def test_scenario_has_its_recorded_answer(asked: Scenario) -> None:
    result = check(asked.system())
    finding = result.findings[asked.property]
    assert (finding.verdict.value, result.distinct, finding.path_length) == (asked.expected, asked.distinct, asked.path_length)
    assert result.findings["range"].verdict is Verdict.HOLDS


def test_scenarios_are_named_once_and_say_what_happens() -> None:
    names = [s.name for s in SCENARIOS]
    assert len(set(names)) == len(names)
    assert all(s.group == "layer0-signal" and s.about and s.sources and s.distinct for s in SCENARIOS)


def test_every_fault_of_the_facts_is_found_without_deep_scenarios() -> None:
    found = {(source, s.variant) for s in SCENARIOS if s.expected == "violated" and not s.deep for source in s.sources}
    faults = {("H-01", "E1"), ("H-03", "E1"), ("H-03", "E2"), ("H-04", "E3a"), ("H-06", "E0"), ("H-06", "E2"), ("H-06", "E3a")}
    assert faults <= found
    assert all(s.expected == "holds" for s in SCENARIOS if s.variant == "repaired")


def test_dropped_signal_is_the_interleaving_of_the_facts() -> None:
    steps = path_of("dropped-in-e1")
    assert in_order(steps, "prepare[0].put_prefill_half", "prepare[0].add_to_running", "schedule.schedule", "layer_worker[0].signal_layer")
    for rank in (0, 1):
        assert in_order(steps, f"layer_worker[{rank}].signal_layer", f"consumer[{rank}].drop", f"registrar[{rank}].publish_task")
    assert not any(step.startswith("sender") for step in steps)
    # The prefill half was put first: order (ii) of H-01.
    assert in_order(steps, "prepare[0].put_prefill_half", "decode_half[0].put_decode_half")


def test_late_deletion_takes_the_next_registration_away() -> None:
    steps = path_of("slot-reused-in-e0")
    for rank in (0, 1):
        assert in_order(
            steps,
            f"sender[{rank}].report(slot=0)",
            "token_processor.answer(request=0)",
            "finisher.free_slot(request=0)",
            "prepare[1].hold",
            f"registrar[{rank}].publish_task",
            f"sender[{rank}].unregister_last(slot=0)",
            f"sender[{rank}].abandon(slot=0)",
        )


def test_late_deletion_leaves_the_next_signal_parked() -> None:
    for name in ("slot-reused-in-e2", "slot-reused-in-e3a"):
        steps = path_of(name)
        for rank in (0, 1):
            assert in_order(steps, f"registrar[{rank}].publish_task", f"sender[{rank}].unregister_last(slot=0)", f"consumer[{rank}].park(slot=0)")


@pytest.mark.parametrize(
    "wrong",
    [{"epoch": "E3"}, {"ranks": 0}, {"requests": 0}, {"requests": 3, "slots": 1}, {"slots": 2}, {"layers": 0}, {"halves": 3}],
    ids=str,
)
def test_parameters_are_judged_with_their_choices(wrong: dict) -> None:
    with pytest.raises(DefinitionError, match="choose one of"):
        build(**wrong)
