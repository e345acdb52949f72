"""A system: machines, the variables between them, and properties, put together and judged.

Building one lowers every row (`lower.py`), orders the variables, expands the free properties that need more than a name
(write conflict becomes a predicate, lost store gets its ghosts) and raises a DefinitionError for whatever is wrong
(`rules.py`). A builder function `build(...) -> System` is called by the engine with production bounds and by the checker
with small ones; nothing is defined twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import replace
from itertools import combinations
from typing import Any

from .action import Action, Instance
from .combine import conjunction, disjunction
from .cover import watch_cover
from .errors import DefinitionError
from .expr import BOOL, Cell, Expr, Literal, Not, OneOf, Op
from .ghosts import drop_unread_ghosts, ghosts_behind
from .lower import Lowering
from .machine import Machine, Process
from .properties import Property
from .types import Value, all_values
from .variable import Medium, Variable
from .watch import watch_stores, write_conflict_on

State = tuple[tuple[Value, ...], ...]
"""A state: per variable of `System.variables`, the values of its cells."""


class System:
    """A closed system ready to be run, checked or drawn.

    Args:
        name: what it is called in the catalogue and in traces.
        machines: in the order in which rows are numbered.
        properties: what a check asks; `range` (no value ever leaves its type) is always asked.
        unseen: variables that are left out, with the stores to them; nothing else may read them (a `Split` says which).

    Raises:
        DefinitionError: naming the machine, the row and the remedy.
    """

    def __init__(
        self, name: str, machines: Sequence[Machine], properties: Sequence[Property] = (), doc: str = "", unseen: Sequence[Variable] = ()
    ):  # fmt: skip
        from .rules import check_rules, check_tables

        for given, kind in ((machines, Machine), (properties, Property)):
            if not isinstance(given, Sequence) or not all(isinstance(one, kind) for one in given):
                raise DefinitionError(f"system {name}: give a list of machines and a list of properties")
        self.name, self.doc, self.unseen = name, doc, tuple(unseen)
        self.machines = list(machines)
        self._stated = tuple(properties)
        self.properties = list(properties)
        check_tables(self)
        lowering = Lowering(self)
        self.actions: list[Action] = []
        illegal: list[Action] = []
        for machine in self.active:
            for row in machine.rows:
                action = lowering.lower(len(self.actions), machine, row)
                (illegal if row.illegal else self.actions).append(action)
        check_rules(self)
        self._rows, self._illegal = tuple(self.actions), tuple(map(_illegal_message, illegal))
        self._ask(properties)

    def __getstate__(self) -> dict[str, Any]:
        """All but what goes by identities, which are others in a copy."""
        return {name: value for name, value in self.__dict__.items() if name not in ("position", "_alive_used")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A copy from another process. Cost: 40 ms for the engine's protocol, a third of building it."""
        self.__dict__.update(state)
        self._number()

    # -- parts -------------------------------------------------------------------------------------------------------

    @property
    def active(self) -> list[Machine]:
        """The machines whose rows are scheduled."""
        return [m for m in self.machines if not m.passive]

    def machine(self, name: str) -> Machine:
        """The machine of that name."""
        for machine in self.machines:
            if machine.name == name:
                return machine
        raise DefinitionError(f"system {self.name} has no machine {name!r}; it has {', '.join(m.name for m in self.machines)}")

    def variable(self, name: str) -> Variable:
        """The variable of that name."""
        for variable in self.variables:
            if variable.name == name:
                return variable
        raise DefinitionError(f"system {self.name} has no variable {name!r}; it has {', '.join(v.name for v in self.variables)}")

    def find_property(self, name: str) -> Property:
        """The property of that name."""
        for prop in self.properties:
            if prop.name == name:
                return prop
        known = ", ".join(p.name for p in self.properties)
        raise DefinitionError(f"system {self.name} has no property {name!r}; it has {known}")

    @property
    def processes(self) -> list[Process]:
        """The processes its machines live in."""
        found: list[Process] = []
        for machine in self.machines:
            if machine.process is not None and machine.process not in found:
                found.append(machine.process)
        return found

    def instances(self) -> Iterator[Instance]:
        """Every (row, copy, values), in the order that breaks ties."""
        for action in self.actions:
            yield from action.instances()

    def initial_state(self) -> State:
        """The one initial state."""
        return tuple(v.initial for v in self.variables)

    def all_final(self) -> Expr:
        """Whether every living copy of every machine that is not environment is in a final state."""
        parts: list[Expr] = []
        for machine in self.machines:
            if machine.environment:
                continue
            for values in all_values(machine.copies):
                where = tuple(Literal(v, d) for v, d in zip(values, machine.copies))
                state = Cell(machine.state, where, machine.state.type)
                resting: Expr = OneOf(state, tuple(Literal(s, state.type) for s in machine.final)) if machine.final else Literal(False, BOOL)
                process = machine.process
                if process is not None and id(process.alive) in self._alive_used:
                    at = tuple(w for w, d in zip(where, machine.copies) if d in process.over)
                    resting = Op("or", Not(Cell(process.alive, at, BOOL)), resting, BOOL)
                parts.append(resting)
        return conjunction(parts)

    def ambiguities(self) -> Iterator[tuple[Action, Action]]:
        """Pairs of rows of one machine that share an event and a source: never both enabled in one copy."""
        for a, b in combinations(self.actions, 2):
            if a.machine is b.machine and a.row.event == b.row.event and set(a.row.sources) & set(b.row.sources):
                yield a, b

    def focused(self, *names: str) -> System:
        """The same machines asking only these properties, without the ghosts that only others need."""
        asked = [p for p in self._stated if p.name in names]
        for name in names:
            if name not in [p.name for p in asked] + ["range"]:
                self.find_property(name)
        other = copy(self)
        other._ask(asked)
        return other

    def again(self) -> System:
        """The same system, lowered anew: for whoever has changed a row of its tables."""
        return System(self.name, self.machines, self._stated, self.doc, self.unseen)

    def alike(self, names: Sequence[str]) -> list[list[str]]:
        """These properties in groups that keep the same ghosts: focused on one of a group or on all of it, the system has the same states."""
        illegal = [expr for prop in self.properties if prop.kind == "illegal" for expr in prop.expressions]
        written = {id(s.cell.variable) for a in self.actions for s in a.stores}
        groups: dict[frozenset[int], list[str]] = {}
        for name in names:
            kept = ghosts_behind(self.actions, [*self.find_property(name).expressions, *illegal]) & written
            groups.setdefault(frozenset(kept), []).append(name)
        return list(groups.values())

    # -- assembly ----------------------------------------------------------------------------------------------------

    def _ask(self, properties: Sequence[Property]) -> None:
        """Put the system together from its rows as lowered, for these properties."""
        self._stated = tuple(properties)
        self.actions = [replace(a, stores=list(a.stores)) for a in self._rows]
        self.properties = [*map(self._expanded, properties), *self._illegal]
        left_out = {id(v) for v in self.unseen}
        for action in self.actions:
            action.stores = [s for s in action.stores if id(s.cell.variable) not in left_out]
        drop_unread_ghosts(self.actions, [expr for prop in self.properties for expr in prop.expressions])
        self.variables = self._ordered_variables()
        self._number()

    def memory_of(self, process: Process) -> list[Variable]:
        """The variables that a crash of the process resets: its own, and the private ones of its machines."""
        found: dict[int, Variable] = {}
        for machine in self.machines:
            for row in machine.rows:
                for cell in raw_cells(row):
                    variable = cell.variable
                    own = variable.medium is Medium.PRIVATE and machine.process is process and variable is not machine.state
                    if own or variable.process is process:
                        found[id(variable)] = variable
        return list(found.values())

    def _number(self) -> None:
        self.position = {id(v): k for k, v in enumerate(self.variables)}
        self._alive_used = {id(p.alive) for p in self.processes if id(p.alive) in self.position}

    def _ordered_variables(self) -> list[Variable]:
        found: dict[int, Variable] = {}

        def add(variable: Variable) -> None:
            if not (variable.medium is Medium.LOCK and not variable.holders):  # type: ignore[attr-defined]
                found.setdefault(id(variable), variable)

        for machine in self.machines:
            add(machine.state)
            for action in self.actions:
                if action.machine is machine:
                    for cell in action_cells(action):
                        add(cell.variable)
        for prop in self.properties:
            for expr in prop.expressions:
                for part in expr.walk():
                    if isinstance(part, Cell):
                        add(part.variable)
        names: dict[str, Variable] = {}
        for variable in found.values():
            if names.setdefault(variable.name, variable) is not variable:
                raise DefinitionError(f"two variables are called {variable.name}; rename one")
        return list(found.values())

    def _expanded(self, prop: Property) -> Property:
        if prop.kind == "write_conflict":
            return replace(prop, expr=write_conflict_on(prop.variable, self.actions))  # type: ignore[arg-type]
        if prop.kind == "lost_store":
            return replace(prop, expr=watch_stores(prop.variable, self.actions))  # type: ignore[arg-type]
        if prop.cover is not None:
            lowering = Lowering(self)
            stand_in = [lowering.lower(k, m, row) for m in prop.cover.stand_in for k, row in enumerate(m.rows)]
            return replace(prop, expr=watch_cover(prop.name, prop.cover, self.actions, stand_in))
        return prop


def _illegal_message(action: Action) -> Property:
    """The property that an illegal row stands for: it is never enabled. The row itself is not explored."""
    enabled = disjunction([i.ground(action.guard) for i in action.instances()])
    name = f"never_{action.machine.name}_{action.row.event}"
    return Property("illegal", name, enabled, about="a message that this state must never see")


def raw_cells(row: Any) -> Iterator[Cell]:
    """Every cell that a row as written mentions."""
    parts: list[Expr] = [row.guard]
    for effect in row.effects:
        parts.append(effect.condition)
        parts += [getattr(effect, n) for n in ("target", "value", "channel", "message", "barrier") if isinstance(getattr(effect, n, None), Expr)]
    for part in parts:
        for expr in part.walk():
            if isinstance(expr, Cell):
                yield expr


def action_cells(action: Action) -> Iterator[Cell]:
    """Every cell that an action reads or writes, in reading order."""
    parts = [action.guard]
    for store in action.stores:
        parts += [store.condition, store.target, store.value]
    known: set[int] = set()
    for part in parts:
        for expr in part.nodes(known):
            if isinstance(expr, Cell):
                yield expr
