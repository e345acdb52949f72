"""Completion on P: the token processor notes first tokens, the completer collects the ranks' reports and lets go.

The token processor waits for nobody (H-30): it notes that the prompt is through, and a later token is read at once. The completer
takes a request when every rank has reported it, frees slot and blocks in one critical section, and leaves the request to
commit or to cancel, and says so to D. This is the one place where P gives anything back (H9, H-22, H23).
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial

from ...combine import all_of, any_of, choice
from ...effect import each
from ...expr import TRUE
from ...machine import Machine, Row
from ...types import BOOL, Optional
from ...variable import private
from .plane import Plane, Report, field

_row = partial(Row, actor="prefill")


class TokenProcessor(IntEnum):
    """The token processor is ..."""

    READING, NOTING = range(2)


class Completer(IntEnum):
    """The completing thread is ..."""

    COLLECTING, RELEASING = range(2)


def token_processor(p: Plane, request: Machine) -> Machine:
    """P.T: the first tokens (4.9)."""
    t, q = TokenProcessor, choice("request", p.request)
    noted = private("token_of", BOOL, over=p.request)
    read = [each(p.request, lambda i: noted[i].set(field(p.tokens.cell().head, i))), p.tokens.receive()]
    turn = noted[q] & all_of(p.request, lambda i: (i >= q) | ~noted[i])
    alone = all_of(p.request, lambda i: (i == q) | ~noted[i])
    note = [noted[q].set(False)]
    if not p.rules.keeps_until_sent:
        note += p.release_slot(q)
    step = partial(_row, choose=(q,), moves=request[q].token, under=p.resources, cite="4.9")
    rows = [
        _row("read_tokens", t.READING, t.NOTING, TRUE, read, cite="CH9"),
        step("note_token", t.NOTING, t.NOTING, turn & ~alone, note),
        step("note_token", t.NOTING, t.READING, turn & alone, note),
    ]
    return Machine("token_processor", t, rows, final=t.READING, process=p.prefill_process, doc="P.T: notes first tokens (4.9).")


def completer(p: Plane, request: Machine) -> Machine:
    """P.FIN: collects reports, frees, and decides between commit and cancel (4.9, 4.10)."""
    c, q = Completer, choice("request", p.request)
    hand = private("completer_hand", Optional(p.request))
    success = private("completer_success", BOOL)

    def has(r: object) -> object:
        return p.report[q, r] != Report.NOTHING

    reported = all_of(p.rank, has) if p.rules.counts_reports else any_of(p.rank, has)
    sent = all_of(p.rank, lambda r: p.report[q, r].is_in(Report.SENT, *([] if p.rules.counts_reports else [Report.NOTHING])))
    collect = [hand.set(q), success.set(sent), *(p.report[q, r].set(Report.NOTHING) for r in p.rank)]
    release = [hand.set(None), success.set(False), *p.release_slot(q)]
    mine = hand.cell() == q
    commit, cancel, lock = p.commit[q].send(0), p.cancel[q].send(0), p.resources
    step, move = partial(_row, choose=(q,)), request[q]
    commits, cancels, good, bad = [*release, commit], [*release, cancel], mine & success, mine & ~success
    # fmt: off
    rows = [
        step("collect",        c.COLLECTING, c.RELEASING,  reported, collect, under=p.finished_lock, cite="CH4; ours: all ranks, this request"),
        step("release_sent",   c.RELEASING,  c.COLLECTING, good, commits, moves=move.sent,    under=lock, cite="4.10"),
        step("release_failed", c.RELEASING,  c.COLLECTING, bad,  cancels, moves=move.failed,  under=lock, cite="9.5"),
        step("release_doomed", c.RELEASING,  c.COLLECTING, mine, cancels, moves=move.drained, under=lock, cite="ours: H-13"),
    ]
    # fmt: on
    return Machine("completer", c, rows, final=c.COLLECTING, process=p.prefill_process, doc="P.FIN: the one place where P lets go (4.10).")
