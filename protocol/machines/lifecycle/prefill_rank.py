"""The worker of one rank and its cache messager, as P's scheduling sees them (`prefill_scheduling.py`)."""

from __future__ import annotations

from enum import IntEnum
from functools import partial

from ...combine import all_of, choice
from ...expr import TRUE
from ...machine import Machine, Row
from ...types import BOOL, Optional, Range
from ...variable import private
from .prefill_plane import PrefillPlane

_work = partial(Row, actor="worker")


class Rank(IntEnum):
    """The worker is ..."""

    READING, ANNOUNCED, RAISED, FORWARDING, REPORTING, LOWERING, DEAD = range(7)


class Messager(IntEnum):
    """The messager is ..."""

    IDLE, SHIPPING = range(2)


def rank(p: PrefillPlane) -> Machine:
    """The worker: reads a batch, reports the stops that came with it, and computes its chunk."""
    r, task, q = Rank, p.tasks.head, choice("request", p.request)
    chunk, last = p.chunk, private("rank_last", BOOL)
    stop = private("rank_stops", BOOL, over=p.request)
    take = [p.tasks.receive(), chunk.set(task.run), last.set(task.last), *(stop[i].set(getattr(task, f"stop_{i}")) for i in p.request)]
    none = all_of(p.request, lambda i: ~stop[i])
    report = [stop[q].set(False), p.outputs.send(p.report(request=q, stopped=True))]
    token = [p.outputs.send(p.report(request=chunk.value, stopped=False)), chunk.set(None), last.set(False)]
    ends = none & (chunk.is_none | ~last)
    begun, ended = (r.RAISED, r.LOWERING) if p.gated else (r.READING, r.READING)
    rows = [
        _work("read_batch", begun, r.FORWARDING, TRUE, take, cite="2.2"),
        _work("report_stop", r.FORWARDING, r.FORWARDING, stop[q], report, choose=(q,), cite="4.5: -9"),
        _work("end_step", r.FORWARDING, ended, ends, [chunk.set(None)], cite="4.1"),
        _work("signal_last", r.FORWARDING, r.REPORTING, none & ~chunk.is_none & last, [p.computed.send(chunk.value)], cite="2.5"),
        _work("report_token", r.REPORTING, ended, TRUE, token, cite="6.4: the first token"),
    ]
    return Machine("rank", r, [*rows, *(_signal_rows(p) if p.gated else [])], final=r.READING, doc="the worker's event loop")


def _signal_rows(p: PrefillPlane) -> list[Row]:
    """#6680: the signal is raised before the read and lowered after the forward, unless the worker dies in it."""
    r, left = Rank, private("deaths_left", Range(0, p.deaths), init=p.deaths)
    rows = [
        _work("see_batch", r.READING, r.ANNOUNCED, ~p.tasks.empty, [], cite="4.1 W3"),
        _work("raise_forward", r.ANNOUNCED, r.RAISED, TRUE, [p.forward_up.set(True)], cite="4.2"),
        _work("lower_forward", r.LOWERING, r.READING, TRUE, [p.forward_up.set(False)], cite="4.2"),
    ]
    die = _work("die", r.FORWARDING, r.DEAD, left > 0, [left.sub(1)], fair="none", cite="H6, H-34")
    return [*rows, *([die] if p.deaths else [])]


def messager(p: PrefillPlane) -> Machine:
    """The messager: it knows a request's block from its cache task, and ships that block when the last chunk is computed."""
    m, told, hand = Messager, p.told.head, private("shipping", Optional(p.request))
    row = partial(Row, actor="messager")
    rows = [
        row("learn", m.IDLE, m.IDLE, TRUE, [p.told.receive(), p.source[told.request].set(told.block)], cite="2.5: add thread"),
        row("see_last", m.IDLE, m.SHIPPING, ~p.source[p.computed.head].is_none, [hand.set(p.computed.head), p.computed.receive()]),
        row("ship", m.SHIPPING, m.IDLE, TRUE, [p.shipped.send(hand.value), hand.set(None)], cite="2.4: put_finished_req"),
    ]
    return Machine("messager", m, rows, final=m.IDLE, doc="the cache messager of one rank")
