"""The store of a live process: private cells here, registers in shared memory, everything else by the queue server.

One rule: a row is evaluated over what is known here, and what it read is checked when it commits. A row that touches nothing
but registers commits by its one plain load or store, as the medium promises; the queue server is then only told who is
to be woken. The log of a process that may die while the run goes on is to know of every row that others have seen: such a process leaves an
intent before it stores to a register to which nobody else stores, and has the server store to any other.

A row that only reads the server's cells, and stores to none but cells at home here, commits here as well. Each message from the server
brings all changes up to the moment at which it was sent, so the row read what was so then; nobody else sees what it
stores; and since that moment this process has loaded no register from which it could have learnt of something later. So the row belongs
at that moment, behind the process's earlier rows: an order of rows that the model has. (Own `alive` flags do not count: who looks
at one is alive.) Only what lies beside the cells, its cargo, would have to be asked for.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from protocol.action import Action
from protocol.expr import Cell, Me
from protocol.system import action_cells
from protocol.types import Value

from ..cargo import UNASKED
from ..numbering import Place
from ..row import Write
from ..store import Sparse, Store
from .directory import Directory, Key
from .queue_client import Client
from .queue_server import Commit
from .segment import Segment


class Stale(Exception):
    """What a row read is no longer so; evaluate it again."""


class MemoryCells:
    """The cells of one variable in shared memory; each is loaded once a row."""

    def __init__(self, directory: Directory, number: int, segment: Segment, loaded: dict[Key, Value]):
        first = directory.memory_place((number, 0))
        assert first is not None
        self._number, self._first, self._segment, self._loaded, self._directory = number, first, segment, loaded, directory

    def __getitem__(self, place: int) -> Value:
        key = (self._number, place)
        if key not in self._loaded:
            self._loaded[key] = self._directory.decode(self._number, self._segment.cells[self._first + place])
        return self._loaded[key]

    def __iter__(self) -> Iterator[Value]:
        return (self[place] for place in self.active())

    def active(self) -> Sequence[int]:
        """Every place: nobody says when a register changes."""
        return range(self._directory.variables[self._number].cells)


class LiveStore(Store):
    """The cells of one system as one process sees them.

    Args:
        name: of the system. recorded: whether each row that others can see is to be known outside before they can.
        own: flags that say whether this very process is alive. intend: leaves an intent, if there is room; None without a place for it.
    """

    def __init__(
        self,
        name: str,
        directory: Directory,
        segment: Segment,
        client: Client,
        *,
        recorded: bool,
        own: Iterable[Key] = (),
        intend: Callable[[bytes], bool] | None = None,
    ):
        super().__init__(directory.systems[name])
        self.name, self._directory, self._segment, self._client, self.recorded = name, directory, segment, client, recorded
        self._first = first = directory.spans[name][0]
        self._is_shared = directory.is_shared[slice(*directory.spans[name])]
        self._is_served = [directory.is_served(first + number) for number in range(len(self._is_shared))]
        self._stays_home: dict[int, bool] = {}
        self._leaves = False
        self._loaded: dict[Key, Value] = {}
        self._own, self.intend = frozenset(own), intend
        self._registers_after = -1
        for number in range(len(self._cells)):
            there = self._first + number
            if self._is_served[number]:
                client.known[there] = self._cells[number]
            elif directory.is_shared[there]:
                self._cells[number] = MemoryCells(directory, there, segment, self._loaded)
        self.note: Callable[[Mapping[Place, Value], Sequence[Write]], bytes] | None = None
        """What the journal is to know of the row that is being fired, by what it loaded and stores; None without a log."""
        self.finds = True
        """Whether somebody looks at the cargo of the row that is being fired."""
        self.since: float | None = None
        """The moment at which the last row belongs, if that is an earlier one."""
        self.written: list[Key] = []
        """Cells that rows of this process have stored to since this was last emptied."""

    def begin(self, action: Action, *, firing: bool = True) -> None:
        """Start a row."""
        self._loaded.clear()
        if firing:
            stays = self._stays_home.get(action.number)
            if stays is None:
                stays = self._stays_home[action.number] = not any(map(self._is_elsewhere, action_cells(action)))
            self._leaves = not stays
            if self._leaves:
                self._client.hear()

    def _is_elsewhere(self, cell: Cell) -> bool:
        """Whether it takes more to look at the cell, or to store to it, than being here: that this very process is alive is known here."""
        number = self.numbering.number(cell.variable)
        is_own = any(self._first + number == flags for flags, _ in self._own) and all(isinstance(index, Me) for index in cell.indices)
        return self._is_shared[number] and not is_own

    def announce(self) -> None:
        """Have those woken who wait for what has been stored to registers: at the latest before something that may take long."""
        self._client.tell_stored()

    def forget(self) -> None:
        """Take the server's cells to be at rest until they are looked at."""
        for number, variable in enumerate(self.numbering.variables):
            if self._is_served[number]:
                cells = self._cells[number]
                if isinstance(cells, Sparse):
                    cells.clear()
                else:
                    cells[:] = variable.initial

    def commit(self, writes: Sequence[Write], seen: Mapping[Place, Value], cargo: Any = None) -> Any:
        """Write everything at once; returns the cargo that the row found.

        Raises:
            Stale: nothing has been written; what is known is newer now.
        """
        self.since = None
        found = self._commit_shared(writes, seen, cargo) if self._leaves else super().commit(writes, seen, cargo)
        first = self._first
        self.written += [(first + number, place) for number, place, _ in writes]
        return found if self.finds else UNASKED

    def _commit_shared(self, writes: Sequence[Write], seen: Mapping[Place, Value], cargo: Any) -> Any:
        """Commit a row that mentions cells which others can see."""
        stored = {(n, place): value for n, place, value in writes}
        reads, stores = self._travelling(seen), self._travelling(stored)
        own = [write for write in writes if not self._is_shared[write[0]]]
        commit = Commit(reads, stores)
        if self.note is not None and stores:
            commit.note = self.note(seen, writes)
        if self._needs_server(reads, stores) or not self._may_store(commit):
            commit.cargo = None if cargo is None else pickle.dumps(cargo, pickle.HIGHEST_PROTOCOL)
            found = self._commit_served(commit)
            for number, place, value in own:
                self._cells[number][place] = value
            return found
        if stores or self._has_registers(reads):
            self._registers_after = self._client.heard
        elif self._registers_after != self._client.heard:
            self.since = self._client.heard_at
        self._store_registers(stores)
        return super().commit(own, seen, cargo)

    def _may_store(self, commit: Commit) -> bool:
        """Whether this process may store to these registers by itself; if so it has left its intent, where it is to leave one."""
        if not self.recorded or not commit.writes:
            return True
        if self.intend is None or not all(number in self._directory.stored_by_one for number, _ in commit.writes):
            return False
        self._client.call_before_sending()
        return self.intend(commit.packed())

    def _needs_server(self, reads: dict[Key, Any], writes: dict[Key, Any]) -> bool:
        """Whether the queue server is to commit the row."""
        served = self._directory.is_served
        if any(served(number) for number, _ in writes):
            return True
        is_past = self._registers_after == self._client.heard or bool(writes) or self._has_registers(reads)
        return (self.finds or is_past) and any(served(number) for number, _ in reads)

    def _has_registers(self, reads: dict[Key, Any]) -> bool:
        return any(key not in self._own and self._directory.memory_place(key) is not None for key in reads)

    def _travelling(self, cells: Mapping[Place, Value]) -> dict[Key, Any]:
        """Those of these cells that are shared, as they travel."""
        first, is_shared, encode = self._first, self._is_shared, self._directory.encode
        return {(first + cell[0], cell[1]): encode(first + cell[0], value) for cell, value in cells.items() if is_shared[cell[0]]}

    def _commit_served(self, commit: Commit) -> Any:
        done, found = self._client.commit(commit)
        if not done:
            raise Stale
        return found

    def _store_registers(self, writes: dict[Key, Any]) -> None:
        changed = []
        for key, value in writes.items():
            place = self._directory.memory_place(key)
            assert place is not None
            if self._segment.cells[place] != value:
                self._segment.cells[place] = value
                changed.append(key)
        if changed:
            self._client.stored(tuple(changed))


def done(intent: bytes, segment: Segment, directory: Directory) -> Commit | None:
    """The row by which a dead process has stored what it intended to; None where it did not come to that."""
    if not intent:
        return None
    row = Commit.unpacked(intent)
    is_stored = all(segment.cells[directory.memory_place(key)] == value for key, value in row.writes.items())  # type: ignore[index]
    return row if is_stored else None
