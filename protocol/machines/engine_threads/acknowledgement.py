"""A prepare batch between registration and `running`: preprocessing, acknowledgements, and the exception that loses it (H14, H-09).

E0 registers the batch with the messager and then loops: collect acknowledgements; if any were ever collected and not used
up, look at every task of the batch: preprocessing failed: answer with an error, take the id out of `need`; done and acknowledged:
take the id out of `need` and out of the collected ones; until `need` is empty. A failed task stays in the batch, so the next
look takes its id out again: ValueError, and the whole batch is lost. And its acknowledgement is never used up, so from then on the
loop does not sleep.

E1 waits for the preprocessing of each task before it registers the batch, and waits for no acknowledgement. `checked` is E0
with the two removals mended. Ours prepares each request by itself, so that none can take another along.

The look at a future is one load. The acknowledgements come one id a round, when all ranks have registered it (CH3).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import any_of, choice, me
from ...effect import when
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from ...properties import Property, leads_to, never, sometimes
from ...system import System
from ...types import BOOL, Enum, Index, Optional, Range
from ...variable import Lock, Variable, locked, private, unlocked
from ..arguments import one_of, within

VARIANTS = ("E0", "checked", "E1", "repaired")
_row = partial(Row, actor="prefill")


class Task(IntEnum):
    """Preprocessing of the task is ..."""

    PENDING, DONE, FAILED = range(3)


class End(IntEnum):
    """The task is ..."""

    OPEN, ADDED, ANSWERED = range(3)


class Prepare(IntEnum):
    """The prepare thread is ..."""

    COLLECTING, SCANNING, ADDING, FINISHED, LOST = range(5)


class Preprocess(IntEnum):
    """The pool's work on a task is ..."""

    WORKING, OVER = range(2)


class Register(IntEnum):
    """The messager has ... the task."""

    REGISTERING, ACKNOWLEDGED = range(2)


@dataclass(frozen=True)
class Batch:
    """The shared and private variables of one batch."""

    task: Index
    preprocessed: Variable
    added_lock: Lock
    added: Variable
    end: Variable
    need: Variable
    finished: Variable
    position: Variable

    @classmethod
    def create(cls, tasks: int) -> Batch:
        """A batch whose tasks are all registered, needed and pending."""
        task, lock = Index("task", tasks), Lock("added_lock", cite="facts 2.4: finish_add_cache_task_lock")
        return cls(
            task,
            unlocked("preprocessed", Enum(Task), over=task, cite="4.3: async_process_futures"),
            lock,
            locked("added_task", Optional(task), lock, cite="CH3: finished_add_cache_task_list"),
            private("task_end", Enum(End), over=task),
            private("need_check", BOOL, over=task, init=True),
            private("finished_tasks", BOOL, over=task),
            private("task_position", Range(0, tasks)),
        )


def build(variant: str = "E0", tasks: int = 2, exceptions: int = 0) -> System:
    """One prepare batch.

    Args:
        variant: E0, checked, E1 or repaired. tasks: how many requests in the batch (ours prepares each by itself).
        exceptions: how many calls fail (a lost connection to the queue's manager, say).

    Raises:
        DefinitionError: a parameter outside its choices.
    """
    one_of(VARIANTS, variant=variant)
    within(1, 4, tasks=tasks)
    within(0, 2, exceptions=exceptions)
    b, p = Batch.create(tasks), Prepare
    acknowledged = variant in ("E0", "checked")
    if acknowledged:
        rows = _acknowledged_rows(b, mended=variant == "checked")
    else:
        rows = _alone_rows(b) if variant == "repaired" else _waiting_rows(b)
    if exceptions:
        rows.append(_exception(b, exceptions, alone=variant == "repaired"))
    initial = p.COLLECTING if acknowledged else p.SCANNING
    prepare = Machine("prepare", p, rows, initial=initial, final=p.FINISHED, doc="the prepare thread, with one batch")
    machines = [prepare, _preprocess(b), *([_register(b)] if acknowledged else [])]
    return System("acknowledgement", machines, _properties(b, prepare), doc=__doc__ or "")


def _acknowledged_rows(b: Batch, mended: bool) -> list[Row]:
    """E0: collect, look at every task, until nothing is needed."""
    p, at, i = Prepare, b.position, choice("task", b.task)
    needed = any_of(b.task, lambda t: b.need[t])
    some = needed & ~b.added.is_none
    again = needed & b.added.is_none & any_of(b.task, lambda t: b.finished[t])
    kept: Any = b.need[b.added.value] if mended else True
    take = [b.finished[b.added.value].set(kept), b.added.set(None), at.set(0)]
    here, future = (at < b.task.size) & (at == i), b.preprocessed[i]
    failed, over = here & (future == Task.FAILED), at == b.task.size
    answer = [b.need[i].set(False), b.end[i].set(End.ANSWERED), at.add(1)]
    used = when(b.finished[i], b.need[i].set(False), b.finished[i].set(False))
    pick: dict[str, Any] = {"choose": (i,), "cite": "5.1 F5"}
    rows = [
        _row("collect", p.COLLECTING, p.SCANNING, some, take, under=b.added_lock, cite="5.1 F5"),
        _row("collect_nothing", p.COLLECTING, p.SCANNING, again, [at.set(0)], under=b.added_lock, poll=True, cite="5.1 F5: no sleep"),
        _row("see_pending", p.SCANNING, p.SCANNING, here & (future == Task.PENDING), [at.add(1)], **pick),
        _row("see_done", p.SCANNING, p.SCANNING, here & (future == Task.DONE), [used, at.add(1)], **pick),
        _row("end_scan", p.SCANNING, p.COLLECTING, over & needed, [], cite="5.1 F5"),
        _row("end_wait", p.SCANNING, p.ADDING, over & ~needed, [], cite="5.1 F5"),
        _add(b),
    ]
    if mended:
        return [*rows, _row("see_failed", p.SCANNING, p.SCANNING, failed, [*answer, b.finished[i].set(False)], **pick)]
    return [
        *rows,
        _row("see_failed", p.SCANNING, p.SCANNING, failed & b.need[i], answer, **pick),
        _row("remove_twice", p.SCANNING, p.LOST, failed & ~b.need[i], [], choose=(i,), cite="H14, H-09: ValueError"),
    ]


