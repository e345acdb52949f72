"""A request in the resource manager: one passive machine for all threads, with no state left in a side set.

What the published code keeps in `to_be_rescheduled`, `waiting_abort` and `to_be_aborted` are states: PREEMPTED is the first, the
states that end in ASKED are the second, ABORTING is the third. `running` holds READY, RUNNING and RUNNING_ASKED, `waiting` WAITING and AGAIN (and
both ASKED), `requests` all but ABSENT, ENDING and GONE. FINISHING exists in ours only: in the published code a request whose last token
was credited stays in `running`, and that it is about to end is known to nobody but a job in the queue of FIN.

    mixed:  ABSENT -> WAITING -> RUNNING -> (FINISHING) -> ENDING -> GONE, RUNNING -> PREEMPTED -> AGAIN -> RUNNING
    decode: ABSENT -> RESERVED -> READY -> RUNNING -> ..., RUNNING -> GONE when preempted

A row that stays in its state is a thread's step that finds nothing to do there; what is not listed cannot happen.
"""

from __future__ import annotations

from enum import IntEnum

from ...machine import Machine, Row
from ...types import Index
from ...variable import Lock
from .variants import Variant


class Stage(IntEnum):
    """The request is ..."""

    ABSENT, WAITING, RESERVED, READY, RUNNING, PREEMPTED, AGAIN, ABORTING, FINISHING, ENDING, ERRORED, GONE = range(12)
    WAITING_ASKED, RUNNING_ASKED, PREEMPTED_ASKED, AGAIN_ASKED = range(12, 16)


ASKED = {
    Stage.WAITING: Stage.WAITING_ASKED,
    Stage.RUNNING: Stage.RUNNING_ASKED,
    Stage.PREEMPTED: Stage.PREEMPTED_ASKED,
    Stage.AGAIN: Stage.AGAIN_ASKED,
}
"""Where an abort that waits for somebody is noted (`waiting_abort`)."""
IN_RUNNING = (Stage.READY, Stage.RUNNING, Stage.RUNNING_ASKED)
IN_WAITING = (Stage.WAITING, Stage.WAITING_ASKED, Stage.AGAIN, Stage.AGAIN_ASKED)
PREEMPTED = (Stage.PREEMPTED, Stage.PREEMPTED_ASKED)
FORGOTTEN = (Stage.ABSENT, Stage.ENDING, Stage.GONE)
"""Not in `requests`."""
OVER = (Stage.ABSENT, Stage.GONE)


def request_machine(request: Index, lock: Lock, variant: Variant, role: str) -> Machine:
    """The machine of one role, guarded by RM.lock."""
    rows = [*(_mixed(variant) if role == "mixed" else _decode()), *_ends(variant)]
    return Machine("request", Stage, rows, copies=request, passive=True, lock=lock, doc="A request in the resource manager (6.4).")


def _mixed(variant: Variant) -> list[Row]:
    s = Stage
    kept = () if variant.owns_aborts else (Row("admit", s.WAITING_ASKED, s.RUNNING_ASKED, cite="H12"),)
    again = () if variant.owns_aborts else (Row("admit", s.AGAIN_ASKED, s.RUNNING_ASKED, cite="H12"),)
    # fmt: off
    rows = [
        Row("post",       s.ABSENT,          s.WAITING,         cite="6.4: add_request"),
        Row("post",       s.GONE,            s.WAITING,         cite="the same id again"),
        Row("admit",      s.WAITING,         s.RUNNING,         cite="6.3 S3"),
        Row("admit",      s.AGAIN,           s.RUNNING,         cite="6.3 S3: head PREEMPTED"),
        Row("preempt",    s.RUNNING,         s.PREEMPTED,       cite="6.3 S2: to_be_rescheduled"),
        Row("reschedule", s.PREEMPTED,       s.AGAIN,           cite="6.5: -9 and to be rescheduled"),
        Row("reschedule", s.PREEMPTED_ASKED, s.AGAIN_ASKED,     cite="6.5"),
        Row("fail",       s.WAITING,         s.ERRORED if variant.forgets_errors else s.GONE, cite="6.3 S3: error_tasks; H15"),
    ]
    # fmt: on
    return [*rows, *kept, *again]


def _decode() -> list[Row]:
    s = Stage
    return [
        Row("post", s.ABSENT, s.RESERVED, cite="8.1: preallocate_resource_in_d"),
        Row("post", s.GONE, s.RESERVED, cite="the same id again"),
        Row("add", s.RESERVED, s.READY, cite="8.2: add_prefilled_request"),
        Row("admit", s.READY, s.RUNNING, cite="6.4: a prefill task of one token"),
        Row("preempt", (s.READY, s.RUNNING), s.GONE, cite="6.3 S2: decode, deleted at once; H10"),
    ]


def _ends(variant: Variant) -> list[Row]:
    s = Stage
    alive = (s.RUNNING, s.RUNNING_ASKED)
    rows = [
        *(
            Row("abort", source, asked, cite="6.4: waiting_abort")
            for source, asked in ASKED.items()
            if not (variant.owns_aborts and source in IN_WAITING)
        ),
        Row("stop", (s.RUNNING_ASKED,), s.ABORTING, cite="6.3 S1: trigger_abort"),
        Row("recycle", s.ABORTING, s.GONE, cite="6.5: recycle_abort_task"),
        Row("free", s.ENDING, s.GONE, cite="6.4: FIN, blocks"),
    ]
    if variant.owns_aborts:
        rows += [
            Row("abort", IN_WAITING, s.GONE, cite="ours: who waits goes at once"),
            Row("recycle", s.PREEMPTED_ASKED, s.GONE, cite="ours: it was stopped, so it ends here"),
        ]
    if variant.ends_at_once:
        return [
            *rows,
            Row("last", (*alive, *PREEMPTED, s.ABORTING), s.FINISHING, cite="ours: nobody stops what has ended"),
            Row("finish", s.FINISHING, s.GONE if variant.frees_once else s.ENDING, cite="6.4: FIN"),
        ]
    return [*rows, Row("finish", (*alive, *PREEMPTED, s.ABORTING), s.ENDING, cite="6.4: FIN, slot")]
