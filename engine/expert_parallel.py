"""Expert parallelism in motion: data-parallel instances whose ranks share the experts, driven in lockstep by `expert_round`.

Every layer with experts exchanges tokens between all ranks of all instances, so all must run the same number of forwards. Whether an
idle instance comes along is the protocol's business: with empty batches (#6680) or by the repaired round it does; without them
the busy one waits for ever, and the run ends with a `Stall` that says which rank waits in which barrier, and for whom.

Experts may be moved between ranks while requests run: all ranks meet in a broadcast of load balancing, behind every forward or, as before
#6680, at the top of the loop, where it stalls (H8).

A turn is one row of one copy.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from protocol import DefinitionError
from protocol.machines.collectives.expert_round import build
from protocol.machines.collectives.meeting import GROUPS, TENSOR, Call
from protocol.types import Value

from .clock import VirtualClock, VirtualTime
from .driver import Driver
from .expert_balance import Balancer, Rebalance
from .expert_ranks import BALANCING, Communicator, ExpertRank, Place, Result, Work
from .model.experts import ExpertPlacement
from .model.kv_cache import BlockPool, KvCache
from .model.shard import Chunk, Shard
from .model.weights import Weights
from .roles.binding import Bindings, Outcome, carries, decides
from .runtime.lockstep import Lockstep, LockstepAgent
from .runtime.policy import Policy, RoundRobin
from .store import Store

Asked = tuple[Sequence[int], int]
"""A prompt, and how many tokens are wanted."""
Key = tuple[str, tuple[Value, ...]]
"""A machine and the indices of a copy."""
BLOCK_SIZE = 4
BLOCKS = 64
CHUNK_TOKENS = 8
"""The most tokens of a prompt in one forward."""
PATIENCE = 2000
"""Turns without a request's progress after which a run is stalled; a forward takes fewer than two hundred."""
COUNTED = 64
"""Visits of tokens to experts before a new placement is thought of."""
TURN_S = 0.0001
"""Virtual time of a turn."""
BARRIERS = {
    Call.TOP: "TPB#0",
    Call.FLAG: "TPB#1",
    Call.READ: "TPB#2'",
    Call.SKIP: "TPB#1b",
    Call.MEET: "EPB",
    Call.FORWARD: "the all-to-all",
    Call.STATUS: "the broadcast of load balancing",
    Call.BALANCE: "the broadcast of load balancing",
}
"""What the ranks of this run meet in, as the real code calls it."""


@dataclass
class Running:
    """A request on its instance: `cached` of its tokens have their keys and values in the blocks of `table`."""

    prompt: tuple[int, ...]
    wanted: int
    table: tuple[int, ...]
    tokens: list[int] = field(default_factory=list)
    logs: list[float] = field(default_factory=list)
    cached: int = 0
    in_forward: bool = False

    @property
    def ended(self) -> bool:
        """Whether it has all its tokens."""
        return len(self.tokens) == self.wanted

    def chunk(self) -> Chunk:
        """The next tokens to compute."""
        known = (*self.prompt, *self.tokens)
        some = known[self.cached : self.cached + CHUNK_TOKENS]
        return Chunk(some, self.cached, self.table, outputs=int(self.cached + len(some) == len(known)))

    def credit(self, chunk: Chunk, chosen: tuple[int, float] | None) -> None:
        """A forward over the chunk is over."""
        self.in_forward, self.cached = False, self.cached + len(chunk.tokens)
        if chosen is not None:
            self.tokens.append(chosen[0])
            self.logs.append(chosen[1])


@dataclass(frozen=True)
class Stall:
    """A run that made no progress any more: after how many turns, and where each rank was, in words."""

    turns: int
    ranks: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join([f"no request makes progress any more, after {self.turns:,} turns:", *(f"  {line}" for line in self.ranks)])


@dataclass(frozen=True)
class Run:
    """What a run came to.

    `requests`: of every instance. `forwards`: of every rank, by (instance, rank), those without requests among them. `stall`:
    None when every request has its tokens. `rebalances`: the placements of experts that were gone over to.
    """

    requests: tuple[tuple[Running, ...], ...]
    forwards: dict[Place, int]
    turns: int
    stall: Stall | None
    rebalances: tuple[Rebalance, ...] = ()


