"""The environment: clients, a network that loses and doubles messages, and processes that crash and come back.

Every fault has a budget. That messages overtake each other needs no fault, since the channels are bags; nor does a message
that is heard twice where its sender repeats it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import choice, me
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from ...types import Index, Range, Record, Scalar
from ...variable import Channel, private
from .terms import Terms

_row = partial(Row, actor="environment")


class Posting(IntEnum):
    """The router has posted to ..."""

    NOBODY, PREFILL, BOTH = range(3)


class Network(IntEnum):
    """The network."""

    CARRYING = 0


class Doubler(IntEnum):
    """Of the message in hand the doubler has yet to deliver ... copies."""

    NONE, TWO, ONE = range(3)


class Faults(IntEnum):
    """The operator of the processes."""

    WATCHING = 0


def client(t: Terms) -> Machine:
    """R: the router posts each request to P and to D (1.3); it never tires, so its rows are fair."""
    q, c = me(t.request), Posting
    rows = [
        Row("post_to_prefill", c.NOBODY, c.PREFILL, TRUE, [t.prefill_posts[q].send(True)], "router", fair="weak", cite="1.3"),
        Row("post_to_decode", c.PREFILL, c.BOTH, TRUE, [t.decode_posts[q].send(True)], "router", fair="weak", cite="1.3"),
    ]
    return Machine("client", c, rows, copies=t.request, environment=True, doc="the router, on behalf of the clients")


def lossy(channels: Sequence[Channel], request: Index, losses: int) -> list[Machine]:
    """Loses that many messages of these channels (9.3)."""
    if not losses:
        return []
    left, q = private("losses_left", Range(0, losses), init=losses).cell(), choice("request", request)
    rows = []
    for sent in channels:
        message, chosen = _any_message(sent)
        effects = [sent[q].receive(message), left.sub(1)]
        rows.append(_row(f"lose_{sent.name}", Network.CARRYING, None, left > 0, effects, choose=(q, *chosen), cite="9.3"))
    return [Machine("network", Network, rows, environment=True, doc="loses messages")]


def doubling(sent: Channel, request: Index, doublings: int) -> list[Machine]:
    """Takes a message of that channel out of the network, and delivers it twice, whenever it likes."""
    if not doublings:
        return []
    d, q = Doubler, choice("request", request)
    left = private(f"{sent.name}_doublings_left", Range(0, doublings), init=doublings).cell()
    of = private(f"{sent.name}_doubled_of", request).cell()
    held = private(f"{sent.name}_doubled", sent.message).cell()
    message, chosen = _any_message(sent)
    rows = [
        _row("take", d.NONE, d.TWO, left > 0, [sent[q].receive(message), of.set(q), held.set(message), left.sub(1)], choose=(q, *chosen)),
        _row("deliver", d.TWO, d.ONE, TRUE, [sent[of].send(held)]),
        _row("deliver", d.ONE, d.NONE, TRUE, [sent[of].send(held)]),
    ]
    return [Machine(f"{sent.name}_doubler", d, rows, environment=True, doc="delivers a message twice")]


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


def crashes(t: Terms) -> list[Machine]:
    """P's engine, D, or one messager rank dies, and may come back.

    P's engine dies alone: its messager ranks go on writing what they were ordered, which is the worst case.
    """
    rows, r = [], choice("rank", t.rank)
    budgets = {n: private(f"{n}_left", Range(0, t.bounds[n]), init=t.bounds[n]).cell() for n in ("prefill_crashes", "decode_crashes", "rank_crashes")}
    if t.bounds["prefill_crashes"]:
        left = budgets["prefill_crashes"]
        rows += [
            _row("crash_prefill", Faults.WATCHING, None, (left > 0) & t.prefill.is_alive(), [t.prefill.crash(), left.sub(1)], cite="9.7"),
            _row("restart_prefill", Faults.WATCHING, None, ~t.prefill.is_alive(), [t.prefill.restart(), t.generation_now.cell().add(1)],
                 cite="ours: under the next generation"),
        ]  # fmt: skip
    if t.bounds["decode_crashes"]:
        left = budgets["decode_crashes"]
        lost = [t.decode.crash(), left.sub(1), t.remote_key.cell().set(None), *t.breaks_connections(), *(t.lease[p].set(None) for p in t.place)]
        rows += [
            _row("crash_decode", Faults.WATCHING, None, (left > 0) & t.decode.is_alive(), lost, cite="9.3"),
            _row("restart_decode", Faults.WATCHING, None, ~t.decode.is_alive(), [t.decode.restart()], cite="ours"),
        ]
    if t.bounds["rank_crashes"]:
        left = budgets["rank_crashes"]
        rows += [
            _row("crash_rank", Faults.WATCHING, None, (left > 0) & t.messager.is_alive(r), [t.messager.crash(r), left.sub(1)], choose=(r,), cite="9.6"),
            _row("restart_rank", Faults.WATCHING, None, ~t.messager.is_alive(r), [t.messager.restart(r)], choose=(r,), cite="ours: rejoins"),
        ]
    return [Machine("faults", Faults, rows, environment=True, doc="crash and restart")] if rows else []
