"""From rows to actions: locks, barriers, channels, moves and crashes become plain guards and stores.

Order of a lowered guard: control state, process alive, lock free, barrier passed, channel ready, the row's own guard, the
guards of the passive rows that it moves. Implicit conditions come first, so that an author may write `ch.head == X` on a
receiving row without asking for emptiness.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .action import Action
from .combine import compare, conjunction, conjuncts, disjunction, plus, substitute, sum_of
from .crash import crash_stores
from .effect import Arrive, BreakOpen, Crash, Effect, Receive, Restart, Send, Store
from .errors import DefinitionError
from .expr import TRUE, Cell, Edited, Expr, Field, IfElse, Item, Length, Literal, MakeRecord, Me, Not, OneOf, Op, Passed
from .machine import Machine, Move, Row, copy_number, own_indices
from .types import BOOL, Range, Record, Scalar, all_values
from .variable import Barrier, Channel, Lock

if TYPE_CHECKING:
    from .system import System


class Lowering:
    """Turns the rows of one system into actions; holds what rows share: lock holders and crashable processes."""

    def __init__(self, system: System):
        self.system = system
        self.crashing: set[int] = {id(e.process) for m in system.machines for r in m.rows for e in r.effects if isinstance(e, Crash)}
        self._number_lock_holders()

    # -- locks -------------------------------------------------------------------------------------------------------

    def _number_lock_holders(self) -> None:
        holders: dict[int, tuple[Lock, list[Machine]]] = {}
        for machine in self.system.machines:
            for row in machine.rows:
                for named in (row.under, row.acquire, row.release):
                    if named is None:
                        continue
                    lock = named.variable if isinstance(named, Cell) else None
                    if not isinstance(lock, Lock):
                        raise DefinitionError(f"`{named}` is not a lock", machine=machine.name, row=row.event)
                    machines = holders.setdefault(id(lock), (lock, []))[1]
                    if row.acquire is named and machine not in machines:
                        machines.append(machine)
        for lock, machines in holders.values():
            numbered, first = [], 1
            for machine in machines:
                numbered.append((machine, first))
                first += len(list(all_values(machine.copies)))
            lock.set_holders(numbered, any(m.process is not None and id(m.process) in self.crashing for m in machines))
        self.locks = [lock for lock, _ in holders.values()]

    def _holder(self, lock: Lock, machine: Machine) -> Expr | None:
        """The number by which this copy holds the lock, if its machine ever does."""
        for candidate, first in lock.holders:
            if candidate is machine:
                return plus(copy_number(machine), first)
        return None

    def _lock_guard(self, machine: Machine, row: Row) -> tuple[list[Expr], list[Store]]:
        guards: list[Expr] = []
        stores: list[Store] = []
        if row.under is not None:
            lock, mine = self._lock(row.under, machine)
            if lock.variable.holders:  # type: ignore[attr-defined]
                free = compare("==", lock, 0)
                guards.append(free if mine is None else Op("or", free, Op("==", lock, mine, BOOL), BOOL))
        if row.acquire is not None:
            lock, mine = self._lock(row.acquire, machine)
            assert mine is not None
            guards.append(compare("==", lock, 0))
            stores.append(Store(TRUE, lock, mine, "acquire"))
        if row.release is not None:
            lock, mine = self._lock(row.release, machine)
            if mine is None:
                raise DefinitionError(f"releases {lock}, which no row of the machine acquires", machine=machine.name, row=row.event)
            guards.append(Op("==", lock, mine, BOOL))
            stores.append(Store(TRUE, lock, Literal(0, lock.type), "release"))
        return guards, stores

    def _lock(self, named: Expr, machine: Machine) -> tuple[Cell, Expr | None]:
        """The lock's cell, with the type that it has now that its holders are known; and by which number this copy holds it."""
        assert isinstance(named, Cell) and isinstance(named.variable, Lock)
        return Cell(named.variable, named.indices, named.variable.type), self._holder(named.variable, machine)

    # -- barriers ----------------------------------------------------------------------------------------------------

    def _pass(self, barrier: Cell, machine: Machine) -> tuple[list[Expr], list[Store]]:
        """Guard and effect of leaving the barrier."""
        assert isinstance(barrier.variable, Barrier)
        shared = barrier.variable
        guards: list[Expr] = []
        if self._breaks(shared):
            guards.append(Not(Cell(shared.broken, barrier.indices, BOOL)))
        if shared.kind == "sense":
            return [*guards, Not(Cell(shared.waiting_of(machine), own_indices(machine), BOOL))], []
        n = shared.parties
        left = IfElse(compare("==", barrier, n), Literal(0, barrier.type), plus(barrier, -1), Range(0, 2 * n - 1))
        return [*guards, compare(">=", barrier, n)], [Store(TRUE, barrier, left, "leave")]

    def _arrive(self, effect: Arrive, machine: Machine) -> tuple[list[Expr], list[Store]]:
        barrier = effect.barrier
        assert isinstance(barrier.variable, Barrier)
        shared, n = barrier.variable, barrier.variable.parties
        condition = effect.condition
        last = compare("==", barrier, n - 1)
        if shared.kind == "sense":
            stores = [Store(condition, barrier, IfElse(last, Literal(0, barrier.type), plus(barrier, 1), Range(0, n)), "arrive")]
            own = own_indices(machine)
            # The last arrival lets everybody of this barrier go: its own bit stays down, the others' are cleared.
            for other in self._sense_users(shared):
                for copy in all_values(other.copies):
                    literals = tuple(Literal(v, d) for v, d in zip(copy, other.copies))
                    same = _same_barrier(barrier, other, literals, self.system)
                    bit = Cell(shared.waiting_of(other), literals, BOOL)
                    mine = _equal_indices(own, literals) if other is machine else Literal(False, BOOL)
                    clear = conjunction([condition, last, same])
                    if other is machine:
                        down = conjunction([condition, Not(last), mine])
                        stores.append(Store(disjunction([clear, down]), bit, Not(last), "arrive"))
                    else:
                        stores.append(Store(clear, bit, Literal(False, BOOL), "arrive"))
            return [], stores
        gone: Expr = Cell(shared.abandoned, barrier.indices, shared.abandoned.type) if self._abandons(shared) else Literal(0, Range(0, 0))
        full = Op("-", Literal(2 * n - 1, Range(2 * n - 1, 2 * n - 1)), gone, Range(n - 1, 2 * n - 1))
        value = IfElse(last, full, plus(barrier, 1), Range(0, 2 * n - 1))
        stores = [Store(condition, barrier, value, "arrive")]
        if self._abandons(shared):
            stores.append(Store(conjunction([condition, last]), gone, Literal(0, gone.type), "arrive"))
        return [_unless(condition, compare("<", barrier, n))], stores

    def _sense_users(self, shared: Barrier) -> list[Machine]:
        return [m for m in self.system.machines if any(isinstance(e, Arrive) and e.barrier.variable is shared for r in m.rows for e in r.effects)]

    def _breaks(self, shared: Barrier) -> bool:
        return any(isinstance(e, BreakOpen) and e.barrier.variable is shared for m in self.system.machines for r in m.rows for e in r.effects)

    def _abandons(self, shared: Barrier) -> bool:
        return any(m.process is not None and id(m.process) in self.crashing for m in self._sense_users(shared))

    # -- channels ----------------------------------------------------------------------------------------------------

    def _send(self, effect: Send) -> tuple[list[Expr], list[Store]]:
        cell, condition = effect.channel, effect.condition
        channel = cell.variable
        assert isinstance(channel, Channel)
        if channel.kind == "bag":
            place = _message_place(cell, effect.message)
            total: Expr = _bag_total(cell)
            room = compare("<", total, channel.capacity)
            more = plus(place, 1)
            if channel.on_full == "error":  # the total may be at capacity while each count is not
                more = IfElse(room, more, Literal(channel.capacity + 1, more.type), more.type)
            store = Store(condition, place, more, "send")
        else:
            room = compare("<", Length(cell), channel.capacity)
            store = Store(condition, cell, Edited("push", cell, (effect.message,)), "send")
        if channel.on_full == "block":
            return [_unless(condition, room)], [store]
        if channel.on_full == "drop":
            return [], [replace(store, condition=conjunction([condition, room]))]
        return [], [store]

    def _receive(self, effect: Receive) -> tuple[list[Expr], list[Store]]:
        cell, condition = effect.channel, effect.condition
        if effect.message is not None:
            place = _message_place(cell, effect.message)
            return [_unless(condition, compare(">", place, 0))], [Store(condition, place, plus(place, -1), "receive")]
        ready = _unless(condition, compare(">", Length(cell), 0))
        return [ready], [Store(condition, cell, Edited("pop", cell, ()), "receive")]

    # -- rows --------------------------------------------------------------------------------------------------------

    def _effect(self, effect: Effect, machine: Machine) -> tuple[list[Expr], list[Store]]:
        if isinstance(effect, Store):
            return [], [effect]
        if isinstance(effect, Send):
            return self._send(effect)
        if isinstance(effect, Receive):
            return self._receive(effect)
        if isinstance(effect, Arrive):
            return self._arrive(effect, machine)
        if isinstance(effect, BreakOpen):
            assert isinstance(effect.barrier.variable, Barrier)
            broken = effect.barrier.variable.broken
            return [], [Store(effect.condition, Cell(broken, effect.barrier.indices, BOOL), Literal(True, BOOL), "break")]
        if isinstance(effect, Crash):
            return [], crash_stores(self.system, self.locks, effect)
        assert isinstance(effect, Restart)
        alive = Cell(effect.process.alive, effect.indices, BOOL)
        return [], [Store(effect.condition, alive, Literal(True, BOOL), "restart")]

    def _move(self, move: Move) -> tuple[Expr, list[Store]]:
        machine = move.machine
        if any(isinstance(effect, (Arrive, Crash)) for row in machine.rows for effect in row.effects):
            raise DefinitionError("a passive machine neither arrives at a barrier nor crashes", machine=machine.name)
        bind = dict(zip(machine.copies, move.indices))

        def place(e: Expr) -> Expr | None:
            return bind[e.type] if isinstance(e, Me) else None

        state = Cell(machine.state, move.indices, machine.state.type)
        rows = [r for r in machine.rows if r.event == move.event]
        alternatives, stores = [], []
        for row in rows:
            inside = OneOf(state, tuple(Literal(s, state.type) for s in row.sources))
            guards, changes = [inside, *conjuncts(substitute(row.guard, place))], []
            for effect in row.effects:
                more, lowered = self._effect(effect, machine)
                guards += [substitute(g, place) for g in more]
                changes += [_place_store(s, place) for s in lowered]
            if row.destination is not None:
                changes.append(Store(TRUE, state, Literal(row.destination, state.type), "move"))
            elif len(rows) > 1:
                changes.append(Store(TRUE, state, state, "move"))
            taken = conjunction(guards)
            alternatives.append(taken)
            if len(rows) > 1:
                # Each alternative stores the state, so that two of them enabled at once are a double write, hence an error.
                changes = [replace(s, condition=conjunction([taken, s.condition])) for s in changes]
            stores += changes
        return disjunction(alternatives), stores

    def lower(self, number: int, machine: Machine, row: Row) -> Action:
        """The action of one row of an active machine."""
        state = Cell(machine.state, own_indices(machine), machine.state.type)
        first: list[Expr] = [OneOf(state, tuple(Literal(s, state.type) for s in row.sources))]
        late: list[Expr] = []
        stores: list[Store] = []
        process = machine.process
        if process is not None and id(process) in self.crashing:
            first.append(Cell(process.alive, tuple(Me(d) for d in process.over), BOOL))
        guards, changes = self._lock_guard(machine, row)
        first, stores = first + guards, stores + changes
        own_guard = []
        for part in conjuncts(row.guard):
            if isinstance(part, Passed):
                guards, changes = self._pass(part.barrier, machine)
                first, stores = first + guards, stores + changes
            elif any(isinstance(e, Passed) for e in part.walk()):
                raise DefinitionError("passed(...) stands alone, joined by & to the rest of the guard", machine=machine.name, row=row.event)
            else:
                own_guard.append(part)
        for effect in row.effects:
            guards, changes = self._effect(effect, machine)
            (first if effect.condition is TRUE else late).extend(guards)
            stores += changes
        for move in row.moves:
            taken, changes = self._move(move)
            late.append(taken)
            stores += changes
        if row.destination is not None and (row.sources != (row.destination,)):
            stores.append(Store(TRUE, state, Literal(row.destination, state.type), "state"))
        guard = conjunction(first + own_guard + [c for g in late for c in conjuncts(g)])
        unit: tuple[str, ...] = ()
        if machine.row_fairness(row) != "none":
            unit = (machine.name, row.event, str(number)) if machine.fairness == "row" else (machine.name,)
        return Action(number, machine, row, guard, stores, unit)


