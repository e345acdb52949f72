"""D: the loop that reserves (D.L), and the rest of a request's life there.

D.IO's threads move messages from the network, in any order, into a queue, from which D.L takes them in turn. The other
messages of D are handled where they are received: a queue would only delay them.

Refusals are *told* to P (34d09029, and again from #7500 on), *silent* (the published 2026 connector builds the answer and sends it to
nobody), or told to the *client too* (question Q4). With `cache_task` D keeps what does not fit and looks at the first alone.

Before the repair a second reservation of one id overwrites the first, whose room is lost. Ours: D remembers the attempt that
it granted, answers the same ask again with the same grant, and drops an ask older than that.

`decode` is insertion of the first token, all decoding steps and the release in one: the message may wait as long as those take.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from functools import partial

from ...combine import choice, if_else, me
from ...effect import when
from ...expr import TRUE
from ...machine import Machine, Row
from ...types import Optional
from ...variable import private
from .instances import Instances, Place

_row = partial(Row, actor="decode")


class Delivery(IntEnum):
    """The thread that handles P's message is ..."""

    IDLE, PUTTING = range(2)


class DecodeLoop(IntEnum):
    """D.L is ..."""

    POLLING, CHECKING, GRANTING, REFUSING = range(4)


class Decoder(IntEnum):
    """The rest of D is ..."""

    RUNNING = 0


def delivery(i: Instances) -> Machine:
    """D.IO: one `prefill` message, or two of one request, one after the other."""
    q, s, a = me(i.request), Delivery, choice("attempt", i.attempt)
    number = private("delivered_attempt", i.attempt, over=i.request)
    ask = i.ask(request=q, attempt=number[q])
    rows = [
        _row("receive", s.IDLE, s.PUTTING, TRUE, [i.asks.receive(i.ask(request=q, attempt=a)), number[q].set(a)], choose=(a,), cite="CH7"),
        _row("put", s.PUTTING, s.IDLE, TRUE, [i.deliveries[i.goal[q]].send(ask), number[q].set(0)], cite="4.4: disaggregate_requests"),
    ]
    return Machine("delivery", s, rows, copies=i.request, final=s.IDLE, doc="D.IO: a handler thread of D, one a request (4.4).")


def decode_loop(i: Instances) -> Machine:
    """D.L: `_process_allocate_resource_requests` (4.4, 8.1)."""
    table = _CacheTask(i) if i.bounds.waits == "cache_task" else _Loop(i)
    rows, final = list(table.rows()), DecodeLoop.POLLING
    return Machine("decode_loop", DecodeLoop, rows, copies=i.decode, final=final, doc="D.L: reserves or refuses (4.4, 8.1).")


