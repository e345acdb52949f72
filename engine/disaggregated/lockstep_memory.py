"""The memory of the engine in lockstep: the caches of all ranks in one process, and their forwards in one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..clock import Clock
from ..forward_signal.rank import FORWARD_S, TOKEN_S
from ..model.balancing import Balance
from ..model.group import Group
from ..model.kv_cache import KvCache
from ..model.layers import Routes
from ..model.shard import Chunk, Forward, Shard
from ..model.transport import OneThread, Seat
from ..model.weights import Floats, Weights
from .balancing import balance_of
from .fence import Fence
from .job import NewWeights
from .plant import Plant


@dataclass(frozen=True)
class Cost:
    """What a forward takes in virtual time: seconds each, and a token; what a row takes; and how much longer D's forwards take than P's."""

    forward_s: float = 0.0
    token_s: float = 0.0
    row_s: float = 0.0
    step_s: float = 0.0

    def of(self, batch: Sequence[Chunk]) -> float:
        """Seconds of a forward over the batch."""
        return self.forward_s + self.token_s * sum(len(chunk.tokens) for chunk in batch)


FREE = Cost()
"""Nothing takes time."""
USUAL = Cost(FORWARD_S, TOKEN_S, 4e-5)
"""The stand-in's forwards, and about what a row takes in lockstep."""


class Forwards:
    """The forwards of an instance's ranks in one thread."""

    def __init__(self, shards: Sequence[Shard]):
        self._shards = shards
        self._groups: dict[int, tuple[Group, list[Forward]]] = {}

    def join(self, number: int, batch: Sequence[Chunk]) -> tuple[Group, list[Forward]]:
        """The forward of that number, begun by the first rank that asks."""
        if number not in self._groups:
            forwards = [Forward(shard, batch) for shard in self._shards]
            self._groups = {n: g for n, g in self._groups.items() if n >= number - 1}
            self._groups[number] = Group(forwards, len(forwards)), forwards
        return self._groups[number]


class LockstepComputation:
    """One rank's part of an instance's forwards. `late`: see `LockstepMemory`."""

    balance: Balance | None = None

    def __init__(self, forwards: Forwards, rank: int, clock: Clock, cost: Cost, load: Callable[[NewWeights], None], *, late: bool):
        self._forwards, self._rank, self._clock, self._cost, self._load = forwards, rank, clock, cost, load
        self._late, self._is_entered = late, False

    def begin(self, number: int, batch: Sequence[Chunk]) -> None:
        """Start a forward."""
        self._group, self._all = self._forwards.join(number, batch)
        self._next_layer, self._layer_s = 0, self._cost.of(batch) / self._all[0].layers

    def begin_layer(self) -> None:
        """Compute up to the attention of the next layer."""
        self._group.begin_layer(self._rank, self._next_layer)
        self._next_layer += 1
        self._clock.sleep(self._layer_s)

    def is_ready(self) -> bool:
        """Whether every rank has begun every layer."""
        return all(forward.begun == forward.layers for forward in self._all)

    def logits(self) -> Floats:
        """The logits of the wanted rows."""
        return self._group.finish(self._rank)

    def routes(self) -> list[Routes]:
        """Which experts the rows visited."""
        self.logits()
        return self._all[self._rank].routes

    def load(self, weights: NewWeights) -> None:
        """Go on with these weights."""
        self._load(weights)

    def enter(self, number: int, batch: Sequence[Chunk]) -> None:
        """A whole forward, of all ranks at once: nobody sees how far each of them is."""
        self._is_entered = bool(batch)
        if batch:
            self._group, self._all = self._forwards.join(number, batch)
            self._clock.sleep(self._cost.of(batch) + self._cost.step_s)
            if not self._late:
                self._group.run()

    def leave(self) -> Floats | None:
        """It is over already; a late one is computed for all by whoever leaves first."""
        return self._group.run()[self._rank] if self._is_entered else None


