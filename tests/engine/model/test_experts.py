"""Placements of experts: every expert lies somewhere, loads are even, and no placement changes what is computed."""

from __future__ import annotations

import numpy as np
import pytest

from engine.model.config import TINY_EXPERTS
from engine.model.experts import ExpertPlacement
from engine.model.kv_cache import KvCache
from engine.model.reference import log_probabilities, log_softmax
from engine.model.shard import Chunk, Shard, forward
from engine.model.weights import seeded

WEIGHTS = seeded(TINY_EXPERTS, 3)
PROMPT = (256, *range(40, 61))


def logits_with(placement: ExpertPlacement) -> np.ndarray:
    ranks = len(placement.held)
    parts = [WEIGHTS.placed_shard(rank, ranks, rank, placement) for rank in range(ranks)]
    shards = [Shard(part, KvCache(WEIGHTS.config, ranks, 8, 4)) for part in parts]
    return forward(shards, [Chunk(PROMPT, 0, tuple(range(8)))])[-1]


def test_even_is_consecutive() -> None:
    assert ExpertPlacement.even(8, 4).held == ((0, 1), (2, 3), (4, 5), (6, 7))


@pytest.mark.parametrize("loads", [(1, 1, 1, 1), (97, 1, 1, 1), (40, 30, 20, 10), (0, 0, 0, 5), (0, 0, 0, 0)])
@pytest.mark.parametrize("each", [2, 3, 4])
def test_balanced_has_every_expert_and_is_no_worse_than_even(loads: tuple[int, ...], each: int) -> None:
    found = ExpertPlacement.balanced(loads, 2, each)
    assert all(len(mine) == each for mine in found.held)
    assert {expert for mine in found.held for expert in mine} == set(range(4))
    assert found.imbalance(loads) <= ExpertPlacement.even(4, 2).imbalance(loads) + 1e-12


def test_an_expert_that_has_nearly_all_tokens_gets_a_replica_on_every_place() -> None:
    loads = (97, 1, 1, 1)
    assert ExpertPlacement.even(4, 4).imbalance(loads) == pytest.approx(3.88)
    found = ExpertPlacement.balanced(loads, 4, 2)
    assert found.replicas(0) == 4 and found.imbalance(loads) < 1.06


@pytest.mark.parametrize("held", [((0, 1), (2, 3)), ((3, 0), (2, 1)), ((0, 1, 2), (3, 0, 0)), ((0, 1, 2, 3), (3, 2, 1, 0))])
def test_no_placement_changes_what_is_computed(held: tuple[tuple[int, ...], ...]) -> None:
    wanted = log_probabilities(WEIGHTS, PROMPT)[-1]
    assert np.abs(log_softmax(logits_with(ExpertPlacement(held))) - wanted).max() < 1e-4
