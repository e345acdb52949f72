"""The disaggregated engine in one process and one thread: every copy of every machine, in the order that a policy gives.

The same roles as in the live engine; only what carries collectives and messages between processes is another. Same seed, same
bytes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from protocol.system import System

from ..clock import VirtualClock
from ..driver import Driver
from ..errors import EngineError
from ..generation import Finish, Generation, Token
from ..model.group import Group
from ..model.kv_cache import KvCache
from ..model.shard import Chunk, Forward, Shard
from ..model.weights import Floats, Weights
from ..roles.binding import Bindings
from ..runtime.agent import Agent
from ..store import Store
from .decode_engine import DecodeEngine, DecodeGate
from .job import Closed, Produced
from .messager import Messager
from .plant import Plant
from .prefill_engine import PrefillEngine, PrepareThread
from .ranks import DecodeRank, PrefillRank
from .router import Router


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
    """One rank's part of an instance's forwards."""

    def __init__(self, forwards: Forwards, rank: int):
        self._forwards, self._rank = forwards, rank

    def begin(self, number: int, batch: Sequence[Chunk]) -> None:
        """Start a forward."""
        self._group, self._all = self._forwards.join(number, batch)
        self._next_layer = 0

    def begin_layer(self) -> None:
        """Compute up to the attention of the next layer."""
        self._group.begin_layer(self._rank, self._next_layer)
        self._next_layer += 1

    def is_ready(self) -> bool:
        """Whether every rank has begun every layer."""
        return all(forward.begun == forward.layers for forward in self._all)

    def logits(self) -> Floats:
        """The logits of the wanted rows."""
        return self._group.finish(self._rank)

    def run(self, number: int, batch: Sequence[Chunk]) -> Floats:
        """A whole forward, of all ranks at once: nobody sees how far each of them is."""
        group, _ = self._forwards.join(number, batch)
        return group.run()[self._rank]


@dataclass
class Answer:
    """What a client has got."""

    generation: Generation
    tokens: list[Token] = field(default_factory=list)
    finish: Finish | None = None


class LockstepEngine:
    """All copies of an engine, and its roles.

    Args:
        weights: the model. plant: its sizes. seed: of the order of turns.
    """

    def __init__(self, weights: Weights, plant: Plant, seed: int = 0):
        self._plant, self._rng = plant, random.Random(seed)
        self.router = Router(plant.numbers, plant.shape, mortal=plant.mortal)
        self.prefill = PrefillEngine(plant.slots, plant.shape)
        self.decodes = [DecodeEngine(d, plant.sequences, plant.shape, self._receive) for d in range(plant.decodes)]
        self.answers: dict[int, Answer] = {}
        self._shards = [self._make_shards(weights, plant.slots), *(self._make_shards(weights, plant.sequences) for _ in self.decodes)]
        forwards, numbers = Forwards(self._shards[0]), plant.withdraw
        self._workers = [PrefillRank(r, numbers, LockstepComputation(forwards, r)) for r in range(plant.ranks)]
        caches = [[shards[r].cache for shards in self._shards] for r in range(plant.ranks)]
        self._messagers = [Messager(r, plant.shape, caches[r][0], caches[r][1:]) for r in range(plant.ranks)]
        self.agents: list[Agent] = []
        self._staff(plant.protocol(), self._protocol_role, self._receive)
        for d in range(plant.decodes):
            self._staff(plant.decode_ranks(), partial(self._decode_role, d, Forwards(self._shards[1 + d])), self.decodes[d].finish_step)

    def submit(self, generation: Generation) -> int:
        """Take a generation in."""
        self._plant.check(generation)
        key = len(self.answers) + 1
        self.answers[key] = Answer(generation)
        self.router.submit(key, generation)
        return key

    def abort(self, key: int) -> None:
        """Give a generation up."""
        if self.router.abort(key):
            self.answers[key].finish = Finish.ABORT

    def run(self, most_rounds: int = 1_000_000) -> int:
        """Turn until every number is free again: the rounds it took.

        Raises:
            EngineError: a whole round without a row fired, or too many rounds.
        """
        rounds = 0
        while self.router.running or self.router.waiting:
            rounds += 1
            if not self._round() or rounds > most_rounds:
                raise EngineError(f"the engine stands still after {rounds} rounds: {self.router.running} requests are under way")
        return rounds

    def step(self, rows: int) -> None:
        """Turn until so many rows have fired since the start, or none can."""
        while sum(agent.fired for agent in self.agents) < rows and self._round():
            pass

    def _round(self) -> int:
        """A turn for every copy: how many rows have fired."""
        return sum(agent.turn() for agent in self._rng.sample(self.agents, len(self.agents)))

    def leaks(self) -> list[str]:
        """What is held although no request is under way: blocks, tables."""
        pools = [("P", self.prefill.pool), *((f"D[{d}]", engine.pool) for d, engine in enumerate(self.decodes))]
        return [f"{name}: {pool.blocks - pool.free} blocks" for name, pool in pools if pool.free < pool.blocks]

    # -- assembly ------------------------------------------------------------------------------------------------------

    def _make_shards(self, weights: Weights, sequences: int) -> list[Shard]:
        plant = self._plant
        blocks = sequences * plant.shape.blocks
        caches = [KvCache(plant.config, plant.ranks, blocks, plant.shape.block_size) for _ in range(plant.ranks)]
        return [Shard(plant.part(weights, rank), cache) for rank, cache in enumerate(caches)]

    def _staff(self, system: System, role_of: Callable[[str, tuple[Any, ...]], object], deliver: Callable[[Any], None]) -> None:
        driver = Driver(system, Store(system))
        for (machine, where), copy in driver.copies.items():
            bindings = Bindings(system, [role for role in [role_of(machine, where)] if role is not None], [machine])
            self.agents.append(Agent(driver, copy, bindings, VirtualClock(), None, deliver))

    def _protocol_role(self, machine: str, where: tuple[Any, ...]) -> object:
        if machine == "router":
            return self.router.lines[where[0]]
        if machine == "prepare":
            return PrepareThread(self.prefill)
        if machine in ("gate", "token_processor", "completer", "connector"):
            return self.prefill
        if machine in ("listener", "decode_loop", "decode_worker"):
            return self.decodes[where[0]]
        rank = where[0]
        if machine == "worker":
            return self._workers[rank]
        return self._messagers[rank]

    def _decode_role(self, instance: int, forwards: Forwards, machine: str, where: tuple[Any, ...]) -> object:
        if machine == "gate":
            return DecodeGate(self.decodes[instance])
        return DecodeRank(where[0], LockstepComputation(forwards, where[0]))

    def _receive(self, message: Any) -> None:
        if isinstance(message, Produced):
            self.answers[message.key].tokens.append(message.token)
        elif isinstance(message, Closed):
            self.answers[message.key].finish = message.finish
