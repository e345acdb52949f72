"""A walk through a system's states: rows fired as a recorded path says, then as a seeded fair schedule picks them.

One rule: every row is fired by the driver, whoever decides it: what the environment or a timer did on the path happens again. A
handler sees the state before and after its row, and of that only what the row touches or its machine owns.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from protocol import DefinitionError, OutOfRange, TraceError
from protocol.combine import conjuncts
from protocol.evaluate import evaluate, loader
from protocol.lower import Action, Instance
from protocol.machine import Machine, Row
from protocol.system import State, System, raw_cells
from protocol.trace import Trace
from protocol.types import Value, flat_index
from protocol.variable import Lock, Medium, Variable

from ..driver import Copy, Driver
from ..runtime.policy import Recorded
from ..store import Store


class Turns(Protocol):
    """Who gets a turn, and what it may do."""

    rng: random.Random

    def gets_turn(self, copy: object) -> bool: ...
    def takes(self, action: Action) -> bool: ...


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
    """One behaviour of a system, a row of the driver at a time; `observe` gets every step after its commit."""

    def __init__(self, system: System, observe: Callable[[Step], None] = lambda step: None):
        self.system, self.state, self._observe = system, system.initial_state(), observe
        self.driver = Driver(system, Store(system))
        self._copies = [*self.driver.copies.values(), *self.driver.environment.values()]
        self.fired = 0

    def enabled(self, copy: Copy, *actions: Action) -> list[Instance]:
        """Which of these rows the copy could fire now; a guard that leaves its types cannot."""
        found: list[Instance] = []
        for action in actions:
            try:
                found += self.driver.enabled(copy, action)
            except OutOfRange:
                continue
        return found

    def fire(self, copy: Copy, instance: Instance) -> bool:
        """Fire a row; False when it is not enabled.

        Raises:
            OutOfRange: an effect left its type; the state stays.
        """
        before, fired = self.state, self.driver.attempt(copy, instance)
        if fired is None:
            return False
        self.fired += 1
        self.state = self._with({**fired.stored, (copy.machine.state, copy.indices): copy.state})
        self._observe(Step(self.system, instance, before, self.state))
        return True

    def _with(self, stored: Mapping[tuple[Variable, tuple[Value, ...]], Value]) -> State:
        """The state with these cells changed."""
        state = list(self.state)
        for (variable, where), value in stored.items():
            number, place = self.system.position[id(variable)], flat_index(variable.over, where)
            state[number] = (*state[number][:place], value, *state[number][place + 1 :])
        return tuple(state)

    def follow(self, trace: Trace) -> None:
        """Fire the steps of a recorded trace. A last step that leaves its types, as the trace says, ends it.

        Raises:
            TraceError: a step is no row of the system, or not enabled: the trace is another system's, or an older version's.
        """
        for number, (copy, instances) in enumerate(Recorded(trace).steps(self.driver), 1):
            try:
                if not any(self.fire(copy, instance) for instance in instances):
                    text = f"step {number} of the trace, {instances[0]}, is not enabled there"
                    raise TraceError(f"{text}; find the trace anew with `interlock check --trace`")
            except OutOfRange:
                if not trace.steps[number - 1].failure:
                    raise

    def round(self, schedule: Turns, permits: Callable[[Instance], bool]) -> None:
        """Every copy that gets a turn, in an order drawn anew, fires one of the enabled rows that may be picked."""
        copies = list(self._copies)
        schedule.rng.shuffle(copies)
        for copy in copies:
            if schedule.gets_turn((copy.machine.name, copy.indices)):
                taken = [action for action in copy.rows[copy.state] if schedule.takes(action)]
                able = [instance for instance in self.enabled(copy, *taken) if permits(instance)]
                if able:
                    self._fire_within_types(copy, schedule.rng.choice(able))

    def _fire_within_types(self, copy: Copy, instance: Instance) -> None:
        """Fire a row unless it leaves its types: the engine would fail there, and the violated property `range` says so."""
        try:
            self.fire(copy, instance)
        except OutOfRange:
            return

    def waiting(self) -> list[str]:
        """Every living copy that is not at rest and has nothing to fire but polls: its state, and what its rows there wait for."""
        lines = []
        for copy in self.driver.copies.values():
            rows = [action for action in copy.rows[copy.state] if action.fairness != "none"]
            rests = copy.state in copy.machine.final or not self._is_alive(copy)
            if rests or self.enabled(copy, *(action for action in rows if not action.row.poll)):
                continue
            instances = [i for action in rows for i in action.instances() if i.copy == copy.indices]
            wants = dict.fromkeys(filter(None, map(self._obstacle, instances)))
            lines.append(f"{copy.name} in {copy.state.name}" + (f" waits for {' or '.join(wants)}" if wants else ""))
        return lines

    def _is_alive(self, copy: Copy) -> bool:
        process = copy.machine.process
        if process is None or id(process.alive) not in self.system.position:
            return True
        where = tuple(v for v, d in zip(copy.indices, copy.machine.copies) if d in process.over)
        return bool(self.state[self.system.position[id(process.alive)]][flat_index(process.alive.over, where)])

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
            return f"{instance.action.row.event} ({self._said(*foreign[-1])})"
        return ""

    def _said(self, variable: Variable, where: tuple[Value, ...]) -> str:
        """A cell and its value, for people."""
        value = loader(self.system, self.state)(variable, where)
        shown = ",".join(d.show(w) for d, w in zip(variable.over, where))
        cell = f"{variable.name}[{shown}]" if shown else variable.name
        if isinstance(variable, Lock):
            return f"{cell} is held by {variable.show_holder(value)}"
        barrier, is_bit, _ = variable.name.partition(".waiting.")
        return f"others have yet to arrive at {barrier}" if is_bit else f"{cell} is {variable.type.show(value)}"
