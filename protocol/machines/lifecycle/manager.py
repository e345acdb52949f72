"""The resource manager's variables: who owns each slot and block, what is in flight between engine and worker, and the ghosts.

`slot_owner` is the engine's side of a slot (tasks_list and stop_flags); what the worker has in it is `rank_request` in `rank.py`. They
differ while a batch or a report is on its way: the worker changes only when it reads the batch. A block is a number with an owner,
in whose block table it is; every request begins with one block and may need a second.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from ...combine import all_of, any_of, count
from ...effect import each, when
from ...expr import Expr
from ...types import BOOL, Enum, Index, Optional, Range, Record, Sequence
from ...variable import Lock, channel, ghost, locked, private
from ..arguments import one_of, within
from .request import IN_RUNNING, request_machine
from .variants import ROLES, VARIANTS


class Output(IntEnum):
    """What a step reports for a slot: nothing, a token, the last token, a stop (-9)."""

    NOTHING, TOKEN, LAST, STOPPED = range(4)


class Answers(IntEnum):
    """How many terminal answers the client has had for this attempt."""

    NONE, ONE, TWO = range(3)


class Manager:
    """The variables at given bounds.

    Args:
        variant: one of VARIANTS. role: mixed or decode.
        requests, slots, blocks: how many. attempts: how often the client may post one id. chunks: of a prompt; tokens: how many a request
            produces.
        preemptions, aborts, failures: how often a request is preempted, aborted, fails its preprocessing.

    Raises:
        DefinitionError: a parameter outside its choices.
    """

    def __init__(
        self,
        variant: str,
        role: str,
        requests: int = 2,
        slots: int = 1,
        blocks: int = 1,
        attempts: int = 1,
        chunks: int = 1,
        tokens: int = 2,
        preemptions: int = 0,
        aborts: int = 0,
        failures: int = 0,
    ):
        one_of(VARIANTS, variant=variant)
        one_of(ROLES, role=role)
        within(1, 3, requests=requests, slots=slots, tokens=tokens)
        within(1, 4, blocks=blocks)
        within(1, 2, attempts=attempts)
        within(1, 2 if role == "mixed" else 1, chunks=chunks)
        within(0, 3, preemptions=preemptions)
        within(0, 2, aborts=aborts, failures=failures)
        self.variant, self.role, self.chunks, self.tokens = VARIANTS[variant], role, chunks, tokens
        self.preemptions, self.aborts, self.failures, self.attempts = preemptions, aborts, failures, attempts
        self.request, self.slot, self.block = Index("request", requests), Index("slot", slots), Index("block", blocks)
        self.attempt = Range(0, attempts - 1)
        self._declare(requests)
        self.machine = request_machine(self.request, self.lock, self.variant, role, chunks)

    def _declare(self, requests: int) -> None:
        q = self.request
        self.lock = Lock("resource_lock", cite="facts 6.2: RM.lock")
        self.slot_owner = locked("slot_owner", Optional(q), self.lock, over=self.slot, cite="facts 6.2: tasks_list, stop_flags")
        self.block_owner = locked("block_owner", Optional(q), self.lock, over=self.block, cite="facts 6.2: block_tables, free list")
        self.number = locked("request_attempt", self.attempt, self.lock, over=q, cite="the turn of an id that is posted again")
        self.running = locked("running", Sequence(q, requests), self.lock, cite="facts 6.2: running")
        self.waiting = locked("waiting", Sequence(q, requests), self.lock, cite="facts 6.2: waiting")
        tables: dict[str, Any] = {f"block_{b}": BOOL for b in self.block}
        self.batch = Record("Batch", stop=Optional(self.slot), run=Optional(q), slot=self.slot, attempt=self.attempt, fresh=BOOL, part=BOOL, **tables)
        self.in_hand = private("scheduled_batch", self.batch)
        self.tasks = channel("queue_tasks", self.batch, 1, cite="facts 2.2: Q")
        report: dict[str, Any] = {}
        for s in self.slot:
            report |= {f"kind_{s}": Enum(Output), f"of_{s}": Optional(q), f"attempt_{s}": self.attempt}
        self.step = Record("Step", **report)
        self.outputs = channel("step_outputs", self.step, 1, cite="facts 9.1: OUTQ; the producer is carried in ours only")
        self.finishing = channel("finishing", q, requests, cite="finish_execution_pool")
        self.answers = ghost("answers", Enum(Answers), over=q)
        self.foreign = ghost("credited_to_another", BOOL)
        self.dropped = ghost("step_dropped", BOOL)
        self.zombie = ghost("run_after_answer", BOOL)
        self.late_stop = ghost("stopped_after_answer", BOOL, over=q)
        self.end_skipped = ghost("end_skipped", BOOL, over=q)
        self.late_zombie = ghost("run_after_skipped_end", BOOL)
        self.late_chunk = ghost("chunk_after_abort", BOOL)
        self.refused = ghost("retry_refused", BOOL)

    # -- looks -------------------------------------------------------------------------------------------------------

    def is_lowest_slot(self, s: Any) -> Expr:
        """The slot is free, and every lower one is not (get_available_position)."""
        return self.slot_owner[s].is_none & all_of(self.slot, lambda i: (i >= s) | ~self.slot_owner[i].is_none)

    def is_lowest_block(self, b: Any) -> Expr:
        """The block is free, and every lower one is not."""
        return self.block_owner[b].is_none & all_of(self.block, lambda i: (i >= b) | ~self.block_owner[i].is_none)

    @property
    def is_full(self) -> Expr:
        """No block is free."""
        return all_of(self.block, lambda b: ~self.block_owner[b].is_none)

    @property
    def has_slot(self) -> Expr:
        """available_batch() > 0."""
        return any_of(self.slot, lambda s: self.slot_owner[s].is_none)

    def table_size(self, q: Any) -> Expr:
        """The length of the request's block table."""
        return count(self.block, lambda b: self.block_owner[b] == q)

    # -- effects under the lock --------------------------------------------------------------------------------------

    def free_slot(self, q: Any) -> list[Any]:
        """The request's slot is free, if it has one."""
        return [each(self.slot, lambda s: when(self.slot_owner[s] == q, self.slot_owner[s].set(None)))]

    def free_blocks(self, q: Any) -> list[Any]:
        """The request's blocks are free."""
        return [each(self.block, lambda b: when(self.block_owner[b] == q, self.block_owner[b].set(None)))]

    def leave_running(self, q: Any) -> list[Any]:
        """The request is not in `running` any more."""
        return [when(self.machine.at(q).is_in(*IN_RUNNING), self.running.remove(q))]

    def answer(self, q: Any) -> list[Any]:
        """The client is told the end of the request."""
        return [when(self.answers[q] == a, self.answers[q].set(b)) for a, b in ((Answers.NONE, Answers.ONE), (Answers.ONE, Answers.TWO))]

    def make_batch(self, stop: Any = None, run: Any = None, slot: Any = 0, fresh: Any = False, part: bool = False, more: Any = None) -> Expr:
        """A batch: stop a slot, and run a request in one with the blocks of its table and one more; `part`: its prompt has another chunk."""
        tables = {}
        for b in self.block:
            tables[f"block_{b}"] = False if run is None else (self.block_owner[b] == run) | ((more == b) if more is not None else False)
        number = 0 if run is None else self.number[run]
        return self.batch(stop=stop, run=run, slot=slot, attempt=number, fresh=fresh, part=part, **tables)
