"""D's `tasks_list` between the thread that fills it and the token processor that reads it without a lock (H-28, #7606).

A reservation opens the slot (`stop_flags` False) long before its first token comes. Before #7606 it also put the request
into `tasks_list`, whose metrics are set only when the first token is inserted. The token processor goes over the slots
that are open at every step of the other requests. Moving the assignment behind the metrics leaves an open slot without a
request, so the reader must look for that, too.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial

from ...expr import TRUE
from ...machine import Machine, Row
from ...properties import never, sometimes
from ...system import System
from ...types import BOOL
from ...variable import ghost, unlocked

_row = partial(Row, actor="decode")


class Filler(IntEnum):
    """The decode loop is ... with the slot's request."""

    ASKED, ASSIGNED, RESERVED, MEASURED, RUNNING = range(5)


class Reader(IntEnum):
    """The token processor is ... the slot."""

    PASSING, OPENED, FOUND, FAILED = range(4)


def build(assigned_early: bool = False, skips_empty: bool = True) -> System:
    """One slot, its filler and its reader.

    Args:
        assigned_early: the reservation assigns `tasks_list[slot]`, as before #7606; else the insertion does, after the metrics.
        skips_empty: the token processor passes over an open slot without a request; else it fails there.
    """
    open_slot = unlocked("slot_open", BOOL, cite="facts 2.1: not stop_flags[i], read without the lock").cell()
    task = unlocked("task_there", BOOL, cite="facts 2.1: tasks_list[i], read without the lock").cell()
    metrics = unlocked("metrics_set", BOOL, cite="H-28").cell()
    early, empty, credited = ghost("unset_metrics_read", BOOL), ghost("empty_slot_read", BOOL), ghost("token_credited", BOOL)
    f, r = Filler, Reader
    # fmt: off
    filler = [
        _row("open_slot",   f.ASSIGNED if assigned_early else f.ASKED, f.RESERVED, TRUE, [open_slot.set(True)], cite="8.1: stop_flags"),
        _row("set_metrics", f.RESERVED, f.RUNNING if assigned_early else f.MEASURED, TRUE, [metrics.set(True)], cite="8.2"),
    ]
    if assigned_early:
        filler.insert(0, _row("assign", f.ASKED, f.ASSIGNED, TRUE, [task.set(True)], cite="8.1: before #7606"))
    else:
        filler.append(_row("assign", f.MEASURED, f.RUNNING, TRUE, [task.set(True)], cite="8.2, #7606"))
    reader = [
        _row("pass_free",  r.PASSING, None,      ~open_slot, [], poll=True, cite="facts 6.5: stop_flags[i]"),
        _row("see_open",   r.PASSING, r.OPENED,  open_slot,  [], cite="facts 6.5"),
        _row("see_task",   r.OPENED,  r.FOUND,   task,       [], cite="facts 6.5: unlocked reads"),
        _row("read_ready", r.FOUND,   r.PASSING, metrics,    [credited.cell().set(True)], cite="H-28"),
        _row("read_unset", r.FOUND,   r.FAILED,  ~metrics,   [early.cell().set(True)], cite="H-28: the step fails"),
    ]
    # fmt: on
    if skips_empty:
        reader.append(_row("pass_empty", r.OPENED, r.PASSING, ~task, [], poll=True, cite="facts 6.5: newest: or tasks_list[i] is None"))
    else:
        reader.append(_row("read_empty", r.OPENED, r.FAILED, ~task, [empty.cell().set(True)], cite="facts 6.5: the step fails"))
    machines = [
        Machine("filler", f, filler, final=f.RUNNING, doc="D.L: reserves a slot, later inserts the first token"),
        Machine("reader", r, reader, final=(r.PASSING,), doc="D.T: goes over the slots at each step"),
    ]
    properties = [
        never("unset_metrics_read", early.cell(), about="what D.T reads of a request has been set"),
        never("empty_slot_read", empty.cell(), about="D.T finds a request in each slot that it looks into"),
        sometimes("some_token_credited", credited.cell(), about="twin of the two"),
    ]
    return System("tasks_list", machines, properties, doc=__doc__ or "")
