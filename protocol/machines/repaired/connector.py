"""P's connector: what P hears from D, and the timer that says again what D has not answered.

Each reply is handled in one critical section, whichever of the pool's threads does it. A reply that finds the request in another
stage than it answers changes nothing: it was delayed, or sent twice. Each message is sent at once by whoever moves the request;
the timer may send it again at any time until it is answered. P does not try to find out whether D is dead: it asks until somebody
answers, and a D that has started again answers for its last life.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial

from ...combine import choice
from ...effect import when
from ...expr import TRUE
from ...machine import Machine, Row
from ...slice import Copies
from .plane import Plane, Stage

_row = partial(Row, actor="prefill")


class Connector(IntEnum):
    """The connector's pool is ..."""

    LISTENING = 0


class Timer(IntEnum):
    """The timer is ..."""

    RUNNING = 0


def connector(p: Plane, request: Copies) -> Machine:
    """P.RX and P.IO (4.5)."""
    c, q, t, life = Connector.LISTENING, choice("request", p.request), choice("turn", p.turn), choice("life", p.life)
    at, here, current = request.at(q), p.serves(q), (t == p.turn_of[q] if p.rules.names_turns else TRUE)
    now, late = here & current, here & ~current
    grant, refusal, settled = p.grant[q, t], p.refusal[q, t], p.settled[q, t]
    note = when(at == Stage.ASKED, p.granted_key[q].set(p.key_of(life, p.turn_of[q])))
    step = partial(_row, under=p.resources, fair="strong" if p.bounds.losses else None)
    hears, grants, move = partial(step, choose=(q, t)), partial(step, choose=(q, t, life)), request[q]
    # fmt: off
    rows = [
        grants("receive_grant",  c, c, now, [grant.receive(life), note], moves=move.granted, cite="4.5, 4.6"),
        hears("receive_refusal", c, c, now & (at == Stage.ASKED), [refusal.receive(0)], moves=move.refused, cite="9.1"),
        hears("ignore_refusal",  c, c, here & (~current | (at != Stage.ASKED)), [refusal.receive(0)], cite="ours: late"),
        hears("receive_settled", c, c, now, [settled.receive(0)], moves=move.settled, cite="ours"),
    ]
    if p.bounds.turns > 1 and p.rules.names_turns:
        rows += [
            grants("drop_late_grant",  c, c, late, [grant.receive(life)], cite="ours: of an earlier turn"),
            hears("drop_late_settled", c, c, late, [settled.receive(0)],  cite="ours: of an earlier turn"),
        ]
    # fmt: on
    copies, process = p.instances, p.engine_process
    return Machine("connector", Connector, rows, copies=copies, final=c, process=process, doc="P.RX and P.IO: D's replies (4.5).")


def timer(p: Plane, request: Copies) -> Machine | None:
    """The periodic sender of what D has yet to answer, and the deadline of a wait; None where neither can happen."""
    t, q = Timer.RUNNING, choice("request", p.request)
    at, now, may = request.at(q), p.turn_of[q], p.is_troubled(q)
    say = partial(_row, poll=True, choose=(q,), under=p.resources, decided="timer")
    rows = []
    if p.bounds.repeats and p.rules.sends_again:
        # fmt: off
        rows += [
            say("ask_once_more", t, t, may & (at == Stage.ASKED),      [p.ask[q, now].send(0)],    cite="ours: 9.2"),
            say("commit_again",  t, t, may & (at == Stage.COMMITTING), [p.commit[q, now].send(0)], cite="ours: 9.3"),
            say("cancel_again",  t, t, may & (at == Stage.CANCELLING), [p.cancel[q, now].send(0)], cite="ours: H22"),
        ]
        # fmt: on
    if p.bounds.deadlines:
        effects = [*p.give_up(q), *([] if p.rules.asks_first else p.release_slot(q))]
        ends = "weak" if p.bounds.full else "none"  # a D that never has room is waited for in vain
        wait = partial(_row, choose=(q,), under=p.resources, decided="timer", fair=ends)
        rows.append(wait("give_up", t, t, may, effects, moves=request[q].give_up, cite="9.2"))
    if not rows:
        return None
    copies, process = p.instances, p.engine_process
    return Machine("timer", Timer, rows, copies=copies, final=t, process=process, doc="Says again what D has not answered; ends waits.")
