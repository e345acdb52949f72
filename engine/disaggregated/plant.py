"""What an engine of some prefill instances and the decode instances that they share is made of: its sizes, and the protocol that it drives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from protocol import DefinitionError
from protocol.machines.repaired.bounds import Homes
from protocol.machines.repaired.protocol import build as build_protocol

from ..generation import Generation
from ..model.config import ModelConfig
from ..model.experts import ExpertPlacement
from ..model.kv_cache import KvCache
from ..model.named import weights_of
from ..model.shard import Shard
from ..model.weight_file import mapped
from ..model.weights import Weights
from ..runtime.placement import Composition
from .job import NewWeights, Shape

PROTOCOL_BUILDER = f"{build_protocol.__module__}:{build_protocol.__name__}"
BLOCK_SIZE = 16
LIVES = 4
"""How often P, or a D, may die, plus one; an engine is renewed before it comes to that."""
CHUNKS = 8
"""Chunks of the longest prompt."""
TURNS = 1 << 10
"""How often a number is used; an engine is renewed before all are used up."""


@dataclass(frozen=True)
class Plant:
    """An engine's sizes.

    Args:
        config: the model. ranks: tensor-parallel ranks of P and of each D. decodes: D instances.
        sequences: requests at once on each D. context_tokens: the longest prompt and answer together.
        slots: requests at once on P. threads: that prepare requests.
        mortal: whether processes may die, and come back; the rows for it are driven then.
        turns: how often a number is used. lives: how often P, or a D, may die, plus one.
        prefix_cache: whether P keeps the KV blocks of prompts for others that begin alike.
        drafts: tokens that a decode step tries at most beyond each request's next, from what its text has repeated; 0 for none.
        expert_parallel: 1, and every rank has a part of every expert; as many as `ranks`, and each rank of an instance has whole ones, to which
            tokens travel; or as many as all ranks of all D's, which share one set of experts then, and die and come back together.
        redundant_experts: that every rank of D's that share the experts has beyond its even share, as replicas of those that have most to do;
            the experts are balanced then while the engine runs (EPLB). None for no balancing.
        routing: a folder; if it is given, the experts that every token visits are stored there, and prompts are computed whole, without
            the prefix cache, so that all their tokens have routes.
        without: a rule of `protocol.machines.repaired` that the engine does not keep, to see what it is for; None keeps all.
        troubles: further arguments of the protocol's builder: what may go wrong beside.
        prefills: P instances, each with slots, threads, ranks, messagers and a prefix cache of its own; they share the D instances.
        asynchronous: P's ranks launch their forwards on devices of theirs and go on, instead of waiting for them.

    Raises:
        DefinitionError: the model cannot be cut so, or a number is below 1.
    """

    config: ModelConfig
    ranks: int = 1
    decodes: int = 1
    sequences: int = 8
    context_tokens: int = 2048
    slots: int = 4
    threads: int = 2
    mortal: bool = False
    turns: int = TURNS
    lives: int = LIVES
    prefix_cache: bool = True
    drafts: int = 0
    expert_parallel: int = 1
    redundant_experts: int | None = None
    routing: str = ""
    without: str | None = None
    troubles: Mapping[str, Any] = field(default_factory=dict)
    prefills: int = 1
    asynchronous: bool = False

    def __post_init__(self) -> None:
        self.config.check_ranks(self.ranks)
        every = self.ranks * self.decodes
        if self.expert_parallel not in (1, self.ranks, every):
            text = f"--ep {self.expert_parallel}: experts are spread over the {self.ranks} ranks of an instance, or over all of the decode instances"
            raise DefinitionError(f"{text}; give one of {', '.join(map(str, sorted({1, self.ranks, every})))}")
        if self.spreads_experts:
            self.config.check_places(self.ranks)
            self.config.check_places(self.expert_parallel)
        if self.balances_experts:
            if every == 1:
                raise DefinitionError("--eplb: experts move between ranks, and there is one; give --tp or --decode 2, and --ep as many as all ranks")
            if self.expert_parallel != every:
                raise DefinitionError(f"--eplb: experts move between all ranks of the decode instances; give --ep {every}")
            assert self.placement
        if self.routing and not self.config.experts:
            raise DefinitionError(f"model {self.config.name} has no experts, hence no routes to store in {self.routing}; choose one that has")
        for name in ("prefills", "decodes", "sequences", "context_tokens", "slots", "threads"):
            if getattr(self, name) < 1:
                raise DefinitionError(f"{name}={getattr(self, name)}: give at least 1")
        if self.drafts < 0:
            raise DefinitionError(f"drafts={self.drafts}: give 0 or more")

    @property
    def spreads_experts(self) -> bool:
        """Whether each rank has whole experts."""
        return self.expert_parallel > 1

    @property
    def shares_experts(self) -> bool:
        """Whether the ranks of the D's run one round: they have one set of experts together, so that tokens of a step travel between them."""
        return self.expert_parallel > self.ranks or self.balances_experts

    @property
    def balances_experts(self) -> bool:
        """Whether experts move between them."""
        return self.redundant_experts is not None

    @property
    def placement(self) -> ExpertPlacement:
        """Where the experts that the D's share lie at first.

        Raises:
            DefinitionError: there are not so many redundant ones.
        """
        return ExpertPlacement.spread(self.config.experts, self.expert_parallel, self.redundant_experts or 0)

    def part(self, weights: Weights, instance: int, rank: int) -> Weights:
        """A rank's part of the model."""
        decode = self.decode_number(instance)
        if not self.spreads_experts:
            return weights.shard(rank, self.ranks)
        if self.shares_experts and decode is not None:
            return weights.placed_shard(rank, self.ranks, decode * self.ranks + rank, self.placement)
        return weights.expert_shard(rank, self.ranks, rank, self.ranks)

    def shard(self, weights: Weights, instance: int, rank: int, cache: KvCache) -> Shard:
        """A rank with its part of the model; rank 0 of each instance tells the routes, where they are wanted."""
        return Shard(self.part(weights, instance, rank), cache, captures=self.captures(rank))

    def captures(self, rank: int) -> bool:
        """Whether the rank tells the routes."""
        return bool(self.routing) and rank == 0

    def weights(self, source: NewWeights) -> Weights:
        """The whole model.

        Raises:
            DefinitionError: the file does not hold this model's weights, or the model was not fetched.
        """
        return mapped(Path(source.path), self.config) if source.path else weights_of(self.config)

    @property
    def numbers(self) -> int:
        """Requests that the engine knows at once: those that D decodes, and as many that are on their way; as many for each P."""
        return self.prefills * self.decodes * -(-2 * self.sequences // self.prefills)

    @property
    def homes(self) -> Homes:
        """Where requests go."""
        return Homes(self.prefills, self.decodes)

    @property
    def instances(self) -> range:
        """All instances by number: first the P's, then the D's."""
        return range(self.prefills + self.decodes)

    def instance_of(self, decode: int) -> int:
        """The number of a D among all instances."""
        return self.prefills + decode

    def decode_number(self, instance: int) -> int | None:
        """Which D an instance is; None for a P."""
        return None if instance < self.prefills else instance - self.prefills

    def prefill_copy(self, prefill: int) -> tuple[int, ...]:
        """The leading index of all that is that P's in the protocol: none where there is but one."""
        return (prefill,) if self.prefills > 1 else ()

    @property
    def shape(self) -> Shape:
        """The layout of tokens. A chunk is a whole number of blocks."""
        chunk = -(-self.context_tokens // (CHUNKS * BLOCK_SIZE)) * BLOCK_SIZE
        return Shape(chunk, BLOCK_SIZE, self.context_tokens)

    def blocks(self, instance: int) -> int:
        """KV blocks of a rank of that instance."""
        return (self.slots if self.decode_number(instance) is None else self.sequences) * self.shape.blocks

    @property
    def decode_blocks(self) -> int:
        """KV blocks of a rank of every D, together."""
        return self.decodes * self.sequences * self.shape.blocks

    @property
    def step_tokens(self) -> int:
        """Tokens of a request in the largest decode step."""
        return 1 + self.drafts

    @property
    def fences_writes(self) -> bool:
        """Whether D's memory refuses writes whose reservation is over."""
        return self.without != "fences_writes"

    @property
    def withdraw(self) -> int:
        """The task that withdraws a request from P's ranks."""
        return 2 * CHUNKS

    @property
    def protocol(self) -> Composition:
        """The repaired protocol at these sizes."""
        return Composition(PROTOCOL_BUILDER, self.protocol_config)

    @property
    def prefills_die(self) -> bool:
        """Whether a P may die."""
        return self.protocol_config.get("crash") in ("prefill", "rank", "any")

    @property
    def decodes_die(self) -> bool:
        """Whether a D may die."""
        return self.protocol_config.get("crash") in ("decode", "any")

    @property
    def says_again(self) -> bool:
        """Whether P sends again what D has not answered."""
        return bool(self.protocol_config.get("repeats")) and self.without != "sends_again"

    @property
    def has_timer(self) -> bool:
        """Whether P says anything again, or gives up waiting."""
        return self.says_again or bool(self.protocol_config.get("deadlines"))

    @property
    def protocol_config(self) -> dict[str, Any]:
        """The arguments of the repaired protocol's builder."""
        return {
            "requests": self.numbers, "turns": self.turns, "ranks": self.ranks, "slots": self.slots, "layers": self.config.layers,
            "chunks": CHUNKS, "decodes": self.decodes, "room": self.sequences, "threads": self.threads, "aborts": True, "control": True,
            "decode_ranks": True, **({} if self.without is None else {"without": self.without}), **({"drafts": True} if self.drafts else {}),
            **({"shares_experts": True, "balances": self.balances_experts} if self.shares_experts else {}),
            **({"prefills": self.prefills} if self.prefills > 1 else {}), **({"asynchronous": True} if self.asynchronous else {}),
            **(self._mortality if self.mortal else {}), **self.troubles,
        }  # fmt: skip

    @property
    def _mortality(self) -> dict[str, Any]:
        return {"repeats": True, "crash": "any", "lives": self.lives, "knows_dead": True}

    def check(self, generation: Generation) -> None:
        """Raise a DefinitionError when a generation is longer than the context."""
        if generation.tokens > self.context_tokens:
            text = f"{len(generation.prompt)} tokens of prompt and {generation.max_tokens} of answer are more than {self.context_tokens}"
            raise DefinitionError(f"{text}; shorten one of them")
