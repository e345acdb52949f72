"""The sender (MS[r]) with chunks, batches and errors, as published and ours.

Published: the head of the batch steers. A pass goes from the layer behind the head's last to the head's mark, and in each layer over
the requests of the batch; a request whose link has failed is skipped without being counted, so that its record stays behind
the others' and a later pass sends their layers again: an assertion fails and the batch is abandoned (H-15). A failed request is
reported at the end of the pass that reaches the last layer, whatever chunk that is (H-16), one by one, between barriers, with
the lock held.

Ours: items are of one request and cumulative; a layer is sent when its mark is there; a failure is kept in the task until the
last chunk; the report is per request and nobody meets.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from functools import partial

from ...combine import all_of, any_of, choice, if_else, me, passed
from ...effect import each, when
from ...expr import FALSE, TRUE, Expr
from ...machine import Machine, Row
from ...types import BOOL, Range
from ...variable import private
from .pipeline import Pipeline, member

_row = partial(Row, actor="messager")


class Sender(IntEnum):
    """The sending thread is ..."""

    WAITING, POPPED, MEETING, FINDING, LOOKING, WRITING, FINISHING, CLOSING, REPORTED, CLEANED, UNREGISTERED = range(11)


class _Batch:
    """The batch in hand: chunks by request, and what the records say of each."""

    def __init__(self, p: Pipeline):
        self.p, self.r, self.q = p, me(p.rank), choice("request", p.request)
        over = (p.rank, p.request)
        self.chunk = p.in_hand
        self.found = private("task_found", BOOL, over=over)
        self.layers = private("sent_layers", Range(0, p.layers), over=over)  # sended_layer_id + 1
        self.failed = private("task_failed", BOOL, over=over)
        self.status = private("task_over", BOOL, over=over)
        self.layer, self.last = private("pass_layer", p.layer, over=p.rank), private("pass_last", p.layer, over=p.rank)
        self.done = private("layer_done", BOOL, over=over)

    def has(self, q: Expr) -> Expr:
        """The request is in the batch."""
        return self.chunk[self.r, q] != 0

    def is_least(self, q: Expr, left: Callable[[Expr], Expr]) -> Expr:
        """The least request of the batch of which `left` says that it is to do."""
        return self.has(q) & left(q) & all_of(self.p.request, lambda i: (i >= q) | ~self.has(i) | ~left(i))

    def none_left(self, left: Callable[[Expr], Expr]) -> Expr:
        """Nothing is to do any more."""
        return all_of(self.p.request, lambda i: ~self.has(i) | ~left(i))

    def drop(self) -> list:
        """The batch is done with, or abandoned."""
        r = self.r
        gone = each(self.p.request, lambda i: (self.chunk[r, i].set(0), self.found[r, i].set(False), self.done[r, i].set(False)))
        return [gone, self.layer[r].set(0), self.last[r].set(0)]


def sender(p: Pipeline) -> Machine:
    """MS[r]: `prefill_layerwise_send_cache_thread` (6.4)."""
    b = _Batch(p)
    rows = _our_rows(p, b) if p.epoch.ours else [*_begin_rows(p, b), *_pass_rows(p, b), *_finish_rows(p, b)]
    return Machine("sender", Sender, rows, copies=p.rank, final=Sender.WAITING, doc="MS[r]: the layer-wise send (6.4).")


def _pop(p: Pipeline, b: _Batch) -> list:
    head = p.work[b.r].head
    return [each(p.request, lambda i: b.chunk[b.r, i].set(member(head, i))), p.work[b.r].receive()]


def _begin_rows(p: Pipeline, b: _Batch) -> list[Row]:
    """s1-s3: pop, meet, look every slot up."""
    r, q, s = b.r, b.q, Sender
    missing = b.is_least(q, lambda i: ~b.found[r, i])
    there = p.registered[r, q]
    rows = [
        _row("pop", s.WAITING, s.POPPED, TRUE, _pop(p, b), cite="6.4 s1"),
        _row("meet_to_begin", s.POPPED, s.MEETING, TRUE, [p.begin_met.arrive()], cite="6.4 s2"),
        _row("begin", s.MEETING, s.FINDING, passed(p.begin_met), [], cite="6.4 s2"),
        _row("find_task", s.FINDING, s.FINDING, missing & there, [b.found[r, q].set(True)], choose=(q,), cite="6.4 s3; E1: waits"),
        _row("find_all", s.FINDING, s.LOOKING, b.none_left(lambda i: ~b.found[r, i]), [], cite="6.4 s3"),
    ]
    if p.idle and not p.epoch.parks:
        none = all_of(p.request, lambda i: ~b.has(i))
        rows[2] = _row("begin", s.MEETING, s.FINDING, passed(p.begin_met) & ~none, [], cite="6.4 s2")
        rows.append(_row("fail_on_nothing", s.MEETING, s.WAITING, passed(p.begin_met) & none, [], cite="H-39: IndexError, caught"))
    if p.epoch.asserts:
        registered = any_of(p.request, lambda i: b.has(i) & b.found[r, i])
        lost = [*b.drop(), p.abandoned.set(True), when(registered, p.dragged.set(True))]
        rows.append(_row("assert_registered", s.FINDING, s.WAITING, missing & ~there, lost, choose=(q,), cite="6.4 s3: exception"))
    return rows


def _write(p: Pipeline, q: Expr, chunk: Expr, layer: Expr) -> tuple:
    """What is written counts when the worker had written it; the last layer completes the chunks up to this one."""
    r = me(p.rank)
    return when((layer == p.layers - 1) & (p.written[r, q] >= p.to_mark(chunk, layer)), p.sent[r, q].set(chunk))


def _pass_rows(p: Pipeline, b: _Batch) -> list[Row]:
    """s4: look at the head's mark; write the layers of the pass, request by request."""
    r, q, s = b.r, b.q, Sender
    head = b.has(q) & all_of(p.request, lambda i: (i >= q) | ~b.has(i))
    chunk, behind = b.chunk[r, q], b.layers[r, q]
    mark = p.progress[r, q]
    ahead = mark > p.to_mark(chunk, p.layers - 1)
    reached = if_else(ahead, p.layers, mark - (chunk - 1) * p.layers)
    may = head & (mark > (chunk - 1) * p.layers) & (reached > behind) & (behind < p.layers)
    look = [b.layer[r].set(behind), b.last[r].set(reached - 1)]
    next_one = b.is_least(q, lambda i: ~b.done[r, i])
    now, done = b.layer[r], b.done[r, q].set(True)
    in_step, skipped = b.layers[r, q] == now, b.failed[r, q]
    final = now == p.layers - 1
    complete = when(final & (chunk == p.chunks), b.status[r, q].set(True))
    count = b.layers[r, q].set(if_else(final & (chunk < p.chunks), 0, now + 1))
    link = ~p.broken[r] | (q >= p.victims)
    stalls = (r == 1) & (q < p.victims) if p.failure == "stall" else FALSE
    writes, fails = next_one & ~skipped & in_step & link & ~stalls, next_one & ~skipped & in_step & ~link
    over, undone = b.none_left(lambda i: ~b.done[r, i]), each(p.request, lambda i: b.done[r, i].set(False))
    step = partial(_row, choose=(q,))
    # fmt: off
    rows = [
        step("look",            s.LOOKING, s.WRITING,   may, look, under=p.messager[r], cite="6.4 s4"),
        step("write_layer",     s.WRITING, s.WRITING,   writes, [_write(p, q, chunk, now), count, complete, done], cite="6.4 s4, CH8"),
        _row("next_layer",      s.WRITING, s.WRITING,   over & (now < b.last[r]), [undone, now.add(1)], cite="6.4 s4"),
        _row("end_pass",        s.WRITING, s.LOOKING,   over & (now == b.last[r]) & ~final, [undone], cite="6.4 s4"),
        _row("end_last_pass",   s.WRITING, s.FINISHING, over & (now == b.last[r]) & final, [undone], cite="6.4 s4"),
    ]
    # fmt: on
    if p.request.size > 1 or p.failure in ("connect", "write"):
        lost = [*b.drop(), p.abandoned.set(True)]
        rows.append(step("assert_in_step", s.WRITING, s.WAITING, next_one & ~skipped & ~in_step, lost, cite="6.4 s4: exception, H-15"))
    if p.failure == "connect":
        rows.append(step("fail_to_connect", s.WRITING, s.WRITING, fails, [b.failed[r, q].set(True), done], cite="9.5"))
    if p.failure == "write":
        counted = [b.failed[r, q].set(True), count, complete, done]
        rows.append(step("fail_to_write", s.WRITING, s.WRITING, fails, counted, cite="9.5"))
    if p.failure in ("connect", "write"):
        rows.append(step("skip_failed", s.WRITING, s.WRITING, next_one & skipped, [done], cite="6.4 s4: without counting"))
    return rows


