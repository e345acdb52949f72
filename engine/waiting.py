"""Who waits for whom: every copy that is not at rest and can do nothing by itself, and what its rows wait for.

A function of the cells as they are: asked where a run stands still, it names for each copy the cell that another one would have to change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from protocol.action import Action, Instance
from protocol.combine import conjuncts
from protocol.errors import OutOfRange
from protocol.evaluate import evaluate
from protocol.types import Value, all_values
from protocol.variable import Lock, Medium, Variable

from .driver import Copy, Driver

INSTANCES_MAX = 4096
"""Of a row with more values of its choices, so many are looked at."""


def waiting(driver: Driver, goes_on: Callable[[Action], bool]) -> list[str]:
    """Every living copy that is not at rest and could fire none of the rows that `goes_on` says are worth it: its state, and what for."""
    lines = []
    for copy in driver.copies.values():
        rows = [action for action in copy.rows[copy.state] if action.fairness != "none"]
        if copy.state in copy.machine.final or not is_alive(driver, copy) or any(is_enabled(driver, copy, a) for a in rows if goes_on(a)):
            continue
        wants = dict.fromkeys(want for action in rows for want in _obstacles(driver, copy, action))
        lines.append(f"{copy.name} in {copy.state.name}" + (f" waits for {' or '.join(wants)}" if wants else ""))
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
    """The row, and the cell whose value made the first false conjunct of its guard false; "" where no other copy could change it."""
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
        return f"{instance.action.row.event} ({_said(driver, *foreign[-1])})"
    return ""


def _said(driver: Driver, variable: Variable, where: tuple[Value, ...]) -> str:
    """A cell and its value, for people."""
    value = driver.store.load(variable, where)
    cell = variable.cell_name(where)
    if isinstance(variable, Lock):
        return f"{cell} is held by {variable.show_holder(value)}"
    barrier, is_bit, _ = variable.name.partition(".waiting.")
    return f"others have yet to arrive at {barrier}" if is_bit else f"{cell} is {variable.type.show(value)}"
