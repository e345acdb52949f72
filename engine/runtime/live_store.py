"""The store of a live process: private cells here, registers in shared memory, everything else by the queue server.

One rule: a row is evaluated over what is known here, and what it read is checked when it commits. A row that touches nothing
but registers commits by its one plain load or store, as the medium promises; the queue server is then only told who is
to be woken. A process that may die while the run goes on, and is logged, has the server store its registers too, so
that the log knows of every row that others have seen.
"""

from __future__ import annotations

import pickle
from typing import Any, NamedTuple

from protocol.evaluate import Writes
from protocol.lower import Action
from protocol.types import Value, flat_index
from protocol.variable import Variable

from ..queue_server import Client, Commit
from .directory import Directory, Key
from .segment import Segment


class Stale(Exception):
    """What a row read is no longer so; evaluate it again."""


class Note(NamedTuple):
    """What a log says of a row beside its cells, and how many rows its copy has fired before."""

    system: str
    copy_name: str
    event: str
    values: dict[str, str]
    began: float
    fired: int


class LiveStore:
    """The cells of one system as one process sees them; the `Store` of a driver.

    Args:
        name: of the system. recorded: whether each row that others can see is to be known to the server before they can.
    """

    def __init__(self, name: str, directory: Directory, segment: Segment, client: Client, *, recorded: bool):
        self.name, self._directory, self._segment, self._client, self._recorded = name, directory, segment, client, recorded
        self._local: dict[tuple[int, int], Value] = {}
        self.reads: dict[Key, Any] = {}
        """Shared cells that the row has read, as they travel."""
        self.note: Note | None = None
        """What the log would say of the row that is being fired, beside its cells."""
        self.written: list[Key] = []
        """Shared cells that rows of this process have stored to since this was last emptied."""

    def begin(self, action: Action, *, firing: bool = True) -> None:
        """Start a row."""
        self.reads = {}

    def load(self, variable: Variable, where: tuple[Value, ...]) -> Value:
        """The value of one cell, loaded once a row: a `protocol.evaluate.Load`."""
        place, number = flat_index(variable.over, where), self._directory.number(variable)
        if number is None:
            return self._local.get((id(variable), place), variable.initial[place])
        key = (number, place)
        value = self.reads.get(key)
        if value is None:
            memory = self._directory.memory_place(key)
            self.reads[key] = value = self._client.value(key) if memory is None else self._segment.cells[memory]
        return self._directory.decode(number, value)

    def commit(self, writes: Writes, cargo: Any = None) -> Any:
        """Write everything at once; returns the cargo that the row found.

        Raises:
            Stale: nothing has been written; what is known is newer now.
        """
        shared = self.shared(writes)
        found = self._commit_shared(shared, cargo)
        self._local.update(((id(v), flat_index(v.over, where)), value) for v, where, value in writes if self._directory.number(v) is None)
        self.written += shared
        return found

    def shared(self, writes: Writes) -> dict[Key, Any]:
        """The shared cells among these, as they travel."""
        numbered = ((self._directory.number(v), flat_index(v.over, where), value) for v, where, value in writes)
        return {(n, place): self._directory.encode(n, value) for n, place, value in numbered if n is not None}

    def abandon(self) -> None:
        """Leave everything as it is."""
        self.reads = {}

    def _commit_shared(self, writes: dict[Key, Any], cargo: Any) -> Any:
        place = self._directory.memory_place
        served = any(place(key) is None for key in writes) or any(place(key) is None for key in self.reads)
        if not served and not (self._recorded and writes):
            changed = []
            for key, value in writes.items():
                at = place(key)
                assert at is not None
                if self._segment.cells[at] != value:
                    self._segment.cells[at] = value
                    changed.append(key)
            if changed:
                self._client.stored(tuple(changed))
            return None
        packed = None if cargo is None else pickle.dumps(cargo, pickle.HIGHEST_PROTOCOL)
        done, found = self._client.commit(Commit(self.reads, writes, packed, self.note))
        if not done:
            raise Stale
        return found
