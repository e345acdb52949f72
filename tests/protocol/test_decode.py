"""The reservation as published: the paths that the facts describe, the bounds, and a twin in plain Python."""

from __future__ import annotations

import pytest

from checker import check
from protocol import DefinitionError
from protocol.machines.network.reservation import build
from protocol.machines.network.tasks_list import build as build_tasks_list

from .paths import in_order, paths_of

path_of = paths_of("decode")


@pytest.mark.parametrize(
    ("name", "story"),
    [
        ("two-places-for-one-id-in-continuous", ("asker[0].time_out", "asker[0].ask", "decode_loop.reserve", "decode_loop.reserve")),
        ("empty-place-decoded-in-continuous", ("asker[0].time_out", "sender[0,0].report", "decode_loop.insert", "decode_loop.reserve")),
        ("batch-abandoned-in-continuous", ("sender[0,0].write", "handler[0].put_half", "registrar[0].reset_layers", "sender[0,0].abandon")),
        ("halves-of-two-reservations-in-continuous", ("asker[0].put_half", "decode_loop.reserve", "registrar[0].merge")),
        ("refusal-said-to-nobody-in-continuous", ("decode_loop.refuse", "decoding[0].finish")),
        ("late-answer-keeps-place-in-single", ("asker[0].time_out", "asker[0].forget_error", "decode_loop.reserve", "handler[0].mark_finished")),
        ("late-answer-keeps-half-in-single", ("asker[0].forget_error", "handler[0].put_half", "registrar[0].store_half")),
        ("freed-place-written-in-rechecked", ("sender[0,0].read_mark", "monitor.collect", "monitor.reclaim", "sender[0,0].write")),
        ("aborted-place-written-in-single", ("asker[0].add", "decoding[0].abort", "sender[0,0].write")),
        ("other-request-overwritten-in-rechecked", ("monitor.reclaim", "decode_loop.reserve", "sender[0,0].write")),
        ("running-request-reclaimed-in-monitored", ("monitor.collect", "decode_loop.insert", "monitor.reclaim")),
        ("left-over-result-in-unpopped", ("decoding[0].finish", "asker[0].prepare", "first_token[0].find_known", "decode_loop.insert")),
        ("late-token-of-first-life-in-rechecked", ("first_token[0].send_token", "monitor.tell", "client[0].take_answer", "decode_loop.insert")),
        ("late-deletion-takes-second-life-in-single", ("sender[0,0].report", "registrar[0].publish", "sender[0,0].unregister")),
        ("lost-answer-keeps-place-in-single", ("decode_loop.reserve", "decode_loop.answer", "network.lose_to_prefill")),
        ("lost-token-leaves-client-waiting-in-single", ("first_token[0].send_token", "network.lose_to_decode")),
        ("prefill-dies-place-kept-in-single", ("decode_loop.reserve", "faults.crash_prefill")),
        ("decode-dies-next-life-written-in-single", ("faults.crash_decode", "faults.restart_decode", "sender[0,0].write")),
        (
            "decode-dies-place-without-client-in-single",
            ("decoding[0].arrive", "faults.restart_decode", "decode_loop.reserve"),
        ),
        ("rank-dies-token-waits-in-single", ("sender[0,0].report", "first_token[0].take_token", "faults.crash_rank")),
        ("tasks-list-read-before-set-in-early", ("filler.assign", "filler.open_slot", "reader.see_task", "reader.read_unset")),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_path_tells_the_story_of_the_facts(name: str, story: tuple[str, ...]) -> None:
    assert in_order(path_of(name), *story)


def test_handler_waits_for_a_dead_rank() -> None:
    steps = path_of("rank-dies-handler-waits-in-single")
    assert in_order(steps, "faults.crash_rank") and not in_order(steps, "registrar[1].fetch")


def test_second_ask_comes_when_the_request_runs() -> None:
    steps = path_of("empty-place-decoded-in-continuous")
    assert steps[-1].startswith("decode_loop.reserve(") and in_order(steps, "decode_loop.insert", "decode_loop.reserve")


@pytest.mark.parametrize(
    "wrong",
    [{"variant": "E0"}, {"requests": 0}, {"lives": 0}, {"ranks": 5}, {"decode_places": 0}, {"handlers": 0}, {"time_outs": 3}, {"losses": 3}],
    ids=str,
)
def test_parameters_are_judged_with_their_choices(wrong: dict) -> None:
    with pytest.raises(DefinitionError, match="choose one of"):
        build(**wrong)


def tasks_list_outcomes(assigned_early: bool, skips_empty: bool) -> set[str]:
    """All interleavings of the filler's stores with one pass of the reader, tried one by one: what the pass can end in."""
    stores = ["task", "open", "metrics"] if assigned_early else ["open", "metrics", "task"]
    found = set()
    for at_open in range(4):
        for at_task in range(at_open, 4):
            for at_metrics in range(at_task, 4):
                done = [set(stores[:k]) for k in (at_open, at_task, at_metrics)]
                if "open" not in done[0]:
                    found.add("passed")
                elif "task" not in done[1]:
                    found.add("passed" if skips_empty else "empty")
                else:
                    found.add("ready" if "metrics" in done[2] else "unset")
    return found


@pytest.mark.parametrize("assigned_early", [False, True])
@pytest.mark.parametrize("skips_empty", [False, True])
def test_tasks_list_ends_as_its_twin(assigned_early: bool, skips_empty: bool) -> None:
    expected = tasks_list_outcomes(assigned_early, skips_empty)
    for asked, outcome in (("unset_metrics_read", "unset"), ("empty_slot_read", "empty")):
        verdict = check(build_tasks_list(assigned_early, skips_empty).focused(asked)).findings[asked].verdict.value
        assert (verdict == "violated") == (outcome in expected), asked
