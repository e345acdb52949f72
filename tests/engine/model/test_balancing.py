"""Experts that move: every rank comes to the same placement, and has by its own and others' giving what that says."""

from __future__ import annotations

import numpy as np
import pytest

from engine.model.balancing import Balance, Balancer, Rebalancing
from engine.model.collective import Collective, CollectiveMismatch, run_together
from engine.model.config import TINY_EXPERTS
from engine.model.experts import ExpertPlacement
from engine.model.kv_cache import KvCache
from engine.model.layers import Routes
from engine.model.shard import Chunk, Forward, Shard
from engine.model.transport import OneThread, Seat
from engine.model.weights import seeded

WHOLE = seeded(TINY_EXPERTS, 5)
RANKS = 2


def meeting(placement: ExpertPlacement, visits: list[list[int]], every: int = 8) -> list[Rebalancing]:
    """Ranks in pairs, each with what its tokens have visited."""
    found = []
    for place, visited in enumerate(visits):
        balancer = Balancer(placement, TINY_EXPERTS.experts, every)
        balancer.count([Routes(np.array(visited, np.int64).reshape(-1, 1), np.ones((len(visited), 1), np.float32))])
        found.append(Rebalancing(WHOLE.placed_shard(place % RANKS, RANKS, place, placement), balancer))
    run_together(found, RANKS)
    return found


@pytest.mark.parametrize("each", [1, 2])
def test_every_rank_has_what_the_new_placement_gives_to_it(each: int) -> None:
    placement = ExpertPlacement.even(4, 4) if each == 1 else ExpertPlacement(((0, 1), (2, 3), (0, 1), (2, 3)))
    ended = meeting(placement, [[3, 3, 3, 3, 3, 3], [3, 3], [0], [1, 2]])
    moved = ended[0].moved
    if each == 1:
        assert moved is None and all(one.weights.placement is placement for one in ended)  # an expert a rank: no placement is evener
        return
    assert moved is not None and all(one.moved == moved for one in ended) and moved.after < moved.before
    for place, one in enumerate(ended):
        wanted = WHOLE.placed_shard(place % RANKS, RANKS, place, moved.placement)
        assert one.weights.placement == moved.placement and one.weights.arrays.keys() == wanted.arrays.keys()
        assert all(np.array_equal(one.weights[name], array) for name, array in wanted.arrays.items())


def test_few_visits_move_nothing_and_are_counted_on() -> None:
    placement = ExpertPlacement(((0, 1), (2, 3)))
    balancers = [Balancer(placement, 4, 8) for _ in range(2)]
    for number, moved in enumerate([False, True]):
        for balancer in balancers:
            balancer.count([Routes(np.array([[0], [1]]), np.ones((2, 1), np.float32))])
        ended = [Rebalancing(WHOLE.placed_shard(place, RANKS, place, placement), balancer) for place, balancer in enumerate(balancers)]
        run_together(ended, RANKS)
        assert [one.moved is not None for one in ended] == [moved] * 2, number
    assert not any(balancer.loads.any() for balancer in balancers)


def test_givers_of_one_expert_give_it_in_turn() -> None:
    old, new = ExpertPlacement(((0, 1), (0, 2), (3, 1), (2, 3))), ExpertPlacement(((0, 1), (0, 2), (0, 3), (0, 3)))
    assert list(old.moves(new)) == [(0, 0, 2), (0, 1, 3)]


class Ended:
    """A rank that has nothing to exchange."""

    waits: Collective | None = None

    def advance(self, received: object = None) -> None:
        """It is over."""


def test_ranks_that_do_not_end_together_are_told() -> None:
    other = Rebalancing(WHOLE.expert_shard(1, 2, 1, 2), Balancer(ExpertPlacement.even(4, 2), 4, 8))
    with pytest.raises(CollectiveMismatch, match="1 of 2 ranks have ended, and others are at the all-to-all of loads"):
        run_together([Ended(), other], RANKS)


@pytest.mark.parametrize("captures", [False, True])
def test_a_rank_counts_its_own_rows_whether_it_tells_the_routes_of_all_or_not(captures: bool) -> None:
    """Each token visits two experts in each of four layers, and is one rank's."""
    placement, batch = ExpertPlacement.even(4, RANKS), [Chunk((256, 7, 8, 9, 10), 0, (0, 1))]
    shards = [
        Shard(WHOLE.placed_shard(rank, RANKS, rank, placement), KvCache(TINY_EXPERTS, RANKS, 8, 4), captures=captures and rank == 0)
        for rank in range(RANKS)
    ]
    forwards, thread = [Forward(shard, batch) for shard in shards], OneThread([(0, 0), (0, 1)], RANKS)
    run_together(forwards, RANKS)
    balances = [Balance(shard, Seat(thread, (0, rank)), placement, 64) for rank, shard in enumerate(shards)]
    for balance, forward in zip(balances, forwards):
        balance.count(forward)
    assert [balance._balancer.loads.sum() for balance in balances] == [3 * 8, 2 * 8]
