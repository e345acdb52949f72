"""Running the server: its socket, its signals, its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn
from fastapi import FastAPI

from protocol import DefinitionError

from ..deployment import Deployment
from ..generation import Service
from ..model.named import config_of
from ..runtime.interrupts import STOPPING
from ..vocabulary import vocabulary_of
from .app import Server, make_app

GRACE_S = 5.0
"""What a signal leaves to the answers under way; then they are cut off. A second signal cuts them off at once."""
UNREAD_S = 5
"""What is left to clients after that to read their ends; then connections are closed."""
KEPT_S = 75
"""After so long without a request a connection is closed, as nginx has it: clients have let go of it before, or a request would meet the end."""
BACKLOG = 2048
"""Connections that may wait to be accepted, as uvicorn has it."""


class Uvicorn(uvicorn.Server):
    """Uvicorn, with the signals left to us: it would drop every connection at a second Ctrl-C, and raise the signals again at its end."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing."""
        yield


def open_socket(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 is any free one.

    Raises:
        DefinitionError: the address cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # What it accepts inherits this. asyncio would set it on sockets of its own only, and every event would wait 40 ms for an ACK.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
        return listener
    except OSError as error:
        raise DefinitionError(f"{host}:{port}: {error.strerror or error}; choose another --host or --port") from error


def serve_deployment(wanted: Deployment, host: str, port: int, *, seed: int, control: bool = False, say: Callable[[str], None]) -> None:
    """Start an engine and serve it until SIGINT or SIGTERM.

    Args:
        wanted: the engine. host, port: where; port 0 is any free one. seed: see `Server`. control: see `make_app`.
        say: told the address once it serves.

    Raises:
        DefinitionError: a bad argument, or the address cannot be had. EngineError: the engine does not start.
    """
    config = config_of(wanted.model)
    vocabulary = vocabulary_of(config)
    with open_socket(host, port) as listener, interruptible():
        service = wanted.start()
        try:
            address = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
            app = make_app(Server(service, config, vocabulary, seed=seed), control=control)
            serve(app, service, listener, lambda: say(f"{wanted} serves at {address}/v1; Ctrl-C ends it"))
        finally:
            for number in STOPPING:
                signal.signal(number, signal.SIG_IGN)  # an engine of many processes is not left half closed
            service.close()


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """While an engine starts, a signal to stop is an exception, which lets it close what it has begun."""

    def stop(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    handlers = {number: signal.signal(number, stop) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def uvicorn_for(app: FastAPI) -> Uvicorn:
    """The HTTP server of an app."""
    # asyncio warns of pieces that are written to a client who has gone, before we hear that he has: that happens, and is no news.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    end_s = int(GRACE_S) + UNREAD_S
    return Uvicorn(uvicorn.Config(app, log_level="warning", access_log=False, timeout_keep_alive=KEPT_S, timeout_graceful_shutdown=end_s))


def serve(app: FastAPI, service: Service, listener: socket.socket, started: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM and the answers under way have ended; `started` is called when connections are accepted."""

    async def run() -> None:
        server, loop = uvicorn_for(app), asyncio.get_running_loop()

        def cut_off() -> None:
            loop.run_in_executor(None, service.close)  # every answer then ends as aborted, and uvicorn with the last of them

        def stop() -> None:
            if server.should_exit:
                cut_off()
            else:
                server.should_exit = True
                loop.call_later(GRACE_S, cut_off)

        for number in STOPPING:
            loop.add_signal_handler(number, stop)
        started()
        await server.serve(sockets=[listener])

    asyncio.run(run())
