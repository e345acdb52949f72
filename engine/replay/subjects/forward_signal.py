"""Gate and ranks along `forward_signal`: what a batch holds that was decided too early, and what its forwards compute.

Requests arrive two by two: one when the first rank has finished the forward of a batch, one when the last has. A batch is
whatever has arrived and is in none yet. A forward without a batch stands for the rest of all decoding. The ranks of a forward meet
twice in each layer, so that what a forward reads of the one before is there on every rank, however late that rank's row comes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from protocol.action import Instance

from ...binding import after
from ...model.shard import Chunk
from ..instance import Prefill
from ..walk import Step
from ..world import ANSWER_BLOCKS, ANSWER_TOKENS, PROMPT_BLOCKS, World

REQUESTS = 6


@dataclass
class Joint:
    """One forward of all ranks: the number of its batch, None for none; its requests until their tokens are known; who has stored."""

    prefill: Prefill
    number: int | None
    requests: list[int]
    stored: set[int] = field(default_factory=set)


class ForwardSignal(World):
    """One mixed instance."""

    @staticmethod
    def harmless(config: dict[str, Any]) -> dict[str, Any]:
        """Ours, with its barrier at the top of the loop."""
        return {"variant": "repaired", "loop_top_barrier": True}

    @staticmethod
    def engine_bounds(config: dict[str, Any]) -> dict[str, Any]:
        """Batches without end: the builder's stop at two."""
        return {"batches": None}

    def start(self) -> None:
        """One request has arrived."""
        self.ranks = self.index("worker", "rank").size
        self.engine = self.instance("engine", REQUESTS * (PROMPT_BLOCKS + ANSWER_BLOCKS), self.ranks)
        self.waiting: list[int] = []
        self.tables: dict[int, tuple[int, ...]] = {}
        self.batch: list[int] = []
        self.put: dict[int, list[int]] = {}
        self.forwards: list[Joint] = []
        self.done = dict.fromkeys(range(self.ranks), 0)
        self.busy: set[int] = set()
        self.decided = False
        decodes = self.config.get("role", "mixed") == "mixed" and not self.config.get("expert_parallel") and self.config.get("decode_steps", 1)
        self.tokens = ANSWER_TOKENS if decodes else 1
        self._arrive()

    def _arrive(self) -> None:
        q, most = len(self.answers), self.config.get("batches", 2)
        if q < REQUESTS and (most is None or self.noted["batch"] < most):
            self.request(q, q)
            self.waiting.append(q)
            if self.decided:
                self.noted["request that came too late for the next batch"] += 1

    def permits(self, row: Instance) -> bool:
        """A batch is scheduled when there is something to put into it."""
        if row.action.name == "gate.schedule":
            return bool(self.waiting)
        return row.action.name != "gate.schedule_nothing" or not self.waiting

    @after("gate.schedule")
    def schedule(self, step: Step) -> None:
        """The batch is decided, and frozen."""
        self.batch, self.waiting = self.waiting, []
        self.decided = True
        self.noted["batch"] += 1
        if self.busy:
            self.noted["batch decided while a rank was not done with the last"] += 1

    @after("gate.put_batch")
    def publish(self, step: Step) -> None:
        """It is in the queue, under its number."""
        self.put[step.before("gate_next_number")] = self.batch
        self.batch = []

    @after("worker.read_batch", "worker.read_last_batch")
    def read(self, step: Step) -> None:
        """The rank has a batch."""
        self.busy.add(step.copy[0])

    @after("worker.start_forward")
    def begin(self, step: Step) -> None:
        """The rank's next forward; the first rank of a forward lays its rows out."""
        (rank,) = step.copy
        number = step.before("worker_batch", rank)
        if self.done[rank] == len(self.forwards):
            self.decided &= number is None
            self._lay_out(number)
        elif number != self.forwards[self.done[rank]].number:
            self.noted["rank in a forward with another batch than the first"] += 1

    def _lay_out(self, number: int | None) -> None:
        """Prompts of the batch, a token of everything that runs; without a batch, all tokens that are left."""
        if self.forwards:
            self._end(self.forwards[-1])
        batch = [] if number is None else self.put[number]
        for q in batch:
            if q in self.tables:
                self.noted["request inserted again by a batch that was read twice"] += 1
            else:
                self.tables[q] = self.engine.hold(q, PROMPT_BLOCKS + ANSWER_BLOCKS)
        running = [q for q in self.tables if self.answers[q].tokens and not self.answers[q].over and q not in batch]
        while number is None and (early := [q for q in running if len(self.answers[q].tokens) < ANSWER_TOKENS - 1]):
            self.decode("engine", {q: self.tables[q] for q in early})
        chunks = []
        for q in (*running, *batch):
            sequence = self.answers[q].sequence
            begins = 0 if q in batch else len(sequence) - 1
            chunks.append((q, Chunk(sequence[begins:], begins, self.tables[q])))
        self.forwards.append(Joint(Prefill(self.engine, chunks, 1), number, [*running, *batch]))

    def _store(self, forward: Joint, rank: int) -> None:
        if rank not in forward.stored and forward.requests:
            forward.prefill.store(rank, 0)
        forward.stored.add(rank)

    def _end(self, forward: Joint) -> None:
        """The ranks that are behind have computed all the same: the next forward's collectives wait for them. Then its tokens are known."""
        for rank in range(self.ranks):
            self._store(forward, rank)
        requests, forward.requests = forward.requests, []
        for q, logits in zip(requests, forward.prefill.logits() if requests else ()):
            self.answers[q].add(logits)
            if len(self.answers[q].tokens) == self.tokens:
                self.answers[q].over = True
                self.engine.free(q)

    @after("worker.finish_forward")
    def end_forward(self, step: Step) -> None:
        """The rank has computed; the first and the last of a forward find a new request at the door."""
        (rank,) = step.copy
        number = self.done[rank]
        forward = self.forwards[number]
        self.done[rank] += 1
        self.busy.discard(rank)
        self._store(forward, rank)
        ranks_done = sum(done > number for done in self.done.values())
        if ranks_done in (1, self.ranks) and forward.number is not None:
            self._arrive()
        if ranks_done == self.ranks:
            self._end(forward)

    def turn(self) -> bool:
        """Everything is done by rows."""
        return False

    def roles(self) -> list[object]:
        """With the row that ends a finite number of batches, where there is one."""
        return [self, *(role(self) for role in (Finite,) if self.has(role))]


class Finite:
    """Batches that come to an end."""

    def __init__(self, world: ForwardSignal):
        self._world = world

    @after("gate.put_last_batch")
    def put_last_batch(self, step: Step) -> None:
        """As `put_batch`."""
        self._world.publish(step)
