"""Versions of the legacy update of weights, told by what they do, and what its machines share; see `weight_update.py`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

from ...combine import if_else, me
from ...effect import when
from ...expr import Expr
from ...types import BOOL, Enum, Index, Optional, Range
from ...variable import Variable, ghost, locked, private, register
from .meeting import Meetings
from .queues import TaskQueues


class Status(IntEnum):
    """The weights are in use, to be dropped, dropped, or to be loaded (0, -1, -2, 1 in the real register)."""

    NORMAL, CLEARING, CLEARED, UPDATING = range(4)


class Engine(IntEnum):
    """The SCHED thread is ..."""

    CHECKING, SCHEDULING, PUTTING = range(3)


class Api(IntEnum):
    """The API process has nothing to ask, waits for the weights to be dropped, has seen it, waits for new ones, has seen it."""

    READY, CLEARING, CLEARED, UPDATING, UPDATED = range(5)


@dataclass(frozen=True)
class Update:
    """One version of the update.

    Args:
        clears: who calls `clear_data` after an update: "all" ranks each by itself, "one" between two barriers, or "none".
        lowers: `clear_data` lowers the queue's register, too (#7111).
        starts_over: the iteration ends with the update; otherwise it goes on to read.
        asserts: a rank that has read an empty queue is killed (#6680).
        barriers: TPB#0 before rank 0 looks, with an announcement that it takes back, and TPB#2' after reading.
        handed_out: ours. The status comes with the announcement, from one all_gather; nobody copies it back, and rank 0 stores
            the result of an update behind the all_gather of the next iteration.
    """

    clears: str = "all"
    lowers: bool = False
    starts_over: bool = False
    asserts: bool = False
    barriers: bool = False
    handed_out: bool = False


_A = Update()
_OURS = Update(clears="none", lowers=True, starts_over=True, asserts=True, barriers=True, handed_out=True)

UPDATES = {
    "A": _A,
    "A-with-7111": replace(_A, lowers=True),
    "B": Update(asserts=True),
    "B-with-7111": Update(asserts=True, lowers=True),
    "B'": Update(lowers=True, starts_over=True, asserts=True, barriers=True),
    "B'-without-7111": Update(starts_over=True, asserts=True, barriers=True),
    "B'-cleared-once": Update(clears="one", lowers=True, starts_over=True, asserts=True, barriers=True),
    "repaired": _OURS,
    "repaired-cleared-by-all": replace(_OURS, clears="all"),
    "repaired-without-top-barrier": replace(_OURS, barriers=False),
}
"""The versions by name; `B'-cleared-once` is a fix of the facts (9.4), the last two are ours with one part changed."""


@dataclass(frozen=True)
class Weights:
    """What the engine, the API and the ranks share. `given`, `received`: the payload of the collective of the status;
    `offered`, `told`: of that which says who has a batch. `owes`: this rank has a result to store.

    `number`: of the engine's next batch, below `wrap`. Ghosts: `dropped`: a batch was cleared away unread; `dropped_fresh`: one that
    was put between two ranks' clears of one update; `clears`: how many ranks have cleared in it; `fresh`: the last batch was
    put then; `expected`: the number that a rank should read next; `misread`: it has read another.
    """

    update: Update
    wrap: int
    instances: Index
    ranks: Index
    queues: TaskQueues
    meetings: Meetings
    number: Variable
    status: Variable
    announced: Variable
    given: Variable
    offered: Variable
    received: Variable
    told: Variable
    known: Variable
    seen: Variable
    owes: Variable
    batch: Variable
    dropped: Variable
    dropped_fresh: Variable
    clears: Variable
    fresh: Variable
    expected: Variable
    misread: Variable

    @classmethod
    def create(cls, update: Update, instances: int, ranks: int, wrap: int, begins: Status) -> Weights:
        """So many instances and ranks, with batch numbers below `wrap` and weights of that status."""
        index, rank, numbers = Index("instance", instances), Index("rank", ranks), Range(0, wrap - 1)
        both, meetings, kind = (index, rank), Meetings.create(index, rank), Enum(Status)
        return cls(
            update,
            wrap,
            index,
            rank,
            TaskQueues.create(index, rank, numbers),
            meetings,
            number=private("engine_next_number", numbers, over=index),
            status=register("model_weights_status", kind, init=begins, cite="facts 1.2, 4.1 W1"),
            announced=register("batch_announced", BOOL, over=index, cite="facts 1.2: XT, RF"),
            given=locked("status_given", kind, meetings.lock, cite="facts 4.1 W1: what rank 0 broadcasts"),
            offered=locked("batch_given", BOOL, meetings.lock, over=index, cite="ours: with the status"),
            received=locked("status_received", kind, meetings.lock, over=both, cite="facts 4.1 W1"),
            told=locked("batch_received", BOOL, meetings.lock, over=both, cite="ours: with the status"),
            known=private("worker_status", kind, over=both, init=begins),
            seen=private("worker_saw_batch", BOOL, over=both),
            owes=private("result_owed", BOOL, over=both),
            batch=private("worker_batch", Optional(numbers), over=both),
            dropped=ghost("batch_dropped_unread", BOOL),
            dropped_fresh=ghost("batch_dropped_between_clears", BOOL),
            clears=ghost("clears_in_update", Range(0, ranks), over=index),
            fresh=ghost("batch_put_between_clears", BOOL, over=index),
            expected=ghost("expected_batch", numbers, over=both),
            misread=ghost("batch_misread", BOOL),
        )

    @property
    def instance(self) -> Expr:
        """The caller's instance."""
        return me(self.instances)

    def note_put(self) -> list[Any]:
        """Effects on the ghosts of a `put_tasks`."""
        return [self.fresh[self.instance].set(self.clears[self.instance] > 0)]

    def note_clear(self) -> list[Any]:
        """Effects on the ghosts of a `clear_data`: a batch that is still there has not been read by every rank."""
        there, last = ~self.queues.is_empty, 0 if self.update.clears == "one" else self.ranks.size - 1
        mine, fresh = self.clears[self.instance], self.fresh[self.instance]
        count = if_else(mine == last, 0, mine + 1)
        return [when(there, self.dropped.set(True)), when(there & fresh, self.dropped_fresh.set(True)), mine.set(count)]

    def note_read(self, number: Expr) -> list[Any]:
        """Effects on the ghosts when the caller reads a batch."""
        mine = self.expected[self.instance, me(self.ranks)]
        return [when(number != mine, self.misread.set(True)), mine.set(if_else(number == self.wrap - 1, 0, number + 1))]
