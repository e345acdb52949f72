"""The worker: it reads a batch, runs a step for what its slots hold, and reports by slot (facts 4.5).

A stop makes the slot report a stop in the next step, and run no more; since #7633 also when nothing else runs. A fresh task
takes the slot over, whatever it held; a task that is not fresh only brings a new block table. A chunk that is not the last is computed in
one step, which has no token for it.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import any_of, if_else
from ...effect import each, when
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from ...types import BOOL, Enum, Optional, Range
from ...variable import private
from .manager import Manager, Output

_row = partial(Row, actor="worker")


class Rank(IntEnum):
    """The rank is ..."""

    READING, FORWARDING = range(2)


class Held(IntEnum):
    """What the slot does in the next step: nothing, run, report its stop, compute a chunk."""

    NOTHING, RUNS, STOPS, COMPUTES = range(4)


WRITING = (Held.RUNS, Held.COMPUTES)


class Content:
    """The worker's side of the slots."""

    def __init__(self, m: Manager):
        self.held = private("rank_held", Enum(Held), over=m.slot)
        self.request = private("rank_request", Optional(m.request), over=m.slot)
        self.number = private("rank_attempt", m.attempt, over=m.slot)
        self.left = private("rank_tokens_left", Range(0, m.tokens), over=m.slot)
        self.block = private("rank_block", BOOL, over=(m.slot, m.block))


def rank(m: Manager, c: Content) -> Machine:
    """One rank; the ranks of a group do the same."""
    r, batch = Rank, m.tasks.head
    some = any_of(m.slot, lambda s: c.held[s].is_in(*WRITING, *((Held.STOPS,) if m.variant.reports_stops else ())))
    rows = [
        _row("read_batch", r.READING, r.READING, TRUE, [m.tasks.receive(), *_insert(m, c, batch)], cite="4.5"),
        _row("begin_step", r.READING, r.FORWARDING, some, [], cite="4.1 W10"),
        _row("report_step", r.FORWARDING, r.READING, TRUE, _report(m, c), cite="4.5: by slot; 9.1 OUTQ"),
    ]
    return Machine("rank", r, rows, final=r.READING, doc="the worker's event loop")


def _insert(m: Manager, c: Content, batch: Expr) -> list[Any]:
    """The slots after the batch was read."""
    effects: list[Any] = []
    for s in m.slot:
        runs = ~batch.run.is_none & (batch.slot == s)
        stops = (batch.stop == s) & ~(runs & batch.fresh)
        effects += [
            when(stops, c.held[s].set(Held.STOPS)),
            when(
                runs & batch.fresh,
                c.held[s].set(if_else(batch.part, Held.COMPUTES, Held.RUNS)),
                c.request[s].set(batch.run),
                c.number[s].set(batch.attempt),
                c.left[s].set(m.tokens),
            ),
            *(when(runs, c.block[s, b].set(getattr(batch, f"block_{b}"))) for b in m.block),
            *(when(stops, c.block[s, b].set(False)) for b in m.block),
        ]
    return effects


def _report(m: Manager, c: Content) -> list[Any]:
    """What each slot produced, and what it does next."""
    fields: dict[str, Any] = {}
    for s in m.slot:
        last = if_else(c.left[s] == 1, Output.LAST, Output.TOKEN)
        kind = if_else(c.held[s] == Held.RUNS, last, if_else(c.held[s] == Held.STOPS, Output.STOPPED, Output.NOTHING))
        idle = c.held[s].is_in(Held.NOTHING, Held.COMPUTES)
        fields |= {f"kind_{s}": kind, f"of_{s}": if_else(idle, None, c.request[s]), f"attempt_{s}": if_else(idle, 0, c.number[s])}
    return [m.outputs.send(m.step(**fields)), each(m.slot, lambda s: _after(m, c, s))]


def _after(m: Manager, c: Content, s: Any) -> list[Any]:
    ends = (c.held[s] == Held.STOPS) | ((c.held[s] == Held.RUNS) & (c.left[s] == 1))
    empty = [c.held[s].set(Held.NOTHING), c.request[s].set(None), c.number[s].set(0), c.left[s].set(0)]
    return [
        when(ends, *empty, *(c.block[s, b].set(False) for b in m.block)),
        when((c.held[s] == Held.RUNS) & (c.left[s] > 1), c.left[s].sub(1)),
        *([when(c.held[s] == Held.COMPUTES, c.held[s].set(Held.NOTHING))] if m.chunks > 1 else []),
    ]
