"""The store of a live process: private cells here, registers in shared memory, everything else by the queue server.

One rule: a row is evaluated over what is known here, and what it read is checked when it commits. A row that touches nothing
but registers commits by its one plain load or store, as the medium promises; the queue server is then only told who is
to be woken. The log of a process that may die while the run goes on is to know of every row that others have seen: such a process leaves an
intent before it stores to a register to which nobody else stores, and has the server store to any other.

A row that only reads the server's cells, and stores to none but cells at home here, commits here as well. Each message from the server
brings all changes up to the moment at which it was sent, so the row read what was so then; nobody else sees what it
stores; and since that moment this process has loaded no register from which it could have learnt of something later. So the row belongs
at that moment, behind the process's earlier rows: an order of rows that the model has. (Own `alive` flags do not count: who looks
at one is alive.) Only what lies beside the cells, its cargo, would have to be asked for. A row that touches nothing but cells at home may belong
there as well: a later row of the process that does is behind it.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from protocol.action import Action
from protocol.expr import Cell, Me
from protocol.system import action_cells
from protocol.types import Scalar, Value

from ..cargo import UNASKED
from ..numbering import Place
from ..row import Write
from ..store import Sparse, Store
from .directory import Directory, Key
from .queue_client import Client
from .queue_server import Commit
from .segment import Segment

HERE, MEMORY, SERVER = range(3)
"""Where the cells of a variable lie: in this process, in shared memory, in the queue server."""
UNLOADED = object()
TABLED_VALUES = 1 << 12
"""Types with more values have no table of them."""


class Stale(Exception):
    """What a row read is no longer so; evaluate it again."""


class MemoryCells:
    """The cells of one variable in shared memory; each is loaded once a row."""

    def __init__(self, directory: Directory, number: int, segment: Segment, loaded: dict[Key, Value]):
        first = directory.memory_place((number, 0))
        assert first is not None
        self._number, self._first, self._count = number, first, directory.variables[number].cells
        self._cells, self._loaded = segment.cells, loaded
        kind = directory.variables[number].type
        assert isinstance(kind, Scalar)
        self._value = tuple(kind.values()).__getitem__ if kind.size <= TABLED_VALUES else kind.value

    def __getitem__(self, place: int) -> Value:
        key = self._number, place
        value = self._loaded.get(key, UNLOADED)
        if value is UNLOADED:
            value = self._loaded[key] = self._value(self._cells[self._first + place])
        return value

    def __iter__(self) -> Iterator[Value]:
        return (self[place] for place in self.active())

    def active(self) -> Sequence[int]:
        """Every place: nobody says when a register changes."""
        return range(self._count)


class LiveStore(Store):
    """The cells of one system as one process sees them.

    Args:
        recorded: whether each row that others can see is to be known outside before they can.
        own: flags that say whether this very process is alive. intend: leaves an intent, if there is room; None without a place for it.
    """

    def __init__(
        self,
        directory: Directory,
        segment: Segment,
        client: Client,
        *,
        recorded: bool,
        own: Iterable[Key] = (),
        intend: Callable[[bytes], bool] | None = None,
    ):
        super().__init__(directory.system)
        self._directory, self._segment, self._client, self.recorded = directory, segment, client, recorded
        served, shared = directory.is_served, directory.is_shared
        self._lies = [SERVER if served(number) else MEMORY if shared[number] else HERE for number in range(len(directory.variables))]
        self._stays_home: dict[int, bool] = {}
        self._leaves = False
        self._loaded: dict[Key, Value] = {}
        self._own, self.intend = frozenset(own), intend
        self._registers_after = -1
        for number, lies in enumerate(self._lies):
            if lies == SERVER:
                client.known[number] = self._cells[number]
            elif lies == MEMORY:
                self._cells[number] = MemoryCells(directory, number, segment, self._loaded)
        self.note: Callable[[Mapping[Place, Value], Sequence[Write]], bytes] | None = None
        """What the journal is to know of the row that is being fired, by what it loaded and stores; None without a log."""
        self.finds = True
        """Whether somebody looks at the cargo of the row that is being fired."""
        self.since: float | None = None
        """The moment at which the last row may belong, if that is an earlier one."""
        self.written: list[Key] = []
        """Cells that rows of this process have stored to since this was last emptied."""

    def look(self) -> None:
        """Load registers anew."""
        self._loaded.clear()

    def begin(self, action: Action) -> None:
        """Start a row: load registers anew; of one that others could overtake, take over first what has changed."""
        self._loaded.clear()
        stays = self._stays_home.get(action.number)
        if stays is None:
            stays = self._stays_home[action.number] = not any(map(self._is_elsewhere, action_cells(action)))
        self._leaves = not stays
        if self._leaves:
            self._client.hear()

    def _is_elsewhere(self, cell: Cell) -> bool:
        """Whether it takes more to look at the cell, or to store to it, than being here: that this very process is alive is known here."""
        number = self.numbering.number(cell.variable)
        is_own = any(number == flags for flags, _ in self._own) and all(isinstance(index, Me) for index in cell.indices)
        return bool(self._lies[number]) and not is_own

    def announce(self) -> None:
        """Have those woken who wait for what has been stored to registers: at the latest before something that may take long."""
        self._client.tell_stored()

    def forget(self) -> None:
        """Take the server's cells to be at rest until they are looked at."""
        for number, variable in enumerate(self.numbering.variables):
            if self._lies[number] == SERVER:
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
        self.since = None if self._leaves or self._registers_after == self._client.heard else self._client.heard_at
        found = self._commit_shared(writes, seen, cargo) if self._leaves else super().commit(writes, seen, cargo)
        self.written += [(number, place) for number, place, _ in writes]
        return found if self.finds else UNASKED

    def _commit_shared(self, writes: Sequence[Write], seen: Mapping[Place, Value], cargo: Any) -> Any:
        """Commit a row that mentions cells which others can see."""
        lies = self._lies
        looks = {lies[cell[0]] for cell in seen if cell not in self._own}
        told = [write for write in writes if lies[write[0]]]
        takes_part = bool(told) or MEMORY in looks  # others can tell that it comes behind what they have done, or before
        is_past = takes_part or self._registers_after == self._client.heard
        if any(lies[number] == SERVER for number, _, _ in told) or (is_past or self.finds) and SERVER in looks:
            return self._commit_served(self._commit(told, seen, writes), writes, seen, cargo)
        if told:
            commit = self._commit(told, seen, writes)
            if not self._may_store(commit):
                return self._commit_served(commit, writes, seen, cargo)
            self._store_registers(commit.writes)
        if takes_part:
            self._registers_after = self._client.heard
        elif not is_past:
            self.since = self._client.heard_at
        return super().commit([write for write in writes if not lies[write[0]]], seen, cargo)

    def _commit(self, told: Sequence[Write], seen: Mapping[Place, Value], writes: Sequence[Write]) -> Commit:
        """The row as others are told of it."""
        commit = Commit({}, self._travelling(((number, place), value) for number, place, value in told))
        if self.note is not None and told:
            commit.note = self.note(seen, writes)
        return commit

    def _may_store(self, commit: Commit) -> bool:
        """Whether this process may store to these registers by itself; if so it has left its intent, where it is to leave one."""
        if not self.recorded:
            return True
        if self.intend is None or not all(number in self._directory.stored_by_one for number, _ in commit.writes):
            return False
        self._client.call_before_sending()
        return self.intend(commit.packed())

    def _travelling(self, cells: Iterable[tuple[Place, Value]]) -> dict[Key, Any]:
        """Those of these cells that are shared, as they travel."""
        lies, encode = self._lies, self._directory.encode
        return {(number, place): encode(number, value) for (number, place), value in cells if lies[number]}

    def _commit_served(self, commit: Commit, writes: Sequence[Write], seen: Mapping[Place, Value], cargo: Any) -> Any:
        """Have the server commit it, and then store what lies here."""
        commit.reads = self._travelling(seen.items())
        commit.cargo = None if cargo is None else pickle.dumps(cargo, pickle.HIGHEST_PROTOCOL)
        done, found = self._client.commit(commit)
        if not done:
            raise Stale
        for number, place, value in writes:
            if not self._lies[number]:
                self._cells[number][place] = value
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