class ExpertScheduler:
    """The gate's handlers: every request that waits for no result gets its next chunk, prompts and decoding alike."""

    def __init__(self, requests: Sequence[Asked]):
        self._pool, self._inbox = BlockPool(BLOCKS), deque[Result]()
        self.requests = [self._admitted(number, tuple(prompt), wanted) for number, (prompt, wanted) in enumerate(requests)]
        self._work: Work | None = None
        self.credited = 0

    @property
    def finished(self) -> bool:
        """Whether every request has its tokens."""
        return all(request.ended for request in self.requests)

    def receive(self, result: Result) -> None:
        """A result of the instance's ranks has arrived."""
        self._inbox.append(result)

    def collect(self) -> None:
        """Credit what has arrived."""
        while self._inbox:
            result = self._inbox.popleft()
            self.credited += 1
            for number, chunk, chosen in zip(result.work.requests, result.work.chunks, result.tokens):
                self.requests[number].credit(chunk, chosen)
                if self.requests[number].ended:
                    self._pool.give_back(self.requests[number].table, number)

    @decides("gate.schedule", "gate.schedule_nothing")
    def schedule(self, open_rows: Sequence[Outcome]) -> Outcome:
        """A batch of what is ready, if anything is."""
        self.collect()
        ready = [number for number, request in enumerate(self.requests) if not (request.ended or request.in_forward)]
        self._work = Work(tuple(ready), tuple(self.requests[number].chunk() for number in ready)) if ready else None
        for number in ready:
            self.requests[number].in_forward = True
        return Outcome("schedule" if ready else "schedule_nothing")

    @carries("gate.put_batch")
    def contents(self, outcome: Outcome) -> Work | None:
        """What `put_tasks` puts."""
        return self._work

    def _admitted(self, number: int, prompt: tuple[int, ...], wanted: int) -> Running:
        return Running(prompt, wanted, tuple(self._pool.take(-(-(len(prompt) + wanted) // BLOCK_SIZE), number)))


class _Watch:
    """Notices when a run is over, and when nothing gets on any more."""

    def __init__(self, agents: Mapping[Key, LockstepAgent], schedulers: Sequence[ExpertScheduler], time: VirtualTime):
        self._agents, self._schedulers, self._time = agents, schedulers, time
        self._credited = self._progressed = 0
        self._fired: dict[Key, int] = {}
        self.turns = 0

    @property
    def complete(self) -> bool:
        """Whether every request has its tokens."""
        return all(scheduler.finished for scheduler in self._schedulers)

    def is_over(self) -> bool:
        """Asked before every turn, which takes its time: the loops of idle ranks would else let no sleeping gate wake."""
        self._time.advance(self._time.now + TURN_S)
        for scheduler in self._schedulers:
            scheduler.collect()
        credited, self.turns = sum(scheduler.credited for scheduler in self._schedulers), self.turns + 1
        if credited > self._credited:
            self._credited, self._progressed = credited, self.turns
        if self.turns - self._progressed == PATIENCE // 2:
            self.stop()
        return self.complete or self.turns - self._progressed >= PATIENCE

    def stop(self) -> None:
        """From now on, whoever fires no row stands."""
        self._fired = {key: agent.fired for key, agent in self._agents.items()}

    def stands(self, key: Key) -> bool:
        """Whether a copy has fired no row in the last half of a stalled run's patience."""
        return self._agents[key].fired == self._fired[key]


def run_experts(
    weights: Weights,
    requests: Sequence[Sequence[Asked]],
    *,
    variant: str = "repaired",
    ranks: int = 2,
    policy: Policy | None = None,
    balance: str | None = None,
    redundant: int = 0,
) -> Run:
    """Generate greedily on several instances with so many tensor-parallel ranks each, to the last token or to a stall.

    Args:
        weights: of a model whose experts all ranks together can share evenly.
        requests: of each instance: (prompt, how many tokens are wanted); none for an idle instance.
        variant: a version of `protocol.machines.collectives.loop.LOOPS`.
        policy: whose turn it is; round-robin if None.
        balance: where in an iteration all ranks meet to balance the experts, one of `BALANCING`; None for never.
        redundant: experts that every rank has beyond its even share, as replicas of those that have most to do; for `balance`.

    Raises:
        DefinitionError: an unknown variant or place, or a model that cannot be spread so.
    """
    instances = len(requests)
    system = build(variant, instances, ranks, role="prefill", collective=balance).focused()
    balancer = None if balance is None else Balancer(_first_placement(weights, instances * ranks, redundant), weights.config.experts, COUNTED)
    driver, communicator, time = Driver(system, Store(system)), Communicator(instances, ranks), VirtualTime()
    schedulers = [ExpertScheduler(mine) for mine in requests]
    agents: dict[Key, LockstepAgent] = {}
    for (machine, where), copy in driver.copies.items():
        instance = int(where[0])
        role: object = schedulers[instance]
        if machine == "worker":
            rank = int(where[1])
            place, cache = instance * ranks + rank, KvCache(weights.config, ranks, BLOCKS, BLOCK_SIZE)
            if balance is None or balancer is None:
                role = ExpertRank(instance, rank, Shard(weights.expert_shard(rank, ranks, place, instances * ranks), cache), communicator)
            else:
                shard = Shard(weights.placed_shard(rank, ranks, place, balancer.placement), cache)
                role = BALANCING[balance](instance, rank, shard, communicator, weights, balancer)
        bindings = Bindings(system, [role], [machine])
        agents[machine, where] = LockstepAgent(driver, copy, bindings, VirtualClock(time), deliver=schedulers[instance].receive)
    watch = _Watch(agents, schedulers, time)
    _turn(Lockstep(list(agents.values()), time, policy if policy is not None else RoundRobin()), watch)
    stall = None
    if not watch.complete:
        places = list(product(range(instances), range(ranks)))
        entered = next(variable for variable in driver.system.variables if variable.name == "collective_entered")
        calls = {place: Call(driver.store.load(entered, place)) for place in places}
        stall = Stall(watch.turns, tuple(whereabouts(calls, {place for place in places if watch.stands(("worker", place))})))
    rebalances = () if balancer is None else tuple(balancer.history)
    return Run(tuple(tuple(s.requests) for s in schedulers), communicator.forwards(), watch.turns, stall, rebalances)


def _turn(copies: Lockstep, watch: _Watch) -> None:
    """Until the run is over, or nobody can fire a row any more."""
    while not watch.is_over():
        if not copies.turn():
            if copies.wakes == math.inf:
                watch.stop()
                return
            copies.advance(copies.wakes)


def _first_placement(weights: Weights, places: int, redundant: int) -> ExpertPlacement:
    """Even, with replicas as if all experts had as much to do."""
    config = weights.config
    config.check_places(places)
    if not 0 <= redundant <= config.experts - config.experts // places:
        most = config.experts - config.experts // places
        raise DefinitionError(f"redundant={redundant}: give 0 to {most}, where every one of {places} ranks has all {config.experts} experts")
    if redundant == 0:
        return ExpertPlacement.even(config.experts, places)
    return ExpertPlacement.balanced([1.0] * config.experts, places, config.experts // places + redundant)


def whereabouts(calls: Mapping[Place, Call], standing: Container[Place]) -> list[str]:
    """Of every rank, in words: the barrier that it stands in and those it waits for, or that it goes round.

    Args:
        calls: the collective that each has entered and not left. standing: who fires no row any more.
    """

    def name(place: Place) -> str:
        return f"worker[{place[0]},{place[1]}]"

    lines = []
    for place, call in calls.items():
        if place not in standing:
            lines.append(f"{name(place)} goes round its loop, and enters no forward")
        elif call is Call.NONE:
            lines.append(f"{name(place)} stands in no barrier")
        else:
            group = next(group for group in GROUPS if call in group)
            missing = [p for p in calls if calls[p] not in group and (group is not TENSOR or p[0] == place[0])]
            awaited = ", ".join(map(name, missing))
            lines.append(f"{name(place)} waits in {BARRIERS.get(call, call.name)} ({call.name}) for {awaited}")
    return lines
