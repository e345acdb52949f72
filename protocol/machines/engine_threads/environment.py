"""The client, the exit of the engine, and worker ranks that stop for good."""

from __future__ import annotations

from enum import IntEnum
from functools import partial

from ...combine import all_of, choice
from ...expr import TRUE
from ...machine import Machine, Row
from ...types import Range
from ...variable import private
from .engine import Engine, Message

_row = partial(Row, actor="environment")


class Client(IntEnum):
    """The client is ..."""

    TALKING = 0


class Exit(IntEnum):
    """The engine's exit has ..."""

    NOT_BEGUN, BEGUN, WORKERS_KILLED, POOL_CLOSED, CLOSED = range(5)


class Stall(IntEnum):
    """The ranks ..."""

    WORKING, STALLED = range(2)


def client(e: Engine) -> Machine:
    """Sends its late requests in order, and its commands in order, in any mix of the two."""
    request, command = e.request.size - e.late, len(e.commands)
    sent = private("requests_sent", Range(request, e.request.size), init=request)
    said = private("commands_sent", Range(0, command))
    about = choice("request", e.request)
    rows = []
    if e.late:
        message = e.message(kind=Message.REQUEST, request=sent)
        rows.append(_row("send_request", Client.TALKING, None, sent < e.request.size, [e.socket.send(message), sent.add(1)]))
    for n, name in enumerate(e.commands):
        chosen = about if name == "abort" else 0
        choose = (about,) if name == "abort" else ()
        say = [e.socket.send(e.message(kind=Message[name.upper()], request=chosen)), said.add(1)]
        rows.append(_row(f"say_{name}_{n}" if e.commands.count(name) > 1 else f"say_{name}", Client.TALKING, None, said == n, say, choose=choose))
    return Machine("client", Client, rows, environment=True, doc="who sends requests and commands")


def leaving(e: Engine) -> Machine:
    """`_exit_sub_services`: `running` is lowered, the workers killed, the pool closed, the queue's manager shut down; or the interpreter's exit."""
    x = Exit
    if e.exits == "interpreter":
        rows = [_row("close_pool", x.NOT_BEGUN, x.CLOSED, TRUE, [e.pool_closed.set(True)], cite="facts 3.4: interpreter exit")]
        return Machine("exit", x, rows, environment=True, doc="the interpreter exits, and closes the pool")
    rows = [
        _row("stop_running", x.NOT_BEGUN, x.BEGUN, TRUE, [e.running.set(False)], cite="facts 3.8: shutdown"),
        _row("kill_workers", x.BEGUN, x.WORKERS_KILLED, TRUE, [e.workers.crash(r) for r in e.rank], cite="facts 3.8: shutdown"),
        _row("close_pool", x.WORKERS_KILLED, x.POOL_CLOSED, TRUE, [e.pool_closed.set(True)], cite="5.3: shutdown"),
        _row("close_manager", x.POOL_CLOSED, x.CLOSED, TRUE, [e.manager_closed.set(True)], cite="facts 3.8: shutdown"),
    ]
    return Machine("exit", x, rows, environment=True, doc="the engine's shutdown")


def stalling(e: Engine) -> Machine:
    """The ranks stop for good: one hangs, or its process died, and the others wait for it."""
    stall = [e.workers.crash(r) for r in e.rank]
    rows = [_row("stall_ranks", Stall.WORKING, Stall.STALLED, all_of(e.rank, e.workers.is_alive), stall, cite="H27: a worker is stuck")]
    return Machine("stall", Stall, rows, environment=True, doc="a worker that stops for good")
