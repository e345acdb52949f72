"""D: what it hears from P, what it replies, its decoding, and the one answer of each request.

Replies are owed, not sent on the spot: hearing a message and replying are two rows, as in the real pool and loop. What is replied
depends on the entry alone, so any message may come twice and late. One reply a request is owed, to the newest turn that was heard:
P has begun that turn, so it waits for no reply to an earlier one. A reservation ends when the last token is out, when its client
gives up while D decodes, on P's cancel (which P sends only when none of its ranks writes any more), or when D takes P for dead.
D may be wrong about P: it revokes the key first, with which P's ranks write, so what P believes does no harm.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import all_of, any_of, choice, me
from ...effect import each, when
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from .plane import Entry, Plane

_row = partial(Row, actor="decode")


class Listener(IntEnum):
    """D's connector is ..."""

    LISTENING = 0


class Loop(IntEnum):
    """D's loop is ..."""

    RUNNING = 0


class DecodeWorker(IntEnum):
    """D's worker and token processor are ..."""

    IDLE, STEPPING, CREDITING, UPDATING = range(4)


def listener(p: Plane, entry: Machine) -> Machine:
    """D.RX and D.IO: P's messages (4.4, 4.11). One of another turn is only owed its reply: P has moved on, or D has forgotten."""
    d, s, q, t = me(p.decode), Listener.LISTENING, choice("request", p.request), choice("turn", p.turn)
    here, at, owed = p.home(q) == d, entry.at(d, q), p.due[d, q]
    due = when(owed.is_none | (owed.value < t), owed.set(t))
    now = here & (t == p.entry_turn[d, q]) if p.rules.names_turns else here
    ask, commit, cancel = p.ask[q, t].receive(0), p.commit[q, t].receive(0), p.cancel[q, t].receive(0)
    unasked = when(at.is_in(Entry.OPEN, Entry.RESERVED, Entry.UNWANTED) & ~p.given_up[q], p.ended_unasked.set(True))
    early = when((at == Entry.RESERVED) & ~_all_sent(p, q), p.committed_unsent.set(True))
    step = partial(_row, choose=(q, t), under=p.decode_lock[d], fair="strong" if p.bounds.losses else None)
    # fmt: off
    rows = [
        step("receive_ask",    s, s, here, [ask, due], cite="4.4"),
        step("receive_commit", s, s, now,  [commit, due, early], moves=entry[d, q].commit, cite="4.11"),
        step("receive_cancel", s, s, now,  [cancel, due, unasked], moves=entry[d, q].cancel, cite="ours: H22, H-38"),
    ]
    if p.bounds.turns > 1 and p.rules.names_turns:
        late = here & (t != p.entry_turn[d, q])
        rows += [
            step("hear_late_commit", s, s, late, [commit, due], cite="ours: of another turn"),
            step("hear_late_cancel", s, s, late, [cancel, due], cite="ours: of another turn"),
        ]
    # fmt: on
    return Machine("listener", Listener, rows, copies=p.decode, final=s, process=p.decode_process, doc="D.RX and D.IO: P's messages.")


def _all_sent(p: Plane, q: Expr) -> Expr:
    return all_of(p.rank, lambda r: p.sent[r, q] == p.whole[q])


def decode_loop(p: Plane, entry: Machine) -> Machine:
    """D.L: reserves, replies, answers the client, takes P for dead (4.4, 8.1)."""
    d, s, q = me(p.decode), Loop.RUNNING, choice("request", p.request)
    here, at, paid = p.home(q) == d, entry.at(d, q), p.due[d, q].set(None)
    due, t = here & ~p.due[d, q].is_none, p.due[d, q].value
    now = due & (t == p.entry_turn[d, q]) if p.rules.names_turns else due
    room = p.reserved[d] < p.bounds.room
    if p.bounds.full:
        room = room & (d != 0)
    key = p.open_key[d, q].set(p.key_of(p.decode_life[d], p.entry_turn[d, q]))
    reserve = [p.reserved[d].add(1), key, p.decode_holds[q].set(p.entry_turn[d, q])]
    over = at.is_in(Entry.DECODING, Entry.ENDING, Entry.ANSWERING, Entry.CLOSED, Entry.UNKNOWN)
    if p.rules.names_turns:
        over = over | (t != p.entry_turn[d, q])
    step = partial(_row, under=p.decode_lock[d])
    reply = partial(step, choose=(q,))
    held = now & at.is_in(Entry.RESERVED, Entry.UNWANTED)
    answer = [p.answers[q].send(0), p.count_answer(q)]
    # fmt: off
    rows = [
        reply("reserve", s, s, now & room, reserve, moves=entry[d, q].reserve, cite="8.1"),
        reply("grant",   s, s, held, [paid, p.grant[q, t].send(p.decode_life[d])], cite="4.4; ours: said as often as it is asked, H-12"),
        reply("refuse",  s, s, now & ~room & (at == Entry.OPEN), [paid, p.refusal[q, t].send(0)], cite="9.1; ours: always said"),
        reply("settle",  s, s, due & over, [paid, p.settled[q, t].send(0)], cite="ours: heard, and nothing more to do"),
        step("answer",   s, s, here, answer, choose=(q,), moves=entry[d, q].answer, cite="ours: D answers, whatever happened"),
    ]
    # fmt: on
    if not p.rules.reserves_once:
        rows.append(reply("reserve_again", s, s, held & room, reserve, cite="8.1: overwrites silently, H-12"))
    abandon = partial(step, choose=(q,), moves=entry[d, q].abandon)
    if p.engine_process is not None:
        its = p.at_home(q)
        gone = ~its.engine_lives() | (its.prefill_life != p.asked_by[d, q])
        rows.append(abandon("abandon", s, s, here & gone, [], cite="ours: its heartbeat has ended, or names a new life; 9.7"))
    if p.bounds.suspicions:
        rows.append(
            abandon("suspect", s, s, here & p.is_troubled(q), [], decided="timer", fair="none", cite="ours: a heartbeat that is only late; 9.7")
        )
    return Machine("decode_loop", Loop, rows, copies=p.decode, final=s, process=p.decode_process, doc="D.L: reserves, replies, answers.")


