"""Preparation, ours: no thread waits for D; the request does, in its stage, and each request goes on alone.

A thread picks any request whose stage lets something be done, does that, and looks for the next. N threads do it in
parallel (the purpose of #7724), and a full D occupies none of them.

Order of acquisition: D's reservation, then P's blocks. No request holds P's blocks while it waits for D, and what holds P's
blocks needs nothing more to be served, so P always drains: whoever waits for P's blocks with a reservation of D in hand gets
them, is served, and gives both back. Nobody waits for D while holding anything: a refusal ends the try. So there is no
cycle, in whatever topology; and a D that is full keeps nobody but its own requests waiting, a bounded number of tries long.

A time-out sends the same ask again (`resend`) or ends the request (`expire`); neither needs to know whether the ask or its answer
was slow: D grants an attempt once, and a grant that comes too late is cancelled.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial

from ...combine import choice, if_else, me
from ...effect import Effect
from ...machine import Machine, Row
from ...types import Optional, Range
from ...variable import private
from .instances import Half, Instances, Stage

_row = partial(Row, actor="prefill")


class SplitPhase(IntEnum):
    """The thread is ..."""

    LOOKING, SENDING, REGISTERING, ADDING, ANSWERING = range(5)


def split_phase(i: Instances) -> Machine:
    """The N prepare threads of each prefill instance, ours."""
    s, copies = SplitPhase, (i.prefill, i.thread)
    home, own = me(i.prefill), (me(i.prefill), me(i.thread))
    hand = private("request_in_hand", Optional(i.request), over=copies)
    number = private("attempt_in_hand", i.attempt, over=copies)
    timeouts = private("timeouts_left", Range(0, i.bounds.timeouts), over=copies, init=i.bounds.timeouts)
    empty: list[Effect] = [hand[own].set(None)]
    first, then = (Stage.QUEUED, Stage.GRANTED) if i.variant.decode_first else (Stage.HELD, Stage.QUEUED)
    q = choice("request", i.request)
    stage, mine = i.stage[home, q], hand[own] == q
    fits = (stage == then) & i.has_room(home, q)
    late = (stage == Stage.ASKED) & (timeouts[own] > 0)
    number_it, later = number[own].set(i.attempt_of(home, q)), timeouts[own].sub(1)
    look = partial(_row, source=s.LOOKING, choose=(q,), under=i.resources[home])
    timer = partial(look, fair="none", decided="timer")
    act = partial(_row, destination=s.LOOKING, guard=mine, choose=(q,))
    ask, hold = [stage.set(Stage.ASKED), number_it, hand[own].set(q)], [stage.set(Stage.HELD)]
    sent = [i.asks.send(i.ask(request=q, attempt=number[own])), i.asked(q), number[own].set(0), *empty]
    ready = s.REGISTERING if i.bounds.messager else s.ADDING
    # fmt: off
    rows = [
        look("ask",     destination=s.SENDING,   guard=(i.home[q] == home) & (stage == first), effects=ask, cite="ours: D first"),
        timer("resend", destination=s.SENDING,   guard=late, effects=[number_it, later, hand[own].set(q)], cite="ours: idempotent, H-12"),
        timer("expire", destination=s.LOOKING,   guard=late, effects=[stage.set(Stage.FAILED), later],     cite="ours: ends in one answer"),
        look("fail",    destination=s.ANSWERING, guard=stage == Stage.FAILED, effects=[stage.set(Stage.GIVEN_UP), hand[own].set(q)], cite="ours"),
        act("send_ask",       s.SENDING,   effects=sent, cite="4.4, CH7"),
        act("add_to_running", s.ADDING,    effects=[stage.set(Stage.RUNNING), *empty], under=i.resources[home], cite="4.8: alone, H-07"),
        act("put_error",      s.ANSWERING, effects=[*i.end_with_error(q), *empty], cite="ours; H-38"),
    ]
    # fmt: on
    if i.variant.decode_first:
        rows.append(look("hold", destination=ready, guard=fits, effects=[*hold, hand[own].set(q)], cite="ours: P's blocks after D's grant, H-07"))
    else:
        rows.append(look("hold", destination=s.LOOKING, guard=(i.home[q] == home) & fits, effects=hold, cite="as in E1: P first"))
        rows.append(look("admit", destination=s.LOOKING, guard=stage == Stage.GRANTED, effects=[stage.set(Stage.RUNNING)], cite="as in E1: P first"))
    if i.bounds.messager:
        whole = i.put_halves(home, lambda j: if_else(hand[own] == j, Half.BOTH, Half.NONE))
        rows.append(_row("put_task", s.REGISTERING, s.ADDING, i.infos_read[home], whole, under=i.infos_lock[home], cite="4.7: both halves in one"))
    return Machine("split_phase", s, rows, copies=copies, final=s.LOOKING, doc="The prepare threads, ours: the request waits, not the thread.")
