"""D's side of a lease: one reservation a request, and the keeper of the key.

D knows a request from its own client's post until it has answered that client; before and after, it holds nothing for it
and says so. Each message is one critical section of D's lock; what D owes in reply is sent by the next row.

A place is given back at four occasions only: its request was decoded to the end, P closed the attempt (DRAINED, FAILED), P
closed it after D had asked for it back (any of the three), or the generation of P that had it was fenced. To fence is to
take a new key: the card refuses the old one from then on, so nobody needs to know whether the old generation still writes.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import all_of, any_of, choice, me
from ...effect import Effect, when
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from ...types import Enum, Range
from ...variable import private
from .terms import Client, Terms, ToDecode, ToPrefill

_row = partial(Row, actor="decode")


class Reservation(IntEnum):
    """The request is ... at D."""

    UNKNOWN, WANTED, HELD, REVOKING, RUNNING = range(5)


class Owed(IntEnum):
    """What D has yet to say: nothing, or the grant, or a refusal, or that the attempt is over."""

    NOTHING, GRANT, REFUSED, CLOSED = range(4)


class Keeper(IntEnum):
    """The keeper of the key is ..."""

    STARTING, WATCHING, FENCING = range(3)


class _Own:
    """One reservation's private variables, and what every row is made of."""

    def __init__(self, t: Terms):
        self.t, self.q = t, me(t.request)
        self.attempt = private("held_attempt", t.attempt, over=t.request)[self.q]
        self.place = t.held_place[self.q]
        self.owed = private("owed", Enum(Owed), over=t.request)[self.q]
        self.about = private("owed_attempt", t.attempt, over=t.request)[self.q]
        self.number = choice("attempt", t.attempt)
        self.generation = choice("generation", t.generation)
        lease = t.lease_generation[self.q]
        self.fenced = ~lease.is_none & (lease.value < t.served.cell())

    def hear(self, kind: ToDecode) -> Effect:
        """Receive what P says of the chosen attempt and generation."""
        return self.t.to_decode[self.q].receive(self.t.said(kind=kind, attempt=self.number, generation=self.generation))

    def owe(self, what: Owed) -> list[Effect]:
        """Note the reply about the chosen attempt."""
        return [self.owed.set(what), self.about.set(self.number)]

    def free(self) -> list[Any]:
        """The place goes back; the lease is over."""
        t, place = self.t, self.place.value
        gone = [t.lease_generation[self.q].set(None), t.lease[place].set(None), *(t.layers_in[place, r].set(0) for r in t.rank)]
        return [t.holder[place].set(None), self.place.set(None), self.attempt.set(0), *gone]

    def is_live(self) -> Expr:
        """D is free to listen, and the message comes from the generation that it serves."""
        return (self.owed == Owed.NOTHING) & (self.generation == self.t.served.cell())


def reservation(t: Terms) -> Machine:
    """One request at D."""
    own = _Own(t)
    rows = [*_life_rows(t, own), *_ask_rows(t, own), *_close_rows(t, own), *_reply_rows(t, own)]
    return Machine("reservation", Reservation, rows, copies=t.request, process=t.decode, final=Reservation.UNKNOWN, doc="a request at D")


