"""The ranks that compute: P's workers, whose every layer is a row, and D's, whose forward is one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ..driver import Step
from ..generation import Token
from ..in_process import likeliest
from ..model.layers import Integers, Routes
from ..model.routing import Routing, joined, routes_of
from ..model.sampling import choose
from ..model.shard import Chunk, Rows
from ..model.weights import Floats
from ..roles.binding import Outcome, after, carries
from .job import NewWeights, Tokens, Work


class Computation(Protocol):
    """One rank's forwards, whatever carries its collectives."""

    def begin(self, number: int, batch: Sequence[Chunk]) -> None:
        """Start forward number `number`; the ranks of a forward are given the same batch."""
        ...

    def begin_layer(self) -> None:
        """Compute up to the attention of the next layer: its keys and values are in the rank's cache then."""
        ...

    def is_ready(self) -> bool:
        """Whether `logits` can be had without the rows of another rank."""
        ...

    def logits(self) -> Floats:
        """The logits of the wanted rows, when every rank has begun every layer."""
        ...

    def routes(self) -> list[Routes]:
        """Which experts the rows of the last forward visited, layer by layer, when every rank has begun every layer."""
        ...

    def run(self, number: int, batch: Sequence[Chunk]) -> Floats:
        """A whole forward, from its start to its logits."""
        ...

    def load(self, weights: NewWeights) -> None:
        """Go on with these weights; no forward is under way."""
        ...


def token_of(logits: Floats, work: Work, place: int, drawn: int, routes: Routing | None = None) -> Token:
    """The next token of a request of the batch, which has drawn so many, with the routes that led to it."""
    wanted = work.jobs[place].generation
    token, log_probability = choose(logits, wanted.sampling, drawn)
    return Token(token, log_probability, likeliest(logits, wanted.alternatives), routes)


class PrefillRank:
    """Handlers of one worker of P. `captures`: whether it tells the routes of prompts with their first tokens."""

    def __init__(self, computation: Computation, captures: bool = False):
        self._computation, self._captures = computation, captures
        self._routes: dict[int, list[list[Integers]]] = {}
        self._work: Work | None = None
        self._tokens: Tokens | None = None

    @after("worker.read_batch", "worker.read_last_batch")
    def take(self, step: Step) -> None:
        """The batch, without the chunks that were cached whole; or new weights."""
        if isinstance(step.cargo, NewWeights):
            self._weights = step.cargo
            return
        self._work, self._tokens = step.cargo.to_compute(), None
        if self._work.requests:
            self._computation.begin(self._work.number, self._work.chunks)

    @after("worker.load_weights")
    def load(self, step: Step) -> None:
        """Go on with the new weights."""
        self._computation.load(self._weights)

    @after("worker.write_layer")
    def write(self, step: Step) -> None:
        """The next layer, of what is not cached."""
        if self._work is not None and self._work.requests:
            self._computation.begin_layer()

    @after("worker.end_forward")
    def keep(self, step: Step) -> None:
        """The routes of a forward that emits nothing."""
        if self._captures and self._work is not None and self._work.requests:
            self._keep_routes(self._work)

    @carries("worker.emit_tokens")
    def tokens(self, outcome: Outcome) -> Tokens | None:
        """The first tokens of the prompts that are through."""
        if self._tokens is None and self._work is not None and self._work.requests and self._computation.is_ready():
            work, rows = self._work, iter(self._computation.logits())
            if self._captures:
                self._keep_routes(work)
            self._tokens = {
                q: token_of(next(rows), work, k, 0, Routing.of(joined(self._routes.pop(q))) if self._captures else None)
                for k, q in enumerate(work.requests)
                if work.chunks[k].outputs
            }
        return self._tokens

    def _keep_routes(self, work: Work) -> None:
        """Those of every chunk, behind those of the prompt's earlier ones; a prompt that begins anew has none."""
        for q, chunk, layers in zip(work.requests, work.chunks, routes_of(Rows.of(work.chunks), self._computation.routes())):
            if chunk.start == 0:
                self._routes[q] = []
            self._routes[q].append(layers)


class DecodeRank:
    """Handlers of one rank of D, in the forward-signal system. `captures`: whether it tells routes with its tokens."""

    def __init__(self, rank: int, computation: Computation, captures: bool = False):
        self._rank, self._computation, self._captures = rank, computation, captures
        self._work: Work | NewWeights | None = None
        self._logits: Floats | None = None

    @after("worker.read_batch", "worker.read_last_batch")
    def take(self, step: Step) -> None:
        """The batch."""
        self._work = step.cargo

    @after("worker.start_forward")
    def forward(self, step: Step) -> None:
        """All layers; or new weights."""
        if isinstance(self._work, NewWeights):
            self._computation.load(self._work)
        elif self._work is not None:
            self._logits = self._computation.run(self._work.number, self._work.chunks)

    @after("worker.finish_forward")
    def report(self, step: Step) -> Tokens | None:
        """The next tokens, once an instance."""
        work, self._work = self._work, None
        if not isinstance(work, Work) or self._rank != 0:
            return None
        logits = self._logits
        assert logits is not None
        drawn = [chunk.start + 1 - len(job.prompt) for chunk, job in zip(work.chunks, work.jobs)]
        routes: list[Routing | None] = [None] * len(work.requests)
        if self._captures:
            routes = [Routing.of(layers) for layers in routes_of(Rows.of(work.chunks), self._computation.routes())]
        return {q: token_of(logits[k], work, k, drawn[k], routes[k]) for k, q in enumerate(work.requests)}
