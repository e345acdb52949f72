"""What is shared by the threads that put, fetch, finish and abort requests of one scheduler, and `_recycle` itself.

`_recycle(id)` takes the entry out of `requests`, the id out of `ids`, and moves the cursor back by one. The thread that
delivers results calls it with the mutex, for requests that have been read; the thread that reads aborts calls it without,
for any id that the resource manager does not know (yet). Every access is a row here: `cursor -= 1` is a load and a store.
The same rows serve all variants; where everybody takes the mutex the variables are declared locked by it, else unlocked.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import if_else
from ...expr import TRUE, Expr
from ...machine import Row
from ...types import BOOL, Index, Range, Sequence, Type
from ...variable import Lock, Variable, ghost, locked, private, unlocked


@dataclass(frozen=True)
class Abort:
    """What an abort does to the scheduler.

    Args:
        mutex: it takes the mutex.
        checks: it moves the cursor back only for an id left of it.
        unread_only: ours. It recycles what has not been read; a request that has been read is its owner's to abort.
    """

    name: str
    mutex: bool = False
    checks: bool = False
    unread_only: bool = False


ABORTS = {
    a.name: a
    for a in (
        Abort("B"),
        Abort("locked", mutex=True),
        Abort("checked", checks=True),
        Abort("locked_checked", mutex=True, checks=True),
        Abort("repaired", mutex=True, checks=True, unread_only=True),
    )
}
"""B is the published abort; `locked_checked` the mend that the facts propose; the two between have half of it each."""


class Recycler(IntEnum):
    """A thread that recycles is ..."""

    IDLE, ADDING, STARTING, POPPING, LOADING, REMOVING, STORING, RAISED = range(8)


class List:
    """The scheduler's list, its entries and its cursor."""

    def __init__(self, abort: Abort, requests: int, aborts: int):
        self.abort = abort
        self.request = Index("request", requests)
        # Wide enough for every loss of an update that the variants without the mutex know.
        self.positions = Range(-requests - aborts, 2 * requests)
        self.mutex = Lock("scheduler_mutex", cite="facts 5: M")
        self.ids = self._declare("scheduler_ids", Sequence(self.request, requests), cite="facts 5: ids")
        self.cursor = self._declare("scheduler_cursor", self.positions, init=0, cite="facts 5: ids_read_cursor")
        self.entry = self._declare("scheduler_requests", BOOL, over=self.request, cite="facts 5: requests, a dict; here, which keys it has")
        self.admitted = unlocked("manager_requests", BOOL, over=self.request, cite="facts 2.1: RM.requests, read without RM.lock by the abort")
        self.returned = ghost("times_returned", Range(0, 2), over=self.request)
        self.aborted = ghost("abort_recycled", BOOL, over=self.request)
        self.zombie = ghost("aborted_admitted", BOOL)

    def _declare(self, name: str, of: Type, **more: Any) -> Variable:
        return locked(name, of, self.mutex, **more) if self.abort.mutex else unlocked(name, of, **more)


def recycle(s: List, thread: str, *, mutex: bool, checks: bool, done: list[Any], request: Variable) -> list[Row]:
    """`_recycle(request)`, from POPPING (with the mutex, where it is taken) back to IDLE.

    Args:
        thread: whose rows these are. mutex: it is held. checks: the cursor moves only for an id left of it.
        done: effects when it is through. request: the private variable with the id.
    """
    r, own, was_read = Recycler, private(f"{thread}_cursor", s.positions, init=0), private(f"{thread}_was_read", BOOL)
    row = partial(Row, actor="prefill", under=s.mutex if mutex else None)
    last = partial(Row, actor="prefill", release=s.mutex if mutex else None)
    pop, load, remove = [s.entry[request].set(False)], [own.set(s.cursor)], [s.ids.remove(request)]
    forget = [own.set(0), request.set(0), *done]
    back, gone = [s.cursor.set(own - 1), *forget], ~s.ids.has(request)
    cite = "facts 5: recycle(id)"
    rows = [
        last("id_is_gone", r.REMOVING, r.RAISED, gone, forget, cite="H-10: ValueError when the id is already gone"),
        Row("log_error", r.RAISED, r.IDLE, cite="facts 3.8: logged"),
    ]
    # fmt: off
    if checks:
        look = was_read.set(s.ids.index_of(request) < own)
        return [
            row("pop_entry",     r.POPPING,  r.LOADING,  TRUE,      pop,  cite=cite),
            row("load_cursor",   r.LOADING,  r.REMOVING, TRUE,      load, cite="facts 9.4: only if index < cursor"),
            row("remove_id",     r.REMOVING, r.STORING,  ~gone,     [*remove, look], cite=cite),
            last("store_cursor", r.STORING,  r.IDLE,     was_read,  [*back, was_read.set(False)], cite="facts 9.4"),
            last("keep_cursor",  r.STORING,  r.IDLE,     ~was_read, forget, cite="facts 9.4"),
            *rows,
        ]
    return [
        row("pop_entry",     r.POPPING,  r.REMOVING, TRUE,  pop,    cite=cite),
        row("remove_id",     r.REMOVING, r.LOADING,  ~gone, remove, cite=cite),
        row("load_cursor",   r.LOADING,  r.STORING,  TRUE,  load,   cite="facts 5: cursor - 1, the load"),
        last("store_cursor", r.STORING,  r.IDLE,     TRUE,  back,   cite="H17, H-10: cursor - 1, read or not"),
        *rows,
    ]
    # fmt: on


def in_slice(s: List, cursor: Expr, batch: int, request: Any) -> Expr:
    """Whether the id lies in `ids[cursor : cursor + batch]`, where Python counts a negative bound from the end."""
    at, length, end = s.ids.index_of(request), s.ids.length, cursor + batch
    after = if_else(cursor >= 0, at >= cursor, at >= length + cursor)
    before = if_else(end >= 0, at < end, at < length + end)
    return s.ids.has(request) & after & before
