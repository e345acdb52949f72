"""Experts that move between D instances that share them (EPLB): what their ranks do where all meet behind a forward.

Nothing moves beside new weights: a meeting thinks of a placement only when enough visits were counted, which it then forgets, and no token is in
the forwards in which weights are loaded.
"""

from __future__ import annotations

from collections.abc import Callable

from ..binding import after
from ..model.balancing import Balance, Rebalance
from ..model.shard import Shard
from ..model.transport import Transport
from ..step import Step
from .plant import Plant

INTERVAL_VISITS = 512
"""Visits of tokens to experts before a new placement is thought of; a token visits some in every layer."""


def balance_of(plant: Plant, shard: Shard, transport: Transport) -> Balance | None:
    """The meetings of a rank, if experts move."""
    return Balance(shard, transport, plant.placement, INTERVAL_VISITS) if plant.balances_experts else None


class Balancing:
    """Handlers of a rank's meetings; the first of all ranks tells what they have come to."""

    def __init__(self, balance: Balance, tell: Callable[[Rebalance], None]):
        self._balance, self._tell = balance, tell

    @after("decode_rank.enter_balance", finds=False)
    def enter(self, step: Step) -> None:
        """The rank brings what it has counted."""
        self._balance.enter()

    @after("decode_rank.leave_balance", finds=False)
    def leave(self, step: Step) -> None:
        """And goes over to what all have come to."""
        moved = self._balance.leave()
        if moved is not None and self._balance.leads:
            self._tell(moved)
