"""The kv signal's struct in the worker: the host writes it for the next forward while the stream still reads it (H-25).

Before a forward the host thread stores which rows it has and sets the layer to 0; per layer a callback on the stream sends what the
struct says and counts the layer up. On CUDA the host's copy of the lengths waits for the stream, which orders the two. With pinned
memory, overlapped scheduling, or a thread of its own that sends (XPU), late callbacks of one forward carry the next one's rows.

Ours: each forward has a struct of its own, handed to its callbacks.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial

from ...effect import when
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from ...properties import never, sometimes
from ...system import System
from ...types import BOOL, Range
from ...variable import Variable, channel, ghost, private, unlocked
from ..arguments import one_of

VARIANTS = ("overlapped", "waiting", "repaired")


class Host(IntEnum):
    """The host thread is ..."""

    PREPARING, MARKING, SETTING_LAYER, SETTING_ROWS, LAUNCHING = range(5)


class Stream(IntEnum):
    """The stream is ..."""

    IDLE, READING_LAYER, READING_ROWS, COUNTING, ENDING = range(5)


class _Struct:
    """The struct, or in ours one per forward, and what the two threads share beside it."""

    def __init__(self, variant: str, forwards: int, layers: int):
        self.variant, self.forwards, self.layers = variant, forwards, layers
        self.number, self.layer = Range(0, forwards - 1), Range(0, layers)
        over = self.number if variant == "repaired" else ()
        self.rows = unlocked("struct_rows", self.number, over=over, cite="2.4: kv_complete_signal_meta_data_per_query, no lock")
        self.layer_id = unlocked("struct_layer", self.layer, over=over, cite="2.4: layer_id_")
        self.launched = channel("launched", self.number, forwards, cite="the CUDA stream")
        self.busy = unlocked("stream_busy", BOOL, cite="what the pageable copy waits for")
        self.wrong, self.sent = ghost("wrong_signal", BOOL), ghost("signals_sent", Range(0, forwards * layers))

    def of(self, variable: Variable, forward: Expr) -> Expr:
        """The cell that a forward uses."""
        return variable[forward] if self.variant == "repaired" else variable.cell()


def build(variant: str = "repaired", forwards: int = 2, layers: int = 2) -> System:
    """A host that launches forwards, and a stream that runs their callbacks in order.

    Args:
        variant: overlapped, waiting (the host waits for the stream before it writes), repaired. forwards, layers: how many.

    Raises:
        DefinitionError: an unknown variant.
    """
    one_of(VARIANTS, variant=variant)
    s = _Struct(variant, forwards, layers)
    properties = [
        never("wrong_signal", s.wrong, about="S2: a signal says which forward and layer it comes from"),
        sometimes("some_run_signals_all", s.sent.cell() == forwards * layers, about="twin of wrong_signal"),
    ]
    return System("signal_struct", [_host(s), _stream(s)], properties, doc=__doc__ or "")


def _host(s: _Struct) -> Machine:
    h, step = Host, partial(Row, actor="worker")
    now = private("host_forward", Range(0, s.forwards))
    forward = now.cell()
    waits = s.variant == "waiting"
    free, begin = (~s.busy.cell(), h.MARKING) if waits else (TRUE, h.SETTING_LAYER)
    launch = [s.launched.send(forward), now.add(1)]
    # fmt: off
    rows = [
        step("wait_for_stream", h.PREPARING,     begin,           (forward < s.forwards) & free, [], cite="6.2 w1: the copy of the lengths"),
        step("set_layer",       h.SETTING_LAYER, h.SETTING_ROWS,  TRUE, [s.of(s.layer_id, forward).set(0)], cite="6.2 w1"),
        step("set_rows",        h.SETTING_ROWS,  h.LAUNCHING,     TRUE, [s.of(s.rows, forward).set(forward)], cite="6.2 w1"),
        step("launch",          h.LAUNCHING,     h.PREPARING,     TRUE, launch, cite="6.2 w2"),
    ]
    # fmt: on
    if waits:
        rows.append(step("mark_busy", h.MARKING, h.SETTING_LAYER, TRUE, [s.busy.set(True)], cite="the stream has work until it is through"))
    return Machine("host", h, rows, final=h.PREPARING, doc="The host: fills the struct, launches the forward.")


def _stream(s: _Struct) -> Machine:
    t, step = Stream, partial(Row, actor="worker")
    now, layer = private("stream_forward", s.number), private("stream_layer", s.layer)
    seen = private("seen_layer", s.layer)
    forward = now.cell()
    wrong = (s.of(s.rows, forward) != forward) | (seen.cell() != layer.cell())
    last = layer.cell() == s.layers - 1
    idle = [s.busy.set(False)] if s.variant == "waiting" else []
    count = [s.of(s.layer_id, forward).set(seen.cell() + 1)]
    # fmt: off
    rows = [
        step("begin_forward", t.IDLE,          t.READING_LAYER, TRUE, [now.set(s.launched.cell().head), s.launched.receive()], cite="6.2 w2"),
        step("read_layer",    t.READING_LAYER, t.READING_ROWS,  TRUE, [seen.set(s.of(s.layer_id, forward))], cite="6.2 w2"),
        step("send_signal",   t.READING_ROWS,  t.COUNTING,      TRUE, [when(wrong, s.wrong.set(True)), s.sent.add(1)], cite="6.2 w2"),
        step("count_layer",   t.COUNTING,      t.READING_LAYER, ~last & (seen.cell() < s.layers), [*count, layer.add(1)], cite="6.2 w2"),
        step("end_forward",   t.COUNTING,      t.ENDING,        last & (seen.cell() < s.layers), [*count, layer.set(0)], cite="6.2 w2"),
        step("rest",          t.ENDING,        t.IDLE,          TRUE, [now.set(0), seen.set(0), *idle], cite="6.2 w2"),
    ]
    # fmt: on
    return Machine("stream", t, rows, final=t.IDLE, doc="The stream: one callback a layer.")
