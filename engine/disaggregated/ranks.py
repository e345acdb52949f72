"""The ranks that compute: P's workers, whose every layer is a row, and D's, whose forward is one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, Protocol

from ..binding import Outcome, after, carries
from ..errors import EngineError
from ..generation import Token
from ..in_process import likeliest
from ..model.balancing import Balance
from ..model.batch_rows import BatchRows
from ..model.layers import Integers, Routes
from ..model.proposer import accepted
from ..model.routing import Routing, joined, routes_of
from ..model.sampling import Sampling, choose
from ..model.shard import Chunk, Rows
from ..model.step_buffers import CapturedStep
from ..model.weights import Floats
from ..step import Step
from .job import Job, NewWeights, StepTokens, Tokens, Work


class Computation(Protocol):
    """One rank's forwards, whatever carries its collectives. `balance`: its meetings with others, if experts move between them."""

    balance: Balance | None

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

    def enter(self, number: int, batch: Sequence[Chunk]) -> None:
        """A whole forward, which ranks that share the experts run together, also those whose batch is empty."""
        ...

    def leave(self) -> Floats | None:
        """Its logits, when all have entered; None when a rank that shares the experts is being stopped."""
        ...

    def load(self, weights: NewWeights) -> None:
        """Go on with these weights; no forward is under way."""
        ...


def token_of(logits: Floats, sampling: Sampling, drawn: int, alternatives: int, routes: Routing | None) -> Token:
    """The next token of a request that has drawn so many, told with so many alternatives and the routes that led to it."""
    token, log_probability = choose(logits, sampling, drawn)
    return Token(token, log_probability, likeliest(logits, alternatives), routes)


class PrefillForwards:
    """Handlers of the forward of one rank of P, for the machine that has its rows.

    `captures`: whether it tells the routes of prompts with their first tokens.
    """

    machine: ClassVar[str]

    def __init__(self, computation: Computation, captures: bool = False):
        self._computation, self._captures = computation, captures
        self._routes: dict[int, list[list[Integers]]] = {}
        self._work: Work | None = None
        self._tokens: Tokens | None = None

    def begin(self, step: Step) -> None:
        """The batch, without the chunks that were cached whole; or new weights."""
        if isinstance(step.cargo, NewWeights):
            self._weights = step.cargo
            return
        if step.cargo is None:
            raise EngineError(f"{step.copy_name} has read a batch that is not there any more, as another rank's was put in its place")
        self._work, self._tokens = step.cargo.to_compute(), None
        if self._work.requests:
            self._computation.begin(self._work.number, self._work.chunks)

    @after(".load_weights")
    def load(self, step: Step) -> None:
        """Go on with the new weights."""
        self._computation.load(self._weights)

    @after(".write_layer")
    def write(self, step: Step) -> None:
        """The next layer, of what is not cached."""
        if self._work is not None and self._work.requests:
            self._computation.begin_layer()

    @after(".end_forward")
    def keep(self, step: Step) -> None:
        """The routes of a forward that emits nothing."""
        if self._captures and self._work is not None and self._work.requests:
            self._keep_routes(self._work)

    @carries(".emit_tokens")
    def tokens(self, outcome: Outcome) -> Tokens | None:
        """The first tokens of the prompts that are through."""
        if self._tokens is None and self._work is not None and self._work.requests and self._computation.is_ready():
            work = self._work
            if self._captures:
                self._keep_routes(work)
            through = [(q, job.generation) for q, chunk, job in zip(work.requests, work.chunks, work.jobs) if chunk.outputs]
            self._tokens = {
                q: token_of(logits, wanted.sampling, 0, wanted.alternatives, Routing.of(joined(self._routes.pop(q))) if self._captures else None)
                for (q, wanted), logits in zip(through, self._computation.logits())
            }
        return self._tokens

    def _keep_routes(self, work: Work) -> None:
        """Those of every chunk, behind those of the prompt's earlier ones; a prompt that begins anew has none."""
        for q, chunk, layers in zip(work.requests, work.chunks, routes_of(Rows.of(work.chunks), self._computation.routes())):
            if chunk.start == 0:
                self._routes[q] = []
            self._routes[q].append(layers)


