"""The gate: the engine's SCHED thread, which decides when `schedule()` may run and puts its batch into the queue.

One machine, four tables (facts section 3, state-machine table of section 10). One row loads one cell:

- A (before #6680, and again after #7791): open when the queue is empty, that is when every rank has *read* the last batch.
- B (#6680): open when the queue is empty (`num_tasks`, under the lock) and then the forward signal is down, in every role.
- B' (its follow-ups): the queue is looked at without the lock (`exist_tasks`), and the signal only outside the mixed role.
- repaired: as B', in every role.

The order of the two looks matters and is the same everywhere: the queue first. A rank raises the signal before it reads,
and the queue is empty only when every rank has read; so a signal loaded after an empty queue is loaded after the raise.

`schedule` and `schedule_nothing` are decided by the workload. From #6680 on an expert-parallel engine
that has nothing to schedule puts an empty batch, so that every data-parallel instance runs the same number of forwards; to
this machine an empty batch is a batch. Fetching requests, pausing, error replies and the 1 and 5 ms sleeps change none of the
variables here and are left out.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from ...combine import if_else
from ...machine import Machine, Row
from ...types import Range
from ...variable import Variable, private
from .engine_worker_queue import EngineWorkerQueue


class Gate(IntEnum):
    """The SCHED thread is ..."""

    CHECKING, CHECKING_FORWARD, SCHEDULING, PUTTING, DONE = range(5)


def gate_machine(
    variant: str,
    expert_parallel: bool,
    queue: EngineWorkerQueue,
    forward_signal: Variable | None,
    numbers: Range,
    batches: int | None,
    number: Any = None,
) -> Machine:
    """The gate of one variant. `forward_signal` is None where the gate does not look at it.

    With `batches` it stops (DONE) after so many; with None it goes on for ever and the numbers wrap. `number`: its cell for the next one's.
    """
    g = Gate
    if number is None:
        number = private("gate_next_number", Range(0, numbers.high if batches is None else numbers.high + 1))
    after_nothing = g.PUTTING if expert_parallel and variant != "A" else g.CHECKING
    # fmt: off
    rows = [
        *_looks(variant, queue, forward_signal),
        Row("schedule",         g.SCHEDULING, g.PUTTING,      True, [], "prefill", decided="decided", cite="facts 3.1 A5"),
        Row("schedule_nothing", g.SCHEDULING, after_nothing,  True, [], "prefill", decided="decided", cite="facts 3.1 A8, 3.2 B5"),
        *_puts(queue, number, numbers, batches),
    ]
    # fmt: on
    final = () if batches is None else (g.DONE,)
    return Machine("gate", g, rows, final=final, doc="the engine's thread that schedules and puts batches")


def _looks(variant: str, queue: EngineWorkerQueue, forward_signal: Variable | None) -> list[Row]:
    g = Gate
    after = g.SCHEDULING if forward_signal is None else g.CHECKING_FORWARD
    if variant == "B":
        rows = [Row("find_queue_empty", g.CHECKING, after, queue.tasks.empty, [], "prefill", under=queue.lock, cite="facts 3.2 B3: num_tasks")]
    else:
        rows = [Row("find_queue_empty", g.CHECKING, after, ~queue.filled, [], "prefill", cite="#5376; facts 3.1 A2, 3.3: exist_tasks")]
    if forward_signal is not None:
        rows += [
            Row("find_forward_over", g.CHECKING_FORWARD, g.SCHEDULING, ~forward_signal, [], "prefill", cite="#6680; facts 3.2 B3"),
            Row("find_forward_running", g.CHECKING_FORWARD, g.CHECKING, forward_signal, [], "prefill", poll=True, cite="#6680; facts 3.2 B3"),
        ]
    return rows


def _puts(queue: EngineWorkerQueue, number: Any, numbers: Range, batches: int | None) -> list[Row]:
    """`put_tasks`: wait for the lock with every read flag up, which the polling loop of the real code amounts to."""
    g = Gate
    ready, cite = queue.is_read_by_all, "facts 2.2: put_tasks"
    put = queue.put(number)
    if batches is None:
        wrapped = if_else(number == numbers.high, 0, number + 1)
        return [Row("put_batch", g.PUTTING, g.CHECKING, ready, [put, number.set(wrapped)], "prefill", under=queue.lock, cite=cite)]
    more = number < batches - 1
    return [
        Row("put_batch", g.PUTTING, g.CHECKING, ready & more, [put, number.add(1)], "prefill", under=queue.lock, cite=cite),
        Row("put_last_batch", g.PUTTING, g.DONE, ready & ~more, [put, number.add(1)], "prefill", under=queue.lock, cite=cite),
    ]
