"""The repaired protocol: its rules are accounted for, its rows fire, and its counterexamples tell the story of their rule."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from checker import Verdict, check
from protocol import DefinitionError
from protocol.catalogue.repaired import ASKED, LEFT_OUT, RULES, WHOLE
from protocol.machines.repaired.plane import Rules
from protocol.machines.repaired.protocol import build


def path_of(asked: str, **config: Any) -> list[str]:
    """The events of the shortest path to the violation of that property."""
    found = check(build(**config).focused(asked)).findings[asked]
    assert found.verdict is Verdict.VIOLATED and found.path is not None
    return [step.action.row.event for step in found.path]


def in_order(events: list[str], *wanted: str) -> bool:
    """Whether the wanted events occur in this order."""
    rest = iter(events)
    return all(event in rest for event in wanted)


def test_every_rule_has_a_note_and_its_hazard_comes_back_without_it() -> None:
    rules = [f.name for f in fields(Rules)]
    assert list(RULES) and set(RULES) == set(rules)
    assert {s.config["without"] for s in LEFT_OUT} == set(rules)


def test_every_property_is_asked_of_the_whole_and_named_with_what_it_means() -> None:
    crashes = [build(crash=who, repeats=True) for who in ("decode", "prefill")]
    systems = (build(), build(full=True, decodes=2, requests=2, threads=2), build(control=True), *crashes)
    assert {p.name for system in systems for p in system.properties} == set(ASKED)
    assert {s.property for s in WHOLE} == set(ASKED)


def test_no_row_assumes_atomicity() -> None:
    faults: dict[str, Any] = dict.fromkeys(("aborts", "deadlines", "repeats", "losses", "errors", "suspicions"), True)
    system = build(requests=2, ranks=2, decodes=2, crash="decode", control=True, **faults)
    assert [row.event for machine in system.machines for row in machine.rows if row.assume_atomic] == []


def test_everything_is_asked_at_once_of_one_request_with_all_faults() -> None:
    result = check(build(aborts=True, deadlines=True, repeats=True, losses=True, errors=True, suspicions=True))
    assert {name: f.verdict for name, f in result.findings.items() if f.verdict is not Verdict.HOLDS} == {}


def test_a_late_signal_is_thrown_away_without_parking() -> None:
    events = path_of("requests_answered", without="parks_early_signals")
    assert in_order(events, "put_task", "schedule", "signal_layer", "receive", "park_item", "register")


def test_the_first_report_speaks_for_all_without_counting() -> None:
    events = path_of("committed_unsent", without="counts_reports", ranks=2)
    assert events.count("report") == 1
    assert in_order(events, "report", "collect", "release_sent", "receive_commit")


def test_the_forward_signal_is_lowered_early_without_its_owner() -> None:
    events = path_of("schedule_during_forward", without="lowers_behind_barrier", ranks=2)
    assert in_order(events, "raise_forward", "lower_forward", "find_forward_over")


def test_blocks_of_an_aborted_request_are_written_without_the_drain() -> None:
    events = path_of("freed_block_written", without="drains_before_cancel", aborts=True)
    assert in_order(events, "schedule", "abort_at_prefill", "write_layer")


def test_a_repeated_ask_reserves_twice_without_the_memory_of_the_first() -> None:
    events = path_of("reservations_counted", without="reserves_once", repeats=True, room=2)
    assert in_order(events, "reserve", "reserve_again")


def test_a_closed_request_is_granted_anew_when_it_is_forgotten() -> None:
    events = path_of("answered_at_most_once", without="reserves_posted", repeats=True)
    assert events.count("answer") == 2


def test_memory_of_another_life_is_written_without_the_fence() -> None:
    events = path_of("foreign_written", without="fences_writes", crash="decode", repeats=True)
    assert in_order(events, "grant", "crash_decode", "send_last_layer")


def test_a_wrong_suspicion_does_harm_without_the_fence() -> None:
    events = path_of("foreign_written", without="fences_writes", suspicions=True)
    assert in_order(events, "grant", "suspect", "release", "send_last_layer")
    assert "crash_prefill" not in events


def test_a_step_goes_on_in_a_freed_reservation_when_the_end_does_not_wait_for_it() -> None:
    events = path_of("step_on_freed_reservation", without="ends_steps", aborts=True)
    assert in_order(events, "start_step", "abort_at_decode", "release")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"without": "luck"}, "choose one of lowers_behind_barrier"),
        ({"ranks": 0}, "ranks = 0"),
        ({"crash": "moon"}, "choose one of none, prefill, rank, decode"),
        ({"losses": True}, "set repeats=true"),
    ],
)
def test_bounds_are_judged(config: dict[str, Any], said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        build(**config)


def test_a_pause_waits_for_what_is_under_way_and_new_weights_for_the_pause() -> None:
    events = path_of("weights_mixed", without="drains_before_pause", control=True)
    assert in_order(events, "write_layer", "pause", "update", "begin_update", "end_update", "start_step")
    held_back = path_of("at_work_while_paused", without="holds_posts", control=True)
    assert in_order(held_back, "pause", "see_decode_idle", "post_to_decode", "see_prefill_idle", "hold")


def test_everything_is_asked_at_once_of_a_controlled_request_that_is_given_up() -> None:
    result = check(build(control=True, aborts=True))
    assert {name: f.verdict for name, f in result.findings.items() if f.verdict is not Verdict.HOLDS} == {}
