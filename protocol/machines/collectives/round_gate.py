"""The gate of each instance's engine in a round, and who stops an engine or puts its workers to sleep.

As `signalling/gate.py`, with a copy per instance. An engine is *stopped* when it is paused, when its SCHED thread has died of a
RuntimeError, or when it hangs in a put: all that its peers see of it is that no batch comes. It is found stopped at the
top of its loop. A pause ends when somebody resumes; the others never end.

Control requests come from another thread of the engine (ZMQ-in) that no gate holds up: it waits for the read flags only.
"""

from __future__ import annotations

from enum import IntEnum

from ...combine import choice, me
from ...machine import Machine, Row
from .loop import Batch, Round


class Gate(IntEnum):
    """The SCHED thread is ..."""

    CHECKING, CHECKING_FORWARD, SCHEDULING, PUTTING, PUTTING_EMPTY, GAVE_UP = range(6)


class Operator(IntEnum):
    """Somebody who may stop one engine: nothing is stopped, one is, or it has been resumed."""

    WATCHING, STOPPED, RESUMED = range(3)


class Control(IntEnum):
    """A control request was not yet, was, or was and is taken back."""

    QUIET, SENT, ENDED = range(3)


class Fault(IntEnum):
    """No rank, or one rank has died."""

    NONE, ONE = range(2)


def gate_machine(system: Round, traffic: str) -> Machine:
    """The gate of every instance. With traffic "first", requests come to instance 0 only."""
    g, queues, loop = Gate, system.queues, system.loop
    own = me(system.instances)
    runs = ~system.stopped[own]
    after = g.CHECKING if system.forward_signal is None else g.CHECKING_FORWARD
    opened = g.SCHEDULING if system.forward_signal is None else after
    rows = []
    if loop.counts:
        empty, lock, cite = queues.is_empty, queues.own_lock, "facts 3.2 B3: num_tasks"
        rows.append(Row("find_queue_empty", g.CHECKING, opened, runs & empty, [], "prefill", under=lock, cite=cite))
    else:
        rows.append(Row("find_queue_empty", g.CHECKING, opened, runs & ~queues.exist_tasks, [], "prefill", cite="#5376; facts 3.1 A2, 3.3"))
    if system.forward_signal is not None:
        up, cite = system.forward_signal[own], "#6680; facts 3.2 B3"
        rows += [
            Row("find_forward_over", g.CHECKING_FORWARD, g.SCHEDULING, ~up, [], "prefill", cite=cite),
            Row("find_forward_running", g.CHECKING_FORWARD, g.CHECKING, up, [], "prefill", poll=True, cite=cite),
        ]
    arrives = True if traffic == "all" else own == 0
    nothing = g.PUTTING_EMPTY if loop.pushes_empty else g.CHECKING
    ready, lock, cite = queues.is_read_by_all, queues.own_lock, "facts 2.2: put_tasks"
    rows += [
        Row("schedule", g.SCHEDULING, g.PUTTING, arrives, [], "prefill", decided="decided", cite="facts 3.1 A5"),
        Row("schedule_nothing", g.SCHEDULING, nothing, True, [], "prefill", decided="decided", cite="#6680; facts 3.1 A8, 3.2 B5"),
        Row("put_batch", g.PUTTING, g.CHECKING, ready, queues.put(Batch.REQUESTS), "prefill", under=lock, cite=cite),
    ]
    if loop.pushes_empty:
        put = queues.put(Batch.EMPTY)
        rows.append(Row("put_empty_batch", g.PUTTING_EMPTY, g.CHECKING, ready, put, "prefill", under=lock, cite="#6680; facts 3.2 B5"))
    process = None if system.fate is None else system.fate.engine
    if loop.gives_up and system.process is not None and process is None:
        waits = (g.CHECKING, g.CHECKING_FORWARD, g.PUTTING)
        rows.append(Row("give_up", waits, g.GAVE_UP, runs, [], "prefill", decided="timer", cite="ours: one terminal answer; H6, H-34"))
        return Machine("gate", g, rows, copies=system.instances, final=g.GAVE_UP, doc="the engine's thread that schedules and puts batches")
    return Machine("gate", g, rows, copies=system.instances, process=process, doc="the engine's thread that schedules and puts batches")


def operator_machine(system: Round, resumes: bool) -> Machine:
    """Stops one engine, once; with `resumes` it is sure to resume it."""
    o, which = Operator, choice("instance", system.instances)
    rows = [Row("stop", o.WATCHING, o.STOPPED, True, [system.stopped[which].set(True)], "environment", choose=(which,), cite="facts 8 H5")]
    if resumes:
        stopped, again = system.stopped[which], [system.stopped[which].set(False)]
        rows.append(Row("resume", o.STOPPED, o.RESUMED, stopped, again, "environment", choose=(which,), fair="weak", cite="facts 8 H5: resume heals"))
    return Machine("operator", o, rows, environment=True, doc="who pauses an engine, or what kills its thread")


def control_machine(system: Round, wakes: bool) -> Machine:
    """Sends the workers of an instance to sleep, once; with `wakes` it is sure to wake them."""
    c, queues = Control, system.queues
    ready, lock = queues.is_read_by_all, queues.own_lock
    sleep, wake = queues.put(Batch.SLEEP), queues.put(Batch.WAKE)
    rows = [Row("put_sleep", c.QUIET, c.SENT, ready, sleep, "client", under=lock, cite="facts 3.8: control to workers")]
    if wakes:
        rows.append(Row("put_wake", c.SENT, c.ENDED, ready, wake, "client", under=lock, fair="strong", cite="facts 3.8: control to workers"))
    return Machine("control", c, rows, copies=system.instances, environment=True, doc="ZMQ-in: the thread that puts control requests")


def update_machine(system: Round, everywhere: bool, withdraws: bool) -> Machine:
    """Puts a control request that all instances are to run together, once: to every instance, or to the first only.

    With `withdraws` the engine that has waited for its answer in vain puts the withdrawal of the request.
    """
    c, queues = Control, system.queues
    ready, lock = queues.is_read_by_all, queues.own_lock
    told = ready & (True if everywhere else me(system.instances) == 0)
    put, end = queues.put(Batch.CONTROL), queues.put(Batch.WITHDRAWAL)
    rows = [Row("put_control", c.QUIET, c.SENT, told, put, "client", under=lock, fair="strong", cite="facts 3.8, 8 H5: to a subset of the instances")]
    if withdraws:
        late = Row("put_withdrawal", c.SENT, c.ENDED, ready, end, "client", under=lock, decided="timer", fair="strong", cite="ours: 60 s; H5")
        rows.append(late)
    return Machine("control", c, rows, copies=system.instances, environment=True, doc="ZMQ-in: the thread that puts control requests")


def fault_machine(system: Round) -> Machine:
    """Kills one rank, once, anywhere in its loop: an exception in it ends the process as well."""
    assert system.process is not None
    i, r = choice("instance", system.instances), choice("rank", system.ranks)
    alive, dies = system.process.is_alive(i, r), [system.process.crash(i, r)]
    rows = [Row("kill_rank", Fault.NONE, Fault.ONE, alive, dies, "environment", choose=(i, r), cite="facts 8 H6")]
    return Machine("fault", Fault, rows, environment=True, doc="what kills a rank of a worker")
