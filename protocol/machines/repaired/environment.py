"""What each side of the repaired protocol may do to the other: machines that stand for all of P, and for all else.

*The decoding side* is D, the router with its clients, the operator, and the network's losses. Of it P sees messages, the requests that
the router registers and aborts, the keys that D opens, new weights that are due, and nothing else. *The prefilling side* is everything
of P. Each stand-in has one copy a request, and does more than what it stands for: it remembers next to nothing, replies to what nobody
has asked, and forgets what it has heard. `halves.py` asks whether they cover what they stand for.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import IntEnum
from functools import partial

from ...combine import all_of, choice, me
from ...effect import when
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from ...variable import private
from .plane import Plane, Stage


class DecodingSide(IntEnum):
    """To P, the request is ..."""

    UNPOSTED, REGISTERED, POSTED = range(3)


class PrefillingSide(IntEnum):
    """P has ... the request."""

    NOT_TAKEN, TAKEN = range(2)


def decoding_side(p: Plane, request: Machine, stands_for: Collection[str], forgets: str = "") -> Machine:
    """What P sees of D, of the router and its clients, and of the network. `forgets` leaves the rows of one event out."""
    s, q, t, length = DecodingSide, me(p.request), choice("turn", p.turn), choice("chunks", p.prompt)
    turn = private("posted_turn_of", p.turn, over=p.request)
    known, key, holds = (s.REGISTERED, s.POSTED), p.open_key[p.home(q), q], p.decode_holds[q]
    first, again = [p.turn_of[q].set(t), p.prompt_chunks[q].set(length), p.forget_ghosts(q), turn[q].set(t)], t > turn[q]
    nothing_held = request.at(q).is_in(Stage.NEW, Stage.ASKED, Stage.REFUSED, Stage.GRANTED)
    cancel = when(nothing_held, p.cancel[q, p.turn_of[q]].send(0))
    anywhere = partial(Row, source=tuple(s), destination=None, actor="decode", choose=(t,))
    # fmt: off
    rows = [
        Row("register",      s.UNPOSTED,   s.REGISTERED, True,  first, "router", choose=(t, length), moves=request[q].post),
        Row("post",          s.REGISTERED, s.POSTED,     True,  [p.intake.push(p.name(request=q, turn=turn[q]))], "router"),
        Row("abort",         known,        None,         True,  [cancel], "router", moves=request[q].abort),
        anywhere("reserve",        guard=key.is_none, effects=[key.set(p.key_of(0, t)), holds.set(t)]),
        anywhere("revoke",         guard=key == p.key_of(0, t), effects=[key.set(None), holds.set(None)]),
        anywhere("grant",          guard=key == p.key_of(0, t), effects=[p.grant[q, t].send(0)]),
        anywhere("refuse",         effects=[p.refusal[q, t].send(0)]),
        anywhere("settle",         effects=[p.settled[q, t].send(0)]),
        anywhere("hear_ask",       effects=[p.ask[q, t].receive(0)]),
        anywhere("hear_commit",    effects=[p.commit[q, t].receive(0)]),
        anywhere("hear_cancel",    effects=[p.cancel[q, t].receive(0)]),
    ]
    if p.bounds.turns > 1:
        rows.append(Row("register_next", known, s.REGISTERED, again, first, "router", choose=(t, length), moves=request[q].post))
    if p.bounds.losses:
        rows += [
            anywhere("lose_grant",   effects=[p.grant[q, t].receive(0)]),
            anywhere("lose_refusal", effects=[p.refusal[q, t].receive(0)]),
            anywhere("lose_settled", effects=[p.settled[q, t].receive(0)]),
        ]
    # fmt: on
    if p.bounds.control:
        rows.append(Row("ask_update", tuple(s), None, TRUE, [p.update_due.set(True)], "router"))
    return _machine("decoding_side", DecodingSide, rows, p, stands_for, forgets)


def prefilling_side(p: Plane, request: Machine, stands_for: Collection[str], forgets: str = "", counts: bool = True) -> Machine:
    """What D, the router and its clients see of P. `forgets` leaves the rows of one event out.

    `counts`: the ghost that counts what was sent is there to be looked at, so that a commit comes behind every layer.
    """
    s, q, r = PrefillingSide, me(p.request), choice("rank", p.rank)
    now, mark, t = p.turn_of[q], choice("mark", p.mark), choice("turn", p.turn)
    ask, cancel, commit = p.ask[q, now].send(0), p.cancel[q, now].send(0), p.commit[q, now].send(0)
    sent: Expr = all_of(p.rank, lambda i: p.sent[i, q] == p.prompt_chunks[q] * p.layers) if counts else TRUE
    at, move = request.at(q), request[q]
    does, ends = (partial(Row, source=source, destination=None, actor="prefill") for source in (s.TAKEN, tuple(s)))
    mine = ~p.intake.empty & (p.intake.cell().head.request == q)
    held = at.is_in(Stage.RUNNING, Stage.DOOMED)
    # fmt: off
    rows = [
        Row("take", tuple(s), s.TAKEN, mine, [p.intake.pop()], "prefill"),
        ends("ignore_refusal", effects=[p.refusal[q, t].receive(0)], choose=(t,)),
        ends("ignore_settled", effects=[p.settled[q, t].receive(0)], choose=(t,)),
        ends("ignore_grant",   effects=[p.grant[q, t].receive(0)], choose=(t,)),
        does("ask",          effects=[ask],    moves=move.ask),
        does("ask_again",    effects=[ask],    moves=move.ask_again),
        does("grant",        effects=[p.grant[q, now].receive(0)], moves=move.granted),
        does("refuse",       effects=[p.refusal[q, now].receive(0)], moves=move.refused),
        does("hold",         moves=move.hold),
        does("add",          moves=move.add),
        does("token",        moves=move.token),
        does("compute",      guard=held, choose=(r, mark), effects=[p.computed[r, q].set(mark)]),
        does("produce",      guard=held, effects=[p.produced[q].set(True)]),
        does("sent",         guard=sent, effects=[commit], moves=move.sent),
        does("failed",       effects=[cancel], moves=move.failed),
        does("drained",      effects=[cancel], moves=move.drained),
        does("withdrawn",    effects=[cancel], moves=move.withdrawn),
        ends("settled",      effects=[p.settled[q, now].receive(0)], moves=move.settled),
    ]
    if counts:
        rows.append(does("send", choose=(r,), guard=p.sent[r, q] < p.mark.high, effects=[p.sent[r, q].add(1)]))
    if p.bounds.repeats:
        rows += [
            does("ask_once_more", guard=at == Stage.ASKED,             effects=[ask]),
            does("commit_again",  guard=(at == Stage.COMMITTING) & sent, effects=[commit]),
            ends("cancel_again",  guard=at == Stage.CANCELLING,        effects=[cancel]),
        ]
    if p.bounds.control:
        rows.append(ends("update", guard=p.update_due, effects=[p.update_due.set(False)]))
    if p.bounds.deadlines:
        rows.append(does("give_up", effects=[cancel], moves=move.give_up))
    # fmt: on
    return _machine("prefilling_side", PrefillingSide, rows, p, stands_for, forgets)


def _machine(name: str, states: type[IntEnum], rows: list[Row], p: Plane, stands_for: Collection[str], forgets: str) -> Machine:
    kept = [row for row in rows if row.event != forgets]
    return Machine(name, states, kept, copies=p.request, stands_for=tuple(stands_for), doc=f"Stands for {', '.join(stands_for)}.")
