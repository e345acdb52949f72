"""The balancing of experts (EPLB): where tokens go is counted, and when some rank has too many the experts move.

All ranks meet for it, at the place in an iteration where the protocol says so. They tell each other what they have counted, come to the
same placement by the same sums, and give others what these shall have from now on, layer by layer: no rank needs the whole model.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .collective import AllToAll, Collective, Parcels
from .experts import ExpertPlacement
from .layers import Routes
from .shard import Forward, Shard
from .transport import Transport
from .weights import Floats, Weights

GAIN = 0.95
"""Experts move if the imbalance is at most so much of the present one's then; moving them has its price."""


@dataclass(frozen=True)
class ExpertUse:
    """Where experts lie that ranks share: how often they have moved (EPLB), and how evenly that loads the ranks.

    Args:
        imbalance: load of the busiest rank over the mean, 1 is even, by what was counted before the last move: where experts lay until then,
            and where they lie since. None while they lie where they lay at first, as again when ranks have died.
    """

    moves: int = 0
    imbalance: tuple[float, float] | None = None

    def __add__(self, other: ExpertUse) -> ExpertUse:
        return ExpertUse(self.moves + other.moves, other.imbalance or self.imbalance)

    def at_first(self) -> ExpertUse:
        """The same when the ranks have begun anew, with the experts that they have at first."""
        return ExpertUse(self.moves)


@dataclass(frozen=True)
class Rebalance:
    """A placement that all ranks have gone over to, and the imbalance of the loads until then, under the last one and under this."""

    placement: ExpertPlacement
    before: float
    after: float

    @property
    def use(self) -> ExpertUse:
        """What the engine tells of it."""
        return ExpertUse(1, (self.before, self.after))


class Balancer:
    """A rank's account: the visits that it has counted, and the placement in force, which is the same on all ranks.

    Args:
        placement: the first one. experts: of the model. every: visits that all ranks together have to count before experts may move.
    """

    def __init__(self, placement: ExpertPlacement, experts: int, every: int):
        self.placement, self._every = placement, every
        self.loads = np.zeros(experts, np.float32)

    def count(self, layers: Sequence[Routes]) -> None:
        """The experts that some tokens have visited, layer by layer. One placement serves all layers, so their loads are added up."""
        for routes in layers:
            np.add.at(self.loads, routes.chosen.ravel(), 1)

    def propose(self, loads: Sequence[float]) -> Rebalance | None:
        """A better placement for the loads of all ranks since the last proposal, which is in force from now on; None to stay."""
        if sum(loads) < self._every:
            return None
        self.loads = np.zeros_like(self.loads)  # others may still be looking at what was told
        found = ExpertPlacement.balanced(loads, len(self.placement.held), len(self.placement.held[0]))
        before, after = self.placement.imbalance(loads), found.imbalance(loads)
        if after > GAIN * before:
            return None
        self.placement = found
        return Rebalance(found, before, after)


class Rebalancing:
    """A rank's part of one meeting, from one exchange between all ranks to the next.

    `waits`: the exchange that it is at, None before the first and after the last. `weights`: the rank's part from then on. `moved`: None if all stay.
    """

    def __init__(self, weights: Weights, balancer: Balancer):
        self.weights, self._balancer = weights, balancer
        self.waits: Collective | None = None
        self.moved: Rebalance | None = None
        self._steps = self._exchanges()

    def advance(self, received: Any = None) -> None:
        """Go on to the next exchange, with what the last one delivered."""
        try:
            self.waits = self._steps.send(received)
        except StopIteration:
            self.waits = None

    def _exchanges(self) -> Generator[AllToAll, Any, None]:
        balancer, weights = self._balancer, self.weights
        old = balancer.placement
        told = yield AllToAll(0, "loads", tuple((balancer.loads[None],) for _ in old.held))
        self.moved = balancer.propose(np.sum([loads for (loads,) in told], axis=(0, 1)).tolist())
        if self.moved is None:
            return
        moves = list(old.moves(self.moved.placement))
        arrived: dict[tuple[int, int], Floats] = {}
        for layer in range(weights.config.layers):
            parcels = yield AllToAll(layer, "experts", self._given(layer, moves))
            for giver, (rows,) in enumerate(parcels):
                experts = [expert for expert, source, target in moves if (source, target) == (giver, weights.place)]
                arrived.update({(layer, expert): row.copy() for expert, row in zip(experts, rows, strict=True)})
        self.weights = weights.moved(self.moved.placement, arrived)

    def _given(self, layer: int, moves: Sequence[tuple[int, int, int]]) -> Parcels:
        weights = self.weights
        none = np.zeros((0, weights.config.expert_floats), np.float32)
        parcels = []
        for place in range(len(self._balancer.placement.held)):
            experts = [weights.expert(layer, expert) for expert, source, target in moves if (source, target) == (weights.place, place)]
            parcels.append((np.stack(experts) if experts else none,))
        return tuple(parcels)


class Balance:
    """A rank's meetings with all others, one behind the other.

    Args:
        shard: the rank. transport: its way to the others. placement: the first one. every: see `Balancer`.
    """

    def __init__(self, shard: Shard, transport: Transport, placement: ExpertPlacement, every: int):
        self._shard, self._transport = shard, transport
        self._balancer = Balancer(placement, shard.config.experts, every)

    @property
    def leads(self) -> bool:
        """Whether the rank is the first of all."""
        return self._shard.weights.place == 0

    def count(self, forward: Forward) -> None:
        """What the rank's own rows of a forward have visited."""
        weights, captured = self._shard.weights, forward.routes
        own = slice(weights.rank, None, weights.ranks) if self._shard.captures else slice(None)
        self._balancer.count([Routes(routes.chosen[own], routes.share[own]) for routes in captured])

    def enter(self) -> None:
        """The rank brings what it has counted."""
        self._meeting = Rebalancing(self._shard.weights, self._balancer)
        self._transport.enter(self._meeting)

    def leave(self) -> Rebalance | None:
        """And goes over to what all have come to; None if all stay."""
        self._transport.leave()
        self._shard.weights = self._meeting.weights
        return self._meeting.moved
