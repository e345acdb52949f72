"""The reference explorer: the interpreter and a queue, and the questions that properties ask of what they found.

Slow and obvious on purpose: the twin that the table explorer is tested against. Everything it knows of a system comes
from `protocol.evaluate`; states are the interpreter's own, nothing is packed, and liveness is asked of the whole graph
with the textbook algorithm. Its one rule: no cleverness that would need a test of its own.

An instance is *enabled* where its guard holds. One that leaves a type when it fires has no successor, so for `hang` and
`leads_to`, which are about what happens, it is as if it were not enabled.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from protocol.action import Instance
from protocol.errors import DefinitionError, DoubleWrite, OutOfRange
from protocol.evaluate import holds, loader, may_fire, successor
from protocol.expr import Expr
from protocol.properties import Property
from protocol.system import State, System

from .graph import components, reachable, reaching, shortest_walk
from .result import Finding, Limits, Result, Verdict, never_fired

Progress = Callable[[int, int, float, int], None]
"""Called with (states, depth, states per second, states waiting)."""

Unit = tuple[tuple[str, ...], tuple[object, ...]]
"""A fairness unit: its name within a copy, and the copy."""

VIOLATED_WHERE_TRUE = ("never", "illegal", "write_conflict", "lost_store", "covers")
UNLIMITED = Limits()
BYTES_PER_STATE, BYTES_PER_EDGE = 600, 120
"""What a state of a small system and an edge cost in Python objects, roughly; for the memory budget only."""


def explore(system: System, *, limits: Limits = UNLIMITED, first: bool = False, progress: Progress | None = None) -> Result:
    """Explore every state of the system and answer each of its properties.

    Args:
        limits: running out of one ends the exploration; what is not found violated by then is inconclusive.
        first: stop at the first violation; the other properties are then inconclusive.
        progress: called every thousand states.

    Raises:
        DefinitionError: two rows of one event enabled at once, a place written twice in one step, or a property that
            cannot be evaluated; with the path.
    Cost:    about 10^4 guards a second.
    """
    started = time.perf_counter()
    search = Search(system)
    reason = search.run(limits, first, progress, started)
    result = Result(system.name, "reference", distinct=len(search.states), generated=search.generated, depth=max(search.depth))
    result.complete, result.reason = not reason, reason
    result.never_fired = never_fired(system, (search.instances[k].action.number for edges in search.edges for k, _ in edges))
    for prop in [*system.properties, Property("range", "range")]:
        result.findings[prop.name] = search.finding(prop, reason)
    result.seconds = time.perf_counter() - started
    return result


@dataclass
class Search:
    """The states found so far, in breadth-first order, each with how it was reached and what it leads to."""

    system: System
    instances: list[Instance] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    number: dict[State, int] = field(default_factory=dict)
    came: list[tuple[int, int] | None] = field(default_factory=list)
    """(state, instance) by which a state was first reached; None for the initial state."""
    depth: list[int] = field(default_factory=list)
    edges: list[list[tuple[int, int]]] = field(default_factory=list)
    """(instance, target) for each expanded state, in the order of the instances."""
    found: dict[str, tuple[Instance, ...]] = field(default_factory=dict)
    """The path to the first state (or step) that decided a property: a violation, or a witness."""
    generated: int = 1

    def __post_init__(self) -> None:
        self.instances = list(self.system.instances())
        place = {(i.action.number, i.copy, i.values): k for k, i in enumerate(self.instances)}
        self.rivals = [
            (place[a.number, i.copy, i.values], place[b.number, i.copy, i.values]) for a, b in self.system.ambiguities() for i in a.instances()
        ]
        self.all_final = self.system.all_final()
        self.unit = [unit_of(i) for i in self.instances]
        self.strong = {u for u, i in zip(self.unit, self.instances) if u is not None and i.action.fairness == "strong"}

    def run(self, limits: Limits, first: bool, progress: Progress | None, started: float) -> str:
        """Explore; the reason why not everything was explored, empty when it was."""
        self.discover(self.system.initial_state(), None)
        while len(self.edges) < len(self.states):
            reason = self.exhausted(limits, time.perf_counter() - started)
            if reason:
                return reason
            state = len(self.edges)
            violated = self.judge(state, self.expand(state))
            if first and violated:
                return "stopped at the first violation"
            if progress is not None and state % 1000 == 0:
                rate = len(self.states) / max(time.perf_counter() - started, 1e-9)
                progress(len(self.states), self.depth[state], rate, len(self.states) - state)
        return ""

    def exhausted(self, limits: Limits, seconds: float) -> str:
        """Which budget is used up; empty when none is."""
        memory_gb = (len(self.states) * BYTES_PER_STATE + self.generated * BYTES_PER_EDGE) / 1e9
        if limits.max_states is not None and len(self.states) > limits.max_states:
            return f"more than {limits.max_states:,} states"
        if limits.max_memory_gb is not None and memory_gb > limits.max_memory_gb:
            return f"more than {limits.max_memory_gb} GB"
        if limits.time_limit_s is not None and seconds > limits.time_limit_s:
            return f"more than {limits.time_limit_s} s"
        return ""

    def discover(self, state: State, came: tuple[int, int] | None) -> int:
        """The number of the state, which is new or known."""
        known = self.number.get(state)
        if known is None:
            known = self.number[state] = len(self.states)
            self.states.append(state)
            self.came.append(came)
            self.depth.append(0 if came is None else self.depth[came[0]] + 1)
        return known

    def expand(self, state: int) -> set[int]:
        """Find the successors of a state; the numbers of its enabled instances."""
        values = self.states[state]
        load = loader(self.system, values)
        enabled: set[int] = set()
        edges: list[tuple[int, int]] = []
        for k, instance in enumerate(self.instances):
            try:
                if not may_fire(instance, load):
                    continue
                enabled.add(k)
                edges.append((k, self.discover(successor(self.system, values, instance), (state, k))))
            except OutOfRange:
                self.found.setdefault("range", (*self.path(state), instance))
            except DoubleWrite as error:
                raise DefinitionError(f"{error}; {self.told((*self.path(state), instance))}") from error
        for a, b in self.rivals:
            if a in enabled and b in enabled:
                one, two = self.instances[a], self.instances[b]
                what = f"two rows of this event are enabled at once in {one.copy_name}; make their guards exclude each other"
                where = self.told((*self.path(state), two))
                raise DefinitionError(f"{what}; {where}", machine=one.action.machine.name, row=one.action.row.event)
        self.edges.append(edges)
        self.generated += len(edges)
        return enabled

    def judge(self, state: int, enabled: set[int]) -> bool:
        """Ask the state every property that one state decides; whether some property is violated by now."""
        for prop in self.system.properties:
            if prop.name not in self.found and self.decides(prop, state, enabled):
                self.found[prop.name] = self.path(state)
        kinds = {p.name: p.kind for p in self.system.properties}
        return any(kinds.get(name) != "sometimes" for name in self.found)

    def decides(self, prop: Property, state: int, enabled: set[int]) -> bool:
        """Whether the state violates the property, or is the witness it asks for."""
        if prop.kind == "always":
            return not self.ask(prop.expr, state, prop)
        if prop.kind in VIOLATED_WHERE_TRUE or prop.kind == "sometimes":
            return self.ask(prop.expr, state, prop)
        if prop.kind == "deadlock":
            stuck = all(self.instances[k].action.environment for k in enabled)
            return stuck and not self.ask(self.all_final, state, prop)
        return False

    def ask(self, expr: Expr, state: int, prop: Property) -> bool:
        """Whether an expression holds in a state."""
        try:
            return holds(self.system, self.states[state], expr)
        except OutOfRange as error:
            if prop.kind in ("illegal", "write_conflict", "lost_store", "covers"):
                return False  # made from guards: the row that leaves its type there is the violation
            told = self.told(self.path(state))
            raise DefinitionError(f"property {prop.name} cannot be evaluated: {error}; guard it; {told}") from error

    def path(self, state: int) -> tuple[Instance, ...]:
        """The instances by which the state was first reached."""
        steps = []
        while (came := self.came[state]) is not None:
            state = came[0]
            steps.append(self.instances[came[1]])
        return tuple(reversed(steps))

    def told(self, path: tuple[Instance, ...]) -> str:
        """The path as text."""
        return "path: " + (", ".join(map(str, path)) or "the initial state")

    # -- verdicts ----------------------------------------------------------------------------------------------------

    def finding(self, prop: Property, reason: str) -> Finding:
        """The answer for one property, `reason` being why the exploration is not complete."""
        path = self.found.get(prop.name)
        if prop.kind == "sometimes" and path is not None:
            return Finding(prop.name, Verdict.HOLDS, path)
        if path is not None:
            return Finding(prop.name, Verdict.VIOLATED, path)
        if reason:
            return Finding(prop.name, Verdict.INCONCLUSIVE, reason=reason)
        if prop.kind == "sometimes":
            return Finding(prop.name, Verdict.VIOLATED, reason="no reachable state is a witness")
        if prop.kind == "hang":
            return self.hang(prop)
        if prop.kind == "leads_to":
            return self.leads_to(prop)
        return Finding(prop.name, Verdict.HOLDS)

    def hang(self, prop: Property) -> Finding:
        """Violated in the first state from which only polls and the environment ever step."""
        everything = range(len(self.states))
        moving = {s for s in everything if any(self.progresses(k) for k, _ in self.edges[s])}
        alive = reaching(moving, everything, self.edges.__getitem__)
        for state in everything:
            if state not in alive and not self.ask(self.all_final, state, prop):
                return Finding(prop.name, Verdict.VIOLATED, self.path(state))
        return Finding(prop.name, Verdict.HOLDS)

    def progresses(self, instance: int) -> bool:
        """Whether the instance counts as progress."""
        action = self.instances[instance].action
        return not action.environment and not action.row.poll

    def leads_to(self, prop: Property) -> Finding:
        """Violated when a fair behaviour stays for ever where q does not hold, from a state in which p does."""
        for label, p, q in prop.cases:
            inside = {s for s in range(len(self.states)) if not self.ask(q, s, prop)}
            starts = [s for s in sorted(inside) if self.ask(p, s, prop)]
            lasso = self.lasso(starts, inside)
            if lasso is not None:
                stem, cycle = lasso
                path = tuple(self.instances[k] for k in (*stem, *cycle))
                return Finding(prop.name, Verdict.VIOLATED, path, len(stem), label)
        return Finding(prop.name, Verdict.HOLDS)

    def lasso(self, starts: list[int], inside: set[int]) -> tuple[list[int], list[int]] | None:
        """A fair behaviour from a start that never leaves `inside`: the instances of its stem and of its cycle."""
        region = reachable(starts, inside, self.edges.__getitem__)
        resting = {s for s in region if not self.units_enabled(s)}
        fair = resting or next((c for c in map(self.fair_part, self.split(region)) if c), set[int]())
        if not fair:
            return None
        walk = shortest_walk(starts, fair.__contains__, region, self.edges.__getitem__)
        assert walk is not None
        start, steps, end = walk
        place = {(i.action.number, i.copy, i.values): k for k, i in enumerate(self.instances)}
        stem = [place[i.action.number, i.copy, i.values] for i in self.path(start)] + steps
        return stem, [] if resting else self.fair_cycle(fair, end)

    def split(self, nodes: set[int]) -> list[set[int]]:
        """The components of these states that have an edge inside."""
        parts = components(nodes, self.edges.__getitem__)
        return [c for c in parts if any(t in c for s in c for _, t in self.edges[s])]

    def fair_part(self, component: set[int]) -> set[int]:
        """A strongly connected part of the component in which a fair behaviour may stay for ever; empty when there is none."""
        taken = {u for s in component for k, t in self.edges[s] if t in component and (u := self.unit[k]) is not None}
        weak_always = set.intersection(*map(self.units_enabled, component)) - taken
        if weak_always:
            return set()  # it stays enabled and untaken in every smaller part, too
        allowed = {s for s in component if not (self.units_enabled(s) & self.strong) - taken}
        if allowed == component:
            return component
        return next((part for part in map(self.fair_part, self.split(allowed)) if part), set[int]())

    def fair_cycle(self, component: set[int], start: int) -> list[int]:
        """A closed walk inside the component that takes or sees disabled whatever fairness asks for; at least one step."""
        here, seen = start, [start]
        steps: list[int] = []
        owed = {u for s in component for u in self.units_enabled(s)}

        def enough(unit: Unit) -> bool:
            taken = any(self.unit[k] == unit for k in steps)
            return taken or (unit not in self.strong and any(unit not in self.units_enabled(s) for s in seen))

        def serves(unit: Unit | None, state: int) -> tuple[int, int] | None:
            return next(((k, t) for k, t in self.edges[state] if t in component and unit in (None, self.unit[k])), None)

        def go(goal: Callable[[int], bool]) -> None:
            nonlocal here
            walk = shortest_walk([here], goal, component, self.edges.__getitem__)
            assert walk is not None
            for k in walk[1]:
                step(k, dict(self.edges[here])[k])

        def step(instance: int, target: int) -> None:
            nonlocal here
            here = target
            steps.append(instance)
            seen.append(target)

        for unit in sorted(owed, key=str):
            if not enough(unit):
                go(lambda s, u=unit: serves(u, s) is not None or (u not in self.strong and u not in self.units_enabled(s)))  # type: ignore[misc]
                edge = serves(unit, here)
                if edge is not None:
                    step(*edge)
        if not steps:
            edge = serves(None, here)
            assert edge is not None
            step(*edge)
        go(start.__eq__)
        return steps

    def units_enabled(self, state: int) -> set[Unit]:
        """The fairness units of which some instance can be taken in the state."""
        return {u for k, _ in self.edges[state] if (u := self.unit[k]) is not None}


def unit_of(instance: Instance) -> Unit | None:
    """The fairness unit of an instance: its row's, or its machine's, in its copy; None when it is unfair."""
    return (instance.action.unit, instance.copy) if instance.action.unit else None


def check_lasso(system: System, case: tuple[str, Expr, Expr], stem: list[Instance], cycle: list[Instance]) -> None:
    """Judge a counterexample to one case of a leads_to by the interpreter alone.

    Raises:
        ValueError: a step cannot be taken, the cycle does not close, p without q from there on never holds, or the
            behaviour is not fair; says which.
    """
    _, p, q = case
    instances = list(system.instances())
    states = [system.initial_state()]
    for step in (*stem, *cycle):
        if not may_fire(step, loader(system, states[-1])):
            raise ValueError(f"{step} is not enabled after {len(states) - 1} steps")
        states.append(successor(system, states[-1], step))
    turn = states[len(stem) :]
    if turn[0] != turn[-1]:
        raise ValueError("the cycle does not return to where it began")
    free = [not holds(system, s, q) for s in states]
    if not any(holds(system, states[k], p) and all(free[k:]) for k in range(len(stem) + 1)):
        raise ValueError("p never holds in a state of the stem from which on q does not")
    taken = {unit_of(i) for i in cycle}
    enabled = [{unit_of(i) for i in instances if _fires(system, s, i)} for s in turn]
    strong = {unit_of(i) for i in instances if i.action.fairness == "strong"}
    for unit in {u for units in enabled for u in units if u is not None} - taken:
        if unit in strong or all(unit in units for units in enabled):
            raise ValueError(f"the behaviour is not fair to {unit}")


def _fires(system: System, state: State, instance: Instance) -> bool:
    """Whether the instance has a successor."""
    try:
        if not may_fire(instance, loader(system, state)):
            return False
        successor(system, state, instance)
    except OutOfRange:
        return False
    return True
