"""A queue server in a thread, for tests of what its clients do."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from engine.queue_server import Client, QueueServer
from engine.runtime.directory import Directory, Span
from engine.runtime.segment import Segment
from engine.wire import Wire

Connect = Callable[[str], Client]
"""Makes a client of that name, which watches everything that it was promised."""


@contextmanager
def serving(directory: Directory, segment: Segment, watched: Sequence[Span], prepare: Callable[[Client], None]) -> Iterator[Connect]:
    """Make clients of a server that ends with the block. `prepare`: done to each before it watches."""
    introductions, theirs = socket.socketpair()
    server = threading.Thread(target=QueueServer(directory, segment, theirs).serve)
    server.start()
    clients = []

    def connect(name: str) -> Client:
        ours, other = socket.socketpair()
        with other:
            socket.send_fds(introductions, [name.encode()], [other.fileno()])
        clients.append(Client(Wire(ours), directory))
        prepare(clients[-1])
        clients[-1].watch(watched)
        return clients[-1]

    try:
        yield connect
    finally:
        for client in clients:
            client.close()
        introductions.close()
        server.join()
        theirs.close()
