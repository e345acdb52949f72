"""The router and its clients: one copy a request.

It posts a request to D first and to P when D has it, because D is the one who answers. A client may give up at any time. While
only D has the request, D alone is told; then P is told first and D second, so that one of the two is in a state to act: P until
its first token, D from the reservation on. When D's connection breaks, the router itself tells the client; it notices by the
break, not by a message. What it sends to P names the life of P that it told D: a P that has started again knows nothing of the
request, and D gives it up.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import choice, me
from ...effect import Effect, when
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from ...slice import Copies
from ...variable import Variable, private
from .plane import Plane, Stage

CLIENT: dict[str, Any] = {"decided": "decided", "fair": "none"}
"""A client does it, or not."""


class Router(IntEnum):
    """The client's request is ..."""

    NEW, POSTED, REGISTERED, WAITING, ABORTING, ABORTED, ANSWERED, RECYCLING = range(8)


def router(p: Plane, request: Machine, entry: Machine) -> Machine:
    """R: posts, aborts, and hands the one answer to the client (1.3)."""
    q, r = me(p.request), Router
    life, turn = private("posted_life", p.life, over=p.request), private("posted_turn", p.turn, over=p.request)
    prefill_life = private("posted_prefill_life", p.prefill_lives, over=p.request)
    rows = []
    for d in p.decode:
        rows += _rows_at_decode(p, entry, d, life, prefill_life, turn)
    for own in p.prefills:
        rows += _rows_at_prefill(own, Copies(request, own.here), prefill_life, turn)
    open_states = (r.POSTED, r.REGISTERED, r.WAITING, r.ABORTING, r.ABORTED)
    rows.append(Row("receive_answer", open_states, r.ANSWERED, True, [p.answers[q].receive()], "router", cite="1.3"))
    if p.decode_process is not None:
        broken = (life[q] != p.decode_life[p.home(q)]) & p.answers[q].empty
        rows.append(Row("report_lost", open_states, r.ANSWERED, broken, [p.count_answer(q)], "router", cite="ours: D's connection broke"))
    return Machine("router", r, rows, copies=p.request, final=(r.NEW, r.ANSWERED), doc="R and its clients (1.3).")


def _rows_at_decode(p: Plane, entry: Machine, d: int, life: Variable, prefill_life: Variable, turn: Variable) -> list[Row]:
    """D.ZI hears of the request, and of its abort. The number is used again when its last request has been answered."""
    q, r = me(p.request), Router
    alive = p.decode_process.is_alive(d) if p.decode_process else TRUE
    here = (p.home(q) == d) & alive
    posts = here & ~p.paused if p.bounds.control and p.rules.holds_posts else here
    at, step = entry[d, q], partial(Row, actor="router", under=p.decode_lock[d])
    its = p.at_home(q)
    if p.bounds.knows_dead:
        posts = posts & its.engine_lives()
    of_prefill = its.prefill_life
    lives = [life[q].set(p.decode_life[d]), prefill_life[q].set(of_prefill), p.asked_by[d, q].set(of_prefill)]
    post = [*lives, p.times_answered[q].set(0)]
    rows = [step("post_to_decode", r.NEW, r.POSTED, posts, post, moves=at.post, **CLIENT, cite="4.1")]
    if p.bounds.turns > 1:
        again = [*post, turn[q].add(1), p.entry_turn[d, q].set(turn[q] + 1)]
        more = turn[q] < p.turn.high
        rows.append(step("post_next", r.ANSWERED, r.POSTED, posts & more, again, moves=at.post, **CLIENT, cite="ours: the next turn"))
    if p.bounds.aborts:
        rows.append(step("abort_alone", r.POSTED, r.ABORTED, here & p.is_troubled(q), [], moves=at.withdraw, **CLIENT, cite="9.4"))
        rows.append(step("abort_at_decode", r.ABORTING, r.ABORTED, here, [], moves=at.abort, cite="9.4"))
    return rows


def _rows_at_prefill(p: Plane, request: Copies, prefill_life: Variable, turn: Variable) -> list[Row]:
    """P.ZI hears of the request, and of its abort, while it lives in the life that D was told."""
    q, r, length = me(p.request), Router, choice("chunks", p.prompt)
    here = p.serves(q)
    if p.engine_process is not None:
        here = here & p.engine_lives()
        if p.rules.names_lives:
            here = here & (p.prefill_life == prefill_life[q])
    step = partial(Row, actor="router", under=p.resources)
    register = [p.turn_of[q].set(turn[q]), p.prompt_chunks[q].set(length), p.whole[q].set(length * p.layers), p.forget_ghosts(q)]
    push = [p.intake.push(p.name(request=q, turn=turn[q]))]
    rows = [
        step("register", r.POSTED, r.REGISTERED, here, register, choose=(length,), moves=request[q].post, decided="decided", cite="4.1"),
        Row("post_to_prefill", r.REGISTERED, r.WAITING, here, push, "router", under=p.mutex, cite="4.1"),
    ]
    if p.bounds.aborts:
        effects, move = [_cancel_at_once(p, request, q)], request[q].abort
        told = (r.REGISTERED, r.WAITING)
        then = r.ABORTING if p.rules.leaves_intake else r.RECYCLING
        rows.append(step("abort_at_prefill", told, then, here & p.is_troubled(q), effects, moves=move, **CLIENT, cite="9.4"))
        if not p.rules.leaves_intake:
            rows.append(Row("recycle", r.RECYCLING, r.ABORTING, here, _recycle(p, q, turn[q]), "router", under=p.mutex, cite="9.4, H-10, H17"))
    return rows


def _recycle(p: Plane, q: Expr, turn: Expr) -> list[Any]:
    """Take an unread request out, and move the cursor back for it: what was read last is in front again."""
    name, last = p.name(request=q, turn=turn), p.name(request=p.last_request.value, turn=p.last_turn)
    unread = p.intake.has(name) & ~p.last_request.is_none

    def shift(place: int) -> tuple[Effect, ...]:
        behind = unread & (p.intake.length > place) & (p.intake.index_of(name) >= place)
        return when(behind, p.intake.at(place).set(p.intake.at(place - 1) if place else last))

    return [shift(place) for place in range(p.bounds.requests * p.bounds.turns)]


def _cancel_at_once(p: Plane, request: Copies, q: Expr) -> tuple[Effect, ...]:
    """P.ZI: where P holds nothing for the aborted request yet, nothing needs to be drained."""
    at = request.at(q)
    holds_nothing = at.is_in(Stage.NEW, Stage.ASKED, Stage.REFUSED, Stage.GRANTED)
    cancel = p.give_up(q)
    if p.rules.drains_before_cancel:
        return when(holds_nothing, *cancel)
    return when(holds_nothing | (at == Stage.RUNNING), *cancel, *p.release_slot(q))
