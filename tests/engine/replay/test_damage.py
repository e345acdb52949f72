"""Counterexamples with tensors behind them: which of them damage answers, lose requests, keep blocks or overwrite them - and that
the same handlers do no damage where the versions that hold are driven.

About half a minute for the file: a replay is four runs of an engine, and its path is found first.
"""

from __future__ import annotations

import pytest

from engine.replay import late
from engine.replay.world import ANSWER_BLOCKS

from .paths import found, replayed

HITS = {
    "H9": "engine-threads-stale-prefill-writes-the-next-owners-block-in-r",
    "H10": "lifecycle-foreign-token-in-newest",
    "H10 in the mixed role": "engine-threads-report-of-a-stop-hits-the-next-in-r-prime",
    "H-03": "layer0-signal-answered-unsent-in-e1-one-layer",
    "H-04": "layer0-signal-answered-unsent-in-e3a-one-layer",
    "H-05": "sending-old-task-serves-the-next-request-in-e1",
    "H-08": "prefix-cache-overtaken-in-e1-7364",
    "H-08 (b)": "prefix-cache-node-left-in-e1-7364",
    "H-12": "decode-empty-place-decoded-in-continuous",
    "H-22": "engine-threads-aborted-in-preparation-shares-its-slot-in-r",
    "H-35": "sending-torn-pair-in-v0",
}
COLLECTING = "token_processor in COLLECTING waits for answer or collect_other"
STALLS = {
    "H-01": ("layer0-signal-dropped-in-e1", f"{COLLECTING} (finished_by_rank[0] is False, which sender changes)"),
    "H-03": (
        "layer0-signal-ranks-divided-in-e2-one-layer",
        "sender[0] in CLOSING waits for report (sender[1] has yet to arrive at finish_send_barrier)",
    ),
    "H-03 (b)": (
        "layer0-signal-ranks-divided-in-e2-one-layer",
        "sender[1] in MEETING waits for begin_item (sender[0] has yet to arrive at begin_send_barrier)",
    ),
    "H-04": ("layer0-signal-report-lost-in-e3a-one-layer", "token_processor in COLLECTING waits for answer"),
    "H-04 (b)": ("sending-parked-chunks-merge-in-e2", "token_processor in COLLECTING waits for answer"),
    "H-05": (
        "sending-old-task-serves-the-next-request-in-e1",
        "life[1] in FORWARDED waits for answer (finished is <0>, which life or messager changes)",
    ),
    "H-06": ("layer0-signal-slot-reused-in-e2", "token_processor in COLLECTING waits for answer"),
    "H-18": ("sending-nothing-to-send-never-finishes", "sender in READY"),
    "H-25": ("sending-struct-rewritten-under-the-stream", "stream in COUNTING"),
}
WITNESSES = (
    "layer0-signal-slot-reused-some-run-answers-in-ours",
    "prefix-cache-matched-in-ours",
    "decode-some-run-decodes-in-single",
    "lifecycle-all-end-in-repaired",
    "engine-threads-some-step-runs-in-ours",
    "sending-some-task-used-in-ours",
    "sending-some-run-answers-two-chunks-in-ours",
    "buffers-some-fast-path-in-ours",
)


@pytest.mark.parametrize("name", HITS.values(), ids=HITS)
def test_damaged_answers_grow_k3_fifty_times_even_in_bfloat16(name: str) -> None:
    outcome = replayed(name)
    assert outcome.before.k3_mean < 1e-9 < 1e-5 < outcome.before_bfloat16.k3_mean < 1e-3
    assert outcome.after.mismatched > 0 and outcome.after.hit > 0
    assert outcome.after.k3_mean > 0.01 and outcome.after_bfloat16.k3_mean > 50 * outcome.before_bfloat16.k3_mean


@pytest.mark.parametrize(("name", "who"), STALLS.values(), ids=STALLS)
def test_a_stall_names_the_request_and_who_waits_for_what(name: str, who: str) -> None:
    after = replayed(name).after
    assert after.unanswered and any(line.startswith(who) for line in after.waiting)
    assert after.leaked["prefill"] > 0 and after.leaked["decode"] == after.leaked["prefill"] + ANSWER_BLOCKS * len(after.unanswered)


def test_an_early_zero_hurts_no_tensor_and_costs_a_request_its_batch() -> None:
    outcome = replayed("early-zero-in-b-async-tp2")
    assert outcome.after.harmless and outcome.after.tokens == outcome.before.tokens
    assert outcome.before.noted == {"batch": outcome.before.noted["batch"]}
    assert outcome.after.noted["batch decided while a rank was not done with the last"] == 1
    assert outcome.after.noted["request that came too late for the next batch"] == 1


def test_a_lost_place_stays_taken() -> None:
    assert replayed("decode-two-places-for-one-id-in-continuous").after.leaked == {"prefill": 0, "decode": 8}


def test_a_freed_place_is_written_all_the_same() -> None:
    after = replayed("decode-freed-place-written-in-rechecked").after
    assert after.stray > 0 and after.overwritten == 0 and after.tokens == 0


def test_what_is_overwritten_in_time_is_written_again_and_later_is_not() -> None:
    name = "decode-other-request-overwritten-in-rechecked"
    early, held = replayed(name).after, late(found(name))
    assert early.overwritten > 0 and early.hit == 0
    assert held.rounds > 1 and held.after.hit > 10


def test_a_stopped_request_of_another_is_nobodys() -> None:
    after = replayed("engine-threads-stop-hits-the-next-in-b").after
    assert after.unanswered == ("1",) and after.waiting == ()


def test_a_token_of_another_request_is_noticed_where_it_is_told() -> None:
    assert replayed(HITS["H10"]).after.noted["tokens told to another request"] == 15
    assert replayed(HITS["H10 in the mixed role"]).after.noted["answer told to another request"] == 1


def test_an_ignored_top_p_draws_from_another_distribution() -> None:
    outcome = replayed("buffers-top-p-ignored-in-unswapped")
    assert max(outcome.before.distances) == 0 and 0.2 < max(outcome.after.distances) < 0.3


@pytest.mark.parametrize("name", WITNESSES)
def test_a_path_of_the_version_that_holds_does_no_damage(name: str) -> None:
    outcome = replayed(name)
    assert outcome.scenario.variant == "repaired" or name == "decode-some-run-decodes-in-single"
    assert outcome.before.harmless and outcome.after.harmless
    assert outcome.after.k3_mean < 1e-9 and (outcome.after.tokens > 0 or outcome.after.distances)