class PrefillRank(PrefillForwards):
    """Handlers of one worker of P that waits for its forwards."""

    machine = "worker"

    @after("worker.read_batch", "worker.read_last_batch")
    def take(self, step: Step) -> None:
        """What was read is computed."""
        self.begin(step)


class DecodeForwards:
    """Handlers of the forward of one rank of D.

    Args:
        sequences: requests at once. step_tokens: of each in a step, at most. captures: whether it tells routes with its tokens.
    """

    def __init__(self, rank: int, sequences: int, step_tokens: int, computation: Computation, captures: bool = False):
        self._rank, self._computation, self._captures = rank, computation, captures
        self._rows = BatchRows(sequences, step_tokens)
        self._captured = CapturedStep.for_decoding(sequences * step_tokens)
        self._work: Work | None = None
        self._tokens: StepTokens | None = None

    @after("decode_rank.read_batch", "decode_rank.read_last_batch")
    def take(self, step: Step) -> None:
        """The batch, in the order of its rows."""
        self._work = self._in_rows(step.cargo)

    @after("decode_rank.start_forward", finds=False)
    def forward(self, step: Step) -> None:
        """All layers, with new weights if they came along; or nothing of its own beside others that share the experts."""
        number, batch, self._tokens = 0, Rows.of(()), None
        if self._work is not None:
            number, batch = self._work.number, Rows.of(self._work.chunks)
            if self._work.weights is not None:
                self._computation.load(self._work.weights)
        self._computation.enter(number, self._captured.replay(batch) if batch and self._captured.takes(batch) else batch)

    def leave(self) -> None:
        """The forward is over: choose the next tokens, once an instance."""
        work, self._work, computed = self._work, None, self._computation.leave()
        if work is not None and self._rank == 0:
            self._tokens = self._choose(work, computed) if work.requests else {}

    def _choose(self, work: Work, computed: Floats | None) -> StepTokens:
        """The tokens that each row of the batch has come to."""
        if computed is None:
            raise EngineError(f"forward {work.number} has come to nothing, as its ranks have been stopped")
        logits, found = iter(computed), {}
        routes: list[list[Integers] | None] = [None] * len(work.requests)
        if self._captures:
            routes = [*routes_of(Rows.of(work.chunks), self._computation.routes())]
        for row, (q, chunk, job) in enumerate(zip(work.requests, work.chunks, work.jobs)):
            found[q] = self._accepted(row, chunk, job, [next(logits) for _ in range(chunk.outputs)], routes[row])
        return found

    def _in_rows(self, work: Work) -> Work:
        places = {job.key: place for place, job in enumerate(work.jobs)}
        return work.only([places[key] for key in self._rows.update({job.key: job.generation.sampling for job in work.jobs})])

    def _accepted(self, row: int, chunk: Chunk, job: Job, logits: Sequence[Floats], layers: list[Integers] | None) -> tuple[Token, ...]:
        """The tokens of a row, whose logits are those behind its last token and behind each draft; so are the routes of each layer."""
        sampling, drawn, tokens = self._rows.sampling.effective(row), chunk.start + 1 - len(job.prompt), list[Token]()

        def own() -> Iterator[int]:
            for place, behind in enumerate(logits):
                routes = None if layers is None else Routing.of([layer[place : place + 1] for layer in layers])
                tokens.append(token_of(behind, sampling, drawn + place, job.generation.alternatives, routes))
                yield tokens[-1].id

        accepted(chunk.tokens[1:], own())
        return tuple(tokens)


class DecodeRank(DecodeForwards):
    """Handlers of one rank of a D by itself."""

    @carries("decode_rank.finish_forward")
    def report(self, outcome: Outcome) -> StepTokens | None:
        """What rank 0 says of the step."""
        if self._work is not None:
            self.leave()
        return self._tokens


class SharingRank(DecodeForwards):
    """Handlers of one rank of D's that share the experts: it computes with all others, when all have come to the forward."""

    @after("decode_rank.finish_forward", finds=False)
    def compute(self, step: Step) -> None:
        """Behind it no other instance's forward waits for this one."""
        self.leave()

    @carries("decode_rank.end_step")
    def report(self, outcome: Outcome) -> StepTokens | None:
        """What rank 0 says of the step, if D has one."""
        return self._tokens
