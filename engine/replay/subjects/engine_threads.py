"""The engine process's threads along `engine_threads`: a worker runs what it has read, whoever has the slot and the block by then.

A block of the builder is a row of blocks here, enough for a prompt and its answer. In the mixed role the first step of a request is its
prefill and the last stands for all its decoding; on P the prefill is all, and D decodes from what P's blocks held when the step ran.
Reports name slots, as the real ones do: the answer that lay in a slot is told to whoever has it when the report is handled.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from protocol.machines.engine_threads.engine import Intake

from ...binding import after
from ...model.shard import Chunk
from ..instance import layer_groups
from ..walk import Step
from ..world import ANSWER_BLOCKS, ANSWER_TOKENS, PROMPT_BLOCKS, Answer, World

TABLE_BLOCKS = PROMPT_BLOCKS + ANSWER_BLOCKS
LOST = "nobody"
"""Holder of a block that is neither free nor in a table."""


@dataclass
class Work:
    """What a worker has in a slot: the request that it was given, its block, and the answer so far."""

    request: int
    table: tuple[int, ...]
    answer: Answer = field(default_factory=lambda: Answer(()))


class EngineThreads(World):
    """One engine, mixed or prefill; a prefill engine with a D."""

    @staticmethod
    def harmless(config: dict[str, Any]) -> dict[str, Any]:
        """Ours, with ranks that do not stop for good, an engine that stays, and a D that answers at last."""
        return {"epoch": "repaired", "stalls": 0, "exits": "none", "silent": False}

    def start(self) -> None:
        """The builder's blocks; the requests that are there from the start."""
        requests, self.blocks = self.config.get("requests", 2), self.config.get("blocks", 1)
        self.prefill_only = self.config.get("role") == "prefill"
        self.engine = self.instance("engine", self.blocks * TABLE_BLOCKS)
        if self.prefill_only:
            self.instance("decode", requests * TABLE_BLOCKS)
        self.work: dict[int, Work] = {}
        self.reports: list[dict[int, Work]] = []
        self.in_hand: dict[int, Work] = {}
        self.told: dict[int, Work] = {}
        self.asked: set[int] = set()
        for q in range(requests - self.config.get("late", 0)):
            self.request(q, q)

    def table(self, block: int) -> tuple[int, ...]:
        """The row of blocks that a block of the builder stands for."""
        return tuple(range(block * TABLE_BLOCKS, (block + 1) * TABLE_BLOCKS))

    @after("rank.read_batch")
    def read(self, step: Step) -> None:
        """Stops empty their slots; a prefill fills its own. A batch has its rows in the order of the slots."""
        (rank,) = step.copy
        request, slot, block, *_ = step.before("queue_tasks")[0]
        self.work = {s: w for s, w in self.work.items() if step.after("rank_request", rank, s) is not None}
        if request is not None:
            self.work[slot] = Work(request, self.table(block), Answer(self.answers[request].prompt))
            self.work = dict(sorted(self.work.items()))

    @after("rank.start_step")
    def forward(self, step: Step) -> None:
        """One forward over all slots; whoever is in its last step decodes on."""
        batch = []
        for work in self.work.values():
            sequence, done = work.answer.sequence, bool(work.answer.tokens)
            batch.append((work.request, Chunk(sequence[-1:] if done else sequence, len(sequence) - 1 if done else 0, work.table)))
        decoding = [w for w in self.work.values() if w.answer.tokens]
        for work, logits in zip(list(self.work.values()), self.engine.step(batch) if batch else ()):
            work.answer.add(logits)
        while decoding := [w for w in decoding if len(w.answer.tokens) < ANSWER_TOKENS]:
            chunks = [(w.request, Chunk(w.answer.sequence[-1:], len(w.answer.sequence) - 1, w.table)) for w in decoding]
            for work, logits in zip(decoding, self.engine.step(chunks)):
                work.answer.add(logits)

    @after("rank.report_step")
    def report(self, step: Step) -> None:
        """What a slot has when it is done, by slot."""
        (rank,) = step.copy
        done = {s: w for s, w in self.work.items() if step.before("rank_steps_left", rank, s) == 1}
        for work in done.values() if self.prefill_only else ():
            self._decode_on_d(work)
        if len(step.after("step_outputs")) > len(step.before("step_outputs")):
            self.reports.append(done)
        self.work = {s: w for s, w in self.work.items() if s not in done}

    def _decode_on_d(self, work: Work) -> None:
        """P's blocks go to D as they are, and D decodes all tokens."""
        decode = self.instances["decode"]
        table = decode.hold(work, TABLE_BLOCKS)
        for rank in range(len(decode.shards)):
            decode.receive(self.engine, rank, layer_groups(1)[0], work.table[:PROMPT_BLOCKS], table[:PROMPT_BLOCKS], work)
        while len(work.answer.tokens) < ANSWER_TOKENS:
            sequence = work.answer.sequence
            work.answer.add(decode.step([(work, Chunk(sequence[-1:], len(sequence) - 1, table))])[0])
        decode.free(work)

    @after("token_processor.receive_step")
    def receive(self, step: Step) -> None:
        """A report is in TOK's hand."""
        self.in_hand = self.reports.pop(0)

    @after("token_processor.handle_last")
    def credit(self, step: Step) -> None:
        """The slot's answer is its present owner's."""
        slot = step.values["slot"]
        owner, work = step.before("slot_owner", slot), self.in_hand.get(slot)
        if work is not None:
            self.told[owner] = work
            if work.request != owner:
                self.noted["answer told to another request"] += 1

    def committed(self, step: Step) -> None:
        """Whose block is whose, who has been answered, and who gave up."""
        if step.touches("request_block"):
            self._account(step)
        if step.touches("request_intake"):
            for q in range(self.config.get("requests", 2)):
                was, now = step.before("request_intake", q), step.after("request_intake", q)
                if now == Intake.UNREAD != was:
                    self.request(q, q)
                if now == Intake.GONE != was:
                    self._end(q)
        if step.name.startswith("client.say_abort"):
            self.asked.add(step.values["request"])
        if step.name == "client.say_pause":
            self.asked |= set(range(self.config.get("requests", 2)))

    def _end(self, q: int) -> None:
        """The client has its answer, or an error."""
        answer, work = self.answers[q], self.told.pop(q, None)
        answer.over = True
        if work is not None:
            answer.tokens, answer.logs = list(work.answer.tokens), list(work.answer.logs)
        elif q not in self.asked:
            self.noted["request ended that nobody wanted to end"] += 1

    def _account(self, step: Step) -> None:
        """The builder's tables and free list, as holders of blocks."""
        owners: dict[int, object] = {}
        for q in range(self.config.get("requests", 2)):
            block = step.after("request_block", q)
            if block is not None:
                if block in owners:
                    self.noted["block in two tables"] += 1
                owners[block] = q
        for block in range(self.blocks):
            if block not in owners and step.touches("block_free") and not step.after("block_free", block):
                owners[block] = LOST
            for part in self.table(block):
                self.engine.holder.pop(part, None)
        for block, owner in owners.items():
            self.engine.give(owner, self.table(block))
