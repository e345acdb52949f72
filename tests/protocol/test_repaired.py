"""The repaired protocol: its rules are accounted for, its rows fire, and its counterexamples tell the story of their rule."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from checker import Verdict, check
from protocol import DefinitionError, System, sometimes
from protocol.catalogue.repaired import WHOLE
from protocol.catalogue.repaired_asked import ASKED
from protocol.catalogue.repaired_rules import RULES
from protocol.catalogue.repaired_without import LEFT_OUT
from protocol.machines.repaired.bounds import Rules
from protocol.machines.repaired.device import Device
from protocol.machines.repaired.protocol import build
from protocol.machines.repaired.worker import Worker

from .paths import events, in_order, path_to


def path_of(asked: str, **config: Any) -> list[str]:
    """The events of the shortest path to the violation of that property."""
    return events(path_to(build(**config), asked))


def test_every_rule_has_a_note_and_its_hazard_comes_back_without_it() -> None:
    rules = [f.name for f in fields(Rules)]
    assert list(RULES) and set(RULES) == set(rules)
    assert {s.config["without"] for s in LEFT_OUT} == set(rules)


def test_every_property_is_asked_of_the_whole_and_named_with_what_it_means() -> None:
    crashes = [build(crash=who, repeats=True) for who in ("decode", "prefill")]
    cached = build(prefixes=2, chunks=2, slots=2)
    systems = (
        build(),
        build(full=True, decodes=2, requests=2, threads=2),
        build(control=True, decode_ranks=True),
        build(prefills=2),
        build(prefills=2, troubled=1),
        cached,
        *crashes,
    )
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
    path = path_of("requests_answered", without="parks_early_signals")
    assert in_order(path, "prepare.put_task", "gate.schedule", "worker.signal_layer", "consumer.receive", "consumer.park_item", "registrar.register")


def test_the_first_report_speaks_for_all_without_counting() -> None:
    path = path_of("committed_unsent", without="counts_reports", ranks=2)
    assert path.count("sender.report") == 1
    assert in_order(path, "sender.report", "completer.collect", "completer.release_sent", "listener.receive_commit")


def test_the_forward_signal_is_lowered_early_without_its_owner() -> None:
    path = path_of("schedule_during_forward", without="lowers_behind_barrier", ranks=2)
    assert in_order(path, "worker.raise_forward", "worker.lower_forward", "gate.find_forward_over")


def test_blocks_of_an_aborted_request_are_written_without_the_drain() -> None:
    path = path_of("freed_block_written", without="drains_before_cancel", aborts=True)
    assert in_order(path, "gate.schedule", "router.abort_at_prefill", "worker.write_layer")


def test_kernels_in_the_queue_write_freed_blocks_when_the_host_speaks_for_them() -> None:
    path = path_of("freed_block_written", without="speaks_in_stream", asynchronous=True, aborts=True, chunks=2)
    assert in_order(path, "worker.launch", "worker.signal_withdrawals", "completer.release_withdrawn", "device.write_layer")


def test_a_row_of_the_batch_is_taken_for_another_request() -> None:
    path = path_of("uncomputed_sent", without="names_requests", requests=2, slots=2, room=2)
    assert in_order(path, "worker.signal_layer", "consumer.queue_item", "sender.find_layer", "sender.send_last_layer")


def test_the_next_registration_is_deleted_by_who_cleans_behind_the_report() -> None:
    path = path_of("requests_answered", without="cleans_first", turns=2)
    assert in_order(path, "sender.report", "completer.release_sent", "router.post_next", "registrar.register", "sender.clean")


def test_an_abort_that_moves_the_cursor_brings_a_taken_request_back() -> None:
    path = path_of("taken_twice", without="leaves_intake", requests=2, aborts=True, full=True)
    assert in_order(path, "prepare.take", "router.recycle", "prepare.take")


def test_the_host_goes_on_while_the_device_works() -> None:
    system = build(asynchronous=True, ranks=2)
    overlaps = system.machine("device").at(0) == Device.COMPUTING
    looks = system.machine("worker").at(0) == Worker.LOOKING
    found = check(System("overlap", system.machines, [sometimes("some_overlap", overlaps & looks)]), first=True)
    assert found.findings["some_overlap"].verdict is Verdict.HOLDS


def test_a_repeated_ask_reserves_twice_without_the_memory_of_the_first() -> None:
    path = path_of("reservations_counted", without="reserves_once", repeats=True, room=2)
    assert in_order(path, "decode_loop.reserve", "decode_loop.reserve_again")


def test_a_closed_request_is_granted_anew_when_it_is_forgotten() -> None:
    path = path_of("answered_at_most_once", without="reserves_posted", repeats=True)
    assert path.count("decode_loop.answer") == 2


def test_memory_of_another_life_is_written_without_the_fence() -> None:
    path = path_of("foreign_written", without="fences_writes", crash="decode", repeats=True)
    assert in_order(path, "decode_loop.grant", "faults.crash_decode", "sender.send_last_layer")


def test_a_wrong_suspicion_does_harm_without_the_fence() -> None:
    path = path_of("foreign_written", without="fences_writes", suspicions=True)
    assert in_order(path, "decode_loop.grant", "decode_loop.suspect", "decode_worker.release", "sender.send_last_layer")
    assert "faults.crash_prefill" not in path


def test_half_a_cache_is_decoded_when_a_new_life_of_prefill_takes_what_was_meant_for_the_last() -> None:
    path = path_of("committed_unsent", without="names_lives", crash="prefill", chunks=2)
    assert in_order(path, "router.register", "faults.crash_prefill", "faults.restart_prefill", "router.post_to_prefill")


def test_a_router_that_knows_who_is_dead_does_less_and_nothing_is_lost_by_it() -> None:
    """The engine's router knows; the scenarios are of one that may learn of it late."""
    late, knowing = (check(build(crash="prefill", turns=2, knows_dead=knows)) for knows in (False, True))
    assert {name: f.verdict for name, f in knowing.findings.items() if f.verdict is not Verdict.HOLDS} == {}
    assert knowing.generated < late.generated


