"""The crews of the engine, in either runtime: which roles each process has, and what it tells the others beside the protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from protocol.types import Value

from ..clock import Clock
from ..model.kv_cache import KvCache
from ..runtime.placement import OUTSIDE, Crew, Desk, Letter
from .balancing import Balancing
from .decode_engine import Bereaved, DecodeEngine, DraftingEngine
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
from .letters import Abort, GivenUp, Held, Submit
from .messager import Messager
from .operator import Command, Operator
from .plant import Plant
from .prefill_engine import PrefillEngine, PrepareThread, PreparingThread, Reminder
from .ranks import Computation, DecodeForwards, DecodeRank, PrefillRank, SharingRank
from .rest import DecodeGateRest, DecodeRest, GateRest, LaunchingRest, PartnerRest, WorkerRest
from .router import Router


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


class RouterCrew(Crew):
    """The router and the operator: they hear from the outside. `engines`: the processes of the P's engines."""

    def __init__(self, plant: Plant, memory: Callable[[], Memory], engines: Sequence[str], desk: Desk):
        self._router, self._desk = Router(plant.numbers, plant.shape, mortal=plant.decodes_die), desk
        self._operator, self._plant, self._engines = Operator(memory().publish), plant, engines

    def roles(self, machine: str, copy: tuple[Value, ...]) -> Sequence[object]:
        if machine == "control":
            return [self._operator]
        line, engine = self._router.lines[copy[0]], self._engines[self._plant.homes.prefill_of(copy[0])]
        return [line, *([FreeAtAbort(line, partial(self._desk.post, engine))] if self._plant.without == "drains_before_cancel" else [])]

    def receive(self, letter: Letter) -> None:
        if isinstance(letter.content, Submit):
            self._router.submit(letter.content.key, letter.content.generation)
        elif isinstance(letter.content, Command):
            self._operator.take(letter.content)
        elif isinstance(letter.content, Abort) and self._router.abort(letter.content.key):
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
        cache.check()
        self._desk.post(OUTSIDE, Held(letter.content.look, cache.blocks - cache.free, len(cache)))

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
    """A rank of a P that waits for its forwards."""

    def __init__(self, plant: Plant, memory: Callable[[], Memory], prefill: int, rank: int, desk: Desk):
        clock = desk.clock("worker", (*plant.prefill_copy(prefill), rank))
        idles = IdleRest if plant.without == "lowers_behind_barrier" else WorkerRest
        self._roles = [PrefillRank(memory().computation(prefill, rank, clock), plant.captures(rank)), idles(clock)]

    def roles(self, machine: str, copy: tuple[Value, ...]) -> Sequence[object]:
        return self._roles


class DecodeRankCrew(Crew):
    """A rank of a D."""

    def __init__(self, plant: Plant, memory: Callable[[], Memory], decode: int, rank: int, desk: Desk):
        clock = desk.clock("decode_rank", (decode, rank))
        computation = memory().computation(plant.instance_of(decode), rank, clock)
        kind, rest = (SharingRank, PartnerRest) if plant.shares_experts else (DecodeRank, DecodeRest)
        self._forwards: DecodeForwards = kind(rank, plant.sequences, plant.step_tokens, computation, plant.captures(rank))
        self._roles: list[object] = [self._forwards, rest(clock)]
        if computation.balance is not None:
            self._roles.append(Balancing(computation.balance, partial(desk.post, OUTSIDE)))

    def roles(self, machine: str, copy: tuple[Value, ...]) -> Sequence[object]:
        return self._roles


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
    """A D's engine, with the gate of its ranks. `partners`: processes to call along with its batches."""

    def __init__(self, plant: Plant, memory: Callable[[], Memory], decode: int, partners: Sequence[str], desk: Desk):
        self._desk = desk
        kind = DraftingEngine if plant.drafts else DecodeEngine
        self._engine = kind(decode, plant, memory().fence(), partial(desk.post, OUTSIDE))
        self._rest = DecodeGateRest(desk.clock("decode_gate", (decode,)), partial(desk.post, content=None), partners)
        self._without, self._prefills_die = plant.without, plant.prefills_die

    def roles(self, machine: str, copy: tuple[Value, ...]) -> Sequence[object]:
        if machine == "decode_loop":
            left_out = [ReserveAgain(self._engine)] if self._without == "reserves_once" else []
            return [self._engine, *left_out, *([Bereaved(self._engine)] if self._prefills_die else [])]
        if machine == "decode_worker" and self._without == "credits_singly":
            return [self._engine, LoseStep(self._engine)]
        return [self._engine, self._rest] if machine == "decode_gate" else [self._engine]

    def receive(self, letter: Letter) -> None:
        pool = self._engine.pool
        pool.check()
        self._desk.post(OUTSIDE, Held(letter.content.look, pool.blocks - pool.free, len(self._engine.answers)))
