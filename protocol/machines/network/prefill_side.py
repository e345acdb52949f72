"""P's side of a lease: one exchange a request, from the client's post until D has confirmed that it is over.

Whichever thread acts (the prepare thread's timer, the receiver, the token processor), each row is one critical section of
the request's exchange, so the exchange is a machine of its own. Nothing of P's is taken before D has granted, each
request stands alone, and a refusal leads back to the queue: nobody holds one thing while he waits for another.

An attempt is closed in one of three ways, each said until D confirms it: COMMIT (every rank has written), DRAINED (nobody
writes any more; P will ask again under the next number), FAILED (nobody writes any more, and P gives up). In all three no
rank writes for the attempt when it is said; that is what entitles D to the place.

After the end P remembers nothing. Asked to end an attempt that it does not know, P says FAILED: an engine that has just
restarted writes nothing, and D fences the old generation before it believes that.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import all_of, any_of, choice, me
from ...effect import Effect, each, when
from ...expr import TRUE, Expr, Param
from ...machine import Machine, Row
from ...variable import private
from .terms import Order, Terms, ToDecode, ToPrefill

_row = partial(Row, actor="prefill")


class Exchange(IntEnum):
    """The request is ... at P."""

    UNKNOWN, QUEUED, ASKING, GRANTED, SENDING, STOPPING, COMMITTING, WITHDRAWING, ABANDONING = range(9)


class _Own:
    """One exchange's private variables, and what every row is made of."""

    def __init__(self, t: Terms):
        self.t, self.q = t, me(t.request)
        self.attempt = private("attempt", t.attempt, over=t.request)[self.q]
        self.place = private("granted_place", t.place, over=t.request)[self.q]
        self.key = private("granted_key", t.key, over=t.request)[self.q]
        self.kind, self.number = choice("kind", t.answer.fields[0][1]), choice("attempt", t.attempt)  # type: ignore[arg-type]

    def say(self, kind: ToDecode) -> Effect:
        """Send to D, under the current attempt and generation."""
        return self.t.to_decode[self.q].send(self.t.said(kind=kind, attempt=self.attempt, generation=self.t.generation_now.cell()))

    def hear(self, kind: ToPrefill | Param, number: Expr | None = None) -> Effect:
        """Receive D's answer about that attempt, by default the current one."""
        return self.t.to_prefill[self.q].receive(self.t.answer(kind=kind, attempt=self.attempt if number is None else number))

    def forget(self) -> list[Effect]:
        """The exchange is over."""
        return [self.attempt.set(0)]


def exchange(t: Terms) -> Machine:
    """One request's exchange at P."""
    own = _Own(t)
    rows = [*_asking_rows(t, own), *_sending_rows(t, own), *_closing_rows(t, own), *_stale_rows(t, own)]
    return Machine("exchange", Exchange, rows, copies=t.request, process=t.prefill, final=Exchange.UNKNOWN, doc="a request's exchange at P")


def _asking_rows(t: Terms, own: _Own) -> list[Row]:
    """From the post to the grant."""
    q, x = own.q, Exchange
    place, key, number = choice("place", t.place), choice("key", t.key), own.number
    taken = t.grant(attempt=number, place=place, key=key)
    take = [t.grants[q].receive(taken), own.place.set(place), own.key.set(key)]
    ours = number == own.attempt if t.rules.numbers else TRUE
    step = partial(_row, choose=(number, place, key))
    ask = own.say(ToDecode.ASK)
    rows = [
        _row("arrive", x.UNKNOWN, x.QUEUED, TRUE, [t.prefill_posts[q].receive()], cite="4.1"),
        _row("ask", x.QUEUED, x.ASKING, TRUE, [ask], cite="ours: D first; 4.4"),
        step("take_grant", x.ASKING, x.GRANTED, ours, take, cite="ours: only for the own attempt; H-20"),
        step("drop_grant", [s for s in x if s is not x.ASKING], None, TRUE, [t.grants[q].receive(taken)], cite="H-20: late answer"),
        _row("requeue", x.ASKING, x.QUEUED, TRUE, [own.hear(ToPrefill.REFUSED)], cite="ours: refused, back to the queue; 9.1"),
    ]
    if t.rules.numbers:
        rows.append(step("drop_grant", x.ASKING, None, ~ours, [t.grants[q].receive(taken)], cite="H-20: late answer"))
    if t.rules.resends:
        rows.append(_row("ask_again", x.ASKING, None, TRUE, [ask], decided="timer", poll=True, cite="ours: 9.3"))
    return rows


