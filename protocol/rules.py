"""When a definition is wrong: everything that is judged before anything is explored.

`check_tables` looks at the rows as written, `check_rules` at the lowered actions and at the *one-row rule* of the media:
one row may touch any private and ghost variables, any variables under one lock, and make at most one access to one
other shared cell, channel or barrier. A row that touches more models a step that no hardware can take at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from .combine import conjuncts, substitute
from .effect import Arrive, BreakOpen, Crash, Effect, Receive, Restart, Send, Store
from .errors import DefinitionError
from .expr import TRUE, Cell, Edited, Expr, Fold, Me, Param, Passed
from .machine import Machine, Row
from .variable import Barrier, Lock, Medium

if TYPE_CHECKING:
    from .system import System

SHARED = (Medium.REGISTER, Medium.UNLOCKED, Medium.CHANNEL, Medium.BARRIER)


def _at(machine: Machine, row: Row) -> dict[str, str]:
    """Where an error is, for DefinitionError."""
    return {"machine": machine.name, "row": row.event}


# -- tables as written -----------------------------------------------------------------------------------------------


def check_tables(system: System) -> None:
    """Names, states, choices, moves and reachability of final states.

    Raises:
        DefinitionError: naming the machine, the row and the remedy.
    """
    names = [m.name for m in system.machines]
    for name in names:
        if names.count(name) > 1:
            raise DefinitionError(f"two machines of system {system.name} are called {name}; rename one")
    _check_properties(system)
    for machine in system.machines:
        for state in (machine.initial, machine.restart, *machine.final):
            _known_state(machine, state, None)
        for row in machine.rows:
            _check_row(system, machine, row)
        _check_choices(machine)
        _check_final(machine)
        _check_barrier_rows(machine)


def _check_properties(system: System) -> None:
    """Names, and that a property, which no copy asks, speaks of none as its own."""
    names, states = [p.name for p in system.properties], {id(m.state) for m in system.machines}
    for prop in system.properties:
        if names.count(prop.name) > 1:
            raise DefinitionError(f"two properties of system {system.name} are called {prop.name}; rename one")
        for expr in prop.expressions:
            for part, folded in _with_folds(expr, frozenset()):
                if isinstance(part, Me):
                    over = f"all_of({part.type}, lambda i: ...) or any_of({part.type}, lambda i: ...)"
                    raise DefinitionError(f"property {prop.name} belongs to no copy, so me({part.type}) is nobody; fold over the copies: {over}")
                if isinstance(part, Param) and part.name not in folded:
                    raise DefinitionError(f"property {prop.name}: no row chooses `{part}` for it; fold over its values with all_of or any_of")
                if isinstance(part, Cell) and part.variable.name.endswith(".state") and id(part.variable) not in states:
                    raise DefinitionError(f"property {prop.name} asks for `{part}`, which is of no machine of the system; add it")
                if isinstance(part, Passed):
                    raise DefinitionError(f"property {prop.name} belongs to no copy, so nobody waits in `{part}`; ask for states instead")


def _known_state(machine: Machine, state: object, row: Row | None) -> None:
    if not isinstance(state, machine.states):
        known = ", ".join(s.name for s in machine.states)
        raise DefinitionError(f"{state!r} is no state of it; its states are {known}", machine=machine.name, row=row.event if row else "")


def _check_row(system: System, machine: Machine, row: Row) -> None:
    for state in row.sources:
        _known_state(machine, state, row)
    if row.destination is not None:
        _known_state(machine, row.destination, row)
    locks = [lock for lock in (row.under, row.acquire, row.release) if lock is not None]
    if machine.passive and (row.moves or locks or row.choose):
        raise DefinitionError("a passive row only has a guard and effects; locks, choices and moves belong to the active row", **_at(machine, row))
    bound = {p.name for p in row.choose}
    for expr, inner in _expressions(row):
        for part, folded in _with_folds(expr, inner):
            if isinstance(part, Me) and part.type not in machine.copies:
                raise DefinitionError(f"me({part.type}): the machine has no copies over {part.type}", **_at(machine, row))
            if isinstance(part, Param) and part.name not in bound | folded:
                raise DefinitionError(f"the choice {part.name} is not listed in the row's choose=", **_at(machine, row))
    moved = [str(m).rsplit(".", 1)[0] for m in row.moves]
    for target, move in zip(moved, row.moves):
        if move.machine not in system.machines:
            raise DefinitionError(f"moves {move}, but {move.machine.name} is not a machine of the system; add it", **_at(machine, row))
        if moved.count(target) > 1:
            raise DefinitionError(f"moves {target} twice in one step; at most one row per passive copy", **_at(machine, row))


def _expressions(row: Row) -> Iterator[tuple[Expr, frozenset[str]]]:
    none: frozenset[str] = frozenset()
    yield row.guard, none
    for effect in row.effects:
        for part in _parts(effect):
            yield part, none
    for lock in (row.under, row.acquire, row.release):
        if lock is not None:
            yield lock, none
    for move in row.moves:
        for index in move.indices:
            yield index, none


def _parts(effect: Effect) -> Iterator[Expr]:
    yield effect.condition
    for name in ("target", "value", "channel", "message", "barrier"):
        part = getattr(effect, name, None)
        if isinstance(part, Expr):
            yield part
    yield from getattr(effect, "indices", ())


def _with_folds(expr: Expr, bound: frozenset[str]) -> Iterator[tuple[Expr, frozenset[str]]]:
    """Every node with the fold variables that are bound where it stands."""
    if isinstance(expr, Fold):
        bound = bound | {expr.param.name}
    yield expr, bound
    for child in expr.children():
        yield from _with_folds(child, bound)


def _check_choices(machine: Machine) -> None:
    for a, b in combinations(machine.rows, 2):
        if a.event == b.event and [(p.name, p.type) for p in a.choose] != [(p.name, p.type) for p in b.choose]:
            raise DefinitionError("rows of one event choose the same values; give both the same choose=", **_at(machine, a))


def _check_final(machine: Machine) -> None:
    reached = {machine.initial, machine.restart}
    grown = True
    while grown:
        new = {r.destination for r in machine.rows if r.destination is not None and reached & set(r.sources)} - reached
        grown = bool(new)
        reached |= new
    for state in machine.final:
        if state not in reached:
            raise DefinitionError(f"the final state {state.name} cannot be reached by its rows; add a row or drop it", machine=machine.name)


def _barriers_passed(row: Row) -> list[Cell]:
    return [e.barrier for e in _passes(row)]


def _check_barrier_rows(machine: Machine) -> None:
    for row in machine.rows:
        for cell in _barriers_passed(row):
            for state in row.sources:
                entries = [r for r in machine.rows if r.destination is state or (r.destination is None and state in r.sources)]
                arrivals = [r for r in entries if any(isinstance(e, Arrive) and e.barrier.variable is cell.variable for e in r.effects)]
                begins, otherwise = state in (machine.initial, machine.restart), len(arrivals) < len(entries)
                # At a sense-reversing barrier a copy that has not arrived waits for nobody, so it may begin there.
                draining = isinstance(cell.variable, Barrier) and cell.variable.kind == "draining"
                if not arrivals or (begins or otherwise if draining else otherwise and not begins):
                    raise DefinitionError(
                        f"passed({cell}) guards a row from {state.name}, which is not entered only by arriving there; arrive in the row before",
                        **_at(machine, row),
                    )
        for effect in row.effects:
            if not isinstance(effect, Arrive):
                continue
            if effect.condition is not TRUE:
                raise DefinitionError(f"arrives at {effect.barrier} on a condition; give it a row of its own", **_at(machine, row))
            barrier = effect.barrier.variable
            assert isinstance(barrier, Barrier)
            if row.destination is None or barrier.kind != "draining":
                continue
            owner = barrier.process
            if owner is not None and (machine.process is not owner or barrier.over[: len(owner.over)] != owner.over):
                message = f"arrives at {effect.barrier}, which is made anew when {owner.name} ends; only its own copies meet there, at a cell of each"
                raise DefinitionError(message, **_at(machine, row))
            for after in machine.rows:
                if row.destination in after.sources and not any(c.variable is barrier for c in _barriers_passed(after)):
                    raise DefinitionError(
                        f"leaves {row.destination.name} without passed({effect.barrier}): a draining barrier is left through its guard",
                        **_at(machine, after),
                    )


# -- lowered actions -------------------------------------------------------------------------------------------------


def check_rules(system: System) -> None:
    """Duplicate rows, ownership of private variables, and the one-row rule.

    Raises:
        DefinitionError: naming the machine, the row and the remedy.
    """
    for a, b in system.ambiguities():
        texts = [" and ".join(map(str, conjuncts(x.guard)[1:])) for x in (a, b)]
        if texts[0] == texts[1] or "" in texts:
            what = "identical guards" if texts[0] == texts[1] else "a guard that is always true"
            message = f"two rows of this event leave one state with {what}; make their guards exclude each other"
            raise DefinitionError(message, **_at(a.machine, a.row))
    owners: dict[int, Machine] = {}
    for machine in system.machines:
        if machine.stands_for:
            _check_stand_in(system, machine)
            continue
        for row in machine.rows:
            _check_environment(machine, row)
            _check_ghosts(machine, row)
            if not machine.passive:  # what a passive row touches is charged to the active row that moves it
                _check_media(machine, row, owners)


@dataclass(frozen=True)
class Access:
    """One touch of a shared cell: what is touched, how, and how many cells that is."""

    cell: Cell
    kind: str
    cells: int = 1

    def __str__(self) -> str:
        return f"{self.kind} {self.cell}"


def accesses(machine: Machine, row: Row) -> list[Access]:
    """The accesses to shared cells that firing the row makes, each once, in reading order."""
    found: dict[tuple[str, str], Access] = {}

    def note(cell: Cell, kind: str, cells: int = 1) -> None:
        found.setdefault((str(cell), kind), Access(cell, kind, cells))

    edits = {str(e.target): e.operation for e in row.effects if isinstance(e, Store) and isinstance(e.value, Edited)}
    receives = {str(e.channel) for e in row.effects if isinstance(e, Receive)}
    for expr in _read_parts(row):
        for part, cells in _cells_read(expr, 1):
            name = str(part)
            if part.variable.medium is Medium.CHANNEL and name in receives:
                continue  # the head is read and taken together
            if edits.get(name, "").startswith(("pop", "remove")):
                continue  # taking an element returns it
            note(part, "test" if part.variable.medium is Medium.CHANNEL else "load", cells)
    for effect in row.effects:
        if isinstance(effect, Store):
            note(effect.cell, "store" if effect.operation == "store" else effect.operation)
        elif isinstance(effect, Send):
            note(effect.channel, "send")
        elif isinstance(effect, Receive):
            note(effect.channel, "receive")
        elif isinstance(effect, Arrive):
            note(effect.barrier, "arrive")
        elif isinstance(effect, BreakOpen):
            note(effect.barrier, "break")
    for move in row.moves:
        note(move.machine.state.cell(*move.indices), "move")
        bind = dict(zip(move.machine.copies, move.indices))
        for access in (a for r in move.machine.rows if r.event == move.event for a in accesses(move.machine, r)):
            placed = substitute(access.cell, lambda e, b=bind: b[e.type] if isinstance(e, Me) else None)  # type: ignore[misc]
            assert isinstance(placed, Cell)
            note(placed, access.kind, access.cells)
    return list(found.values())


def _read_parts(row: Row) -> Iterator[Expr]:
    for part in conjuncts(row.guard):
        if not isinstance(part, Passed):
            yield part
    for effect in row.effects:
        yield effect.condition
        if isinstance(effect, Store):
            if isinstance(effect.value, Edited):
                yield from effect.value.arguments
            else:
                yield effect.value
            yield from (i for c in effect.target.walk() if isinstance(c, Cell) for i in c.indices)
        message = getattr(effect, "message", None)
        if isinstance(message, Expr):
            yield message
        for name in ("channel", "barrier"):
            cell = getattr(effect, name, None)
            if isinstance(cell, Cell):
                yield from cell.indices


def _cells_read(expr: Expr, times: int) -> Iterator[tuple[Cell, int]]:
    if isinstance(expr, Cell):
        folded = any(isinstance(e, Param) and e.name.startswith("any_") for i in expr.indices for e in i.walk())
        yield expr, times if folded else 1
    size = expr.param.type.size if isinstance(expr, Fold) else 1  # type: ignore[attr-defined]
    for child in expr.children():
        yield from _cells_read(child, times * size)


def _check_environment(machine: Machine, row: Row) -> None:
    faults = [e for e in row.effects if isinstance(e, (BreakOpen, Crash, Restart))]
    if faults and not machine.environment:
        raise DefinitionError(f"does `{faults[0]}`; only environment rows do, so put it into a machine with environment=True", **_at(machine, row))


def _check_media(machine: Machine, row: Row, owners: dict[int, Machine]) -> None:
    touched = accesses(machine, row)
    for access in touched:
        variable, medium = access.cell.variable, access.cell.variable.medium
        if medium is Medium.PRIVATE:
            _check_private(machine, row, access.cell, owners)
        elif medium is Medium.WORLD and access.kind != "load" and not machine.environment:
            raise DefinitionError(f"writes the fact {variable.name}; only environment rows do", **_at(machine, row))
        elif medium is Medium.LOCK:
            raise DefinitionError(f"touches the lock {variable.name} as a variable; use under=, acquire= or release=", **_at(machine, row))
        elif medium is Medium.GHOST and access.kind == "move":
            raise DefinitionError(f"moves the ghost {variable.name}: a ghost would restrict the system; give it a real medium", **_at(machine, row))
    if row.assume_atomic:
        return
    _check_locked(machine, row, touched)
    others = [a for a in touched if a.cell.variable.medium in SHARED]
    locks = {str(lock) for lock in (row.under, row.acquire, row.release) if lock is not None}
    number = sum(a.cells for a in others) + max(0, len(locks) - 1)
    if number > 1:
        listed = ", ".join([str(a) + (f" ({a.cells} cells)" if a.cells > 1 else "") for a in others] + sorted(locks if len(locks) > 1 else ()))
        raise DefinitionError(
            f'makes {number} accesses to shared cells in one step ({listed}); one row makes one: split it, or say assume_atomic="why"',
            **_at(machine, row),
        )


def _check_private(machine: Machine, row: Row, cell: Cell, owners: dict[int, Machine]) -> None:
    variable = cell.variable
    owner = owners.setdefault(id(variable), machine)
    if any(m is not machine and m.state is variable for m in owners.values()) or owner is not machine:
        raise DefinitionError(f"touches {variable.name}, which is private to {owner.name}; give it the medium of the real thing", **_at(machine, row))
    if variable is machine.state and not machine.passive and str(cell) != str(machine.state.cell(*(Me(d) for d in machine.copies))):
        raise DefinitionError(f"touches the control state of another copy, {cell}; share what it must know", **_at(machine, row))
    if variable is machine.state:
        return
    leading = cell.indices[: len(machine.copies)]
    if variable.over[: len(machine.copies)] != machine.copies or not all(isinstance(i, Me) for i in leading):
        own = ", ".join(f"me({d})" for d in machine.copies)
        raise DefinitionError(f"touches {cell}, which is private: index it by the copy itself ({own})", **_at(machine, row))


SEEN_BY_STAND_INS = ("always", "never", "leads_to", "covers", "illegal")
"""The properties that mean something where machines are replaced by others that may do more, and need not do anything."""


def _check_stand_in(system: System, machine: Machine) -> None:
    """What replaces other machines says what may happen to variables, and nothing of when or by whom."""
    if machine.passive or machine.process is not None:
        raise DefinitionError("stands for other machines: it has a thread, and lives in no process that could crash", machine=machine.name)
    for row in machine.rows:
        strange = [str(e) for e in row.effects if isinstance(e, (Arrive, BreakOpen, Crash, Restart))] + [str(p.barrier) for p in _passes(row)]
        strange += [str(lock) for lock in (row.under, row.acquire, row.release) if lock is not None]
        if strange or row.illegal:
            what = strange[0] if strange else "an illegal message"
            raise DefinitionError(f"stands for other machines and may only set, send, receive and move; not `{what}`", **_at(machine, row))
    for prop in system.properties:
        if prop.kind not in SEEN_BY_STAND_INS:
            what = f"property {prop.name} ({prop.kind}) cannot be asked where {machine.name} stands for {', '.join(machine.stands_for)}"
            raise DefinitionError(f"{what}: it may do more than they, and need not do what they do; ask the whole system")


def _passes(row: Row) -> list[Passed]:
    return [e for e in row.guard.walk() if isinstance(e, Passed)]


def _check_ghosts(machine: Machine, row: Row) -> None:
    def reads(expr: Expr) -> list[Cell]:
        return [e for e in expr.walk() if isinstance(e, Cell) and e.variable.medium is Medium.GHOST]

    seen = reads(row.guard)
    for effect in row.effects:
        if isinstance(effect, Store) and effect.cell.variable.medium is Medium.GHOST:
            continue
        seen += [g for part in _parts(effect) for g in reads(part)]
    if seen:
        raise DefinitionError(f"depends on the ghost {seen[0]}; ghosts are read by properties and effects on ghosts only", **_at(machine, row))


def _check_locked(machine: Machine, row: Row, touched: list[Access]) -> None:
    held = [lock for lock in (row.under, row.acquire, row.release) if isinstance(lock, Cell)]
    for access in touched:
        cell = access.cell
        guarding = cell.variable.lock
        if cell.variable.medium is not Medium.LOCKED or not isinstance(guarding, Lock):
            continue
        leading = [str(i) for i in cell.indices[: len(guarding.over)]]
        if not any(lock.variable is guarding and [str(i) for i in lock.indices] == leading for lock in held):
            where = f"{guarding.name}[{', '.join(leading)}]" if leading else guarding.name
            raise DefinitionError(f"touches {cell} without its lock; add under={where}", **_at(machine, row))
