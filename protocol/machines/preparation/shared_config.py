"""Asking D from several threads at once: one configuration dict and one socket that all of them use (H16, H-21).

`send_splitwise_tasks` writes the request's slot into the shared configuration (`rdma.current_id`), puts that dict into the message,
serialises it, and sends it as two frames through one DEALER socket per address. In E0 one thread does this for one request after
the other. In E1 each prepare thread does, and between the store and the load another may store its own slot; and two threads'
frames may follow one another on a socket that is not made for that. After #7771 a lock per address is held from the first frame to
the last, which mends the second and not the first. Ours: each message has a configuration of its own, and the lock is kept.

Here request n runs in slot n, and D reads frames until the last of a message: where the parts belong to different requests the
message cannot be deserialised, and is lost. Left out: closing and making sockets (H-21 b), and whole messages that are lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import partial

from ...combine import any_of, me
from ...effect import when
from ...expr import TRUE
from ...machine import Machine, Row
from ...properties import leads_to, never, sometimes
from ...system import System
from ...types import BOOL, Index, Optional, Record
from ...variable import Channel, Lock, Variable, channel, ghost, private, unlocked
from ..arguments import one_of, within

_row = partial(Row, actor="prefill")


class Asking(IntEnum):
    """The thread that asks for its request is ..."""

    IDLE, CONFIGURED, SERIALISED, HALF_SENT, DONE = range(5)


class Receiver(IntEnum):
    """D's receiver is ..."""

    WAITING, HALF_READ = range(2)


@dataclass(frozen=True)
class Variant:
    """How threads share the configuration and the socket.

    Args:
        single: one thread asks for all requests. own: each message has its own configuration.
        locks: a lock is held from the first frame of a message to the last (#7771).
    """

    name: str
    single: bool = False
    own: bool = False
    locks: bool = False


VARIANTS = {v.name: v for v in (Variant("E0", single=True), Variant("E1"), Variant("E1_7771", locks=True), Variant("repaired", own=True, locks=True))}


def build(variant: str = "repaired", requests: int = 2) -> System:
    """The asks of some requests, a thread each, except in E0.

    Raises:
        DefinitionError: an unknown variant, or a number of requests out of bounds.
    """
    one_of(VARIANTS, variant=variant)
    within(2, 4, requests=requests)
    v, request = VARIANTS[variant], Index("request", requests)
    parts = Record("Frame", request=request, last=BOOL, slot=request)
    wire = channel("dealer_socket", parts, 2 * requests, on_full="error", cite="facts 2.1: push_sockets; CH7")
    arrived, foreign, torn = ghost("ask_arrived", BOOL, over=request), ghost("foreign_slot", BOOL), ghost("torn_message", BOOL)
    slot = unlocked("shared_current_id", Optional(request), cite="facts 3.7: disaggregate_info cache_info, rdma.current_id")
    asking = _asking(v, request, slot, wire, parts)
    properties = [
        never("no_foreign_slot", foreign.cell(), about="a message carries the slot of its own request"),
        never("no_torn_message", torn.cell(), about="the frames of a message arrive together"),
        leads_to("every_ask_arrives", lambda q: ~arrived[q], lambda q: arrived[q], each=request, about="D gets every ask"),
        sometimes("some_ask_arrives", any_of(request, lambda q: arrived[q]), about="twin of the safety properties"),
    ]
    return System("shared_config", [asking, _receiver(request, wire, arrived, foreign, torn)], properties, doc=__doc__ or "")


def _asking(v: Variant, request: Index, slot: Variable, wire: Channel, parts: Record) -> Machine:
    q, a = me(request), Asking
    frame, mine = parts, private("message_slot", Optional(request), over=request)
    thread, sending = Lock("the_thread", cite="facts 1.1: P.F, one thread"), Lock("send_lock", cite="#7771: a lock per address")
    one, each = (thread, None) if v.single else (None, sending if v.locks else None)
    if v.own:
        rows = [_row("configure", a.IDLE, a.SERIALISED, TRUE, [mine[q].set(q)], cite="ours: a configuration a message")]
    else:
        rows = [
            _row("configure", a.IDLE, a.CONFIGURED, TRUE, [slot.set(q)], acquire=one, cite="3.7: current_id is overwritten; H16"),
            _row("serialise", a.CONFIGURED, a.SERIALISED, TRUE, [mine[q].set(slot)], under=one, cite="3.7; H16"),
        ]
    opening, closing = frame(request=q, last=False, slot=q), frame(request=q, last=True, slot=mine[q].value)
    rows += [
        _row("send_first", a.SERIALISED, a.HALF_SENT, TRUE, [wire.send(opening)], under=one, acquire=each, cite="CH7: several frames; H-21a"),
        _row("send_last", a.HALF_SENT, a.DONE, TRUE, [wire.send(closing), mine[q].set(None)], release=thread if v.single else each, cite="CH7"),
    ]
    return Machine("asking", a, rows, copies=request, final=a.DONE, doc="P.F: asks D for one request (4.4, 3.7).")


def _receiver(request: Index, wire: Channel, arrived: Variable, foreign: Variable, torn: Variable) -> Machine:
    r, head = Receiver, wire.cell().head
    first = private("first_frame", Optional(request))
    whole = first == head.request
    read = [
        wire.receive(),
        first.set(None),
        when(whole, arrived[head.request].set(True)),
        when(whole & (head.slot != head.request), foreign.set(True)),
        when(~whole, torn.set(True)),
    ]
    rows = [
        Row("read_first", r.WAITING, r.HALF_READ, ~head.last, [wire.receive(), first.set(head.request)], "decode", cite="CH7"),
        Row("read_torn", r.WAITING, r.WAITING, head.last, [wire.receive(), torn.set(True)], "decode", cite="CH7: deserialisation error, lost"),
        Row("read_last", r.HALF_READ, r.WAITING, head.last, read, "decode", cite="CH7"),
        Row("read_other", r.HALF_READ, r.HALF_READ, ~head.last, [wire.receive(), torn.set(True)], "decode", cite="CH7: part of no message"),
    ]
    return Machine("receiver", r, rows, final=r.WAITING, doc="D.RX: puts frames together (CH7).")
