"""The memory of the live engine: caches that all processes map, and the forwards of ranks that have a process each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..clock import Clock
from ..model.balancing import Balance
from ..model.kv_cache import KvCache
from ..model.layers import Routes
from ..model.shard import Chunk, Forward
from ..model.threads import share_cores
from ..model.transport import Member
from ..model.weights import Floats
from .arena import Arena
from .balancing import balance_of
from .fence import Fence
from .job import NewWeights
from .plant import Plant


class LiveComputation:
    """One rank's forwards, with the other ranks in processes of their own: a layer ends when all have computed it."""

    balance: Balance | None = None

    def __init__(self, plant: Plant, arena: Arena, instance: int, rank: int):
        self._plant, self._arena, self._instance, self._rank = plant, arena, instance, rank
        self._cache, self._exchange = arena.cache(instance, rank), arena.exchange(instance, rank)
        self.load(arena.weights())
        self._is_fresh = True
        self._received: Any = None

    def load(self, weights: NewWeights) -> None:
        """Map the weights, and go on with the rank's part of them."""
        self._weights, self._is_fresh = weights, False
        self._shard = self._plant.shard(self._plant.weights(weights), self._instance, self._rank, self._cache)

    def begin(self, number: int, batch: Sequence[Chunk]) -> None:
        """Start a forward; the first with the weights that came into force while this process began, if any did."""
        if self._is_fresh and self._arena.weights() != self._weights:
            self.load(self._arena.weights())
        self._is_fresh = False
        self._forward, self._received = Forward(self._shard, batch), None

    def begin_layer(self) -> None:
        """Compute the next layer, and what follows the last."""
        forward = self._forward
        forward.advance(self._received)
        while forward.waits is not None:
            self._received = self._exchange.exchange(forward.waits)
            if forward.begins:
                return
            forward.advance(self._received)

    def is_ready(self) -> bool:
        """Whether the last layer is behind."""
        return self._forward.logits is not None

    def logits(self) -> Floats:
        """The logits of the wanted rows."""
        assert self._forward.logits is not None
        return self._forward.logits

    def routes(self) -> list[Routes]:
        """Which experts the rows visited."""
        return self._forward.routes

    def enter(self, number: int, batch: Sequence[Chunk]) -> None:
        """A whole forward, if there is anything to compute."""
        self.begin(number, batch)
        for _ in range(self._forward.layers if batch else 0):
            self.begin_layer()

    def leave(self) -> Floats | None:
        """It is over already."""
        return self._forward.logits


class SharedComputation(LiveComputation):
    """The same of a rank of a D that shares its experts with the others: each of its forwards is one of all D's."""

    def __init__(self, plant: Plant, arena: Arena, instance: int, rank: int):
        super().__init__(plant, arena, instance, rank)
        self._transport = Member(self._exchange, arena.world(instance, rank))
        self.balance = balance_of(plant, self._shard, self._transport)

    def load(self, weights: NewWeights) -> None:
        """The same rank goes on, with the experts that it has now."""
        if self.balance is None:
            super().load(weights)
        else:
            self._weights = weights
            self._shard.weights = self._plant.weights(weights).placed_like(self._shard.weights)

    def enter(self, number: int, batch: Sequence[Chunk]) -> None:
        """The next one, also with nothing to compute."""
        self.begin(number, batch)
        self._transport.enter(self._forward)

    def leave(self) -> Floats | None:
        """Compute it, with all others."""
        self._transport.leave()
        if self.balance is not None:
            self.balance.count(self._forward)
        return self._forward.logits


class LiveMemory:
    """The memory of the live engine: an arena that all processes map."""

    def __init__(self, plant: Plant, arena: str):
        self._plant, self._arena = plant, Arena(plant, arena)

    def cache(self, instance: int, rank: int) -> KvCache:
        """Mapped."""
        return self._arena.cache(instance, rank)

    def fence(self) -> Fence:
        """Mapped; its locks are the segment's."""
        return self._arena.fence()

    def computation(self, instance: int, rank: int, clock: Clock) -> LiveComputation:
        """The rank has a share of the cores."""
        share_cores(self._plant.ranks * len(self._plant.instances))
        kind = SharedComputation if self._plant.shares_experts and self._plant.decode_number(instance) is not None else LiveComputation
        return kind(self._plant, self._arena, instance, rank)

    def publish(self, weights: NewWeights) -> None:
        """In the arena."""
        self._arena.publish(weights)