def _finish_rows(p: Pipeline, b: _Batch) -> list[Row]:
    """The finish phase: for every request that is over or has failed, meet, report, clear, delete; the lock is held."""
    r, q, s = b.r, b.q, Sender
    lock, met = p.messager[r], p.finish_met

    def ends(i: Expr) -> Expr:
        return b.status[r, i] | b.failed[r, i]

    turn, some = b.is_least(q, ends), any_of(p.request, lambda i: b.has(i) & ends(i))
    may_put = ~all_of(p.rank, lambda i: p.finished_by[i])
    put = [when(p.finished.is_none, p.finished.set(q)), p.finished_by[r].set(True), when(b.failed[r, q], p.error[q].set(True))]
    gone = [p.registered[r, q].set(False), b.status[r, q].set(False), b.failed[r, q].set(False), b.layers[r, q].set(0)]
    clear = [p.progress[r, q].set(0), p.pending[r, q].set(0), *([p.cache_info[r][q].set(False)] if p.epoch.discards else [])]
    alone = all_of(p.request, lambda i: (i == q) | ~b.has(i) | ~ends(i))
    step = partial(_row, choose=(q,))
    # fmt: off
    return [
        _row("enter_finish",  s.FINISHING, s.CLOSING,  some,  [met.arrive()], acquire=lock, cite="6.4 finish, H-17"),
        _row("finish_nothing", s.FINISHING, s.WAITING, ~some, b.drop(), cite="6.4 s4: a chunk before the last"),
        step("report",        s.CLOSING,   s.REPORTED, passed(met) & turn & may_put, put, under=p.finished_lock, cite="CH4"),
        step("clear",         s.REPORTED,  s.CLEANED,  turn,  clear, under=lock, cite="6.4 finish"),
        step("unregister",    s.CLEANED,   s.UNREGISTERED, turn & ~alone, gone, under=lock, cite="6.4 finish"),
        _row("meet_to_finish", s.UNREGISTERED, s.CLOSING, TRUE, [met.arrive()], cite="6.4 finish"),
        step("unregister_last", s.CLEANED, s.WAITING,  turn & alone, [*gone, *b.drop()], release=lock, cite="6.4 finish"),
    ]
    # fmt: on


