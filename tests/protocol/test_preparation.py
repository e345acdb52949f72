"""Preparation: the paths that the facts describe, two laws beyond the recorded bounds, and what the builders refuse."""

from __future__ import annotations

from typing import Any

import pytest

from checker import check
from protocol import DefinitionError
from protocol.catalogue.preparation import HAZARDS, SCENARIOS
from protocol.machines.preparation import duplicate_half, preparation, shared_config, slow_match

from .paths import in_order, paths_of

path_of = paths_of("preparation")


def is_violated(asked: str, **bounds: Any) -> bool:
    """Whether the question is answered with a counterexample at these bounds."""
    system = preparation.build(**bounds).focused(asked)
    return check(system).findings[asked].verdict.value == "violated"


# -- the paths of the facts ------------------------------------------------------------------------------------------


def test_batch_larger_than_p_holds_the_first_and_never_gets_the_second() -> None:
    steps = path_of("batch-larger-than-p-in-e0")
    assert in_order(steps, "prepare[0,0].hold(request=0)", "decode_loop[0].reserve(request=0)", "prepare[0,0].take_grant(request=0)")
    assert "prepare[0,0].hold(request=1)" not in steps


def test_two_threads_hold_a_block_each() -> None:
    steps = path_of("two-threads-in-circle-in-e1")
    for thread, first, second in ((0, 0, 1), (1, 2, 3)):
        mine = f"prepare[0,{thread}]"
        assert in_order(steps, f"{mine}.fetch(size=2)", f"{mine}.hold(request={first})", f"{mine}.take_grant(request={first})")
        assert f"{mine}.hold(request={second})" not in steps


def test_two_instances_hold_a_decode_instance_each() -> None:
    steps = path_of("two-instances-in-circle-in-e1")
    for decode, mine, theirs in ((0, 0, 3), (1, 2, 1)):
        assert in_order(
            steps,
            f"decode_loop[{decode}].reserve(request={mine})",
            f"decode_loop[{decode}].find_full(request={theirs})",
            f"decode_loop[{decode}].refuse(request={theirs})",
        )
    assert in_order(steps, "prepare[0,0].ask_again(request=1)") and in_order(steps, "prepare[1,0].ask_again(request=3)")


def test_full_decode_instance_holds_every_thread() -> None:
    steps = path_of("full-d-stops-other-d-in-e1")
    assert in_order(steps, "prepare[0,0].hold(request=0)", "prepare[0,0].ask_again(request=0)")
    assert in_order(steps, "prepare[0,1].hold(request=1)", "prepare[0,1].ask_again(request=1)")
    assert not any("request=2" in step for step in steps)


def test_full_decode_instance_holds_the_blocks_though_a_thread_is_free() -> None:
    steps = path_of("full-d-stops-other-d-by-blocks-in-e1")
    assert in_order(steps, "prepare[0,1].fetch(size=1)") and "prepare[0,1].hold(request=1)" not in steps
    assert in_order(steps, "prepare[0,0].hold(request=0)", "prepare[0,0].ask_again(request=0)")


def test_late_answer_is_stored_after_the_key_is_deleted() -> None:
    steps = path_of("late-answer-leaves-key-in-e1")
    assert in_order(steps, "prepare[0,0].time_out(request=0)", "prepare[0,0].give_up(request=0)", "decode_answer[0].store_answer")
    halves = path_of("late-answer-leaves-half-in-e1")
    assert in_order(halves, "prepare[0,0].recycle(request=0)", "decode_answer[0].put_decode_half", "registrar[0].insert(request=0)")


def test_own_reservation_stands_in_the_way_of_the_second_ask() -> None:
    steps = path_of("own-reservation-in-the-way-in-e1")
    assert in_order(steps, "prepare[0,0].time_out(request=0)", "decode_loop[0].reserve(request=0)", "decode_loop[0].find_full(request=0)")


def test_sender_has_the_request_before_its_half_is_there() -> None:
    steps = path_of("waits-for-registration-in-e1")
    assert in_order(steps, "prepare[0,0].put_prefill_halves", "prepare[0,0].add_to_running", "forward[0].compute(request=0)", "sender[0].pop")
    assert not any(step.startswith("decode_answer[0].put") for step in steps)


def test_sender_and_decode_instance_wait_for_each_others_first() -> None:
    steps = path_of("kept-asks-in-circle-in-e1")
    reserved = next(step for step in steps if step.startswith("decode_loop[0].reserve"))
    computed = next(step for step in steps if step.startswith("forward[0].compute"))
    assert reserved[-2] != computed[-2]  # the two requests' numbers