def _life_rows(t: Terms, own: _Own) -> list[Row]:
    """The client comes; D's own time-outs; the end of decoding; the fence."""
    q, s = own.q, Reservation
    answered = t.answers_client(q)
    under = partial(_row, under=t.places_lock)
    arrive = [t.decode_posts[q].receive(), t.client[q].set(Client.NO_ANSWER)]
    say = t.to_prefill[q].send(t.answer(kind=ToPrefill.REVOKED, attempt=own.attempt))
    rows = [
        _row("arrive", s.UNKNOWN, s.WANTED, TRUE, arrive, cite="4.1: D's scheduler; has_request"),
        under("finish", s.RUNNING, s.UNKNOWN, TRUE, [*own.free(), answered], cite="4.12"),
        under("release_fenced", s.HELD, s.UNKNOWN, own.fenced, [*own.free(), answered], cite="ours: 9.7"),
        under("release_fenced", s.REVOKING, s.UNKNOWN, own.fenced, [*own.free()], cite="ours: 9.7"),
    ]
    if t.rules.times_out:
        rows.append(_row("expire", s.WANTED, s.UNKNOWN, TRUE, [answered], decided="timer", cite="ours: one terminal answer"))
        if t.rules.awaits_drained:
            rows.append(_row("expire_held", s.HELD, s.REVOKING, TRUE, [answered], decided="timer", cite="ours: instead of D.MON, H-13"))
        else:
            rows.append(under("expire_held", s.HELD, s.UNKNOWN, TRUE, [*own.free(), answered], decided="timer", cite="#7965, H-13"))
    timer: dict[str, Any] = {"decided": "timer", "poll": True}
    rows.append(_row("say_revoked", s.REVOKING, None, own.owed == Owed.NOTHING, [say], cite="ours: until P closes it", **timer))
    return rows


def _ask_rows(t: Terms, own: _Own) -> list[Row]:
    """ASK: reserve, answer again, refuse."""
    q, s, rules = own.q, Reservation, t.rules
    place = choice("place", t.place)
    free = t.holder[place].is_none & all_of(t.place, lambda p: (p >= place) | ~t.holder[p].is_none)
    full = all_of(t.place, lambda p: ~t.holder[p].is_none)
    hold = [t.holder[place].set(q), t.lease_generation[q].set(own.generation), own.place.set(place), own.attempt.set(own.number)]
    opened = t.opens_lease(q, own.number, place)
    ask, live = own.hear(ToDecode.ASK), own.is_live()
    same = live & (own.number == own.attempt)
    by: dict[str, Any] = {"choose": (own.number, own.generation), "under": t.places_lock}
    with_place: dict[str, Any] = {"choose": (own.number, own.generation, place), "under": t.places_lock}
    rows = [
        _row("reserve", s.WANTED, s.HELD, live & free, [ask, *hold, *opened, *own.owe(Owed.GRANT)], cite="8.1", **with_place),
        _row("refuse", s.WANTED, None, live & full, [ask, *own.owe(Owed.REFUSED)], cite="9.1: said, not kept", **by),
        _row("refuse_unknown", s.UNKNOWN, None, live, [ask, *own.owe(Owed.REFUSED)], cite="ours: no client here, or not yet", **by),
        _row("drop_ask", s.RUNNING, None, live, [ask], cite="H-12: late", **by),
        _row("drop_ask", s.REVOKING, None, live & (own.number <= own.attempt), [ask], cite="H-12: late", **by),
        _row("drop_ask", s.HELD, None, live & (own.number < own.attempt), [ask], cite="H-12: late", **by),
    ]
    if rules.idempotent:
        rows.append(_row("grant_again", s.HELD, None, same, [ask, *own.owe(Owed.GRANT)], cite="ours: the same place; H-12", **by))
    else:
        again = [t.holder[place].set(q), own.place.set(place), *opened, *own.owe(Owed.GRANT)]
        rows.append(_row("reserve_again", s.HELD, None, same & free, [ask, *again], cite="8.1: overwrites; H-12", **with_place))
        rows.append(_row("refuse_again", s.HELD, None, same & full, [ask, *own.owe(Owed.REFUSED)], cite="8.1", **by))
    return rows


