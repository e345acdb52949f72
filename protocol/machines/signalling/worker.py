"""The worker: the event loop of one tensor-parallel rank, from the top of the loop to the end of its forward.

One machine with a copy per rank, and one table per variant, put together from the parts of an iteration (facts section 4;
W1 .. W10 and TPB#0 .. TPB#2' are its names). What differs:

- A: rank 0 copies the queue's register into the announcement (W3); TPB#1; who sees it reads the queue; the last reader takes
  the announcement back; a rank without work idles at TPB#2, or under expert parallelism runs an empty forward.
- B (#6680): every rank raises the forward signal before it reads, and lowers it after its forward or after idling; with the
  prefill role an iteration without a batch only passes TPB#1b, and experts meet (EPB) once a batch is read.
- B' (its follow-ups): TPB#0 before rank 0 looks, an announcement that is also taken back by rank 0, and TPB#2' after reading.
- repaired: see `forward_signal.py`.

How the real things are modelled:

- All TPB are *one* barrier: collectives of one group are matched by order, not by program point, so that phases could slip
  (facts 2.4). It is sense-reversing, as a collective is: whoever has been let go may arrive again while others have yet to
  leave. `threading.Barrier` (the manager's) drains instead, which only removes interleavings.
- EPB is a barrier among this instance's own ranks. The other data-parallel instances share no variable with it, so their
  lateness cannot be told from this instance's ranks being slow; it is assumed that they do arrive (H5 is about when not).
- A forward is two steps, start and end. `sync`: between them lies a collective that nobody passes before every rank of the
  group has reached it, which is what waiting for one's own stream amounts to when the layers contain collectives; one rank
  may return from it while another has yet to. `async`: a forward ends without any regard to the peers, as when a launch
  does not block. A zero before the own forward is over (#7250) is not modelled: it gives up the property on purpose.
- Passing a barrier is no step of its own where the next step touches at most one other cell: a rank that has been let go may
  stand still for as long as it likes.
- How long decoding goes on is the same on every rank, because all sample the same tokens: a counter that starts with the batch
  (facts W8: not_need_stop). It matters only where a rank without work idles, hence neither with experts nor in prefill.
- A rank that reads an empty queue goes on in A; in B an assertion kills it (facts 4.2). In B' and repaired no row reads an
  empty queue: were it possible, the deadlock scenarios would find the rank stuck.

Left out: weights, control requests, sleeping, load balancing of experts, and batches that launch no token (TPB#3).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from ...combine import if_else, me, passed
from ...effect import when
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from ...types import Index
from ...variable import Barrier, Variable
from .engine_worker_queue import EngineWorkerQueue
from .witness import Witness


class Worker(IntEnum):
    """The rank is ..., in the order of one iteration."""

    STARTING, AT_TOP_BARRIER, LOOKING, ANNOUNCING, RETRACTING, LOOKED, AT_FLAG_BARRIER = range(7)
    RAISING, READING, RESETTING, READ, AT_READ_BARRIER, AT_EXPERT_BARRIER, READY = range(7, 14)
    FORWARDING, SYNCHRONISING, FINISHED, IDLING, AT_IDLE_BARRIER, SKIPPING, AT_SKIP_BARRIER, FAILED = range(14, 22)


@dataclass(frozen=True)
class WorkerTable:
    """The rows of one variant. `forward_signal` is None in A; `steps` is None where no rank ever decodes and idles.

    Variables: `announced` (exist_task_signal, XT), `batch` (what the rank holds in this iteration), `steps` (forwards of
    decoding that are left). `loop_top_barrier=False` takes away every barrier between the end of an iteration and the look
    at the announcement.
    """

    variant: str
    role: str
    forward: str
    expert_parallel: bool
    loop_top_barrier: bool
    decode_steps: int
    ranks: Index
    queue: EngineWorkerQueue
    announced: Variable
    batch: Variable
    steps: Variable | None
    forward_signal: Variable | None
    barrier: Barrier
    forward_barrier: Barrier
    expert_barrier: Barrier
    witness: Witness

    def machine(self) -> Machine:
        """The machine with a copy per rank."""
        rows = [*self._top(), *self._look(), *self._see(), *self._read(), *self._forward(), *self._idle()]
        return Machine("worker", Worker, rows, copies=self.ranks, initial=self.top, doc="the event loop of one tensor-parallel rank")

    # -- who and what ------------------------------------------------------------------------------------------------

    @property
    def own(self) -> Expr:
        """This rank."""
        return me(self.ranks)

    @property
    def leads(self) -> Expr:
        """This is rank 0, which looks for all."""
        return self.own == 0

    @property
    def follows(self) -> Expr:
        """This is another rank."""
        return self.own != 0

    @property
    def top(self) -> Worker:
        """Where an iteration begins."""
        has_top = self.variant == "repaired" or (self.variant == "B'" and self.loop_top_barrier)
        return Worker.STARTING if has_top else Worker.LOOKING

    @property
    def meets_experts(self) -> bool:
        """Whether the ranks of all instances meet between reading and the forward."""
        return self.expert_parallel and self.role == "prefill" and self.variant != "A"

    @property
    def forwards_without_batch(self) -> bool:
        """Whether an iteration that saw no batch may run a forward."""
        return (self.expert_parallel or self.steps is not None) and (self.role == "mixed" or self.variant == "A")

    # -- the parts of an iteration -----------------------------------------------------------------------------------

    def _top(self) -> list[Row]:
        """TPB#0. In the repaired loop rank 0 lowers the signal behind it: every rank has finished its forward."""
        w = Worker
        if self.top is w.LOOKING:
            return []
        gone = passed(self.barrier) if self.loop_top_barrier else TRUE
        at = w.AT_TOP_BARRIER if self.loop_top_barrier else w.STARTING
        rows = []
        if self.loop_top_barrier:
            rows.append(Row("arrive_at_top_barrier", w.STARTING, at, True, [self.barrier.arrive()], "worker", cite="facts 4.3: TPB#0"))
        if self.variant == "repaired":
            assert self.forward_signal is not None
            lower = [self.forward_signal.set(False), self.witness.lower_signal()]
            rows.append(Row("lower_forward", at, w.LOOKING, gone & self.leads, lower, "worker", cite="ours: zero by its owner"))
            rows.append(Row("leave_top_barrier", at, w.LOOKING, gone & self.follows, [], "worker", cite="ours"))
        else:
            rows.append(Row("leave_top_barrier", at, w.LOOKING, gone, [], "worker", cite="facts 4.3: TPB#0"))
        return rows

    def _look(self) -> list[Row]:
        """W3 and TPB#1: rank 0 looks at the queue's register and announces what it saw; all meet."""
        w = Worker
        retracts = self.variant in ("B'", "repaired")
        without = w.RETRACTING if retracts else w.LOOKED
        rows = [
            Row("find_batch", w.LOOKING, w.ANNOUNCING, self.leads & self.queue.filled, [], "worker", cite="facts 4.1 W3"),
            Row("find_no_batch", w.LOOKING, without, self.leads & ~self.queue.filled, [], "worker", cite="facts 4.1 W3, 4.3 W3'"),
            Row("announce", w.ANNOUNCING, w.LOOKED, True, [self.announced.set(True)], "worker", cite="facts 4.1 W3"),
        ]
        if retracts:
            rows.append(Row("retract", w.RETRACTING, w.LOOKED, True, [self.announced.set(False)], "worker", cite="facts 4.3 W3'"))
        if not self.loop_top_barrier:
            return [*rows, Row("skip_look", w.LOOKING, w.LOOKED, self.follows, [], "worker", cite="without TPB#1")]
        meet = [self.barrier.arrive(), self.witness.begin()]
        return [
            *rows,
            Row("arrive_at_flag_barrier", w.LOOKED, w.AT_FLAG_BARRIER, True, meet, "worker", cite="facts 4.1 W4: TPB#1"),
            Row("arrive_at_flag_barrier", w.LOOKING, w.AT_FLAG_BARRIER, self.follows, meet, "worker", cite="facts 4.1 W4: TPB#1"),
        ]

    def _see(self) -> list[Row]:
        """W6: every rank loads the announcement, and goes on with a batch or without."""
        w = Worker
        at = w.AT_FLAG_BARRIER if self.loop_top_barrier else w.LOOKED
        gone = passed(self.barrier) if self.loop_top_barrier else TRUE
        seen, cite = self.witness.look(), "facts 4.1 W6"
        if self.variant == "repaired":
            rows = [
                Row("see_batch", at, w.RAISING, gone & self.leads & self.announced, seen, "worker", cite="ours: one owner raises"),
                Row("see_batch", at, w.READING, gone & self.follows & self.announced, seen, "worker", cite=cite),
            ]
        else:
            rows = [Row("see_batch", at, w.READING if self.forward_signal is None else w.RAISING, gone & self.announced, seen, "worker", cite=cite)]
        nothing = gone & ~self.announced
        noted = [*seen, *self.witness.hold()]
        if self.role == "prefill" and self.variant != "A":
            rest = w.STARTING if self.variant == "repaired" else w.SKIPPING
            rows.append(Row("see_no_batch", at, rest, nothing, noted, "worker", cite="facts 4.2: else-branch"))
        elif self.expert_parallel:
            rows.append(Row("see_no_batch", at, w.READY, nothing, noted, "worker", cite="facts 4.1: empty_input_forward"))
        else:
            rest = w.STARTING if self.variant == "repaired" else w.IDLING
            idle = nothing if self.steps is None else nothing & (self.steps[self.own] == 0)
            rows.append(Row("see_no_batch", at, rest, idle, noted, "worker", cite="facts 4.1 W8"))
            if self.steps is not None:
                rows.append(Row("see_no_batch", at, w.READY, nothing & (self.steps[self.own] > 0), noted, "worker", cite="facts 4.1 W10"))
        return rows

    def _read(self) -> list[Row]:
        """W6: raise the signal, `get_tasks`, take the announcement back, and meet again where the variant does."""
        w = Worker
        queue, mine = self.queue, self.batch[self.own]
        got = [mine.set(queue.tasks.head), *self.witness.hold(queue.tasks.head)]
        there, others, cite = ~queue.tasks.empty, queue.is_read_by_others, "facts 2.2: get_tasks"
        after = w.READ if self.variant == "B'" or self.meets_experts else w.READY
        last = after if self.variant == "repaired" else w.RESETTING
        fresh = there & ~queue.read[self.own] if self.variant == "repaired" else there
        rows = []
        if self.forward_signal is not None:
            up = [self.forward_signal.set(True), self.witness.raise_signal()]
            rows.append(Row("raise_forward", w.RAISING, w.READING, True, up, "worker", cite="#6680; facts 4.2 W6"))
        rows += [
            Row("read_batch", w.READING, after, fresh & ~others, [queue.get(last=False), got], "worker", under=queue.lock, cite=cite),
            Row("read_last_batch", w.READING, last, fresh & others, [queue.get(last=True), got], "worker", under=queue.lock, cite=cite),
        ]
        if self.variant in ("A", "B"):
            nothing = [queue.get(last=True), *self.witness.hold()]
            rows.append(Row("read_nothing", w.READING, w.RESETTING, queue.tasks.empty, nothing, "worker", under=queue.lock, cite="facts 2.2, 8 H3"))
        return rows + self._reset(after) + self._meet()

    def _reset(self, after: Worker) -> list[Row]:
        """The last reader takes the announcement back, whatever rank 0 has stored there meanwhile (facts 4.4-5)."""
        w = Worker
        if self.variant == "repaired":
            return []
        mine, clear, cite = self.batch[self.own], [self.announced.set(False)], "facts 4.1 W6"
        has_batch = ~mine.is_none
        if self.variant == "B":
            return [
                Row("reset_flag", w.RESETTING, after, has_batch, clear, "worker", cite=cite),
                Row("fail_assertion", w.RESETTING, w.FAILED, mine.is_none, clear, "worker", cite="facts 4.2: assert len(tasks) > 0"),
            ]
        if self.variant == "B'" or self.expert_parallel:
            return [Row("reset_flag", w.RESETTING, after, True, clear, "worker", cite=cite)]
        works = has_batch if self.steps is None else has_batch | (self.steps[self.own] > 0)
        return [
            Row("reset_flag", w.RESETTING, after, works, clear, "worker", cite=cite),
            Row("reset_flag", w.RESETTING, w.IDLING, ~works, clear, "worker", cite="facts 4.1 W8"),
        ]

    def _meet(self) -> list[Row]:
        """TPB#2' and EPB, between reading and the forward."""
        w = Worker
        rows = []
        experts, cite = [self.expert_barrier.arrive()], "#6164; facts 4.2: EPB"
        if self.variant == "B'":
            rows.append(Row("arrive_at_read_barrier", w.READ, w.AT_READ_BARRIER, True, [self.barrier.arrive()], "worker", cite="facts 4.3: TPB#2'"))
            if self.meets_experts:
                rows.append(Row("meet_experts", w.AT_READ_BARRIER, w.AT_EXPERT_BARRIER, passed(self.barrier), experts, "worker", cite=cite))
        elif self.meets_experts:
            rows.append(Row("meet_experts", w.READ, w.AT_EXPERT_BARRIER, True, experts, "worker", cite=cite))
        return rows

    def _forward(self) -> list[Row]:
        """W10: the forward, and the zero after it in B and B'."""
        w = Worker
        mine = self.batch[self.own]
        insert = [] if self.steps is None else [when(~mine.is_none, self.steps[self.own].set(self.decode_steps))]
        sources: dict[Worker, Expr] = {}
        if self.meets_experts:
            sources[w.AT_EXPERT_BARRIER] = passed(self.expert_barrier)
        elif self.variant == "B'":
            sources[w.AT_READ_BARRIER] = passed(self.barrier)
        if self.variant != "B'" and not self.meets_experts or self.forwards_without_batch:
            sources[w.READY] = TRUE
        rows = [Row("start_forward", at, w.FORWARDING, gone, insert, "worker", cite="facts 4.1 W10") for at, gone in sources.items()]
        done: list[Any] = [mine.set(None)]
        if self.steps is not None:
            left = self.steps[self.own]
            done.append(left.set(if_else(mine.is_none, left - 1, left)))
        after = w.FINISHED if self.variant in ("B", "B'") else self.top
        if self.forward == "sync":
            reach = [self.forward_barrier.arrive()]
            rows.append(Row("synchronise_forward", w.FORWARDING, w.SYNCHRONISING, True, reach, "worker", cite="facts 9.2: SYNC"))
            rows.append(Row("finish_forward", w.SYNCHRONISING, after, passed(self.forward_barrier), done, "worker", cite="facts 4.1 W10"))
        else:
            rows.append(Row("finish_forward", w.FORWARDING, after, True, done, "worker", cite="facts 9.2: ASYNC"))
        if after is w.FINISHED:
            assert self.forward_signal is not None
            lower = [self.forward_signal.set(False), self.witness.lower_signal()]
            rows.append(Row("lower_forward", w.FINISHED, self.top, True, lower, "worker", cite="#6680; facts 4.2 W10"))
        return rows

    def _idle(self) -> list[Row]:
        """W8 and the else-branch of prefill: what a rank without work does before it starts again."""
        w = Worker
        rows: list[Row] = []
        if self.variant == "repaired":
            return rows
        if self.role == "prefill" and self.variant != "A":
            return [
                Row("arrive_at_skip_barrier", w.SKIPPING, w.AT_SKIP_BARRIER, True, [self.barrier.arrive()], "worker", cite="facts 4.2: TPB#1b"),
                Row("leave_skip_barrier", w.AT_SKIP_BARRIER, self.top, passed(self.barrier), [], "worker", cite="facts 4.2: TPB#1b"),
            ]
        if self.expert_parallel:
            return rows
        rows.append(Row("arrive_at_idle_barrier", w.IDLING, w.AT_IDLE_BARRIER, True, [self.barrier.arrive()], "worker", cite="facts 4.1 W8: TPB#2"))
        if self.forward_signal is None:
            rows.append(Row("leave_idle_barrier", w.AT_IDLE_BARRIER, self.top, passed(self.barrier), [], "worker", cite="facts 4.1 W8"))
        else:
            lower = [self.forward_signal.set(False), self.witness.lower_signal()]
            rows.append(Row("lower_idle_forward", w.AT_IDLE_BARRIER, self.top, passed(self.barrier), lower, "worker", cite="#6680; facts 4.2 W8"))
        return rows
