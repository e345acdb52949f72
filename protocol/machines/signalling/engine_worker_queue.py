"""The engine-worker queue: one batch, one read flag per rank, one lock, and the register that says a batch is there.

It is no machine: a passive server process whose every method is one critical section of its lock, bracketed by remote
calls (facts section 2.2). This file owns its variables and what `put_tasks` and `get_tasks` do under the lock; who calls
them, and what a caller does with the answer, is said in `gate.py` and `worker.py`.

Capacity is one batch: a second `put_tasks` waits until every rank has read the first. `filled` (FastDeploy's
exist_tasks_intra_signal, XQ in the facts) is a shared-memory register stored inside the critical section and loaded
outside it; the media allow exactly that one access beside the lock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ...combine import all_of, me
from ...effect import each, when
from ...expr import Expr
from ...machine import Process
from ...slice import slice_of
from ...types import BOOL, Index, Range, Sequence
from ...variable import Lock, Variable, locked, register


@dataclass(frozen=True)
class EngineWorkerQueue:
    """The variables of one data-parallel instance's queue.

    `tasks`: the list that holds no batch or one, by its number. `read`: which ranks have read it (client_read_flag),
    all up at the start. `filled`: a batch is there.
    """

    ranks: Index
    lock: Lock
    tasks: Variable
    read: Variable
    filled: Variable

    @classmethod
    def create(
        cls, ranks: Index, numbers: Range, name: str = "queue", over: tuple[Index, ...] = (), process: Process | None = None
    ) -> EngineWorkerQueue:
        """An empty queue for batches with these numbers.

        `over`: leading index types, where there are several; see `at`. `process`: it is empty again when that has died.
        """
        lock = Lock(f"{name}_lock", over=over, cite="facts 2.1: a server-side threading.Lock, taken by remote call")
        own = partial(locked, lock=lock, process=process)
        return cls(
            ranks,
            lock,
            tasks=own(f"{name}_tasks", Sequence(numbers, 1), over=over, cite="facts 2.2: Q"),
            read=own(f"{name}_read", BOOL, over=(*over, ranks), init=True, cite="facts 2.2: CRF"),
            filled=register(f"{name}_filled", BOOL, over=over, process=process, cite="exist_tasks_intra_signal; facts 1.2: XQ"),
        )

    def at(self, *instance: Any) -> EngineWorkerQueue:
        """That instance's queue."""
        parts: dict[str, Any] = {f: slice_of(getattr(self, f), instance) for f in ("lock", "tasks", "read", "filled")}
        return replace(self, **parts)

    @property
    def is_read_by_all(self) -> Expr:
        """Every rank has read: `put_tasks` may replace the batch."""
        return all_of(self.ranks, lambda r: self.read[r])

    @property
    def is_read_by_others(self) -> Expr:
        """Every other rank has read: this one is the last reader."""
        return all_of(self.ranks, lambda r: (r == me(self.ranks)) | self.read[r])

    def put(self, number: Any) -> list[Any]:
        """Effects of `put_tasks`: the batch is there, and nobody has read it."""
        return [self.tasks.push(number), each(self.ranks, lambda r: self.read[r].set(False)), self.filled.set(True)]

    def get(self, last: bool) -> list[Any]:
        """Effects of `get_tasks` on the queue; the last reader takes the batch away."""
        mine = self.read[me(self.ranks)].set(True)
        return [mine, when(~self.tasks.empty, self.tasks.pop()), self.filled.set(False)] if last else [mine]
