"""The routing file: may a reader load what a writer has not finished, or what another has taken away?

Routing replay (R3; facts section 11) stores, per rollout and layer, a file of expert indices. The store process takes tasks from
a queue and gives each to a pool of five threads, so the `clear_store` of the start may run beside the first puts. The writer
opens the final path and writes into it; the reader polls for the path, for 20 seconds, and loads it.

A system call is one row under the file system's own lock. `unlink` and `rmdir` are the two calls of `rmtree` that matter.
Left out: the queue (its `task_done` comes when a task has been *submitted*, so nobody learns from it when a file is there),
several layers, an event loop that delays the writer (a row may be as late as it likes).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import Any

from ...effect import when
from ...expr import TRUE
from ...machine import Machine, Row
from ...properties import Property, always, leads_to, never, sometimes
from ...system import System
from ...types import BOOL, Enum
from ...variable import Lock, locked, register
from ..arguments import one_of

_write, _clear, _read = (partial(Row, actor=actor) for actor in ("store", "store", "client"))


class File(IntEnum):
    """What lies at a path: the file is ..."""

    ABSENT, EMPTY, PARTIAL, COMPLETE, STALE = range(5)


class Writer(IntEnum):
    """The coroutine that puts the file is ..."""

    SUBMITTED, READY, MADE, OPENED, HALFWAY, CLOSED, STORED, FAILED = range(8)


class Clearer(IntEnum):
    """The task `clear_store` is ..."""

    SUBMITTED, UNLINKED, REMOVED, DONE = range(4)


class Reader(IntEnum):
    """The reader is ..."""

    WAITING, POLLING, FOUND, UNTOLD, LOADED, LOADED_STALE, BROKEN, VANISHED, MISSING, GAVE_UP = range(10)


@dataclass(frozen=True)
class Store:
    """One version.

    Args:
        renames: the writer fills a temporary file and renames it.
        clears_first: the store is cleared before anything is submitted, and before the service says that it is ready.
        retries: a reader that cannot load what it has found polls on.
        endless: with `retries`; it never gives up.
        heeds: a reader that has waited for nothing says so, and does not load.
    """

    name: str
    renames: bool = False
    clears_first: bool = False
    retries: bool = False
    endless: bool = False
    heeds: bool = False


STORES = {
    s.name: s
    for s in (
        Store("published"),
        Store("renamed", renames=True),
        Store("retried", retries=True),
        Store("endless", retries=True, endless=True),
        Store("cleared_first", clears_first=True),
        Store("repaired", renames=True, clears_first=True, heeds=True),
    )
}


class Disk:
    """The paths of one file and of its directory, under the lock of the file system, and the service's word that it is ready."""

    def __init__(self, stale: bool):
        self.lock = Lock("file_system", cite="a system call is atomic")
        start = File.STALE if stale else File.ABSENT
        self.file = locked("routing_file", Enum(File), self.lock, init=start, cite="facts 11: <dir>/<rollout>/layer_<l>.pdtensor")
        self.temporary = locked("temporary_file", Enum(File), self.lock, cite="ours")
        self.directory = locked("routing_directory", BOOL, self.lock, init=stale, cite="facts 11")
        self.cleared = register("store_cleared", BOOL, cite="ours: told when the clearing is done")


def build(variant: str = "repaired", stale: bool = False) -> System:
    """One file, its writer, `clear_store` and one reader.

    Args:
        variant: published, renamed, retried, endless, cleared_first or repaired.
        stale: an earlier run with the same rollout id has left its file.

    Raises:
        DefinitionError: no such variant.
    """
    one_of(STORES, variant=variant)
    store, disk = STORES[variant], Disk(stale)
    machines = [writer(disk, store), clearer(disk, store), reader(disk, store)]
    return System(f"routing_file_{variant}", machines, _properties(disk, machines), doc=__doc__ or "")


def writer(disk: Disk, store: Store) -> Machine:
    """`RoutingStoreLocal.put`: makes the directory, opens, writes, closes (and renames)."""
    w = Writer
    path = disk.temporary if store.renames else disk.file
    step = partial(_write, under=disk.lock)

    def fill(content: File) -> list[Any]:
        # What is written into a file that was unlinked meanwhile lies at no path.
        return [when(path != File.ABSENT, path.set(content))]

    # fmt: off
    rows = [
        step("make_directory", w.READY,   w.MADE,    TRUE,            [disk.directory.set(True)], cite="facts 11"),
        step("open_path",      w.MADE,    w.OPENED,  disk.directory,  [path.set(File.EMPTY)],     cite="facts 11: created empty"),
        step("miss_directory", w.MADE,    w.FAILED,  ~disk.directory, [],                         cite="facts 11: rmtree beside the put"),
        step("write_part",     w.OPENED,  w.HALFWAY, TRUE,            fill(File.PARTIAL),         cite="facts 11: partially written"),
        step("write_rest",     w.HALFWAY, w.CLOSED if store.renames else w.STORED, TRUE, fill(File.COMPLETE), cite="facts 11: complete"),
    ]
    if store.renames:
        rename, whole = [disk.file.set(path), path.set(File.ABSENT)], path != File.ABSENT
        rows.append(step("rename",      w.CLOSED, w.STORED, whole,  rename, cite="facts 11: a single transition, absent to complete"))
        rows.append(step("miss_source", w.CLOSED, w.FAILED, ~whole, [],     cite="facts 11: rmtree beside the put"))
    if store.clears_first:
        rows.insert(0, _write("begin", w.SUBMITTED, w.READY, disk.cleared, cite="ours: the store is cleared before anything is put"))
    # fmt: on
    start = w.SUBMITTED if store.clears_first else w.READY
    return Machine("writer", w, rows, initial=start, final=(w.STORED, w.FAILED), doc="the coroutine that puts the file")


