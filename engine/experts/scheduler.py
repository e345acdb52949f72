"""The engine of an instance: its requests, and the batches that its gate puts."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..binding import Outcome, after, carries, decides
from ..clock import Clock
from ..model.kv_cache import BlockPool
from ..model.shard import Chunk
from ..step import Step
from .plan import CHUNK_TOKENS, Asked, blocks_for

REST_S = 0.005
"""Pause of an engine that has nothing to schedule."""


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


class ExpertScheduler:
    """The gate's handlers: every request that waits for no result gets its next chunk, prompts and decoding alike."""

    def __init__(self, requests: Sequence[Asked], clock: Clock):
        self._pool, self._inbox, self._clock = BlockPool(blocks_for(requests)), deque[Result](), clock
        self.requests = [self._admitted(number, tuple(prompt), wanted) for number, (prompt, wanted) in enumerate(requests)]
        self._work: Work | None = None
        self.credited = 0
        """Results that have been taken in."""

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

    @after("gate.schedule_nothing")
    def rest(self, step: Step) -> None:
        """Until something changes, or for a moment: some versions go on without."""
        self._clock.doze(REST_S)

    @carries("gate.put_batch")
    def contents(self, outcome: Outcome) -> Work | None:
        """What `put_tasks` puts."""
        return self._work

    def _admitted(self, number: int, prompt: tuple[int, ...], wanted: int) -> Running:
        return Running(prompt, wanted, tuple(self._pool.take(blocks_for([(prompt, wanted)]), number)))
