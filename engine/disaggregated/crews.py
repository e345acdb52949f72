"""The crews of the engine, in either runtime: which roles each process has, and what it tells the others beside the protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from protocol.types import Value

from ..clock import Clock
from ..generation import Generation
from ..model.balancing import Balance
from ..model.kv_cache import KvCache
from ..model.layers import Routes
from ..model.shard import Chunk, Forward
from ..model.threads import share_cores
from ..model.transport import Member
from ..model.weights import Floats
from ..queue_server import Letter
from ..runtime.placement import OUTSIDE, Composition, Crew, Desk, Part, Placement, Station
from .arena import Arena
from .balancing import Balancing, balance_of
from .decode_engine import DecodeEngine, DecodeGate, DraftingEngine
from .device import Device, LaunchingRank
from .fence import Fence
from .job import NewWeights
from .left_out import (
    CarelessPrefillEngine,
    EarlyPrefillEngine,
    ForgetfulMessager,
    FreeAtAbort,
    FreeAtFirstToken,
    Freed,
    IdleRest,
    LoosePrefillEngine,
    LoseStep,
    RecallingThread,
    ReserveAgain,
    SeeingThread,
)
from .messager import Messager
from .operator import Command, Operator
from .plant import PROTOCOL_BUILDER, Plant
from .prefill_engine import PrefillEngine, PrepareThread, PreparingThread, Reminder
from .ranks import Computation, DecodeRank, PrefillRank
from .rest import GateRest, LaunchingRest, PartnerRest, Summons, WorkerRest
from .router import Router

ASK_AGAIN_S = 0.01
"""How long P leaves a D alone that has refused a request for want of room."""


@dataclass(frozen=True)
class Submit:
    """To the router: a generation, and the key under which its tokens come back."""

    key: int
    generation: Generation


@dataclass(frozen=True)
class Abort:
    """To the router: give a generation up."""

    key: int


@dataclass(frozen=True)
class GivenUp:
    """From the router: a generation was given up before it had a number."""

    key: int


@dataclass(frozen=True)
class Inspect:
    """To an engine: say what is held."""


@dataclass(frozen=True)
class Held:
    """From an engine: blocks that are taken, and requests that it has tables of."""

    blocks: int
    requests: int


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


class Memory(Protocol):
    """Where the caches of an engine lie, and how the ranks of an instance compute together. Instances as in `Plant.instances`."""

    def cache(self, instance: int, rank: int) -> KvCache:
        """The cache of a rank."""
        ...

    def fence(self) -> Fence:
        """The fence around the caches of all D instances."""
        ...

    def computation(self, instance: int, rank: int, clock: Clock) -> Computation:
        """A rank's part of its instance's forwards, for a rank that begins, or begins anew. `clock`: of its copy."""
        ...

    def publish(self, weights: NewWeights) -> None:
        """From now on ranks that begin anew begin with these weights."""
        ...


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


class RouterCrew(Crew):
    """The router and the operator: they hear from the outside."""

    def __init__(self, plant: Plant, memory: Callable[[], Memory], desk: Desk):
        self._router, self._desk = Router(plant.numbers, plant.homes, plant.shape, mortal=plant.decodes_die), desk
        self._operator, self._plant = Operator(memory().publish), plant

    def roles(self, machine: str, copy: tuple[Value, ...]) -> Sequence[object]:
        if machine == "control":
            return [self._operator]
        line, engine = self._router.lines[copy[0]], prefill_engine(self._plant, self._plant.homes.prefill_of(copy[0]))
        return [line, *([FreeAtAbort(line, partial(self._desk.post, engine))] if self._plant.without == "drains_before_cancel" else [])]

    def receive(self, letter: Letter) -> None:
        if isinstance(letter.content, Submit):
            self._router.submit(letter.content.key, letter.content.generation)
        elif isinstance(letter.content, Command):
            self._operator.take(letter.content)
        elif self._router.abort(letter.content.key):
            self._desk.post(OUTSIDE, GivenUp(letter.content.key))


class PrefillCrew(Crew):
    """A P's engine."""

    def __init__(self, plant: Plant, desk: Desk):
        loose: dict[str, type[PrefillEngine]] = {"publishes_computed": EarlyPrefillEngine, "counts_users": CarelessPrefillEngine}
        self._engine = PrefillEngine(plant) if plant.without is None else loose.get(plant.without, LoosePrefillEngine)(plant)
        self._desk, self._without, self._says_again = desk, plant.without, plant.says_again

    def receive(self, letter: Letter) -> None:
        if isinstance(letter.content, Freed):
            self._engine.let_go(letter.content.key)
            return
        cache = self._engine.cache
        self._desk.post(OUTSIDE, Held(cache.blocks - cache.free, len(cache)))

    def roles(self, machine: str, copy: tuple[Value, ...]) -> Sequence[object]:
        if machine == "timer":
            return [Reminder(self._engine)] if self._says_again else []
        if machine == "prepare":
            threads: dict[str | None, type[PreparingThread]] = {"takes_once": SeeingThread, "leaves_intake": RecallingThread}
            return [threads.get(self._without, PrepareThread)(self._engine)]
        if machine == "token_processor" and self._without == "keeps_until_sent":
            return [self._engine, FreeAtFirstToken(self._engine)]
        return [self._engine, GateRest(self._desk.clock(machine, copy))] if machine == "gate" else [self._engine]


