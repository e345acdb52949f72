"""The registration of cache tasks (MA[r]): from the mailbox CH2 into the messager's dictionaries, one store a row.

The two halves of a task come in either order: the first only makes the id known in `cache_info`, the second completes the
record and publishes it in `idx_cache_task_dict`. Merging the halves has no row of its own: nobody but MA reads the record
before it is published. From E2 on a published task takes the layer-0 signal that may have been parked for its slot.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial

from ...combine import all_of, me, passed
from ...effect import when
from ...expr import TRUE
from ...machine import Machine, Row
from ...types import Optional
from ...variable import private
from .hand_over import HandOver, members_of

_row = partial(Row, actor="messager")


class Registrar(IntEnum):
    """The registering thread is ..."""

    POLLING, MEETING, STORING, PUBLISHING, FORWARDING, ACKNOWLEDGING, STORED = range(7)


def registrar(h: HandOver) -> Machine:
    """MA[r]: `_add_cache_task_thread` (6.1)."""
    r, a = me(h.rank), Registrar
    info = private("fetched_info", Optional(h.request), over=h.rank)
    lock = h.infos_lock
    last_reader = all_of(h.rank, lambda i: (i == r) | h.infos_read[i])
    unread, free = ~h.infos_read[r], passed(h.added_met) if h.epoch.acknowledged else TRUE
    fetch = [h.infos_read[r].set(True), info[r].set(h.infos), when(last_reader, h.infos.set(None)), h.infos_met.arrive()]
    known = h.cache_info[r][info[r].value]
    idle = [info[r].set(None)]
    slot = h.slot_of(info[r].value)
    stored = a.STORED if h.epoch.acknowledged else a.PUBLISHING if h.halves == 1 else a.POLLING
    store = [h.cache_info[r][info[r].value].set(True), *(idle if stored is a.POLLING else [])]
    # fmt: off
    rows = [
        _row("find_nothing", a.POLLING, a.POLLING, free & unread & h.infos.is_none,  [h.infos_read[r].set(True)], under=lock, cite="CH2"),
        _row("fetch_info",   a.POLLING, a.MEETING, free & unread & ~h.infos.is_none, fetch, under=lock, cite="6.1 a1, a2"),
    ]
    if h.halves == 1:
        rows.append(_row("store_info", a.MEETING, a.PUBLISHING, passed(h.infos_met), store, cite="6.1 a3"))
    else:
        rows += [
            _row("find_first_half",  a.MEETING, a.STORING,    passed(h.infos_met) & ~known, [], cite="6.1 a3"),
            _row("find_second_half", a.MEETING, a.PUBLISHING, passed(h.infos_met) & known,  [], cite="6.1 a3"),
            _row("store_info",       a.STORING, stored,       TRUE, store, cite="6.1 a3"),
        ]
        if h.epoch.acknowledged:
            rows.append(_row("end_round", a.STORED, a.POLLING, TRUE, [*idle, h.added_met.arrive()], cite="6.1 a5"))
    publish = [h.registered[r, slot].set(info[r])]
    if h.epoch.acknowledged:
        may_add = ~all_of(h.rank, lambda i: h.added_by[i])
        add = [when(h.added.is_none, h.added.set(info[r])), h.added_by[r].set(True), *idle, h.added_met.arrive()]
        rows += [
            _row("publish_task", a.PUBLISHING,    a.ACKNOWLEDGING, TRUE,    publish, cite="6.1 a3"),
            _row("acknowledge",  a.ACKNOWLEDGING, a.POLLING,       may_add, add,     under=h.added_lock, cite="6.1 a4, a5, CH3"),
        ]
    elif not h.epoch.parks:
        rows.append(_row("publish_task", a.PUBLISHING, a.POLLING, TRUE, [*publish, *idle], cite="6.1 a3"))
    else:
        rows += _forwarding_rows(h, publish, idle, info)
    # fmt: on
    return Machine("registrar", a, rows, copies=h.rank, final=a.POLLING, doc="MA[r]: registration of cache tasks (6.1).")


def _forwarding_rows(h: HandOver, publish: list, idle: list, info: object) -> list[Row]:
    """A published task takes the signal parked for its slot; ours publishes and forwards in one critical section."""
    r, a = me(h.rank), Registrar
    request = info[r].value  # type: ignore[index]
    slot = h.slot_of(request)
    parked, lock = h.pending[r, slot], h.messager[r]
    forward = [h.pending[r, slot].set(False), h.work[r].send(members_of(h.batch, lambda s: slot == s)), *idle]
    if h.epoch.unmet:
        return [
            _row("publish_task", a.PUBLISHING, a.POLLING, ~parked, [*publish, *idle], under=lock, cite="ours"),
            _row("publish_and_forward", a.PUBLISHING, a.POLLING, parked, [*publish, *forward], under=lock, cite="ours"),
        ]
    return [
        _row("publish_task", a.PUBLISHING, a.FORWARDING, TRUE, publish, cite="6.1 a3"),
        _row("find_nothing_parked", a.FORWARDING, a.POLLING, ~parked, idle, under=lock, cite="#7872"),
        _row("forward_parked", a.FORWARDING, a.POLLING, parked, forward, under=lock, cite="#7872"),
    ]
