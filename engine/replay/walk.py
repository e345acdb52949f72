"""A walk through a system's states: rows fired as a recorded path says, then as a seeded fair schedule picks them.

One rule: every row is fired by `protocol.evaluate`, the norm, whoever decides it: what the environment or a timer did on the
path happens again. After the path only fair rows are picked: nobody aborts, crashes or times out any more.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Protocol

from protocol import DefinitionError, OutOfRange, TraceError
from protocol.combine import conjuncts
from protocol.evaluate import evaluate, loader, may_fire, successor
from protocol.lower import Instance
from protocol.machine import Machine, Row
from protocol.system import State, System, raw_cells
from protocol.trace import Trace
from protocol.types import Value, all_values, flat_index
from protocol.variable import Lock, Medium, Variable


class Turns(Protocol):
    """Who gets a turn, and what it may do."""

    rng: random.Random

    def gets_turn(self, copy: object) -> bool: ...
    def takes(self, instance: Instance) -> bool: ...


@dataclass(frozen=True)
class Step:
    """A fired row, as a handler gets it.

    `copy`: the values of the machine's indices. `values`: of the row's choices. A handler sees the cells that the row mentions
    and the private ones of its machine, before and after; any other is refused.
    """

    system: System
    instance: Instance
    state: State
    next_state: State

    @property
    def name(self) -> str:
        """`machine.event`: what handlers are bound to."""
        return self.instance.action.name

    @property
    def copy(self) -> tuple[Value, ...]:
        """The copy that fired it."""
        return self.instance.copy

    @property
    def values(self) -> dict[str, Value]:
        """What it chose."""
        return {p.name: v for p, v in zip(self.instance.action.row.choose, self.instance.values)}

    def touches(self, variable: str) -> bool:
        """Whether a handler of the row may look at that variable."""
        return variable in _seen_by(self.instance.action.machine, self.instance.action.row)

    def before(self, variable: str, *where: Value) -> Value:
        """The value of a cell in the state that the row read."""
        return self._cell(self.state, variable, where)

    def after(self, variable: str, *where: Value) -> Value:
        """The value of a cell when the row had fired."""
        return self._cell(self.next_state, variable, where)

    def _cell(self, state: State, name: str, where: tuple[Value, ...]) -> Value:
        if not self.touches(name):
            raise DefinitionError(f"a handler of {self.name} asks for {name}, which the row does not touch; bind it to a row that does")
        variable = self.system.variable(name)
        return state[self.system.position[id(variable)]][flat_index(variable.over, where)]


@lru_cache(4096)
def _seen_by(machine: Machine, row: Row) -> frozenset[str]:
    """Names of the variables that a handler of the row may look at."""
    touched = {cell.variable.name for cell in raw_cells(row)}
    own = {cell.variable.name for r in machine.rows for cell in raw_cells(r) if cell.variable.medium is Medium.PRIVATE}
    return frozenset(touched | own | {machine.state.name, *(move.machine.state.name for move in row.moves)})


class Walk:
    """One behaviour of a system, a row at a time; `observe` gets every step after its commit."""

    def __init__(self, system: System, observe: Callable[[Step], None] = lambda step: None):
        self.system, self.state, self._observe = system, system.initial_state(), observe
        self.fired = 0

    @cached_property
    def _copies(self) -> dict[tuple[str, tuple[Value, ...]], list[Instance]]:
        """The instances of every copy, in canonical order."""
        found: dict[tuple[str, tuple[Value, ...]], list[Instance]] = {}
        for instance in self.system.instances():
            found.setdefault((instance.action.machine.name, instance.copy), []).append(instance)
        return found

    def enabled(self, instance: Instance) -> bool:
        """Whether the row could fire; a guard that leaves its types cannot."""
        try:
            return may_fire(instance, loader(self.system, self.state))
        except OutOfRange:
            return False

    def fire(self, instance: Instance) -> Step | None:
        """Fire an enabled row; None where an effect leaves its type (the state stays)."""
        try:
            after = successor(self.system, self.state, instance)
        except OutOfRange:
            return None
        step = Step(self.system, instance, self.state, after)
        self.state, self.fired = after, self.fired + 1
        self._observe(step)
        return step

    @cached_property
    def _named(self) -> dict[str, list[Instance]]:
        """Instances by name; two rows of one event and copy share one, and are never both enabled."""
        found: dict[str, list[Instance]] = {}
        for instance in self.system.instances():
            found.setdefault(str(instance), []).append(instance)
        return found

    def follow(self, trace: Trace) -> None:
        """Fire the steps of a recorded trace. A last step without a successor (a range error) ends it.

        Raises:
            TraceError: a step is no row of the system, or not enabled: the trace is another system's, or an older version's.
        """
        for number, step in enumerate(trace.steps, 1):
            able = [i for i in self._named.get(step.name, []) if self._in_source(i) and self.enabled(i)]
            if not able:
                why = "cannot fire there" if step.name in self._named else f"is no row of system {self.system.name}"
                raise TraceError(f"step {number} of the trace, {step.name}, {why}; find the trace anew with `interlock check --trace`")
            if self.fire(able[0]) is None and number != len(trace.steps):
                raise TraceError(f"step {number} of the trace, {step.name}, leaves its types; find the trace anew with `interlock check --trace`")

    def round(self, schedule: Turns, permits: Callable[[Instance], bool]) -> None:
        """Every copy that gets a turn, in an order drawn anew, fires one of the enabled rows that may be picked."""
        copies = list(self._copies.items())
        schedule.rng.shuffle(copies)
        for copy, instances in copies:
            if schedule.gets_turn(copy):
                able = [i for i in instances if self._in_source(i) and schedule.takes(i) and permits(i) and self.enabled(i)]
                if able:
                    self.fire(schedule.rng.choice(able))

    def _in_source(self, instance: Instance) -> bool:
        """The control state alone: most rows need no further look."""
        machine = instance.action.machine
        place = self.system.position.get(id(machine.state))
        return place is None or self.state[place][flat_index(machine.copies, instance.copy)] in instance.action.row.sources

    def waiting(self) -> list[str]:
        """Every living copy that is not at rest and has nothing to fire but polls: its state, and what its rows there wait for."""
        lines = []
        for machine in self.system.active:
            if machine.environment:
                continue
            for copy in all_values(machine.copies):
                state = self.state[self.system.position[id(machine.state)]][flat_index(machine.copies, copy)]
                if state in machine.final or not self._alive(machine, copy):
                    continue
                rows = self._rows_of(machine, copy, state)
                if any(self.enabled(i) for i in rows if not i.action.row.poll):
                    continue
                wants = dict.fromkeys(filter(None, map(self._obstacle, rows)))
                lines.append(f"{machine.copy_name(copy)} in {state.name}" + (f" waits for {' or '.join(wants)}" if wants else ""))
        return lines

    def _alive(self, machine: Machine, copy: tuple[Value, ...]) -> bool:
        process = machine.process
        if process is None or id(process.alive) not in self.system.position:
            return True
        where = tuple(v for v, d in zip(copy, machine.copies) if d in process.over)
        return bool(self.state[self.system.position[id(process.alive)]][flat_index(process.alive.over, where)])

    def _rows_of(self, machine: Machine, copy: tuple[Value, ...], state: Value) -> list[Instance]:
        return [i for i in self._copies.get((machine.name, copy), []) if state in i.action.row.sources and i.action.fairness != "none"]

    def _obstacle(self, instance: Instance) -> str:
        """The row, and the cell whose value made the first false conjunct of its guard false; "" where no other copy could change it."""
        plain, seen = loader(self.system, self.state), []

        def load(variable: Variable, where: tuple[Value, ...]) -> Value:
            seen.append((variable, where))
            return plain(variable, where)

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
            variable, where = foreign[-1]
            shown = ",".join(d.show(w) for d, w in zip(variable.over, where))
            cell = f"{variable.name}[{shown}]" if shown else variable.name
            value = plain(variable, where)
            if isinstance(variable, Lock):
                return f"{instance.action.row.event} ({cell} is held by {variable.show_holder(value)})"
            if ".waiting." in variable.name:
                return f"{instance.action.row.event} (others have yet to arrive at {variable.name.partition('.')[0]})"
            return f"{instance.action.row.event} ({cell} is {variable.type.show(value)})"
        return ""
