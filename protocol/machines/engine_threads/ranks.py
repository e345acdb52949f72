"""The worker ranks, as far as the engine's threads see them: they read the queue, run steps, and report slots.

One rank stands for all: they meet in every step, and read a batch in the same one (when they do not is the signalling subject's
question). For the engine the batch is read when the last of them has read it, and a step is over when it is over for all.

What is real: a rank reads a batch once, at any time between two steps; it stops a slot by itself with its last token, by a stop
task otherwise; it reports by slot, without a name. A step in which nothing is left to run is run (and
reports the stops) since #7633 only; before, the stops are reported with the next step. In the epochs a stop is reported whether it
found a request in its slot or not; in ours only if it did, so that each stay in a slot ends with one report. A gated rank raises the forward
signal before it reads and lowers it after the step. On P a request has one step; in the mixed role a prefill and one more.

Left out: the ranks' barriers and announcements (the signalling subject), experts.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import any_of, if_else, me
from ...effect import each, when
from ...expr import TRUE, Expr, Literal
from ...machine import Machine, Row
from .engine import Engine, Output

_row = partial(Row, actor="worker")


class Rank(IntEnum):
    """The rank is ..."""

    POLLING, RAISING, READING, READ, FORWARDING, LOWERING = range(6)


def ranks(e: Engine) -> Machine:
    """One event loop a rank."""
    w, r = Rank, me(e.rank)
    queue = e.queue
    unread = ~queue.tasks.empty & ~queue.read[r]
    work = any_of(e.slot, lambda s: ~e.held[r, s].is_none)
    if e.epoch.reports_stops:
        work = work | any_of(e.slot, lambda s: e.stopped[r, s])
    reading, read = (w.READING, w.READ) if e.is_gated else (w.POLLING, w.POLLING)
    after = w.LOWERING if e.is_gated else w.POLLING
    rows = [
        _row("read_batch", reading, read, unread, [queue.get(last=True), _insert(e, r)], under=queue.lock, cite="facts 2.2: get_tasks"),
        _row("start_step", (w.POLLING, w.READ) if e.is_gated else w.POLLING, w.FORWARDING, work, [], cite="facts 4.1 W10"),
    ]
    report, move_on = e.output(**{f"slot_{s}": _report(e, r, s) for s in e.slot}), _move_on(e, r)
    something = any_of(e.slot, lambda s: e.stopped[r, s] | (~e.held[r, s].is_none & (e.left[r, s] == 1)))
    rows.append(_row("report_step", w.FORWARDING, after, TRUE, [when(something, e.outputs.send(report)), *move_on], cite="facts 4.5"))
    if e.is_gated:
        rows += [
            _row("see_batch", w.POLLING, w.RAISING, unread, [], under=queue.lock, cite="facts 4.1 W3"),
            _row("raise_forward", w.RAISING, w.READING, TRUE, [e.forward_signal.set(True)], cite="facts 4.2 W6"),
            _row("idle", w.READ, w.LOWERING, ~work, [], cite="facts 4.2 W8"),
            _row("lower_forward", w.LOWERING, w.POLLING, TRUE, [e.forward_signal.set(False)], cite="facts 4.2 W10"),
        ]
    return Machine("rank", w, rows, copies=e.rank, final=w.POLLING, process=e.workers, doc="the event loop of one worker rank")


def _insert(e: Engine, r: Expr) -> list[Any]:
    """insert_tasks_v1: a stop empties its slot; a prefill fills it."""
    batch = e.queue.tasks.head
    effects: list[Any] = []
    for s in e.slot:
        stop = e.stop_field(batch, s)
        start = ~batch.request.is_none & (batch.slot == s)
        filled = [e.held[r, s].set(batch.request), e.held_block[r, s].set(batch.block), e.left[r, s].set(e.steps), e.stopped[r, s].set(False)]
        reported = ~e.held[r, s].is_none if e.epoch.reports_once else TRUE
        effects.append(when(stop, e.held[r, s].set(None), e.held_block[r, s].set(0), e.left[r, s].set(0), e.stopped[r, s].set(reported)))
        effects.append(when(start, *filled))
    return effects


def _report(e: Engine, r: Expr, s: int) -> Expr:
    last = ~e.held[r, s].is_none & (e.left[r, s] == 1)
    nothing, kind = Output.NOTHING, e.output.fields[s][1]
    return if_else(e.stopped[r, s], Literal(Output.STOPPED, kind), if_else(last, Literal(Output.LAST, kind), Literal(nothing, kind)))


def _move_on(e: Engine, r: Expr) -> list[Any]:
    """After the step: one step less to run; a slot whose last token this was is empty."""

    def slot(s: Any) -> list[Any]:
        running = ~e.held[r, s].is_none
        last = running & (e.left[r, s] == 1)
        return [
            when(running, e.left[r, s].sub(1)),
            when(last, e.held[r, s].set(None), e.held_block[r, s].set(0)),
            e.stopped[r, s].set(False),
        ]

    return [each(e.slot, slot)]
