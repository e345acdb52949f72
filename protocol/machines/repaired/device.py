"""The device of a rank, where its loop does not wait for the kernels (EW-ASYNC): a stream of launched forwards, one behind the other.

What the host says of a forward it says too early then: that it is over, at the next meeting of the loops, and that a request is withdrawn,
past the signals of its last kernels. So the stream says both, behind the kernels: a withdrawal is launched like a chunk, and rank 0's
stream lowers the forward signal behind the last layer's collective, at which every rank arrives with its last layer written. The signal
that is lowered is that of this forward: the gate puts no other batch while it is up.

The stream's collectives are a group of their own, and its work comes in the order of the launches, which is that of the batches.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import me
from ...effect import each, when
from ...expr import TRUE
from ...machine import Machine, Row
from .forward import Work, forward_rows
from .plane import Plane, field

_row = partial(Row, actor="worker")


class Device(IntEnum):
    """The stream is ..."""

    IDLE, COMPUTING, WRITTEN, SIGNALLED, MEETING, LOWERING = range(6)


def launch_rows(p: Plane, work: Work, computing: IntEnum, starting: IntEnum) -> list[Row]:
    """The host hands what it has read to the stream, and goes on."""
    launched = TRUE if p.rules.speaks_in_stream else ~work.withdraws
    load = [work.update.set(False)] if p.bounds.control else []
    item = p.work(tasks=work.tasks, update=work.update if p.bounds.control else False)
    launch = [p.stream[work.rank].send(item), when(work.forwards, p.kernels_due[work.rank].add(1)), *work.forget, *load]
    rows = [_row("launch", computing, starting, launched, launch, cite="engine_worker facts 9.2: ASYNC")]
    if not p.rules.speaks_in_stream:
        rows.append(_row("signal_withdrawals", computing, starting, work.withdraws, [*work.signal(p), *work.forget], cite="ours, too early"))
    return rows


def device(p: Plane) -> Machine:
    """P.G[r]: the rank's stream (cache_handshake facts 1.1)."""
    r, d, work = me(p.rank), Device, Work(p, "device")
    head = p.stream[r].head
    take: list[Any] = [each(p.request, lambda q: work.task(q).set(field(head.tasks, q))), p.stream[r].receive()]
    if p.bounds.control:
        take.append(work.update.set(head.update))
    rows = [
        _row("take_work", d.IDLE, d.COMPUTING, TRUE, take, cite="cache_handshake facts 6.2 w2: in stream order"),
        *forward_rows(p, work, d, d.LOWERING, p.stream_met, [p.stream_met.arrive()]),
    ]
    if p.rules.speaks_in_stream:
        lower = [p.forward_signal.set(False)]
        rows.append(_row("lower_forward", d.LOWERING, d.IDLE, r == 0, lower, cite="ours: zero behind the last layer's collective"))
    rows.append(_row("end_work", d.LOWERING, d.IDLE, r != 0 if p.rules.speaks_in_stream else TRUE, []))
    return Machine("device", d, rows, copies=p.each_rank, final=d.IDLE, process=p.worker_process, doc="P.G[r]: the rank's stream of kernels.")
