"""Preparation: N threads, each with one request in hand for a few steps, none of which waits for D.

What waits is the request, in its stage. A thread takes a new request and asks D for it; asks again for one that was
refused; or takes a granted one, P's slot with it, hands its cache task to the messagers and makes it schedulable. D's
reservation comes first and P's slot last: a request that holds P's slot waits for nothing but P's own work, so slots come
back whatever any D does, and a full D holds up nobody else (#7724's purpose; H-07, H16). The one wait of a thread with a request
in hand is for the mailbox of the messagers, until every rank has read the cache task before.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial

from ...combine import all_of, any_of, choice, me
from ...effect import when
from ...machine import Machine, Row
from ...slice import Copies
from ...types import Optional
from . import prefix_cache
from .plane import Plane, Stage

_row = partial(Row, actor="prefill")


class Prepare(IntEnum):
    """The prepare thread is ..."""

    IDLE, SEEN, TAKEN, HOLDING, PUT = range(5)


def prepare(p: Plane, request: Copies) -> Machine:
    """P.F1 .. FN: the prepare threads (5.2)."""
    t, s, q = me(p.thread), Prepare, choice("request", p.request)
    free = choice("slot", p.slot)
    hand = p.private("prepare_hand", Optional(p.request), over=p.thread)
    key, turn = p.private("prepare_key", p.key, over=p.thread), p.private("prepare_turn", p.turn, over=p.thread)
    head = p.intake.head
    taken = p.taken[head.request, head.turn]
    see = [hand[t].set(head.request), turn[t].set(head.turn), when(taken, p.taken_twice.set(True)), taken.set(True)]
    if not p.rules.leaves_intake:
        see += [p.last_request.set(head.request), p.last_turn.set(head.turn)]
    mine, now = hand[t] == q, p.turn_of[q]
    current = (request.at(q) == Stage.NEW) & (turn[t] == now)
    is_free = ~any_of(p.request, lambda i: p.slot_of[i] == free)
    lowest = prefix_cache.has_room(p, q) & is_free & ~any_of(p.slot, lambda i: (i < free) & ~any_of(p.request, lambda j: p.slot_of[j] == i))
    hold = [p.slot_of[q].set(free), p.prefill_holds[q].set(True), *prefix_cache.take(p, q)]
    keep, done = [hand[t].set(q), key[t].set(p.granted_key[q])], [hand[t].set(None), key[t].set(None)]
    put = [p.info_request.set(hand[t]), p.info_key.set(key[t]), *(p.info_read[r].set(False) for r in p.rank)]
    all_read = all_of(p.rank, lambda r: p.info_read[r])
    ask, lock, move = [p.ask[q, now].send(0)], p.resources, request[q]
    own, nothing = p.rules.asks_first, [hand[t].set(None), turn[t].set(0)]
    if p.rules.takes_once:
        takes = [_row("take", s.IDLE, s.TAKEN, ~p.intake.empty, [*see, p.intake.pop()], under=p.mutex, cite="4.2; ours: H-10")]
    else:
        step_on = when(~p.intake.empty, p.intake.pop())
        takes = [
            _row("see", s.IDLE, s.SEEN, ~p.intake.empty, see, under=p.mutex, cite="H-10: cursor and slice apart"),
            _row("advance", s.SEEN, s.TAKEN, True, [step_on], under=p.mutex, cite="H-10"),
        ]
    # fmt: off
    rows = [
        *takes,
        _row("ask",       s.TAKEN,   s.IDLE,    mine & current & (lowest if not own else True), [*ask, *([] if own else hold), *nothing],
             choose=(q,) if own else (q, free), moves=move.ask, under=lock, cite="4.4"),
        _row("skip",      s.TAKEN,   s.IDLE,    mine & ~current, nothing, choose=(q,), under=lock, cite="ours: aborted in the queue"),
        _row("ask_again", s.IDLE,    s.IDLE,    True, ask, choose=(q,), moves=move.ask_again, under=lock, decided="timer", cite="9.1"),
        _row("hold",      s.IDLE,    s.HOLDING, lowest if own else True, [*(hold if own else []), *keep],
             choose=(q, free) if own else (q,), moves=move.hold, under=lock, cite="4.3; ours: D first"),
        _row("put_task",  s.HOLDING, s.PUT,     all_read, put, under=p.infos_lock, cite="4.7, CH2"),
        _row("add",       s.PUT,     s.IDLE,    mine, done, choose=(q,), moves=move.add, under=lock, cite="4.8"),
    ]
    # fmt: on
    rows += _evict_rows(p, request)
    copies = (*p.instances, p.thread)
    return Machine("prepare", s, rows, copies=copies, final=s.IDLE, process=p.engine_process, doc="P.F1 .. FN: preparation (5.2).")


def _evict_rows(p: Plane, request: Copies) -> list[Row]:
    """Room for a request that waits for its slot, out of what nobody uses of the prefix cache."""
    if p.cache is None:
        return []
    f, k = choice("prefix", p.cache.prefix), choice("place", p.cache.place)
    short = prefix_cache.is_short(p, lambda q: request.at(q) == Stage.GRANTED)
    may, does = short & prefix_cache.is_evictable(p, f, k), prefix_cache.evict(p, f, k)
    return [_row("evict", Prepare.IDLE, Prepare.IDLE, may, does, choose=(f, k), under=p.resources, cite="4.3: tree eviction")]
