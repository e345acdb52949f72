"""P's token processor waits: one missing report of a sent cache, and every first token behind it waits too (H28).

TOK takes first tokens in the order in which the steps made them. For each it reads the messager's reports until the one of this
request is there, whatever else it finds, with no end (facts 2.4, 6.4; cache_handshake 4.9); then it answers. Ours takes tokens and
reports as they come, answers a request when both are there, and gives up a request by itself after a time-out.

A report may never come: the layer-0 signal was lost, a messager rank died. That is one request's fate; the question is the
others'. One row is one look at one channel; the reports come one a round.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import any_of, choice, me
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from ...properties import leads_to, sometimes
from ...system import System
from ...types import BOOL, Enum, Index, Optional
from ...variable import Variable, channel, private
from ..arguments import one_of, within

VARIANTS = ("waiting", "repaired", "endless")
_row = partial(Row, actor="prefill")


class Tokens(IntEnum):
    """The token processor is ..."""

    WAITING, AWAITING = range(2)


class Answer(IntEnum):
    """The request is ..."""

    OPEN, ANSWERED, GIVEN_UP = range(3)


class Send(IntEnum):
    """The request's cache is ..."""

    COMPUTING, SENDING, REPORTED, LOST = range(4)


def build(variant: str = "repaired", requests: int = 2, losses: int = 1) -> System:
    """First tokens of some requests, and the reports of their sends.

    Args:
        variant: waiting (the epochs), repaired, or endless: ours without its time-out.
        requests: how many. losses: of how many of them, the first ones, the report may never come.

    Raises:
        DefinitionError: a parameter outside its choices.
    """
    one_of(VARIANTS, variant=variant)
    within(1, 4, requests=requests)
    within(0, requests, losses=losses)
    request = Index("request", requests)
    tokens = channel("first_tokens", request, requests, cite="CH9")
    reports = channel("send_reports", request, requests, cite="CH4: finished_send_cache")
    answer = private("first_token_answer", Enum(Answer), over=request)
    reported = private("reports_read", BOOL, over=request)
    if variant == "waiting":
        rows = _waiting_rows(request, tokens, reports, answer, reported)
    else:
        rows = _parking_rows(request, tokens, reports, answer, reported, gives_up=variant == "repaired")
    processor = Machine("token_processor", Tokens, rows, final=Tokens.WAITING, doc="P's token processor")
    send = _send(request, tokens, reports, losses)

    def is_open(q: Any) -> Expr:
        return answer[q] == Answer.OPEN

    def sent(q: Any) -> Expr:
        return is_open(q) & (send.at(q) == Send.REPORTED)

    def over(q: Any) -> Expr:
        return ~is_open(q)

    properties = [
        leads_to("answered_when_sent", sent, over, each=request, about="P12: a request whose cache was sent is answered"),
        leads_to("first_tokens_answered", is_open, over, each=request, about="P12: every request gets a terminal answer"),
        sometimes("some_answer_of_another", any_of(request, lambda q: (q > 0) & (answer[q] == Answer.ANSWERED)), "a later request is answered"),
    ]
    return System("token_wait", [processor, send], properties, doc=__doc__ or "")


def _waiting_rows(request: Index, tokens: Variable, reports: Variable, answer: Variable, reported: Variable) -> list[Row]:
    """The epochs: take a token, then read reports until its own is there."""
    t = Tokens
    current = private("token_in_hand", Optional(request))
    own = current.value
    done = [answer[own].set(Answer.ANSWERED), reported[own].set(False), current.set(None)]
    return [
        _row("take_token", t.WAITING, t.AWAITING, TRUE, [tokens.receive(), current.set(tokens.head)], cite="4.9"),
        _row(
            "read_report", t.AWAITING, t.AWAITING, ~reported[own], [reports.receive(), reported[reports.head].set(True)], cite="4.9: get_finished_req"
        ),
        _row("answer", t.AWAITING, t.WAITING, reported[own], done, cite="4.9: send_first_token"),
    ]


def _parking_rows(request: Index, tokens: Variable, reports: Variable, answer: Variable, reported: Variable, gives_up: bool) -> list[Row]:
    """Ours: take what comes; answer whoever has both."""
    t, q = Tokens, choice("request", request)
    parked = private("tokens_parked", BOOL, over=request)
    is_open = answer[q] == Answer.OPEN
    done = [answer[q].set(Answer.ANSWERED), reported[q].set(False), parked[q].set(False)]
    rows = [
        _row("take_token", t.WAITING, t.WAITING, TRUE, [tokens.receive(), parked[tokens.head].set(True)], cite="ours"),
        _row(
            "read_report",
            t.WAITING,
            t.WAITING,
            TRUE,
            [reports.receive(), reported[reports.head].set(answer[reports.head] == Answer.OPEN)],
            cite="ours",
        ),
        _row("answer", t.WAITING, t.WAITING, is_open & parked[q] & reported[q], done, choose=(q,), cite="ours"),
    ]
    if gives_up:
        late = is_open & parked[q] & ~reported[q]
        give_up = [answer[q].set(Answer.GIVEN_UP), parked[q].set(False)]
        rows.append(_row("give_up", t.WAITING, t.WAITING, late, give_up, choose=(q,), decided="timer", cite="ours: a terminal answer"))
    return rows


def _send(request: Index, tokens: Variable, reports: Variable, losses: int) -> Machine:
    """The worker's first token and the messager's report, one after the other; the report may never come."""
    s, q = Send, me(request)
    rows = [
        Row("emit_token", s.COMPUTING, s.SENDING, TRUE, [tokens.send(q)], "worker", fair="strong", cite="4.8"),
        Row("report", s.SENDING, s.REPORTED, TRUE, [reports.send(q)], "messager", fair="strong", cite="6.4"),
    ]
    if losses:
        rows.append(Row("lose_report", s.SENDING, s.LOST, q < losses, [], "environment", decided="observed", fair="none", cite="H-01, 9.6"))
    return Machine("send", s, rows, copies=request, final=(s.REPORTED, s.LOST) if losses else (s.REPORTED,), doc="the sending of one request's cache")
