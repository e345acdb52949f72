"""The first token on P (P.T) and the release of the request (P.FIN).

P.T answers the rows of one step in order; for each it waits, without a time-out, until its id has been read from CH4. As
before the repair CH4 gives the first element of a full round, whatever ids the others put, and an id that is known already
is answered only when CH4 is empty or a round was just read, because `get` waits for a round that has begun.

A token message carries the requests of its rows; the real one carries rows, which P.T looks up in `tasks_list`: the slot
of a request keeps its owner until P.T itself has answered. Reading a round and answering are one row: what follows the
reading is private to P.T up to the hand-over to P.FIN, and answering early can only make the properties stricter.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial

from ...combine import all_of, choice
from ...effect import Effect, each, when
from ...expr import TRUE, Expr, Param
from ...machine import Machine, Row
from ...types import BOOL
from ...variable import Variable, private
from .hand_over import HandOver, Stage, has

_row = partial(Row, actor="prefill")


class TokenProcessor(IntEnum):
    """The token processor is ..."""

    READING, COLLECTING = range(2)


class Finisher(IntEnum):
    """The finish pool's thread is ..."""

    IDLE, FREEING = range(2)


def token_processor(h: HandOver) -> Machine:
    """P.T: `process_sampling_results` and `_recycle_resources` (4.9)."""
    t, q = TokenProcessor, choice("request", h.request)
    awaited = private("awaited", BOOL, over=h.request)
    read = [each(h.request, lambda i: awaited[i].set(has(h.tokens.cell().head, i))), h.tokens.receive()]
    rows = [_row("read_tokens", t.READING, t.COLLECTING, TRUE, read, cite="4.9, CH9")]
    head = awaited[q] & all_of(h.request, lambda i: (i >= q) | ~awaited[i])
    answer = [awaited[q].set(False), h.finishing.send(q), h.answered[q].set(True)]
    known = private("known_finished", BOOL, over=h.request)
    rows.append(_row("end_step", t.COLLECTING, t.READING, all_of(h.request, lambda i: ~awaited[i]), [], cite="4.9"))
    if h.epoch.counted:
        rows.append(_answer_counted(h, q, head, answer))
    else:
        rows += _answers_of_round(h, q, known, head, answer)
        full, take = _round(h)
        others = [*take, each(h.request, lambda i: when(h.finished == i, known[i].set(True)))]
        unknown = head & full & (h.finished != q) & ~known[q]
        rows.append(_row("collect_other", t.COLLECTING, t.COLLECTING, unknown, others, choose=(q,), under=h.finished_lock, cite="4.9, CH4"))
    return Machine("token_processor", t, rows, final=t.READING, doc="P.T: waits for the cache to be sent, then sends the first token (4.9).")


def _answer_counted(h: HandOver, q: Param, head: Expr, answer: list[Effect]) -> Row:
    """Ours: the request is answered when every rank has reported this very id."""
    reported = all_of(h.rank, lambda r: h.finished_count[q, r])
    forget = [h.finished_count[q, r].set(False) for r in h.rank]
    at, effects = TokenProcessor.COLLECTING, [*answer, *forget]
    return _row("answer", at, at, head & reported, effects, choose=(q,), under=h.finished_lock, cite="ours: CH4 by request id")


def _round(h: HandOver) -> tuple[Expr, list[Effect]]:
    """CH4: a round is full when every rank has put; reading it empties it."""
    return all_of(h.rank, lambda r: h.finished_by[r]), [h.finished.set(None), *(h.finished_by[r].set(False) for r in h.rank)]


def _answers_of_round(h: HandOver, q: Param, known: Variable, head: Expr, answer: list[Effect]) -> list[Row]:
    """The id is the first of the round, or was the first of an earlier one."""
    t = TokenProcessor
    full, take = _round(h)
    others = each(h.request, lambda i: when((h.finished == i) & (q != i), known[i].set(True)))
    forget = known[q].set(False)
    now, before = head & full & ((h.finished == q) | known[q]), head & h.finished.is_none & known[q]
    step = partial(_row, choose=(q,), under=h.finished_lock)
    return [
        step("answer", t.COLLECTING, t.COLLECTING, now, [*answer, *take, others, forget], cite="4.9, CH4"),
        step("answer_known", t.COLLECTING, t.COLLECTING, before, [*answer, forget], cite="4.9"),
    ]


def finisher(h: HandOver) -> Machine:
    """P.FIN: frees the slot, then the blocks (4.10)."""
    f, q = Finisher, choice("request", h.request)
    free_slot = [h.finishing.receive(), h.stage[q].set(Stage.SLOTLESS)]
    free_blocks = [h.stage[q].set(Stage.FREED), h.freed[q].set(True)]
    rows = [
        _row("free_slot", f.IDLE, f.FREEING, h.finishing.cell().head == q, free_slot, choose=(q,), under=h.resources, cite="4.10 a"),
        _row("free_blocks", f.FREEING, f.IDLE, h.stage[q] == Stage.SLOTLESS, free_blocks, choose=(q,), under=h.resources, cite="4.10 c"),
    ]
    return Machine("finisher", f, rows, final=f.IDLE, doc="P.FIN: `finish_requests` (4.10).")
