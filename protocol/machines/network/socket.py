"""P's socket to one D: two threads send messages of two frames each, a third may close the connection on an error (H-21 a, b).

The connections live in a dictionary without a lock until #7771, which takes a lock per address for the whole of look-up and
send. A frame into a closed connection raises, and the exception is logged: the message is lost (CH7). D assembles what
comes from one connection; a tail behind another message's head does not deserialise, and both are lost.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import all_of, me
from ...effect import when
from ...expr import TRUE
from ...machine import Machine, Row
from ...properties import Property, never, sometimes
from ...system import System
from ...types import BOOL, Enum, Index, Optional, Range, Record
from ...variable import Lock, channel, ghost, private, world
from ..arguments import within

_row = partial(Row, actor="prefill")


class Frame(IntEnum):
    """A message is its head and its tail."""

    HEAD, TAIL = range(2)


class Sender(IntEnum):
    """The sending thread is ... with its message."""

    READY, CONNECTED, HALFWAY, SENT, LOST = range(5)


class Receiver(IntEnum):
    """D's receiver."""

    READING = 0


class Closer(IntEnum):
    """The thread that met an error."""

    WATCHING = 0


def build(locked: bool = True, senders: int = 2, closes: int = 0) -> System:
    """The socket at these bounds.

    Args:
        locked: a thread holds the address's lock from the look-up to the last frame, and so does who closes (#7771).
        senders: threads with one message each. closes: how often the connection is closed.

    Raises:
        DefinitionError: a parameter outside its choices.
    """
    within(1, 4, senders=senders)
    within(0, 4, closes=closes)
    thread = Index("sender", senders)
    connection = world("connection", Range(0, closes))
    frame = Record("Frame", part=Enum(Frame), sender=thread, connection=Range(0, closes))
    wire = channel("wire", frame, 2 * senders, cite="CH7: a multi-frame message since the buffers of pickle 5")
    lock = Lock("send_lock", cite="#7771")
    broken, delivered, lost = ghost("frames_broken", BOOL), ghost("delivered", BOOL, over=thread), ghost("cut_off", BOOL)
    machines = [_sender(locked, lock, thread, connection, frame, wire, lost), _receiver(thread, frame, wire, broken, delivered)]
    if closes:
        guarded: dict[str, Any] = {"under": lock} if locked else {}
        row = Row("close", Closer.WATCHING, None, connection < closes, [connection.cell().add(1)], "environment", cite="H-21 b", **guarded)
        machines.append(Machine("closer", Closer, [row], environment=True, doc="_close_connection, after an error of its own"))
    properties: list[Property] = [
        never("frames_interleaved", broken.cell(), about="D can read every message that it gets"),
        never("message_cut_off", lost.cell(), about="no connection is closed between the frames of a message"),
        sometimes("some_all_delivered", all_of(thread, lambda s: delivered[s]), about="twin of the two"),
    ]
    return System("socket_locked" if locked else "socket_shared", machines, properties, doc=__doc__ or "")


def _sender(locked: bool, lock: Lock, thread: Index, connection: Any, frame: Record, wire: Any, lost: Any) -> Machine:
    """`_send_message`: look the connection up, send frame by frame; an exception is logged."""
    i, s = me(thread), Sender
    mine = private("connection_in_hand", connection.type, over=thread)[i]
    lives = mine == connection

    def send(part: Frame) -> list[Any]:
        return [wire.cell().send(frame(part=part, sender=i, connection=mine))]

    take: dict[str, Any]
    drop: dict[str, Any]
    take, drop = ({"acquire": lock}, {"release": lock}) if locked else ({}, {})
    # fmt: off
    rows = [
        _row("connect",   s.READY,     s.CONNECTED, TRUE,   [mine.set(connection)], cite="CH7: created lazily", **take),
        _row("send_head", s.CONNECTED, s.HALFWAY,   lives,  send(Frame.HEAD), cite="CH7"),
        _row("send_tail", s.HALFWAY,   s.SENT,      lives,  send(Frame.TAIL), cite="H-21 a", **drop),
        _row("fail_head", s.CONNECTED, s.LOST,      ~lives, [lost.cell().set(True)], cite="H-21 b: logged", **drop),
        _row("fail_tail", s.HALFWAY,   s.LOST,      ~lives, [lost.cell().set(True)], cite="H-21 b: logged", **drop),
    ]
    # fmt: on
    return Machine("sender", s, rows, copies=thread, final=(s.SENT, s.LOST) if not locked else s.SENT, doc="a thread of P that sends one message")


def _receiver(thread: Index, frame: Record, wire: Any, broken: Any, delivered: Any) -> Machine:
    """ROUTER: a head opens a message, the tail of the same message of the same connection completes it."""
    head = wire.cell().head
    open_of, open_on = private("open_message", Optional(thread)).cell(), private("open_connection", frame.fields[2][1]).cell()
    tail, same = head.part == Frame.TAIL, (open_of == head.sender) & (open_on == head.connection)
    between = ~open_of.is_none & (open_on == head.connection) & ~(tail & same)
    effects = [
        wire.cell().receive(),
        when(~tail, open_of.set(head.sender), open_on.set(head.connection)),
        when(tail, open_of.set(None)),
        when(between, broken.cell().set(True)),
        when(tail & same, delivered[head.sender].set(True)),
    ]
    return Machine("receiver", Receiver, [Row("read_frame", Receiver.READING, None, TRUE, effects, "decode", cite="CH7")], final=Receiver.READING)
