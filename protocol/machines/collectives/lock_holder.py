"""The lock of the engine-worker queue when a client dies, or raises, between taking it and giving it back (H13).

The server hands its locks out by remote call: `acquire` is one call, each touch of the list and the flags another, `release`
the last (facts 2.1). Nobody is asked who holds a lock, and no method uses try/finally. So each method is a sequence of
rows here: it is not the critical sections that matter now, but that a client may stop inside one.

- `put_tasks` raises when the batch cannot be pickled, which happens in its append, after the read flags went down.
- a rank is killed anywhere, hence also in `get_tasks`.

The repaired rule, in one sentence: *a method of the queue is one remote call, inside which the server takes its lock and gives
it back; what can raise (pickling) is done by the client before.* A connection that breaks then leaves a call that was
made or one that was not, and never a lock.

What the model says more than the facts: `finally` around the section, the smaller change, does not help against death, and
not even against the exception: the lock is free again, but the read flags are down and no batch is there, so no rank ever
reads, and the next `put_tasks` waits for ever for flags that nobody raises.

Left out: what becomes of the requests whose batch could not be pickled, and of the instance whose rank is dead (H6); the same
holds for every other lock of the server (cache_infos, finished_add_cache_task with its assertion inside the section).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import all_of, choice, me
from ...effect import each
from ...errors import DefinitionError
from ...expr import TRUE, Expr
from ...machine import Machine, Process, Row
from ...properties import Property, leads_to, sometimes
from ...system import System
from ...types import BOOL, Index
from ...variable import Lock, Variable, locked, private, register
from ..arguments import one_of

FAULTS = (None, "raise", "kill")


class Engine(IntEnum):
    """The engine's thread is ..."""

    IDLE, LOCKING, CHECKING, WAITING, APPENDING, ANNOUNCING, UNLOCKING = range(7)


class Reader(IntEnum):
    """The rank is ..."""

    IDLE, LOCKING, READING, UNLOCKING = range(4)


class Fault(IntEnum):
    """No rank, or one rank has died."""

    NONE, ONE = range(2)


@dataclass(frozen=True)
class Method:
    """How a method of the queue holds its lock.

    Args:
        finally_: an exception inside the section gives the lock back.
        remote: ours. The whole method is one call, and the server's own critical section.
    """

    finally_: bool = False
    remote: bool = False


METHODS = {"all": Method(), "finally": Method(finally_=True), "repaired": Method(remote=True)}
"""The versions by name: every published one, that with try/finally, and ours."""


def build(variant: str = "repaired", ranks: int = 2, fault: str | None = "kill") -> System:
    """The system of one queue, its engine and its ranks.

    Args:
        variant: a version of `METHODS`. ranks: readers.
        fault: a batch that cannot be pickled ("raise"), one rank killed ("kill"), or none.

    Raises:
        DefinitionError: an unknown choice, or a bound that is too small.
    """
    one_of(METHODS, variant=variant)
    one_of(FAULTS, fault=fault)
    if ranks < 1:
        raise DefinitionError(f"ranks={ranks}: needs at least one rank")
    queue = _Queue(ranks)
    process = Process("rank_process", over=queue.ranks) if fault == "kill" else None
    method = METHODS[variant]
    engine, reader = _engine(queue, method, fault == "raise"), _reader(queue, method, process)
    machines = [engine, reader] + ([_fault(process, queue.ranks)] if process is not None else [])
    return System("lock_holder", machines, _properties(queue, engine, reader), doc=__doc__ or "")


class _Queue:
    """The lock, whether a batch is there, and who has read it."""

    def __init__(self, ranks: int):
        self.ranks = Index("rank", ranks)
        self.lock = Lock("queue_lock", cite="facts 2.1: a server-side threading.Lock, not owner-checked")
        self.task: Variable = locked("queue_task", BOOL, self.lock, cite="facts 2.2: Q")
        self.read: Variable = locked("queue_read", BOOL, self.lock, over=self.ranks, init=True, cite="facts 2.2: CRF")
        self.filled: Variable = register("queue_filled", BOOL, cite="facts 1.2: XQ")
        self.broken: Variable = private("batch_unpicklable", BOOL)

    @property
    def is_read(self) -> Expr:
        """Every rank has read the last batch."""
        return all_of(self.ranks, lambda r: self.read[r])

    def flag_all(self, value: bool) -> tuple[Any, ...]:
        """Effects: every rank's read flag up or down."""
        return each(self.ranks, lambda r: self.read[r].set(value))


def _engine(queue: _Queue, method: Method, raises: bool) -> Machine:
    """`put_tasks`, again and again; with `raises` a batch may be one that cannot be pickled."""
    e, cite = Engine, "facts 2.2: put_tasks"
    row = partial(Row, actor="prefill")
    make = [row("make_batch", e.IDLE, e.LOCKING, True, [queue.broken.set(False)], decided="decided", cite=cite)]
    if raises:
        bad = [queue.broken.set(True)]
        make.append(row("make_unpicklable_batch", e.IDLE, e.LOCKING, True, bad, decided="decided", fair="none", cite="facts 8 H13"))
    rows = _remote_put(queue, row, raises) if method.remote else _put(queue, row, method, raises)
    rows.append(row("sleep", e.WAITING, e.LOCKING, True, [], poll=True, cite="facts 2.1: 1 ms"))
    return Machine("engine", e, [*make, *rows], final=e.IDLE, doc="the engine's thread that puts batches")


