"""The states of a system, found by following its tables as they are written: the twin of the lowering.

Both explorers, the Promela export and the engine read rows after `protocol/lower.py` has made plain guards and stores of locks, barriers,
channels, moves and crashes, so that an error there would be everybody's. This twin knows nothing of it, and borrows the evaluation of an
expression only. States are numbered and instances tried in the order of the reference explorer: where both agree, their graphs are equal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from protocol.errors import OutOfRange
from protocol.evaluate import evaluate
from protocol.expr import TRUE, Cell, Expr
from protocol.machine import Machine, Process, Row
from protocol.properties import Property
from protocol.system import System
from protocol.types import Value, all_values
from protocol.variable import Barrier, Lock, Medium, Variable
from tests.checker.written_rows import Firing, Values, part_of


class Ambiguous(Exception):
    """Two rows of one event are enabled in one copy."""


@dataclass
class Graph:
    """All reachable states in breadth-first order, and what they decide."""

    states: list[Values]
    edges: list[list[tuple[int, int]]] = field(default_factory=list)
    """Per state (instance, target), instances being numbered by row, copy and choices."""
    first: dict[str, int] = field(default_factory=dict)
    """Per property, the first state that violates it, or is its witness; for `range`, the first state with such a step."""
    stuck: list[bool] = field(default_factory=list)
    """Per state, whether some living copy of the system is not final."""


class Tables:
    """The tables of a system, ready to be followed."""

    def __init__(self, system: System):
        self.system = system
        self.rows = [(m, r) for m in system.machines if not m.passive for r in m.rows if not r.illegal]
        self.instances = [
            (m, r, copy, chosen)
            for m, r in self.rows
            for copy in all_values(m.copies)
            for chosen in all_values(tuple(p.type for p in r.choose))  # type: ignore[misc]
        ]
        self.watched = {p.variable.name for p in system.properties if p.kind == "lost_store" and p.variable is not None}
        found: dict[str, Variable] = {m.state.name: m.state for m in system.machines}
        for expr in [*(e for m in system.machines for r in m.rows for e in expressions(r)), *map(_asked, system.properties)]:
            for cell in expr.walk():
                if isinstance(cell, Cell):
                    found[cell.variable.name] = cell.variable
        self.variables = [v for v in found.values() if v.medium is not Medium.GHOST or id(v) in system.position]
        self.names = {v.name for v in self.variables}
        self.acquired = {r.acquire.variable.name for _, r in self.rows if isinstance(r.acquire, Cell)}

    def initial(self) -> Values:
        """The one initial state."""
        state: Values = {(p.alive.name, at): True for p in self.system.processes for at in all_values(p.over)}
        for variable in self.variables:
            for at, value in zip(all_values(variable.over), variable.initial):
                state[variable.name, at] = None if isinstance(variable, Lock) else value
                if isinstance(variable, Barrier):
                    state[variable.broken.name, at], state[variable.abandoned.name, at] = False, 0
                if variable.name in self.watched:
                    state[f"last writer of {variable.name}", at] = None
            if isinstance(variable, Barrier):
                state.update({(f"waits at {variable.name}", (m.name, c)): None for m in self.system.machines for c in all_values(m.copies)})
            if variable.name in self.watched:
                state[f"lost store to {variable.name}", ()] = False
        return state

    def memory(self, process: Process) -> list[Variable]:
        """What a crash of the process resets."""
        found = {}
        for machine in self.system.machines:
            for expr in (e for r in machine.rows for e in expressions(r)):
                for cell in expr.walk():
                    if isinstance(cell, Cell) and cell.variable is not machine.state:
                        private = cell.variable.medium is Medium.PRIVATE and machine.process is process
                        if private or cell.variable.process is process:
                            found[cell.variable.name] = cell.variable
        return list(found.values())

    # -- exploring ---------------------------------------------------------------------------------------------------

    def explore(self, most: int) -> Graph | None:
        """All states, where there are no more than that many.

        Raises:
            TwoStores, Ambiguous: as the first state with such a step has them. OutOfRange: a property cannot be evaluated.
        """
        graph = Graph([self.initial()])
        number = {tuple(graph.states[0].values()): 0}
        while len(graph.edges) < len(graph.states) <= most:
            here = len(graph.edges)
            state = graph.states[here]
            graph.edges.append([])
            enabled: list[Firing] = []
            for k, instance in enumerate(self.instances):
                firing = Firing(self, state, *instance)
                try:
                    if firing.may_fire():
                        enabled.append(firing)
                        after = firing.fire()
                        target = number.setdefault(tuple(after.values()), len(graph.states))
                        if target == len(graph.states):
                            graph.states.append(after)
                        graph.edges[here].append((k, target))
                except OutOfRange:
                    graph.first.setdefault("range", here)
            self._judge(graph, here, enabled)
        return None if len(graph.states) > most else graph

    def _judge(self, graph: Graph, here: int, enabled: list[Firing]) -> None:
        state = graph.states[here]
        for k, one in enumerate(enabled):
            for two in enabled[:k]:
                if (one.copy, one.row.event, one.chosen) == (two.copy, two.row.event, two.chosen) and set(one.row.sources) & set(two.row.sources):
                    raise Ambiguous(f"{one.copy} {one.row.event}")
        graph.stuck.append(any(not self._rests(state, m, c) for m in self.system.machines if not m.environment for c in all_values(m.copies)))
        for prop in self.system.properties:
            if self._decides(prop, state, enabled, graph.stuck[here]):
                graph.first.setdefault(prop.name, here)

    def _rests(self, state: Values, machine: Machine, copy: tuple[Value, ...]) -> bool:
        return state[machine.state.name, copy] in machine.final or not self.lives(state, machine, copy)

    def lives(self, state: Values, machine: Machine, copy: tuple[Value, ...]) -> bool:
        """Whether the process of a copy runs."""
        own = dict(zip(machine.copies, copy))
        return machine.process is None or state[machine.process.alive.name, tuple(own[d] for d in machine.process.over)]

    def _decides(self, prop: Property, state: Values, enabled: list[Firing], stuck: bool) -> bool:
        def asked() -> bool:
            return bool(evaluate(prop.expr, {}, lambda variable, at: state[variable.name, at]))

        if prop.kind == "always":
            return not asked()
        if prop.kind in ("never", "sometimes"):
            return asked()
        if prop.kind == "deadlock":
            return stuck and all(f.machine.environment for f in enabled)
        if prop.kind == "lost_store":
            assert prop.variable is not None
            return bool(state[f"lost store to {prop.variable.name}", ()])
        if prop.kind == "write_conflict":
            assert prop.variable is not None
            return any(_conflict(a, b, prop.variable.name) for a in enabled for b in enabled if a.copy != b.copy)
        return prop.kind == "illegal" and any(
            self._receives(state, m, r, c) for m in self.system.machines for r in m.rows for c in all_values(m.copies)
            if r.illegal and prop.name == f"never_{m.name}_{r.event}"
        )  # fmt: skip

    def _receives(self, state: Values, machine: Machine, row: Row, copy: tuple[Value, ...]) -> bool:
        try:
            return Firing(self, state, machine, row, copy, ()).may_fire()
        except OutOfRange:
            return False


def _conflict(one: Firing, two: Firing, name: str) -> bool:
    """Whether both would store different values to one place, or to a part that their places have in common."""
    return any(
        key[0] == name and key == other and mine[: len(theirs)] == theirs[: len(mine)]
        and part_of(value, theirs[len(mine) :]) != part_of(stored, mine[len(theirs) :])
        for key, mine, value in one.stored for other, theirs, stored in two.stored
    )  # fmt: skip


def expressions(row: Row) -> Iterator[Expr]:
    """Every expression in a row."""
    parts = [row.guard, row.under, row.acquire, row.release, *(i for m in row.moves for i in m.indices)]
    for effect in row.effects:
        for part in vars(effect).values():
            parts += part if isinstance(part, tuple) else [part]
    yield from (p for p in parts if isinstance(p, Expr))


def _asked(prop: Property) -> Expr:
    """What a property reads, as written."""
    return prop.expr if prop.kind in ("always", "never", "sometimes") else TRUE
