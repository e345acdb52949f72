"""The ranks of instances that share the experts: what each does at its rows, and the transport that they have in common."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Protocol

from .driver import Step
from .expert_balance import Balancer
from .model.experts import ExpertPlacement
from .model.group import Group
from .model.sampling import Sampling, choose
from .model.shard import Chunk, Forward, Shard
from .model.weights import Weights
from .roles.binding import after

Place = tuple[int, int]
"""An instance and a rank of it."""


@dataclass(frozen=True)
class Work:
    """The contents of a batch: a chunk for each of these requests."""

    requests: tuple[int, ...]
    chunks: tuple[Chunk, ...]


@dataclass(frozen=True)
class Result:
    """What came of a batch: the next token of each request and its log-probability, None in the middle of a prompt."""

    work: Work
    tokens: tuple[tuple[int, float] | None, ...]


class Transport(Protocol):
    """What carries the forwards of a rank."""

    def begin(self, instance: int, rank: int, forward: Forward) -> None:
        """The rank has entered its next forward."""
        ...

    def finish(self, instance: int, rank: int) -> Forward:
        """The rank's last forward, ended; the row that calls this fires only when all have entered."""
        ...


class Communicator:
    """The ranks' common transport: the n-th forward of every rank is one forward of all."""

    def __init__(self, instances: int, ranks: int):
        self._instances, self._ranks = instances, ranks
        self._begun: dict[Place, list[Forward]] = {place: [] for place in product(range(instances), range(ranks))}
        self._groups: list[Group] = []
        self._heard: dict[Place, int] = dict.fromkeys(self._begun, 0)
        self._broadcast: list[ExpertPlacement | None] = []

    def begin(self, instance: int, rank: int, forward: Forward) -> None:
        """The rank has entered its next forward."""
        self._begun[instance, rank].append(forward)

    def finish(self, instance: int, rank: int) -> Forward:
        """The rank's last forward, ended; the row that calls this fires only when all have entered."""
        number = len(self._begun[instance, rank]) - 1
        if number == len(self._groups):
            self._groups.append(Group([begun[number] for begun in self._begun.values()], self._ranks))
            self._groups[number].run()
        return self._begun[instance, rank][number]

    def last(self, instance: int, rank: int) -> Forward:
        """The last forward that the rank has entered."""
        return self._begun[instance, rank][-1]

    def broadcast(self, placement: ExpertPlacement | None) -> None:
        """Global rank 0 has entered its next broadcast of load balancing, with this."""
        self._broadcast.append(placement)

    def heard(self, instance: int, rank: int) -> ExpertPlacement | None:
        """What the rank has got from its last broadcast; the row that calls this fires only when all have entered."""
        number, self._heard[instance, rank] = self._heard[instance, rank], self._heard[instance, rank] + 1
        return self._broadcast[number]

    def forwards(self) -> dict[Place, int]:
        """How many every rank has entered."""
        return {place: len(begun) for place, begun in self._begun.items()}


class ExpertRank:
    """A rank's handlers: it takes its batch, enters the forward of all, and ends it; rank 0 chooses the tokens."""

    def __init__(self, instance: int, rank: int, shard: Shard, transport: Transport):
        self._instance, self._rank, self._shard, self._transport = instance, rank, shard, transport
        self._work: Work | None = None

    @after("worker.read_batch", "worker.read_last_batch")
    def take(self, step: Step) -> None:
        """The batch has been read; its contents came with it, unless it is an empty one."""
        empty = step.reads[f"queue_tasks[{self._instance}]"] == "EMPTY"
        self._work = None if empty else step.cargo

    @after("worker.start_forward")
    def enter(self, step: Step) -> None:
        """Enter the forward, with no rows if there is no work."""
        chunks = () if self._work is None else self._work.chunks
        self._transport.begin(self._instance, self._rank, Forward(self._shard, chunks))

    @after("worker.finish_forward")
    def leave(self, step: Step) -> Result | None:
        """The forward is over: the result, once an instance."""
        ended, work = self._transport.finish(self._instance, self._rank), self._work
        self._work = None
        if work is None or self._rank != 0:
            return None
        assert ended.logits is not None
        rows = iter(ended.logits)
        return Result(work, tuple(choose(next(rows), Sampling(), 0) if chunk.outputs else None for chunk in work.chunks))


class BalancingRank(ExpertRank):
    """A rank that goes over to another placement of the experts when a broadcast of all ranks says so.

    Args:
        whole: the model, from which it gets the experts that it has not had. balancer: asked by global rank 0 alone.
    """

    def __init__(self, instance: int, rank: int, shard: Shard, communicator: Communicator, whole: Weights, balancer: Balancer):
        super().__init__(instance, rank, shard, communicator)
        self._communicator, self._whole, self._balancer = communicator, whole, balancer

    @after("worker.finish_forward")
    def leave(self, step: Step) -> Result | None:
        """The forward is over, and its tokens have visited experts."""
        result = super().leave(step)
        self._balancer.count(self._communicator.last(self._instance, self._rank).routes)
        return result

    def enter_balance(self, step: Step) -> None:
        """Global rank 0 proposes."""
        if (self._instance, self._rank) == (0, 0):
            self._communicator.broadcast(self._balancer.propose())

    def leave_balance(self, step: Step) -> None:
        """Everybody goes over."""
        placement, weights = self._communicator.heard(self._instance, self._rank), self._shard.weights
        if placement is not None:
            self._shard.weights = self._whole.placed_shard(weights.rank, weights.ranks, weights.place, placement)


class EndBalancingRank(BalancingRank):
    """One that meets the others behind every forward."""

    @after("worker.enter_balance")
    def enter_balance(self, step: Step) -> None:
        """It enters the broadcast."""
        super().enter_balance(step)

    @after("worker.leave_balance")
    def leave_balance(self, step: Step) -> None:
        """It leaves the broadcast."""
        super().leave_balance(step)


class TopBalancingRank(BalancingRank):
    """One that meets the others at the top of its loop, in every iteration."""

    @after("worker.enter_status")
    def enter_balance(self, step: Step) -> None:
        """It enters the broadcast."""
        super().enter_balance(step)

    @after("worker.leave_status")
    def leave_balance(self, step: Step) -> None:
        """It leaves the broadcast."""
        super().leave_balance(step)


BALANCING = {"end": EndBalancingRank, "top": TopBalancingRank}
"""Where in an iteration the ranks meet to balance."""
