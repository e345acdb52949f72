"""A walk through a system's states: rows fired as a recorded path says, then as a seeded fair schedule picks them.

One rule: every row is fired by the driver, whoever decides it: what the environment or a timer did on the path happens again. A
handler sees the state before and after its row, and of that only what the row touches or its machine owns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

from protocol import DefinitionError, OutOfRange, TraceError
from protocol.action import Action, Instance
from protocol.machine import Machine, Row
from protocol.system import State, System, raw_cells
from protocol.trace import Trace
from protocol.types import Value, flat_index
from protocol.variable import Medium, Variable

from ..driver import Copy, Driver
from ..store import Store
from ..waiting import waiting
from .path import steps_of


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
        """Whether a handler of the row may look at that variable; a ghost that no property asks about is in no system."""
        return variable in _seen_by(self.instance.action.machine, self.instance.action.row) and any(v.name == variable for v in self.system.variables)

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
        self.copies: list[Copy] = [*self.driver.copies.values(), *self.driver.environment.values()]
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
        for number, (copy, instances) in enumerate(steps_of(trace, self.driver), 1):
            try:
                if not any(self.fire(copy, instance) for instance in instances):
                    text = f"step {number} of the trace, {instances[0]}, is not enabled there"
                    raise TraceError(f"{text}; find the trace anew with `interlock check --trace`")
            except OutOfRange:
                if not trace.steps[number - 1].failure:
                    raise

    def turn(
        self, copy: Copy, takes: Callable[[Action], bool], permits: Callable[[Instance], bool], pick: Callable[[Sequence[Instance]], Instance]
    ) -> Instance | None:
        """The copy fires one of its enabled rows, if any may be picked: that row.

        One that leaves its types is not fired: the engine would fail there, and the violated property `range` says so.
        """
        rows = [action for action in copy.rows[copy.state] if takes(action)]
        able = [instance for instance in self.enabled(copy, *rows) if permits(instance)]
        if able:
            with suppress(OutOfRange):
                if self.fire(copy, picked := pick(able)):
                    return picked
        return None

    def waiting(self) -> list[str]:
        """Every living copy that is not at rest and has nothing to fire but polls: its state, and what its rows there wait for."""
        return waiting(self.driver, lambda action: not action.row.poll)