def decode_worker(p: Plane, entry: Machine) -> Machine:
    """D.W and D.T: steps over all requests that decode, a token each, and the end of every reservation (4.12, H10).

    A step works on the blocks of its requests until its tokens are credited: what is aborted meanwhile is let go afterwards. That it is over
    is a row of its own where the bounds say so (`reports`), and part of the first credit where they have not.
    """
    d, s, q = me(p.decode), DecodeWorker, choice("request", p.request)
    batch, at, turn = p.decode_batch, entry.at(d, q), p.step_turn[d, q]

    def decodes(i: Expr) -> Expr:
        return (p.home(i) == d) & (entry.at(d, i) == Entry.DECODING)

    begin = each(p.request, lambda i: when(decodes(i), batch[d, i].set(True), p.step_turn[d, i].set(p.entry_turn[d, i])))
    served = [each(p.request, lambda i: p.serve(i, p.decode_weights[d], decodes(i)))] if p.bounds.control else []
    next_one = batch[d, q] & all_of(p.request, lambda i: (i >= q) | ~batch[d, i])
    alone = all_of(p.request, lambda i: (i == q) | ~batch[d, i])
    drop: list[Any] = [batch[d, q].set(False), turn.set(0)]
    note = when(turn != p.entry_turn[d, q], p.miscredited.set(True))
    credit = [*drop, note]
    others = any_of(p.request, lambda i: (i != q) & batch[d, i] & (entry.at(d, i) == Entry.DECODING))
    lose = when(at == Entry.DECODING if p.rules.credits_singly else others, p.token_lost.set(True))
    if not p.rules.credits_singly:
        drop = [each(p.request, lambda i: (batch[d, i].set(False), p.step_turn[d, i].set(0)))]
    idle = ~batch[d, q] if p.rules.ends_steps else TRUE
    revoke = [p.open_key[d, q].set(None)] if p.rules.fences_writes else []
    free = [p.reserved[d].sub(1), *revoke, p.decode_holds[q].set(None), p.may_fail[q].set(True)]
    step = partial(_row, choose=(q,), under=p.decode_lock[d])
    steps = (s.STEPPING, s.CREDITING) if p.bounds.hears_reports else (s.STEPPING,)
    over, decided = steps[-1], "prompt" if p.bounds.hears_reports else "decided"
    # fmt: off
    rows = [
        _row("start_step", s.IDLE, s.STEPPING, any_of(p.request, decodes), [begin, *served], under=p.decode_lock[d], cite="4.12"),
        step("release",    (s.IDLE, *steps), None, (p.home(q) == d) & idle, free, moves=entry[d, q].release, cite="ours: H10, H-12"),
    ]
    for goes, which in ((over, next_one & ~alone), (s.IDLE, next_one & alone)):
        rows += [
            step("credit_token",      over, goes, which & (at == Entry.DECODING), credit, decided="decided", fair="none", cite="6.5"),
            step("credit_last_token", over, goes, which, credit, moves=entry[d, q].finish, decided="decided", fair="strong", cite="6.5"),
            step("drop_token",        over, goes if p.rules.credits_singly else s.IDLE, which & (at != Entry.DECODING), [*drop, lose],
                 decided=decided, cite="6.5; ours: aborted meanwhile, H28"),
        ]
    # fmt: on
    if p.bounds.hears_reports:
        rows.append(_row("hear_report", s.STEPPING, s.CREDITING, TRUE, [], decided="observed", fair="weak", cite="6.5; ours: of the ranks"))
    if p.bounds.drafts:
        more, cite = next_one & (at == Entry.DECODING), "10; ours: an accepted token of a step that has more"
        rows.append(step("credit_draft", over, over, more, [note], decided="decided", fair="none", cite=cite))
    if p.bounds.control:
        due, load = p.decode_update_due[d], [p.decode_update_due[d].set(False), p.decode_weights[d].set(p.weights)]
        under = partial(_row, under=p.decode_lock[d], cite="ours: a step without requests")
        rows.append(under("begin_update", s.IDLE, s.UPDATING, due & ~any_of(p.request, decodes), []))
        rows.append(under("end_update", s.UPDATING, s.IDLE, TRUE, load, decided="observed", fair="weak"))
    return Machine("decode_worker", s, rows, copies=p.decode, final=s.IDLE, process=p.decode_process, doc="D.W and D.T: decoding.")
