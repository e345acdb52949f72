"""P's messager as published: registration of the two halves of a task (MA), and the layer-wise write (MS).

A record is several stores into dictionaries without a lock, in the order of 6.1 a3, and MS reads the record anew for each
layer: what MA merges into a task that is being sent is seen in the middle of it. The barriers, the pairing of ranks and the kv
signals are the subject of `hand_over`; here a layer may be written at any time after the request was added.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import if_else, me
from ...effect import when
from ...expr import TRUE
from ...machine import Machine, Row
from ...types import Range
from ...variable import private
from .wires import Half, Report, Wires

_row = partial(Row, actor="messager")


class Registrar(IntEnum):
    """The registering thread is ..."""

    POLLING, FETCHED, FIRST, MERGING, RESETTING, PUBLISHING = range(6)


class Sender(IntEnum):
    """The sending thread is ... with the request."""

    IDLE, READY, MARKED, AIMED, WRITTEN, CHECKED, SENT, FAILED, REPORTED, CLEANED = range(10)


def registrar(w: Wires) -> Machine:
    """MA[r]: `_add_cache_task_thread` (6.1)."""
    r, a = me(w.rank), Registrar
    info = private("fetched", w.info, over=w.rank)[r]
    found = private("found_task", w.task, over=w.rank)[r]
    record = w.cache_info[r, info.request]
    unread, content = ~w.infos_read[r], w.infos.cell()
    fetch = [info.set(content), w.infos_read[r].set(True)]
    clear = [info.half.set(Half.NONE), info.request.set(0), info.place.set(0), found.half.set(Half.NONE), found.place.set(0)]
    # P's half carries no place; the place of a merged task is the one that D's half brought.
    place = if_else(info.half == Half.DECODE, info.place, found.place)
    both = (found.half == Half.BOTH) | (found.half != info.half)
    is_first = record.half == Half.NONE
    entry = w.entry[info.request]
    stale = ~entry.is_none & (entry != place) & (info.half == Half.PREFILL)
    merge = [record.set(w.task(half=Half.BOTH, place=place)), when(stale, w.stale_merged.set(True))]
    sent, published = w.sent_layers[r, info.request], w.registered[r, info.request]
    # fmt: off
    rows = [
        _row("fetch",        a.POLLING,    a.FETCHED,    unread, fetch, under=w.infos_lock, cite="6.1 a1, CH2"),
        _row("find_first",   a.FETCHED,    a.FIRST,      is_first, [], cite="6.1 a3"),
        _row("find_task",    a.FETCHED,    a.MERGING,    ~is_first, [found.set(record)], cite="6.1 a3"),
        _row("store_half",   a.FIRST,      a.POLLING,    TRUE, [record.set(w.task(half=info.half, place=info.place)), *clear], cite="6.1 a3"),
        _row("merge",        a.MERGING,    a.RESETTING,  both, merge, cite="6.1 a3"),
        _row("fail_merge",   a.MERGING,    a.POLLING,    ~both, clear, cite="6.1 a3: assertion, H-19"),
        _row("reset_layers", a.RESETTING,  a.PUBLISHING, TRUE, [sent.set(0)], cite="6.1 a3: sended_layer_id := -1, H-12"),
        _row("publish",      a.PUBLISHING, a.POLLING,    TRUE, [published.set(True), *clear], cite="6.1 a3"),
    ]
    # fmt: on
    return Machine("registrar", a, rows, copies=w.rank, process=w.messager, final=a.POLLING, doc="MA[r]: registration of cache tasks (6.1)")


def sender(w: Wires) -> Machine:
    """MS[r]: `prefill_layerwise_send_cache_thread`; one copy a request (6.4)."""
    r, q, s = me(w.rank), me(w.request), Sender
    layers = w.bounds["layers"]
    over = (w.rank, w.request)
    layer = private("layer_in_hand", Range(0, layers - 1), over=over)[r, q]
    mark, registered, record, order, report = w.sent_layers[r, q], w.registered[r, q], w.cache_info[r, q], w.to_compute[q, r], w.reports[q, r]
    written = w.writes(q, record.place, r, layer)
    reached, last, idle = w.decode.is_alive(), layer == layers - 1, [layer.set(0)]
    # fmt: off
    rows = [
        _row("take_signal",    s.IDLE,     s.READY,    order, [order.set(False)], under=w.running_lock, cite="6.4 s1"),
        _row("find_task",      s.READY,    s.MARKED,   registered, [], cite="6.4 s3; E1: waits"),
        _row("read_mark",      s.MARKED,   s.AIMED,    mark < layers, [layer.set(mark)], cite="6.4 s4: sended_layer_id"),
        _row("write",          s.AIMED,    s.WRITTEN,  reached, written, cite="6.4 s4, CH8: no owner check, H-13"),
        _row("fail_write",     s.AIMED,    s.FAILED,   ~reached, [], cite="9.5: status error"),
        _row("check_mark",     s.WRITTEN,  s.CHECKED,  mark == layer, [], cite="6.4 s4: assert"),
        _row("abandon",        s.WRITTEN,  s.IDLE,     mark != layer, idle, cite="6.4 s4: assertion; batch abandoned"),
        _row("advance",        s.CHECKED,  s.MARKED,   ~last, [mark.set(layer + 1)], cite="6.4 s4"),
        _row("advance_last",   s.CHECKED,  s.SENT,     last,  [mark.set(layer + 1)], cite="6.4 s4"),
        _row("report",         s.SENT,     s.REPORTED, TRUE, [report.set(Report.SENT), *idle], under=w.reports_lock, cite="6.4 finish, CH4"),
        _row("report_error",   s.FAILED,   s.REPORTED, TRUE, [report.set(Report.ERROR), *idle], under=w.reports_lock, cite="9.5, CH4"),
        _row("delete_info",    s.REPORTED, s.CLEANED,  TRUE, [record.set(w.task(half=Half.NONE, place=0))], cite="6.4 finish"),
        _row("unregister",     s.CLEANED,  s.IDLE,     TRUE, [registered.set(False)], cite="6.4 finish"),
    ]
    # fmt: on
    if errors := w.bounds["write_errors"]:
        left = private("write_errors_left", Range(0, errors), over=over, init=errors)[r, q]
        broken = reached & (left > 0)
        fault: dict[str, Any] = {"decided": "observed", "fair": "none", "cite": "9.5: connect or write error"}
        rows.append(_row("break_write", s.AIMED, s.FAILED, broken, [left.sub(1)], **fault))
    return Machine("sender", s, rows, copies=over, process=w.messager, final=s.IDLE, doc="MS[r]: layer-wise sending (6.4)")
