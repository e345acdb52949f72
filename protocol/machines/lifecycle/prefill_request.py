"""A prefill request in the resource manager: prepared with slot and blocks, scheduled chunk by chunk, sent, finished.

    ABSENT -> (QUEUED ->) HELD -> RUNNING -> PREFILLED -> SENT -> GONE, RUNNING or PREFILLED -> PREEMPTED -> WAITING -> RUNNING
    ours: RUNNING -> PREEMPTED -> RUNNING, RUNNING -> ABORTING -> GONE

QUEUED exists where a preallocation is a message to `schedule()` (V2). SENT exists in ours only: in the published code a
request whose first token went to D stays in `running` until FIN comes. Ours has no WAITING: a request that was stopped keeps its
blocks, which the messager knows, and begins again; that nothing waits on P is so because no row leads there.
"""

from __future__ import annotations

from enum import IntEnum

from ...machine import Machine, Row
from ...types import Index
from ...variable import Lock


class Prefill(IntEnum):
    """The request is ..."""

    ABSENT, QUEUED, HELD, RUNNING, PREFILLED, PREEMPTED, WAITING, SENT, GONE, ABORTING = range(10)


IN_RUNNING = (Prefill.RUNNING, Prefill.PREFILLED)


def prefill_machine(request: Index, lock: Lock, ours: bool) -> Machine:
    """The machine, guarded by RM.lock."""
    s = Prefill
    # fmt: off
    rows = [
        Row("query",      s.ABSENT,    s.QUEUED,    cite="V2: _sync_query"),
        Row("hold",       (s.ABSENT, s.QUEUED), s.HELD, cite="6.4: preallocate_resource_in_p"),
        Row("add",        s.HELD,      s.RUNNING,   cite="6.4: add_request_in_p"),
        Row("last_chunk", s.RUNNING,   s.PREFILLED, cite="7.1: computed >= need"),
        Row("preempt",    IN_RUNNING,  s.PREEMPTED, cite="7.1: _trigger_preempt; 9.8: preempted_all"),
        Row("stopped",    s.PREEMPTED, s.RUNNING if ours else s.WAITING, cite="6.5: -9; ours: begins again, with its blocks"),
    ]
    # fmt: on
    if ours:
        rows += [
            Row("abort", s.RUNNING, s.ABORTING, cite="ours: H12; nothing is computed of it any more"),
            Row("stopped", s.ABORTING, s.GONE, cite="ours: freed when the worker has stopped"),
            Row("sent", s.PREFILLED, s.SENT, cite="6.4: send_first_token"),
            Row("finish", s.SENT, s.GONE, cite="6.4: FIN"),
        ]
    else:
        rows += [
            Row("admit", s.WAITING, s.RUNNING, cite="7.1: PREEMPTED, the same again"),
            Row("sent", (*IN_RUNNING, s.PREEMPTED, s.WAITING, s.GONE), None, cite="6.4: send_first_token"),
            Row("finish", (*IN_RUNNING, s.PREEMPTED), s.GONE, cite="6.4: FIN"),
        ]
    return Machine("request", s, rows, copies=request, passive=True, lock=lock, doc="A prefill request in the resource manager (6.4).")
