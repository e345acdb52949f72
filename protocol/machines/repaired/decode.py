"""D: what it hears from P, what it replies, its decoding, and the one answer of each request.

Replies are owed, not sent on the spot: hearing a message and replying are two rows, as in the real pool and loop. What is replied
depends on the entry alone, so any message may come twice and late. D frees a reservation when the request is over: at
the end of decoding, on P's cancel (which P sends only when none of its ranks writes any more), or when P is dead.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial

from ...combine import all_of, choice, me
from ...effect import when
from ...expr import Expr
from ...machine import Machine, Row
from ...types import Optional
from ...variable import private
from .plane import RESERVING, Entry, Plane

_row = partial(Row, actor="decode")


class Listener(IntEnum):
    """D's connector is ..."""

    LISTENING = 0


class Loop(IntEnum):
    """D's loop is ..."""

    RUNNING = 0


class DecodeWorker(IntEnum):
    """D's worker and token processor are ..."""

    IDLE, STEPPING = range(2)


def listener(p: Plane, entry: Machine) -> Machine:
    """D.RX and D.IO: P's messages (4.4, 4.11). One of another turn is only owed its reply: P has moved on, or D has forgotten."""
    d, s, q, t = me(p.decode), Listener.LISTENING, choice("request", p.request), choice("turn", p.turn)
    here, at, due = p.home(q) == d, entry.at(d, q), p.due[d, q, t].set(True)
    now = here & (t == p.entry_turn[d, q]) if p.rules.names_turns else here
    ask, commit, cancel = p.ask[q, t].receive(0), p.commit[q, t].receive(0), p.cancel[q, t].receive(0)
    holds, free = at.is_in(*RESERVING), p.release_reservation(d, q)
    early = when((at == Entry.RESERVED) & ~_all_sent(p, q), p.committed_unsent.set(True))
    step = partial(_row, choose=(q, t), under=p.decode_lock[d], fair="strong" if p.bounds.losses else None)
    # fmt: off
    rows = [
        step("receive_ask",    s, s, here, [ask, due], cite="4.4"),
        step("receive_commit", s, s, now,  [commit, due, early, when(at == Entry.UNWANTED, *free)], moves=entry[d, q].commit, cite="4.11"),
        step("receive_cancel", s, s, now,  [cancel, due, when(holds, *free)], moves=entry[d, q].cancel, cite="ours: H22, H-38"),
    ]
    if p.bounds.turns > 1 and p.rules.names_turns:
        late = here & (t != p.entry_turn[d, q])
        rows += [
            step("hear_late_commit", s, s, late, [commit, due], cite="ours: of another turn"),
            step("hear_late_cancel", s, s, late, [cancel, due], cite="ours: of another turn"),
        ]
    # fmt: on
    return Machine("listener", Listener, rows, copies=p.decode, final=s, process=p.decode_process, doc="D.RX and D.IO: P's messages.")


def _all_sent(p: Plane, q: object) -> Expr:
    return all_of(p.rank, lambda r: p.sent[r, q] == p.chunks * p.layers)


def decode_loop(p: Plane, entry: Machine) -> Machine:
    """D.L: reserves, replies, answers the client (4.4, 8.1)."""
    d, s, q, t = me(p.decode), Loop.RUNNING, choice("request", p.request), choice("turn", p.turn)
    here, at, paid = p.home(q) == d, entry.at(d, q), p.due[d, q, t].set(False)
    due = here & p.due[d, q, t]
    now = due & (t == p.entry_turn[d, q]) if p.rules.names_turns else due
    room = p.reserved[d] < p.bounds.room
    if p.bounds.full:
        room = room & (d != 0)
    again = [paid, p.grant[q, t].send(p.decode_life[d])]
    reserve = [p.reserved[d].add(1), p.decode_holds[q].set(True), *again]
    over = at.is_in(Entry.DECODING, Entry.ANSWERING, Entry.CLOSED, Entry.UNKNOWN)
    held, free = at.is_in(Entry.RESERVED, Entry.UNWANTED), p.release_reservation(d, q)
    count = when(p.times_answered[q] < 2, p.times_answered[q].add(1))
    if p.rules.names_turns:
        over = over | (t != p.entry_turn[d, q])
    step = partial(_row, under=p.decode_lock[d])
    reply = partial(step, choose=(q, t))
    # fmt: off
    rows = [
        reply("grant",  s, s, now & room, reserve, moves=entry[d, q].reserve, cite="8.1, 4.4"),
        reply("refuse", s, s, now & ~room & (at == Entry.OPEN), [paid, p.refusal[q, t].send(0)], cite="9.1; ours: always said"),
        reply("settle", s, s, due & over, [paid, p.settled[q, t].send(0)], cite="ours: heard, and nothing more to do"),
        step("answer",  s, s, here, [p.answers[q].send(0), count], choose=(q,), moves=entry[d, q].answer, cite="ours: D answers, whatever happened"),
    ]
    # fmt: on
    if p.rules.reserves_once:
        rows.append(reply("grant_again", s, s, now & held, again, cite="ours: H-12"))
    else:
        rows.append(reply("reserve_again", s, s, now & held & room, reserve, cite="8.1: overwrites silently, H-12"))
    if p.prefill_process is not None:
        dead = ~p.prefill_process.is_alive()
        rows.append(step("abandon", s, s, here & dead, [when(held, *free)], choose=(q,), moves=entry[d, q].abandon, cite="ours: 9.7"))
    return Machine("decode_loop", Loop, rows, copies=p.decode, final=s, process=p.decode_process, doc="D.L: reserves, replies, answers.")


def decode_worker(p: Plane, entry: Machine) -> Machine:
    """D.W and D.T: one step decodes one request to its end; the request may be aborted meanwhile (H10)."""
    d, s, q = me(p.decode), DecodeWorker, choice("request", p.request)
    hand, turn = private("decode_hand", Optional(p.request), over=p.decode), private("decode_turn", p.turn, over=p.decode)
    decodes, now = entry.at(d, q) == Entry.DECODING, p.entry_turn[d, q]
    own = (hand[d] == q) & (turn[d] == now)
    mine = own if p.rules.names_outputs else ~hand[d].is_none
    begin, drop = [hand[d].set(q), turn[d].set(now)], [hand[d].set(None), turn[d].set(0)]
    finish = [*drop, *p.release_reservation(d, q), when(~own, p.miscredited.set(True))]
    step = partial(_row, choose=(q,), under=p.decode_lock[d])
    # fmt: off
    rows = [
        step("start_step",   s.IDLE,     s.STEPPING, decodes, begin, cite="4.12"),
        step("credit_token", s.STEPPING, s.IDLE,     mine & decodes, finish, moves=entry[d, q].finish, cite="6.5; ours: by request and turn"),
        step("drop_token",   s.STEPPING, s.IDLE,     (hand[d] == q) & ~(mine & decodes), drop, cite="ours: aborted meanwhile, H10"),
    ]
    # fmt: on
    return Machine("decode_worker", s, rows, copies=p.decode, final=s.IDLE, process=p.decode_process, doc="D.W and D.T: decoding.")
