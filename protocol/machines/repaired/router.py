"""The router and its clients: one copy a request.

It posts a request to D first and to P when D has it, because D is the one who answers. A client may give up at any time: P
is told first and D second, so that one of the two is in a state to act: P until its first token, D from the reservation
on. When D's connection breaks, the router itself tells the client; it notices by the break, not by a message.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial

from ...combine import me
from ...effect import Effect, when
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from ...variable import Variable, private
from .plane import Entry, Plane, Stage


class Router(IntEnum):
    """The client's request is ..."""

    NEW, POSTED, REGISTERED, WAITING, ABORTING, ABORTED, ANSWERED = range(7)


def router(p: Plane, request: Machine, entry: Machine) -> Machine:
    """R: posts, aborts, and hands the one answer to the client (1.3)."""
    q, r = me(p.request), Router
    life, turn = private("posted_life", p.life, over=p.request), private("posted_turn", p.turn, over=p.request)
    rows = []
    for d in p.decode:
        rows += _rows_at_decode(p, entry, d, life, turn)
    alive = p.prefill_process.is_alive() if p.prefill_process else TRUE
    at_prefill = partial(Row, actor="router", under=p.resources)
    register = [p.turn_of[q].set(turn[q]), p.forget_ghosts(q)]
    push = [p.intake.push(p.name(request=q, turn=turn[q]))]
    rows += [
        at_prefill("register", r.POSTED, r.REGISTERED, alive, register, moves=request[q].post, cite="4.1"),
        Row("post_to_prefill", r.REGISTERED, r.WAITING, alive, push, "router", under=p.mutex, cite="4.1"),
    ]
    if p.bounds.aborts:
        effects, move = [_cancel_at_once(p, request, q)], request[q].abort
        rows.append(at_prefill("abort_at_prefill", r.WAITING, r.ABORTING, alive, effects, moves=move, fair="none", cite="9.4"))
    open_states = (r.POSTED, r.REGISTERED, r.WAITING, r.ABORTING, r.ABORTED)
    rows.append(Row("receive_answer", open_states, r.ANSWERED, True, [p.answers[q].receive()], "router", cite="1.3"))
    if p.decode_process is not None:
        broken = (life[q] != p.decode_life[p.home(q)]) & p.answers[q].empty
        rows.append(Row("report_lost", open_states, r.ANSWERED, broken, [], "router", cite="ours: D's connection broke"))
    return Machine("router", r, rows, copies=p.request, final=(r.NEW, r.ANSWERED), doc="R and its clients (1.3).")


def _rows_at_decode(p: Plane, entry: Machine, d: int, life: Variable, turn: Variable) -> list[Row]:
    """D.ZI hears of the request, and of its abort. The number is used again when its last request has been answered."""
    q, r = me(p.request), Router
    alive = p.decode_process.is_alive(d) if p.decode_process else TRUE
    here = (p.home(q) == d) & alive
    at, step = entry[d, q], partial(Row, actor="router", under=p.decode_lock[d])
    post = [life[q].set(p.decode_life[d]), p.times_answered[q].set(0)]
    rows = [step("post_to_decode", r.NEW, r.POSTED, here, post, moves=at.post, fair="none", cite="4.1")]
    if p.bounds.turns > 1:
        again = [*post, turn[q].add(1), p.entry_turn[d, q].set(turn[q] + 1)]
        more = turn[q] < p.turn.high
        rows.append(step("post_next", r.ANSWERED, r.POSTED, here & more, again, moves=at.post, fair="none", cite="ours: the next turn"))
    if p.bounds.aborts:
        free = when(entry.at(d, q) == Entry.DECODING, *p.release_reservation(d, q))
        rows.append(step("abort_at_decode", r.ABORTING, r.ABORTED, here, [free], moves=at.abort, cite="9.4"))
    return rows


def _cancel_at_once(p: Plane, request: Machine, q: Expr) -> tuple[Effect, ...]:
    """P.ZI: where P holds nothing for the aborted request yet, nothing needs to be drained."""
    at = request.at(q)
    holds_nothing = at.is_in(Stage.NEW, Stage.ASKED, Stage.REFUSED, Stage.GRANTED)
    if not p.rules.drains_before_cancel:
        holds_nothing = holds_nothing | (at == Stage.RUNNING)
    return when(holds_nothing, p.cancel[q, p.turn_of[q]].send(0), *p.release_slot(q))
