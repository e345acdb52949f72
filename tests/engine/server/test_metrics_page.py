"""/metrics: vLLM's names under our prefix, and figures that add up."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from engine.generation import Finish
from engine.server.telemetry import Telemetry, Track

from .conftest import Address, Scripted, serving

# Of vLLM's metrics (facts: serving.md, section 1) those that a server over any engine can tell; the last line has two of our own.
NAMES = """
    time_to_first_token_seconds inter_token_latency_seconds request_time_per_output_token_seconds e2e_request_latency_seconds
    request_queue_time_seconds request_prefill_time_seconds request_decode_time_seconds request_inference_time_seconds
    prompt_tokens generation_tokens request_success num_requests_running num_requests_waiting kv_cache_usage_perc
    prefix_cache_queries prefix_cache_hits spec_decode_num_draft_tokens spec_decode_num_accepted_tokens
    eplb_moves eplb_imbalance
""".split()


def values(registry: CollectorRegistry, name: str) -> dict[str, float]:
    """Suffix and labels of a metric to its value, without the moments of creation."""
    family = next(f for f in registry.collect() if f.name == f"interlock:{name}")
    return {s.name.removeprefix(f"interlock:{name}_") + s.labels.get("finished_reason", s.labels.get("le", "")): s.value for s in family.samples}


def test_the_names_are_the_fields() -> None:
    registry = Telemetry(Scripted(), "tiny").registry
    assert [family.name for family in registry.collect()] == [f"interlock:{name}" for name in NAMES]
    assert all(s.labels["model_name"] == "tiny" for family in registry.collect() for s in family.samples)


def test_the_times_of_one_answer() -> None:
    """Arrives at 10 s, is scheduled at 10.1 s; tokens at 10.5, 10.7 and 11.5 s; ends at 12 s."""
    telemetry = Telemetry(Scripted(), "tiny")
    track = Track(telemetry, 10.0, 5)
    for moment in (10.5, 10.7, 11.5):
        track.token(moment)
    track.end(Finish.LENGTH, 12.0, 10.1)
    track.end(Finish.ABORT, 13.0, 10.1)
    sums = {name: values(telemetry.registry, name) for name in NAMES}
    for name, count, total in (
        ("time_to_first_token_seconds", 1, 0.5),
        ("inter_token_latency_seconds", 2, 1.0),
        ("request_time_per_output_token_seconds", 1, 0.5),
        ("e2e_request_latency_seconds", 1, 2.0),
        ("request_queue_time_seconds", 1, 0.1),
        ("request_prefill_time_seconds", 1, 0.4),
        ("request_decode_time_seconds", 1, 1.0),
        ("request_inference_time_seconds", 1, 1.4),
    ):
        assert (sums[name]["count"], round(sums[name]["sum"], 9)) == (count, total), name
    assert sums["inter_token_latency_seconds"]["bucket0.3"] == 1
    assert (sums["prompt_tokens"]["total"], sums["generation_tokens"]["total"]) == (5, 3)
    assert {f: sums["request_success"][f"total{f}"] for f in Finish} == {"stop": 0, "length": 1, "abort": 0, "error": 0}


@pytest.mark.parametrize(("tokens", "begun_s", "told"), [(0, None, ""), (0, 1.5, "queue"), (1, 1.5, "queue prefill decode inference")])
def test_an_answer_that_ends_early_has_the_times_of_what_it_reached(tokens: int, begun_s: float | None, told: str) -> None:
    telemetry = Telemetry(Scripted(), "tiny")
    track = Track(telemetry, 1.0, 5)
    for k in range(tokens):
        track.token(2.0 + k)
    track.end(Finish.ABORT, 3.0, begun_s)
    for phase in ("queue", "prefill", "decode", "inference"):
        assert values(telemetry.registry, f"request_{phase}_time_seconds")["count"] == (phase in told.split())


def test_the_phases_of_an_answer_are_told_by_the_engine(server: Address) -> None:
    before = server.figures()
    assert server.post({"model": "tiny", "prompt": "Hi", "max_tokens": 3, "n": 2}).status_code == 200
    after = server.figures()
    names = [f"request_{phase}_time_seconds" for phase in ("queue", "prefill", "decode", "inference")]
    assert [after[f"{name}_count{{}}"] - before[f"{name}_count{{}}"] for name in names] == [2, 2, 2, 2]
    queue_s, prefill_s, decode_s, inference_s = (after[f"{name}_sum{{}}"] - before[f"{name}_sum{{}}"] for name in names)
    assert queue_s >= 0 and prefill_s > 0 and abs(prefill_s + decode_s - inference_s) < 1e-6


def test_the_gauges_are_the_engines() -> None:
    with serving(Scripted(ends=Finish.STOP)) as server:
        assert server.post({"model": "tiny", "prompt": "Hi", "n": 3}).status_code == 200
        figures = server.figures()
    gauges = [figures[f"{name}{{}}"] for name in ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc")]
    assert gauges == [2, 1, 0.5]
    assert [figures[f"prefix_cache_{name}_total{{}}"] for name in ("queries", "hits")] == [30, 20]
    assert [figures[f"spec_decode_num_{name}_tokens_total{{}}"] for name in ("draft", "accepted")] == [9, 4]
    assert (figures["eplb_moves_total{}"], figures["eplb_imbalance{}"]) == (2, 1.25)
    assert figures['request_success_total{finished_reason="stop"}'] == 3
    assert (figures["prompt_tokens_total{}"], figures["generation_tokens_total{}"]) == (9, 9)