class RankCrew(Crew):
    """A rank of a P that waits for its forwards, or of a D."""

    def __init__(self, plant: Plant, memory: Callable[[], Memory], instance: int, rank: int, desk: Desk):
        decode = plant.decode_number(instance)
        leading = plant.prefill_copy(instance) if decode is None else plant.decode_ranks(decode)[1]
        clock = desk.clock("worker", (*leading, rank))
        computation = memory().computation(instance, rank, clock)
        decodes = partial(DecodeRank, rank, plant.sequences, plant.step_tokens)
        self._balancing = [] if computation.balance is None else [Balancing(computation.balance, partial(desk.post, OUTSIDE))]
        self._role = (PrefillRank if decode is None else decodes)(computation, plant.captures(rank))
        idles = IdleRest if decode is None and plant.without == "lowers_behind_barrier" else WorkerRest
        self._rest = (PartnerRest if plant.shares_experts and decode is not None else idles)(clock)

    def roles(self, machine: str, copy: tuple[Value, ...]) -> Sequence[object]:
        return [self._role, self._rest, *self._balancing]


class LaunchingCrew(Crew):
    """A rank of a P that launches its forwards."""

    def __init__(self, plant: Plant, prefill: int, rank: int, desk: Desk):
        kind = {"lowers_behind_barrier": IdleRest, "speaks_in_stream": WorkerRest}.get(plant.without or "", LaunchingRest)
        self._roles = [LaunchingRank(), kind(desk.clock("worker", (*plant.prefill_copy(prefill), rank)))]

    def roles(self, machine: str, copy: tuple[Value, ...]) -> Sequence[object]:
        return self._roles


class DeviceCrew(Crew):
    """The device of such a rank."""

    def __init__(self, plant: Plant, memory: Callable[[], Memory], prefill: int, rank: int, desk: Desk):
        clock = desk.clock("device", (*plant.prefill_copy(prefill), rank))
        self._role = Device(memory().computation(prefill, rank, clock), plant.captures(rank))

    def roles(self, machine: str, copy: tuple[Value, ...]) -> Sequence[object]:
        return [self._role]


class MessagerCrew(Crew):
    """The messager of a rank of a P."""

    def __init__(self, plant: Plant, memory: Callable[[], Memory], prefill: int, rank: int, desk: Desk):
        mapped = memory()
        source, targets = mapped.cache(prefill, rank), [mapped.cache(plant.instance_of(d), rank) for d in range(plant.decodes)]
        kind = ForgetfulMessager if plant.without == "reports_last" else Messager
        self._role = kind(plant.shape, plant.homes, source, targets, mapped.fence())

    def roles(self, machine: str, copy: tuple[Value, ...]) -> Sequence[object]:
        return [] if machine == "consumer" else [self._role]