def _waiting_rows(b: Batch) -> list[Row]:
    """E1: wait for one task's preprocessing after the other, then add what is left."""
    p, at, i = Prepare, b.position, choice("task", b.task)
    here, future = (at < b.task.size) & (at == i), b.preprocessed[i]
    pick: dict[str, Any] = {"choose": (i,), "cite": "5.2"}
    return [
        _row("see_done", p.SCANNING, p.SCANNING, here & (future == Task.DONE), [at.add(1)], **pick),
        _row("see_failed", p.SCANNING, p.SCANNING, here & (future == Task.FAILED), [b.end[i].set(End.ANSWERED), at.add(1)], **pick),
        _row("end_wait", p.SCANNING, p.ADDING, at == b.task.size, [], cite="5.2"),
        _add(b),
    ]


def _alone_rows(b: Batch) -> list[Row]:
    """Ours: each request goes on when it is ready itself."""
    p, i = Prepare, choice("task", b.task)
    is_open, future = b.end[i] == End.OPEN, b.preprocessed[i]
    over = ~any_of(b.task, lambda t: b.end[t] == End.OPEN)
    pick: dict[str, Any] = {"choose": (i,), "cite": "ours"}
    return [
        _row("add_alone", p.SCANNING, p.SCANNING, is_open & (future == Task.DONE), [b.end[i].set(End.ADDED)], **pick),
        _row("see_failed", p.SCANNING, p.SCANNING, is_open & (future == Task.FAILED), [b.end[i].set(End.ANSWERED)], **pick),
        _row("end_wait", p.SCANNING, p.FINISHED, over, [], cite="ours"),
    ]


def _add(b: Batch) -> Row:
    """add_request_in_p of every task that has not failed."""
    rest: list[Any] = [when(b.end[t] == End.OPEN, b.end[t].set(End.ADDED)) for t in b.task]
    return _row("add_batch", Prepare.ADDING, Prepare.FINISHED, TRUE, rest, cite="4.8")


def _exception(b: Batch, exceptions: int, alone: bool) -> Row:
    """A call fails: the batch is lost; ours answers the one request it was made for."""
    p, i = Prepare, choice("task", b.task)
    left = private("exceptions_left", Range(0, exceptions), init=exceptions)
    if alone:
        answer = [b.end[i].set(End.ANSWERED), left.sub(1)]
        guard = (left > 0) & (b.end[i] == End.OPEN)
        return _row("fail", p.SCANNING, p.SCANNING, guard, answer, choose=(i,), decided="observed", fair="none", cite="ours")
    return _row("fail", (p.SCANNING, p.ADDING), p.LOST, left > 0, [left.sub(1)], decided="observed", fair="none", cite="H-09")


def _preprocess(b: Batch) -> Machine:
    """The preprocessing pool: every task ends, one way or the other."""
    w, t = Preprocess, me(b.task)
    rows = [
        _row("succeed", w.WORKING, w.OVER, TRUE, [b.preprocessed[t].set(Task.DONE)], decided="observed", fair="none", cite="4.3"),
        _row("break_off", w.WORKING, w.OVER, TRUE, [b.preprocessed[t].set(Task.FAILED)], decided="observed", fair="weak", cite="9.9"),
    ]
    return Machine("preprocess", w, rows, copies=b.task, final=w.OVER, doc="async_preprocess_pool, one task")


def _register(b: Batch) -> Machine:
    """The messager, all ranks together: registers the task and acknowledges it, one id a round."""
    w, t = Register, me(b.task)
    put = [b.added.set(t)]
    rows = [Row("acknowledge", w.REGISTERING, w.ACKNOWLEDGED, b.added.is_none, put, "messager", under=b.added_lock, fair="strong", cite="CH3")]
    return Machine("register", w, rows, copies=b.task, final=w.ACKNOWLEDGED, doc="registration of one task")


def _properties(b: Batch, prepare: Machine) -> list[Property]:
    def is_open(t: Any) -> Expr:
        return b.end[t] == End.OPEN

    def over(t: Any) -> Expr:
        return b.end[t] != End.OPEN

    stale = any_of(b.task, lambda t: b.finished[t]) & ~any_of(b.task, lambda t: b.finished[t] & b.need[t])
    looking = prepare.at().is_in(Prepare.COLLECTING, Prepare.SCANNING)
    return [
        never("no_batch_lost", prepare.at() == Prepare.LOST, "no exception loses the batch"),
        leads_to("tasks_end", is_open, over, each=b.task, about="P12: every request is added, or answered with an error"),
        sometimes("some_batch_added", prepare.at() == Prepare.FINISHED, "the preparation ends"),
        sometimes("some_task_answered", any_of(b.task, lambda t: b.end[t] == End.ANSWERED), "a request whose preprocessing failed is answered"),
        never("no_stale_acknowledgement", looking & stale & any_of(b.task, lambda t: b.need[t]), "the loop sleeps where only stale ids are left"),
    ]
