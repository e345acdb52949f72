"""Shared variables, and the medium that says how the real system implements each of them.

The medium decides what one atomic row may do with a variable (`rules.py` enforces it): a `register` cell takes one load
or one store, an `unlocked` object one built-in operation, a `locked` variable anything while its lock is held. A model
that is correct only because its steps are larger than the hardware's is the error that this file exists to prevent.

A variable has one *cell* per value of its `over` index types; `v[i]` is a cell, and a variable without `over` is its own
single cell.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

from .errors import DefinitionError
from .expr import Cell, Expr
from .operators import indices_of, lift
from .types import BOOL, Array, Index, Range, Record, Scalar, Sequence, Type, Value, all_values, product_size

if TYPE_CHECKING:
    from .machine import Process


class Medium(enum.Enum):
    """How the real system implements a variable."""

    PRIVATE = "private"
    REGISTER = "register"
    UNLOCKED = "unlocked"
    LOCKED = "locked"
    LOCK = "lock"
    CHANNEL = "channel"
    BARRIER = "barrier"
    WORLD = "world"
    GHOST = "ghost"


class Variable(Expr):
    """A named variable: a type, a medium, and one cell per value of `over`."""

    is_variable = True
    is_channel = False
    is_barrier = False

    def __init__(
        self,
        name: str,
        type: Type,
        medium: Medium,
        *,
        over: tuple[Scalar, ...] = (),
        init: Any = None,
        process: Process | None = None,
        lock: Expr | None = None,
        cite: str = "",
    ):
        if not name.replace(".", "_").isidentifier():
            raise DefinitionError(f"variable {name!r}: give it a name that is an identifier")
        if not isinstance(type, Type):
            raise DefinitionError(f"variable {name}: {type!r} is not a type; use BOOL, Range, Enum, Record ...")
        if medium is Medium.REGISTER and not isinstance(type, Scalar):
            raise DefinitionError(f"variable {name}: a register cell is one scalar, not {type}; split it or use another medium")
        self.name, self.type, self.medium, self.over = name, type, medium, _dims(over)
        self.process, self.lock, self.cite = process, lock, cite
        self.initial = self._initial(init)

    def _initial(self, init: Any) -> tuple[Value, ...]:
        if callable(init) and any(isinstance(d, Index) and d.symmetric for d in self.over):
            raise DefinitionError(f"variable {self.name}: copies of a symmetric index start alike; give one value, not a function")
        if callable(init):
            cells = tuple(self._value(init(*where)) for where in all_values(self.over))
        else:
            cells = (self._value(init),) * self.cells
        for value in cells if callable(init) else cells[:1]:
            if not self.type.contains(value):
                raise DefinitionError(f"variable {self.name}: initial value {value!r} lies outside its type {self.type}")
        return cells

    def _value(self, init: Any) -> Value:
        if isinstance(init, Expr):
            raise DefinitionError(f"variable {self.name}: initial values are plain Python values, not expressions")
        if init is None and not self.type.contains(None):
            return self.type.default()
        if isinstance(init, dict) and isinstance(self.type, Record):
            return tuple(init.get(n, t.default()) for n, t in self.type.fields)
        if isinstance(self.type, Array) and not isinstance(init, tuple) and self.type.element.contains(init):
            return (init,) * self.type.length
        return init

    @property
    def cells(self) -> int:
        """Number of cells."""
        return product_size(self.over)

    def cell_name(self, where: tuple[Value, ...]) -> str:
        """`forward_signal[0]`, or `queue_filled` for a variable of a single cell."""
        shown = ",".join(dim.show(value) for dim, value in zip(self.over, where))
        return f"{self.name}[{shown}]" if self.over else self.name

    def cell(self, *indices: Any) -> Cell:
        """The cell with these indices; without any, the single cell of a variable that has no `over`."""
        return Cell(self, indices_of(self.name, self.over, indices), self.type)

    def __getitem__(self, index: Any) -> Expr:
        if not self.over:
            return lift(self)[index]
        return self.cell(*(index if isinstance(index, tuple) else (index,)))

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<{self.medium.value} {self.name}>"


class Lock(Variable):
    """A lock: free, or held by one copy. Not re-entrant; it survives its holder's crash.

    The system gives it its type when it knows who acquires it across rows; when nobody does, it needs no bits at all.
    """

    def __init__(self, name: str, *, over: Any = (), cite: str = ""):
        super().__init__(name, Range(0, 0), Medium.LOCK, over=over, cite=cite)
        self.holders: list[tuple[Any, int]] = []
        self.nobody: int | None = None
        """The number that says: held by a copy that has died; None where no holder may die."""

    def set_holders(self, holders: list[tuple[Any, int]], mortal: bool) -> None:
        """Fix the machines that hold this lock across rows, each with the first of its holder numbers; whether one may die holding it."""
        self.holders = holders
        last = holders[-1][1] + product_size(holders[-1][0].copies) - 1 if holders else 0
        self.nobody = last + 1 if mortal else None
        self.type = Range(0, last + mortal)
        self.initial = (0,) * self.cells

    def show_holder(self, value: int) -> str:
        """Who that holder number is."""
        if value == self.nobody:
            return "a dead copy"
        for machine, first in reversed(self.holders):
            if value >= first:
                return machine.copy_name(list(all_values(machine.copies))[value - first])
        return "free"


class Channel(Variable):
    """A bounded FIFO, or a bag (a count per message) for a network that does not keep order."""

    is_channel = True

    def __init__(
        self,
        name: str,
        message: Type,
        capacity: int,
        *,
        over: Any = (),
        kind: str = "fifo",
        on_full: str = "block",
        process: Process | None = None,
        cite: str = "",
    ):
        if kind not in ("fifo", "bag"):
            raise DefinitionError(f"channel {name}: kind {kind!r} is neither 'fifo' nor 'bag'")
        if on_full not in ("block", "drop", "error"):
            raise DefinitionError(f"channel {name}: on_full {on_full!r} is none of 'block', 'drop', 'error'")
        self.message, self.capacity, self.kind, self.on_full = message, capacity, kind, on_full
        super().__init__(name, self._content(name), Medium.CHANNEL, over=over, process=process, cite=cite)

    def _content(self, name: str) -> Type:
        if self.kind == "fifo":
            return Sequence(self.message, self.capacity)
        parts = [t for _, t in self.message.fields] if isinstance(self.message, Record) else [self.message]
        if not all(isinstance(t, Scalar) for t in parts):
            raise DefinitionError(f"channel {name}: a bag counts messages, so each part of {self.message} must be scalar")
        return Array(Range(0, self.capacity), *(t for t in parts if isinstance(t, Scalar)))


class Barrier(Variable):
    """A cyclic barrier over `parties` anonymous arrivals.

    *draining* (as `threading.Barrier`): nobody arrives again until all have left. *sense*: sense-reversing; a fast copy may
    arrive again while slow ones have yet to leave. Cell value while filling: the number of arrivals; a draining barrier
    with k copies yet to leave has value parties - 1 + k.
    """

    is_barrier = True

    def __init__(self, name: str, parties: int, *, over: Any = (), kind: str = "draining", process: Process | None = None, cite: str = ""):
        if kind not in ("draining", "sense"):
            raise DefinitionError(f"barrier {name}: kind {kind!r} is neither 'draining' nor 'sense'")
        if parties < 1:
            raise DefinitionError(f"barrier {name}: needs at least one party, not {parties}")
        self.parties, self.kind = parties, kind
        top = 2 * parties - 1 if kind == "draining" else parties - 1
        super().__init__(name, Range(0, top), Medium.BARRIER, over=over, process=process, cite=cite)
        self.broken = Variable(f"{name}.broken", BOOL, Medium.BARRIER, over=self.over)
        self.abandoned = Variable(f"{name}.abandoned", Range(0, parties), Medium.BARRIER, over=self.over)
        self.waiting: dict[str, Variable] = {}

    def waiting_of(self, machine: Any) -> Variable:
        """One bit per copy of the machine: arrived at this sense-reversing barrier and not yet let go."""
        if machine.name not in self.waiting:
            self.waiting[machine.name] = Variable(f"{self.name}.waiting.{machine.name}", BOOL, Medium.BARRIER, over=machine.copies)
        return self.waiting[machine.name]


def private(name: str, type: Type, *, over: Any = (), init: Any = None) -> Variable:
    """Local to one copy: its rows may do anything with it. The leading indices are those of the machine's copies."""
    return Variable(name, type, Medium.PRIVATE, over=over, init=init)