def _close_rows(t: Terms, own: _Own) -> list[Row]:
    """COMMIT, DRAINED, FAILED: heard any number of times, acted on once, confirmed every time."""
    q, s, d, rules = own.q, Reservation, ToDecode, t.rules
    live, closed = own.is_live(), own.owe(Owed.CLOSED)
    same = live & (own.number == own.attempt)
    answered = t.answers_client(q)
    by: dict[str, Any] = {"choose": (own.number, own.generation), "under": t.places_lock}
    anywhere = partial(_row, cite="ours: confirmed again", **by)
    insert = [own.hear(d.COMMIT), t.lease_generation[q].set(None), t.served_once[q].set(True), *closed]
    if t.key.high:  # Ghost: some process has died, or been fenced, since the beginning.
        insert += when(t.key_number.cell() > 0, t.served_after.set(True))
    rows = [
        _row("insert", s.HELD, s.RUNNING, same, insert, cite="4.11, 8.2: the commit", **by),
        _row("reopen", s.HELD, s.WANTED, same, [own.hear(d.DRAINED), *own.free(), *closed], cite="ours", **by),
        _row("fail", s.HELD, s.UNKNOWN, same, [own.hear(d.FAILED), *own.free(), answered, *closed], cite="ours; 9.5", **by),
        _row("fail", s.WANTED, s.UNKNOWN, live, [own.hear(d.FAILED), answered, *closed], cite="ours", **by),
        anywhere("confirm_drained", (s.UNKNOWN, s.WANTED, s.RUNNING), None, live, [own.hear(d.DRAINED), *closed]),
        anywhere("confirm_drained", (s.HELD, s.REVOKING), None, live & (own.number < own.attempt), [own.hear(d.DRAINED), *closed]),
        anywhere("confirm_failed", (s.UNKNOWN, s.RUNNING), None, live, [own.hear(d.FAILED), *closed]),
        anywhere("confirm_commit", (s.UNKNOWN, s.RUNNING), None, live, [own.hear(d.COMMIT), *closed]),
    ]
    again = [] if rules.answers_once else [answered]
    for event, kind in (("take_back_written", d.COMMIT), ("take_back_drained", d.DRAINED), ("take_back_failed", d.FAILED)):
        rows.append(_row(event, s.REVOKING, s.UNKNOWN, same, [own.hear(kind), *own.free(), *again, *closed], cite="ours: drained; H-13", **by))
    if rules.supersedes:
        rows += _superseding_rows(t, own)
    return rows


def _superseding_rows(t: Terms, own: _Own) -> list[Row]:
    """P speaks of a later attempt, so nobody writes for the held one: its ASK came late, when P had closed it already."""
    s = Reservation
    kind = choice("kind", t.said.fields[0][1])  # type: ignore[arg-type]
    later = own.is_live() & (own.number > own.attempt)
    heard = t.to_decode[own.q].receive(t.said(kind=kind, attempt=own.number, generation=own.generation))
    row = partial(_row, "supersede", choose=(kind, own.number, own.generation), under=t.places_lock, cite="ours: P repeats it; H-12, H-20")
    effects = [heard, *own.free()]
    return [row(s.HELD, s.WANTED, later, effects), row(s.REVOKING, s.UNKNOWN, later, effects)]


