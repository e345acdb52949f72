"""What a replay acts on: requests, their answers, a prefill and a decode instance. The subjects add handlers bound to rows.

Where a model ends at P's answer, D is the world's: it decodes a token of every request that it has been given, once a round of
the schedule, from whatever lies in its blocks. Where a model has the decoding itself, the subject's handlers do it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from protocol.action import Action
from protocol.action import Instance as RowInstance
from protocol.system import System
from protocol.types import Index

from ..binding import bound_rows
from ..model.numerics import Narrow
from ..model.sampling import Sampling, choose
from ..model.shard import Chunk
from ..model.weights import Floats
from .instance import BLOCK_SIZE, Instance, drawn_prompt
from .walk import Step

PROMPT_BLOCKS = 4
ANSWER_TOKENS = 16
ANSWER_BLOCKS = ANSWER_TOKENS // BLOCK_SIZE
RANKS = 2
"""Tensor-parallel ranks of an instance whose machines have none."""


@dataclass
class Answer:
    """What a client has been told: tokens, and the log-probability that the engine gave each.

    `over`: it ended, by its last token, or because the client or the engine ended it on purpose. `version`: of the weights that began it.
    """

    prompt: tuple[int, ...]
    tokens: list[int] = field(default_factory=list)
    logs: list[float] = field(default_factory=list)
    over: bool = False
    version: int = 0

    def add(self, logits: Floats) -> None:
        """The likeliest token, greedily."""
        token, log = choose(logits, Sampling(), 0)
        self.tokens.append(token)
        self.logs.append(log)

    @property
    def sequence(self) -> tuple[int, ...]:
        """Prompt and tokens."""
        return (*self.prompt, *self.tokens)


class World(ABC):
    """Base of the subjects: instances, requests and D's decoding.

    Args:
        system: whose rows are walked. seed: of prompts and of what lies in memory. narrow: `exact`, or `bfloat16`.
    """

    kept: ClassVar[tuple[object, ...]] = ()
    """Holders of blocks that are no requests: they may keep blocks, and requests may write into those."""

    def __init__(self, system: System, config: dict[str, Any], seed: int, narrow: Narrow):
        self.system, self.config, self.seed, self.narrow = system, config, seed, narrow
        self.answers: dict[object, Answer] = {}
        self.running: dict[object, tuple[int, ...]] = {}
        self.noted: Counter[str] = Counter()
        """What handlers noticed, in words, with how often."""
        self.distances: list[float] = []
        """Of the distributions that tokens were drawn from to those asked for: total variation, 0 to 1, a row of a sampling step each."""
        self.instances: dict[str, Instance] = {}
        self.start()

    @staticmethod
    @abstractmethod
    def harmless(config: dict[str, Any]) -> dict[str, Any]:
        """Arguments of the builder that make a configuration the version that holds."""

    @staticmethod
    def drives(config: dict[str, Any]) -> bool:
        """Whether the handlers fit the rows of that configuration; where they do not, a replay tells the path in words."""
        return True

    @staticmethod
    def engine_bounds(config: dict[str, Any]) -> dict[str, Any]:
        """Arguments of the builder that the engine needs larger than the checker; a path whose rows they take away is driven without."""
        return {}

    def permits(self, row: RowInstance) -> bool:
        """Whether the engine takes a row that is enabled: of rows that somebody decides, the one that fits what there is to do."""
        return True

    def invites(self, action: Action) -> bool:
        """Whether a row that need not happen is taken all the same: of those that clients decide, the ones that give the engine work."""
        return False

    @abstractmethod
    def start(self) -> None:
        """Make instances and requests."""

    def roles(self) -> Sequence[object]:
        """Whose methods are bound to rows."""
        return [self]

    def committed(self, step: Step) -> None:  # noqa: B027 - most worlds have nothing to note
        """Called with every step, before its own handler."""

    def settled(self, step: Step) -> None:  # noqa: B027 - most worlds have nothing to give back
        """Called with every step, after its own handler."""

    def index(self, machine: str, name: str) -> Index:
        """The index type of that name over which a machine has copies."""
        return next(over for over in self.system.machine(machine).copies if over.name == name)

    def has(self, role: type) -> bool:
        """Whether the system has a row to which the role binds: some versions lack a part."""
        return not bound_rows(role).isdisjoint(action.name for action in self.system.actions)

    def instance(self, name: str, blocks: int, ranks: int = RANKS) -> Instance:
        """A new instance of that many blocks."""
        made = Instance(ranks, blocks, self.seed + len(self.instances), self.narrow, self.kept)
        self.instances[name] = made
        return made

    def request(self, number: object, drawn: int, length: int = PROMPT_BLOCKS * BLOCK_SIZE) -> Answer:
        """A request with a prompt of its own."""
        self.answers[number] = Answer(drawn_prompt(self.seed, drawn, length))
        return self.answers[number]

    # -- D's decoding ------------------------------------------------------------------------------------------------

    def insert(self, request: object, table: tuple[int, ...]) -> None:
        """D begins to decode from these blocks; it has been told the first token."""
        self.running[request] = table

    def turn(self) -> bool:
        """A forward of D over all that it runs; False when there is nothing to do."""
        if not self.running:
            return False
        self.decode("decode", self.running)
        for request in [q for q in self.running if len(self.answers[q].tokens) == ANSWER_TOKENS]:
            self.finish(request)
        return True

    def decode(self, instance: str, tables: dict[object, tuple[int, ...]]) -> None:
        """One token for each of these requests."""
        batch = []
        for request, table in tables.items():
            sequence = self.answers[request].sequence
            batch.append((request, Chunk((sequence[-1],), len(sequence) - 1, table)))
        for request, logits in zip(list(tables), self.instances[instance].step(batch)):
            self.answers[request].add(logits)

    def complete(self, request: object, instance: str = "decode") -> None:
        """The request runs to its last token, and its client has it all; its blocks are the caller's."""
        while len(self.answers[request].tokens) < ANSWER_TOKENS:
            self.decode(instance, {request: self.running[request]})
        self.answers[request].over = True
        del self.running[request]

    def finish(self, request: object) -> None:
        """The last token: D gives its blocks back."""
        self.answers[request].over = True
        del self.running[request]
        self.instances["decode"].free(request)


class Spectator(World):
    """The world of a builder without tensors: nothing lies behind its rows, and what is told is who is left waiting."""

    @staticmethod
    def harmless(config: dict[str, Any]) -> dict[str, Any]:
        """No other version is known here."""
        return {}

    def start(self) -> None:
        """Nothing."""
