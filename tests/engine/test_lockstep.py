"""The forward signal in one process: every request completes, and the same seed gives the same bytes."""

import io
import json
import random

import pytest

from engine.clock import VirtualClock, VirtualTime
from engine.errors import EngineError
from engine.metrics import Report
from engine.roles.rank import FORWARD_S, IDLE_S, TOKEN_S
from engine.runtime.lockstep import run_lockstep, take_turns
from engine.runtime.plan import Plan
from engine.workload import Request, generate


def run(variant: str = "repaired", role: str = "mixed", ranks: int = 2, count: int = 50, seed: int = 0) -> tuple[Report, str]:
    log = io.StringIO()
    requests = [Request(r.arrival_s, r.prompt_tokens, min(r.output_tokens, 12)) for r in generate(seed=1, count=count, rate=20)]
    return run_lockstep(requests, Plan(ranks, role, variant), seed=seed, log=log), log.getvalue()


def test_fifty_requests_complete_with_all_their_tokens() -> None:
    report, log = run()
    assert [c.request for c in report.completions] == list(range(50))
    assert all(c.sent_s < c.pieces_s[0] <= c.finished_s for c in report.completions)
    events = [json.loads(line) for line in log.splitlines()[:-1]]
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


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_ranks_run_their_forwards_side_by_side(ranks: int) -> None:
    report = run_lockstep([Request(0.0, 1000, 1)], Plan(ranks, "mixed", "repaired"))
    forward = FORWARD_S + TOKEN_S * 1000
    assert forward <= report.completions[0].ttft_s <= forward + 2 * IDLE_S


def test_a_run_in_which_nobody_can_fire_is_an_error() -> None:
    class Waiting:
        finished = False

        def turn(self) -> bool:
            return False

    time, waiting = VirtualTime(), Waiting()
    with pytest.raises(EngineError, match="no copy can fire a row any more"):
        take_turns([waiting], [VirtualClock(time)], time, waiting, random.Random(0))  # type: ignore[list-item, arg-type]
