"""When is what P has written seen by D's kernels? (CH8)

A write over the network card is complete for P when D's card has acknowledged it. The bytes may then still be on their way to the
GPU's memory, and the commit goes another way, through the processors: D's next step may read what is not there yet. A read
over the same connection is answered behind all writes before it (the *gdrcopy flush* option does one), so its answer says that they have
landed. Between processes of one machine (IPC) a copy is put into a stream and the call returns at once; `write_block_by_sync` waits for the
stream, once for a finished request, before it is reported.

What the repaired composition assumes of the card, that what it acknowledges D sees, is what the flush is for.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import any_of, choice
from ...expr import TRUE
from ...machine import Machine, Row
from ...properties import never, sometimes
from ...system import System
from ...types import BOOL, Index, Optional, Range
from ...variable import Variable, channel, ghost, private, unlocked
from ..arguments import one_of

VARIANTS = ("acknowledged", "flushed", "ipc", "ipc-unsynchronised")


class Sender(IntEnum):
    """The sending thread is ..."""

    WRITING, AWAITING, AWAITING_FLUSH, READY, REPORTED = range(5)


class Card(IntEnum):
    """D's card, or the stream of copies, is ..."""

    RUNNING, ACKNOWLEDGING, ANSWERING = range(3)


class Decoder(IntEnum):
    """D is ..."""

    WAITING, DECODED = range(2)


def build(variant: str = "flushed", layers: int = 2) -> System:
    """One request of so many layers, from its first write to D's first step.

    Args:
        variant: acknowledged, flushed (over the card); ipc, ipc-unsynchronised (a stream of copies). layers: KV layers.

    Raises:
        DefinitionError: an unknown variant.
    """
    one_of(VARIANTS, variant=variant)
    layer = Index("layer", layers)
    posted = channel("posted", Optional(layer), layers + 1, cite="CH8: the connection, or the stream; None is what waits for all before it")
    completions = channel("completions", Range(0, 0), 1, cite="CH8: the completion queue")
    waited = unlocked("flush_answered", BOOL, cite="CH8: the read has come back; write_block_by_sync")
    commit = channel("commit", Range(0, 0), 1, cite="CH7: decode, through the processors")
    landed, unseen = ghost("write_landed", BOOL, over=layer), ghost("decoded_unseen", BOOL)
    d = Decoder
    decode = [commit.receive(), unseen.set(any_of(layer, lambda i: ~landed[i]))]
    rows = [Row("decode", d.WAITING, d.DECODED, TRUE, decode, "decode", cite="4.11: D never verifies anything")]
    decoder = Machine("decoder", d, rows, final=d.DECODED, doc="D: its first step.")
    machines = [_sender(variant, layer, posted, completions, waited, commit), _card(variant, layer, posted, completions, waited, landed), decoder]
    properties = [
        never("decoded_unseen", unseen, about="CH-S1: what D decodes from is in its memory"),
        sometimes("some_request_decodes", decoder.at() == d.DECODED, about="twin"),
    ]
    return System("visibility", machines, properties, doc=__doc__ or "")


def _sender(variant: str, layer: Index, posted: Variable, completions: Variable, waited: Variable, commit: Variable) -> Machine:
    """MS[r]: writes layer after layer, waits as its transport does, and reports."""
    s, step = Sender, partial(Row, actor="messager")
    written = private("layers_written", Range(0, layer.size)).cell()
    copies = variant.startswith("ipc")
    ready = s.READY if variant in ("acknowledged", "ipc-unsynchronised") else s.AWAITING_FLUSH
    rows = []
    for i in layer:
        post: list[Any] = [posted.send(i), *([written.add(1)] if copies else [])]
        rows.append(step("post_write", s.WRITING, s.WRITING if copies else s.AWAITING, written == i, post, cite="CH8: write_cache"))
    whole = written == layer.size
    if not copies:
        rows.append(step("see_completion", s.AWAITING, s.WRITING, TRUE, [completions.receive(), written.add(1)], cite="CH8: polls the CQ"))
    if ready is s.READY:
        rows.append(step("end_writes", s.WRITING, s.READY, whole, [], cite="6.4"))
    else:
        rows.append(step("post_flush", s.WRITING, s.AWAITING_FLUSH, whole, [posted.send(None)], cite="CH8"))
        rows.append(step("see_flushed", s.AWAITING_FLUSH, s.READY, waited, [], cite="CH8"))
    rows.append(step("commit", s.READY, s.REPORTED, TRUE, [commit.send(0)], cite="CH4, CH7"))
    return Machine("sender", s, rows, final=s.REPORTED, doc="MS[r]: writes, and reports.")


def _card(variant: str, layer: Index, posted: Variable, completions: Variable, waited: Variable, landed: Variable) -> Machine:
    """The card or the stream: takes writes in order; each lands when it does."""
    c, step, i = Card, partial(Row, actor="network"), choice("layer", layer)
    in_flight = private("in_flight", BOOL, over=layer)
    head = posted.cell().head
    none_under_way = ~any_of(layer, lambda k: in_flight[k])
    then = c.RUNNING if variant.startswith("ipc") else c.ACKNOWLEDGING
    rows = [
        step("take_write", c.RUNNING, then, ~head.is_none, [in_flight[head.value].set(True), posted.receive()], cite="CH8"),
        step("land", (c.RUNNING, c.ACKNOWLEDGING), None, in_flight[i], [in_flight[i].set(False), landed[i].set(True)], choose=(i,), cite="CH8"),
        step("take_flush", c.RUNNING, c.ANSWERING, head.is_none & none_under_way, [posted.receive()], cite="CH8: behind all writes"),
        step("answer_flush", c.ANSWERING, c.RUNNING, TRUE, [waited.set(True)], cite="CH8"),
    ]
    if then is c.ACKNOWLEDGING:
        rows.append(step("acknowledge", c.ACKNOWLEDGING, c.RUNNING, TRUE, [completions.send(0)], cite="CH8: the remote card's acknowledgement"))
    return Machine("card", c, rows, final=c.RUNNING, doc="D's card, or the stream of copies.")
