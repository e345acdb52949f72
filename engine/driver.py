"""The driver: fires rows. The only file that knows `transitions`.

One rule: a row fires in one critical section - guard, effects, commit - and what comes out is a `Step`. "Not enabled" is a
normal answer of `attempt`; `fire` is for a caller who knows, and raises GuardFailed. Rows are compiled (`row.py`); that they
mean what `protocol.evaluate` says is a property test.

Each kind of machine is one `transitions.Machine` without models of its own, and a copy's control state is moved by it and by
nothing else, but for a crash. Every row has a trigger of its own (`event@number`), because two rows of one event may share a source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from typing import Any

import transitions

from protocol import GuardFailed
from protocol.action import Action, Instance
from protocol.combine import conjuncts
from protocol.evaluate import evaluate, no_cell
from protocol.expr import Cell, Param
from protocol.machine import Machine
from protocol.system import System
from protocol.types import Value, all_values, flat_index
from protocol.variable import Variable

from .numbering import Numbering, Place
from .row import Bound, Cells, Row, Write
from .step import Step, Telling
from .store import Store


class Copy:
    """One running copy of a machine: the model of its `transitions.Machine`. `rows`: those that can leave a state, by state."""

    __slots__ = ("_place", "_states", "indices", "machine", "name", "rows")

    def __init__(self, machine: Machine, indices: tuple[Value, ...], rows: Sequence[Action], states: Any):
        self.machine, self.indices, self.name = machine, indices, machine.copy_name(indices)
        self.rows: dict[IntEnum, list[Action]] = {s: [a for a in rows if s in a.row.sources] for s in machine.states}
        self._states, self._place = states, flat_index(machine.copies, indices)

    @property
    def state(self) -> IntEnum:
        """The control state; it lies among the cells, because a crash resets it."""
        return self._states[self._place]  # type: ignore[no-any-return]

    @state.setter
    def state(self, state: IntEnum) -> None:
        self._states[self._place] = state


class Trigger(transitions.Event):
    """A trigger of one row, hence with one transition a source.

    There is no queue and no callback, and nothing to decide: the row has been found enabled, and acts after its commit.
    """

    def __init__(self, name: str, machine: transitions.Machine):
        super().__init__(name, machine)
        self._destinations: dict[IntEnum, IntEnum] = {}

    def add_transition(self, transition: transitions.Transition) -> None:
        """Know where it leads; one without a destination is internal, and stays."""
        super().add_transition(transition)
        self._destinations[self._state(transition.source)] = self._state(transition.dest or transition.source)

    def trigger(self, model: Any, *args: Any, **kwargs: Any) -> bool:
        """Take the transition that leaves the model's state."""
        model.state = self._destinations[model.state]
        return True

    def _state(self, name: str) -> IntEnum:
        return self.machine.states[name].value  # type: ignore[return-value]


class Kind(transitions.Machine):
    """A machine of the protocol as one of `transitions`, by the classes that it lets one choose."""

    event_cls = Trigger


class Noted:
    """Cells whose reads are noted."""

    __slots__ = ("_cells", "_count", "_number", "_seen", "active")

    def __init__(self, cells: Any, variable: Variable, number: int, seen: dict[Place, Value]):
        self._cells, self._count, self._number, self._seen = cells, variable.cells, number, seen
        self.active = getattr(cells, "active", None)

    def __getitem__(self, place: int) -> Value:
        value = self._seen[self._number, place] = self._cells[place]
        return value

    def __iter__(self) -> Iterator[Value]:
        return (self[place] for place in range(self._count))


