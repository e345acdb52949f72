"""The forward signal: gate, engine-worker queue and worker ranks of one data-parallel instance, put together.

The question of #6680: the engine should schedule *after* the forward, so that its batch is full, hence must know when the
forward of the last batch is over. The register `forward_signal` (engine_forward_signal, FWD in the facts) tells it.

What each variant does with it, and what the checker says of it, is in the catalogue's group "forward-signal". The repaired
variant keeps the purpose, in every role, and changes this:

1. *One owner of the signal.* Rank 0 alone raises it, before it reads. In B and B' every rank raises and every rank lowers,
   so the first to finish takes down a signal that still stands for the others (early zero, H1), and in B two ranks may be
   about to store different values. One raise is enough for the gate: the queue is empty only when rank 0 has read, too.
2. *Zero behind the barrier.* Rank 0 lowers it behind TPB#0 of the next iteration, which every rank reaches after its forward:
   "all have finished" needs no counter and no barrier of its own.
3. *TPB#0 as in B'*, so that rank 0 cannot announce a batch to a rank that still has to look in the iteration before (H2).
4. *One owner of the announcement.* Rank 0 stores what it saw, between TPB#0 and TPB#1, every iteration; the last reader no
   longer takes it back, so its zero cannot overwrite a fresh one (facts 4.4-5), and TPB#2' has no purpose left.
5. *TPB#2 and TPB#1b are gone*: a rank without work goes to TPB#0. Two barriers an iteration, where B' has three or four.
6. *get_tasks gives a batch to a rank once* (facts 9.4), which makes H2b impossible by itself.

The gate looks at the queue without the lock (#5376) and then at the signal, in the mixed role as well.

Every other guard and effect of the repaired loop is needed by some property (each was dropped in turn). Not needed, because
implied: that `put_tasks` waits for the read flags (the gate has seen an empty queue), point 6 (after point 3), and the
collective of a `sync` forward. They stay, for callers of the queue that no gate stands before.

Cost against B: none in barriers; the signal falls when the slowest rank has arrived at TPB#0, which is what it should say.
Alternatives: a signal cell per rank, loaded one after another by the gate (a cell that was down may be up again before the
last is loaded, so the loop must start over); a counter (shared memory has no atomic increment).

Where the model says more than the facts did:

- *Stale announcement.* Facts 4.4-5 has the last reader's reset overwrite a fresh announcement, which is harmless. The reverse
  is not: rank 0, through a forward that did not block, loads the queue's register while another rank has yet to read;
  that rank reads, empties the queue and takes the announcement back; then rank 0 announces. All go to an empty queue: in
  B the assertion of #6680 kills them, in A and B one may meet the next batch there and the other not. It takes no experts
  (so H2 is not theirs alone), and it is impossible where EPB or TPB#0 keeps rank 0 from looking before all have read.
- *Write conflict.* In B it needs a forward that does not block, and experts that do not meet before it; B' never has it.
- *Early zero* needs nothing: with a `sync` forward it lies between one rank's return from the last collective and another's.
- In the mixed role of B' nobody loads the signal: a schedule during a forward is by design there, and every store is lost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...combine import all_of, any_of
from ...errors import DefinitionError
from ...machine import Machine
from ...properties import Property, always, deadlock, leads_to, lost_store, never, sometimes, write_conflict
from ...system import System
from ...types import BOOL, Index, Optional, Range
from ...variable import Variable, barrier, private, register
from ..arguments import one_of
from .engine_worker_queue import EngineWorkerQueue
from .gate import Gate, gate_machine
from .witness import Witness
from .worker import Worker, WorkerTable

VARIANTS = ("A", "B", "B'", "repaired")
ROLES = ("mixed", "prefill")
FORWARDS = ("sync", "async")
WRAP = 3
"""Batch numbers when batches never end: at most two are under way, the third tells a repetition from a successor."""


def build(
    variant: str = "repaired",
    ranks: int = 2,
    role: str = "mixed",
    forward: str = "sync",
    expert_parallel: bool = False,
    batches: int | None = 2,
    loop_top_barrier: bool = True,
    decode_steps: int = 1,
) -> System:
    """The system of one data-parallel instance.

    Args:
        variant: A (before #6680), B (#6680), B' (its follow-ups) or repaired.
        ranks: tensor-parallel ranks.
        role: mixed or prefill. forward: sync (ends in a collective that blocks the CPU) or async.
        expert_parallel: mixture of experts: idle ranks run empty forwards, or meet at EPB with the prefill role.
        batches: how many the engine schedules; None for no end, with numbers that wrap.
        loop_top_barrier: False takes away TPB#0 and TPB#1, to show what they are for.
        decode_steps: forwards after a batch's own, in the mixed role without experts.

    Raises:
        DefinitionError: an unknown choice or a bound that is too small, naming what there is.
    """
    _validate(variant, ranks, role, forward, batches, decode_steps)
    index = Index("rank", ranks)
    numbers = Range(0, (WRAP if batches is None else batches) - 1)
    queue = EngineWorkerQueue.create(index, numbers)
    signal = None if variant == "A" else register("forward_signal", BOOL, cite="engine_forward_signal; facts 1.2: FWD")
    decodes = role == "mixed" and not expert_parallel and decode_steps > 0
    witness = Witness.create(index, numbers)
    table = WorkerTable(
        variant,
        role,
        forward,
        expert_parallel,
        loop_top_barrier,
        decode_steps,
        index,
        queue,
        announced=register("batch_announced", BOOL, cite="exist_task_signal or read_finish_flag; facts 1.2: XT, RF"),
        batch=private("worker_batch", Optional(numbers), over=index),
        steps=private("worker_decode_steps", Range(0, decode_steps), over=index) if decodes else None,
        forward_signal=signal,
        barrier=barrier("tensor_barrier", ranks, kind="sense", cite="facts 4: TPB"),
        forward_barrier=barrier("forward_barrier", ranks, kind="sense", cite="facts 9.2: SYNC"),
        expert_barrier=barrier("expert_barrier", ranks, kind="sense", cite="facts 4: EPB"),
        witness=witness,
    )
    worker = table.machine()
    watched = None if variant == "B'" and role == "mixed" else signal
    gate = gate_machine(variant, expert_parallel, queue, watched, numbers, batches)
    properties = _properties(gate, worker, table, signal)
    return System("forward_signal", [gate, worker], properties, doc=__doc__ or "")


def _validate(variant: str, ranks: int, role: str, forward: str, batches: int | None, decode_steps: int) -> None:
    one_of(VARIANTS, variant=variant)
    one_of(ROLES, role=role)
    one_of(FORWARDS, forward=forward)
    if ranks < 1:
        raise DefinitionError(f"ranks={ranks}: needs at least one rank")
    if batches is not None and batches < 1:
        raise DefinitionError(f"batches={batches}: give at least one, or None for no end")
    if decode_steps < 0:
        raise DefinitionError(f"decode_steps={decode_steps}: give zero or more")


def _properties(gate: Machine, worker: Machine, table: WorkerTable, signal: Variable | None) -> list[Property]:
    index, queue, witness, batch = table.ranks, table.queue, table.witness, table.batch
    scheduling = gate.at() == Gate.SCHEDULING
    checking = gate.at().is_in(Gate.CHECKING, Gate.CHECKING_FORWARD)
    working = any_of(index, lambda r: ~batch[r].is_none)
    first_read = all_of(index, lambda r: witness.next_batch[r] == 1)
    all_hold = all_of(index, lambda r: (~batch[r].is_none) & (batch[r] == batch[0]))
    failed = any_of(index, lambda r: worker.at(r) == Worker.FAILED)
    # fmt: off
    properties = [
        never("no_schedule_during_forward", scheduling & working, "P3: schedule() does not run while a rank has a batch whose forward is not over"),
        sometimes("some_schedule_after_forward", scheduling & first_read & ~working, "the first batch is done with, and the gate is open again"),
        always("same_batch_per_iteration", ~witness.is_divided(), "P2: all ranks work on the same batch in one iteration"),
        sometimes("some_batch_held_by_every_rank", all_hold, "every rank is at work on one batch"),
        always("each_batch_read_once", ~witness.misread, "P1: every rank reads every batch once, in put order"),
        sometimes("some_batch_read_by_every_rank", first_read, "every rank has read the first batch"),
        never("no_worker_fails", failed, "the assertion that a batch was read holds"),
        deadlock(),
        leads_to("gate_opens", checking, scheduling, about="P11: a closed gate opens again"),
        leads_to("batch_is_read", ~queue.tasks.empty, queue.tasks.empty, about="a batch that was put is read by every rank"),
        write_conflict(table.announced),
    ]
    # fmt: on
    if table.forwards_without_batch:
        goes_on = "a rank that decodes, or whose peers of other instances wait for it, runs its next forward"
        properties.append(leads_to("work_goes_on", *_next_forward(worker, table), each=index, about=goes_on))
    if signal is None:
        return properties
    lowering = any_of(index, lambda r: worker.at(r).is_in(Worker.FINISHED, Worker.AT_IDLE_BARRIER, Worker.AT_TOP_BARRIER))
    return [
        *properties,
        write_conflict(signal),
        lost_store(signal),
        never("no_late_zero", witness.late_zero, "no rank lowers the signal that was raised for a batch it has yet to read"),
        sometimes("some_zero_after_one", signal & lowering, "the signal is up, and a rank is about to lower it"),
    ]


def _next_forward(worker: Machine, table: WorkerTable) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """That a rank with work begins an iteration, and that it is in a forward."""
    steps = table.steps

    def begins(rank: Any) -> Any:
        at_top = worker.at(rank) == table.top
        return at_top if steps is None else at_top & (steps[rank] > 0)

    return begins, lambda rank: worker.at(rank) == Worker.FORWARDING