def test_nothing_changes_where_the_end_of_a_step_is_a_row_of_its_own() -> None:
    """As the engine has it; in most scenarios it is part of the first credit."""
    for config in ({"aborts": True, "drafts": True}, {"control": True}, {"crash": "any", "repeats": True}):
        findings = check(build(**config, reports=True)).findings
        assert {name: f.verdict for name, f in findings.items() if f.verdict is not Verdict.HOLDS} == {}
    path = path_of("step_on_freed_reservation", without="ends_steps", aborts=True, reports=True)
    assert in_order(path, "decode_worker.start_step", "router.abort_at_decode", "decode_worker.release")
    assert "decode_worker.hear_report" not in path


def test_a_crash_forgets_as_much_however_often_a_number_is_used() -> None:
    def stores(turns: int) -> dict[str, int]:
        crashes = [a for a in build(crash="any", repeats=True, turns=turns).actions if a.row.event.startswith("crash_")]
        return {a.row.event: len(a.stores) for a in crashes}

    assert set(stores(2)) == {"crash_prefill", "crash_decode"}
    assert stores(2) == stores(7)


def test_a_step_goes_on_in_a_freed_reservation_when_the_end_does_not_wait_for_it() -> None:
    path = path_of("step_on_freed_reservation", without="ends_steps", aborts=True)
    assert in_order(path, "decode_worker.start_step", "router.abort_at_decode", "decode_worker.release")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"without": "luck"}, "choose one of lowers_behind_barrier"),
        ({"ranks": 0}, "ranks = 0"),
        ({"crash": "moon"}, "choose one of none, prefill, rank, decode"),
        ({"losses": True}, "set repeats=true"),
        ({"prefixes": 1}, "set chunks to 2"),
        ({"troubled": 1}, "set prefills to 2"),
        ({"blocks": 3}, "set prefixes"),
        ({"prefixes": 1, "chunks": 3, "blocks": 2}, "would wait for ever"),
    ],
)
def test_bounds_are_judged(config: dict[str, Any], said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        build(**config)


def test_a_pause_waits_for_what_is_under_way_and_new_weights_for_the_pause() -> None:
    path = path_of("weights_mixed", without="drains_before_pause", control=True)
    update = ("decode_worker.begin_update", "decode_worker.end_update")
    assert in_order(path, "worker.write_layer", "control.pause", "control.update", *update, "decode_worker.start_step")
    held_back = path_of("at_work_while_paused", without="holds_posts", control=True)
    assert in_order(held_back, "control.pause", "control.see_decode_idle", "router.post_to_decode", "control.see_prefill_idle", "prepare.hold")


def test_everything_is_asked_at_once_of_a_controlled_request_that_is_given_up() -> None:
    result = check(build(control=True, aborts=True))
    assert {name: f.verdict for name, f in result.findings.items() if f.verdict is not Verdict.HOLDS} == {}


def test_a_block_that_nobody_will_compute_is_found_when_it_is_published_at_preallocation() -> None:
    path = path_of("uncomputed_read", without="publishes_computed", prefixes=1, chunks=2, turns=2, aborts=True)
    assert in_order(path, "prepare.hold", "router.abort_at_prefill", "router.post_next", "prepare.hold", "worker.write_layer", "worker.signal_layer")


def test_a_block_in_use_is_evicted_when_nobody_counts() -> None:
    bounds: dict[str, Any] = {"prefixes": 2, "blocks": 3, "chunks": 2, "requests": 2, "slots": 2, "room": 2}
    path = path_of("freed_block_read", without="counts_users", **bounds)
    assert in_order(path, "gate.find_forward_over", "prepare.evict", "sender.send_last_layer")


def test_new_weights_find_what_the_old_ones_have_computed_unless_the_cache_is_emptied() -> None:
    path = path_of("weights_mixed", without="forgets_with_weights", prefixes=1, chunks=2, turns=2, control=True)
    assert in_order(path, "gate.find_forward_over", "control.update", "worker.load_weights", "prepare.hold", "worker.signal_layer")
