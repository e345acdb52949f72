"""The engine process: what its threads share, and the critical sections of its resource manager.

Real things, by variable:

- `intake` (under the scheduler's mutex): where a request is for the scheduler; READ once the cursor has passed it, GONE once it
  is answered or recycled. One result a request: putting it, sending it and recycling the id are one step.
- `stage`, `slot_owner`, `place`, `table`, `block_free` (under RM.lock): the life of a request in the resource manager, with no
  state left in a side set; tasks_list with stop_flags; `request.idx`, which a freed request keeps; its block table, here one
  block; the free list, which a reset rebuilds whatever the tables say.
- `waiting` (RM.waiting): a deque changed under RM.lock, whose length is also read without it.
- `abort_asked`: the set of ids to abort; unlocked in B (abort_req_ids_set), under RM.lock since.

Requests come in order of their number, and differ in nothing else. One request a fetch and one prompt a `schedule()` (its token
budget). A request is one block; it preempts nobody (preemption for want of blocks is the subject of the lifecycle).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from ...combine import all_of, any_of
from ...effect import each, when
from ...errors import DefinitionError
from ...expr import FALSE, Expr
from ...machine import Process
from ...types import BOOL, Enum, Index, Optional, Range, Record, Sequence
from ...variable import Lock, channel, ghost, locked, private, register, unlocked, world
from ..arguments import one_of, within
from ..signalling.engine_worker_queue import EngineWorkerQueue
from .epochs import EPOCHS, ROLES

COMMANDS = ("abort", "pause", "resume", "control")
EXITS = ("none", "shutdown", "interpreter")


class Intake(IntEnum):
    """For the scheduler the request is ..."""

    ABSENT, UNREAD, READ, GONE = range(4)


class Stage(IntEnum):
    """For the resource manager the request is ...

    HELD: with slot and block, in preparation on P. READY: in `running`, not scheduled yet (P). ABORTING, PREEMPTED: its stop was
    issued (to_be_aborted, to_be_rescheduled). ENDING: its slot is free, its block not yet.
    """

    ABSENT, HELD, WAITING, READY, RUNNING, ABORTING, PREEMPTED, ENDING, GONE = range(9)


class Output(IntEnum):
    """What a step reports for a slot: nothing to act on, the last token, a stop (-9)."""

    NOTHING, LAST, STOPPED = range(3)


class Message(IntEnum):
    """What the client says."""

    REQUEST, ABORT, PAUSE, RESUME, CONTROL = range(5)


IN_REQUESTS = (Stage.HELD, Stage.WAITING, Stage.READY, Stage.RUNNING, Stage.ABORTING, Stage.PREEMPTED)
"""The stages of the ids in RM.requests."""
IN_RUNNING = (Stage.READY, Stage.RUNNING)


class Engine:
    """The shared variables at given bounds.

    Args:
        epoch: one of EPOCHS. role: mixed or prefill.
        requests, slots, blocks: how many. threads: fetch threads, where the epoch has them.
        late: how many of the requests come through the socket; the others are in the scheduler from the start.
        commands: what the client says besides, in this order: abort (any request), pause, resume, control.
        exits: none, shutdown, or interpreter: exit without a shutdown, which closes the pool with another text.
        failures: exceptions in fetches. step_failures: exceptions while a step's report is handled. stalls: 1 if the ranks may stop for good.
        silent: the decode instance may never answer.

    Raises:
        DefinitionError: a parameter outside its choices.
    """

    def __init__(
        self,
        epoch: str,
        role: str,
        requests: int,
        slots: int,
        blocks: int,
        threads: int,
        late: int,
        commands: tuple[str, ...],
        exits: str,
        failures: int,
        step_failures: int,
        stalls: int,
        silent: bool,
    ):
        self._validate(epoch, role, commands, exits)
        within(1, 4, requests=requests, blocks=blocks)
        within(1, 3, slots=slots)
        within(0, 4, threads=threads)
        within(0, requests, late=late)
        within(0, 2, failures=failures, step_failures=step_failures)
        within(0, 1, stalls=stalls)
        self.epoch, self.role, self.commands, self.exits = EPOCHS[epoch], role, commands, exits
        self.late, self.failures, self.step_failures, self.stalls, self.silent = late, failures, step_failures, stalls, silent
        self.steps = 1 if role == "prefill" else 2
        self.request, self.slot, self.block = Index("request", requests), Index("slot", slots), Index("block", blocks)
        self.rank = Index("rank", 1)
        given = max(threads, 1) if self.epoch.some_thread else threads
        self.threads = 1 if self.epoch.pooled else given
        self.thread = Index("thread", max(self.threads, 1))
        stops: dict[str, Any] = {f"stop_{s}": BOOL for s in self.slot}
        self.batch = Record("Batch", request=Optional(self.request), slot=self.slot, block=self.block, control=BOOL, **stops)
        self.output = Record("Step", **{f"slot_{s}": Enum(Output) for s in self.slot})
        self.message = Record("Message", kind=Enum(Message), request=self.request)
        self._declare(requests)

    @staticmethod
    def _validate(epoch: str, role: str, commands: tuple[str, ...], exits: str) -> None:
        one_of(EPOCHS, epoch=epoch)
        one_of(ROLES, role=role)
        one_of(EXITS, exits=exits)
        for command in commands:
            one_of(COMMANDS, command=command)
        if EPOCHS[epoch].direct_abort and {"abort", "pause"} <= set(commands):
            raise DefinitionError(f"commands abort and pause in epoch {epoch}: ask one at a time; choose one of {', '.join(COMMANDS)}")

    def _declare(self, requests: int) -> None:
        q = self.request
        self.mutex = Lock("scheduler_mutex", cite="facts 5: M")
        first = requests - self.late

        def start(i: int) -> Intake:
            return Intake.UNREAD if i < first else Intake.ABSENT

        self.intake = locked("request_intake", Enum(Intake), self.mutex, over=q, init=start, cite="facts 5: ids, cursor")
        self.resources = Lock("resource_lock", cite="facts 6.2: RM.lock")
        self.stage = locked("request_stage", Enum(Stage), self.resources, over=q, cite="facts 6.2: requests, running, TBR, TBA")
        self.slot_owner = locked("slot_owner", Optional(q), self.resources, over=self.slot, cite="facts 6.2: tasks_list, stop_flags")
        self.place = locked("request_slot", self.slot, self.resources, over=q, cite="facts 6.2: request.idx")
        self.table = locked("request_block", Optional(self.block), self.resources, over=q, cite="facts 6.2: request.block_tables")
        self.block_free = locked("block_free", BOOL, self.resources, over=self.block, init=True, cite="gpu_free_block_list")
        self.waiting = unlocked("waiting", Sequence(q, requests), cite="facts 6.2: RM.waiting; its length is read without RM.lock")
        cite = "abort_req_ids_set, waiting_abort"
        if self.epoch.direct_abort:
            self.abort_asked = unlocked("abort_asked", BOOL, over=q, cite=cite)
        else:
            self.abort_asked = locked("abort_asked", BOOL, self.resources, over=q, cite=cite)
        self.control_asked = locked("control_asked", BOOL, self.resources, cite="ours: a control request for the scheduling thread")
        self.pause_lock = Lock("pause_lock", cite="facts 3: _pause_cond")
        self.paused = locked("paused", BOOL, self.pause_lock, cite="facts 3: is_paused")
        self.fetching = register("is_fetching", BOOL, cite="facts 3: is_fetching")
        self.jobs = channel("fetch_jobs", Range(0, 0), 1, cite="get_request_pool: its work queue")
        self.running = register("engine_running", BOOL, init=True, cite="facts 3: running")
        self.pool_closed = world("pool_closed", BOOL)
        self.manager_closed = world("manager_closed", BOOL)
        self.socket = channel("client_socket", self.message, 2, cite="facts 0.3: ZMQ to the engine")
        queue_lock = Lock("queue_lock", cite="facts 2.1: a server-side threading.Lock")
        self.queue = EngineWorkerQueue(
            self.rank,
            queue_lock,
            tasks=locked("queue_tasks", Sequence(self.batch, 1), queue_lock, cite="facts 2.2: Q"),
            read=locked("queue_read", BOOL, queue_lock, over=self.rank, init=True, cite="facts 2.2: CRF"),
            filled=register("queue_filled", BOOL, cite="facts 1.2: XQ"),
        )
        self.forward_signal = register("forward_signal", BOOL, cite="facts 1.2: FWD")
        self.outputs = channel("step_outputs", self.output, 1, cite="facts 9.1: OUTQ")
        self.finishing = channel("finishing", q, requests, cite="finish_execution_pool")
        self.workers = Process("worker_process", over=self.rank)
        self.held = private("rank_request", Optional(q), over=(self.rank, self.slot))
        self.held_block = private("rank_block", self.block, over=(self.rank, self.slot))
        self.left = private("rank_steps_left", Range(0, self.steps), over=(self.rank, self.slot))
        self.stopped = private("rank_stopped", BOOL, over=(self.rank, self.slot))
        self.mine = private("fetch_request", Optional(q), over=self.thread)
        self.in_hand = private("scheduled_batch", self.batch)
        self.stops_in_hand = private("stops_in_hand", BOOL, over=self.slot)
        self.answered = ghost("answered", BOOL, over=q)
        self.late_schedule = ghost("scheduled_after_answer", BOOL)
        self.late_add = ghost("added_after_answer", BOOL)

    # -- looks -------------------------------------------------------------------------------------------------------

    @property
    def is_gated(self) -> bool:
        """Whether the gate, and so the ranks, use the forward signal."""
        return self.role in self.epoch.gated

    @property
    def asks_aborts(self) -> bool:
        """Whether a request may be asked to end: by an abort, or by a pause that drains."""
        return "abort" in self.commands or ("pause" in self.commands and self.epoch.drains)

    @property
    def stops_running(self) -> bool:
        """Whether `schedule()` stops what runs and is to be aborted; on P the epochs do not, as they skip what is prefilled (H12)."""
        return self.asks_aborts and not self.epoch.direct_abort and (self.role == "mixed" or self.epoch.owned_abort)

    @property
    def reports_may_miss(self) -> bool:
        """Whether a report may find nobody in its slot, or somebody whom it does not concern."""
        return not (self.epoch.reports_once and self.epoch.drains)

    def in_requests(self, q: Any) -> Expr:
        """Whether the id is in RM.requests."""
        return self.stage[q].is_in(*IN_REQUESTS)

    def holds_slot(self, q: Any) -> Expr:
        """Whether the request has a slot."""
        return self.slot_owner[self.place[q]] == q

    def is_lowest_slot(self, s: Any) -> Expr:
        """The slot is free, and every lower one is not (get_available_position)."""
        return self.slot_owner[s].is_none & all_of(self.slot, lambda i: (i >= s) | ~self.slot_owner[i].is_none)

    def is_lowest_block(self, b: Any) -> Expr:
        """The block is the first of the free list's heap."""
        return self.block_free[b] & all_of(self.block, lambda i: (i >= b) | ~self.block_free[i])

    @property
    def some_slot_free(self) -> Expr:
        """available_batch() > 0."""
        return any_of(self.slot, lambda s: self.slot_owner[s].is_none)

    # -- effects, all under RM.lock ----------------------------------------------------------------------------------

    def take_slot(self, q: Any, s: Any) -> list[Any]:
        """The request moves into the slot."""
        return [self.slot_owner[s].set(q), self.place[q].set(s)]

    def take_block(self, q: Any, b: Any) -> list[Any]:
        """The request gets the block."""
        return [self.table[q].set(b), self.block_free[b].set(False)]

    def free_slot(self, q: Any) -> list[Any]:
        """The request's slot is free, if it has one."""
        return [each(self.slot, lambda s: when(self.slot_owner[s] == q, self.slot_owner[s].set(None)))]

    def free_block(self, q: Any) -> list[Any]:
        """The request's block goes back to the free list, if it has one."""
        return [each(self.block, lambda b: when(self.table[q] == b, self.block_free[b].set(True))), self.table[q].set(None)]

    def recycle(self, q: Any) -> list[Any]:
        """Slot and block are free, and the request is gone (pre_recycle_resource, recycle_abort_task)."""
        forget = [] if self.epoch.direct_abort else [self.abort_asked[q].set(False)]
        return [*self.free_slot(q), *self.free_block(q), self.stage[q].set(Stage.GONE), *forget]

    # -- effects under the scheduler's mutex -------------------------------------------------------------------------

    def answer(self, q: Any) -> list[Any]:
        """The client gets a terminal answer, unless the scheduler has forgotten the request."""
        there = self.intake[q].is_in(Intake.UNREAD, Intake.READ)
        return [when(there, self.intake[q].set(Intake.GONE), self.answered[q].set(True))]

    # -- batches -----------------------------------------------------------------------------------------------------

    def stop_field(self, batch: Expr, s: int) -> Expr:
        """Whether the batch stops that slot."""
        return getattr(batch, f"stop_{s}")

    def make_batch(self, request: Any = None, slot: Any = 0, block: Any = 0, control: Any = False, stops: Any = None) -> Expr:
        """A batch; `stops` says of a slot (a number) whether it is stopped."""
        stop = {f"stop_{s}": FALSE if stops is None else stops(s) for s in self.slot}
        return self.batch(request=request, slot=slot, block=block, control=control, **stop)