class Driver:
    """Fires the rows of some copies of a system over a store.

    Args:
        store: the cells of that system. rows: compiled for another driver of the same system; None to compile them.
    """

    def __init__(self, system: System, store: Store, rows: Sequence[Row] | None = None):
        self.system, self.store = system, store
        variables = store.numbering.variables
        self._seen: dict[Place, Value] = {}
        self._plain: list[Cells] = [store.cells(v) for v in variables]
        self._telling = Telling(variables, self._plain)
        self._noted: list[Cells] = [Noted(cells, v, n, self._seen) for n, (v, cells) in enumerate(zip(variables, self._plain))]
        self.rows = [Row(action, self.store.numbering) for action in system.actions] if rows is None else rows
        self._bound: dict[int, tuple[Bound, Bound]] = {}
        self._triggers = dict(trigger for m in system.active for trigger in self._triggers_of(m))
        everybody = {(m.name, c): self._copy(m, c) for m in system.active for c in all_values(m.copies)}
        self.copies = {key: copy for key, copy in everybody.items() if not copy.machine.environment}
        self.environment = {key: copy for key, copy in everybody.items() if copy.machine.environment}
        self.observers: list[Callable[[Copy, Instance, Sequence[Write]], None]] = []
        """Called with the copy that has fired a row, the row, and what it wrote."""

    @property
    def numbering(self) -> Numbering:
        """The numbers of the system's variables, as its writes and reads tell them."""
        return self.store.numbering

    def prepare(self, copy: Copy) -> None:
        """Compile every row of the copy; one that is not prepared is compiled when it is first looked at, which takes milliseconds."""
        for actions in copy.rows.values():
            for action in actions:
                self._row(action)

    def enabled(self, copy: Copy, *actions: Action) -> Iterator[Instance]:
        """The rows of the copy (or some of those that can leave its state) that could fire now, in canonical order, one by one.

        Raises:
            OutOfRange: a guard left its types.
        """
        for action in actions or copy.rows[copy.state]:
            yield from self.openings(copy, action)

    def openings(self, copy: Copy, action: Action) -> list[Instance]:
        """A row that can leave the copy's state, for all values of its choices with which it could fire now, in canonical order."""
        self.store.look()
        return [Instance(action, copy.indices, values) for values in self._row(action)[0].search(*copy.indices)]

    def is_enabled(self, copy: Copy, action: Action) -> bool:
        """Whether a row that can leave the copy's state could fire now, for some values of its choices."""
        self.store.look()
        return any(True for _ in self._row(action)[0].search(*copy.indices))

    def attempt(self, copy: Copy, instance: Instance, cargo: Any = None) -> Step | None:
        """Fire the row if its guard holds; None when it is not enabled.

        Raises:
            OutOfRange: an effect left its type; nothing has been written.
        """
        action, source = instance.action, copy.state
        if source not in action.row.sources:
            return None
        noted, given = self._row(action)[1], (*copy.indices, *instance.values)
        self._seen.clear()
        self.store.begin(action)
        if not noted.guard(*given):
            return None
        writes = noted.effects(*given)
        seen = self._seen.copy()
        found = self.store.commit(writes, seen, cargo)
        self.move(copy, action)
        for observe in self.observers:
            observe(copy, instance, writes)
        return Step(copy.name, source, instance, self._telling, seen, writes, found)

    def move(self, copy: Copy, action: Action) -> None:
        """The control state moves as the row says; its guard is taken to hold."""
        self._triggers[action.number].trigger(copy)

    def fire(self, copy: Copy, instance: Instance, cargo: Any = None) -> Step:
        """Fire a row that must be enabled.

        Raises:
            GuardFailed: it is not.
        """
        step = self.attempt(copy, instance, cargo)
        if step is None:
            row = instance.action.row
            raise GuardFailed(f"not enabled in state {copy.state.name}; ask `enabled` first", machine=copy.name, row=row.event)
        return step

    # -- machines and rows -------------------------------------------------------------------------------------------

    def _row(self, action: Action) -> tuple[Bound, Bound]:
        """The compiled row over the cells, and over the cells whose reads are noted."""
        bound = self._bound.get(action.number)
        if bound is None:
            row = self.rows[action.number]
            bound = self._bound[action.number] = row.bind(self._plain), row.bind(self._noted)
        return bound

    def _triggers_of(self, machine: Machine) -> Iterator[tuple[int, transitions.Event]]:
        """The machine as one of `transitions`: the trigger of each of its rows, by the row's number."""
        kind = Kind(None, states=machine.states, initial=machine.initial, auto_transitions=False, queued=False)
        for action in self.system.actions:
            if action.machine is machine:
                name = f"{action.row.event}@{action.number}"
                kind.add_transition(name, list(action.row.sources), action.row.destination)
                yield action.number, kind.events[name]

    def _copy(self, machine: Machine, indices: tuple[Value, ...]) -> Copy:
        rows = [a for a in self.system.actions if a.machine is machine and not _is_foreign(a, indices)]
        return Copy(machine, indices, rows, self.store.cells(machine.state))


def _is_foreign(action: Action, indices: tuple[Value, ...]) -> bool:
    """Whether a conjunct over nothing but the copy's own indices rules the row out for this copy (`rank == 0`)."""
    bind: dict[Any, Value] = dict(zip(action.machine.copies, indices))
    for part in conjuncts(action.guard):
        if not any(isinstance(e, (Cell, Param)) for e in part.walk()) and not evaluate(part, bind, no_cell):
            return True
    return False
