"""What travels beside the protocol: a request's contents, a forward's work, what the ranks give back.

The protocol numbers requests and knows nothing else of them. A `Job` is what a number stands for; it comes with the post.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..generation import Generation, Token
from ..model.shard import Chunk

BlockTable = tuple[int, ...]
"""Blocks of a cache, in the order of the tokens that they hold."""


@dataclass(frozen=True)
class Shape:
    """How tokens are laid out, in P and in D.

    Args:
        chunk_tokens: of a chunk of a prompt; a multiple of block_size. block_size: tokens of a KV block.
        context_tokens: of the longest prompt and answer together.
    """

    chunk_tokens: int
    block_size: int
    context_tokens: int

    @property
    def blocks(self) -> int:
        """Blocks of the longest prompt and answer together: what a slot stands for."""
        return self.blocks_for(self.context_tokens)

    def blocks_for(self, tokens: int) -> int:
        """Blocks that so many tokens take."""
        return -(-tokens // self.block_size)

    def chunks_for(self, tokens: int) -> int:
        """Chunks of a prompt of so many tokens."""
        return -(-tokens // self.chunk_tokens)

    def chunk(self, prompt: Sequence[int], number: int) -> range:
        """The positions of a prompt's chunk number 1, 2, ..."""
        return range((number - 1) * self.chunk_tokens, min(number * self.chunk_tokens, len(prompt)))

    def block_span(self, prompt: Sequence[int], number: int) -> slice:
        """Which blocks of the prompt's table hold that chunk."""
        part = self.chunk(prompt, number)
        return slice(part.start // self.block_size, self.blocks_for(part.stop))


@dataclass(frozen=True)
class Job:
    """A request: its number in the protocol, and a key that is unique among all requests ever, as numbers are not."""

    number: int
    key: int
    generation: Generation

    @property
    def prompt(self) -> tuple[int, ...]:
        """The prompt's token ids."""
        return self.generation.prompt


@dataclass(frozen=True)
class CacheTask:
    """What the messagers need of request `number`: P's blocks of the prompt, D's blocks for it."""

    number: int
    job: Job
    source: BlockTable
    target: BlockTable


@dataclass(frozen=True)
class NewWeights:
    """The weights that a rank is to go on with. `path`: of their file; none for the model's own."""

    path: str = ""


@dataclass(frozen=True)
class Work:
    """A batch: a chunk for each of some requests. `number`: of the forward. `jobs`: of the same requests.

    `weights`: to be loaded before; D's ranks get them so, with a batch of no requests.
    """

    number: int
    requests: tuple[int, ...]
    chunks: tuple[Chunk, ...]
    jobs: tuple[Job, ...]
    weights: NewWeights | None = None

    def to_compute(self) -> Work:
        """The same work without chunks that have no tokens."""
        return self.only([k for k, chunk in enumerate(self.chunks) if chunk.tokens])

    def only(self, places: Sequence[int]) -> Work:
        """These places of it, in this order."""
        chunks, jobs = tuple(self.chunks[k] for k in places), tuple(self.jobs[k] for k in places)
        return Work(self.number, tuple(self.requests[k] for k in places), chunks, jobs, self.weights)


Tokens = dict[int, Token]
"""A forward's result on P: the first tokens, by request number."""
StepTokens = dict[int, tuple[Token, ...]]
"""A decode step's result: by request number, as many tokens as were accepted; at least one."""
