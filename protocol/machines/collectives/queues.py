"""The engine-worker queues of several data-parallel instances: one batch each, a read flag per rank, a lock per instance.

As `signalling/engine_worker_queue.py`, with an instance as the leading index (every instance has a server of its own, facts
2.1) and with the methods that this subject needs besides: `num_tasks`, `exist_tasks` and `clear_data`. Every method is
one critical section of its instance's lock; `filled` (exist_tasks_intra_signal) is the register stored inside it and
loaded without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from ...combine import all_of, me
from ...effect import each
from ...expr import Expr
from ...machine import Process
from ...types import BOOL, Index, Optional, Scalar
from ...variable import Lock, Variable, locked, register


@dataclass(frozen=True)
class TaskQueues:
    """The variables of every instance's queue; a method means the caller's own instance.

    `tasks`: the batch that is there, or None. `read`: which ranks have read it (client_read_flag), all up at the start.
    `filled`: a batch is there.
    """

    instances: Index
    ranks: Index
    lock: Lock
    tasks: Variable
    read: Variable
    filled: Variable

    @classmethod
    def create(cls, instances: Index, ranks: Index, batch: Scalar, process: Process | None = None, name: str = "") -> TaskQueues:
        """Empty queues for batches of that type, their names behind `name`; the end of `process` empties them again."""
        lock = Lock(f"{name}queue_lock", over=instances, cite="facts 2.1: a server-side threading.Lock, taken by remote call")
        own = partial(locked, lock=lock, process=process)
        return cls(
            instances,
            ranks,
            lock,
            tasks=own(f"{name}queue_tasks", Optional(batch), over=instances, cite="facts 2.2: Q"),
            read=own(f"{name}queue_read", BOOL, over=(instances, ranks), init=True, cite="facts 2.2: CRF"),
            filled=register(f"{name}queue_filled", BOOL, over=instances, process=process, cite="exist_tasks_intra_signal; facts 1.2: XQ"),
        )

    @property
    def own(self) -> Expr:
        """The caller's instance."""
        return me(self.instances)

    @property
    def own_lock(self) -> Expr:
        """The lock of the caller's instance."""
        return self.lock[self.own]

    @property
    def is_empty(self) -> Expr:
        """`num_tasks` gives none."""
        return self.tasks[self.own].is_none

    @property
    def exist_tasks(self) -> Expr:
        """The register, without the lock (#5376)."""
        return self.filled[self.own]

    @property
    def is_read_by_all(self) -> Expr:
        """Every rank has read: `put_tasks` may replace the batch."""
        return all_of(self.ranks, lambda s: self.read[self.own, s])

    @property
    def is_read_by_others(self) -> Expr:
        """Every other rank has read: the caller is the last reader."""
        return all_of(self.ranks, lambda s: (s == me(self.ranks)) | self.read[self.own, s])

    def put(self, batch: Any) -> list[Any]:
        """Effects of `put_tasks`: the batch is there, and nobody has read it."""
        return [self.tasks[self.own].set(batch), self._flag_all(False), self.filled[self.own].set(True)]

    def get(self, last: bool) -> list[Any]:
        """Effects of `get_tasks` on the queue; the last reader takes the batch away."""
        mine = self.read[self.own, me(self.ranks)].set(True)
        return [mine, self.tasks[self.own].set(None), self.filled[self.own].set(False)] if last else [mine]

    def clear(self, lowers: bool) -> list[Any]:
        """Effects of `clear_data`; since #7111 it lowers the register, too."""
        cleared = [self.tasks[self.own].set(None), self._flag_all(True)]
        return [*cleared, self.filled[self.own].set(False)] if lowers else cleared

    def _flag_all(self, value: bool) -> tuple[Any, ...]:
        return each(self.ranks, lambda s: self.read[self.own, s].set(value))
