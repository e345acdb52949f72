"""Shared variables at run time: every cell kept where its medium says.

One rule: a row's whole access goes through one transaction, `begin`, `load` ..., then `commit` or `abandon`. Private cells
live in the copy's own process, registers in shared memory as one 32-bit cell each (plain load, plain store), and all that
needs atomicity - locked variables, barriers, channels - in the queue server, grouped into *sections*. A row that writes a
section holds it from `begin` to `commit`; a row that only looks takes one snapshot.

Rejected: sending rows to the server to be evaluated there. The real system's callers hold a remote lock across several
calls, and a caller that dies inside must be able to leave it held.
"""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing.shared_memory import SharedMemory
from typing import Any, Protocol

from protocol.evaluate import Writes
from protocol.expr import Cell
from protocol.lower import Action
from protocol.system import System, action_cells
from protocol.types import Scalar, Value, flat_index
from protocol.variable import Medium, Variable

Key = tuple[str, int]
"""A cell: its variable's name, and its place among the variable's cells."""

CELL_BYTES = 4


class Server(Protocol):
    """What a store asks of the queue server; `engine.queue_server.Client` is the one between processes."""

    def look(self, section: str) -> dict[Key, Value]: ...
    def open(self, section: str) -> tuple[dict[Key, Value], Any]: ...
    def close(self, section: str, writes: dict[Key, Value], cargo: Any) -> None: ...


def key_of(variable: Variable, where: tuple[Value, ...]) -> Key:
    """The key of a cell."""
    return variable.name, flat_index(variable.over, where)


def section_of(variable: Variable) -> str | None:
    """The section of the queue server that a variable lives in; None when it lives elsewhere."""
    if variable.medium is Medium.LOCKED:
        assert isinstance(variable.lock, Cell | Variable)
        return (variable.lock.variable if isinstance(variable.lock, Cell) else variable.lock).name
    if variable.medium is Medium.BARRIER:
        return variable.name.split(".")[0]
    if variable.medium in (Medium.PRIVATE, Medium.REGISTER, Medium.GHOST):
        return None
    return variable.name


def initial_sections(system: System) -> dict[str, dict[Key, Value]]:
    """Every section of the system with the initial values of its cells."""
    sections: dict[str, dict[Key, Value]] = {}
    for variable in system.variables:
        section = section_of(variable)
        if section is not None:
            sections.setdefault(section, {}).update({(variable.name, k): v for k, v in enumerate(variable.initial)})
    for action in system.actions:
        sections.update({name: {} for name in _locks(action) if name not in sections})
    return sections


class Registers:
    """The register cells of a system in one shared-memory segment; a cell holds the number of its value."""

    def __init__(self, system: System, segment: SharedMemory):
        self._segment = segment
        assert segment.buf is not None
        self._cells = segment.buf.cast("i")
        self._first: dict[str, int] = {}
        place = 0
        for variable in _registers(system):
            self._first[variable.name] = place
            place += variable.cells

    @classmethod
    def create(cls, system: System, name: str | None = None) -> Registers:
        """A new segment with every register at its initial value. Whoever creates it calls `unlink`."""
        registers = cls(system, SharedMemory(name, create=True, size=max(1, sum(v.cells for v in _registers(system))) * CELL_BYTES))
        for variable in _registers(system):
            for k, value in enumerate(variable.initial):
                registers._cells[registers._first[variable.name] + k] = variable.type.ordinal(value)  # type: ignore[attr-defined]
        return registers

    @classmethod
    def attach(cls, system: System, name: str) -> Registers:
        """The segment of that name, made by another process."""
        return cls(system, SharedMemory(name))

    @property
    def name(self) -> str:
        """What another process attaches to."""
        return self._segment.name

    def load(self, variable: Variable, place: int) -> Value:
        """One load of one cell."""
        assert isinstance(variable.type, Scalar)
        return variable.type.value(self._cells[self._first[variable.name] + place])

    def store(self, variable: Variable, place: int, value: Value) -> None:
        """One store into one cell."""
        assert isinstance(variable.type, Scalar)
        self._cells[self._first[variable.name] + place] = variable.type.ordinal(value)

    def close(self) -> None:
        """Let go of the segment; it lives on for others."""
        self._cells.release()
        self._segment.close()

    def unlink(self) -> None:
        """Remove the segment; a segment that is gone already is no error."""
        try:
            self._segment.unlink()
        except FileNotFoundError:
            pass