class _Loop:
    """D answers every ask at once."""

    def __init__(self, i: Instances):
        self.i, self.d = i, me(i.decode)
        self.hand = private("ask_request", Optional(i.request), over=i.decode)
        self.number = private("ask_attempt", i.attempt, over=i.decode)
        self.q = choice("request", i.request)
        self.mine = self.hand[self.d] == self.q
        self.empty = [self.hand[self.d].set(None), self.number[self.d].set(0)]

    def rows(self) -> Iterator[Row]:
        i, d, s = self.i, self.d, DecodeLoop
        first = i.deliveries[d].head
        take = [self.hand[d].set(first.request), self.number[d].set(first.attempt), i.deliveries[d].receive()]
        yield _row("take", s.POLLING, s.CHECKING, TRUE, take, cite="4.4")
        yield from self._check_rows()
        yield self._answer("grant", s.GRANTING, granted=True)
        if i.bounds.refusals != "silent":
            yield self._answer("refuse", s.REFUSING, granted=False)
        else:
            dropped = [*self.empty, i.dropped[self.q].set(True)]
            yield _row("drop", s.REFUSING, s.POLLING, self.mine, dropped, choose=(self.q,), cite="4.4: addressed to nobody")

    def _check_rows(self) -> Iterator[Row]:
        i, d, s, q, mine = self.i, self.d, DecodeLoop, self.q, self.mine
        place, room = i.place[d, q], i.decode_has_room(self.d, self.q)
        check = partial(_row, source=s.CHECKING, choose=(q,), under=i.decode_lock[d])
        reserve = [place.set(Place.RESERVED), i.granted_to[d, q].set(self.number[d])]
        new = mine
        if i.variant.numbered:
            held, older = place == Place.RESERVED, i.granted_to[d, q] > self.number[d]
            stale = (place == Place.DONE) | (held & older)
            yield check("grant_again", destination=s.GRANTING, guard=mine & held & ~older, effects=reserve[1:], cite="ours: idempotent, H-12")
            yield check("drop_stale", destination=s.POLLING, guard=mine & stale, effects=self.empty, cite="ours: H-12")
            new = mine & (place == Place.UNKNOWN)
        else:
            reserve.append(i.overwritten[d].add(if_else(place == Place.RESERVED, i.size[q], 0)))
        yield check("reserve", destination=s.GRANTING, guard=new & room, effects=reserve, cite="8.1; H-12")
        yield check("find_full", destination=s.REFUSING, guard=new & ~room, cite="8.1, 9.1")

    def _answer(self, event: str, source: DecodeLoop, granted: bool) -> Row:
        i, q, effects = self.i, self.q, list(self.empty)
        effects.append(i.answers.send(i.answer(request=q, attempt=self.number[self.d], granted=granted)))
        if not granted and (i.bounds.refusals == "client_too" or i.variant.both_tell):
            effects.append(i.tell_client(q))
        return _row(event, source, DecodeLoop.POLLING, self.mine, effects, choose=(q,), cite="4.4: cache_sync" + ("" if granted else "; Q4"))


class _CacheTask:
    """`enable_decode_cache_task`: D keeps every ask, and reserves for the first only."""

    def __init__(self, i: Instances):
        self.i, self.d = i, me(i.decode)
        self.kept = i.kept

    def rows(self) -> Iterator[Row]:
        i, d, s = self.i, self.d, DecodeLoop
        kept = self.kept[d]
        keep = [kept.push(i.deliveries[d].head.request), i.deliveries[d].receive()]
        yield _row("keep", s.POLLING, s.POLLING, TRUE, keep, cite="4.4")
        q = choice("request", i.request)
        first = (kept.length > 0) & (kept.head == q)
        fits, reserve = first & i.decode_has_room(d, q), [i.place[d, q].set(Place.RESERVED)]
        yield _row("reserve", s.POLLING, s.GRANTING, fits, reserve, choose=(q,), under=i.decode_lock[d], cite="4.4: first only")
        grant = [i.answers.send(i.answer(request=q, attempt=0, granted=True)), kept.pop()]
        yield _row("grant", s.GRANTING, s.POLLING, first, grant, choose=(q,), cite="4.4: cache_sync")


def decoder(i: Instances) -> Machine:
    """D's insertion, decoding and release; ours: its cancellations too."""
    d, q, s, a = me(i.decode), choice("request", i.request), Decoder.RUNNING, choice("attempt", i.attempt)
    release = [i.first_tokens.receive(q), i.place[d, q].set(Place.DONE), i.served[q].set(True), i.tell_client(q)]
    rows = [_row("decode", s, s, i.goal[q] == d, release, choose=(q,), under=i.decode_lock[d], cite="4.11, 4.12")]
    if i.variant.cancels:
        still = (i.place[d, q] == Place.RESERVED) & (i.granted_to[d, q] == a)
        cancel = [i.cancels.receive(i.ask(request=q, attempt=a)), when(still, i.place[d, q].set(Place.UNKNOWN))]
        rows.append(_row("cancel", s, s, i.goal[q] == d, cancel, choose=(q, a), under=i.decode_lock[d], cite="ours: S7"))
    return Machine("decoder", Decoder, rows, copies=i.decode, final=s, doc="D after the grant: first token, decoding, release (4.11, 4.12).")
