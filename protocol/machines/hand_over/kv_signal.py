"""The kv signal: the worker that emits one a layer, its queue (Kq, capacity 2), and the thread that consumes it (MC).

A worker writes a layer and signals it in one row: what is written is read only by the sender, after the signal. When the
queue is full the write shows late, which can only make the properties stricter. The tensor-parallel rendezvous stands
between layers and before the token (the logits are gathered).

MC's block under `engine_cache_task_thread_lock` is one row where it touches nothing else, and is held across rows where it
looks into `idx_cache_task_dict`, which that lock does not guard (E2, E3a): one look, one put, one row each.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial

from ...combine import all_of, any_of, choice, disjunction, me, passed
from ...effect import Effect, each, when
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from ...types import BOOL, Range
from ...variable import Variable, private
from .hand_over import HandOver, has, members_of

_work, _consume = partial(Row, actor="worker"), partial(Row, actor="messager")


class LayerWorker(IntEnum):
    """The worker of a rank is ..."""

    IDLE, FORWARD, SIGNALLED, MEETING, EMITTING = range(5)


class Consumer(IntEnum):
    """The thread that consumes signals is ..."""

    POLLING, CHECKING, APPLYING, SPLITTING, QUEUEING = range(5)


def layer_worker(h: HandOver) -> Machine:
    """P.W[r] and its stream: take tasks, then per layer write, signal and meet; rank 0 emits the first tokens."""
    r, w = me(h.rank), LayerWorker
    rows_of = private("worker_rows", BOOL, over=(h.rank, h.request))
    layer = private("worker_layer", Range(0, h.layers - 1), over=h.rank)
    last_reader = all_of(h.rank, lambda i: (i == r) | h.tasks_read[i])
    take = [
        h.tasks_read[r].set(True),
        each(h.request, lambda q: rows_of[r, q].set(h.tasks[q])),
        when(last_reader, *each(h.request, lambda q: h.tasks[q].set(False))),
    ]
    slots = members_of(h.batch, lambda s: disjunction([rows_of[r, q] for q in h.in_slot(s)]))
    signal: list[Effect | tuple[Effect, ...]] = [
        each(h.request, lambda q: when(rows_of[r, q], h.computed[r, q].set(layer[r] + 1))),
        h.signals[r].send(h.signal(layer=layer[r], slots=slots)),
    ]
    nothing: list[tuple[Effect, ...]] = [each(h.request, lambda q: rows_of[r, q].set(False))]
    final = layer[r] == h.layers - 1
    tokens = [
        h.tokens.send(members_of(h.rows, lambda q: rows_of[r, q])),
        each(h.request, lambda q: when(rows_of[r, q], h.produced[q].set(True))),
    ]
    met = h.layer_met
    # fmt: off
    rows = [
        _work("get_tasks",    w.IDLE,      w.FORWARD,   passed(met) & ~h.tasks_read[r], take, under=h.tasks_lock, cite="CH1, 6.2 w1"),
        _work("signal_layer", w.FORWARD,   w.SIGNALLED, TRUE,             signal,                           cite="6.2 w2, CH6"),
        _work("signal_layer", w.MEETING,   w.SIGNALLED, passed(met),      signal,                           cite="6.2 w2, CH6"),
        _work("meet",         w.SIGNALLED, w.MEETING,   ~final,           [met.arrive(), layer[r].add(1)],  cite="13: TP rendezvous"),
        _work("end_forward",  w.SIGNALLED, w.EMITTING,  final & (r == 0), [met.arrive(), layer[r].set(0)],  cite="13: TP rendezvous"),
        _work("end_forward",  w.SIGNALLED, w.IDLE,      final & (r != 0), [met.arrive(), layer[r].set(0), *nothing], cite="13: TP rendezvous"),
        _work("emit_tokens",  w.EMITTING,  w.IDLE,      passed(met),      [*tokens, *nothing],              cite="CH9"),
    ]
    # fmt: on
    return Machine("layer_worker", w, rows, copies=h.rank, final=w.IDLE, doc="P.W[r] and its stream (6.2).")


def consumer(h: HandOver) -> Machine:
    """MC[r]: `consume_signals` (6.3, 6.6)."""
    r, c = me(h.rank), Consumer
    seen = _Seen(h)
    receive = [seen.keep(h.signals[r].head), h.signals[r].receive()]
    after = c.CHECKING if h.epoch.drops else c.APPLYING
    rows = [Row("receive", c.POLLING, after, TRUE, receive, cite="6.3 c1")]
    if h.epoch.drops:
        empty = all_of(h.request, lambda q: ~h.cache_info[r][q])
        rows += [
            _consume("drop", c.CHECKING, c.POLLING, empty, seen.forget, cite="6.3 c2, H-01"),
            _consume("accept", c.CHECKING, c.APPLYING, ~empty, [], cite="6.3 c2"),
        ]
    mark = each(h.slot, lambda s: when(seen.slots[r, s], h.progress[r, s].set(seen.layer[r])))
    first = seen.layer[r] == 0
    rows.append(_consume("mark_progress", c.APPLYING, c.POLLING, ~first, [mark, *seen.forget], under=h.messager[r], cite="6.3 c4"))
    if h.epoch.unmet:
        rows.append(_unmet_first(h, seen, mark, first))
    elif h.epoch.parks:
        rows += _split_rows(h, seen, mark, first)
    else:
        queue = h.work[r].send(seen.batch)
        rows.append(_consume("queue_batch", c.APPLYING, c.POLLING, first, [mark, queue, *seen.forget], under=h.messager[r], cite="6.3 c4"))
    return Machine("consumer", c, rows, copies=h.rank, final=c.POLLING, doc="MC[r]: `consume_signals` (6.3).")


class _Seen:
    """The message that MC holds; forgotten when it is done, so that idle copies are alike."""

    def __init__(self, h: HandOver):
        self.h, self.r = h, me(h.rank)
        self.layer: Variable = private("seen_layer", Range(0, h.layers - 1), over=h.rank)
        self.slots: Variable = private("seen_slots", BOOL, over=(h.rank, h.slot))
        self.ready: Variable = private("ready_slots", BOOL, over=(h.rank, h.slot))
        self.forget = [self.layer[self.r].set(0), each(h.slot, lambda s: self.slots[self.r, s].set(False))]
        self.batch = members_of(h.batch, lambda s: self.slots[self.r, s])
        self.ready_batch = members_of(h.batch, lambda s: self.ready[self.r, s])
        self.unready = each(h.slot, lambda s: self.ready[self.r, s].set(False))

    def keep(self, message: Expr) -> list[Effect | tuple[Effect, ...]]:
        """Store the message."""
        return [self.layer[self.r].set(message.layer), each(self.h.slot, lambda s: self.slots[self.r, s].set(has(message.slots, s)))]

    def next_is(self, slot: Expr) -> Expr:
        """Whether that slot is the lowest one left in the message."""
        return self.slots[self.r, slot] & all_of(self.h.slot, lambda i: (i >= slot) | ~self.slots[self.r, i])


def _unmet_first(h: HandOver, seen: _Seen, mark: tuple[Effect, ...], first: Expr) -> Row:
    """Ours: the split is one critical section, because registration happens under the same lock."""
    r, c = me(h.rank), Consumer

    def registered(s: object) -> Expr:
        return ~h.registered[r, s].is_none

    ready = any_of(h.slot, lambda s: seen.slots[r, s] & registered(s))
    batch = members_of(h.batch, lambda s: seen.slots[r, s] & registered(s))
    park = each(h.slot, lambda s: when(seen.slots[r, s] & ~registered(s), h.pending[r, s].set(True)))
    effects = [mark, park, when(ready, h.work[r].send(batch)), *seen.forget]
    return _consume("queue_or_park", c.APPLYING, c.POLLING, first, effects, under=h.messager[r], cite="ours; #7872")


def _split_rows(h: HandOver, seen: _Seen, mark: tuple[Effect, ...], first: Expr) -> list[Row]:
    """E2 and E3a: under the lock, look at each slot's registration; queue the registered, park the others."""
    r, c = me(h.rank), Consumer
    s = choice("slot", h.slot)
    task, lock = h.registered[r, s], h.messager[r]
    done = all_of(h.slot, lambda i: ~seen.slots[r, i])
    waiting = any_of(h.slot, lambda i: seen.ready[r, i])
    handled = seen.slots[r, s].set(False)
    ready, park = [handled, seen.ready[r, s].set(True)], [handled, h.pending[r, s].set(True)]
    queue = [h.work[r].send(seen.ready_batch), seen.unready]
    # fmt: off
    rows = [
        _consume("begin_split", c.APPLYING,  c.SPLITTING, first, [mark], acquire=lock, cite="#7872"),
        _consume("park",        c.SPLITTING, c.SPLITTING, seen.next_is(s) & task.is_none, park, choose=(s,), under=lock, cite="#7872"),
    ]
    if h.epoch.singly:
        rows += [
            _consume("find_task",   c.SPLITTING, c.QUEUEING,  seen.next_is(s) & ~task.is_none, ready, choose=(s,), under=lock, cite="#8034, E3a"),
            _consume("queue_ready", c.QUEUEING,  c.SPLITTING, TRUE, queue, under=lock, cite="#8034, E3a"),
            _consume("end_split",   c.SPLITTING, c.POLLING,   done, seen.forget[:1], release=lock, cite="#7872"),
        ]
    else:
        rows += [
            _consume("find_task",   c.SPLITTING, c.SPLITTING, seen.next_is(s) & ~task.is_none, ready, choose=(s,), under=lock, cite="#7872"),
            _consume("queue_ready", c.SPLITTING, c.POLLING,   done & waiting, queue, release=lock, cite="#7872"),
            _consume("end_split",   c.SPLITTING, c.POLLING,   done & ~waiting, [], release=lock, cite="#7872"),
        ]
    # fmt: on
    return rows
