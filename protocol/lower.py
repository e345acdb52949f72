"""From rows to actions: locks, barriers, channels, moves and crashes become plain guards and stores.

An `Action` is one row of one machine in the only form that the interpreter, the checker and the exports know: a guard
whose conjuncts are evaluated left to right, and a list of `Store` effects that read the state before it. An `Instance` is
an action for one copy and one value of each choice; instances are ordered by (row, copy, values), which is also how ties
among shortest paths are broken.

Order of a lowered guard: control state, process alive, lock free, barrier passed, channel ready, the row's own guard, the
guards of the passive rows that it moves. Implicit conditions come first, so that an author may write `ch.head == X` on a
receiving row without asking for emptiness.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from .combine import conjunction, conjuncts, disjunction, substitute, sum_of
from .effect import Arrive, BreakOpen, Crash, Effect, Receive, Restart, Send, Store
from .errors import DefinitionError
from .expr import BOOL, TRUE, Cell, Edited, Expr, Field, IfElse, Item, Length, Literal, MakeRecord, Me, Not, OneOf, Op, Param, Passed
from .machine import Machine, Move, Process, Row
from .types import Range, Record, Scalar, Value, all_values, flat_index
from .variable import Barrier, Channel, Lock, Variable

if TYPE_CHECKING:
    from .system import System


@dataclass(eq=False)
class Action:
    """One row in plain form. `number` is its place in the order of all rows of the system."""

    number: int
    machine: Machine
    row: Row
    guard: Expr
    stores: list[Store]
    unit: tuple[str, ...] = field(default=())
    """Name of its fairness unit within a copy: () when unfair."""

    @property
    def name(self) -> str:
        """`machine.event`."""
        return f"{self.machine.name}.{self.row.event}"

    @property
    def environment(self) -> bool:
        """Whether it belongs to the environment."""
        return self.machine.environment

    @property
    def fairness(self) -> str:
        """none, weak or strong."""
        return self.machine.row_fairness(self.row)

    def instances(self) -> Iterator[Instance]:
        """Every instance, ordered by copy and then by the values of its choices."""
        for copy in all_values(self.machine.copies):
            for values in all_values(tuple(p.type for p in self.row.choose)):  # type: ignore[misc]
                yield Instance(self, copy, values)

    def __repr__(self) -> str:
        return f"<action {self.number} {self.name}>"


@dataclass(frozen=True)
class Instance:
    """An action for one copy and one value of each choice."""

    action: Action
    copy: tuple[Value, ...]
    values: tuple[Value, ...]

    def environment(self) -> dict[Any, Value]:
        """What `Me` (by index type) and `Param` (by name) stand for."""
        env: dict[Any, Value] = dict(zip(self.action.machine.copies, self.copy))
        env.update((p.name, v) for p, v in zip(self.action.row.choose, self.values))
        return env

    @property
    def copy_name(self) -> str:
        """`worker[0]`."""
        return self.action.machine.copy_name(self.copy)

    def ground(self, expr: Expr) -> Expr:
        """The expression with the copy and the choices put in as literals."""
        env = self.environment()

        def change(e: Expr) -> Expr | None:
            if isinstance(e, Me):
                return Literal(env[e.type], e.type)
            if isinstance(e, Param) and e.name in env:
                return Literal(env[e.name], e.type)
            return None

        return substitute(expr, change)

    def __str__(self) -> str:
        row = self.action.row
        chosen = ", ".join(f"{p.name}={p.type.show(v)}" for p, v in zip(row.choose, self.values))
        return f"{self.copy_name}.{row.event}" + (f"({chosen})" if chosen else "")


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
                free = _compare("==", lock, 0)
                guards.append(free if mine is None else Op("or", free, Op("==", lock, mine, BOOL), BOOL))
        if row.acquire is not None:
            lock, mine = self._lock(row.acquire, machine)
            assert mine is not None
            guards.append(_compare("==", lock, 0))
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
        left = IfElse(_compare("==", barrier, n), _number(0, barrier), plus(barrier, -1), Range(0, 2 * n - 1))
        return [*guards, _compare(">=", barrier, n)], [Store(TRUE, barrier, left, "leave")]

    def _arrive(self, effect: Arrive, machine: Machine) -> tuple[list[Expr], list[Store]]:
        barrier = effect.barrier
        assert isinstance(barrier.variable, Barrier)
        shared, n = barrier.variable, barrier.variable.parties
        condition = effect.condition
        last = _compare("==", barrier, n - 1)
        if shared.kind == "sense":
            stores = [Store(condition, barrier, IfElse(last, _number(0, barrier), plus(barrier, 1), Range(0, n)), "arrive")]
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
        return [_unless(condition, _compare("<", barrier, n))], stores

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
            room = _compare("<", total, channel.capacity)
            more = plus(place, 1)
            if channel.on_full == "error":  # the total may be at capacity while each count is not
                more = IfElse(room, more, Literal(channel.capacity + 1, more.type), more.type)
            store = Store(condition, place, more, "send")
        else:
            room = _compare("<", Length(cell), channel.capacity)
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
            return [_unless(condition, _compare(">", place, 0))], [Store(condition, place, plus(place, -1), "receive")]
        ready = _unless(condition, _compare(">", Length(cell), 0))
        return [ready], [Store(condition, cell, Edited("pop", cell, ()), "receive")]

    # -- processes ---------------------------------------------------------------------------------------------------

    def _crash(self, effect: Crash) -> list[Store]:
        process, condition = effect.process, effect.condition
        stores = [Store(condition, Cell(process.alive, effect.indices, BOOL), Literal(False, BOOL), "crash")]
        places: list[tuple[Machine, Cell]] = []
        for machine in self.system.machines:
            if machine.process is process:
                states = (Cell(machine.state, i, machine.state.type) for i in _matching(machine.copies, process, effect.indices))
                places += [(machine, place) for place in states]
        for machine, place in places:
            stores.append(Store(condition, place, Literal(machine.restart, place.type), "crash"))
        stores += self._leave_barriers(places, condition) + self._leave_locks(effect)
        for variable in self.system.memory_of(process):
            for indices in _matching(variable.over, process, effect.indices):
                lost = Literal(_value_after_crash(variable, process, indices), variable.type)
                stores.append(Store(condition, Cell(variable, indices, variable.type), lost, "crash"))
        return stores

    def _leave_locks(self, effect: Crash) -> list[Store]:
        """What crashed copies held stays held, by nobody: after a restart the copy of that number is another one."""
        process, stores = effect.process, []
        for lock in self.locks:
            numbers: list[Expr] = []
            for machine, first in lock.holders:
                if machine.process is process:
                    copies = (dict(zip(machine.copies, c)) for c in _matching(machine.copies, process, effect.indices))
                    own = plus(copy_number(machine), first)
                    numbers += [substitute(own, lambda e, by=by: by.get(e.type) if isinstance(e, Me) else None) for by in copies]  # type: ignore[misc]
            for where in all_values(lock.over) if numbers else ():
                cell = Cell(lock, tuple(Literal(v, d) for v, d in zip(where, lock.over)), lock.type)
                held = disjunction([Op("==", cell, number, BOOL) for number in numbers])
                assert lock.nobody is not None
                stores.append(Store(conjunction([effect.condition, held]), cell, Literal(lock.nobody, lock.type), "crash"))
        return stores

    def _leave_barriers(self, places: list[tuple[Machine, Cell]], condition: Expr) -> list[Store]:
        """Crashed copies that waited in a barrier: their arrivals stay counted, and they leave without taking a step."""
        waiting: dict[str, Cell] = {}
        inside: dict[str, tuple[Cell, list[Expr]]] = {}
        for machine, place in places:
            bind = dict(zip(machine.copies, place.indices))
            entered: dict[str, tuple[Cell, set[IntEnum]]] = {}
            for row in machine.rows:
                for barrier in (e.barrier for e in row.effects if isinstance(e, Arrive)):
                    shared = barrier.variable
                    assert isinstance(shared, Barrier)
                    if shared.kind == "sense":
                        bit = Cell(shared.waiting_of(machine), place.indices, BOOL)
                        waiting[str(bit)] = bit
                        continue
                    cell = substitute(barrier, lambda e, b=bind: b.get(e.type) if isinstance(e, Me) else None)  # type: ignore[misc]
                    assert isinstance(cell, Cell)
                    entered.setdefault(str(cell), (cell, set()))[1].update([row.destination] if row.destination is not None else row.sources)
            for name, (cell, states) in entered.items():
                here = OneOf(place, tuple(Literal(s, place.type) for s in sorted(states)))
                inside.setdefault(name, (cell, []))[1].append(here)
        stores = [Store(condition, bit, Literal(False, BOOL), "crash") for bit in waiting.values()]
        for cell, copies in inside.values():
            stores += _abandon(cell, copies, condition)
        return stores

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
            return [], self._crash(effect)
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


def _number(value: int, like: Expr) -> Literal:
    return Literal(value, Range(min(value, 0), max(value, 0)) if not isinstance(like.type, Range) else like.type)


def plus(expr: Expr, amount: int) -> Expr:
    if amount == 0:
        return expr
    low, high = (expr.type.low, expr.type.high) if isinstance(expr.type, Range) else (0, expr.type.size - 1)  # type: ignore[attr-defined]
    if isinstance(expr, Literal):
        return Literal(expr.const + amount, Range(expr.const + amount, expr.const + amount))
    return Op("+", expr, Literal(amount, Range(amount, amount)), Range(low + amount, high + amount))


def _compare(kind: str, expr: Expr, value: int) -> Expr:
    return Op(kind, expr, Literal(value, Range(value, value)), BOOL)


def _unless(condition: Expr, then: Expr) -> Expr:
    return then if condition is TRUE else Op("or", Not(condition), then, BOOL)


def _equal_indices(left: tuple[Expr, ...], right: tuple[Expr, ...]) -> Expr:
    return conjunction([Op("==", a, b, BOOL) for a, b in zip(left, right)])


def _place_store(store: Store, place: Any) -> Store:
    return Store(substitute(store.condition, place), substitute(store.target, place), substitute(store.value, place), store.operation)


def _abandon(barrier: Cell, copies: list[Expr], condition: Expr) -> list[Store]:
    """Those of the copies that wait in a draining barrier leave it: at once when it drains, as soon as it fills otherwise."""
    shared = barrier.variable
    assert isinstance(shared, Barrier)
    n, most = shared.parties, len(copies)
    leaving: Expr = Literal(0, Range(0, 0))
    for k, here in enumerate(copies, 1):
        one = IfElse(here, Literal(1, Range(1, 1)), Literal(0, Range(0, 0)), Range(0, 1))
        leaving = one if k == 1 else Op("+", leaving, one, Range(0, k))
    gone = Cell(shared.abandoned, barrier.indices, shared.abandoned.type)
    filling = conjunction([condition, _compare(">", leaving, 0), _compare("<", barrier, n)])
    draining = conjunction([condition, _compare(">", leaving, 0), _compare(">=", barrier, n)])
    rest = Op("-", barrier, leaving, Range(-most, 2 * n - 1))
    left = IfElse(_compare("==", rest, n - 1), _number(0, barrier), rest, rest.type)
    return [
        Store(filling, gone, Op("+", gone, leaving, Range(0, n + most)), "crash"),
        Store(draining, barrier, left, "crash"),
    ]


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


def _bound(dims: tuple[Scalar, ...], process: Process) -> dict[int, int]:
    """Which of the dimensions belong to the process: the first of each of its index types; their places in `process.over`."""
    return {dims.index(d): k for k, d in enumerate(process.over) if d in dims}


def _matching(dims: tuple[Scalar, ...], process: Process, at: tuple[Expr, ...]) -> Iterator[tuple[Expr, ...]]:
    """Index tuples over `dims` whose parts that belong to the process are those of `at`."""
    bound = _bound(dims, process)
    for values in all_values(tuple(d for k, d in enumerate(dims) if k not in bound)):
        rest = iter(values)
        yield tuple(at[bound[k]] if k in bound else Literal(next(rest), d) for k, d in enumerate(dims))


def _value_after_crash(variable: Variable, process: Process, at: tuple[Expr, ...]) -> Value:
    """What a lost cell is reset to: its initial value, which must not depend on which process died."""
    bound = _bound(variable.over, process)
    found = set()
    for copy in all_values(process.over):
        cell = tuple(copy[bound[k]] if k in bound else i.const for k, i in enumerate(at))  # type: ignore[attr-defined]
        found.add(variable.initial[flat_index(variable.over, cell)])
    if len(found) > 1:
        raise DefinitionError(f"variable {variable.name}: a crash of {process.name} resets it, so its copies must start alike")
    return found.pop()