def clearer(disk: Disk, store: Store) -> Machine:
    """`clear_store`: unlinks what it finds, then removes the directory if it is empty."""
    c = Clearer
    step = partial(_clear, under=disk.lock)
    files = [disk.file.set(File.ABSENT), disk.temporary.set(File.ABSENT)]
    empty = (disk.file == File.ABSENT) & (disk.temporary == File.ABSENT)
    rows = [
        step("unlink", c.SUBMITTED, c.UNLINKED, TRUE, files, cite="facts 11: rmtree"),
        step("remove_directory", c.UNLINKED, c.REMOVED, TRUE, [when(empty, disk.directory.set(False))], cite="facts 11: rmtree"),
        _clear("tell", c.REMOVED, c.DONE, TRUE, [disk.cleared.set(True)] if store.clears_first else [], cite="ours: the service is ready"),
    ]
    return Machine("clearer", c, rows, final=c.DONE, doc="the task `clear_store`")


def reader(disk: Disk, store: Store) -> Machine:
    """`wait_for_file`, then `paddle.load`."""
    r = Reader
    there = disk.file != File.ABSENT
    step, broken = partial(_read, under=disk.lock), disk.file.is_in(File.EMPTY, File.PARTIAL)
    listens = store.heeds or store.endless
    loading = r.FOUND if listens else (r.FOUND, r.UNTOLD)
    timer = partial(_read, decided="timer", fair="strong")
    # fmt: off
    rows = [
        step("find_file",     r.POLLING, r.FOUND,   there, cite="facts 11: os.path.exists"),
        step("load",          loading,   r.LOADED,       disk.file == File.COMPLETE, cite="facts 11: paddle.load"),
        step("load_stale",    loading,   r.LOADED_STALE, disk.file == File.STALE,    cite="facts 11: of an earlier run"),
        step("load_broken",   loading,   r.POLLING if store.retries else r.BROKEN, broken, cite="H-33: EOFError, ran out of input"),
        step("load_vanished", r.FOUND,   r.POLLING if store.retries else r.VANISHED, ~there, cite="facts 11: rmtree between exists and load"),
    ]
    if store.heeds:
        rows.append(timer("time_out", r.POLLING, r.GAVE_UP, cite="ours: the answer is heeded"))
    if not listens:
        rows.append(timer("time_out", r.POLLING, r.UNTOLD, cite="facts 11: 20 s; the answer is ignored"))
        rows.append(step("load_missing", r.UNTOLD, r.MISSING, ~there, cite="facts 11: FileNotFoundError"))
    if store.clears_first:
        rows.append(_read("begin", r.WAITING, r.POLLING, disk.cleared, cite="ours: asked only when the service is ready"))
    # fmt: on
    final = tuple(row.destination for row in rows if row.destination not in (r.POLLING, r.FOUND, r.UNTOLD))
    return Machine("reader", r, rows, initial=r.WAITING if store.clears_first else r.POLLING, final=final, doc="who waits for the file and loads it")


def _properties(disk: Disk, machines: list[Machine]) -> list[Property]:
    writing, _, reading = machines
    written = writing.at() == Writer.STORED
    ended = reading.at().is_in(*(s for s in Reader if s not in (Reader.WAITING, Reader.POLLING, Reader.FOUND, Reader.UNTOLD)))
    return [
        never("no_broken_load", reading.at() == Reader.BROKEN, about="H-33: what is found can be loaded"),
        never("no_vanished_load", reading.at() == Reader.VANISHED, about="H-33: what is found is still there"),
        never("no_missing_load", reading.at() == Reader.MISSING, about="H-33: nobody loads what was not found"),
        never("no_stale_load", reading.at() == Reader.LOADED_STALE, about="H-33: what is loaded is of this run"),
        always("written_file_stays", ~written | (disk.file == File.COMPLETE), about="H-33: nobody clears what was put"),
        never("no_put_fails", writing.at() == Writer.FAILED, about="H-33: nobody takes the directory from under a put"),
        leads_to("reader_ends", TRUE, ended, about="the reader ends, one way or another"),
        sometimes("some_load", reading.at() == Reader.LOADED, about="twin of the questions about loads"),
        sometimes("some_file_written", written, about="twin of the questions about puts"),
    ]
