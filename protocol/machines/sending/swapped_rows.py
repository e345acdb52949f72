"""A kv signal carries the worker's row, the messager reads it as the engine's slot (H-14).

The two are equal while no row is moved. When the worker condenses its rows (`swap_states`), the messager credits one request's
progress to another and sends layers that are not written yet. Ours: a signal names the request.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial

from ...combine import choice, me
from ...effect import each, when
from ...expr import TRUE
from ...machine import Machine, Row
from ...properties import never, sometimes
from ...system import System
from ...types import BOOL, Index, Range
from ...variable import Lock, channel, ghost, locked, private
from ..arguments import one_of

VARIANTS = ("row", "repaired")


class Worker(IntEnum):
    """The worker is ..."""

    CHOOSING, WRITTEN = range(2)


class Sender(IntEnum):
    """The sender of a request is ..."""

    SENDING = 0


def build(variant: str = "repaired", swaps: bool = True, requests: int = 2, layers: int = 2) -> System:
    """Requests written layer by layer in any order, their rows swapped once at any time.

    Args:
        variant: row, as published, or repaired. swaps: whether rows are moved at all. requests, layers: how many.

    Raises:
        DefinitionError: an unknown variant.
    """
    one_of(VARIANTS, variant=variant)
    request = Index("request", requests)
    lock = Lock("messager_lock", cite="engine_cache_task_thread_lock")
    signals = channel("kv_signals", request, 2, cite="CH6: here the one field that names the request")
    progress = locked("prefilled_layers", Range(0, layers), lock, over=request, cite="engine_cache_tasks")
    written, sent = ghost("layers_written", Range(0, layers), over=request), ghost("layers_sent", Range(0, layers), over=request)
    uncomputed = ghost("uncomputed_sent", BOOL)
    machines = [
        _worker(variant, swaps, request, layers, signals, written),
        _consumer(request, layers, signals, lock, progress),
        _sender(request, layers, lock, progress, written, sent, uncomputed),
    ]
    done = sent[0] == layers
    properties = [
        never("uncomputed_sent", uncomputed, about="S2, S3: a layer is sent after the worker wrote it, for that request"),
        sometimes("some_request_sent", done, about="twin of uncomputed_sent"),
    ]
    return System("swapped_rows", machines, properties, doc=__doc__ or "")


def _worker(variant, swaps, request, layers, signals, written) -> Machine:  # type: ignore[no-untyped-def]
    w, q = Worker, choice("request", request)
    row_of = private("row_of", request, over=request, init=lambda i: i)
    layer, hand = private("written_layers", Range(0, layers), over=request), private("written_request", request)
    write = [layer[q].add(1), hand.set(q), written[q].add(1)]
    named = hand.cell() if variant == "repaired" else row_of[hand.cell()]
    step = partial(Row, actor="worker")
    rows = [
        step("write_layer", w.CHOOSING, w.WRITTEN, layer[q] < layers, write, choose=(q,), cite="6.2"),
        step("signal_layer", w.WRITTEN, w.CHOOSING, TRUE, [signals.send(named)], cite="6.2 w2"),
    ]
    if swaps:
        swap = [row_of[0].set(row_of[1]), row_of[1].set(row_of[0])]
        rows.append(step("swap_states", w.CHOOSING, w.CHOOSING, row_of[0] == 0, swap, fair="none", cite="H-14"))
    return Machine("worker", w, rows, final=w.CHOOSING, doc="The worker: writes layers, signals, moves rows.")


def _consumer(request, layers, signals, lock, progress) -> Machine:  # type: ignore[no-untyped-def]
    head = signals.cell().head
    mark = [each(request, lambda i: when((head == i) & (progress[i] < layers), progress[i].add(1))), signals.receive()]
    row = Row("mark_progress", Sender.SENDING, Sender.SENDING, TRUE, mark, "messager", under=lock, cite="6.3 c4")
    return Machine("consumer", Sender, [row], final=Sender.SENDING, doc="MC: credits progress to the slot of the signal.")


def _sender(request, layers, lock, progress, written, sent, uncomputed) -> Machine:  # type: ignore[no-untyped-def]
    q = me(request)
    count = private("sent_layers", Range(0, layers), over=request)
    send = [count[q].add(1), sent[q].add(1), when(written[q] <= count[q], uncomputed.set(True))]
    row = Row("send_layer", Sender.SENDING, Sender.SENDING, progress[q] > count[q], send, "messager", under=lock, cite="6.4 s4")
    return Machine("sender", Sender, [row], copies=request, final=Sender.SENDING, doc="MS: sends what is marked.")
