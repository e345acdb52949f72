"""The client in virtual time: what is sent when, and what is measured, exactly."""

from __future__ import annotations

import math

import pytest

from engine.load.client import play
from engine.load.traffic import Traffic
from engine.metrics import Completion, Measurement
from engine.workload import Request, generate

from .virtual import Timed, run

AT_ITS_TIMES = Traffic()


def played(requests: list[Request], traffic: Traffic = AT_ITS_TIMES, generator: Timed | None = None) -> tuple[Measurement, Timed]:
    timed = generator or Timed()
    return run(play(requests, timed, traffic)), timed


def test_requests_are_sent_at_the_traces_times() -> None:
    measured, _ = played([Request(0.0, 3, 1), Request(2.5, 4, 3)])
    assert measured.completions == (
        Completion(0, 3, 1, 0.0, 0.0, (1.0,)),
        Completion(1, 4, 3, 2.5, 2.5, (3.5, 3.75, 4.0)),
    )
    assert measured.duration_s == 4.0


def test_a_faster_trace_is_sent_faster_and_answered_as_ever() -> None:
    measured, _ = played([Request(0.0, 3, 1), Request(8.0, 4, 2)], Traffic(speed=4.0))
    assert [(c.sent_s, c.e2el_s) for c in measured.completions] == [(0.0, 1.0), (2.0, 1.25)]


def test_concurrency_holds_back_what_is_too_much_in_order() -> None:
    measured, timed = played([Request(0.0, k, 1) for k in range(1, 8)], Traffic(math.inf, concurrency=3))
    assert timed.most_under_way == 3
    assert [added for _, _, added in timed.sent] == [1, 2, 3, 4, 5, 6, 7]
    assert [c.queued_s for c in measured.completions] == [0, 0, 0, 1, 1, 1, 2]
    assert measured.peak_requests == 3 and measured.duration_s == 3.0


def test_without_concurrency_everything_goes_at_once() -> None:
    measured, timed = played([Request(float(k), 1, 1) for k in range(50)], Traffic(math.inf))
    assert timed.most_under_way == 50 and measured.duration_s == 1.0


def test_a_round_is_sent_when_the_one_before_is_answered_and_brings_all_that_was_said() -> None:
    requests = [Request(0.0, 3, 5, "a"), Request(0.0, 7, 1), Request(0.0, 2, 1, "a"), Request(9.0, 1, 1, "a")]
    measured, timed = played(requests)
    assert timed.sent == [(0.0, 0, 3), (0.0, 0, 7), (2.0, 8, 2), (9.0, 11, 1)]
    assert [(c.due_s, c.prompt_tokens) for c in measured.completions] == [(0.0, 3), (0.0, 7), (2.0, 10), (9.0, 12)]


def test_a_rounds_own_time_counts_while_the_traces_times_do() -> None:
    requests = [Request(0.0, 1, 1, "a"), Request(8.0, 1, 1, "a")]
    for traffic, second in ((AT_ITS_TIMES, 8.0), (Traffic(speed=2.0), 4.0), (Traffic(speed=100.0), 1.0), (Traffic(math.inf), 1.0)):
        measured, _ = played(requests, traffic)
        assert [c.sent_s for c in measured.completions] == [0.0, second]


def test_a_session_keeps_its_place_to_its_end() -> None:
    requests = [Request(0.0, 1, 1, "a"), Request(0.0, 2, 1, "b"), Request(0.0, 3, 1, "a"), Request(0.0, 4, 1, "b")]
    measured, timed = played(requests, Traffic(math.inf, concurrency=1))
    assert [added for _, _, added in timed.sent] == [1, 3, 2, 4]
    assert [c.due_s for c in measured.completions] == [0.0, 0.0, 1.0, 3.0]


def test_a_failure_ends_its_session_and_nothing_else() -> None:
    requests = [Request(0.0, 1, 1, "a"), Request(0.0, 1, 9, "a"), Request(0.0, 1, 1, "a"), Request(0.0, 1, 1, "a"), Request(0.0, 1, 1, "b")]
    told: list[int] = []
    measured = run(play(requests, Timed(fails=9), AT_ITS_TIMES, progress=told.append))
    assert [c.error for c in measured.completions] == [
        "",
        "told to",
        "not sent: request 1, an earlier round of its session, failed",
        "not sent: request 1, an earlier round of its session, failed",
        "",
    ]
    assert (len(measured.answered), measured.output_tokens) == (2, 2)
    assert told == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("traffic", [AT_ITS_TIMES, Traffic(20.0, 0.5, 3, seed=4)])
def test_the_same_run_measures_the_same(traffic: Traffic) -> None:
    requests = generate(seed=3, count=30, rate=20, rounds=3)
    assert played(requests, traffic)[0] == played(requests, traffic)[0]


def test_a_closed_loop_obeys_littles_law() -> None:
    """Requests under way = throughput times latency, in any run that has no idle place."""
    measured, _ = played(generate(seed=5, count=400, input_len=4, output_len=9), Traffic(math.inf, concurrency=8))
    latency = sum(measured.values_s("e2el")) / 400
    assert measured.per_second(400) * latency == pytest.approx(8.0)