class DecodeCrew(Crew):
    """A D's engine, with the gate of its ranks, who send it the tokens of each step."""

    def __init__(self, plant: Plant, memory: Callable[[], Memory], instance: int, desk: Desk):
        self._desk = desk
        kind = DraftingEngine if plant.drafts else DecodeEngine
        self._engine = kind(instance, plant, memory().fence(), partial(desk.post, OUTSIDE))
        others = [d for d in range(plant.decodes) if d != instance] if plant.shares_experts else []
        summons = Summons(partial(desk.post, content=None), [decode_worker(d, 0) for d in others])
        self._gate, self._without = DecodeGate(self._engine, desk.clock("gate", plant.decode_ranks(instance)[1]), summons.call), plant.without

    def roles(self, machine: str, copy: tuple[Value, ...]) -> Sequence[object]:
        if machine == "decode_loop" and self._without == "reserves_once":
            return [self._engine, ReserveAgain(self._engine)]
        if machine == "decode_worker" and self._without == "credits_singly":
            return [self._engine, LoseStep(self._engine)]
        return [self._gate, GateRest(self._desk.clock(machine, copy))] if machine == "gate" else [self._engine]

    def receive(self, letter: Letter) -> None:
        if isinstance(letter.content, Inspect):
            pool = self._engine.pool
            self._desk.post(OUTSIDE, Held(pool.blocks - pool.free, len(self._engine.answers)))
        else:
            self._engine.finish_step(letter.content)


def decode_worker(decode: int, rank: int) -> str:
    """The name of the process of a D's rank."""
    return f"decode {decode} worker {rank}"


def prefill_engine(plant: Plant, prefill: int) -> str:
    """The name of the process of a P's engine."""
    return f"prefill {prefill} engine" if plant.prefills > 1 else "prefill engine"


def decode_engines(plant: Plant) -> set[str]:
    """The names of the processes of the engines of all D's."""
    return {f"decode engine {d}" for d in range(plant.decodes)}


def engines(plant: Plant) -> list[str]:
    """The names of the processes of all engines."""
    return [*(prefill_engine(plant, i) for i in range(plant.prefills)), *(f"decode engine {d}" for d in range(plant.decodes))]


def placement_of(plant: Plant, memory: Callable[[], Memory]) -> Placement:
    """A process for the router, for the engine of each P and each D, and for each rank's worker and messager.

    Args:
        memory: asked in each process that needs it; picklable where processes are real.
    """
    protocol = Composition(PROTOCOL_BUILDER, plant.protocol_config)
    systems = {"": protocol} | plant.decode_systems
    stations = [Station("router", (Part("router"), Part("control")), partial(RouterCrew, plant, memory))]
    for i in range(plant.prefills):
        stations += _prefill_stations(plant, memory, i)
    for d in range(plant.decodes):
        name, (system, leading) = f"decode engine {d}", plant.decode_ranks(d)
        parts = (*(Part(machine, (d,)) for machine in ("listener", "decode_loop", "decode_worker")), Part("gate", leading, system))
        stations.append(Station(name, parts, partial(DecodeCrew, plant, memory, d)))
        for r in range(plant.ranks):
            crew = partial(RankCrew, plant, memory, plant.instance_of(d), r)
            stations.append(Station(decode_worker(d, r), (Part("worker", (*leading, r), system),), crew, name, dies_with=name))
    return Placement(systems, tuple(stations), {"prepare.ask_again": ASK_AGAIN_S})


def _prefill_stations(plant: Plant, memory: Callable[[], Memory], prefill: int) -> list[Station]:
    """The processes of one P."""
    leading, name = plant.prefill_copy(prefill), f"prefill {prefill} " if plant.prefills > 1 else ""
    threads = ("prepare", "gate", "token_processor", "completer", "connector", *(["timer"] if plant.has_timer else []))
    stations = [Station(prefill_engine(plant, prefill), tuple(Part(thread, leading) for thread in threads), partial(PrefillCrew, plant))]
    for r in range(plant.ranks):
        copy = (*leading, r)
        own = name or "prefill "
        if plant.asynchronous:
            stations.append(Station(f"{own}worker {r}", (Part("worker", copy),), partial(LaunchingCrew, plant, prefill, r)))
            stations.append(Station(f"{own}device {r}", (Part("device", copy),), partial(DeviceCrew, plant, memory, prefill, r)))
        else:
            stations.append(Station(f"{own}worker {r}", (Part("worker", copy),), partial(RankCrew, plant, memory, prefill, r)))
        parts = tuple(Part(thread, copy) for thread in ("registrar", "consumer", "sender"))
        stations.append(Station(f"{name}messager {r}", parts, partial(MessagerCrew, plant, memory, prefill, r)))
    return stations
