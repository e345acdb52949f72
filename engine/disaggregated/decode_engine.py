"""D's engine process: D's block tables, the sequences that decode, and what their clients get.

A decode step is a forward of D's ranks behind a gate: D's worker begins it, the gate schedules it, rank 0 reports it, D's worker hears that and
credits its tokens one by one. Each is a row, and what passes between them travels with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from protocol.machines.repaired.plane import Entry

from ..binding import Outcome, after, carries, decides
from ..generation import DraftUse, Finish, Token
from ..model.kv_cache import BlockPool
from ..model.proposer import Proposer, proposer_of
from ..model.shard import Chunk
from ..step import Step
from .fence import Fence
from .job import BlockTable, Job, StepTokens, Work
from .letters import Produced
from .loss import Loss
from .plant import Plant


class Answer:
    """A request that D has room for: its blocks, and the tokens so far."""

    def __init__(self, job: Job, table: BlockTable):
        self.job, self.table = job, table
        self.tokens: list[Token] = []

    @property
    def finish(self) -> Finish | None:
        """Why the answer has ended, which its last token says; None when it goes on."""
        return self._end(len(self.tokens), self.tokens[-1]) if self.tokens else None

    def end_with(self, token: Token) -> Finish | None:
        """Why the answer ends if that is its next token; None when it goes on."""
        return self._end(len(self.tokens) + 1, token)

    def _end(self, tokens: int, last: Token) -> Finish | None:
        wanted = self.job.generation
        if last.id in wanted.stop_tokens:
            return Finish.STOP
        return Finish.LENGTH if tokens == wanted.max_tokens else None

    def chunk(self, proposer: Proposer) -> Chunk:
        """The row of its next step: its last token, and drafts that it could still use."""
        ids = [token.id for token in self.tokens]
        drafts = proposer.propose([*self.job.prompt, *ids])[: self.job.generation.max_tokens - len(ids) - 1]
        return Chunk((ids[-1], *drafts), len(self.job.prompt) + len(ids) - 1, self.table, outputs=1 + len(drafts))


class DecodeEngine:
    """Handlers of the listener, the loop, the worker and the gate of one D instance.

    Args:
        fence: around the instance's memory; what an earlier life of D has let in is revoked. deliver: gets what clients are to see.
    """

    def __init__(self, number: int, plant: Plant, fence: Fence, deliver: Callable[[Any], None]):
        self._number, self.pool = number, BlockPool(plant.blocks(plant.instance_of(number)))
        self._shape, self._fence, self._deliver = plant.shape, fence, deliver
        self._proposer = proposer_of(plant.drafts)
        fence.revoke(q for q in range(plant.numbers) if plant.homes.decode_of(q) == number)
        self.answers: dict[int, Answer] = {}
        self._ended: dict[int, Finish | Loss] = {}
        self._work: Work | None = None
        self._tokens: StepTokens = {}
        self._steps = self._proposed = 0

    # -- reservations --------------------------------------------------------------------------------------------------

    @after("decode_loop.reserve")
    def reserve(self, step: Step) -> None:
        """Room for the prompt and the longest answer."""
        self.reserve_for(step.chosen["request"], step.cargo)

    def reserve_for(self, q: int, job: Job) -> None:
        """Blocks for all tokens that the request may come to."""
        self.answers[q] = Answer(job, tuple(self.pool.take(self._shape.blocks_for(job.generation.tokens), q)))
        self._fence.open(q, job.key)

    @carries("decode_loop.grant")
    def granted(self, outcome: Outcome) -> BlockTable | None:
        """The blocks for the prompt."""
        answer = self.answers.get(outcome.values[0])
        return None if answer is None else answer.table[: self._shape.blocks_for(len(answer.job.prompt))]

    @after("listener.receive_commit")
    def commit(self, step: Step) -> None:
        """The cache is there, and the first token with it; said again it is nothing new."""
        q = step.chosen["request"]
        if step.saw("entry.state", self._number, q) == Entry.RESERVED and step.cargo is not None:
            self._credit(self.answers[q], step.cargo)

    @after("decode_worker.release")
    def release(self, step: Step) -> None:
        """The reservation has ended, whatever ended it; its blocks are free when nobody writes there any more."""
        q = step.chosen["request"]
        answer = self.answers.pop(q)
        self._fence.revoke([q])
        self.pool.give_back(answer.table, q)
        if answer.finish is not None:
            self._ended[q] = answer.finish

    @after("listener.receive_cancel", finds=False)
    def hear_cancel(self, step: Step) -> None:
        """P has given the request up; that a client has, the router knows."""
        self.lose(step, {Entry.OPEN: Loss.NO_ROOM, Entry.RESERVED: Loss.UNSENT})

    def lose(self, step: Step, losses: Mapping[Entry, Loss]) -> None:
        """There will be nothing to answer: what has been lost, by the state that the row has found the request in."""
        q = step.chosen["request"]
        loss = losses.get(step.saw("entry.state", self._number, q))
        if loss is not None:
            self._ended[q] = loss

    @carries("decode_loop.answer")
    def end(self, outcome: Outcome) -> Finish | Loss | None:
        """Why the answer is complete, or why there is none; None if its client has given it up."""
        return self._ended.get(outcome.values[0])

    @after("decode_loop.answer")
    def forget(self, step: Step) -> None:
        """The router has been told."""
        self._ended.pop(step.chosen["request"], None)

    # -- decoding ------------------------------------------------------------------------------------------------------

    @after("decode_worker.start_step", finds=False)
    def start(self, step: Step) -> None:
        """A step over what decodes; a request whose first token was its last has no row in it."""
        batch = [where[1] for (variable, where), stepping in step.stored.items() if variable.name == "decode_batch" and stepping]
        rows = [q for q in batch if self.answers[q].finish is None]
        chunks, jobs = tuple(self.answers[q].chunk(self._proposer) for q in rows), tuple(self.answers[q].job for q in rows)
        self._steps, self._proposed = self._steps + 1, sum(chunk.outputs - 1 for chunk in chunks)
        self._work = Work(self._steps, tuple(rows), chunks, jobs)

    @after("decode_worker.begin_update")
    def update(self, step: Step) -> None:
        """New weights are a step without requests."""
        self._steps += 1
        self._work = Work(self._steps, (), (), (), step.cargo)

    @carries("decode_gate.put_batch")
    def contents(self, outcome: Outcome) -> Work | None:
        """What `put_tasks` puts: the step that D's worker has begun last, as it begins none before this one is over."""
        return self._work

    @after("decode_worker.hear_report")
    def hear(self, step: Step) -> None:
        """The tokens to credit."""
        self._tokens = dict(step.cargo)
        if self._proposed:
            self._deliver(DraftUse(self._proposed, sum(len(accepted) - 1 for accepted in self._tokens.values())))

    @decides("decode_worker.credit_token", "decode_worker.credit_last_token")
    def decide(self, open_rows: Sequence[Outcome]) -> Outcome | None:
        """Credit a token of the step as the request's last, or not as its last, as the token and the request's limit say."""
        q = open_rows[0].values[0]
        left = self._tokens.get(q, ())
        if not left or self.answers[q].end_with(left[0]) is not None:
            event = "credit_last_token"
        else:
            event = "credit_token" if len(left) == 1 else "credit_draft"
        return next(outcome for outcome in open_rows if outcome.event == event)

    @after("decode_worker.credit_token", "decode_worker.credit_last_token", finds=False)
    def credit(self, step: Step) -> None:
        """The client gets the token; an answer that its first token ended gets none."""
        q = step.chosen["request"]
        if q in self._tokens:
            token, *rest = self._tokens.pop(q)
            if rest:
                self._tokens[q] = tuple(rest)
            self._credit(self.answers[q], token)

    def lose_step(self) -> None:
        """What is left of the step's tokens becomes part of the sequences, and no client gets it."""
        for q, tokens in self._tokens.items():
            if q in self.answers:
                self.answers[q].tokens += tokens
        self._tokens = {}

    def _credit(self, answer: Answer, token: Token) -> None:
        answer.tokens.append(token)
        self._deliver(Produced(answer.job.key, token))


class Bereaved:
    """The handler of a D whose P may die."""

    def __init__(self, engine: DecodeEngine):
        self._engine = engine

    @after("decode_loop.abandon", finds=False)
    def abandon(self, step: Step) -> None:
        """P has died with all that it knew of the request."""
        self._engine.lose(step, {Entry.OPEN: Loss.QUEUED, Entry.RESERVED: Loss.PREFILLING})


class DraftingEngine(DecodeEngine):
    """The same with drafts: a step's tokens are credited one by one, and the request stays in the step for all but the last."""

    @decides("decode_worker.credit_draft", "decode_worker.credit_token", "decode_worker.credit_last_token")
    def decide(self, open_rows: Sequence[Outcome]) -> Outcome | None:
        """See `DecodeEngine`."""
        return super().decide(open_rows)

    @after("decode_worker.credit_draft", "decode_worker.credit_token", "decode_worker.credit_last_token", finds=False)
    def credit(self, step: Step) -> None:
        """See `DecodeEngine`."""
        super().credit(step)
