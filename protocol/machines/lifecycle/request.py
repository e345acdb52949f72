"""A request in the resource manager: one passive machine for all threads, with no state left in a side set.

What the published code keeps in `to_be_rescheduled`, `waiting_abort` and `to_be_aborted` are states: PREEMPTED is the first, the
states that end in ASKED are the second, ABORTING is the third. `running` holds READY, PREFILLING and RUNNING, `waiting` WAITING and AGAIN (each
with its ASKED), `requests` all but ABSENT, ARRIVED, ENDING and GONE. FINISHING exists in ours only: in the published code a request whose last
token was credited stays in `running`, and that it is about to end is known to nobody but a job in the queue of FIN.

    mixed:  ABSENT -> WAITING -> (PREFILLING ->) RUNNING -> (FINISHING ->) ENDING -> GONE, RUNNING -> PREEMPTED -> AGAIN -> RUNNING
    decode: ABSENT -> ARRIVED -> RESERVED -> READY -> RUNNING -> ..., RUNNING -> GONE when preempted; ours: RUNNING -> PREEMPTED -> GONE

The prefill role has a machine of its own (`prefill_request.py`). A row that stays in its state is a thread's step that finds nothing to do
there; what is not listed cannot happen.
"""

from __future__ import annotations

from enum import IntEnum

from ...machine import Machine, Row
from ...types import Index
from ...variable import Lock
from .variants import Variant


class Stage(IntEnum):
    """The request is ..."""

    ABSENT, WAITING, ARRIVED, RESERVED, READY, PREFILLING, RUNNING, PREEMPTED, AGAIN, ABORTING, FINISHING, ENDING, ERRORED, GONE = range(14)
    WAITING_ASKED, RESERVED_ASKED, READY_ASKED, PREFILLING_ASKED, RUNNING_ASKED, PREEMPTED_ASKED, AGAIN_ASKED = range(14, 21)


ASKED = {
    Stage.WAITING: Stage.WAITING_ASKED,
    Stage.RESERVED: Stage.RESERVED_ASKED,
    Stage.READY: Stage.READY_ASKED,
    Stage.PREFILLING: Stage.PREFILLING_ASKED,
    Stage.RUNNING: Stage.RUNNING_ASKED,
    Stage.PREEMPTED: Stage.PREEMPTED_ASKED,
    Stage.AGAIN: Stage.AGAIN_ASKED,
}
"""Where an abort that waits for somebody is noted (`waiting_abort`)."""
PREFILLING = (Stage.PREFILLING, Stage.PREFILLING_ASKED)
RUNNING = (Stage.RUNNING, Stage.RUNNING_ASKED)
IN_RUNNING = (Stage.READY, Stage.READY_ASKED, *PREFILLING, *RUNNING)
IN_WAITING = (Stage.WAITING, Stage.WAITING_ASKED, Stage.AGAIN, Stage.AGAIN_ASKED)
PREEMPTED = (Stage.PREEMPTED, Stage.PREEMPTED_ASKED)
FORGOTTEN = (Stage.ABSENT, Stage.ARRIVED, Stage.ENDING, Stage.GONE)
"""Not in `requests`."""
OVER = (Stage.ABSENT, Stage.GONE)


def abortable(variant: Variant, role: str, chunks: int) -> tuple[Stage, ...]:
    """Where an abort is noted; the others are taken at once."""
    s = Stage
    prefilling = (s.PREFILLING,) if chunks > 1 else ()
    stages = (s.RESERVED, s.READY, s.RUNNING) if role == "decode" else (s.WAITING, *prefilling, s.RUNNING, s.PREEMPTED, s.AGAIN)
    return tuple(stage for stage in stages if stage not in taken_at_once(variant, role))


def taken_at_once(variant: Variant, role: str) -> tuple[Stage, ...]:
    """Where an abort ends the request itself: ours, while neither a worker nor P has it in hand."""
    return () if not variant.owns_aborts else (Stage.READY,) if role == "decode" else (Stage.WAITING, Stage.AGAIN)


def stoppable(variant: Variant, chunks: int) -> tuple[Stage, ...]:
    """Where `schedule()` acts on an abort: in the published code on who decodes."""
    return (Stage.RUNNING_ASKED, Stage.PREFILLING_ASKED) if variant.owns_aborts and chunks > 1 else (Stage.RUNNING_ASKED,)


def request_machine(request: Index, lock: Lock, variant: Variant, role: str, chunks: int) -> Machine:
    """The machine of one role, guarded by RM.lock."""
    rows = [*(_mixed(variant, chunks) if role == "mixed" else _decode(variant)), *_aborts(variant, role, chunks), *_ends(variant, role, chunks)]
    return Machine("request", Stage, rows, copies=request, passive=True, lock=lock, doc="A request in the resource manager (6.4).")


