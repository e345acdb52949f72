"""D as published: the decode loop reserves and inserts, the monitor takes back what was reserved for long.

The pool of receiving threads and the queue behind it add nothing to a bag, so the loop takes its messages from the network
itself. A reservation for an id that is known overwrites the entry (8.1), a first token for an id that is not known is logged
(8.2). Decoding ends at any time after it has begun, finished or preempted: either way the entry goes and the client is answered.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import all_of, choice, me
from ...effect import each, when
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from ...types import BOOL, Optional, Range
from ...variable import private
from .terms import Client
from .wires import Said, Wires

_row = partial(Row, actor="decode")


class Loop(IntEnum):
    """The decode loop is ..."""

    LOOKING, ANSWERING, TELLING = range(3)


class Decoding(IntEnum):
    """D's scheduler and finish thread, for one request."""

    WATCHING = 0


class Monitor(IntEnum):
    """The monitor is ..."""

    SLEEPING, RECLAIMING, TELLING = range(3)


def _release(w: Wires, q: Any) -> list[Any]:
    """`pre_recycle_resource`: the slot and the blocks of the entry go back, the entry is deleted (8.3)."""
    place = w.table[q].value
    return [*w.frees(q, place), w.table[q].set(None)]


def decode_loop(w: Wires) -> Machine:
    """D.L: `_process_allocate_resource_requests` and `_process_prefilled_requests` (4.4, 4.11)."""
    s, q, place = Loop, choice("request", w.request), choice("place", w.place)
    asked = private("answered_request", w.request).cell()
    given = private("answered_place", Optional(w.place)).cell()
    free = w.holder[place].is_none
    full = all_of(w.place, lambda p: ~w.holder[p].is_none)

    def hear(kind: Said) -> Any:
        return w.to_decode.cell().receive(w.said(kind=kind, request=q))

    reserve = [hear(Said.PREFILL), *w.opens(q, place), w.table[q].set(place), asked.set(q), given.set(place)]
    refuse = [hear(Said.PREFILL), *([asked.set(q), given.set(None)] if w.version.says_no else [])]
    answer = [w.to_prefill.cell().send(w.cache_sync(request=asked, place=given)), asked.set(0), given.set(None)]
    known = w.wanted[q] & ~w.table[q].is_none
    insert = [hear(Said.TOKEN), w.decoding[q].set(True), w.decoded_once[q].set(True)]
    fail = [hear(Said.ERROR), asked.set(q)]
    tell = [*w.answers_client(asked), asked.set(0)]
    under = partial(_row, under=w.places_lock, choose=(q,))
    # fmt: off
    rows = [
        _row("reserve",         s.LOOKING,   s.ANSWERING, free, reserve, under=w.places_lock, choose=(q, place), cite="8.1: overwrites, H-12"),
        under("refuse",         s.LOOKING,   s.ANSWERING if w.version.says_no else None, full, refuse, cite="4.4, 9.1"),
        _row("answer",          s.ANSWERING, s.LOOKING,   TRUE, answer, cite="4.4: cache_sync"),
        under("insert",         s.LOOKING,   None, known, insert, cite="4.11, 8.2: the commit"),
        under("insert_unknown", s.LOOKING,   None, w.wanted[q] & w.table[q].is_none, [hear(Said.TOKEN)], cite="8.2: logged"),
        under("fail",           s.LOOKING,   s.TELLING, known, [*fail, *_release(w, q)], cite="4.11: pre_recycle_resource"),
        under("fail_unknown",   s.LOOKING,   s.TELLING, w.wanted[q] & w.table[q].is_none, fail, cite="4.11, 8.3"),
        _row("tell",            s.TELLING,   s.LOOKING, TRUE, tell, under=w.places_lock, cite="4.11: put_results"),
    ]
    # fmt: on
    return Machine("decode_loop", s, rows, process=w.decode, final=s.LOOKING, doc="D.L (1.2)")


def decoding(w: Wires) -> Machine:
    """D.ZI, D.S, D.T, D.FIN: the client's post, and the end of decoding (4.1, 4.12)."""
    s, q = Decoding, me(w.request)
    arrive = [w.decode_posts[q].receive(), w.wanted[q].set(True), w.client[q].set(Client.NO_ANSWER)]
    ends = w.decoding[q] & ~w.table[q].is_none
    finish = [*_release(w, q), w.decoding[q].set(False), *w.answers_client(q)]
    rows = [
        _row("arrive", s.WATCHING, None, TRUE, arrive, under=w.places_lock, cite="4.1"),
        _row("finish", s.WATCHING, None, ends, finish, under=w.places_lock, cite="4.12"),
    ]
    if most := w.bounds["aborts"]:
        left = private("aborts_left", Range(0, most), over=w.request, init=most)[q]
        gone = w.wanted[q] & (left > 0)
        entry = when(~w.table[q].is_none, *_release(w, q))
        abort = [entry, w.decoding[q].set(False), *w.answers_client(q), left.sub(1)]
        rows.append(
            _row("abort", s.WATCHING, None, gone, abort, under=w.places_lock, decided="observed", fair="none", cite="9.4, H-13: P is not told")
        )
    return Machine("decoding", s, rows, copies=w.request, process=w.decode, final=s.WATCHING, doc="decoding on D")


def monitor(w: Wires) -> Machine:
    """D.MON: collects under the lock, takes back after it was released (8.4)."""
    m, q = Monitor, choice("request", w.request)
    stale = private("stale", BOOL, over=w.request)
    of = private("reclaimed", w.request).cell()
    waits = partial(_is_waiting, w)
    collect = [each(w.request, lambda i: stale[i].set(waits(i)))]
    some = ~all_of(w.request, lambda i: ~waits(i))
    chosen = stale[q] & all_of(w.request, lambda i: (i >= q) | ~stale[i])
    there = ~w.table[q].is_none & (waits(q) if w.version.looks_twice else TRUE)
    done = all_of(w.request, lambda i: ~stale[i])
    reclaim = [*_release(w, q), stale[q].set(False), of.set(q)]
    tell = [*w.answers_client(of), of.set(0)]
    under = partial(_row, under=w.places_lock)
    rows = [
        under("collect", m.SLEEPING, m.RECLAIMING, some, collect, decided="timer", cite="8.4"),
        under("reclaim", m.RECLAIMING, m.TELLING, chosen & there, reclaim, choose=(q,), cite="8.4: no second look, H-27"),
        under("skip", m.RECLAIMING, None, chosen & ~there, [stale[q].set(False)], choose=(q,), cite="8.3; #7973: looks again"),
        under("tell", m.TELLING, m.RECLAIMING, TRUE, tell, cite="8.4: error 408"),
        _row("sleep", m.RECLAIMING, m.SLEEPING, done, [], cite="8.4"),
    ]
    return Machine("monitor", m, rows, process=w.decode, final=m.SLEEPING, doc="D.MON (#7965)")


def _is_waiting(w: Wires, q: Any) -> Expr:
    """Reserved and not running: what the monitor takes for abandoned once it is old."""
    return ~w.table[q].is_none & ~w.decoding[q]
