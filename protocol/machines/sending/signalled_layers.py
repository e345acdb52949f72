"""How many layers does a forward signal, and how many does the messager wait for? (facts 6.2, section 10; open question Q5; H-39)

A forward sends one kv signal a layer and counts them in its struct, which it sets back before it begins; with MTP the draft model's
layer comes last and is counted on. Three places must agree on the number: what runs, what the struct's assertion allows
(`num_layers_`), and what the messager takes for the last layer (`num_layers` and `num_extra_cache_layer`). Where one is different the
request is never reported, reported before its last layer is written, or the worker dies of the assertion. And a dummy run does not set
the struct back, but its kernels signal all the same: they count on from the last layer, with the rows of the last forward.

Ours: the registration carries the number of layers that run, and the messager refuses a task of another number; a forward without
rows has no struct to signal with.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import Any

from ...effect import when
from ...expr import TRUE
from ...machine import Machine, Row
from ...properties import leads_to, never, sometimes
from ...system import System
from ...types import BOOL, Range, Record
from ...variable import channel, ghost, private
from ..arguments import one_of, within


class Worker(IntEnum):
    """The worker is ..."""

    IDLE, RUNNING, FAILED = range(3)


class Messager(IntEnum):
    """The messager is ... the request's signals."""

    WAITING, REPORTED, REFUSED = range(3)


@dataclass(frozen=True)
class Counts:
    """Who counts the draft model's layer.

    Args:
        runs: the worker runs it. allows: the struct's assertion does. awaits: the messager does.
        ours: the numbers are compared at the registration, and dummy runs signal nothing.
    """

    name: str
    runs: bool = False
    allows: bool = False
    awaits: bool = False
    ours: bool = False


VARIANTS = {
    v.name: v
    for v in (
        Counts("plain"),
        Counts("mtp", runs=True, allows=True, awaits=True),
        Counts("awaited_alone", awaits=True),
        Counts("not_awaited", runs=True, allows=True),
        Counts("not_allowed", runs=True, awaits=True),
        Counts("repaired", runs=True, allows=True, awaits=True, ours=True),
        Counts("repaired_awaited_alone", awaits=True, ours=True),
        Counts("repaired_not_awaited", runs=True, allows=True, ours=True),
    )
}


def build(variant: str = "repaired", layers: int = 2, dummies: int = 0) -> System:
    """One request, its forward of so many layers beside the draft's, and so many dummy runs.

    Raises:
        DefinitionError: an unknown variant, or a number out of bounds.
    """
    one_of(VARIANTS, variant=variant)
    within(1, 4, layers=layers)
    within(0, 2, dummies=dummies)
    v = VARIANTS[variant]
    run, allowed, awaited = layers + v.runs, layers + v.allows, layers + v.awaits
    layer = Range(0, layers + 1)
    signal = Record("Signal", layer=layer, rows=BOOL)
    signals = channel("kv_signals", signal, 2, cite="CH6: msgmnb holds two messages")
    written = ghost("layers_written", layer)
    early, nobody = ghost("reported_early", BOOL), ghost("signal_of_nobody", BOOL)
    worker = _worker(v, run, allowed, layer, dummies, signals, signal, written)
    messager = _messager(v, run, awaited, layer, signals, written, early, nobody)
    over = messager.at().is_in(Messager.REPORTED, Messager.REFUSED)
    properties = [
        leads_to("request_ends", written.cell() == run, over, about="L1: a request that is computed is reported, or was refused"),
        never("reported_early", early, about="S1: reported when all its layers are written"),
        never("worker_fails", worker.at() == Worker.FAILED, about="the struct's assertion holds"),
        never("signal_of_nobody", nobody, about="H-39, S2: a signal is of a forward with rows"),
        sometimes("some_request_reported", messager.at() == Messager.REPORTED, about="twin: the request is reported"),
        sometimes("some_task_refused", messager.at() == Messager.REFUSED, about="twin: the task is refused"),
    ]
    return System("signalled_layers", [worker, messager], properties, doc=__doc__ or "")


def _worker(v: Counts, run: int, allowed: int, layer: Range, dummies: int, signals: Any, signal: Record, written: Any) -> Machine:
    """The request's forward, and dummy runs before and after it."""
    w, step = Worker, partial(Row, actor="worker")
    left, counted, real = private("layers_left", layer), private("struct_layer", layer), private("forward_has_rows", BOOL)
    begun, dummies_left = private("forward_begun", BOOL), private("dummies_left", Range(0, dummies), init=dummies)
    end = (left == 0) & (counted <= allowed)
    send = [signals.send(signal(layer=counted, rows=real)), left.sub(1), when(real, written.add(1))]
    idle = [left.sub(1)]
    begin, dummy = [left.set(run), counted.set(0), real.set(True), begun.set(True)], [dummies_left.sub(1), left.set(run), real.set(False)]
    signalling = real.cell() if v.ours else TRUE
    # fmt: off
    rows = [
        step("begin_forward",  w.IDLE,    w.RUNNING, ~begun.cell(), begin, cite="6.2 w1"),
        step("signal_layer",   w.RUNNING, w.RUNNING, signalling & (left > 0) & (counted < allowed), [*send, counted.add(1)], cite="6.2 w2, w3"),
        step("end_forward",    w.RUNNING, w.IDLE,    end, [real.set(False)], cite="4.8"),
    ]
    if dummies:
        rows.append(step("begin_dummy", w.IDLE, w.RUNNING, (dummies_left > 0) & begun, dummy, cite="H-39: w1 is skipped", fair="none"))
    if dummies and v.ours:
        rows.append(step("run_layer", w.RUNNING, w.RUNNING, ~real & (left > 0), idle, cite="ours: nothing to signal with"))
    elif dummies or run > allowed:
        rows.append(step("fail_assertion", w.RUNNING, w.FAILED, (left > 0) & (counted >= allowed), send, cite="6.2 w2: assert layer_id_ <= L"))
    # fmt: on
    return Machine("worker", w, rows, final=(w.IDLE, w.FAILED) if any(r.event == "fail_assertion" for r in rows) else w.IDLE, doc="The worker.")


def _messager(v: Counts, run: int, awaited: int, layer: Range, signals: Any, written: Any, early: Any, nobody: Any) -> Machine:
    """The progress mark of the request's slot, and its last layer."""
    m, step, head = Messager, partial(Row, actor="messager"), signals.head
    note = [signals.receive(), when(~head.rows, nobody.set(True))]
    last = head.layer >= awaited - 1
    if v.ours and run != awaited:
        rows = [
            step("refuse_task", m.WAITING, m.REFUSED, TRUE, [], cite="ours: another number of layers"),
            step("drop_signal", m.REFUSED, m.REFUSED, TRUE, note, cite="ours: of a task that was refused"),
        ]
        return Machine("messager", m, rows, final=m.REFUSED, doc="MC and MS: the last layer that the messager waits for.")
    rows = [
        step("mark_progress", m.WAITING, m.WAITING, ~last, note, cite="6.3 c4"),
        step("report", m.WAITING, m.REPORTED, last, [*note, when(written.cell() < run, early.set(True))], cite="6.5"),
        step("mark_late", m.REPORTED, m.REPORTED, TRUE, note, cite="6.3: of a slot that was reported"),
    ]
    return Machine("messager", m, rows, final=(m.WAITING, m.REPORTED), doc="MC and MS: the last layer that the messager waits for.")