# -- small builders --------------------------------------------------------------------------------------------------


def _unless(condition: Expr, then: Expr) -> Expr:
    return then if condition is TRUE else Op("or", Not(condition), then, BOOL)


def _equal_indices(left: tuple[Expr, ...], right: tuple[Expr, ...]) -> Expr:
    return conjunction([Op("==", a, b, BOOL) for a, b in zip(left, right)])


def _place_store(store: Store, place: Any) -> Store:
    return Store(substitute(store.condition, place), substitute(store.target, place), substitute(store.value, place), store.operation)


def _same_barrier(barrier: Cell, machine: Machine, copy: tuple[Expr, ...], system: System) -> Expr:
    """Whether that copy, when it waits at this barrier variable, waits at this cell of it."""
    if not barrier.indices:
        return TRUE
    bind = dict(zip(machine.copies, copy))
    cells: dict[str, tuple[Expr, ...]] = {}
    for row in machine.rows:
        for effect in row.effects:
            if isinstance(effect, Arrive) and effect.barrier.variable is barrier.variable:
                theirs = tuple(substitute(i, lambda e: bind[e.type] if isinstance(e, Me) else None) for i in effect.barrier.indices)
                cells[", ".join(map(str, theirs))] = theirs
                if len(cells) > 1 or not all(isinstance(i, Literal) for i in theirs):
                    raise DefinitionError(
                        f"a sense-reversing barrier is indexed by the copy's own indices, one cell a copy, not by `{effect.barrier}`",
                        machine=machine.name,
                        row=row.event,
                    )
    return _equal_indices(barrier.indices, next(iter(cells.values()))) if cells else Literal(False, BOOL)


def _message_place(cell: Cell, message: Expr) -> Item:
    """The count of that message in a bag."""
    channel = cell.variable
    assert isinstance(channel, Channel)
    array = channel.type
    if isinstance(channel.message, Record):
        parts = tuple(
            message.parts[k] if isinstance(message, MakeRecord) else Field(message, k, t) for k, (_, t) in enumerate(channel.message.fields)
        )
    else:
        parts = (message,)
    return Item(cell, parts, array.element)  # type: ignore[attr-defined]


def _bag_total(cell: Cell) -> Expr:
    """Number of messages in a bag."""
    array = cell.type
    dims: tuple[Scalar, ...] = array.dims  # type: ignore[attr-defined]

    def nested(k: int, chosen: tuple[Expr, ...]) -> Expr:
        if k == len(dims):
            return Item(cell, chosen, array.element)  # type: ignore[attr-defined]
        return sum_of(dims[k], lambda i: nested(k + 1, (*chosen, i)))

    return nested(0, ())