def register(name: str, type: Type, *, over: Any = (), init: Any = None, process: Process | None = None, cite: str = "") -> Variable:
    """One cell of POSIX shared memory: a row makes one load or one store of one cell.

    `process`: whose supervisor makes it anew when the process starts again; None: it outlives every process.
    """
    return Variable(name, type, Medium.REGISTER, over=over, init=init, process=process, cite=cite)


def unlocked(name: str, type: Type, *, over: Any = (), init: Any = None, process: Process | None = None, cite: str = "") -> Variable:
    """A plain object touched by several threads: a row makes one built-in operation on one cell.

    `process`: whose memory it lies in, hence what a crash resets; its leading indices are then the process's.
    """
    return Variable(name, type, Medium.UNLOCKED, over=over, init=init, process=process, cite=cite)


def locked(name: str, type: Type, lock: Any, *, over: Any = (), init: Any = None, process: Process | None = None, cite: str = "") -> Variable:
    """Guarded by a lock. Where the lock has index types, they lead the variable's: `v[r, s]` needs `lock[r]`."""
    if not isinstance(lock, Lock):
        raise DefinitionError(f"variable {name}: {lock!r} is not a Lock")
    if _dims(over)[: len(lock.over)] != lock.over:
        raise DefinitionError(f"variable {name}: its index types must start with those of {lock.name}")
    return Variable(name, type, Medium.LOCKED, over=over, init=init, process=process, lock=lock, cite=cite)


