"""Completion on P: the token processor notes first tokens, the completer collects the ranks' reports and lets go.

The token processor waits for nobody (H-30): it notes that the prompt is through, and a later token is read at once. The completer
takes a request when every rank has reported it, frees slot and blocks in one critical section, and leaves the request to
commit or to cancel, and says so to D. This is the one place where P gives anything back (H9, H-22, H23).
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial

from ...combine import all_of, any_of, choice, if_else
from ...effect import each, when
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from ...slice import Copies
from ...types import BOOL, Enum, Optional
from . import prefix_cache
from .plane import Plane, Report, Stage, field

_row = partial(Row, actor="prefill")


class TokenProcessor(IntEnum):
    """The token processor is ..."""

    READING, NOTING = range(2)


class Completer(IntEnum):
    """The completing thread is ..."""

    COLLECTING, RELEASING = range(2)


def token_processor(p: Plane, request: Copies) -> Machine:
    """P.T: the first tokens (4.9)."""
    t, q = TokenProcessor, choice("request", p.request)
    noted = p.private("token_of", BOOL, over=p.request)
    read = [each(p.request, lambda i: noted[i].set(field(p.tokens.head, i))), p.tokens.receive()]
    turn = noted[q] & all_of(p.request, lambda i: (i >= q) | ~noted[i])
    alone = all_of(p.request, lambda i: (i == q) | ~noted[i])
    foreign = request.at(q).is_in(Stage.RUNNING, Stage.DOOMED) & ~p.produced[q]
    note = [noted[q].set(False), when(foreign, p.miscredited.set(True))]
    if not p.rules.keeps_until_sent:
        note += p.release_slot(q)
    else:
        note += prefix_cache.publish(p, [q], lambda i: p.prompt_chunks[i])
    step = partial(_row, choose=(q,), moves=request[q].token, under=p.resources, cite="4.9")
    rows = [
        _row("read_tokens", t.READING, t.NOTING, TRUE, read, cite="CH9"),
        step("note_token", t.NOTING, t.NOTING, turn & ~alone, note),
        step("note_token", t.NOTING, t.READING, turn & alone, note),
    ]
    copies, process = p.instances, p.engine_process
    return Machine("token_processor", t, rows, copies=copies, final=t.READING, process=process, doc="P.T: notes first tokens (4.9).")


def completer(p: Plane, request: Copies) -> Machine:
    """P.FIN: collects reports, frees, and decides between commit and cancel (4.9, 4.10)."""
    c, q = Completer, choice("request", p.request)
    hand, outcome = p.private("completer_hand", Optional(p.request)), p.private("completer_outcome", Enum(Report))

    def some(kind: Report) -> Expr:
        return any_of(p.rank, lambda r: p.report[q, r] == kind)

    reported = ~some(Report.NOTHING) if p.rules.counts_reports else ~all_of(p.rank, lambda r: p.report[q, r] == Report.NOTHING)
    worst = if_else(some(Report.WITHDRAWN), Report.WITHDRAWN, if_else(some(Report.FAILED), Report.FAILED, Report.SENT))
    collect = [hand.set(q), outcome.set(worst), *(p.report[q, r].set(Report.NOTHING) for r in p.rank)]
    release = [hand.set(None), outcome.set(Report.NOTHING), *p.release_slot(q)]
    commits, cancels = [*release, p.commit[q, p.turn_of[q]].send(0)], [*release, *p.give_up(q)]

    blame = when(~p.may_fail[q], p.failed_without_cause.set(True))

    def was(kind: Report) -> Expr:
        return (hand == q) & (outcome == kind)

    step, move, lock = partial(_row, choose=(q,)), request[q], p.resources
    sent, failed, withdrawn = was(Report.SENT), was(Report.FAILED), was(Report.WITHDRAWN)
    # fmt: off
    rows = [
        step("collect",           c.COLLECTING, c.RELEASING,  reported, collect, under=p.finished_lock, cite="CH4; ours: all ranks, this request"),
        step("release_sent",      c.RELEASING,  c.COLLECTING, sent, commits, moves=move.sent, under=lock, cite="4.10"),
        step("release_failed",    c.RELEASING,  c.COLLECTING, failed, [*cancels, blame], moves=move.failed, under=lock, cite="9.5"),
        step("release_doomed",    c.RELEASING,  c.COLLECTING, sent | failed, cancels, moves=move.drained, under=lock, cite="ours: H-13"),
        step("release_withdrawn", c.RELEASING,  c.COLLECTING, withdrawn, cancels, moves=move.withdrawn, under=lock, cite="ours: H-13"),
    ]
    # fmt: on
    copies, process = p.instances, p.engine_process
    return Machine("completer", c, rows, copies=copies, final=c.COLLECTING, process=process, doc="P.FIN: the one place where P lets go (4.10).")
