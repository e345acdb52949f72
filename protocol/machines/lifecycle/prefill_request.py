"""A prefill request in the resource manager: held, granted, registered, computed chunk by chunk, sent, finished in two steps.

    ABSENT -> (QUEUED ->) HELD -> GRANTED -> REGISTERED -> RUNNING -> PREFILLED -> (SENT ->) (ENDING ->) GONE
    HELD -> GONE when D refuses or preprocessing fails
    RUNNING or PREFILLED -> PREEMPTED -> WAITING -> RUNNING; ours: RUNNING -> PREEMPTED -> RUNNING, RUNNING -> ABORTING -> GONE

QUEUED exists where a preallocation is a message to `schedule()` (V2). In the published code a request whose first token went to D
stays in `running` until FIN comes, which gives the slot back (ENDING) and then the blocks; in ours it is SENT, and freed once. Ours has no
WAITING: a request that was stopped keeps its blocks, which the messager knows, and begins again; that nothing waits on P is so because no
row leads there.
"""

from __future__ import annotations

from enum import IntEnum

from ...machine import Machine, Row
from ...types import Index
from ...variable import Lock


class Prefill(IntEnum):
    """The request is ..."""

    ABSENT, QUEUED, HELD, GRANTED, REGISTERED, RUNNING, PREFILLED, PREEMPTED, WAITING, SENT, ABORTING, ENDING, GONE = range(13)


IN_RUNNING = (Prefill.RUNNING, Prefill.PREFILLED)
WITHOUT_BLOCKS = (Prefill.ABSENT, Prefill.QUEUED, Prefill.GONE)


def prefill_machine(request: Index, lock: Lock, ours: bool, queues: bool, spares: bool) -> Machine:
    """The machine, guarded by RM.lock; `queues`: a preallocation is a message; `spares`: who was computed is not preempted."""
    s = Prefill
    # fmt: off
    rows = [
        *([Row("query", s.ABSENT, s.QUEUED,   cite="V2: _sync_query")] if queues else []),
        Row("hold",       s.QUEUED if queues else s.ABSENT, s.HELD, cite="6.4: preallocate_resource_in_p"),
        Row("grant",      s.HELD,       s.GRANTED,    cite="6.4: D's answer"),
        Row("fail",       s.HELD,       s.GONE,       cite="6.4: refused, or preprocessing failed; pre_recycle"),
        Row("register",   s.GRANTED,    s.REGISTERED, cite="6.4: cache info sent"),
        Row("add",        s.REGISTERED, s.RUNNING,    cite="6.4: add_request_in_p"),
        Row("last_chunk", s.RUNNING,    s.PREFILLED,  cite="7.1: computed >= need"),
        Row("stopped",    s.PREEMPTED,  s.RUNNING if ours else s.WAITING, cite="6.5: -9; ours: begins again, with its blocks"),
    ]
    if ours:
        rows += [
            Row("preempt",    s.RUNNING if spares else IN_RUNNING, s.PREEMPTED, cite="ours: what is computed is sent"),
            Row("abort",      s.RUNNING,    s.ABORTING,   cite="ours: H12; nothing is computed of it any more"),
            Row("stopped",    s.ABORTING,   s.GONE,       cite="ours: freed when the worker has stopped"),
            Row("sent",       s.PREFILLED,  s.SENT,       cite="6.4: send_first_token"),
            Row("finish",     s.SENT,       s.GONE,       cite="6.4: FIN; ours: once"),
        ]
    else:
        rows += [
            Row("preempt",    IN_RUNNING,   s.PREEMPTED,  cite="7.1: _trigger_preempt; 9.8: preempted_all"),
            Row("admit",      s.WAITING,    s.RUNNING,    cite="7.1: PREEMPTED, the same again"),
            Row("sent", (s.PREFILLED, s.PREEMPTED, s.ENDING, s.GONE), None, cite="6.4: send_first_token"),
            Row("finish", (*IN_RUNNING, s.PREEMPTED), s.ENDING, cite="6.4: FIN, slot"),
            Row("free",       s.ENDING,     s.GONE,       cite="6.4: FIN, blocks"),
        ]
    # fmt: on
    return Machine("request", s, rows, copies=request, passive=True, lock=lock, doc="A prefill request in the resource manager (6.4).")
