"""Machines: tables of rows, with copies over index types.

One `Row` is one atomic step of the real system, one edge of the diagram, one guarded command. An *active* machine has a
thread, so its rows are scheduled; a *passive* one (a request, a slot, a file) has none, and moves when an active row says
`moves=passive[i].event`: the passive row's guard is conjoined and its effects commit in the same step.

This file declares; `system.py` puts the declarations together and `rules.py` judges them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from .combine import count
from .effect import Crash, Effect, Receive, Restart, flatten
from .errors import DefinitionError
from .expr import TRUE, Expr, Literal, Me, Op, Param
from .operators import boolean, coerce, lift
from .types import BOOL, Enum, Index, Range, Value
from .variable import Medium, Variable

FAIRNESS = ("none", "weak", "strong")
DECIDED = ("prompt", "timer", "observed", "decided")


class Process:
    """An operating-system process, or one per value of `over`: what can crash as a whole."""

    def __init__(self, name: str, *, over: Any = ()):
        self.name = name
        self.over: tuple[Index, ...] = over if isinstance(over, tuple) else (over,)
        self.alive = Variable(f"{name}.alive", BOOL, Medium.WORLD, over=self.over, init=True)

    def _at(self, indices: tuple[Any, ...]) -> tuple[Expr, ...]:
        if len(indices) != len(self.over):
            raise DefinitionError(f"process {self.name}: takes {len(self.over)} indices, not {len(indices)}")
        return tuple(coerce(i, dim) for i, dim in zip(indices, self.over))

    def crash(self, *indices: Any) -> Crash:
        """The effect of the process dying (for environment rows, which also guard with `is_alive`)."""
        return Crash(TRUE, self, self._at(indices))

    def restart(self, *indices: Any) -> Restart:
        """The effect of a dead process running again, from the restart states of its machines."""
        return Restart(TRUE, self, self._at(indices))

    def is_alive(self, *indices: Any) -> Expr:
        """Whether the process runs."""
        return self.alive.cell(*self._at(indices))


@dataclass(frozen=True)
class Move:
    """The row that a passive copy takes together with an active row."""

    machine: Machine
    indices: tuple[Expr, ...]
    event: str

    def __str__(self) -> str:
        where = f"[{', '.join(map(str, self.indices))}]" if self.indices else ""
        return f"{self.machine.name}{where}.{self.event}"


class CopyRef:
    """One copy of a passive machine: its events are its attributes."""

    def __init__(self, machine: Machine, indices: tuple[Expr, ...]):
        self._machine, self._indices = machine, indices

    def __getattr__(self, event: str) -> Move:
        if event.startswith("__"):
            raise AttributeError(event)
        if not any(row.event == event for row in self._machine.rows):
            known = ", ".join(sorted({row.event for row in self._machine.rows}))
            raise DefinitionError(f"machine {self._machine.name} has no event {event!r}; it has {known}")
        return Move(self._machine, self._indices, event)


class Row:
    """One atomic step: event, source state(s), destination, guard, effects, actor; see docs/semantics.md.

    Args:
        event: snake_case; imperative for a decision, past participle for a fact learned.
        source: a state or several. `destination`: a state, or None to stay.
        guard: a boolean expression over the state before the row.
        effects: what happens at once, all of it reading the state before.
        actor: who does it. `cite`: where the rule comes from (pull request, facts section, hazard).
        choose: the choices (made by `choice`) whose values the row picks.
        moves: passive rows taken in the same step, at most one per copy.
        under: the lock whose whole critical section this row is (or which the copy already holds).
        acquire, release: a lock held across rows.
        decided: who decides: prompt (fires when enabled), timer, observed (the environment did it), decided (a handler).
        poll: an unsuccessful look of a polling loop over several cells.
        fair: none, weak or strong; None takes the default of the machine.
        assume_atomic: why this row may break its medium's rule; the docs list every such row.
    """

    def __init__(
        self,
        event: str,
        source: Any,
        destination: Any,
        guard: Any = TRUE,
        effects: Sequence[Any] = (),
        actor: str = "",
        *,
        choose: Iterable[Param] = (),
        moves: Any = (),
        under: Any = None,
        acquire: Any = None,
        release: Any = None,
        decided: str = "prompt",
        poll: bool = False,
        fair: str | None = None,
        cite: str = "",
        assume_atomic: str = "",
        illegal: bool = False,
    ):
        self.event = event
        self.sources: tuple[IntEnum, ...] = tuple(source) if isinstance(source, (tuple, list)) else (source,)
        self.destination: IntEnum | None = destination
        self.guard = boolean(guard, f"the guard of row {event}")
        if not isinstance(effects, (list, tuple)):
            raise DefinitionError(f"row {event}: `{effects}` is no list of effects; write [{effects}]")
        self.effects: list[Effect] = flatten(effects)
        self.actor, self.cite, self.assume_atomic = actor, cite, assume_atomic
        self.choose: tuple[Param, ...] = tuple(choose) if isinstance(choose, (tuple, list)) else (choose,)  # type: ignore[assignment]
        self.moves: tuple[Move, ...] = tuple(moves) if isinstance(moves, (tuple, list)) else (moves,)
        self.under, self.acquire, self.release = (None if lock is None else lift(lock) for lock in (under, acquire, release))
        self.decided, self.poll, self.fair, self.illegal = decided, poll, fair, illegal
        if decided not in DECIDED:
            raise DefinitionError(f"decided={decided!r}: choose one of {', '.join(DECIDED)}", row=event)
        if fair is not None and fair not in FAIRNESS:
            raise DefinitionError(f"fair={fair!r}: choose one of {', '.join(FAIRNESS)}", row=event)
        if not event.isidentifier():
            raise DefinitionError(f"event {event!r}: give it a name that is an identifier")

    def __repr__(self) -> str:
        return f"<row {self.event}>"


def ignored(event: str, source: Any, channel: Any, when: Any, actor: str = "", *, cite: str = "") -> Row:
    """A received message that these states ignore: its own row, which consumes it and changes nothing else."""
    cell = lift(channel)
    return Row(event, source, None, when, [Receive(TRUE, cell, None)], actor, cite=cite)  # type: ignore[arg-type]


def illegal(event: str, source: Any, channel: Any, when: Any, actor: str = "", *, cite: str = "") -> Row:
    """A received message that these states must never see: that the row could fire is a violation."""
    cell = lift(channel)
    return Row(event, source, None, (~cell.empty) & when, [], actor, cite=cite, illegal=True)


class Machine:
    """A table of rows, with one copy per value of `copies`.

    Args:
        states: an IntEnum numbered 0, 1, 2 ...; the first is initial unless `initial` says otherwise.
        final: the states in which a copy may rest for ever.
        copies: the index type (or a tuple of them) that the machine has copies over.
        process: what the copy's thread lives in; its index types are among `copies`.
        passive: no thread of its own; then `medium` (and `lock`) say how its state is stored.
        environment: faults and clients: unfair by default, and no witness against a deadlock.
        fairness: "row" for a fairness unit per row and copy, "copy" for one unit per copy (any row).
        fair: the default fairness of its rows: none, weak or strong.
        restart: the state in which a restarted copy begins.
        stands_for: the machines that this one replaces in a `Split`. It is unfair, and the rules of the media do not bind it: each of its
            steps stands for a step of one of them.
    """

    def __init__(
        self,
        name: str,
        states: type[IntEnum],
        rows: Sequence[Row],
        *,
        copies: Any = (),
        final: Any = (),
        initial: Any = None,
        process: Process | None = None,
        passive: bool = False,
        medium: Medium | None = None,
        lock: Any = None,
        environment: bool = False,
        fairness: str = "row",
        fair: str | None = None,
        restart: Any = None,
        stands_for: Sequence[str] = (),
        doc: str = "",
    ):
        self.name, self.states, self.rows, self.doc = name, states, list(rows), doc
        self.copies: tuple[Index, ...] = copies if isinstance(copies, tuple) else (copies,)
        self.final: tuple[IntEnum, ...] = tuple(final) if isinstance(final, (tuple, list)) else (final,)
        self.process, self.passive, self.environment = process, passive, environment
        self.initial = list(states)[0] if initial is None else initial
        self.restart = self.initial if restart is None else restart
        self.stands_for = tuple(stands_for)
        self.fairness, self.fair = fairness, fair or ("none" if environment or stands_for else "weak")
        if not name.isidentifier():
            raise DefinitionError(f"machine {name!r}: give it a name that is an identifier")
        if fairness not in ("row", "copy"):
            raise DefinitionError(f"fairness={fairness!r}: choose 'row' or 'copy'", machine=name)
        if passive == (medium is None and lock is None):
            raise DefinitionError("a passive machine says how its state is stored (medium= or lock=); an active one does not", machine=name)
        if process is not None and not set(process.over) <= set(self.copies):
            raise DefinitionError(f"the index types of process {process.name} are not among its copies", machine=name)
        kind = Medium.LOCKED if lock is not None else medium or Medium.PRIVATE
        self.state = Variable(f"{name}.state", Enum(states), kind, over=self.copies, init=self.initial, lock=lock)

    def __getitem__(self, indices: Any) -> CopyRef:
        given = indices if isinstance(indices, tuple) else (indices,)
        if not self.passive:
            raise DefinitionError("only a passive machine is moved by another's row", machine=self.name)
        return CopyRef(self, self.state.cell(*given).indices)

    def at(self, *indices: Any) -> Expr:
        """The control state of one copy, for guards on it and for properties: `m.at(i) == DONE`, `m.at(i).is_in(A, B)`."""
        return self.state.cell(*indices)

    def count(self, *states: Any) -> Expr:
        """How many copies are in one of these states."""
        if len(self.copies) != 1:
            raise DefinitionError(f"count: has {len(self.copies)} index types; fold over them by hand", machine=self.name)
        return count(self.copies[0], lambda i: self.state[i].is_in(*states))

    def row_fairness(self, row: Row) -> str:
        """none, weak or strong for that row: its own word, else strong for taking a lock, else the machine's default."""
        if row.fair is not None:
            return row.fair
        if self.fair == "weak" and row.acquire is not None:
            return "strong"
        return self.fair

    def copy_name(self, values: Sequence[Value]) -> str:
        """`worker[0]`, or `worker` for a machine with a single copy."""
        shown = ",".join(dim.show(v) for dim, v in zip(self.copies, values))
        return f"{self.name}[{shown}]" if self.copies else self.name

    def __repr__(self) -> str:
        return f"<machine {self.name}>"


def own_indices(machine: Machine) -> tuple[Expr, ...]:
    """The copy's own indices."""
    return tuple(Me(dim) for dim in machine.copies)


def copy_number(machine: Machine) -> Expr:
    """The copy's number, 0 .. copies - 1, as an expression."""
    number: Expr = Literal(0, Range(0, 0))
    size = 1
    for dim in machine.copies:
        size *= dim.size
        scaled = Op("*", number, Literal(dim.size, Range(dim.size, dim.size)), Range(0, size - 1))
        number = Op("+", scaled, Me(dim), Range(0, size - 1)) if number.type != Range(0, 0) else Me(dim)
    return number