def _our_rows(p: Pipeline, b: _Batch) -> list[Row]:
    """Ours: one request an item, chunk by chunk up to the item's; the failure kept; clean, then report."""
    r, q, s = b.r, b.q, Sender
    lock, chunk, before = p.messager[r], b.chunk[r, q], private("chunks_before", p.chunk, over=(p.rank, p.request))
    now, last = before[r, q] + 1, chunk == p.chunks
    layer = b.layer[r]
    due, final = p.progress[r, q] >= p.to_mark(now, layer), layer == p.layers - 1
    through, failed = final & (now == chunk), b.failed[r, q]
    link = ~p.broken[r] | (q >= p.victims)
    sent, rest = [before[r, q].set(now), layer.set(0)], [chunk.set(0)]
    written = p.progress[r, q] == p.mark.high
    clean = [p.registered[r, q].set(False), p.progress[r, q].set(0), before[r, q].set(0), layer.set(0)]
    report = [p.reported[q, r].set(True), when(failed, p.error[q].set(True)), failed.set(False), *rest]
    stalls = (r == 1) & (q < p.victims) if p.failure == "stall" else FALSE
    writes, wait = b.has(q) & due & ~failed & link & ~stalls, b.has(q)
    step, fails = partial(_row, choose=(q,)), s.CLOSING if p.epoch.early else s.WRITING
    # fmt: off
    rows = [
        _row("pop",             s.WAITING, s.WRITING,  TRUE, _pop(p, b), cite="6.4 s1"),
        step("write_layer",     s.WRITING, s.WRITING,  writes & ~final, [layer.add(1)], under=lock, cite="ours"),
        step("write_last_layer", s.WRITING, s.WRITING, writes & final & ~through, [_write(p, q, now, layer), *sent], under=lock, cite="ours"),
        step("write_last_layer", s.WRITING, s.WAITING, writes & through & ~last, [_write(p, q, now, layer), *sent, *rest], under=lock, cite="ours"),
        step("write_last_layer", s.WRITING, s.CLOSING, writes & through & last, [_write(p, q, now, layer)], under=lock, cite="ours"),
        step("clean",           s.CLOSING, s.CLEANED,  wait, clean, under=lock, cite="ours: before the report, H-06"),
        step("report",          s.CLEANED, s.WAITING,  wait, report, under=p.finished_lock, cite="ours: CH4 by request"),
    ]
    # fmt: on
    if p.failure in ("connect", "write"):
        skip = [chunk.set(0), layer.set(0)]
        rows += [
            step("fail_to_write", s.WRITING, fails, b.has(q) & due & ~failed & ~link, [failed.set(True)], under=lock, cite="9.5"),
            step("skip_item", s.WRITING, s.WAITING, b.has(q) & failed & ~last, skip, cite="ours: H-16"),
            step("skip_last_item", s.WRITING, s.CLOSING, b.has(q) & failed & last & written, [], under=lock, cite="ours: H-16"),
        ]
    return rows
