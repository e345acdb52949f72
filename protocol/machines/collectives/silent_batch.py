"""A batch that only stops requests, and a worker that has nothing left to run (H11).

The engine frees the slot of an aborted or preempted request when the worker's output says so: a -9 in its slot (facts 6.5).
Without experts a worker in which nothing is left to run skips its forward (W8), and before #7633 a skipped forward has no
output. So when the only running request is stopped, no -9 comes: the request stays in `to_be_aborted` (or
`to_be_rescheduled`), its slot is lost, and a pause that waits for it gives up after 60 s. The next request that runs
brings a forward, an output and the -9.

Request 0 runs and is stopped at some time; request 1 is absent, or runs all the time, or comes later. One rank: outputs are
rank 0's. A message of the output channel says whether slot 0 has its -9; tokens change nothing here.
"""

from __future__ import annotations

from enum import IntEnum

from ...machine import Machine, Row
from ...properties import Property, leads_to, sometimes
from ...system import System
from ...types import BOOL, Enum, Index
from ...variable import Lock, channel, locked, private
from ..arguments import one_of

VARIANTS = ("before-7633", "since-7633")
OTHERS = ("absent", "runs", "comes")


class Request(IntEnum):
    """The resource manager's view: not there, waiting, running, told to stop (TBA or TBR), or free of its slot."""

    ABSENT, WAITING, RUNNING, STOPPING, STOPPED = range(5)


class Task(IntEnum):
    """What a batch says of a slot."""

    NOTHING, RUN, STOP = range(3)


class Engine(IntEnum):
    """The SCHED thread is ..."""

    SCHEDULING, PUTTING = range(2)


class Worker(IntEnum):
    """The rank is ..."""

    READING, STEPPING = range(2)


class Reader(IntEnum):
    """The token processor is ..."""

    RECEIVING = 0


def build(variant: str = "since-7633", other: str = "absent") -> System:
    """The system of one instance with one rank and two slots.

    Args:
        variant: before #7633, a step with nothing to run has no output; since, it has one when a slot was stopped.
        other: request 1 is absent, runs, or comes.

    Raises:
        DefinitionError: an unknown choice, naming what there is.
    """
    one_of(VARIANTS, variant=variant)
    one_of(OTHERS, other=other)
    slots = _Slots(other)
    engine, worker, reader = _engine(slots), _worker(slots, variant == "since-7633"), _reader(slots)
    return System("silent_batch", [engine, worker, reader], _properties(slots), doc=__doc__ or "")


class _Slots:
    """Two requests in their slots: what the engine knows, what the batch says, what the worker runs."""

    def __init__(self, other: str):
        second = {"absent": Request.ABSENT, "runs": Request.RUNNING, "comes": Request.WAITING}[other]
        self.slot = Index("slot", 2)
        self.manager, self.queue = Lock("manager_lock", cite="facts 6.2: RM.lock"), Lock("queue_lock", cite="facts 2.2: L")
        self.request = locked("request_state", Enum(Request), self.manager, over=self.slot, init=lambda s: (Request.RUNNING, second)[s])
        self.batch = private("engine_batch", Enum(Task), over=self.slot)
        self.tasks = locked("queue_tasks", Enum(Task), self.queue, over=self.slot, cite="facts 2.2: Q")
        self.filled = locked("queue_full", BOOL, self.queue, cite="facts 2.2: Q holds a batch that has not been read")
        self.active = private("slot_active", BOOL, over=self.slot, init=lambda s: (True, other == "runs")[s])
        self.preempted = private("slot_preempted", BOOL)
        self.outputs = channel("step_outputs", BOOL, 2, cite="facts 9.1: OUTQ; does slot 0 have its -9?")


def _engine(s: _Slots) -> Machine:
    """schedule() stops request 0 when its client or a pause wants it, and starts request 1 when it waits."""
    e, request, batch = Engine, s.request, s.batch
    stop = [request[0].set(Request.STOPPING), batch[0].set(Task.STOP)]
    start = [request[1].set(Request.RUNNING), batch[1].set(Task.RUN)]
    put = [s.tasks[0].set(batch[0]), s.tasks[1].set(batch[1]), s.filled.set(True), batch[0].set(Task.NOTHING), batch[1].set(Task.NOTHING)]
    may_stop, may_start = request[0] == Request.RUNNING, request[1] == Request.WAITING
    # fmt: off
    rows = [
        Row("stop_request",  e.SCHEDULING, e.PUTTING,    may_stop,  stop,  "prefill", under=s.manager, decided="decided", cite="facts 6.3 S1, 3.8"),
        Row("start_request", e.SCHEDULING, e.PUTTING,    may_start, start, "prefill", under=s.manager, decided="decided", cite="facts 6.3 S3"),
        Row("put_batch",     e.PUTTING,    e.SCHEDULING, ~s.filled, put,   "prefill", under=s.queue,   cite="facts 2.2: put_tasks"),
    ]
    # fmt: on
    return Machine("engine", e, rows, final=e.SCHEDULING, doc="SCHED: what it puts into a batch")


def _worker(s: _Slots, emits: bool) -> Machine:
    """Reads a batch when there is one, and steps; a step without anything to run is skipped, or has an output all the same."""
    w, tasks, active, preempted = Worker, s.tasks, s.active, s.preempted
    insert = [active[0].set(active[0] & (tasks[0] != Task.STOP)), active[1].set(active[1] | (tasks[1] == Task.RUN))]
    insert += [preempted.set(preempted | (tasks[0] == Task.STOP)), s.filled.set(False)]
    runs = active[0] | active[1]
    speaks = runs | preempted if emits else runs
    out = [s.outputs.send(preempted), preempted.set(False)]
    # fmt: off
    rows = [
        Row("read_batch",    w.READING,  w.STEPPING, s.filled,  insert, "worker", under=s.queue, cite="facts 4.5"),
        Row("find_no_batch", w.READING,  w.STEPPING, ~s.filled, [],     "worker", under=s.queue, cite="facts 4.1 W6"),
        Row("step",          w.STEPPING, w.READING,  speaks,    out,    "worker", cite="#7633; facts 4.1 W10, 4.5"),
        Row("skip_step",     w.STEPPING, w.READING,  ~speaks,   [],     "worker", poll=True, cite="facts 4.1 W8; H11"),
    ]
    # fmt: on
    return Machine("worker", w, rows, final=(w.READING, w.STEPPING), doc="the event loop of the rank, as far as its outputs go")


def _reader(s: _Slots) -> Machine:
    """TOK: a -9 of a request that is to stop frees its slot."""
    t, request, head = Reader, s.request, s.outputs.head
    free = [s.outputs.receive(), request[0].set(Request.STOPPED)]
    frees = head & (request[0] == Request.STOPPING)
    rows = [
        Row("free_slot", t.RECEIVING, None, frees, free, "prefill", under=s.manager, cite="facts 6.5"),
        Row("credit_tokens", t.RECEIVING, None, ~frees, [s.outputs.receive()], "prefill", under=s.manager, cite="facts 6.5"),
    ]
    return Machine("token_processor", t, rows, final=t.RECEIVING, doc="TOK: blocks on the outputs")


def _properties(s: _Slots) -> list[Property]:
    stopping, stopped = s.request[0] == Request.STOPPING, s.request[0] == Request.STOPPED
    return [
        leads_to("stopped_request_is_freed", stopping, stopped, about="P14: an abort or a preemption releases its slot"),
        sometimes("some_request_freed", stopped, "a request that was to stop has left its slot"),
    ]
