"""What a rank of the forward signal's engine does where there is no work."""

from __future__ import annotations

from engine.clock import VirtualClock
from engine.forward_signal.rank import LOOKING, Rank
from engine.step import Step


def test_only_the_rank_that_looks_at_the_queue_rests_until_it_is_filled() -> None:
    """Nobody tells another one, which holds all up for as long as it rests: they meet at a barrier in every iteration."""
    rests = []
    for rank in range(3):
        clock = VirtualClock()
        clock.heeds = frozenset({"queue_filled"})
        Rank(rank, 1.0, clock).rest(Step.__new__(Step))
        rests.append(clock.dozes_for)
    assert rests == [{"queue_filled"} if rank == LOOKING else None for rank in range(3)]
