"""How many rows does the worker compute? `real_bsz` has two readers and no lock (engine_worker facts 2.2, 3.8, 4.5, 6.3).

A batch says how many rows there are: up to the highest slot in use. The worker computes so many of its rows until the next batch says
another number. The scheduling thread stores the number behind `schedule()` and loads it into its batch. In B an abort is put past it by
the control thread, which loads the same word, then waits for the mailbox. If a request in a higher slot is scheduled and read between,
the abort's batch comes behind it with the smaller number: that request's row is not computed any more, and nothing brings the number
back before another batch is put.

R and the newest versions leave the abort to `schedule()`, so there is one putter. Ours: a batch says no number; the worker knows its rows.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial

from ...expr import TRUE
from ...machine import Machine, Row
from ...properties import always, leads_to, sometimes
from ...system import System
from ...types import BOOL, Index, Range, Record
from ...variable import Lock, ghost, locked, private, unlocked
from ..arguments import one_of

VARIANTS = ("B", "one-putter", "repaired")


class Scheduler(IntEnum):
    """The scheduling thread is ..."""

    IDLE, SCHEDULED, LOADING, PUTTING, DONE = range(5)


class Control(IntEnum):
    """The control thread is ... the abort of the first request."""

    WANTING, LOADED, PUT = range(3)


class Worker(IntEnum):
    """The worker is ..."""

    READING = 0


def build(variant: str = "repaired") -> System:
    """The first request runs in slot 0 and is aborted; the second is scheduled into slot 1, and needs one step to end.

    Args:
        variant: B (the abort is put by the control thread), one-putter, repaired.

    Raises:
        DefinitionError: an unknown variant.
    """
    one_of(VARIANTS, variant=variant)
    rows_in_use, lock = Range(0, 2), Lock("queue_lock", cite="2.2: L")
    batch = Record("Batch", inserts=BOOL, aborts=BOOL, rows=rows_in_use)
    filled = locked("queue_filled", BOOL, lock, cite="2.2: Q").cell()
    queue = locked("queue", batch, lock, cite="2.2: Q").cell()
    number = unlocked("real_bsz", rows_in_use, init=1, cite="cache_handshake facts 2.1: none").cell()
    mine, control_number = private("scheduler_rows", rows_in_use).cell(), private("control_rows", rows_in_use).cell()
    runs, computed = private("row_runs", BOOL, over=Index("row", 2), init=lambda i: i == 0), private("rows_computed", rows_in_use, init=1).cell()
    ended = ghost("second_ended", BOOL).cell()
    s, c, w = Scheduler, Control, Worker.READING
    engine, abort, worker = partial(Row, actor="prefill"), partial(Row, actor="client"), partial(Row, actor="worker")
    put, one = partial(engine, under=lock, cite="2.2: put_tasks"), variant == "one-putter"
    # fmt: off
    scheduling = [
        engine("schedule",   s.IDLE,      s.SCHEDULED, TRUE, [], cite="6.3: slot 1"),
        engine("count_rows", s.SCHEDULED, s.LOADING,   TRUE, [number.set(2)], cite="6.3: get_real_bsz"),
        engine("load_rows",  s.LOADING,   s.PUTTING,   TRUE, [mine.set(number)], cite="3.1 A6"),
        put("put_batch",     s.PUTTING,   s.DONE, ~filled, [filled.set(True), queue.set(batch(inserts=True, aborts=one, rows=mine))]),
    ]
    aborting = [
        abort("load_rows", c.WANTING, c.LOADED, TRUE, [control_number.set(number)], cite="3.8: abort, B"),
        abort("put_abort", c.LOADED, c.PUT, ~filled, [filled.set(True), queue.set(batch(inserts=False, aborts=True, rows=control_number))],
              under=lock, cite="3.8: abort, B"),
    ]
    # fmt: on
    said = queue.rows if variant != "repaired" else computed
    rows_now = [computed.set(said)] if variant != "repaired" else [computed.set(2)]
    read = [filled.set(False), *rows_now]
    both = [*read, runs[1].set(True), runs[0].set(False)]
    works = runs[1] & (computed == 2)
    working = [
        worker("insert", w, w, filled & queue.inserts & ~queue.aborts, [*read, runs[1].set(True)], under=lock, cite="4.5"),
        worker("insert_and_abort", w, w, filled & queue.inserts & queue.aborts, both, under=lock, cite="4.5"),
        worker("abort", w, w, filled & ~queue.inserts, [*read, runs[0].set(False)], under=lock, cite="4.5"),
        worker("step", w, w, works, [runs[1].set(False), ended.set(True)], decided="decided", cite="4.5: rows of the batch"),
    ]
    machines = [
        Machine("scheduler", s, scheduling, final=s.DONE, doc="SCHED: counts the rows, and puts."),
        Machine("worker", Worker, working, final=w, doc="The worker: computes so many rows."),
    ]
    if not one:
        machines.insert(1, Machine("control", c, aborting, final=c.PUT, doc="ZMQ-in: puts an abort past the scheduler."))
    properties = [
        leads_to("inserted_request_ends", runs[1], ~runs[1], about="what the worker has been given is computed"),
        always("rows_cover_requests", ~runs[1] | (computed == 2), about="the worker computes every row that has a request"),
        sometimes("some_request_ends", ended, about="twin"),
    ]
    return System("batch_rows", machines, properties, doc=__doc__ or "")
