"""Every figure of a measurement against a slow computation from the definitions, and against numbers worked out by hand."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.forward_signal.run import Report
from engine.metrics import Completion, Measurement, Summary

# Readings are whole eighths of a second, so that sums and differences are exact and comparisons need no tolerance.
moments = st.integers(0, 80).map(lambda eighths: eighths / 8)


@st.composite
def completions(draw: st.DrawFn) -> Completion:
    due, held, *gaps = draw(st.lists(moments, min_size=3, max_size=8))
    sent = due + held
    if draw(st.booleans()) and draw(st.booleans()):
        return Completion(0, draw(st.integers(1, 50)), 0, due, sent, (), "refused")
    pieces, moment = [], sent
    for gap in gaps:
        moment += gap
        pieces.append(moment)
    return Completion(0, draw(st.integers(1, 50)), draw(st.integers(len(pieces), 20)), due, sent, tuple(pieces))


def by_hand(values: list[float], percentile: float) -> float:
    """The percentile by its definition: linear between the two nearest of the sorted values."""
    ordered = sorted(values)
    place = Fraction(percentile) / 100 * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return float(Fraction(ordered[below]) + (place - below) * (Fraction(ordered[above]) - Fraction(ordered[below])))


@given(st.lists(moments, min_size=1, max_size=30), st.sampled_from([0.0, 25.0, 50.0, 90.0, 99.0, 99.9, 100.0]))
def test_a_summary_is_what_its_definition_says(values: list[float], percentile: float) -> None:
    summary = Summary.of(values, [percentile])
    mean = sum(values) / len(values)
    assert summary.mean == pytest.approx(mean)
    assert summary.std == pytest.approx(math.sqrt(sum((v - mean) ** 2 for v in values) / len(values)))
    assert summary.median == pytest.approx(by_hand(values, 50))
    assert summary.percentiles == (pytest.approx(by_hand(values, percentile)),)


@given(st.lists(completions(), max_size=6))
def test_the_latencies_are_what_their_definitions_say(some: list[Completion]) -> None:
    ttft, tpot, itl, e2el, queued = [], [], [], [], []
    for c in some:
        if c.error:
            continue
        ttft.append(c.pieces_s[0] - c.sent_s)
        e2el.append(c.pieces_s[-1] - c.sent_s)
        queued.append(c.sent_s - c.due_s)
        if c.output_tokens > 1:
            tpot.append((e2el[-1] - ttft[-1]) / (c.output_tokens - 1))
        for k in range(1, len(c.pieces_s)):
            itl.append(c.pieces_s[k] - c.pieces_s[k - 1])
    run = Measurement(tuple(some), 1.0)
    assert [run.values_s(m) for m in ("ttft", "tpot", "itl", "e2el", "queued")] == [ttft, tpot, itl, e2el, queued]


@given(st.lists(completions(), max_size=6), st.sampled_from([0.5, 2.0, 10.0]))
def test_totals_and_rates_count_what_was_answered(some: list[Completion], duration: float) -> None:
    run = Measurement(tuple(some), duration)
    good = [c for c in some if c.error == ""]
    assert (len(run.answered), len(run.failed)) == (len(good), len(some) - len(good))
    assert run.input_tokens == sum(c.prompt_tokens for c in good)
    assert run.output_tokens == sum(c.output_tokens for c in good)
    assert run.per_second(run.output_tokens) == sum(c.output_tokens for c in good) / duration


@given(st.lists(completions(), max_size=6))
def test_the_peaks_are_found_by_looking_at_every_moment(some: list[Completion]) -> None:
    run = Measurement(tuple(some), 1.0)
    good = [c for c in some if not c.error]
    began = min((c.sent_s for c in good), default=0.0)
    seconds = [sum(began + s <= piece < began + s + 1 for c in good for piece in c.pieces_s) for s in range(120)]
    assert run.peak_pieces == max(seconds)
    # Requests come and go at eighths: between two of them nothing changes.
    under_way = [sum(c.sent_s <= eighth / 8 < c.finished_s for c in good) for eighth in range(8 * 120)]
    assert run.peak_requests == max(under_way)


@given(st.lists(completions(), max_size=6), st.dictionaries(st.sampled_from(["ttft", "tpot", "e2el"]), st.sampled_from([0.0, 500.0, 4000.0])))
def test_goodput_counts_requests_that_miss_no_objective(some: list[Completion], objectives: dict[str, float]) -> None:
    count = 0
    for c in some:
        if c.error:
            continue
        ttft, e2el = c.pieces_s[0] - c.sent_s, c.pieces_s[-1] - c.sent_s
        found = {"ttft": ttft, "e2el": e2el, "tpot": 0.0 if c.output_tokens == 1 else (e2el - ttft) / (c.output_tokens - 1)}
        count += all(found[name] * 1000 <= most for name, most in objectives.items())
    assert Measurement(tuple(some), 1.0).good(objectives) == count


def test_one_answer_worked_out_by_hand() -> None:
    """Due at 1 s, sent at 2 s; five tokens in four pieces, at 2.5, 3, 3.25 and 4.5 s."""
    one = Completion(7, 10, 5, 1.0, 2.0, (2.5, 3.0, 3.25, 4.5))
    assert (one.queued_s, one.ttft_s, one.tpot_s, one.e2el_s) == (1.0, 0.5, 0.5, 2.5)
    assert one.itl_s == [0.5, 0.25, 1.25]


def test_nothing_answered_is_all_zeros() -> None:
    run = Measurement((), 0.0)
    assert Summary.of(run.values_s("ttft"), [99]) == Summary(0.0, 0.0, 0.0, (0.0,))
    assert (run.per_second(0), run.peak_pieces, run.peak_requests, run.good({"ttft": 1.0})) == (0.0, 0, 0, 0)


def test_the_report_of_the_forward_signal_engine_measures_its_requests() -> None:
    done = (Completion(0, 10, 4, 1.0, 1.0, (1.5, 2.0, 2.5, 3.0)),)
    report = Report(1, done, 2.0, forwards=3, rows_fired=40, speed=10.0, ranks=2, variant="repaired", seed=0)
    assert report.measurement == Measurement(done, 2.0)
    assert report.details() == {"forwards": 3, "rows_fired": 40, "speed": 10.0, "ranks": 2, "variant": "repaired", "seed": 0}
