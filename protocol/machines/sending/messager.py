"""Registration (MA[r]) and consumption of signals (MC[r]), for every epoch of `pipeline.py`.

MC handles the slots of a signal in slot order: registered ones are queued, as one batch or singly, the others parked or, before
#7872, queued all the same. In E3b nothing is queued by MC: the registering thread sweeps what is parked.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial

from ...combine import all_of, any_of, choice, me, passed
from ...effect import each, when
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from ...types import Optional
from ...variable import private
from .pipeline import Pipeline, member, members, only

_row = partial(Row, actor="messager")


class Registrar(IntEnum):
    """The registering thread is ..."""

    POLLING, MEETING, STORED, PUBLISHED, ACKNOWLEDGING, SWEEPING = range(6)


class Consumer(IntEnum):
    """The thread that consumes signals is ..."""

    POLLING, CHECKING, APPLYING, SPLITTING, QUEUEING = range(5)


def registrar(p: Pipeline) -> Machine:
    """MA[r]: `_add_cache_task_thread` (6.1)."""
    r, s = me(p.rank), Registrar
    info = private("fetched_info", Optional(p.request), over=p.rank)
    last = all_of(p.rank, lambda i: (i == r) | p.info_read[i])
    mine, lock = info[r].value, p.infos_lock
    fetch = [p.info_read[r].set(True), info[r].set(p.info), when(last, p.info.set(None))]
    unread, idle = ~p.info_read[r], [info[r].set(None)]
    meet, gone = ([p.infos_met.arrive()], passed(p.infos_met)) if p.barrier_kept else ([], TRUE)
    publish = [p.registered[r, mine].set(True)]
    # fmt: off
    rows = [
        _row("find_nothing", s.POLLING, s.POLLING, unread & p.info.is_none,  [p.info_read[r].set(True)], under=lock, cite="CH2"),
        _row("fetch_info",   s.POLLING, s.MEETING, unread & ~p.info.is_none, [*fetch, *meet], under=lock, cite="6.1 a1, a2"),
    ]
    # fmt: on
    ready = s.MEETING
    if p.epoch.discards:
        rows.append(_row("store_info", s.MEETING, s.STORED, gone, [p.cache_info[r][mine].set(True)], cite="6.1 a3"))
        ready, gone = s.STORED, TRUE
    parked = p.pending[r, mine]
    forward = [p.work[r].send(members(p.batch, lambda q: only(mine == q, parked))), parked.set(0), *idle]
    if p.epoch.ours:
        rows += [
            _row("publish_task", ready, s.POLLING, gone & (parked == 0), [*publish, *idle], under=p.messager[r], cite="ours"),
            _row("publish_and_forward", ready, s.POLLING, gone & (parked != 0), [*publish, *forward], under=p.messager[r], cite="ours"),
        ]
    elif p.epoch.acknowledged:
        acknowledge = [p.added[mine, r].set(True), *idle]
        rows += [
            _row("publish_task", ready, s.ACKNOWLEDGING, gone, publish, cite="6.1 a3"),
            _row("acknowledge", s.ACKNOWLEDGING, s.POLLING, TRUE, acknowledge, under=p.added_lock, cite="6.1 a4, CH3"),
        ]
    elif p.epoch.parks and not p.epoch.sweeps:
        rows += [
            _row("publish_task", ready, s.PUBLISHED, gone, publish, cite="6.1 a3"),
            _row("find_nothing_parked", s.PUBLISHED, s.POLLING, parked == 0, idle, under=p.messager[r], cite="#7872"),
            _row("forward_parked", s.PUBLISHED, s.POLLING, parked != 0, forward, under=p.messager[r], cite="#7872"),
        ]
    else:
        rows.append(_row("publish_task", ready, s.POLLING, gone, [*publish, *idle], cite="6.1 a3"))
    if p.epoch.sweeps:
        rows += _sweep(p)
    return Machine("registrar", s, rows, copies=p.rank, final=s.POLLING, doc="MA[r]: registration of cache tasks (6.1).")


def _sweep(p: Pipeline) -> list[Row]:
    """E3b: each round forwards the parked signals of registered slots, in slot order."""
    r, s, q = me(p.rank), Registrar, choice("request", p.request)
    found, lock = private("swept_request", Optional(p.request), over=p.rank), p.messager[r]
    due = (p.pending[r, q] != 0) & all_of(p.request, lambda i: (i >= q) | (p.pending[r, i] == 0))
    parked = p.pending[r, found[r].value]
    forward = [p.work[r].send(members(p.batch, lambda i: only(found[r] == i, parked))), parked.set(0), found[r].set(None)]
    return [
        _row("find_parked", s.POLLING, s.SWEEPING, due & p.registered[r, q], [found[r].set(q)], choose=(q,), under=lock, cite="#8034, E3b"),
        _row("sweep", s.SWEEPING, s.POLLING, TRUE, forward, under=lock, cite="#8034, E3b"),
    ]


def consumer(p: Pipeline) -> Machine:
    """MC[r]: `consume_signals` (6.3, 6.6)."""
    r, s, q = me(p.rank), Consumer, choice("request", p.request)
    seen, layer = private("seen_batch", p.chunk, over=(p.rank, p.request)), private("seen_layer", p.layer, over=p.rank)
    ready = private("ready_batch", p.chunk, over=(p.rank, p.request))
    head, lock = p.signals[r].head, p.messager[r]
    keep = [each(p.request, lambda i: seen[r, i].set(member(head.batch, i))), layer[r].set(head.layer), p.signals[r].receive()]
    forget = [each(p.request, lambda i: seen[r, i].set(0)), layer[r].set(0)]

    def mark(i: Expr) -> tuple:
        return when(seen[r, i] != 0, p.progress[r, i].set(p.to_mark(seen[r, i], layer[r])))

    marks, first = each(p.request, mark), layer[r] == 0
    empty = all_of(p.request, lambda i: ~p.cache_info[r][i])
    rows = [_row("receive", s.POLLING, s.CHECKING if p.epoch.discards else s.APPLYING, TRUE, keep, cite="6.3 c1")]
    if p.epoch.discards:
        rows += [
            _row("discard", s.CHECKING, s.POLLING, empty, forget, cite="6.3 c2, H-01"),
            _row("accept", s.CHECKING, s.APPLYING, ~empty, [], cite="6.3 c2"),
        ]
    rows.append(_row("mark_progress", s.APPLYING, s.POLLING, ~first, [marks, *forget], under=lock, cite="6.3 c4"))
    whole = members(p.batch, lambda i: seen[r, i])
    if not p.epoch.parks:
        queue = [marks, p.work[r].send(whole), *forget]
        rows.append(_row("queue_batch", s.APPLYING, s.POLLING, first, queue, under=lock, cite="6.3 c4"))
        return _consumer(p, rows)
    turn = (seen[r, q] != 0) & all_of(p.request, lambda i: (i >= q) | (seen[r, i] == 0))
    there, handled = p.registered[r, q], seen[r, q].set(0)
    park = [p.pending[r, q].set(seen[r, q]), handled]
    single = [p.work[r].send(members(p.batch, lambda i: only(q == i, seen[r, q]))), handled]
    done = all_of(p.request, lambda i: seen[r, i] == 0)
    if p.epoch.ours:
        rows += [
            _row("begin_split", s.APPLYING, s.SPLITTING, first, [marks], under=lock, cite="ours"),
            _row("park", s.SPLITTING, s.SPLITTING, turn & ~there, park, choose=(q,), under=lock, cite="#7872"),
            _row("queue_ready", s.SPLITTING, s.SPLITTING, turn & there, single, choose=(q,), under=lock, cite="ours"),
            _row("end_split", s.SPLITTING, s.POLLING, done, [], cite="ours"),
        ]
        return _consumer(p, rows)
    rows.append(_row("begin_split", s.APPLYING, s.SPLITTING, first, [marks], acquire=lock, cite="#7872"))
    if p.epoch.sweeps:
        rows.append(_row("park", s.SPLITTING, s.SPLITTING, turn, park, choose=(q,), under=lock, cite="#8034, E3b"))
        rows.append(_row("end_split", s.SPLITTING, s.POLLING, done, [], release=lock, cite="#7872"))
        return _consumer(p, rows)
    rows.append(_row("park", s.SPLITTING, s.SPLITTING, turn & ~there, park, choose=(q,), under=lock, cite="#7872"))
    take, some = [ready[r, q].set(seen[r, q]), handled], any_of(p.request, lambda i: ready[r, i] != 0)
    queue = [p.work[r].send(members(p.batch, lambda i: ready[r, i])), each(p.request, lambda i: ready[r, i].set(0))]
    after = s.SPLITTING if p.epoch.split else s.QUEUEING
    rows.append(_row("find_task", s.SPLITTING, after, turn & there, take, choose=(q,), under=lock, cite="#7872"))
    if p.epoch.split:
        rows.append(_row("queue_ready", s.SPLITTING, s.POLLING, done & some, queue, release=lock, cite="#7872"))
        rows.append(_row("end_split", s.SPLITTING, s.POLLING, done & ~some, [], release=lock, cite="#7872"))
    else:
        rows.append(_row("queue_ready", s.QUEUEING, s.SPLITTING, TRUE, queue, under=lock, cite="#8034, E3a"))
        rows.append(_row("end_split", s.SPLITTING, s.POLLING, done, [], release=lock, cite="#7872"))
    return _consumer(p, rows)


def _consumer(p: Pipeline, rows: list[Row]) -> Machine:
    return Machine("consumer", Consumer, rows, copies=p.rank, final=Consumer.POLLING, doc="MC[r]: `consume_signals` (6.3).")