def world(name: str, type: Type = BOOL, *, over: Any = (), init: Any = None) -> Variable:
    """A fact of the world: any row may require it, only environment rows write it."""
    return Variable(name, type, Medium.WORLD, over=over, init=init)


def ghost(name: str, type: Type, *, over: Any = (), init: Any = None, process: Process | None = None) -> Variable:
    """Exists to state properties: read by properties and by effects on ghosts, by nothing else. `process`: what is known of it ends with it."""
    return Variable(name, type, Medium.GHOST, over=over, init=init, process=process)


def channel(
    name: str,
    message: Type,
    capacity: int,
    *,
    over: Any = (),
    kind: str = "fifo",
    on_full: str = "block",
    process: Process | None = None,
    cite: str = "",
) -> Channel:
    """A bounded channel; `on_full` = block (the sender waits), drop, or error (a range error). `process`: whose end empties it."""
    return Channel(name, message, capacity, over=over, kind=kind, on_full=on_full, process=process, cite=cite)


def barrier(name: str, parties: int, *, over: Any = (), kind: str = "draining", process: Process | None = None, cite: str = "") -> Barrier:
    """A cyclic barrier over that many arrivals. `process`: whose end empties it; None: arrivals stay counted when their copy dies."""
    return Barrier(name, parties, over=over, kind=kind, process=process, cite=cite)


def _dims(over: Any) -> tuple[Scalar, ...]:
    dims = over if isinstance(over, tuple) else (over,)
    if not all(isinstance(d, Scalar) for d in dims):
        raise DefinitionError(f"over={over!r}: give one index type or a tuple of them")
    return dims
