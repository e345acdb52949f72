"""The environment: a network that loses and doubles messages, and processes that crash and come back.

Every fault has a budget. That messages overtake each other needs no fault, since the channels are bags; nor does a message
that is heard twice where its sender repeats it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import choice
from ...expr import Expr, Param
from ...machine import Machine, Row
from ...types import Index, Range, Record, Scalar
from ...variable import Channel, private

_row = partial(Row, actor="environment")


class Network(IntEnum):
    """The network."""

    CARRYING = 0


class Doubler(IntEnum):
    """Of the message in hand the doubler has yet to deliver ... copies."""

    NONE, TWO, ONE = range(3)


class Faults(IntEnum):
    """The operator of the processes."""

    WATCHING = 0


def lossy(channels: Sequence[Channel], losses: int) -> list[Machine]:
    """Loses that many messages of these channels (9.3)."""
    if not losses:
        return []
    left = private("losses_left", Range(0, losses), init=losses).cell()
    rows = []
    for sent in channels:
        message, chosen = _any_message(sent)
        where = _any_cell(sent)
        effects = [sent.cell(*where).receive(message), left.sub(1)]
        rows.append(_row(f"lose_{sent.name}", Network.CARRYING, None, left > 0, effects, choose=(*where, *chosen), cite="9.3"))
    return [Machine("network", Network, rows, environment=True, doc="loses messages")]


def doubling(channels: Sequence[Channel], request: Index, doublings: int) -> list[Machine]:
    """Takes a message out of the network and delivers it twice, whenever it likes; one message at a time."""
    if not doublings:
        return []
    d, q = Doubler, choice("request", request)
    left = private("doublings_left", Range(0, doublings), init=doublings).cell()
    of, which = private("doubled_request", request).cell(), private("doubled_channel", Range(0, len(channels) - 1)).cell()
    rows = []
    for number, sent in enumerate(channels):
        held = private(f"doubled_{sent.name}", sent.message).cell()
        message, chosen = _any_message(sent)
        take = [sent[q].receive(message), of.set(q), held.set(message), which.set(number), left.sub(1)]
        mine, deliver = which == number, sent[of].send(held)
        rows += [
            _row(f"take_{sent.name}", d.NONE, d.TWO, left > 0, take, choose=(q, *chosen)),
            _row(f"deliver_{sent.name}", d.TWO, d.ONE, mine, [deliver]),
            _row(f"deliver_{sent.name}", d.ONE, d.NONE, mine, [deliver, of.set(0), which.set(0), held.set(sent.message.default())]),
        ]
    return [Machine("doubler", d, rows, environment=True, doc="delivers a message twice")]


def _any_cell(sent: Channel) -> tuple[Param, ...]:
    """A choice of one of the channel's cells."""
    return tuple(choice(f"at_{index}", index) for index in sent.over)


def _any_message(sent: Channel) -> tuple[Any, tuple[Any, ...]]:
    """A message of the channel with every part chosen, and the choices."""
    if not isinstance(sent.message, Record):
        one = choice("message", sent.message)  # type: ignore[arg-type]
        return one, (one,)
    parts: dict[str, Expr] = {}
    for name, of in sent.message.fields:
        assert isinstance(of, Scalar)
        parts[name] = choice(name, of)
    return sent.message(**parts), tuple(parts.values())


@dataclass(frozen=True)
class Mortal:
    """Something that may crash `budget` times, and come back or stay dead.

    `dies`, `returns`: the effects; `lives`: whether it is alive; `choose`: which copy of it, where there are several.
    """

    name: str
    budget: int
    lives: Expr
    dies: Sequence[Any]
    returns: Sequence[Any]
    choose: tuple[Any, ...] = ()
    cite: str = ""


def crashes(mortals: Sequence[Mortal]) -> list[Machine]:
    """Kills them within their budgets, and starts them again."""
    rows: list[Row] = []
    for m in mortals:
        if not m.budget:
            continue
        left = private(f"{m.name}_crashes_left", Range(0, m.budget), init=m.budget).cell()
        step = partial(_row, source=Faults.WATCHING, destination=None, choose=m.choose, cite=m.cite)
        rows.append(step(f"crash_{m.name}", guard=(left > 0) & m.lives, effects=[left.sub(1), *m.dies]))
        rows.append(step(f"restart_{m.name}", guard=~m.lives, effects=m.returns))
    return [Machine("faults", Faults, rows, environment=True, doc="crash and restart")] if rows else []