class Store:
    """The cells of a system as one process sees them. Without registers or server, everything is local (lockstep)."""

    def __init__(self, system: System, registers: Registers | None = None, server: Server | None = None):
        self._registers, self._server = registers, server
        self._local: dict[Key, Value] = {(v.name, k): value for v in system.variables for k, value in enumerate(v.initial)}
        self._footprints = {action.number: _footprint(action) for action in system.actions}
        self._open: dict[str, dict[Key, Value]] = {}
        self._seen: dict[str, dict[Key, Value]] = {}
        self._cargo: Any = None
        self._local_cargo: Any = None

    def begin(self, action: Action, *, firing: bool = True) -> None:
        """Start a row: hold the sections that it writes, in the order of their names. `firing=False` only looks."""
        if self._server is None:
            self._cargo = self._local_cargo
            return
        for section in self._footprints[action.number] if firing else ():
            self._open[section], cargo = self._server.open(section)
            self._cargo = cargo if cargo is not None else self._cargo

    def load(self, variable: Variable, where: tuple[Value, ...]) -> Value:
        """The value of one cell: a `protocol.evaluate.Load`."""
        key = key_of(variable, where)
        if variable.medium is Medium.REGISTER and self._registers is not None:
            return self._registers.load(variable, key[1])
        section = section_of(variable)
        if section is None or self._server is None:
            return self._local[key]
        if section in self._open:
            return self._open[section][key]
        if section not in self._seen:
            self._seen[section] = self._server.look(section)
        return self._seen[section][key]

    def commit(self, writes: Writes, cargo: Any = None) -> Any:
        """Write everything and let go: local cells and registers inside the critical section, the section last.

        `cargo` is what the row puts along with a message (contents the protocol does not look at); returned is the cargo
        that lay in the section, for the row that takes the message.
        """
        served: dict[str, dict[Key, Value]] = {section: {} for section in self._open}
        for variable, where, value in writes:
            key, section = key_of(variable, where), section_of(variable)
            if variable.medium is Medium.REGISTER and self._registers is not None:
                self._registers.store(variable, key[1], value)
            elif section is None or self._server is None:
                self._local[key] = value
            else:
                served[section][key] = value
        if self._server is None and cargo is not None:
            self._local_cargo = cargo
        found, self._cargo = self._cargo, None
        for section, changes in served.items():
            assert self._server is not None
            self._server.close(section, changes, cargo)
        self._open, self._seen = {}, {}
        return found

    def abandon(self) -> None:
        """Let go without writing."""
        self.commit([])


def _registers(system: System) -> Iterator[Variable]:
    return (v for v in system.variables if v.medium is Medium.REGISTER)


def _locks(action: Action) -> list[str]:
    named = (action.row.under, action.row.acquire, action.row.release)
    return [lock.variable.name for lock in named if isinstance(lock, Cell)]


def _footprint(action: Action) -> list[str]:
    """The sections that a firing of the row must hold: those that it writes, and its locks."""
    written = {section_of(store.cell.variable) for store in action.stores} | set(_locks(action))
    return sorted(section for section in written if section is not None)


def shared_between_copies(system: System) -> set[str]:
    """Names of the private variables that rows of more than one machine touch: no process could hold them alone."""
    users: dict[str, set[str]] = {}
    for action in system.actions:
        for cell in action_cells(action):
            if cell.variable.medium is Medium.PRIVATE:
                users.setdefault(cell.variable.name, set()).add(action.machine.name)
    return {name for name, machines in users.items() if len(machines) > 1}