def _reply_rows(t: Terms, own: _Own) -> list[Row]:
    """What is owed is sent; what a fenced generation says changes nothing, and is answered."""
    q, o, lock = own.q, Owed, t.places_lock
    kind = choice("kind", t.said.fields[0][1])  # type: ignore[arg-type]
    stale = t.said(kind=kind, attempt=own.number, generation=own.generation)
    said = partial(t.answer, attempt=own.about)
    done = [own.owed.set(o.NOTHING), own.about.set(0)]
    grant = t.grant(attempt=own.attempt, place=own.place.value, key=t.key_number.cell())
    owes_grant = own.owed == o.GRANT
    fit = ~own.fenced if t.rules.withholds else TRUE
    every = tuple(Reservation)
    held = Reservation.HELD
    others = tuple(s for s in every if s is not held)
    old, heard = (own.owed == o.NOTHING) & (own.generation < t.served.cell()), t.to_decode[q].receive(stale)
    refuse, close = old & (kind == ToDecode.ASK), old & (kind != ToDecode.ASK)
    fenced = partial(_row, choose=(kind, own.number, own.generation), under=lock, cite="ours: a P that lives is told; nothing is held for it")
    return [
        _row("grant", held, None, owes_grant & fit, [t.grants[q].send(grant), *done], under=lock, cite="4.4: cache_sync"),
        _row("keep_grant", held, None, owes_grant & ~fit, done, under=lock, cite="ours: else P had the new key for it"),
        _row("keep_grant", others, None, owes_grant, done, cite="ours: it ended before the grant was sent"),
        _row("say_refused", every, None, own.owed == o.REFUSED, [t.to_prefill[q].send(said(kind=ToPrefill.REFUSED)), *done], cite="9.1, #7500"),
        _row("confirm", every, None, own.owed == o.CLOSED, [t.to_prefill[q].send(said(kind=ToPrefill.CLOSED)), *done], cite="ours"),
        fenced("refuse_fenced", every, None, refuse, [heard, *own.owe(o.REFUSED)]),
        fenced("close_fenced", every, None, close, [heard, *own.owe(o.CLOSED)]),
    ]


def keeper(t: Terms) -> Machine:
    """Takes a key at D's start, and whenever it hears of a newer generation of P or notices that P has died."""
    k, lock = Keeper, t.places_lock
    q, number, generation = choice("request", t.request), choice("attempt", t.attempt), choice("generation", t.generation)
    kind = choice("kind", t.said.fields[0][1])  # type: ignore[arg-type]
    newer = private("newer_generation", t.generation).cell()
    served, dead = t.served.cell(), ~t.prefill.is_alive()
    heard = t.to_decode[q].receive(t.said(kind=kind, attempt=number, generation=generation))
    take_key = [t.key_number.cell().add(1), t.remote_key.cell().set(t.key_number.cell() + 1)]
    fence = [served.set(newer), newer.set(0), *(take_key if t.rules.fences else [])]
    held = any_of(t.request, lambda i: t.lease_generation[i] == served)
    under = partial(_row, under=lock)
    rows = []
    restart = k.STARTING if t.bounds["decode_crashes"] else k.WATCHING
    if t.bounds["decode_crashes"]:
        opened = take_key if t.rules.renews_key else [t.remote_key.cell().set(t.key_number.cell())]
        rows.append(under("open_memory", k.STARTING, k.WATCHING, TRUE, opened, cite="ours: a new key"))
    if t.bounds["prefill_crashes"]:
        hear = partial(under, choose=(q, kind, number, generation))
        mortal = dead & held & (served < t.generation.high)
        rows += [
            hear("hear_newer", k.WATCHING, k.FENCING, generation > served, [heard, newer.set(generation)], cite="ours: P has restarted"),
            under("notice_death", k.WATCHING, k.FENCING, mortal, [newer.set(served + 1)], decided="observed", cite="ours: P is dead; 9.7"),
            *_suspect_rows(t, held & (served < t.generation.high), newer.set(served + 1)),
            under("fence", k.FENCING, k.WATCHING, TRUE, fence, cite="ours: key and generation at once; 9.7"),
        ]
    return Machine("keeper", k, rows, process=t.decode, initial=k.WATCHING, restart=restart, final=k.WATCHING, doc="the keeper of D's key")


def _suspect_rows(t: Terms, may: Expr, note: Effect) -> list[Row]:
    """D takes P for dead when it is merely cut off: the worst that a failure detector can do."""
    if not (most := t.bounds["suspicions"]):
        return []
    left = private("suspicions_left", Range(0, most), init=most).cell()
    fault: dict[str, Any] = {"decided": "observed", "fair": "none", "under": t.places_lock, "cite": "ours: safe, if wrong"}
    return [_row("suspect", Keeper.WATCHING, Keeper.FENCING, may & (left > 0), [note, left.sub(1)], **fault)]