class SharedInLockstep(LockstepComputation):
    """The same of a rank of a D that shares its experts with the others: each of its forwards is one of all D's."""

    def __init__(self, shard: Shard, seat: Seat, forwards: Forwards, rank: int, clock: Clock, cost: Cost, load: Callable[[NewWeights], None]):
        super().__init__(forwards, rank, clock, cost, load, late=True)
        self._shard, self._seat = shard, seat

    def enter(self, number: int, batch: Sequence[Chunk]) -> None:
        """The next one, also with nothing to compute."""
        self._own = Forward(self._shard, batch)
        self._seat.enter(self._own)
        self._clock.sleep(self._cost.of(batch) if batch else 0.0)

    def leave(self) -> Floats | None:
        """It is computed for all by whoever leaves first."""
        self._seat.leave()
        if self.balance is not None:
            self.balance.count(self._own)
        return self._own.logits

    def routes(self) -> list[Routes]:
        """Which experts the rows visited."""
        return self._own.routes


class CountingFence(Fence):
    """Counts what it lets in although it should not: the writes of an engine that does not fence them."""

    strays = 0

    @contextmanager
    def writing(self, number: int, key: int) -> Iterator[bool]:
        """See `Fence`."""
        with super().writing(number, key) as is_let_in:
            self.strays += is_let_in and not self.is_open(number, key)
            yield is_let_in


class LockstepMemory:
    """The caches of all ranks, in this process; a cache outlives its rank, what it was computing does not.

    `late`: whether a D's step reads and writes its blocks when its forward ends, not when it begins; a real one does so in between.
    """

    def __init__(self, weights: Weights, plant: Plant, cost: Cost, *, late: bool):
        self._cost, self._late, self._plant, self._first, self._in_force = cost, late, plant, weights, NewWeights()
        self._shards = [[self._shard(weights, plant, instance, rank) for rank in range(plant.ranks)] for instance in plant.instances]
        self._forwards = [Forwards(shards) for shards in self._shards]
        self._fence = CountingFence(np.zeros(plant.numbers, np.int64), refuses=plant.fences_writes)
        self._computing: list[set[int]] = [set() for _ in self._shards]
        self._together = self._begin_together()

    def cache(self, instance: int, rank: int) -> KvCache:
        """The cache of a rank."""
        return self._shards[instance][rank].cache

    def fence(self) -> Fence:
        """One for all, without locks: a handler is done before anybody else has a turn."""
        return self._fence

    def computation(self, instance: int, rank: int, clock: Clock) -> LockstepComputation:
        """A rank that computes already begins anew, and the others of its instance with it; or of all D's, where they compute together."""
        shares = self._plant.shares_experts and self._plant.decode_number(instance) is not None
        if rank in self._computing[instance]:
            for each in map(self._plant.instance_of, range(self._plant.decodes)) if shares else (instance,):
                self._forwards[each], self._computing[each] = Forwards(self._shards[each]), set()
            self._together = self._begin_together() if shares else self._together
        self._computing[instance].add(rank)
        self._shards[instance][rank].weights = self._plant.part(self._whole(self._in_force), instance, rank)
        known = self._forwards[instance], rank, clock, self._cost, partial(self._load, instance, rank)
        if shares:
            shard, seat = self._shards[instance][rank], Seat(self._together, (instance, rank))
            shared = SharedInLockstep(shard, seat, *known)
            shared.balance = balance_of(self._plant, shard, seat)
            return shared
        return LockstepComputation(*known, late=self._late)

    @property
    def strays(self) -> int:
        """Writes into D's memory for requests that had no reservation there any more."""
        return self._fence.strays

    def publish(self, weights: NewWeights) -> None:
        """Remembered."""
        self._in_force = weights

    def _load(self, instance: int, rank: int, weights: NewWeights) -> None:
        """The same rank goes on, with the experts that it has now."""
        whole, shard = self._whole(weights), self._shards[instance][rank]
        shard.weights = self._plant.part(whole, instance, rank) if shard.weights.placement is None else whole.placed_like(shard.weights)

    def _whole(self, weights: NewWeights) -> Weights:
        return self._plant.weights(weights) if weights.path else self._first

    def _begin_together(self) -> OneThread:
        """The forwards of all D's ranks, none begun."""
        plant = self._plant
        return OneThread([(plant.instance_of(d), rank) for d in range(plant.decodes) for rank in range(plant.ranks)], plant.ranks)

    @staticmethod
    def _shard(weights: Weights, plant: Plant, instance: int, rank: int) -> Shard:
        return plant.shard(weights, instance, rank, KvCache(plant.config, plant.ranks, plant.blocks(instance), plant.shape.block_size))
