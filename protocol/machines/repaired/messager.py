"""The messager of a rank: three threads, one lock, tables by request.

Registration, the consumption of signals and the sender share `messager_lock` and nothing else; no rank waits for another. What
the sender does is decided by *work items*, one per chunk or withdrawal of a request, in the order of the rank's own signals: an
item is queued when both its signal and its registration are there, whichever comes second (#7872, H-01). Items of one request
never overtake each other, so the withdrawal finds nothing left to do.

A rank reports a request once, at its last item: sent, failed or withdrawn. A failure is kept in the task until then, so that
a report always means: this rank sends nothing more for the request (H-13, H-16), and its worker has written the last layer. A
failed request must not be reported earlier than a sent one, or P would free its blocks under the forward.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial

from ...combine import all_of, any_of, choice, if_else, me
from ...effect import each, when
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from ...types import BOOL, Enum, Optional, Range
from .plane import Plane, Report, field
from .prefix_contents import is_gone

_row = partial(Row, actor="messager")


class Registrar(IntEnum):
    """The registering thread is ..."""

    POLLING, REGISTERING = range(2)


class Consumer(IntEnum):
    """The thread that consumes signals is ..."""

    POLLING, APPLYING = range(2)


class Sender(IntEnum):
    """The sending thread is ..."""

    WAITING, SENDING, WRITING, CLEANING, REPORTING = range(5)


def registrar(p: Plane) -> Machine:
    """MA[r]: takes cache tasks from the mailbox and registers them (6.1)."""
    r, s = me(p.rank), Registrar
    hand = p.private("registrar_hand", Optional(p.request), over=p.rank)
    key = p.private("registrar_key", p.key, over=p.rank)
    last = all_of(p.rank, lambda i: (i == r) | p.info_read[i])
    gone = when(last, p.info_request.set(None), p.info_key.set(None))
    fetch = [hand[r].set(p.info_request), key[r].set(p.info_key), p.info_read[r].set(True), gone]
    q = hand[r].value
    parked, lock = p.parked[r, q], p.messager[r]
    register = [p.registered[r, q].set(key[r]), hand[r].set(None), key[r].set(None)]
    forward = [p.items[r].send(p.item(request=q, task=parked)), parked.set(0)]
    # fmt: off
    rows = [
        _row("fetch_task",           s.POLLING,     s.REGISTERING, ~p.info_read[r], fetch, under=p.infos_lock, cite="6.1 a1"),
        _row("register",             s.REGISTERING, s.POLLING,     parked == 0, register,  under=lock, cite="6.1 a3; ours: under the lock"),
        _row("register_and_forward", s.REGISTERING, s.POLLING,     parked != 0, [*register, *forward], under=lock, cite="#7872; ours"),
    ]
    # fmt: on
    return Machine("registrar", s, rows, copies=p.each_rank, final=s.POLLING, process=p.messager_process, doc="MA[r]: registration (6.1).")


def consumer(p: Plane) -> Machine:
    """MC[r]: takes signals, moves progress marks, queues or parks work items (6.3)."""
    r, s, q = me(p.rank), Consumer, choice("request", p.request)
    seen = p.private("seen_task", p.task, over=(p.rank, p.request))
    layer = p.private("seen_layer", Range(0, p.layers - 1), over=p.rank)
    head, lock = p.signals[r].head, p.messager[r]
    receive = [
        each(p.request, lambda i: seen[r, i].set(field(head.tasks, i))),
        layer[r].set(head.layer),
        p.signals[r].receive(),
    ]
    first = layer[r] == 0

    def marked(i: Expr) -> tuple:
        return when(p.is_chunk(seen[r, i]) & known(i), p.progress[r, i].set(p.marks(p.chunk_of(seen[r, i]), layer[r])))

    def known(i: Expr) -> Expr:
        """Without parking, what is not registered leaves no trace."""
        return TRUE if p.rules.parks_early_signals else ~p.registered[r, i].is_none

    mark = [each(p.request, lambda i: (marked(i), seen[r, i].set(0))), layer[r].set(0)]
    turn = (seen[r, q] != 0) & all_of(p.request, lambda i: (i >= q) | (seen[r, i] == 0))
    alone = all_of(p.request, lambda i: (i == q) | (seen[r, i] == 0))
    there = ~p.registered[r, q].is_none
    queue = [marked(q), p.items[r].send(p.item(request=q, task=seen[r, q])), seen[r, q].set(0)]
    park = [marked(q), *([p.parked[r, q].set(seen[r, q])] if p.rules.parks_early_signals else []), seen[r, q].set(0)]
    rows = [
        _row("receive", s.POLLING, s.APPLYING, TRUE, receive, cite="6.3 c1"),
        _row("mark_progress", s.APPLYING, s.POLLING, ~first, mark, under=lock, cite="6.3 c4"),
    ]
    for destination, which in ((s.APPLYING, first & turn & ~alone), (s.POLLING, first & turn & alone)):
        rows += [
            _row("queue_item", s.APPLYING, destination, which & there, queue, choose=(q,), under=lock, cite="6.3 c4; #8034: singly"),
            _row("park_item", s.APPLYING, destination, which & ~there, park, choose=(q,), under=lock, cite="#7872"),
        ]
    return Machine("consumer", s, rows, copies=p.each_rank, final=s.POLLING, process=p.messager_process, doc="MC[r]: `consume_signals` (6.3).")


def sender(p: Plane) -> Machine:
    """MS[r]: writes layer after layer into D's memory, and reports at the last item (6.4).

    The lock is held to look at the request's marks, not while a layer is written: registration and signals go on meanwhile.
    """
    r, s = me(p.rank), Sender
    hand = p.private("sender_hand", Optional(p.request), over=p.rank)
    task = p.private("sender_task", p.task, over=p.rank)
    key = p.private("sender_key", p.key, over=p.rank)
    layer = p.private("sender_layer", Range(0, p.layers - 1), over=p.rank)
    outcome = p.private("sender_outcome", Enum(Report), over=p.rank)
    failed = p.private("task_failed", BOOL, over=(p.rank, p.request))
    chunks_sent = p.private("chunks_sent", Range(0, p.chunks), over=(p.rank, p.request))
    q, lock, item = hand[r].value, p.messager[r], p.items[r].head
    chunk = chunks_sent[r, q] + 1  # of what is sent now; an item that was parked may stand for several
    marks, mine = p.marks(chunk, layer[r]), p.chunk_of(task[r])
    computed = p.progress[r, q] >= marks if p.rules.sends_computed else TRUE
    written = p.progress[r, q] == mine * p.layers
    sends, last, through = p.is_chunk(task[r]), p.is_last(task[r]), chunk == mine
    final, opened = layer[r] == p.layers - 1, p.open_key[p.home(q), q]
    opens = ~opened.is_none & (opened == key[r]) if p.rules.fences_writes else TRUE
    own = ~p.decode_holds[q].is_none & (p.decode_holds[q].value == p.turn_of_key(key[r]))
    send = [
        key[r].set(None),
        when((p.computed[r, q] >= marks) & (p.sent[r, q] + 1 == marks) & own, p.sent[r, q].set(marks)),
        when(p.computed[r, q] < marks, p.uncomputed_sent.set(True)),
        when(is_gone(p, q, chunk), p.freed_read.set(True)),
        when(~own, p.foreign_written.set(True)),
        *(when(~own & _is_lent_to_others(p, q), p.others_written.set(True)) if p.instances else ()),
    ]
    rest = [hand[r].set(None), task[r].set(0)]
    verdict = if_else(sends, if_else(failed[r, q], Report.FAILED, Report.SENT), Report.WITHDRAWN)
    tables = (p.registered[r, q].set(None), failed[r, q].set(False), p.progress[r, q].set(0), chunks_sent[r, q].set(0))
    clean, done = [*tables, layer[r].set(0), task[r].set(0)], hand[r].set(None)
    report = [p.report[q, r].set(outcome[r]), outcome[r].set(Report.NOTHING)]
    begin = [hand[r].set(item.request), task[r].set(item.task), p.items[r].receive()]
    find, fail = [key[r].set(p.registered[r, q])], [key[r].set(None), failed[r, q].set(True)]
    next_chunk = [layer[r].set(0), chunks_sent[r, q].set(chunk)]
    ends = opens & final
    fails = s.SENDING if p.rules.reports_last else s.CLEANING
    # fmt: off
    rows = [
        _row("take_item",       s.WAITING,   s.SENDING,   TRUE, begin, cite="6.4 s1"),
        _row("find_layer",      s.SENDING,   s.WRITING,   sends & ~failed[r, q] & computed, find, under=lock, cite="6.4 s3"),
        _row("send_layer",      s.WRITING,   s.SENDING,   opens & ~final, [*send, layer[r].add(1)], cite="6.4 s4"),
        _row("send_last_layer", s.WRITING,   s.SENDING,   ends & ~through,        [*send, *next_chunk], cite="6.4 s4"),
        _row("send_last_layer", s.WRITING,   s.WAITING,   ends & through & ~last, [*send, *next_chunk, *rest], cite="6.4 s4"),
        _row("send_last_layer", s.WRITING,   s.CLEANING,  ends & through & last,  send, cite="6.4 s4"),
        _row("skip_item",       s.SENDING,   s.WAITING,   sends & failed[r, q] & ~last, [layer[r].set(0), *rest], cite="9.5; ours: kept"),
        _row("skip_last_item",  s.SENDING,   s.CLEANING,  sends & failed[r, q] & last & written, [], under=lock, cite="9.5"),
        _row("take_withdrawal", s.SENDING,   s.CLEANING,  task[r] == p.withdraw, [], cite="ours: drained"),
    ]
    cleans = partial(_row, "clean", under=lock, cite="6.4")
    reports = partial(_row, "report", under=p.finished_lock, cite="CH4; ours: by request")
    if p.rules.cleans_first:
        kept = outcome[r].set(verdict)
        rows += [cleans(s.CLEANING, s.REPORTING, TRUE, [kept, *clean]), reports(s.REPORTING, s.WAITING, TRUE, [*report, done])]
    else:
        said = [p.report[q, r].set(verdict)]
        rows += [reports(s.CLEANING, s.REPORTING, TRUE, said), cleans(s.REPORTING, s.WAITING, TRUE, [*clean, done])]
    if p.rules.fences_writes:
        rows.append(_row("find_revoked", s.WRITING, fails, ~opens, fail, cite="ours: D gave the reservation up, H-13"))
    if p.bounds.errors:
        may, mark = p.is_troubled(q), p.may_fail[q].set(True)
        rows.append(_row("fail_to_write", s.WRITING, fails, may, [*fail, mark], decided="observed", fair="none", cite="9.5, CH8"))
    # fmt: on
    return Machine("sender", s, rows, copies=p.each_rank, final=s.WAITING, process=p.messager_process, doc="MS[r]: the layer-wise send (6.4).")


def _is_lent_to_others(p: Plane, q: Expr) -> Expr:
    """The D of this request has room for requests of other prefill instances, in the place that this one had, if it had one."""
    return any_of(p.request, lambda i: ~p.serves(i) & (p.home(i) == p.home(q)) & ~p.decode_holds[i].is_none)