def test_full_decode_instance_holds_the_sender() -> None:
    steps = path_of("kept-ask-holds-sender-in-e1")
    assert in_order(steps, "decode_loop[1].reserve(request=1)", "registrar[0].publish(request=1)", "forward[0].compute(request=0)", "sender[0].pop")


def test_other_threads_slot_is_serialised() -> None:
    steps = path_of("foreign-slot-after-7771")
    assert in_order(steps, "asking[0].configure", "asking[1].configure", "asking[0].serialise", "receiver.read_last")


def test_second_put_meets_the_first() -> None:
    steps = path_of("doubled-half-fails-assertion-in-e0")
    assert in_order(steps, "answer.put_payload", "registrar[0].insert(request=1)", "registrar[0].fail(request=0)")
    alone = path_of("doubled-half-leaves-acknowledgement-in-e0")
    last = alone[alone.index("sender[0].begin") :]
    assert sum(".acknowledge" in step for step in last) == 1


# -- laws beyond the recorded bounds -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("threads", "batch"), [(1, 1), (1, 2), (2, 1), (2, 2), (1, 3)])
@pytest.mark.parametrize("room", [1, 2, 3])
def test_batches_hold_each_other_when_each_may_lack_one_block(threads: int, batch: int, room: int) -> None:
    """The law of the banker: T batches of b deadlock on r blocks exactly when r <= T (b - 1)."""
    requests = threads * batch
    bounds = {"decodes": "0" * requests, "decode_room": str(requests), "prefill_room": room, "threads": threads}
    assert is_violated("deadlock", variant="E1", batch=batch, **bounds) == (room <= threads * (batch - 1))
    if requests <= 3:
        assert not is_violated("deadlock", variant="repaired", **bounds)


@pytest.mark.parametrize("for_full", [1, 2])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("room", [1, 2, 3])
def test_full_decode_instance_stops_all_when_it_has_every_thread_or_block(for_full: int, threads: int, room: int) -> None:
    """In E1 others starve exactly when the full D's requests fill the threads or P's room; ours never lets them."""
    bounds = {"decodes": "0" * for_full + "1", "decode_room": "01", "prefill_room": room, "threads": threads}
    assert is_violated("requests_for_others_end", variant="E1", **bounds) == (for_full >= min(threads, room))
    if room == 1:
        assert not is_violated("requests_for_others_end", variant="repaired", **bounds)


# -- the record --------------------------------------------------------------------------------------------------------


def test_every_owned_hazard_is_found_and_mended() -> None:
    for hazard in HAZARDS:
        asked = [s for s in SCENARIOS if hazard.number in s.sources]
        assert any(s.expected == "violated" and s.variant.startswith("E") for s in asked), hazard.number
        assert any(s.expected == "holds" and s.variant == "repaired" for s in asked), hazard.number


def test_every_question_that_holds_is_violated_in_some_variant() -> None:
    answers: dict[tuple[str, str], set[str]] = {}
    for s in SCENARIOS:
        if not s.property.startswith("some_"):
            answers.setdefault((s.build.__module__, s.property), set()).add(s.expected)
    assert all("violated" in found for found in answers.values())


@pytest.mark.parametrize(
    "wrong",
    [
        {"variant": "E3"},
        {"waits": "twice"},
        {"refusals": "loud"},
        {"prefills": "012"},
        {"decodes": "02"},
        {"decodes": "x"},
        {"sizes": "1"},
        {"prefill_room": 0},
        {"threads": 0},
        {"batch": 4},
        {"tries": 0},
        {"timeouts": 3},
        {"variant": "E1", "waits": "cache_task"},
        {"variant": "prefill_first", "messager": True},
    ],
    ids=str,
)
def test_bounds_are_judged_with_a_remedy(wrong: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError, match="choose one of|give one digit|set messager"):
        preparation.build(**wrong)


@pytest.mark.parametrize(
    ("build", "wrong"),
    [
        (shared_config.build, {"variant": "E2"}),
        (shared_config.build, {"requests": 1}),
        (duplicate_half.build, {"variant": "E2"}),
        (duplicate_half.build, {"ranks": 0}),
        (slow_match.build, {"variant": "E2"}),
        (slow_match.build, {"older": 1}),
        (slow_match.build, {"requests": 0}),
    ],
    ids=lambda part: part.__module__.rpartition(".")[2] if callable(part) else str(part),
)
def test_small_builders_judge_their_bounds(build: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError, match="choose one of"):
        build(**wrong)
