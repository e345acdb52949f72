"""The queue server: a process that holds the locked variables, barriers and channels, one section each.

One rule: between `open` and `close` a section belongs to one client; the others that ask for it wait in order. As in the
real server, a client that dies in between leaves its section held. `look` is a snapshot and waits for nobody who only
holds. The server ends when its last client has gone, so it outlives nobody.
"""

from __future__ import annotations

from collections import deque
from multiprocessing.connection import Connection, wait
from typing import Any

from protocol.types import Value

from .store import Key

Cells = dict[Key, Value]


class Section:
    """Cells under one lock: who holds them, who waits, and the cargo of the last message put."""

    def __init__(self, cells: Cells):
        self.cells = cells
        self.cargo: Any = None
        self.holder: Connection | None = None
        self.waiting: deque[Connection] = deque()

    def open(self, client: Connection) -> None:
        """Give the section to the client, now or when its turn comes."""
        if self.holder is not None:
            self.waiting.append(client)
            return
        self.holder = client
        answer(client, (self.cells, self.cargo))

    def close(self, writes: Cells, cargo: Any) -> None:
        """Commit, and give the section to the next in line."""
        self.cells.update(writes)
        if cargo is not None:
            self.cargo = cargo
        self.holder = None
        if self.waiting:
            self.open(self.waiting.popleft())


def answer(client: Connection, message: Any) -> None:
    """Send an answer; a client that has died needs none, and the supervisor hears of it elsewhere."""
    try:
        client.send(message)
    except (BrokenPipeError, ConnectionResetError):
        pass


def serve(sections: dict[str, Cells], clients: list[Connection]) -> None:
    """Answer until every client has gone."""
    held = {name: Section(cells) for name, cells in sections.items()}
    open_clients = list(clients)
    while open_clients:
        for client in wait(open_clients):
            assert isinstance(client, Connection)
            try:
                operation, name, *rest = client.recv()
            except (EOFError, ConnectionResetError):
                open_clients.remove(client)
                continue
            section = held[name]
            if operation == "look":
                answer(client, section.cells)
            elif operation == "open":
                section.open(client)
            else:
                section.close(*rest)


class Client:
    """One process's end of its connection to the server."""

    def __init__(self, connection: Connection):
        self._connection = connection

    def look(self, section: str) -> Cells:
        """A snapshot of the section's cells."""
        self._connection.send(("look", section))
        return self._connection.recv()

    def open(self, section: str) -> tuple[Cells, Any]:
        """Hold the section: its cells and cargo."""
        self._connection.send(("open", section))
        return self._connection.recv()

    def close(self, section: str, writes: Cells, cargo: Any) -> None:
        """Commit and let the section go; no answer, the connection keeps the order."""
        self._connection.send(("close", section, writes, cargo))
