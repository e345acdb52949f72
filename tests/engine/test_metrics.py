"""Latencies against numbers worked out by hand."""

import pytest

from engine.metrics import Completion, Report, Summary


def report(completions: tuple[Completion, ...]) -> Report:
    return Report(len(completions), completions, 2.0, forwards=3, rows_fired=40, speed=10.0, ranks=2, variant="repaired", seed=0)


def test_percentiles_interpolate() -> None:
    summary = Summary.of([1.0, 2.0, 3.0, 4.0, 5.0])
    assert summary is not None
    assert (summary.mean, summary.p50) == (3.0, 3.0)
    assert (summary.p90, summary.p99) == pytest.approx((4.6, 4.96))


def test_latencies_count_from_arrival() -> None:
    run = report((Completion(0, 10, 4, 1.0, 1.5, 3.0), Completion(1, 10, 6, 2.0, 3.5, 4.0)))
    assert run.ttft is not None and run.end_to_end is not None
    assert (run.ttft.mean, run.end_to_end.mean) == (1.0, 2.0)
    assert run.output_tokens == 10
    assert run.latency_rows() == [
        ("TTFT", "1,000.00", "1,000.00", "1,400.00", "1,490.00"),
        ("end to end", "2,000.00", "2,000.00", "2,000.00", "2,000.00"),
    ]
    assert ("output tokens a second", "5") in run.summary_rows()
    assert run.as_json()["ttft_ms"]["p90"] == pytest.approx(1400.0)


def test_nothing_completed_is_a_dash_and_not_a_number() -> None:
    assert report(()).latency_rows()[0] == ("TTFT", "-", "-", "-", "-")
    assert report(()).as_json()["end_to_end_ms"] is None
