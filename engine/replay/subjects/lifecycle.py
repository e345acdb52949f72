"""A request's life along `lifecycle`: the worker's slots lag behind the engine's, and reports name slots.

A block of the builder is a row of blocks here, enough for a prompt and its answer, and a token of the builder stands for a share of
the answer. On D the prompt's cache and the first token come from elsewhere when the request is added; in the mixed role the first step
computes them. What a step produced for a slot is credited to whom the row says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from protocol.machines.lifecycle.request import Stage

from ...binding import after
from ...model.shard import Chunk
from ..instance import BLOCK_SIZE, layer_groups
from ..walk import Step
from ..world import ANSWER_BLOCKS, ANSWER_TOKENS, PROMPT_BLOCKS, Answer, World

TABLE_BLOCKS = PROMPT_BLOCKS + ANSWER_BLOCKS


@dataclass
class Work:
    """What the worker has in a slot: whose, where, the answer so far, from which of its tokens on nothing is reported yet, what is cached."""

    request: int
    table: tuple[int, ...]
    answer: Answer
    reported: int
    cached: int

    def chunk(self) -> Chunk:
        """What is not cached yet: one token, or all of them where the request begins anew."""
        start, self.cached = self.cached, len(self.answer.sequence)
        return Chunk(self.answer.sequence[start:], start, self.table)


class Lifecycle(World):
    """One instance of the mixed or the decode role."""

    @staticmethod
    def harmless(config: dict[str, Any]) -> dict[str, Any]:
        """Ours."""
        return {"variant": "repaired"}

    def start(self) -> None:
        """The builder's blocks."""
        self.blocks: int = self.config.get("blocks", 1)
        self.share = -(-ANSWER_TOKENS // self.config.get("tokens", 2))
        self.engine = self.instance("engine", self.blocks * TABLE_BLOCKS)
        self.instance("elsewhere", PROMPT_BLOCKS)
        self.work: dict[int, Work] = {}
        self.reports: list[dict[int, tuple[int, Answer]]] = []
        self.in_hand: dict[int, tuple[int, Answer]] = {}
        self.first: dict[int, Answer] = {}

    def table(self, block: int) -> tuple[int, ...]:
        """The row of blocks that a block of the builder stands for."""
        return tuple(range(block * TABLE_BLOCKS, (block + 1) * TABLE_BLOCKS))

    @after("intake.post")
    def post(self, step: Step) -> None:
        """A client posts; an id that was answered may be used again, for another prompt. Every other prompt is half as long."""
        q = step.values["request"]
        if q in self.answers:
            self.answers[f"{q}, posted before"] = self.answers.pop(q)
        self.request(q, q + len(self.answers), BLOCK_SIZE * (PROMPT_BLOCKS if q % 2 else PROMPT_BLOCKS // 2))

    def arrive(self, step: Step) -> None:
        """On D: what P has computed is in the request's block, and the first token is told."""
        q = step.values["request"]
        elsewhere, answer = self.instances["elsewhere"], self.answers[q]
        there, table = elsewhere.hold(q, PROMPT_BLOCKS), self._table_of(q)
        answer.add(elsewhere.step([(q, Chunk(answer.prompt, 0, there))])[0])
        for rank in range(len(elsewhere.shards)):
            self.engine.receive(elsewhere, rank, layer_groups(1)[0], there, table[:PROMPT_BLOCKS], q)
        elsewhere.free(q)
        self.first[q] = Answer(answer.prompt, list(answer.tokens), list(answer.logs))

    def _table_of(self, q: int) -> tuple[int, ...]:
        return tuple(sorted(self.engine.held_by(q)))[:TABLE_BLOCKS]

    @after("rank.read_batch")
    def read(self, step: Step) -> None:
        """A stop empties its slot; a fresh task takes its own over, whatever was in it, and begins anew behind the tokens that were told."""
        stop, run, slot, _, fresh, *_ = step.before("queue_tasks")[0]
        if stop is not None:
            self.work.pop(stop, None)
        if run is not None and fresh:
            blocks = [b for b in range(self.blocks) if step.after("rank_block", slot, b)]
            told = self.answers[run]
            arrived = self.first.pop(run, None)
            begun = arrived or Answer(told.prompt, list(told.tokens), list(told.logs))
            self.work[slot] = Work(run, self.table(blocks[0]), begun, len(begun.tokens), len(begun.prompt) if arrived else 0)
            self.work = dict(sorted(self.work.items()))

    @after("rank.begin_step")
    def forward(self, step: Step) -> None:
        """A share of the answer of every slot that is not done."""
        for _ in range(self.share):
            running = [w for w in self.work.values() if len(w.answer.tokens) < ANSWER_TOKENS]
            batch: list[tuple[object, Chunk]] = [(work.request, work.chunk()) for work in running]
            for work, logits in zip(running, self.engine.step(batch) if batch else ()):
                work.answer.add(logits)

    @after("rank.report_step")
    def report(self, step: Step) -> None:
        """By slot: the tokens since the last report."""
        said = {}
        for slot, work in self.work.items():
            new = slice(work.reported, None)
            said[slot] = (work.request, Answer((), work.answer.tokens[new], work.answer.logs[new]))
            work.reported = len(work.answer.tokens)
        self.reports.append(said)
        self.work = {s: w for s, w in self.work.items() if step.after("rank_request", s) is not None}

    @after("token_processor.receive_step")
    def receive(self, step: Step) -> None:
        """A report is in TOK's hand."""
        self.in_hand = self.reports.pop(0)

    @after("token_processor.credit", "token_processor.credit_last")
    def credit(self, step: Step) -> None:
        """The slot's tokens go to the request that TOK credits."""
        q = step.values["request"]
        producer, tokens = self.in_hand.get(step.values["slot"], (q, Answer(())))
        if producer != q:
            self.noted["tokens told to another request"] += len(tokens.tokens)
        self.answers[q].tokens += tokens.tokens
        self.answers[q].logs += tokens.logs

    def committed(self, step: Step) -> None:
        """Whose block is whose, and who is over."""
        if step.touches("block_owner"):
            for block in range(self.blocks):
                owner = step.after("block_owner", block)
                for part in self.table(block):
                    self.engine.holder.pop(part, None)
                if owner is not None:
                    self.engine.give(owner, self.table(block))
        if step.touches("request.state"):
            for q in range(self.config.get("requests", 2)):
                if step.after("request.state", q) == Stage.GONE != step.before("request.state", q):
                    self.answers[q].over = True

    def roles(self) -> list[object]:
        """On D with what comes from P."""
        return [self, *(role(self) for role in (Arrivals,) if self.has(role))]


class Arrivals:
    """P's side of a request on D."""

    def __init__(self, world: Lifecycle):
        self._world = world

    @after("intake.add")
    def add(self, step: Step) -> None:
        """P has sent everything."""
        self._world.arrive(step)
