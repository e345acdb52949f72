"""The forward signal in one process: every request completes, and the same seed gives the same bytes."""

import io
import json

import pytest

from engine.metrics import Report
from engine.runtime.lockstep import run_lockstep
from engine.runtime.plan import Plan
from engine.workload import Request, generate


def run(variant: str = "repaired", role: str = "mixed", ranks: int = 2, count: int = 50, seed: int = 0) -> tuple[Report, str]:
    log = io.StringIO()
    requests = [Request(r.arrival_s, r.prompt_tokens, min(r.output_tokens, 12)) for r in generate(seed=1, count=count, rate=20)]
    return run_lockstep(requests, Plan(ranks, role, variant), seed=seed, log=log), log.getvalue()


def test_fifty_requests_complete_with_all_their_tokens() -> None:
    report, log = run()
    assert [c.request for c in report.completions] == list(range(50))
    assert all(c.arrived_s < c.first_token_s <= c.finished_s for c in report.completions)
    events = [json.loads(line) for line in log.splitlines()]
    assert len(events) == report.rows_fired
    puts = [e for e in events if e["event"] == "put_batch"]
    reads = [e for e in events if e["event"] in ("read_batch", "read_last_batch")]
    assert len(puts) == report.forwards and len(reads) == 2 * report.forwards


@pytest.mark.parametrize("variant", ["A", "B", "B'", "repaired"])
@pytest.mark.parametrize("role", ["mixed", "prefill"])
def test_the_handlers_fit_every_variant(variant: str, role: str) -> None:
    report, _ = run(variant, role, ranks=3, count=5)
    assert len(report.completions) == 5


def test_the_same_seed_gives_the_same_bytes() -> None:
    assert run(count=8, seed=7) == run(count=8, seed=7)
    assert run(count=8, seed=7)[1] != run(count=8, seed=8)[1]


def test_a_gate_that_waits_for_the_forward_makes_fewer_and_fuller_batches() -> None:
    assert run("repaired")[0].forwards < run("B'")[0].forwards
