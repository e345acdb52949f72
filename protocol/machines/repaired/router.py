"""The router and its clients: one copy a request.

It posts a request to D first and to P when D has it, because D is the one who answers. A client may give up at any time: P
is told first and D second, so that one of the two is in a state to act: P until its first token, D from the reservation
on. When D's connection breaks, the router itself tells the client; it notices by the break, not by a message.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial

from ...combine import me
from ...effect import when
from ...expr import Expr
from ...machine import Machine, Row
from ...variable import private
from .plane import Entry, Plane, Stage


class Router(IntEnum):
    """The client's request is ..."""

    NEW, POSTED, WAITING, ABORTING, ABORTED, ANSWERED = range(6)


def router(p: Plane, request: Machine, entry: Machine) -> Machine:
    """R: posts, aborts, and hands the one answer to the client (1.3)."""
    q, r = me(p.request), Router
    life = private("posted_life", p.life, over=p.request)
    rows = []
    for d in p.decode:
        here = p.home(q) == d
        alive = p.decode_process.is_alive(d) if p.decode_process else True
        at, lock = entry[d, q], p.decode_lock[d]
        post, free = [life[q].set(p.decode_life[d])], when(entry.at(d, q) == Entry.DECODING, *p.release_reservation(d, q))
        step = partial(Row, actor="router", under=lock)
        rows.append(step("post_to_decode", r.NEW, r.POSTED, here & alive, post, moves=at.post, fair="none", cite="4.1"))
        if p.bounds.aborts:
            rows.append(step("abort_at_decode", r.ABORTING, r.ABORTED, here & alive, [free], moves=at.abort, cite="9.4"))
    alive = p.prefill_process.is_alive() if p.prefill_process else True
    rows.append(Row("post_to_prefill", r.POSTED, r.WAITING, alive, [p.intake.push(q)], "router", under=p.mutex, cite="4.1"))
    if p.bounds.aborts:
        rows += _aborts_at_prefill(p, request, q, alive)
    open_states = (r.POSTED, r.WAITING, r.ABORTING, r.ABORTED)
    rows.append(Row("receive_answer", open_states, r.ANSWERED, True, [p.answers[q].receive()], "router", cite="1.3"))
    if p.decode_process is not None:
        broken = (life[q] != p.decode_life[p.home(q)]) & p.answers[q].empty
        rows.append(Row("report_lost", open_states, r.ANSWERED, broken, [], "router", cite="ours: D's connection broke"))
    return Machine("router", r, rows, copies=p.request, final=(r.NEW, r.ANSWERED), doc="R and its clients (1.3).")


def _aborts_at_prefill(p: Plane, request: Machine, q: Expr, alive: Expr | bool) -> list[Row]:
    """P.ZI hears the abort. Where P holds nothing for the request yet, it cancels at once."""
    r, at = Router, request.at(q)
    holds_nothing = at.is_in(Stage.NEW, Stage.ASKED, Stage.REFUSED, Stage.GRANTED)
    if not p.rules.drains_before_cancel:
        holds_nothing = holds_nothing | (at == Stage.RUNNING)
    effects = [when(holds_nothing, p.cancel[q].send(0), *p.release_slot(q))]
    move = request[q].abort
    return [Row("abort_at_prefill", r.WAITING, r.ABORTING, alive, effects, "router", moves=move, under=p.resources, fair="none", cite="9.4")]
