"""Expert parallelism in motion: data-parallel instances whose ranks share the experts, driven in lockstep by `expert_round`.

Every layer with experts exchanges tokens between all ranks of all instances, so all must run the same number of forwards. Whether an
idle instance comes along is the protocol's business: with empty batches (#6680) or by the repaired round it does; without them
the busy one waits for ever, and the run ends with a `Stall` that says which rank waits in which barrier, and for whom.

A turn is one row of one copy.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from protocol.machines.collectives.expert_round import build
from protocol.machines.collectives.meeting import GROUPS, TENSOR, Call
from protocol.types import Value

from .clock import VirtualClock, VirtualTime
from .driver import Driver, Step
from .model.group import Group
from .model.kv_cache import BlockPool, KvCache
from .model.sampling import Sampling, choose
from .model.shard import Chunk, Forward, Shard
from .model.weights import Weights
from .roles.binding import Bindings, Outcome, after, carries, decides
from .runtime.lockstep import Lockstep, LockstepAgent
from .runtime.policy import Policy, RoundRobin
from .store import Store

Place = tuple[int, int]
"""An instance and a rank of it."""
Key = tuple[str, tuple[Value, ...]]
"""A machine and the indices of a copy."""
BLOCK_SIZE = 4
BLOCKS = 64
CHUNK_TOKENS = 8
"""The most tokens of a prompt in one forward."""
PATIENCE = 2000
"""Turns without a request's progress after which a run is stalled; a forward takes fewer than two hundred."""
TURN_S = 0.0001
"""Virtual time of a turn."""
BARRIERS = {Call.TOP: "TPB#0", Call.FLAG: "TPB#1", Call.READ: "TPB#2'", Call.SKIP: "TPB#1b", Call.MEET: "EPB", Call.FORWARD: "the all-to-all"}
"""What the ranks of this run meet in, as the real code calls it."""


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
        return "\n".join([f"no request has made progress for {PATIENCE} turns, after {self.turns}:", *(f"  {line}" for line in self.ranks)])


@dataclass(frozen=True)
class Run:
    """What a run came to.

    `requests`: of every instance. `forwards`: of every rank, by (instance, rank), those without requests among them. `stall`:
    None when every request has its tokens.
    """

    requests: tuple[tuple[Running, ...], ...]
    forwards: dict[Place, int]
    turns: int
    stall: Stall | None


class Communicator:
    """The ranks' common transport: the n-th forward of every rank is one forward of all."""

    def __init__(self, instances: int, ranks: int):
        self._instances, self._ranks = instances, ranks
        self._begun: dict[Place, list[Forward]] = {place: [] for place in product(range(instances), range(ranks))}
        self._groups: list[Group] = []

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

    def forwards(self) -> dict[Place, int]:
        """How many every rank has entered."""
        return {place: len(begun) for place, begun in self._begun.items()}


class ExpertScheduler:
    """The gate's handlers: every request that waits for no result gets its next chunk, prompts and decoding alike."""

    def __init__(self, requests: Sequence[tuple[Sequence[int], int]]):
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


class ExpertRank:
    """A rank's handlers: it takes its batch, enters the forward of all, and ends it; rank 0 chooses the tokens."""

    def __init__(self, instance: int, rank: int, shard: Shard, communicator: Communicator):
        self._instance, self._rank, self._shard, self._communicator = instance, rank, shard, communicator
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
        self._communicator.begin(self._instance, self._rank, Forward(self._shard, chunks))

    @after("worker.finish_forward")
    def leave(self, step: Step) -> Result | None:
        """The forward is over: the result, once an instance."""
        ended, work = self._communicator.finish(self._instance, self._rank), self._work
        self._work = None
        if work is None or self._rank != 0:
            return None
        assert ended.logits is not None
        rows = iter(ended.logits)
        return Result(work, tuple(choose(next(rows), Sampling(), 0) if chunk.outputs else None for chunk in work.chunks))


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
            self._fired = {key: agent.fired for key, agent in self._agents.items()}
        return self.complete or self.turns - self._progressed >= PATIENCE

    def stands(self, key: Key) -> bool:
        """Whether a copy has fired no row in the last half of a stalled run's patience."""
        return self._agents[key].fired == self._fired[key]


def run_experts(
    weights: Weights,
    requests: Sequence[Sequence[tuple[Sequence[int], int]]],
    *,
    variant: str = "repaired",
    ranks: int = 2,
    policy: Policy | None = None,
) -> Run:
    """Generate greedily on several instances with so many tensor-parallel ranks each, to the last token or to a stall.

    Args:
        weights: of a model whose experts all ranks together can share evenly.
        requests: of each instance: (prompt, how many tokens are wanted); none for an idle instance.
        variant: a version of `protocol.machines.collectives.loop.LOOPS`.
        policy: whose turn it is; round-robin if None.

    Raises:
        DefinitionError: an unknown variant, or a model that cannot be spread so. EngineError: nobody can fire a row any more.
    """
    instances = len(requests)
    system = build(variant, instances, ranks, role="prefill").focused()
    driver, communicator, time = Driver(system, Store(system)), Communicator(instances, ranks), VirtualTime()
    schedulers = [ExpertScheduler(mine) for mine in requests]
    agents: dict[Key, LockstepAgent] = {}
    for (machine, where), copy in driver.copies.items():
        instance = int(where[0])
        role: object = schedulers[instance]
        if machine == "worker":
            rank = int(where[1])
            shard = weights.expert_shard(rank, ranks, instance * ranks + rank, instances * ranks)
            role = ExpertRank(instance, rank, Shard(shard, KvCache(weights.config, ranks, BLOCKS, BLOCK_SIZE)), communicator)
        bindings = Bindings(system, [role], [machine])
        agents[machine, where] = LockstepAgent(driver, copy, bindings, VirtualClock(time), deliver=schedulers[instance].receive)
    watch = _Watch(agents, schedulers, time)
    Lockstep(list(agents.values()), time, policy if policy is not None else RoundRobin()).run(watch.is_over)
    stall = None
    if not watch.complete:
        places = list(product(range(instances), range(ranks)))
        stall = Stall(watch.turns, tuple(_whereabouts(driver, places, {place for place in places if watch.stands(("worker", place))})))
    return Run(tuple(tuple(s.requests) for s in schedulers), communicator.forwards(), watch.turns, stall)


def _whereabouts(driver: Driver, places: Sequence[Place], standing: set[Place]) -> list[str]:
    """Of every rank: the barrier that it stands in and those it waits for, or that it goes round."""
    entered = next(variable for variable in driver.system.variables if variable.name == "collective_entered")
    calls = {place: Call(driver.store.load(entered, place)) for place in places}
    lines = []
    for place in places:
        name, call = driver.copies["worker", place].name, calls[place]
        if place not in standing:
            lines.append(f"{name} goes round its loop, and enters no forward")
        elif call is Call.NONE:
            lines.append(f"{name} stands in no barrier, at {driver.copies['worker', place].state.name}")
        else:
            group = next(group for group in GROUPS if call in group)
            missing = [p for p in places if calls[p] not in group and (group is not TENSOR or p[0] == place[0])]
            awaited = ", ".join(driver.copies["worker", p].name for p in missing)
            lines.append(f"{name} waits in {BARRIERS.get(call, call.name)} ({call.name}) for {awaited}")
    return lines
