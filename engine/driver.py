"""The driver: fires rows. The only file that knows `transitions`.

One rule: a row fires in one critical section - guard by `protocol.evaluate`, effects, commit - and what comes out is a
`Step`. "Not enabled" is a normal answer of `attempt`; `fire` is for a caller who knows, and raises GuardFailed.

Each kind of machine is one `transitions.Machine(None, ...)` without models of its own; the control state of a copy lies in
its `Copy`. Every row has a trigger of its own (`event@number`), because two rows of one event may share a source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import transitions

from protocol import DefinitionError, GuardFailed
from protocol.combine import conjuncts
from protocol.evaluate import effects_of, evaluate, may_fire
from protocol.expr import Cell, Param
from protocol.lower import Action, Instance
from protocol.machine import Machine
from protocol.system import System
from protocol.types import Value, all_values
from protocol.variable import Medium, Variable

from .store import Store, shared_between_copies

UNSEEN = (Medium.PRIVATE, Medium.GHOST, Medium.LOCK)
RUN = ("prompt", "decided")
"""Who may decide a row that the engine runs: nobody else is there yet."""


@dataclass(frozen=True)
class Step:
    """A fired row, as a handler and the log get it.

    `values`: of its choices. `reads` and `writes`: the shared cells that it loaded and stored, with their values, as text.
    `cargo`: what lay with the message in the section that the row held.
    """

    machine: str
    copy: tuple[Value, ...]
    copy_name: str
    event: str
    values: dict[str, str]
    reads: dict[str, str]
    writes: dict[str, str]
    cargo: Any = None

    @property
    def name(self) -> str:
        """`machine.event`: what handlers are bound to."""
        return f"{self.machine}.{self.event}"


class Copy:
    """One running copy of a machine: the model of its `transitions.Machine`."""

    __slots__ = ("machine", "indices", "state", "instances")

    def __init__(self, machine: Machine, indices: tuple[Value, ...], instances: list[Instance]):
        self.machine, self.indices = machine, indices
        self.state: IntEnum = machine.state.initial[list(all_values(machine.copies)).index(indices)]
        self.instances: dict[IntEnum, list[Instance]] = {s: [i for i in instances if s in i.action.row.sources] for s in machine.states}

    @property
    def name(self) -> str:
        """`worker[0]`."""
        return self.machine.copy_name(self.indices)


@dataclass
class Firing:
    """One attempt: what it read and wrote, and whether it committed."""

    instance: Instance
    cargo: Any = None
    reads: dict[str, str] = field(default_factory=dict)
    writes: dict[str, str] = field(default_factory=dict)
    found: Any = None
    committed: bool = False


class Driver:
    """Fires the rows of some copies of a system over a store.

    Raises:
        DefinitionError: what an engine cannot run: a private variable of two machines, a row that neither fires by itself
            nor is decided by a handler.
    """

    def __init__(self, system: System, store: Store):
        foreign = shared_between_copies(system)
        if foreign:
            raise DefinitionError(f"variable {min(foreign)} is private, but several machines use it; give it a shared medium")
        for action in system.actions:
            row = action.row
            if not action.machine.environment and row.decided not in RUN:
                text = f"decided={row.decided!r}: the engine runs rows that are {' or '.join(RUN)}"
                raise DefinitionError(text, machine=action.machine.name, row=row.event)
        self.system, self.store = system, store
        self._kinds = {m.name: self._kind(m) for m in system.active if not m.environment}
        self.copies = {(m.name, c): self._copy(m, c) for m in system.active if not m.environment for c in all_values(m.copies)}

    def enabled(self, copy: Copy) -> Iterator[Instance]:
        """The rows of the copy that could fire now, in canonical order; each looked at on its own."""
        for instance in copy.instances[copy.state]:
            self.store.begin(instance.action, firing=False)
            try:
                able = may_fire(instance, self._loader(copy, {}))
            finally:
                self.store.abandon()
            if able:
                yield instance

    def attempt(self, copy: Copy, instance: Instance, cargo: Any = None) -> Step | None:
        """Fire the row if its guard holds; None when it is not enabled.

        Raises:
            OutOfRange: an effect left its type; nothing has been written.
        """
        if copy.state not in instance.action.row.sources:
            return None
        firing = Firing(instance, cargo)
        self.store.begin(instance.action)
        try:
            self._kinds[copy.machine.name].events[_trigger(instance.action)].trigger(copy, firing)
        finally:
            if not firing.committed:
                self.store.abandon()
        if not firing.committed:
            return None
        row = instance.action.row
        values = {p.name: p.type.show(v) for p, v in zip(row.choose, instance.values)}
        return Step(copy.machine.name, copy.indices, copy.name, row.event, values, firing.reads, firing.writes, firing.found)

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

    # -- the machines of transitions ---------------------------------------------------------------------------------

    def _kind(self, machine: Machine) -> transitions.Machine:
        kind = transitions.Machine(
            None, states=machine.states, initial=machine.initial, auto_transitions=False, queued=False, send_event=True
        )
        for action in self.system.actions:
            if action.machine is machine:
                # A destination of None is an internal transition of `transitions`: the row stays where it is.
                kind.add_transition(
                    _trigger(action), list(action.row.sources), action.row.destination, conditions=[self._may], before=[self._commit]
                )
        return kind

    def _may(self, event: Any) -> bool:
        firing = event.args[0]
        return may_fire(firing.instance, self._loader(event.model, firing.reads))

    def _commit(self, event: Any) -> None:
        """The effects, before the control state moves: an exception here leaves both unchanged."""
        firing, copy = event.args[0], event.model
        writes = effects_of(firing.instance, self._loader(copy, firing.reads))
        others = [w for w in writes if w[0] is not copy.machine.state]
        firing.writes = {_cell_name(v, where): v.type.show(value) for v, where, value in others if v.medium not in UNSEEN}
        firing.found = self.store.commit(others, firing.cargo)
        firing.committed = True

    def _loader(self, copy: Copy, reads: dict[str, str]) -> Callable[[Variable, tuple[Value, ...]], Value]:
        def load(variable: Variable, where: tuple[Value, ...]) -> Value:
            if variable is copy.machine.state and where == copy.indices:
                return copy.state
            value = self.store.load(variable, where)
            if variable.medium not in UNSEEN:
                reads[_cell_name(variable, where)] = variable.type.show(value)
            return value

        return load

    def _copy(self, machine: Machine, indices: tuple[Value, ...]) -> Copy:
        instances = [i for i in self.system.instances() if i.action.machine is machine and i.copy == indices and not _is_foreign(i)]
        return Copy(machine, indices, instances)


def _trigger(action: Action) -> str:
    return f"{action.row.event}@{action.number}"


def _cell_name(variable: Variable, where: tuple[Value, ...]) -> str:
    shown = ",".join(d.show(w) for d, w in zip(variable.over, where))
    return f"{variable.name}[{shown}]" if shown else variable.name


def _is_foreign(instance: Instance) -> bool:
    """Whether a conjunct over nothing but the copy's own indices rules the row out for this copy (`rank == 0`)."""
    bind = instance.environment()
    for part in conjuncts(instance.action.guard):
        if any(isinstance(e, Cell) or (isinstance(e, Param) and e.name not in bind) for e in part.walk()):
            continue
        if not evaluate(part, bind, _no_load):
            return True
    return False


def _no_load(variable: Variable, where: tuple[Value, ...]) -> Value:
    raise DefinitionError(f"{variable} was read where only the copy's indices are known")