def _remote_put(queue: _Queue, row: Callable[..., Row], raises: bool) -> list[Row]:
    """Ours: one call, which puts the batch or says that the last one has not been read."""
    e, lock, cite = Engine, queue.lock, "ours: one call"
    ready, good = queue.is_read, ~queue.broken if raises else TRUE
    put = [queue.task.set(True), queue.flag_all(False), queue.filled.set(True)]
    rows = [
        row("put", e.LOCKING, e.IDLE, good & ready, put, under=lock, cite=cite),
        row("find_unread", e.LOCKING, e.WAITING, good & ~ready, [], under=lock, poll=True, cite=cite),
    ]
    if raises:
        rows.append(row("reject_batch", e.LOCKING, e.IDLE, queue.broken, [], cite="ours: pickled before the call"))
    return rows


def _put(queue: _Queue, row: Callable[..., Row], method: Method, raises: bool) -> list[Row]:
    """The published method, call by call."""
    e, lock, cite = Engine, queue.lock, "facts 2.2: put_tasks"
    ready, good = queue.is_read, ~queue.broken if raises else TRUE
    rows = [
        row("lock", e.LOCKING, e.CHECKING, True, [], acquire=lock, cite=cite),
        row("find_unread", e.CHECKING, e.WAITING, ~ready, [], release=lock, poll=True, cite=cite),
        row("lower_read_flags", e.CHECKING, e.APPENDING, ready, [queue.task.set(False), queue.flag_all(False)], under=lock, cite=cite),
        row("append", e.APPENDING, e.ANNOUNCING, good, [queue.task.set(True)], under=lock, cite="facts 2.2: pickled here"),
        row("announce", e.ANNOUNCING, e.UNLOCKING, True, [queue.filled.set(True)], under=lock, cite=cite),
        row("unlock", e.UNLOCKING, e.IDLE, True, [], release=lock, cite=cite),
    ]
    if raises and method.finally_:
        rows.append(row("raise_and_unlock", e.APPENDING, e.IDLE, queue.broken, [], release=lock, cite="try/finally"))
    elif raises:
        rows.append(row("raise_error", e.APPENDING, e.IDLE, queue.broken, [], cite="facts 8 H13: no try/finally"))
    return rows


def _reader(queue: _Queue, method: Method, process: Process | None) -> Machine:
    """`get_tasks`, whenever a batch is announced."""
    s, lock, cite, own = Reader, queue.lock, "facts 2.2: get_tasks", me(queue.ranks)
    row, mine = partial(Row, actor="worker"), queue.read[own].set(True)
    last = all_of(queue.ranks, lambda r: (r == own) | queue.read[r])
    take = [mine, queue.task.set(False), queue.filled.set(False)]
    want = row("see_batch", s.IDLE, s.LOCKING, queue.filled, [], cite="facts 4.1 W6")
    if method.remote:
        rows = [
            want,
            row("get", s.LOCKING, s.IDLE, ~last, [mine], under=lock, cite="ours: one call"),
            row("get_last", s.LOCKING, s.IDLE, last, take, under=lock, cite="ours: one call"),
        ]
    else:
        rows = [
            want,
            row("lock", s.LOCKING, s.READING, True, [], acquire=lock, cite=cite),
            row("read", s.READING, s.UNLOCKING, ~last, [mine], under=lock, cite=cite),
            row("read_last", s.READING, s.UNLOCKING, last, take, under=lock, cite=cite),
            row("unlock", s.UNLOCKING, s.IDLE, True, [], release=lock, cite=cite),
        ]
    return Machine("reader", s, rows, copies=queue.ranks, final=s.IDLE, process=process, doc="a rank that reads batches")


def _fault(process: Process, ranks: Index) -> Machine:
    """Kills one rank, once."""
    which = choice("rank", ranks)
    kill = Row("kill_rank", Fault.NONE, Fault.ONE, True, [process.crash(which)], "environment", choose=(which,), cite="facts 8 H13")
    return Machine("fault", Fault, [kill], environment=True, doc="what kills a rank of a worker")


def _properties(queue: _Queue, engine: Machine, reader: Machine) -> list[Property]:
    e, wants = Engine, engine.at() == Engine.LOCKING
    return [
        leads_to("engine_reaches_the_queue", wants, engine.at().is_in(e.IDLE, e.CHECKING, e.WAITING), about="P15: a call gets the lock"),
        leads_to("batch_is_put", wants, engine.at() == e.IDLE, about="P11: a call of put_tasks ends"),
        sometimes("some_batch_read", (~queue.task) & (engine.at() == e.IDLE) & (reader.at(0) == Reader.LOCKING), "a batch was put, and read by all"),
    ]
