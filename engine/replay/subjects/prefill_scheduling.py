"""P's scheduling along `prefill_scheduling`: chunks are computed into the blocks of the task, and what is registered is shipped.

A block of the builder is a row of blocks, enough for a prompt; a prompt is computed in two halves. The batch carries the block table that
the request had when it was scheduled, the messager the block that was registered: whoever has lost them by then writes, or ships, another's.
"""

from __future__ import annotations

from typing import Any

from ...binding import after
from ...model.shard import Chunk
from ...model.weights import Floats
from ..instance import BLOCK_SIZE, layer_groups
from ..walk import Step
from ..world import ANSWER_BLOCKS, PROMPT_BLOCKS, World

HALF_TOKENS = PROMPT_BLOCKS // 2 * BLOCK_SIZE


class PrefillScheduling(World):
    """One P, one D with room for all."""

    @staticmethod
    def harmless(config: dict[str, Any]) -> dict[str, Any]:
        """Ours, with a worker that lives."""
        return {"variant": "repaired", "speculates": False, "gated": False, "deaths": 0}

    def start(self) -> None:
        """The builder's blocks on P."""
        requests, self.blocks = self.config.get("requests", 2), self.config.get("blocks", 2)
        self.engine = self.instance("prefill", self.blocks * PROMPT_BLOCKS)
        self.instance("decode", requests * (PROMPT_BLOCKS + ANSWER_BLOCKS))
        self.rows: dict[int, list[int]] = {q: [] for q in range(requests)}
        self.tasks: list[tuple[int, ...]] = []
        self.table: tuple[int, ...] = ()
        self.there: dict[int, tuple[int, ...]] = {}
        self.first: dict[int, Floats] = {}
        for q in range(requests):
            self.request(q, q)

    def row(self, block: int) -> tuple[int, ...]:
        """The row of blocks that a block of the builder stands for."""
        return tuple(range(block * PROMPT_BLOCKS, (block + 1) * PROMPT_BLOCKS))

    @after("prepare.take_grant")
    def reserve(self, step: Step) -> None:
        """D has blocks for the request."""
        q = step.before("request_in_hand", *step.copy)
        self.there[q] = self.instances["decode"].hold(q, PROMPT_BLOCKS + ANSWER_BLOCKS)

    def schedule(self, step: Step) -> None:
        """The task carries the block table of now."""
        self.tasks.append(self.row(self.rows[step.values["request"]][0]))

    @after("rank.read_batch")
    def read(self, step: Step) -> None:
        """The worker has a chunk's block table."""
        if step.before("queue_tasks")[0][0] is not None:
            self.table = self.tasks.pop(0)

    @after("rank.end_step")
    def compute(self, step: Step) -> None:
        """The first half of a prompt, if there is one in the batch."""
        if (q := step.before("rank_request")) is not None:
            self._forward(q, 0)

    @after("rank.signal_last")
    def compute_last(self, step: Step) -> None:
        """The second half, and the first token."""
        q = step.before("rank_request")
        self.first[q] = self._forward(q, HALF_TOKENS)

    def _forward(self, q: int, start: int) -> Floats:
        chunk = Chunk(self.answers[q].prompt[start : start + HALF_TOKENS], start, self.table)
        return self.engine.step([(q, chunk)])[0]

    @after("messager.ship")
    def ship(self, step: Step) -> None:
        """What lies in the registered block goes to D."""
        q = step.before("shipping")
        here = self.row(step.before("messager_block", q))
        for rank in range(len(self.engine.shards)):
            self.instances["decode"].receive(self.engine, rank, layer_groups(1)[0], here, self.there[q][:PROMPT_BLOCKS], q)

    @after("token_processor.send_first_token")
    def send(self, step: Step) -> None:
        """D decodes; it drops a first token that it has had."""
        q = step.before("token_in_hand")
        if self.answers[q].tokens:
            self.noted["first token sent again"] += 1
        else:
            self.answers[q].add(self.first[q])
            self.insert(q, self.there[q])

    def settled(self, step: Step) -> None:
        """Whose block is whose, in the order in which a request got them."""
        if step.touches("block_owner"):
            for block in range(self.blocks):
                was, now = step.before("block_owner", block), step.after("block_owner", block)
                if was != now:
                    self._pass_on(block, was, now)

    def _pass_on(self, block: int, giver: int | None, taker: int | None) -> None:
        if giver is not None:
            self.rows[giver].remove(block)
            self.engine.free(giver, self.row(block))
        if taker is not None:
            self.rows[taker].append(block)
            self.engine.give(taker, self.row(block))

    def over(self, q: int) -> None:
        """The client has an error; D gives its blocks back."""
        self.answers[q].over = True
        self.instances["decode"].free(q)

    def roles(self) -> list[object]:
        """With the rows that some versions and bounds lack."""
        return [self, *(role(self) for role in (Tasks, Refusals, Aborts) if self.has(role))]


class Tasks:
    """A manager that has `prefill_schedule()`, or `schedule()`."""

    def __init__(self, world: PrefillScheduling):
        self._world = world

    @after("schedule.schedule_chunk", "schedule.schedule_last")
    def schedule(self, step: Step) -> None:
        """A chunk is put."""
        self._world.schedule(step)


class Refusals:
    """D refuses, or preprocessing fails."""

    def __init__(self, world: PrefillScheduling):
        self._world = world

    @after("prepare.give_up")
    def give_up(self, step: Step) -> None:
        """An error for the client."""
        self._world.over(step.before("request_in_hand", *step.copy))


class Aborts:
    """Ours: an aborted request ends when its stop is reported."""

    def __init__(self, world: PrefillScheduling):
        self._world = world

    @after("token_processor.free_aborted")
    def free(self, step: Step) -> None:
        """The client is gone."""
        self._world.over(step.before("step_outputs")[0][0])
