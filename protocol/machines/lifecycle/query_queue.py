"""V2's resource manager: threads send messages, which `schedule()` takes from a queue (H-29).

A preallocation is a query: its thread waits for `schedule()` to answer it. To finish a request a thread frees the slot at
once, so that another may have it soon, and then sends a message, upon which `schedule()` runs V1's finish. That frees the slot by its number again,
whoever has it now. Ours sends the message only: freed at one place, by the thread that gives slots away.

Left out: blocks, and what else `schedule()` does; a gate or a `prefill_schedule()` that keeps the queue from being drained is in
`prefill_scheduling.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import all_of, any_of, choice, me
from ...effect import when
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from ...properties import Property, never, sometimes
from ...system import System
from ...types import BOOL, Enum, Index, Optional, Record
from ...variable import Lock, channel, locked
from ..arguments import one_of, within

_row = partial(Row, actor="engine")


class Life(IntEnum):
    """The request's thread ..."""

    AWAY, QUERYING, RUNNING, RELEASED, GONE = range(5)


class Kind(IntEnum):
    """A message asks to ..."""

    PREALLOCATE, FINISH = range(2)


class Drain(IntEnum):
    """`schedule()` is ..."""

    DRAINING = 0


@dataclass(frozen=True)
class Variant:
    """How a finish frees the slot.

    Args:
        at_once: the finishing thread frees it before it sends the message.
        own: upon the message it is freed if it is still the request's; else whoever has it.
    """

    name: str
    at_once: bool
    own: bool


VARIANTS = {v.name: v for v in (Variant("V2", True, False), Variant("checked", True, True), Variant("repaired", False, True))}


def build(variant: str = "repaired", requests: int = 3, slots: int = 1) -> System:
    """The manager with some requests, each with a thread of its own.

    Raises:
        DefinitionError: an unknown variant, or a number out of bounds.
    """
    one_of(VARIANTS, variant=variant)
    within(2, 4, requests=requests)
    within(1, 3, slots=slots)
    v, request, slot = VARIANTS[variant], Index("request", requests), Index("slot", slots)
    lock = Lock("resource_lock", cite="facts 6.2: RM.lock")
    owner = locked("slot_owner", Optional(request), lock, over=slot, cite="facts 6.2: tasks_list, stop_flags")
    place = locked("request_slot", Optional(slot), lock, over=request, cite="facts 6.2: request.idx")
    refused = locked("query_refused", BOOL, lock, over=request, cite="V2: the answer to a query")
    message = Record("Message", kind=Enum(Kind), request=request)
    queue = channel("messages", message, requests, cite="V2: the message queue")
    life = _life(v, request, slot, lock, owner, place, refused, queue, message)
    properties = _properties(life, request, slot, owner, place)
    return System("query_queue", [life, _draining(v, request, slot, lock, owner, place, refused, queue)], properties, doc=__doc__ or "")


def _life(v: Variant, request: Index, slot: Index, lock: Lock, owner: Any, place: Any, refused: Any, queue: Any, message: Record) -> Machine:
    q, f = me(request), Life
    ask, end = queue.send(message(kind=Kind.PREALLOCATE, request=q)), queue.send(message(kind=Kind.FINISH, request=q))
    free = [when(place[q] == s, owner[s].set(None)) for s in slot] if v.at_once else []
    rows = [
        _row("query", f.AWAY, f.QUERYING, TRUE, [ask], cite="V2: _sync_query"),
        _row("answered", f.QUERYING, f.RUNNING, ~place[q].is_none, [], under=lock, cite="V2: _sync_query"),
        _row("ask_again", f.QUERYING, f.AWAY, refused[q], [refused[q].set(False)], under=lock, cite="6.4: await preallocate"),
        _row("release_slot", f.RUNNING, f.RELEASED, TRUE, free, under=lock, cite="H-29: release_slot"),
        _row("send_finish", f.RELEASED, f.GONE, TRUE, [end], cite="H-29: then the message"),
    ]
    if not v.at_once:
        rows[3:] = [_row("send_finish", f.RUNNING, f.GONE, TRUE, [end], cite="ours: the message alone")]
    return Machine("life", f, rows, copies=request, final=f.GONE, doc="a request and the threads that prepare and finish it")


def _draining(v: Variant, request: Index, slot: Index, lock: Lock, owner: Any, place: Any, refused: Any, queue: Any) -> Machine:
    d, s, head = Drain.DRAINING, choice("slot", slot), queue.head
    lowest = owner[s].is_none & all_of(slot, lambda i: (i >= s) | ~owner[i].is_none)
    full = all_of(slot, lambda i: ~owner[i].is_none)
    take = [queue.receive(), owner[s].set(head.request), place[head.request].set(s)]
    mine = (owner[s] == head.request) if v.own else TRUE
    free = [queue.receive(), when(mine, owner[s].set(None)), place[head.request].set(None)]
    rows = [
        _row("preallocate", d, d, (head.kind == Kind.PREALLOCATE) & lowest, take, choose=(s,), under=lock, cite="V2: drained in schedule()"),
        _row(
            "refuse",
            d,
            d,
            (head.kind == Kind.PREALLOCATE) & full,
            [queue.receive(), refused[head.request].set(True)],
            under=lock,
            cite="8.1: no slot",
        ),
        _row("finish", d, d, (head.kind == Kind.FINISH) & (place[head.request] == s), free, choose=(s,), under=lock, cite="H-29: V1's finish"),
    ]
    return Machine("schedule", Drain, rows, final=d, doc="schedule(), which drains the queue")


def _properties(life: Machine, request: Index, slot: Index, owner: Any, place: Any) -> list[Property]:
    """S4."""
    f = Life

    def live(q: Any) -> Expr:
        return life.at(q) == f.RUNNING

    together = any_of(request, lambda a: any_of(request, lambda b: (a < b) & live(a) & live(b) & (place[a] == place[b])))
    lost = any_of(request, lambda q: live(q) & all_of(slot, lambda s: owner[s] != q))
    return [
        never("no_slot_shared", together, "S4: no two live requests in one slot"),
        never("no_slot_lost", lost, "S4: a live request has its slot"),
        sometimes("some_all_gone", all_of(request, lambda q: life.at(q) == f.GONE), "twin: every request runs and ends"),
    ]
