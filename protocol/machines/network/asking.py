"""P as published: a prepare thread a request asks D and waits, P.IO handles what D answers, P.T sends the first token.

Each row makes one access to `current_request_ids`: the look at an answer and its deletion are two steps, and so are the
announcement of an answer and the half that is put behind it (4.5). P's own slots and blocks are not scarce here.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import all_of, any_of, choice, if_else, me
from ...effect import each
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from ...types import Optional, Range
from ...variable import private
from .wires import Answer, Half, Report, Said, Wires

_row = partial(Row, actor="prefill")


class Asker(IntEnum):
    """The prepare thread is ... with its request."""

    IDLE, PREPARED, MARKED, WAITING, GRANTED, REFUSED, PUTTING, ADDING = range(8)


class Handler(IntEnum):
    """The thread of P.IO is ..."""

    IDLE, MARKING, PUTTING = range(3)


class FirstToken(IntEnum):
    """P.T is ... with the request."""

    IDLE, COLLECTING, SENDING = range(3)


def _put(w: Wires, half: Half, request: Any, place: Any) -> tuple[Expr, list[Any]]:
    """CH2: `put_cache_info` waits until every rank has read the previous content."""
    content = w.info(half=half, request=request, place=place)
    return all_of(w.rank, lambda r: w.infos_read[r]), [w.infos.cell().set(content), each(w.rank, lambda r: w.infos_read[r].set(False))]


def asker(w: Wires) -> Machine:
    """P.F: `_fetch_request`, one request at a time, one thread a request (5.1, 5.2)."""
    q, a = me(w.request), Asker
    answer = w.answer[q]
    forget = [answer.set(Answer.ABSENT)]
    ask = [w.to_decode.cell().send(w.said(kind=Said.PREFILL, request=q))]
    may_put, put = _put(w, Half.PREFILL, q, 0)
    add = [each(w.rank, lambda r: w.to_compute[q, r].set(True)), w.to_sample[q].set(True)]
    after = a.PREPARED if w.version.asks_again else a.IDLE
    # fmt: off
    rows = [
        _row("prepare",      a.IDLE,     a.PREPARED, TRUE, [w.prefill_posts[q].receive()], cite="4.2, 4.3"),
        _row("mark_init",    a.PREPARED, a.MARKED,   TRUE, [answer.set(Answer.INIT)], cite="4.4"),
        _row("ask",          a.MARKED,   a.WAITING,  TRUE, ask, cite="4.4: fire and forget, 9.3"),
        _row("see_finished", a.WAITING,  a.GRANTED,  answer == Answer.FINISHED, [], cite="4.6"),
        _row("see_error",    a.WAITING,  a.REFUSED,  answer == Answer.ERROR, [], cite="4.6"),
        _row("forget_finished", a.GRANTED, a.PUTTING, TRUE, forget, cite="4.6: deletes the key"),
        _row("forget_error", a.REFUSED,  after,      TRUE, forget, cite="4.6; 9.1"),
        _row("put_half",     a.PUTTING,  a.ADDING,   may_put, put, under=w.infos_lock, cite="4.7, CH2"),
        _row("add",          a.ADDING,   a.IDLE,     TRUE, add, under=w.running_lock, cite="4.8"),
    ]
    if w.bounds["time_outs"]:
        most = w.bounds["time_outs"]
        left = private("time_outs_left", Range(0, most), over=w.request, init=most)[q]
        late = (left > 0) & (answer == Answer.INIT)
        rows.append(_row("time_out", a.WAITING, a.REFUSED, late, [left.sub(1)], decided="timer", cite="4.6, 9.2: 30 s"))
    # fmt: on
    return Machine("asker", a, rows, copies=w.request, process=w.prefill, final=a.IDLE, doc="P.F: asks D, waits, registers (4.2 - 4.8)")


def handler(w: Wires) -> Machine:
    """P.IO: announces D's answer, then puts D's half of the cache task; the announcement creates the key if need be."""
    h, me_ = Handler, me(w.handler)
    q, place = choice("request", w.request), choice("place", Optional(w.place))
    of = private("handled_request", w.request, over=w.handler)[me_]
    granted = private("handled_place", Optional(w.place), over=w.handler)[me_]
    receive = [w.to_prefill.cell().receive(w.cache_sync(request=q, place=place)), of.set(q), granted.set(place)]
    mark = [w.answer[of].set(if_else(granted.is_none, Answer.ERROR, Answer.FINISHED))]
    idle = [of.set(0), granted.set(None)]
    may_put, put = _put(w, Half.DECODE, of, granted.value)
    rows = [
        _row("receive", h.IDLE, h.MARKING, TRUE, receive, choose=(q, place), cite="4.5"),
        _row("mark_finished", h.MARKING, h.PUTTING, ~granted.is_none, mark, cite="4.5: creates the key, H-20"),
        _row("mark_error", h.MARKING, h.IDLE, granted.is_none, [*mark, *idle], cite="4.5"),
        _row("put_half", h.PUTTING, h.IDLE, may_put, [*put, *idle], under=w.infos_lock, cite="4.5: status first, put second"),
    ]
    return Machine("handler", h, rows, copies=w.handler, process=w.prefill, final=h.IDLE, doc="P.IO: one `cache_sync` from D (4.5)")


def first_token(w: Wires) -> Machine:
    """P.T: waits without a time-out for the result of the request whose token it has, then sends the token (4.9)."""
    q, f = me(w.request), FirstToken
    known = private("prefill_result_status", Optional(w.reports.type), over=w.request)[q]  # type: ignore[arg-type]
    full = all_of(w.rank, lambda r: w.reports[q, r] != Report.NONE)
    failed = any_of(w.rank, lambda r: w.reports[q, r] == Report.ERROR)
    outcome = if_else(failed, Report.ERROR, Report.SENT)
    collect = [known.set(outcome), each(w.rank, lambda r: w.reports[q, r].set(Report.NONE))]
    kind = if_else(known.value == Report.ERROR, Said.ERROR, Said.TOKEN)
    say = [w.to_decode.cell().send(w.said(kind=kind, request=q)), *([known.set(None)] if w.version.pops else [])]
    rows = [
        _row("take_token", f.IDLE, f.COLLECTING, w.to_sample[q], [w.to_sample[q].set(False)], under=w.running_lock, cite="4.9, CH9"),
        _row("find_known", f.COLLECTING, f.SENDING, ~known.is_none, [], cite="4.9; H-42"),
        _row("collect", f.COLLECTING, f.SENDING, known.is_none & full, collect, under=w.reports_lock, cite="4.9, CH4"),
        _row("send_token", f.SENDING, f.IDLE, TRUE, say, cite="4.9: fire and forget, 9.3"),
    ]
    return Machine("first_token", f, rows, copies=w.request, process=w.prefill, final=f.IDLE, doc="P.T (4.9)")
