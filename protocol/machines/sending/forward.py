"""P's engine and workers as the messager sees them: registration, then one signal a layer, chunk after chunk."""

from __future__ import annotations

from enum import IntEnum
from functools import partial

from ...combine import all_of, any_of, me, passed
from ...effect import each, when
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from ...types import Range
from ...variable import private
from .pipeline import Pipeline, members

_prefill, _work = partial(Row, actor="prefill"), partial(Row, actor="worker")


class Prepare(IntEnum):
    """The prepare thread has ... its request."""

    HELD, PUT, ACKNOWLEDGED, ADDED = range(4)


class Schedule(IntEnum):
    """The scheduling thread is ..."""

    LOOKING, PUTTING = range(2)


class Worker(IntEnum):
    """The worker of a rank is ..."""

    IDLE, FORWARD, SIGNALLED, MEETING = range(4)


def prepare(p: Pipeline) -> Machine:
    """P.F: hands the cache task over, (E0: waits for the acknowledgement,) makes the request schedulable (4.7, 4.8)."""
    q, s = me(p.request), Prepare
    all_read = all_of(p.rank, lambda r: p.info_read[r])
    put = [p.info.set(q), *(p.info_read[r].set(False) for r in p.rank)]
    rows = [_prefill("put_info", s.HELD, s.PUT, all_read, put, under=p.infos_lock, cite="4.7, CH2")]
    if p.epoch.acknowledged:
        everywhere = all_of(p.rank, lambda r: p.added[q, r])
        rows.append(_prefill("collect_acknowledgements", s.PUT, s.ACKNOWLEDGED, everywhere, [], under=p.added_lock, cite="5.1 F5, CH3"))
    ready = s.ACKNOWLEDGED if p.epoch.acknowledged else s.PUT
    rows.append(_prefill("add", ready, s.ADDED, TRUE, [p.running[q].set(True)], under=p.resources, cite="4.8"))
    return Machine("prepare", s, rows, copies=p.request, final=s.ADDED, doc="P.F: one request's preparation (4.7, 4.8).")


def schedule(p: Pipeline) -> Machine:
    """P.S: the next chunk of every running request in one batch, then the workers' mailbox (7.1, CH1)."""
    s = Schedule
    batch = private("scheduled_batch", p.chunk, over=p.request)

    def is_due(q: Expr) -> Expr:
        return p.running[q] & (p.scheduled[q] < p.chunks)

    take = each(p.request, lambda q: when(is_due(q), batch[q].set(p.scheduled[q] + 1), p.scheduled[q].add(1)))
    idle = private("idle_forwards", Range(0, p.idle))
    some = any_of(p.request, is_due)
    put = [each(p.request, lambda q: (p.tasks[q].set(batch[q]), batch[q].set(0))), *(p.tasks_read[r].set(False) for r in p.rank)]
    rows = [
        _prefill("schedule", s.LOOKING, s.PUTTING, some, [take], under=p.resources, cite="7.1"),
        _prefill("put_tasks", s.PUTTING, s.LOOKING, all_of(p.rank, lambda r: p.tasks_read[r]), put, under=p.tasks_lock, cite="CH1"),
    ]
    if p.idle:
        more = idle.cell() < p.idle
        nothing = partial(_prefill, under=p.resources, fair="none", cite="#6680, H-39")
        rows.append(nothing("schedule_nothing", s.LOOKING, s.PUTTING, more & ~some, [idle.add(1)]))
    return Machine("schedule", s, rows, final=s.LOOKING, doc="P.S (7.1).")


def worker(p: Pipeline) -> Machine:
    """P.W[r] and its stream: take the batch, then per layer write, signal and meet; rank 0 emits first tokens (6.2)."""
    r, w = me(p.rank), Worker
    rows_of, layer = private("worker_rows", p.chunk, over=(p.rank, p.request)), private("worker_layer", p.layer, over=p.rank)
    last_reader = all_of(p.rank, lambda i: (i == r) | p.tasks_read[i])
    take = [
        p.tasks_read[r].set(True),
        each(p.request, lambda q: rows_of[r, q].set(p.tasks[q])),
        when(last_reader, *each(p.request, lambda q: p.tasks[q].set(0))),
    ]
    now, final = layer[r], layer[r] == p.layers - 1

    def write(q: Expr) -> tuple:
        return when(rows_of[r, q] != 0, p.written[r, q].set(p.to_mark(rows_of[r, q], now)))

    signal = [each(p.request, write), p.signals[r].send(p.signal(layer=now, batch=members(p.batch, lambda q: rows_of[r, q])))]
    rest = [each(p.request, lambda q: rows_of[r, q].set(0)), now.set(0)]

    def is_through(q: object) -> Expr:
        return rows_of[r, q] == p.chunks

    tokens = [p.tokens.send(members(p.tokens_of, is_through)), each(p.request, lambda q: when(is_through(q), p.produced[q].set(True)))]
    emits = (r == 0) & any_of(p.request, is_through)
    met = p.layer_met
    # fmt: off
    rows = [
        _work("get_tasks",    w.IDLE,      w.FORWARD,   ~p.tasks_read[r], take, under=p.tasks_lock, cite="CH1, 6.2 w1"),
        _work("signal_layer", w.FORWARD,   w.SIGNALLED, TRUE,                 signal,             cite="6.2 w2, CH6"),
        _work("meet",         w.SIGNALLED, w.MEETING,   TRUE,                 [met.arrive()],     cite="13: TP rendezvous"),
        _work("next_layer",   w.MEETING,   w.FORWARD,   passed(met) & ~final, [now.add(1)],       cite="6.2"),
        _work("end_forward",  w.MEETING,   w.IDLE,      passed(met) & final & ~emits, rest,       cite="6.2"),
        _work("emit_tokens",  w.MEETING,   w.IDLE,      passed(met) & final & emits, [*tokens, *rest], cite="CH9"),
    ]
    # fmt: on
    return Machine("worker", w, rows, copies=p.rank, final=w.IDLE, doc="P.W[r] and its stream (6.2).")
