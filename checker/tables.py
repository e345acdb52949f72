"""A system tabulated: every instance and every asked predicate as a program of look-ups, in arrays that the kernel reads.

Instances that can never fire vanish here. The others are chosen by *selectors*, one per machine copy: a few bits of the
state - its control state, and what else the first conjuncts of its guards read - index a set of instances, so that
the kernel only looks at instances whose leading conjuncts hold, in the canonical order of `System.instances()`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from protocol.action import Instance
from protocol.combine import conjuncts
from protocol.errors import DefinitionError
from protocol.expr import Expr
from protocol.properties import Property
from protocol.system import System

from .circuit import Node, evaluate_on, grid_of
from .expressions import Elaborator
from .factors import SELECT_BITS, Part, Tabulator, failure, gathers_of, requirement
from .kernel import GUARD_ERROR, TOLERANT, WHEN_FALSE, WHEN_TRUE
from .layout import Layout
from .permutation import Permutation
from .reduction import Candidate, candidates, touched_by
from .symmetry import IDENTITY, Symmetry, find

STATE_KINDS = ("always", "never", "sometimes", "illegal", "write_conflict", "lost_store", "covers")
"""Properties that look at one state."""


ALL_FINAL = ""
"""The name of the predicate that every living copy is final, which no property has."""


@dataclass
class Predicate:
    """An asked predicate: its program is not disabled where it holds (where it is false, for `negated` ones)."""

    name: str
    expr: Expr
    negated: bool
    watched: bool
    """Whether the exploration looks for the first state at which `event_when_true` comes about."""
    event: int
    """`kernel.WHEN_TRUE`, `WHEN_FALSE`, or `TOLERANT` (when false; an error is no event)."""
    seen: Permutation = IDENTITY
    """It is judged in this renaming of the state."""


@dataclass
class Tables:
    """What the kernel reads. Instance numbers are positions in `instances`, the order of `System.instances()`.

    Shapes: code [c] uint64; entries [e] uint64; programs [p, 2] int64, one per instance and then one per predicate;
    selector_code [s] uint64; selector_sets [t] uint64; environment [n] uint8; rivals [n] int32 (-1: none);
    alone [c, 2] int64 and alone_sets [c, n / 64] uint64: of each copy that may move alone, the program that says where, and
    its instances (none unless reduced); turns [g, 4] int64 and moves [m, 2] uint64: of each permutation of states that is
    tried for a representative, its moves of bits and the program for the values that change.
    """

    system: System
    layout: Layout
    instances: list[Instance]
    predicates: list[Predicate]
    code: np.ndarray
    entries: np.ndarray
    programs: np.ndarray
    selector_code: np.ndarray
    selector_sets: np.ndarray
    environment: np.ndarray
    rivals: np.ndarray
    rival_groups: int
    alone: np.ndarray
    alone_sets: np.ndarray
    turns: np.ndarray
    moves: np.ndarray
    symmetry: Symmetry
    work_words: int
    _numbers: dict[str, int] = field(default_factory=dict)

    def predicate(self, name: str) -> int:
        """The number of a predicate."""
        return self._numbers[name]


def tabulate(system: System, alone: bool = False, turned: bool = False) -> Tables:
    """Tabulate a system, for an exhaustive search or a reduced one: by partial order (`alone`), by symmetry (`turned`).

    Raises:
        DefinitionError: a table would be too large; the message names its variables.
    Cost: about a millisecond per instance.
    """
    return _Builder(system, alone, turned).build()


class _Builder:
    def __init__(self, system: System, alone: bool, turned: bool):
        self.system, self.alone, self.turned = system, alone, turned
        self.layout = Layout(system)
        self.elaborator = Elaborator(self.layout)
        self.tabulator = Tabulator(self.elaborator.circuit, self.layout.words)
        self.instances = list(system.instances())
        self.guards = [self._guard(i) for i in self.instances]
        self.possible = np.ones(len(self.instances), dtype=bool)
        self.sets = np.zeros(0, dtype=np.uint64)

    def _guard(self, instance: Instance) -> list[tuple[Node, Node]]:
        bind = instance.environment()
        return [o for part in conjuncts(instance.action.guard) for o in self.elaborator.obligations(part, bind)]

    def build(self) -> Tables:
        selector_code, selector_sets, absorbed = self._selectors()
        programs = [self._instance_program(k, absorbed[k]) for k in range(len(self.instances))]
        predicates = self._predicates()
        programs += [self._predicate_program(p) for p in predicates]
        rivals, groups = self._rivals()
        alone, alone_sets = self._alone(predicates)
        turns, moves = self._turns()
        return Tables(
            self.system,
            self.layout,
            self.instances,
            predicates,
            np.array(self.tabulator.code or [0], dtype=np.uint64),
            self.tabulator.tables(),
            np.array(programs, dtype=np.int64).reshape(-1, 2),
            selector_code,
            self._masked(selector_sets),
            np.array([i.action.environment for i in self.instances], dtype=np.uint8),
            rivals,
            groups,
            alone,
            alone_sets,
            turns,
            moves,
            self.symmetry,
            self.tabulator.work_words,
            {p.name: k for k, p in enumerate(predicates)},
        )

    # -- programs ----------------------------------------------------------------------------------------------------

    def _instance_program(self, number: int, absorbed: set[int]) -> tuple[int, int]:
        if not self.possible[number]:
            return 0, 0
        instance = self.instances[number]
        parts: list[Part] = []
        for node, error in self.guards[number]:
            parts.append(failure(error, GUARD_ERROR))
            if node.number not in absorbed:
                parts.append(requirement(node))
        changes = self.elaborator.changes(instance.action.stores, instance.environment())
        parts += [failure(error, code) for error, code in changes.errors]
        parts += [Part(node, signal=leaf) for leaf, node in changes.values]
        action = instance.action
        try:
            program = self.tabulator.program(parts)
        except DefinitionError as error:
            raise DefinitionError(str(error), machine=action.machine.name, row=action.row.event) from error
        if program is None:
            self.possible[number] = False
            return 0, 0
        return program

    def _predicates(self) -> list[Predicate]:
        """Every predicate that the search needs, the watched ones in each of their renamings."""
        asked = predicates_of(self.system)
        watched = {p.name: p.expr for p in asked if p.watched}
        fixed = {"of final states": self.system.all_final()} if any(p.name == ALL_FINAL for p in asked) else {}
        self.symmetry = find(self.system, self.elaborator, watched, fixed) if self.turned else Symmetry()
        found = [replace(p, seen=g) for p in asked if p.watched for g in self.symmetry.renamings.get(p.name, [IDENTITY])]
        return found + [p for p in asked if not p.watched]

    def _predicate_program(self, predicate: Predicate) -> tuple[int, int]:
        parts: list[Part] = []
        elaborator = self.elaborator if predicate.seen is IDENTITY else self.elaborator.renamed(predicate.seen)
        for node, error in elaborator.obligations(predicate.expr, {}, predicate.negated):
            parts += [failure(error, GUARD_ERROR), requirement(node)]
        try:
            program = self.tabulator.program(parts)
        except DefinitionError as error:
            raise DefinitionError(f"property {predicate.name}: {error}") from error
        return (-1, -1) if program is None else program

    def _alone(self, predicates: list[Predicate]) -> tuple[np.ndarray, np.ndarray]:
        """Program and instances of each copy that may move alone."""
        programs: list[tuple[int, int]] = []
        sets: list[np.ndarray] = []
        for candidate in self._candidates(predicates) if self.alone else ():
            try:
                program = self.tabulator.program(candidate.needs)
            except DefinitionError:
                continue  # too much to look at: this copy is never alone
            if program is not None:
                programs.append(program)
                sets.append(np.zeros((len(self.instances) + 63) // 64, dtype=np.uint64))
                for k in candidate.members:
                    sets[-1][k // 64] |= np.uint64(1 << k % 64)
        words = (len(self.instances) + 63) // 64
        return np.array(programs, dtype=np.int64).reshape(-1, 2), np.array(sets, dtype=np.uint64).reshape(-1, words)

    def _candidates(self, predicates: list[Predicate]) -> list[Candidate]:
        touched, early = {}, {}
        for k, instance in enumerate(self.instances):
            early[k] = self._early(k)
            if not any(node.constant == 0 for node in early[k]):
                changes = self.elaborator.changes(instance.action.stores, instance.environment())
                touched[k] = touched_by(self.guards[k], changes)
        visible = 0
        for predicate in predicates:
            if predicate.watched:
                value, error = self.elaborator.renamed(predicate.seen).value(predicate.expr, {})
                visible |= value.support | error.support
        return candidates(self.system, self.elaborator.circuit, self.instances, touched, early, visible)

    def _turns(self) -> tuple[np.ndarray, np.ndarray]:
        """Per permutation that is tried its moves and its program; and all moves."""
        turns: list[tuple[int, int, int, int]] = []
        moves: list[tuple[int, int]] = []
        for element in self.symmetry.elements:
            renamed = self.elaborator.renamed(element)
            fields: dict[int, int] = {}
            parts: list[Part] = []
            for variable in self.system.variables:
                for leaf, node in zip(self.layout.leaves_of(variable), renamed.leaves(variable)):
                    if leaf.bits == 0:
                        continue
                    if node.signal is None:
                        parts.append(Part(node, signal=leaf))
                        continue
                    shift = leaf.shift - node.signal.shift
                    step = node.signal.word | leaf.word << 16 | max(shift, 0) << 32 | max(-shift, 0) << 48
                    fields[step] = fields.get(step, 0) | ((1 << leaf.bits) - 1) << node.signal.shift
            program = self.tabulator.program(parts)
            assert program is not None
            turns.append((len(moves), len(moves) + len(fields), *program))
            moves += fields.items()
        return np.array(turns, dtype=np.int64).reshape(-1, 4), np.array(moves, dtype=np.uint64).reshape(-1, 2)

    # -- selectors ---------------------------------------------------------------------------------------------------

    def _selectors(self) -> tuple[np.ndarray, np.ndarray, list[set[int]]]:
        """Code and sets of the selectors, and per instance the conjuncts (node numbers) that its selector decides."""
        copies: dict[tuple, list[int]] = {}
        for k, instance in enumerate(self.instances):
            copies.setdefault((id(instance.action.machine), instance.copy), []).append(k)
        code: list[int] = []
        chunks: list[np.ndarray] = []
        offset = 0
        absorbed: list[set[int]] = [set() for _ in self.instances]
        for members in copies.values():
            support = self._select_support(members)
            signals = self.elaborator.circuit.signals_of(support)
            first, last = members[0] // 64, members[-1] // 64
            size = 1 << sum(s.bits for s in signals)
            chosen = np.zeros((size, last - first + 1), dtype=np.uint64)
            grid = grid_of(signals)
            for k in members:
                nodes = [n for n in self._early(k) if n.support & ~support == 0]
                absorbed[k] = {n.number for n in nodes}
                holds = np.ones(size, dtype=bool)
                for value in evaluate_on(grid, nodes):
                    holds &= value != 0
                self.possible[k] = holds.any()
                chosen[holds, k // 64 - first] |= np.uint64(1 << k % 64)
            gathers = gathers_of(signals)
            code += [len(gathers) | first << 16 | (last - first + 1) << 40, offset, *gathers]
            chunks.append(chosen.ravel())
            offset += chosen.size
        sets = np.concatenate(chunks) if chunks else np.zeros(1, dtype=np.uint64)
        self.selector_spans = code
        return np.array(code, dtype=np.uint64), sets, absorbed

    def _early(self, number: int) -> list[Node]:
        """The conjuncts of a guard before the first that may be an error: judging them out of order is safe."""
        found = []
        for node, error in self.guards[number]:
            if error.constant != 0:
                break
            found.append(node)
        return found

    def _select_support(self, members: list[int]) -> int:
        """The signals of a copy's selector: its control state, then other leading conjuncts while they fit."""
        support = 0
        guards = [self._early(k) for k in members]
        for nodes in [g[:1] for g in guards] + [g[1:] for g in guards]:
            for node in nodes:
                if self.elaborator.circuit.width(support | node.support) <= SELECT_BITS:
                    support |= node.support
        return support

    def _masked(self, sets: np.ndarray) -> np.ndarray:
        """The sets without the instances that turned out to be impossible."""
        allowed = np.zeros((len(self.instances) + 63) // 64, dtype=np.uint64)
        for k in np.flatnonzero(self.possible):
            allowed[k // 64] |= np.uint64(1 << int(k) % 64)
        code, at, starts = self.selector_spans, 0, []
        while at < len(code):
            starts.append((code[at + 1], code[at] >> 16 & 0xFFFFFF, code[at] >> 40))
            at += 2 + (code[at] & 0xFFFF)
        ends = [s[0] for s in starts[1:]] + [len(sets)]
        for (offset, first, words), end in zip(starts, ends):
            sets[offset:end].reshape(-1, words)[:] &= allowed[first : first + words]
        return sets

    def _rivals(self) -> tuple[np.ndarray, int]:
        """A group number for instances that must never be enabled at once: one copy, one event, one choice of values."""
        pairs = {n for a, b in self.system.ambiguities() for n in (a.number, b.number)}
        groups: dict[tuple, list[int]] = {}
        for k, i in enumerate(self.instances):
            if self.possible[k] and i.action.number in pairs:
                groups.setdefault((id(i.action.machine), i.action.row.event, i.copy, i.values), []).append(k)
        rivals = np.full(len(self.instances), -1, dtype=np.int32)
        contested = [members for members in groups.values() if len(members) > 1]
        for number, members in enumerate(contested):
            rivals[members] = number
        return rivals, len(contested)


def predicates_of(system: System) -> list[Predicate]:
    """Every predicate that a check of the system needs, the watched ones first."""
    found = []
    for prop in system.properties:
        if prop.kind in STATE_KINDS:
            negated = prop.kind not in ("always", "sometimes")
            event = WHEN_TRUE if prop.kind == "sometimes" else WHEN_FALSE if prop.kind in ("always", "never") else TOLERANT
            found.append(Predicate(prop.name, prop.expr, negated, True, event))
    if any(p.kind in ("deadlock", "hang") for p in system.properties):
        found.append(Predicate(ALL_FINAL, system.all_final(), False, False, WHEN_FALSE))
    for prop in system.properties:
        for case, (_, p, q) in enumerate(prop.cases):
            found += [Predicate(case_name(prop, case, side), expr, False, False, WHEN_FALSE) for side, expr in enumerate((p, q))]
    return found


def case_name(prop: Property, case: int, side: int) -> str:
    """The predicate's name of one side (0: p, 1: q) of one case of a leads_to."""
    return f"{prop.name}/{case}/{'pq'[side]}"