def _mixed(variant: Variant, chunks: int) -> list[Row]:
    s = Stage
    begun, begun_asked = (s.RUNNING, s.RUNNING_ASKED) if chunks == 1 else (s.PREFILLING, s.PREFILLING_ASKED)
    # fmt: off
    rows = [
        Row("post",       s.ABSENT,          s.WAITING,         cite="6.4: add_request"),
        Row("post",       s.GONE,            s.WAITING,         cite="the same id again"),
        Row("admit",      s.WAITING,         begun,             cite="6.3 S3"),
        Row("admit",      s.AGAIN,           begun,             cite="6.3 S3: head PREEMPTED"),
        Row("preempt",    s.RUNNING,         s.PREEMPTED,       cite="6.3 S2: to_be_rescheduled"),
        Row("reschedule", s.PREEMPTED,       s.AGAIN,           cite="6.5: -9 and to be rescheduled"),
        Row("fail",       s.WAITING,         s.ERRORED if variant.forgets_errors else s.GONE, cite="6.3 S3: error_tasks; H15"),
    ]
    if chunks > 1:
        rows += [
            Row("last_chunk", s.PREFILLING,  s.RUNNING,         cite="6.3 S1: computed reaches need_prefill"),
            Row("preempt",    s.PREFILLING,  s.PREEMPTED,       cite="6.3 S2: to_be_rescheduled"),
        ]
    if not variant.owns_aborts:
        rows += [
            Row("admit",      s.WAITING_ASKED,   begun_asked,   cite="H12: the abort waits"),
            Row("admit",      s.AGAIN_ASKED,     begun_asked,   cite="H12"),
            Row("reschedule", s.PREEMPTED_ASKED, s.AGAIN_ASKED, cite="6.5"),
        ]
        if chunks > 1:
            rows += [
                Row("last_chunk", s.PREFILLING_ASKED, s.RUNNING_ASKED,   cite="H12: only who decodes is stopped"),
                Row("preempt",    s.PREFILLING_ASKED, s.PREEMPTED_ASKED, cite="6.3 S2"),
            ]
    # fmt: on
    return rows


def _decode(variant: Variant) -> list[Row]:
    s = Stage
    # fmt: off
    rows = [
        Row("post",    s.ABSENT,   s.ARRIVED,  cite="4.4: P's message"),
        Row("post",    s.GONE,     s.ARRIVED,  cite="the same id again"),
        Row("reserve", s.ARRIVED,  s.RESERVED, cite="8.1: preallocate_resource_in_d"),
        Row("fail",    s.RESERVED, s.GONE,     cite="4.11: P's error; pre_recycle"),
        Row("add",     s.RESERVED, s.READY,    cite="8.2: add_prefilled_request"),
        Row("admit",   s.READY,    s.RUNNING,  cite="6.4: a prefill task of one token"),
        Row("fail",    s.RESERVED_ASKED, s.GONE, cite="4.11"),
    ]
    if variant.keeps:
        rows += [
            Row("preempt", s.READY,     s.GONE,      cite="ours: no worker has it yet"),
            Row("preempt", s.RUNNING,   s.PREEMPTED, cite="ours: the worker may be in a step with it"),
            Row("recycle", s.PREEMPTED, s.GONE,      cite="ours: it has stopped"),
        ]
    else:
        rows.append(Row("preempt", (s.READY, s.RUNNING), s.GONE, cite="6.3 S2: decode, deleted at once; H10"))
    if variant.owns_aborts:
        return [*rows, Row("add", s.RESERVED_ASKED, s.GONE, cite="ours: P has sent all, so the blocks are free")]
    return [
        *rows,
        Row("add",     s.RESERVED_ASKED, s.READY_ASKED,   cite="8.2"),
        Row("admit",   s.READY_ASKED,    s.RUNNING_ASKED, cite="H12: the abort waits"),
        Row("preempt", s.READY_ASKED,    s.GONE,          cite="6.3 S2"),
    ]
    # fmt: on


def _aborts(variant: Variant, role: str, chunks: int) -> list[Row]:
    s = Stage
    rows = [
        *(Row("abort", stage, ASKED[stage], cite="6.4: waiting_abort") for stage in abortable(variant, role, chunks)),
        Row("stop", stoppable(variant, chunks), s.ABORTING, cite="6.3 S1: trigger_abort"),
        Row("recycle", s.ABORTING, s.GONE, cite="6.5: recycle_abort_task"),
    ]
    if variant.owns_aborts:
        rows.append(Row("take", taken_at_once(variant, role), s.GONE, cite="ours: who waits goes at once"))
        if role == "mixed":
            rows.append(Row("recycle", s.PREEMPTED_ASKED, s.GONE, cite="ours: it was stopped, so it ends here"))
    return rows


def _ends(variant: Variant, role: str, chunks: int) -> list[Row]:
    s = Stage
    preempted = PREEMPTED if role == "mixed" else (s.PREEMPTED,) if variant.keeps else ()
    sources = (*RUNNING, *preempted, s.ABORTING)
    free = Row("free", s.ENDING, s.GONE, cite="6.4: FIN, blocks")
    if not variant.ends_at_once:
        return [Row("finish", (*sources, *(PREFILLING if chunks > 1 else ())), s.ENDING, cite="6.4: FIN, slot"), free]
    rows = [Row("last", sources, s.FINISHING, cite="ours: nobody stops what has ended")]
    if variant.frees_once:
        return [*rows, Row("finish", s.FINISHING, s.GONE, cite="ours: slot and blocks together")]
    return [*rows, Row("finish", s.FINISHING, s.ENDING, cite="6.4: FIN, slot"), free]
