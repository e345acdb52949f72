"""Instances that share experts, a process for every rank: an idle one comes along, or the others wait, and each says where."""

from __future__ import annotations

from pathlib import Path

import pytest

from checker.conform import conform
from engine.expert_live import run_experts_live
from engine.model.config import TINY, TINY_EXPERTS
from engine.model.named import weights_of
from engine.model.reference import greedy
from protocol import DefinitionError

BUSY = [((256, *range(40, 60)), 4), ((256, 99), 3)]

pytestmark = pytest.mark.live


def test_an_idle_instance_comes_along_and_the_log_is_a_behaviour(tmp_path: Path) -> None:
    run = run_experts_live(TINY_EXPERTS, [BUSY, []], log=tmp_path / "log", patience_s=60.0)
    weights = weights_of(TINY_EXPERTS)
    assert run.stall is None and len(set(run.forwards.values())) == 1 and run.forwards[1, 1] >= 3
    assert [request.tokens for request in run.requests[0]] == [greedy(weights, prompt, wanted) for prompt, wanted in BUSY]
    judged = conform(tmp_path / "log")
    assert judged.conforms and judged.events == run.turns, judged.reason


def test_without_empty_batches_every_rank_says_where_it_waits() -> None:
    run = run_experts_live(TINY_EXPERTS, [BUSY, []], variant="B-without-empty-batches", patience_s=1.0)
    assert run.stall is not None and set(run.forwards.values()) == {0}
    assert run.stall.ranks == (
        "worker[0,0] waits in EPB (MEET) for worker[1,0], worker[1,1]",
        "worker[0,1] waits in EPB (MEET) for worker[1,0], worker[1,1]",
        "worker[1,0] goes round its loop, and enters no forward",
        "worker[1,1] goes round its loop, and enters no forward",
    )


def test_a_model_without_experts_is_refused_before_a_process_starts() -> None:
    with pytest.raises(DefinitionError, match="0 experts, which 4 ranks cannot share evenly"):
        run_experts_live(TINY, [BUSY, []])
