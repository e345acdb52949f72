"""P's messager ranks in the repaired protocol: each order is written layer by layer into D's memory.

The engine keeps the orders, so a restarted rank finds what the engine still holds and writes it from the first layer; the
engine may also count a dead rank as stopped, because a process that has died writes nothing. A rank looks at its order
before the first layer and after the last, and between layers whenever it likes: it may go on writing after the order was
changed, and it does when its engine has died. Only the key stops it then.

One writing thread a request and rank: a single thread for all requests would take fewer interleavings.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import me
from ...machine import Machine, Row
from ...types import Range
from ...variable import private
from .terms import Order, Terms

_row = partial(Row, actor="messager")


class Writer(IntEnum):
    """The rank is ... with the request."""

    IDLE, WRITING, WRITTEN, REFUSED = range(4)


def writer(t: Terms) -> Machine:
    """MS[r]: one-sided writes (CH8)."""
    q, r, w, lock = me(t.request), me(t.rank), Writer, t.orders_lock
    over = (t.request, t.rank)
    place = private("write_place", t.place, over=over)[q, r]
    key = private("write_key", t.key, over=over)[q, r]
    attempt = private("write_attempt", t.attempt, over=over)[q, r]
    layer = private("write_layer", t.layer, over=over)[q, r]
    order = t.orders[q, r]
    take = [place.set(t.order_place[q]), key.set(t.order_key[q]), attempt.set(t.order_attempt[q])]
    forget = [place.set(0), key.set(0), attempt.set(0), layer.set(0)]
    # The card checks the key and writes in one step.
    opened = t.decode.is_alive() & (t.remote_key.cell() == key)
    written = t.writes(q, attempt, place, r, layer)
    last = layer == t.layer.high
    under = partial(_row, under=lock)
    # fmt: off
    rows = [
        under("take_order",   w.IDLE,    w.WRITING, order == Order.WRITE, take, cite="ours: CH2 by id; also after a restart, 9.6"),
        _row("write_layer",   w.WRITING, None,      opened & ~last, [*written, layer.add(1)], cite="CH8: one-sided"),
        _row("write_last",    w.WRITING, w.WRITTEN, opened & last,  written, cite="CH8"),
        _row("fail_write",    w.WRITING, w.REFUSED, ~opened, [t.refused.set(True)], cite="ours: fenced; or D is dead, 9.3"),
        under("report",       w.WRITTEN, w.IDLE,    order == Order.WRITE, [order.set(Order.WRITTEN), *forget], cite="ours: CH4 by id"),
        under("report_error", w.REFUSED, w.IDLE,    order == Order.WRITE, [order.set(Order.BROKEN), *forget], cite="9.5"),
        under("stop",         tuple(w),  w.IDLE,    order == Order.STOP,  [order.set(Order.STOPPED), *forget], cite="ours: drained"),
        under("drop_order",   (w.WRITING, w.WRITTEN, w.REFUSED), w.IDLE, order == Order.NONE, forget, cite="ours: the engine knows of none; 9.7"),
    ]
    # fmt: on
    if errors := t.bounds["write_errors"]:
        left = private("write_errors_left", Range(0, errors), over=over, init=errors)[q, r]
        broken = opened & (left > 0)
        fault: dict[str, Any] = {"decided": "observed", "fair": "none", "cite": "9.5: connect or write error"}
        rows.append(_row("break_write", w.WRITING, w.REFUSED, broken, [left.sub(1)], **fault))
    return Machine("writer", w, rows, copies=(t.request, t.rank), process=t.messager, final=w.IDLE, doc="MS[r] of the repaired protocol")
