"""The shape of a model, and the default tiny one."""

from __future__ import annotations

from dataclasses import dataclass

from protocol import DefinitionError


@dataclass(frozen=True)
class ModelConfig:
    """A decoder-only transformer with RMSNorm, RoPE, grouped-query attention and SwiGLU.

    Args:
        vocabulary, hidden, layers: token ids; width of the residual stream; decoder layers.
        heads, kv_heads, head_dim: query heads; key and value heads (heads is a multiple); width of each.
        intermediate: width of the SwiGLU block. rope_theta, norm_eps: base of the rotary angles; epsilon of the norms.
        experts, experts_per_token: 0 for a dense model; else experts a layer, and how many a token visits.
        tied: the output projection is the embedding.
        first_token, last_token: begin of sequence (None for none), end of sequence.
        context_tokens: of the longest sequence that it has learnt; None for a model that has learnt nothing.
    """

    name: str
    vocabulary: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    rope_theta: float = 10_000.0
    norm_eps: float = 1e-5
    experts: int = 0
    experts_per_token: int = 0
    tied: bool = True
    first_token: int | None = None
    last_token: int = 0
    context_tokens: int | None = None

    def __post_init__(self) -> None:
        if self.heads % self.kv_heads:
            raise DefinitionError(f"model {self.name}: {self.heads} heads are no multiple of {self.kv_heads} kv heads")
        if (self.experts == 0) != (self.experts_per_token == 0) or self.experts_per_token > self.experts:
            raise DefinitionError(f"model {self.name}: {self.experts_per_token} of {self.experts} experts a token")

    def check_ranks(self, ranks: int) -> None:
        """Raise a DefinitionError unless the model can be cut into that many tensor-parallel shards."""
        if ranks < 1 or self.kv_heads % ranks or self.intermediate % ranks:
            fit = [n for n in range(1, self.kv_heads + 1) if not self.kv_heads % n and not self.intermediate % n]
            raise DefinitionError(f"model {self.name} cannot be cut into {ranks} ranks; choose one of {', '.join(map(str, fit))}")

    def check_places(self, places: int) -> None:
        """Raise a DefinitionError unless the model has experts that so many ranks can share evenly."""
        if not self.experts or self.experts % places:
            fit = [n for n in range(1, self.experts + 1) if not self.experts % n]
            remedy = f"spread them over {', '.join(map(str, fit))}" if fit else "choose a model with experts, or do not spread them"
            raise DefinitionError(f"model {self.name} has {self.experts} experts, which {places} ranks cannot share evenly; {remedy}")

    def check_context(self, tokens: int) -> None:
        """Raise a DefinitionError unless the model can follow so long a sequence."""
        if self.context_tokens is not None and tokens > self.context_tokens:
            remedy = "give a smaller --max-model-len, or shorter requests"
            raise DefinitionError(f"a context of {tokens} tokens: model {self.name} has learnt {self.context_tokens}; {remedy}")

    @property
    def expert_floats(self) -> int:
        """Floats of one expert's matrices in a layer, or of a dense model's block."""
        return 3 * self.hidden * self.intermediate

    @property
    def kv_bytes_per_token(self) -> int:
        """Bytes of keys and values a token takes, over all layers and ranks, in 32-bit floats."""
        return 2 * self.layers * self.kv_heads * self.head_dim * 4


TINY = ModelConfig("tiny", 264, 96, 4, 12, 6, 8, 240, tied=False, first_token=256, last_token=257)
"""Bytes in, bytes out; 1.7 MB of weights. Untied: tied, seeded weights repeat their last token for ever, whatever lies in the cache."""
TINY_EXPERTS = ModelConfig("tiny-experts", 264, 96, 4, 12, 6, 8, 60, experts=4, experts_per_token=2, tied=False, first_token=256, last_token=257)
"""The same with four experts a layer, of which a token visits two."""
