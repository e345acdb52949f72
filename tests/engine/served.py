"""A queue server in a thread, for tests of what its clients do."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from engine.runtime.directory import Directory, Span
from engine.runtime.queue_client import Client
from engine.runtime.queue_server import QueueServer
from engine.runtime.segment import SEGMENT_PREFIX, Segment
from engine.wire import Wire

Connect = Callable[[str], Client]
"""Makes a client of that name, which watches everything that it was promised."""


@contextmanager
def shared(directory: Directory) -> Iterator[Segment]:
    """The shared memory of one process, for as long as the block lasts; tests that run beside this one have names of their own."""
    made = Segment.create(directory, 1, f"{SEGMENT_PREFIX}test-{os.getpid()}")
    try:
        yield made
    finally:
        made.close()
        made.unlink()


@contextmanager
def serving(directory: Directory, segment: Segment, watched: Sequence[Span], prepare: Callable[[Client], None]) -> Iterator[Connect]:
    """Make clients of a server that ends with the block; `reader` has a place in the segment. `prepare`: done to each before it watches."""
    introductions, theirs = socket.socketpair()
    numbers = {"reader": 0}
    server = threading.Thread(target=QueueServer(directory, segment, theirs, numbers).serve)
    server.start()
    clients = []

    def connect(name: str) -> Client:
        ours, other = socket.socketpair()
        with other:
            socket.send_fds(introductions, [name.encode()], [other.fileno()])
        clients.append(Client(Wire(ours), directory, partial(segment.mail.__getitem__, numbers[name]) if name in numbers else None))
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
