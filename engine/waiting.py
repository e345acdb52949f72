"""Who waits for whom: every copy that is not at rest and can do nothing by itself, and what its rows wait for.

A function of the cells as they are: asked where a run stands still, it names for each copy the cell that another one would have to change,
and who could: the machines with a row that stores to it, the holder of a lock, those who are missing at a barrier.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from protocol.action import Action, Instance
from protocol.combine import conjuncts
from protocol.errors import OutOfRange
from protocol.evaluate import evaluate
from protocol.expr import Expr
from protocol.machine import Machine
from protocol.system import System
from protocol.types import Scalar, Value, all_values
from protocol.variable import Barrier, Lock, Medium, Variable

from .driver import Copy, Driver

INSTANCES_MAX = 4096
"""Of a row with more values of its choices, so many are looked at."""
VALUES_MAX = 256
"""Of a cell with more values, none is tried."""
WRITERS_MAX = 3
"""A cell that more machines change is nobody's in particular."""


def waiting(driver: Driver, goes_on: Callable[[Action], bool]) -> list[str]:
    """Every living copy that is not at rest and could fire none of the rows that `goes_on` says are worth it: its state, and what for."""
    lines = []
    for copy in driver.copies.values():
        rows = [action for action in copy.rows[copy.state] if action.fairness != "none"]
        if copy.state in copy.machine.final or not is_alive(driver, copy) or any(is_enabled(driver, copy, a) for a in rows if goes_on(a)):
            continue
        wants: dict[str, dict[str, None]] = {}
        for action in rows:
            for obstacle in _obstacles(driver, copy, action):
                wants.setdefault(obstacle, {})[action.row.event] = None
        said = " or ".join(f"{' or '.join(events)} ({obstacle})" for obstacle, events in wants.items())
        lines.append(f"{copy.name} in {copy.state.name}" + (f" waits for {said}" if said else ""))
    return lines


def folded(lines: Sequence[str]) -> str:
    """All of it in one line: of copies of one machine in one state, what the first waits for."""
    groups: dict[tuple[str, str], list[str]] = {}
    for line in lines:
        name, _, rest = line.partition(" in ")
        groups.setdefault((name.partition("[")[0], rest.partition(" ")[0]), []).append(line)
    said = []
    for (_, state), group in groups.items():
        names = [line.partition(" in ")[0] for line in group]
        rest = group[0].partition(f" in {state}")[2]
        said.append(f"{', '.join(names)} in {state}{rest}" + (" and so on" if rest and len(names) > 1 else ""))
    return "; ".join(said)


def is_enabled(driver: Driver, copy: Copy, action: Action) -> bool:
    """Whether the row could fire now; one whose guard leaves its types cannot."""
    try:
        return driver.is_enabled(copy, action)
    except OutOfRange:
        return False


def is_alive(driver: Driver, copy: Copy) -> bool:
    """Whether the copy's process lives; one without a process always does."""
    process = copy.machine.process
    if process is None or all(process.alive is not v for v in driver.system.variables):
        return True
    return bool(driver.store.load(process.alive, tuple(v for v, d in zip(copy.indices, copy.machine.copies) if d in process.over)))


def _obstacles(driver: Driver, copy: Copy, action: Action) -> list[str]:
    """What the row waits for, for each of the values that it may choose."""
    chosen = all_values(tuple(p.type for p in action.row.choose))  # type: ignore[misc]
    instances = (Instance(action, copy.indices, values) for _, values in zip(range(INSTANCES_MAX), chosen))
    return [text for text in (_obstacle(driver, instance) for instance in instances) if text]


def _obstacle(driver: Driver, instance: Instance) -> str:
    """The cell whose value made the first false conjunct of the row's guard false, and who could change it; "" where no other copy could."""
    seen: list[tuple[Variable, tuple[Value, ...]]] = []

    def load(variable: Variable, where: tuple[Value, ...]) -> Value:
        seen.append((variable, where))
        return driver.store.load(variable, where)

    for part in conjuncts(instance.action.guard):
        seen.clear()
        try:
            if evaluate(part, instance.environment(), load):
                continue
        except OutOfRange:
            pass
        foreign = [(v, where) for v, where in seen if v.medium is not Medium.PRIVATE]
        if not foreign or foreign[-1][0] is instance.action.machine.state:
            return ""
        changed = [(v, where) for v, where in foreign if _writers(driver, instance.action.machine, v)] or foreign
        enough = [cell for cell in changed if _would_do(driver, instance, part, *cell)]
        return _said(driver, instance.action.machine, *(enough or changed)[-1])
    return ""


def _would_do(driver: Driver, instance: Instance, part: Expr, variable: Variable, where: tuple[Value, ...]) -> bool:
    """Whether another value of this cell alone would make that part of the guard true: of a sum over many cells not every one holds it up."""
    if not isinstance(variable.type, Scalar) or variable.type.size > VALUES_MAX:
        return False

    def holds_with(value: Value) -> bool:
        def load(other: Variable, there: tuple[Value, ...]) -> Value:
            return value if other is variable and there == where else driver.store.load(other, there)

        try:
            return bool(evaluate(part, instance.environment(), load))
        except OutOfRange:
            return False

    return any(holds_with(value) for value in variable.type.values())


def _writers(driver: Driver, machine: Machine, variable: Variable) -> list[str]:
    """The machines of which another copy than one of `machine` could change the variable."""
    storing = _storing(driver.system).get(id(variable), {})
    return [name for name, by in storing.items() if by is not machine or machine.copies]


@lru_cache(8)
def _storing(system: System) -> dict[int, dict[str, Machine]]:
    """The machines with a row that stores to a variable, by the variable's id."""
    found: dict[int, dict[str, Machine]] = {}
    for action in system.actions:
        for store in action.stores:
            found.setdefault(id(store.cell.variable), {})[action.machine.name] = action.machine
    return found


def _said(driver: Driver, machine: Machine, variable: Variable, where: tuple[Value, ...]) -> str:
    """A cell and its value, and who could change it, for people."""
    value, cell = driver.store.load(variable, where), variable.cell_name(where)
    if isinstance(variable, Lock):
        return f"{cell} is held by {variable.show_holder(value)}"
    for barrier in driver.system.variables:
        if isinstance(barrier, Barrier) and any(variable is bit for bit in barrier.waiting.values()):
            return _missing(driver, barrier)
    writers = _writers(driver, machine, variable)
    changed = f", which {' or '.join(writers)} changes" if 0 < len(writers) <= WRITERS_MAX else ""
    return f"{cell} is {variable.type.show(value)}{changed}"


def _missing(driver: Driver, barrier: Barrier) -> str:
    """Who has yet to arrive: by name, where the barrier is one for all copies that ever arrive there."""
    machines = {copy.machine.name: copy.machine for copy in driver.copies.values()}
    bits = [(machines[name], bit, where) for name, bit in barrier.waiting.items() for where in all_values(bit.over)]
    if len(bits) != barrier.parties:
        return f"others have yet to arrive at {barrier.name}"
    names = [machine.copy_name(where) for machine, bit, where in bits if not driver.store.load(bit, where)]
    return f"{' and '.join(names)} {'has' if len(names) == 1 else 'have'} yet to arrive at {barrier.name}"
