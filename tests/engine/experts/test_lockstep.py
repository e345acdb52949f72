"""Two instances of two ranks that share the experts, one busy and one idle: who comes along, and who waits for whom (issue 4)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from checker.conform import conform
from engine.experts.run import Run, run_experts
from engine.model.config import TINY, TINY_EXPERTS
from engine.model.reference import log_probabilities
from engine.model.weights import seeded
from engine.runtime.policy import Policy, Priorities, RoundRobin, SeededRandom
from protocol import DefinitionError

WEIGHTS = seeded(TINY_EXPERTS, 7)
BUSY = [([256, *range(40, 60)], 4), ([256, 99], 3)]
NEAR = 1e-4


def check_answers(run: Run) -> None:
    """Every request has its tokens; each is the likeliest of the whole pass, with its log-probability."""
    assert run.stall is None
    for request in (request for mine in run.requests for request in mine):
        logs = log_probabilities(WEIGHTS, [*request.prompt, *request.tokens[:-1]])[len(request.prompt) - 1 :]
        picked = logs[np.arange(request.wanted), request.tokens]
        assert request.ended and np.abs(picked - request.logs).max() < NEAR
        assert (logs.max(axis=-1) - picked).max() < NEAR


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("variant", ["B", "B'", "repaired"])
def test_an_idle_instance_comes_along(variant: str, seed: int) -> None:
    """With the empty batches of #6680, and by the repaired round: as many forwards on every rank, and the reference's tokens."""
    run = run_experts(WEIGHTS, [BUSY, []], variant=variant, policy=SeededRandom(seed))
    check_answers(run)
    assert len(set(run.forwards.values())) == 1 and run.forwards[1, 0] >= 3


@pytest.mark.parametrize("seed", range(3))
def test_without_empty_batches_the_busy_instance_waits_for_ever(seed: int) -> None:
    """The report says which rank waits in which barrier, and for whom."""
    run = run_experts(WEIGHTS, [BUSY, []], variant="B-without-empty-batches", policy=SeededRandom(seed))
    assert run.stall is not None and set(run.forwards.values()) == {0}
    assert run.stall.ranks == (
        "worker[0,0] waits in EPB (MEET) for worker[1,0], worker[1,1]",
        "worker[0,1] waits in EPB (MEET) for worker[1,0], worker[1,1]",
        "worker[1,0] goes round its loop, and enters no forward",
        "worker[1,1] goes round its loop, and enters no forward",
    )
    assert not any(request.tokens for request in run.requests[0])


@pytest.mark.parametrize("policy", [RoundRobin(), SeededRandom(1), Priorities(2, changes=4, rows=600)], ids=["round-robin", "random", "pct"])
def test_both_instances_busy_get_their_own_tokens(policy: Policy) -> None:
    check_answers(run_experts(WEIGHTS, [BUSY, [([256, 7, 8, 9], 6)]], policy=policy))


def test_two_runs_with_one_seed_are_alike() -> None:
    first, second = (run_experts(WEIGHTS, [BUSY, []], policy=SeededRandom(4)) for _ in range(2))
    assert first == second


def test_a_model_without_experts_is_refused() -> None:
    with pytest.raises(DefinitionError, match="0 experts, which 4 ranks cannot share evenly"):
        run_experts(seeded(TINY), [BUSY, []])


SKEWED = [([256, *[40 + k % 3 for k in range(30)]], 6), ([256, 41, 40, 42], 8)]


@pytest.mark.parametrize(("variant", "place"), [("B", "end"), ("B'", "end"), ("repaired", "end"), ("repaired", "top")])
def test_experts_move_and_no_token_changes(variant: str, place: str) -> None:
    run = run_experts(WEIGHTS, [SKEWED, BUSY], variant=variant, policy=SeededRandom(2), balance=place, redundant=1)
    check_answers(run)
    assert run.rebalances and all(move.after < move.before for move in run.rebalances)
    assert all(sorted(set().union(*move.placement.held)) == [0, 1, 2, 3] for move in run.rebalances)


@pytest.mark.parametrize(("variant", "seed"), [("B", 2), ("B'", 4)])
def test_balancing_at_the_top_of_the_loop_stalls_where_a_busy_rank_waits_for_an_idle_one(variant: str, seed: int) -> None:
    """H8: an idle rank broadcasts for its next iteration, while a busy one waits for it in EPB; #6680 moved the broadcast for that."""
    run = run_experts(WEIGHTS, [SKEWED, []], variant=variant, policy=SeededRandom(seed), balance="top", redundant=1)
    assert run.stall is not None
    assert run.stall.ranks == (
        "worker[0,0] waits in EPB (MEET) for worker[1,0], worker[1,1]",
        "worker[0,1] waits in EPB (MEET) for worker[1,0], worker[1,1]",
        "worker[1,0] waits in the broadcast of load balancing (STATUS) for worker[0,0], worker[0,1]",
        "worker[1,1] waits in the broadcast of load balancing (STATUS) for worker[0,0], worker[0,1]",
    )


def test_without_a_meeting_the_idle_ranks_of_b_are_waited_for_in_the_all_to_all() -> None:
    """Nobody computes in a forward that not all have entered: so the ranks that wait there can be asked."""
    run = run_experts(WEIGHTS, [BUSY, []], variant="repaired-without-asking", policy=SeededRandom(0))
    assert run.stall is not None
    assert run.stall.ranks[0] == "worker[0,0] waits in the all-to-all (FORWARD) for worker[1,0], worker[1,1]"


def test_the_log_is_a_behaviour(tmp_path: Path) -> None:
    run = run_experts(WEIGHTS, [SKEWED, BUSY], policy=SeededRandom(3), balance="end", redundant=1, log=tmp_path / "log")
    judged = conform(tmp_path / "log")
    assert judged.conforms and judged.events == run.rows, judged.reason


def test_more_redundant_experts_than_there_are_is_refused() -> None:
    with pytest.raises(DefinitionError, match="redundant=4: give 0 to 3, where every one of 4 ranks has all 4 experts"):
        run_experts(WEIGHTS, [BUSY, []], balance="end", redundant=4)
