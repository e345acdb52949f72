"""A preallocation that waits while it holds the resource manager's lock (H-31): blocks that must first come from the CPU.

A request's prefix lies in CPU memory. Under RM.lock the prepare thread matches it, takes GPU blocks for it (waiting until there are
enough), and waits until the transfer is done; then it takes the rest of its blocks. What frees blocks, the release of a finished
request, needs the same lock. In the real thing a look before all this asks for enough free blocks in all ("to prevent dead lock").

Ours reserves all blocks in one critical section and waits for the transfer without the lock; a third section makes the request known.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import any_of, me
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from ...properties import deadlock, leads_to, never, sometimes
from ...system import System
from ...types import BOOL, Index, Optional, Range
from ...variable import Lock, channel, ghost, locked, private
from ..arguments import one_of, within

_row = partial(Row, actor="prefill")


class Allocate(IntEnum):
    """The preallocation is ..."""

    WAITING, LOCKED, SWAPPING, TRANSFERRING, ALLOCATING, HELD, DONE = range(7)


class Transfer(IntEnum):
    """The cache-transfer process is ..."""

    IDLE, COPYING = range(2)


class Older(IntEnum):
    """An older request, which holds a block, is ..."""

    RUNNING, FINISHED, RELEASED = range(3)


@dataclass(frozen=True)
class Variant:
    """What a preallocation does about the lock.

    Args:
        looks: it asks for enough free blocks in all before it begins. outside: it waits without the lock.
    """

    name: str
    looks: bool
    outside: bool = False


VARIANTS = {v.name: v for v in (Variant("E1", looks=True), Variant("unchecked", looks=False), Variant("repaired", looks=True, outside=True))}


def build(variant: str = "repaired", requests: int = 2, older: int = 3) -> System:
    """Requests of two blocks, one of them swapped in, that are prepared while older ones hold a block each, which is all there are.

    Raises:
        DefinitionError: an unknown variant, or a number out of bounds.
    """
    one_of(VARIANTS, variant=variant)
    within(1, 3, requests=requests)
    within(2, 4, older=older)
    return _Pool(VARIANTS[variant], requests, older).system()


class _Pool:
    """The blocks of one prefill instance, and who takes and frees them."""

    def __init__(self, variant: Variant, requests: int, older: int):
        self.variant, self.request, self.older = variant, Index("request", requests), Index("older", older)
        self.lock = Lock("resource_lock", cite="facts 2.1: RM.lock")
        self.free = locked("blocks_free", Range(0, older), self.lock, init=0, cite="facts 2.1: gpu_free_block_list")
        self.swaps = channel("swap_tasks", self.request, requests, cite="facts 4.3: CPU to GPU copies")
        self.swapped = channel("swapped", self.request, requests, kind="bag", cite="facts 4.3")
        self.kept = ghost("lock_kept", BOOL, over=self.request)

    def system(self) -> System:
        """The machines, and what is asked of them."""
        allocating, finishing = self.allocation(), self.finishing()
        transferring = any_of(self.request, lambda q: allocating.at(q) == Allocate.TRANSFERRING)
        slow = any_of(self.request, lambda q: self.kept[q] & (allocating.at(q) == Allocate.TRANSFERRING))

        def done(q: Any) -> Expr:
            return allocating.at(q) == Allocate.DONE

        waiting = any_of(self.older, lambda o: finishing.at(o) == Older.FINISHED)
        properties = [
            deadlock(about="L3: who waits for blocks keeps nobody from freeing them"),
            leads_to(
                "every_request_ends", lambda q: allocating.at(q) != Allocate.DONE, lambda q: allocating.at(q) == Allocate.DONE, each=self.request
            ),
            never("no_release_waits_for_transfer", slow & waiting, about="no release waits for the end of a transfer"),
            sometimes("some_transfer_beside_finished", transferring & waiting, about="twin of no_release_waits_for_transfer"),
        ]
        return System("slow_match", [allocating, self.transfer(), finishing], properties, doc=__doc__ or "")

    def allocation(self) -> Machine:
        """`preallocate_resource_in_p` with a prefix on the CPU, then the rest of the request's life."""
        rows = [*(self._outside_rows() if self.variant.outside else self._inside_rows()), self._serve()]
        return Machine("allocation", Allocate, rows, copies=self.request, final=Allocate.DONE, doc="P.F1 .. FN: preallocation (4.3).")

    def _inside_rows(self) -> list[Row]:
        q, a, free, lock = me(self.request), Allocate, self.free, self.lock
        keep, let_go = self.kept[q].set(True), self.kept[q].set(False)
        enough = (free >= 2) if self.variant.looks else TRUE
        # fmt: off
        rows = [
            _row("begin",       a.WAITING,      a.LOCKED,       TRUE,      [keep],                           acquire=lock, cite="4.3"),
            _row("match",       a.LOCKED,       a.SWAPPING,     enough,    [],                               under=lock,   cite="4.3"),
            _row("swap",        a.SWAPPING,     a.TRANSFERRING, free >= 1, [free.sub(1), self.swaps.send(q)], under=lock,  cite="4.3; H-31"),
            _row("transferred", a.TRANSFERRING, a.ALLOCATING,   TRUE,      [self.swapped.receive(q)],        under=lock,   cite="4.3; H-31"),
            _row("allocate",    a.ALLOCATING,   a.HELD,         free >= 1, [free.sub(1), let_go],            release=lock, cite="4.3"),
        ]
        # fmt: on
        if self.variant.looks:
            rows.append(_row("find_too_few", a.LOCKED, a.WAITING, free < 2, [let_go], poll=True, release=lock, cite='4.3: "to prevent dead lock"'))
        else:
            rows.append(_row("dereference", a.ALLOCATING, a.WAITING, free < 1, [free.add(1), let_go], release=lock, cite="4.3: returns False"))
        return rows

    def _outside_rows(self) -> list[Row]:
        q, a, free, lock = me(self.request), Allocate, self.free, self.lock
        return [
            _row("reserve", a.WAITING, a.SWAPPING, free >= 2, [free.sub(2)], under=lock, cite="ours: all blocks at once"),
            _row("swap", a.SWAPPING, a.TRANSFERRING, TRUE, [self.swaps.send(q)], cite="ours: without the lock"),
            _row("transferred", a.TRANSFERRING, a.ALLOCATING, TRUE, [self.swapped.receive(q)], cite="ours: without the lock"),
            _row("admit", a.ALLOCATING, a.HELD, TRUE, [], under=lock, cite="ours: then the request is known"),
        ]

    def _serve(self) -> Row:
        return _row("serve", Allocate.HELD, Allocate.DONE, TRUE, [self.free.add(2)], under=self.lock, fair="strong", cite="4.8 .. 4.10")

    def transfer(self) -> Machine:
        """The process that copies blocks between CPU and GPU."""
        t, hand = Transfer, private("copied", Optional(self.request))
        rows = [
            Row("take", t.IDLE, t.COPYING, TRUE, [hand.set(self.swaps.head), self.swaps.receive()], "messager", cite="4.3"),
            Row("copied", t.COPYING, t.IDLE, TRUE, [self.swapped.send(hand.value), hand.set(None)], "messager", cite="4.3"),
        ]
        return Machine("transfer", t, rows, final=t.IDLE, doc="The cache-transfer process (4.3).")

    def finishing(self) -> Machine:
        """P.FIN and what it releases; it may wait for the lock, but not for ever while the lock is let go again and again."""
        o = Older
        rows = [
            _row("finish", o.RUNNING, o.FINISHED, cite="4.9"),
            _row("release", o.FINISHED, o.RELEASED, TRUE, [self.free.add(1)], under=self.lock, fair="strong", cite="4.10"),
        ]
        return Machine("finishing", o, rows, copies=self.older, final=o.RELEASED, doc="P.FIN for an older request (4.10).")