def _sending_rows(t: Terms, own: _Own) -> list[Row]:
    """From the grant until no rank writes any more."""
    q, x, lock = own.q, Exchange, t.orders_lock
    free = t.prefill_free.cell()
    order = [each(t.rank, lambda r: t.orders[q, r].set(Order.WRITE)), t.order_place[q].set(own.place), t.order_key[q].set(own.key)]
    order += [t.order_attempt[q].set(own.attempt), free.sub(1)]
    clear = [each(t.rank, lambda r: t.orders[q, r].set(Order.NONE)), free.add(1)]
    left = clear if t.rules.gives_back else clear[:1]
    stop = each(t.rank, lambda r: (when(t.orders[q, r] == Order.WRITE, t.orders[q, r].set(Order.STOP)),))
    written = all_of(t.rank, lambda r: t.orders[q, r] == Order.WRITTEN)
    broken = any_of(t.rank, lambda r: t.orders[q, r] == Order.BROKEN)
    dead = any_of(t.rank, lambda r: ~t.messager.is_alive(r))

    def is_still(r: Expr) -> Expr:
        stopped = t.orders[q, r] != Order.STOP
        return stopped | ~t.messager.is_alive(r) if t.rules.covers_dead_ranks else stopped

    still = all_of(t.rank, is_still) if t.rules.drains else TRUE
    again = own.attempt < t.attempt.high
    under = partial(_row, under=lock)
    # fmt: off
    return [
        under("order_write", x.GRANTED,  x.SENDING,     free > 0, order, cite="ours: P's place after the grant; H-07"),
        under("commit",      x.SENDING,  x.COMMITTING,  written, clear, cite="ours: by (request, attempt) over ranks; 4.9"),
        under("stop_broken", x.SENDING,  x.STOPPING,    broken, [stop], cite="9.5: sticky error"),
        under("stop_late",   x.SENDING,  x.STOPPING,    TRUE, [stop], decided="timer", fair="none", cite="ours: abort, time-out"),
        under("stop_dead",   x.SENDING,  x.STOPPING,    dead, [stop], cite="9.6: one clear error each"),
        under("withdraw",    x.STOPPING, x.WITHDRAWING, still & again, left, cite="ours: drained, to ask again"),
        under("abandon",     x.STOPPING, x.ABANDONING,  still, left, cite="ours: drained, for good"),
        under("revoke",      x.SENDING,  x.STOPPING,    TRUE, [own.hear(ToPrefill.REVOKED), stop], cite="ours: D wants it back; H-13"),
    ]
    # fmt: on


def _closing_rows(t: Terms, own: _Own) -> list[Row]:
    """Giving up while nobody writes, and saying how an attempt ended until D confirms it."""
    x = Exchange
    confirmed, rules = own.hear(ToPrefill.CLOSED), t.rules
    asked = (x.ASKING, x.GRANTED)
    again = own.attempt < t.attempt.high
    timer: dict[str, Any] = {"decided": "timer", "poll": True, "cite": "ours: until D confirms"}
    gone = ~t.decode.is_alive()
    rows = [
        _row("revoke", asked, x.ABANDONING, TRUE, [own.hear(ToPrefill.REVOKED)], cite="ours: D wants it back"),
        _row("next_attempt", x.WITHDRAWING, x.QUEUED, again, [confirmed, own.attempt.add(1)], cite="ours"),
        _row("end_failed", x.ABANDONING, x.UNKNOWN, TRUE, [confirmed, *own.forget()], cite="ours"),
        _row("say_drained", x.WITHDRAWING, None, TRUE, [own.say(ToDecode.DRAINED)], **timer),
        _row("say_failed", x.ABANDONING, None, TRUE, [own.say(ToDecode.FAILED)], **timer),
        _row("notice_death", (x.QUEUED, *asked, x.WITHDRAWING, x.ABANDONING, x.COMMITTING), x.UNKNOWN, gone, own.forget(), cite="ours: D is dead"),
    ]
    if rules.times_out:
        rows += [
            _row("withdraw_ask", asked, x.WITHDRAWING, again, [], decided="timer", fair="none", cite="9.2, ours: D may have granted"),
            _row("abandon_ask", (x.QUEUED, *asked), x.ABANDONING, TRUE, [], decided="timer", cite="9.2, ours: one terminal answer"),
        ]
    if rules.acknowledges:
        rows.append(_row("end_committed", x.COMMITTING, x.UNKNOWN, TRUE, [confirmed, *own.forget()], cite="ours"))
        rows.append(_row("say_commit", x.COMMITTING, None, TRUE, [own.say(ToDecode.COMMIT)], **timer))
    else:
        rows.append(_row("say_commit", x.COMMITTING, x.UNKNOWN, TRUE, [own.say(ToDecode.COMMIT), *own.forget()], cite="4.9: fire and forget"))
    return rows


def _stale_rows(t: Terms, own: _Own) -> list[Row]:
    """What is said of another attempt, or comes too late; and a demand to end what this engine does not know."""
    x, k, number, kind = Exchange, ToPrefill, own.number, own.kind
    heard, current = own.hear(kind, number), number == own.attempt
    handled: dict[Exchange, Expr] = {
        x.UNKNOWN: kind == k.REVOKED,
        x.ASKING: current & kind.is_in(k.REFUSED, k.REVOKED),
        x.GRANTED: current & (kind == k.REVOKED),
        x.SENDING: current & (kind == k.REVOKED),
        x.WITHDRAWING: current & (kind == k.CLOSED) & (own.attempt < t.attempt.high),
        x.ABANDONING: current & (kind == k.CLOSED),
    }
    if t.rules.acknowledges:
        handled[x.COMMITTING] = current & (kind == k.CLOSED)
    drop = partial(_row, "drop", choose=(kind, number), cite="H-20: late; or the end is under way")
    disown = [own.hear(k.REVOKED, number), own.attempt.set(number)]
    return [
        *(drop(state, None, ~handled[state] if state in handled else TRUE, [heard]) for state in x),
        _row("disown", x.UNKNOWN, x.ABANDONING, TRUE, disown, choose=(number,), cite="ours: a restarted engine writes nothing"),
    ]
