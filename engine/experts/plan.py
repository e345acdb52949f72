"""What all processes of a run with shared experts know: how many there are, which system they drive, and what is asked of whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from protocol.machines.collectives.expert_round import build

from ..model.config import ModelConfig
from ..model.experts import ExpertPlacement
from ..model.kv_cache import KvCache
from ..model.transport import Place
from ..runtime.placement import Composition

BUILDER = f"{build.__module__}:{build.__name__}"
Asked = tuple[Sequence[int], int]
"""A prompt, and how many tokens are wanted."""
BLOCK_SIZE = 4
CHUNK_TOKENS = 8
"""The most tokens of a prompt in one forward."""


@dataclass(frozen=True)
class RoundPlan:
    """The experts' round of a run.

    Args:
        config: of a model whose experts all ranks of all instances can share evenly.
        variant: a version of `protocol.machines.collectives.loop.LOOPS`. ranks: tensor-parallel ranks of an instance.
        asked: of each instance; nothing of an idle one.
        balance: where in an iteration all ranks meet to balance the experts, "top" or "end"; None for never.
        redundant: experts that every rank has beyond its even share, as replicas of those that have most to do.

    Raises:
        DefinitionError: the model cannot be spread so.
    """

    config: ModelConfig
    variant: str
    ranks: int
    asked: tuple[tuple[Asked, ...], ...]
    balance: str | None = None
    redundant: int = 0

    def __post_init__(self) -> None:
        self.config.check_ranks(self.ranks)
        self.config.check_places(self.instances * self.ranks)
        ExpertPlacement.spread(self.config.experts, len(self.places), self.redundant)

    @property
    def instances(self) -> int:
        """Data-parallel instances."""
        return len(self.asked)

    @property
    def places(self) -> list[Place]:
        """All ranks of all instances, in the order of their numbers."""
        return list(product(range(self.instances), range(self.ranks)))

    def number(self, place: Place) -> int:
        """Of a rank among all ranks of all instances."""
        return place[0] * self.ranks + place[1]

    @property
    def composition(self) -> Composition:
        """The system of the round."""
        bounds = {"variant": self.variant, "instances": self.instances, "ranks": self.ranks, "role": "prefill"}
        return Composition(BUILDER, bounds if self.balance is None else {**bounds, "collective": self.balance})

    @property
    def experts(self) -> ExpertPlacement:
        """Where the experts lie at first."""
        return ExpertPlacement.spread(self.config.experts, len(self.places), self.redundant)

    def cache(self) -> KvCache:
        """The KV cache of a rank."""
        return KvCache(self.config, self.ranks, max(map(blocks_for, self.asked)), BLOCK_SIZE)

    @property
    def floats(self) -> int:
        """The most that a rank gives to one exchange: all visits of all tokens of all instances, logits, or the experts that it sends away."""
        config, places = self.config, len(self.places)
        visits = CHUNK_TOKENS * sum(map(len, self.asked)) * config.experts_per_token * config.hidden
        logits = max(map(len, self.asked)) * config.vocabulary
        moved = 0 if self.balance is None else places * (config.experts // places + self.redundant) * config.expert_floats
        return max(1, visits, logits, moved)


def blocks_for(requests: Sequence[Asked]) -> int:
    """Blocks that these requests take, all at once; at least one."""
    return max(1, sum(-(-(len(prompt) + wanted) // BLOCK_SIZE) for prompt, wanted in requests))
