"""Crashes as stores: what dies with a process, and what it leaves behind.

Control states and memory of its copies start anew; what they held stays held, by nobody; where they waited in a barrier their
arrivals stay counted, and they leave without a step. `lower.py` makes these the effects of the crashing row.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import TYPE_CHECKING

from .combine import compare, conjunction, disjunction, plus, substitute
from .effect import Arrive, BreakOpen, Crash, Store
from .errors import DefinitionError
from .expr import Cell, Expr, IfElse, Literal, Me, OneOf, Op
from .machine import Machine, Process, copy_number
from .types import BOOL, Range, Scalar, Value, all_values, flat_index
from .variable import Barrier, Lock, Variable

if TYPE_CHECKING:
    from .system import System


def crash_stores(system: System, locks: list[Lock], effect: Crash) -> list[Store]:
    """What a crash does in one step: to liveness, control states, barriers, locks and memory of the copies of that process."""
    process, condition = effect.process, effect.condition
    stores = [Store(condition, Cell(process.alive, effect.indices, BOOL), Literal(False, BOOL), "crash")]
    places: list[tuple[Machine, Cell]] = []
    for machine in system.machines:
        if machine.process is process:
            states = (Cell(machine.state, i, machine.state.type) for i in _matching(machine.copies, process, effect.indices))
            places += [(machine, place) for place in states]
    for machine, place in places:
        stores.append(Store(condition, place, Literal(machine.restart, place.type), "crash"))
    memory = [part for variable in system.memory_of(process) for part in (variable, *_beside(system, variable))]
    met = [place for place in _leave_barriers(places, condition) if not any(place.cell.variable is v for v in memory)]
    stores += met + _leave_locks(locks, effect)
    for variable in memory:
        for indices in _matching(variable.over, process, effect.indices):
            lost = Literal(_value_after_crash(variable, process, indices), variable.type)
            stores.append(Store(condition, Cell(variable, indices, variable.type), lost, "crash"))
    return stores


def _beside(system: System, variable: Variable) -> list[Variable]:
    """What is kept beside a barrier, and made anew with it."""
    if not isinstance(variable, Barrier):
        return []
    effects = [e for m in system.machines for r in m.rows for e in r.effects]
    broken = any(isinstance(e, BreakOpen) and e.barrier.variable is variable for e in effects)
    return [v for v, used in ((variable.broken, broken), (variable.abandoned, variable.kind == "draining")) if used]


def _leave_locks(locks: list[Lock], effect: Crash) -> list[Store]:
    """What crashed copies held stays held, by nobody: after a restart the copy of that number is another one."""
    process, stores = effect.process, []
    for lock in locks:
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


def _leave_barriers(places: list[tuple[Machine, Cell]], condition: Expr) -> list[Store]:
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
    filling = conjunction([condition, compare(">", leaving, 0), compare("<", barrier, n)])
    draining = conjunction([condition, compare(">", leaving, 0), compare(">=", barrier, n)])
    rest = Op("-", barrier, leaving, Range(-most, 2 * n - 1))
    left = IfElse(compare("==", rest, n - 1), Literal(0, barrier.type), rest, rest.type)
    return [
        Store(filling, gone, Op("+", gone, leaving, Range(0, n + most)), "crash"),
        Store(draining, barrier, left, "crash"),
    ]


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
