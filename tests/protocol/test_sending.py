"""The layer-wise send with chunks and errors, and its smaller questions: the counterexamples tell the story of their hazard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from checker import Verdict, check
from protocol import DefinitionError, System
from protocol.machines.sending import (
    chunked_send,
    completions,
    empty_range,
    signal_struct,
    signalled_layers,
    slot_reuse,
    stale_signals,
    step_layer_words,
    swapped_rows,
)

from .paths import events, in_order, path_to


def path_of(build: Callable[..., System], asked: str, **config: Any) -> list[str]:
    """The events of the shortest path to the violation of that property, as `sender.look`."""
    return events(path_to(build(**config), asked))


def test_an_unregistered_request_takes_the_registered_one_along() -> None:
    path = path_of(chunked_send.build, "registered_request_dropped", epoch="E1-asserting", ranks=1, requests=2)
    assert path.count("registrar.publish_task") == 1
    assert path[-2:] == ["sender.find_task", "sender.assert_registered"]


def test_two_parked_chunks_are_one_item() -> None:
    path = path_of(chunked_send.build, "deadlock", epoch="E3a", chunks=2)
    assert path.count("consumer.park") >= 2
    assert path.count("registrar.forward_parked") + path.count("consumer.queue_ready") == 3  # of four


def test_the_failing_head_is_left_behind() -> None:
    path = path_of(chunked_send.build, "batch_abandoned", epoch="E0", failure="connect", ranks=1, requests=2, layers=2)
    assert in_order(path, "sender.fail_to_connect", "sender.write_layer", "sender.end_pass", "sender.look", "sender.assert_in_step")


def test_a_second_report_waits_with_the_lock_held() -> None:
    config = {"epoch": "E0", "failure": "write", "victims": 2, "ranks": 1, "requests": 2, "layers": 2}
    path = path_of(chunked_send.build, "signals_consumed", chunks=3, **config)
    assert path.count("sender.fail_to_write") == 2 and path.count("sender.report") == 1


def test_an_empty_forward_is_an_item_on_one_rank() -> None:
    path = path_of(chunked_send.build, "work_items_agree", epoch="E0", idle=1)
    assert in_order(path, "schedule.schedule_nothing", "consumer.discard")
    assert "consumer.queue_batch" in path


def test_the_old_task_is_found_by_the_next_signal() -> None:
    path = path_of(slot_reuse.build, "foreign_task_used", variant="E1")
    assert in_order(path, "life.abort", "life.forward", "messager.find_task", "messager.send")
    assert path.count("registrar.publish_task") == 1


def test_a_swap_precedes_the_wrong_credit() -> None:
    assert "worker.swap_states" in path_of(swapped_rows.build, "uncomputed_sent", variant="row")


def test_the_struct_is_rewritten_between_two_looks() -> None:
    path = path_of(signal_struct.build, "wrong_signal", variant="overlapped")
    assert in_order(path, "stream.begin_forward", "host.set_layer", "stream.send_signal") or "host.set_rows" in path


def test_an_old_signal_is_parked_for_the_next_task_in_e2_and_read_late_in_e1() -> None:
    path = path_of(stale_signals.build, "uncomputed_sent", variant="E2")
    assert in_order(
        path, "prefill.forward_old", "prefill.restart", "consumer.park", "registrar.publish_task", "registrar.forward_parked", "sender.send"
    )
    assert "prefill.forward" not in path
    late = path_of(stale_signals.build, "uncomputed_sent", variant="E1")
    assert in_order(late, "prefill.forward_old", "prefill.restart", "registrar.store_info", "consumer.accept", "consumer.queue_item", "sender.send")


def test_a_dummy_run_counts_on_from_the_last_layer() -> None:
    path = path_of(signalled_layers.build, "signal_of_nobody", variant="plain", dummies=1)
    assert in_order(path, "worker.end_forward", "worker.begin_dummy", "worker.fail_assertion", "messager.mark_late")


@pytest.mark.parametrize("runs", [False, True])
@pytest.mark.parametrize("allows", [False, True])
@pytest.mark.parametrize("awaits", [False, True])
def test_only_equal_counts_of_layers_are_sound(runs: bool, allows: bool, awaits: bool) -> None:
    known = [v for v in signalled_layers.VARIANTS.values() if not v.ours and (v.runs, v.allows, v.awaits) == (runs, allows, awaits)]
    for variant in known:
        findings = check(signalled_layers.build(variant.name)).findings
        sound = all(findings[p].verdict is Verdict.HOLDS for p in ("request_ends", "reported_early", "worker_fails"))
        assert sound == (runs == allows == awaits)


def test_a_torn_pair_is_an_old_layer_and_a_new_step() -> None:
    path = path_of(step_layer_words.build, "uncomputed_sent", variant="V0")
    assert in_order(path, "messager.read_layer", "worker.set_step", "messager.read_step")


def test_the_completion_taken_is_of_another_write() -> None:
    path = path_of(completions.build, "finished_before_arrival", variant="EP", faults=False)
    assert path.count("nic.complete") == 1 and path[-1] == "thread.finish"


@pytest.mark.parametrize(("source", "destination"), [(s, d) for s in range(1, 5) for d in range(5)])
def test_which_lists_finish_is_as_the_arithmetic_says(source: int, destination: int) -> None:
    """The published loop in plain Python: offset, then per chunk a range, finished only by one that is not empty."""
    chunks = min(2, source)
    sent, finished = source - destination, False
    for chunk in range(chunks):
        end = source if chunk == chunks - 1 else chunk + 1
        if end > sent:
            finished, sent = chunk == chunks - 1, end
    result = check(empty_range.build("published", source, destination, chunks))
    assert (result.findings["request_reported"].verdict is Verdict.HOLDS) == finished
    assert (result.findings["range_within_lists"].verdict is Verdict.HOLDS) == (destination <= source)


@pytest.mark.parametrize(
    ("build", "config", "said"),
    [
        (chunked_send.build, {"epoch": "E9"}, "choose one of E0"),
        (chunked_send.build, {"failure": "luck"}, "choose one of none"),
        (chunked_send.build, {"chunks": 0}, "chunks=0"),
        (slot_reuse.build, {"variant": "E3"}, "choose one of E0"),
        (slot_reuse.build, {"requests": 4}, "requests=4"),
        (stale_signals.build, {"tokens": 0}, "tokens=0"),
        (empty_range.build, {"chunks": 3}, "chunks=3"),
        (step_layer_words.build, {"variant": "V1"}, "choose one of V0"),
        (completions.build, {"variant": "E0"}, "choose one of EP"),
        (signal_struct.build, {"variant": "E0"}, "choose one of overlapped"),
        (signalled_layers.build, {"variant": "E0"}, "choose one of plain"),
        (signalled_layers.build, {"dummies": 3}, "dummies=3"),
        (swapped_rows.build, {"variant": "E0"}, "choose one of row"),
    ],
)
def test_bounds_are_judged(build: Callable[..., System], config: dict[str, Any], said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        build(**config)
