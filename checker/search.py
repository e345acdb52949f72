"""The table explorer: runs the kernel in batches, keeps the budgets, and turns what it found into findings.

Its one rule: a budget that runs out makes an answer inconclusive, never a success. Errors of the definition that only
exploring shows - two rows of one event enabled at once, two writes to one place, a property that cannot be evaluated - are
raised with the path that leads there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from protocol.action import Instance
from protocol.errors import DefinitionError, DoubleWrite, OutOfRange
from protocol.evaluate import holds, successor
from protocol.properties import Property
from protocol.system import System

from . import kernel as k
from .permutation import group
from .reduction import order_refused
from .result import Finding, Limits, Result, Verdict, never_fired
from .space import MOST_STATES, Space, available_bytes
from .tables import ALL_FINAL, STATE_KINDS, Tables, case_name, tabulate

if TYPE_CHECKING:
    from .threads import Threads

Progress = Callable[[int, int, float, int], None]
"""Called with (states, depth, states per second, states waiting)."""
Phase = Callable[[str], None]
"""Called with what is being done once all states are known, as text."""

UNLIMITED = Limits()
BATCH = 1 << 16
"""States expanded between two looks at the clock and the budgets."""
MEMORY_SHARE = 0.85
"""The part of the machine's free memory that a search without a budget may use."""
JUDGING_BYTES = 32
"""Per state, what judging liveness takes beside the graph."""


def explore(
    system: System,
    *,
    limits: Limits = UNLIMITED,
    first: bool = False,
    workers: int = 1,
    reduced: bool = False,
    progress: Progress | None = None,
    phase: Phase | None = None,
) -> Result:
    """Explore every state of the system and answer each of its properties.

    Args:
        limits: running out of one ends the exploration; what is not found violated by then is inconclusive.
        first: stop at the first violation; the other properties are then inconclusive.
        workers: threads, of which two at most are used; the answer of a completed search does not depend on it.
        reduced: leave out interleavings that no asked property can tell apart.
        progress: called after every batch of states.
        phase: called now and then while hang and leads_to are judged.

    Raises:
        DefinitionError: a table is too large; two rows of one event enabled at once, a place written twice in one step, or
            a property that cannot be evaluated, with the path.
    Cost:    tables: about a millisecond per instance; then a few hundred nanoseconds per state.
    """
    return _Search(system, limits, first, workers, reduced, phase).run(progress)


class _Search:
    def __init__(self, system: System, limits: Limits, first: bool, workers: int, reduced: bool, phase: Phase | None):
        self.started = time.perf_counter()
        self.tell: Phase = phase or (lambda _: None)
        self.system, self.limits, self.first, self.reduced = system, limits, first, reduced
        self.notes: list[str] = []
        if reduced:
            self.tables, self.notes = reduced_tables(system)
        else:
            self.tables = tabulate(system)
        budget = MEMORY_SHARE * available_bytes() if limits.max_memory_gb is None else limits.max_memory_gb * 1e9
        most_states = MOST_STATES if limits.max_states is None else limits.max_states
        self.space = Space(self.tables, most_states, int(budget), workers)
        kinds = {p.kind for p in system.properties}
        self.final_program = len(self.tables.instances) + self.tables.predicate(ALL_FINAL) if "deadlock" in kinds else -1

    @property
    def seconds(self) -> float:
        """Since the search began."""
        return time.perf_counter() - self.started

    def run(self, progress: Progress | None) -> Result:
        """Explore and answer."""
        try:
            reason = self.explore(progress)
        finally:
            self.space.close()
        c = self.space.counters
        result = Result(self.system.name, "table", distinct=self.space.distinct, generated=int(c[k.TRANSITIONS]) + 1, depth=int(c[k.DEPTH]))
        result.complete, result.reason = not reason, reason
        result.reduced, result.notes = self.reduced, tuple(self.notes)
        if not self.reduced:
            result.never_fired = never_fired(self.system, (self.tables.instances[i].action.number for i in self.space.fired_instances()))
        found = self.found()
        for prop in [*self.system.properties, Property("range", "range")]:
            result.findings[prop.name] = self.finding(prop, found.get(prop.name), reason)
        result.seconds = self.seconds
        return result

    # -- exploring ---------------------------------------------------------------------------------------------------

    def explore(self, progress: Progress | None) -> str:
        """Expand states until all are; the reason why not everything was, empty when it was."""
        space = self.space
        while space.expanded < space.distinct:
            space.expand(BATCH, self.final_program, self.first)
            self.raise_definition_errors()
            if progress is not None:
                progress(space.distinct, int(space.counters[k.DEPTH]), space.distinct / max(self.seconds, 1e-9), space.distinct - space.expanded)
            if self.first and space.counters[k.FOUND]:
                return "stopped at the first violation"
            reason = self.used_up() if space.expanded < space.distinct else ""
            if reason:
                return reason
        return ""

    def used_up(self) -> str:
        """Which budget is used up, empty when none is; grows the hash table where it has to."""
        space, limits = self.space, self.limits
        if limits.max_states is not None and space.distinct > limits.max_states:
            return f"more than {limits.max_states:,} states"
        if limits.time_limit_s is not None and self.seconds > limits.time_limit_s:
            return f"more than {limits.time_limit_s} s"
        over = space.exhausted or space.bytes_used > space.most_bytes
        if over or (space.crowded and not space.grow()):
            waiting = space.distinct - space.expanded
            return f"more than {space.most_bytes / 1e9:.3g} GB: {space.distinct:,} states found, {waiting:,} of them not expanded"
        return ""

    def raise_definition_errors(self) -> None:
        """Raise the first thing that the kernel met which makes the definition wrong."""
        c = self.space.counters
        raisers = ((k.DOUBLE_STATE, self.raise_double), (k.RIVAL_STATE, self.raise_rivals), (k.PREDICATE_STATE, self.raise_unevaluable))
        met = [(int(c[place]), order) for order, (place, _) in enumerate(raisers) if c[place] >= 0]
        if met:
            state, order = min(met)
            raisers[order][1](state, int(c[raisers[order][0] + 1]))

    def raise_double(self, state: int, number: int) -> None:
        """Raise that an instance writes one place twice."""
        instance = self.tables.instances[number]
        try:
            successor(self.system, self.tables.layout.unpack(self.space.words(state)), instance)
        except DoubleWrite as error:
            raise DefinitionError(f"{error}; {told(self.space.path(state, number))}") from error

    def raise_rivals(self, state: int, number: int) -> None:
        """Raise that an instance is enabled beside another row of its event."""
        path = self.space.path(state, number)
        two = path[-1]
        what = f"two rows of this event are enabled at once in {two.copy_name}; make their guards exclude each other"
        where = told(path)
        raise DefinitionError(f"{what}; {where}", machine=two.action.machine.name, row=two.action.row.event)

    def raise_unevaluable(self, state: int, predicate: int) -> None:
        """Raise why a property cannot be evaluated in a state."""
        asked = self.tables.predicates[predicate]
        try:
            holds(self.system, asked.seen.state(self.system, self.tables.layout.unpack(self.space.words(state))), asked.expr)
        except OutOfRange as error:
            name, where = asked.name.split("/")[0], told(self.space.path(state, seen=asked.seen))
            raise DefinitionError(f"property {name} cannot be evaluated: {error}; guard it; {where}") from error

    # -- findings ----------------------------------------------------------------------------------------------------

    def found(self) -> dict[str, tuple[int, tuple[Instance, ...]]]:
        """The state and the path that decided a property while exploring: a violation, or a witness."""
        space, c = self.space, self.space.counters
        found = {}
        decided = [(int(event), number) for number, event in enumerate(space.events) if event >= 0]
        for event, number in sorted(decided):
            predicate = self.tables.predicates[number]
            if predicate.name not in found:
                found[predicate.name] = event, space.path(event, seen=predicate.seen)
        for prop in self.system.properties:
            if prop.kind == "deadlock" and c[k.DEADLOCK] >= 0:
                found[prop.name] = int(c[k.DEADLOCK]), space.path(int(c[k.DEADLOCK]))
        if c[k.RANGE_STATE] >= 0:
            found["range"] = int(c[k.RANGE_STATE]), space.path(int(c[k.RANGE_STATE]), int(c[k.RANGE_INSTANCE]))
        if self.first:
            # A whole block was expanded: what lies beyond the first violating state is not an answer.
            kinds = {p.name: p.kind for p in self.system.properties}
            least = min((state for name, (state, _) in found.items() if kinds.get(name) != "sometimes"), default=space.distinct)
            found = {name: (state, path) for name, (state, path) in found.items() if state <= least}
        return found

    def finding(self, prop: Property, found: tuple[int, tuple[Instance, ...]] | None, reason: str) -> Finding:
        """The answer for one property, `reason` being why the exploration is not complete."""
        if found is not None:
            return Finding(prop.name, Verdict.HOLDS if prop.kind == "sometimes" else Verdict.VIOLATED, found[1])
        if reason:
            return Finding(prop.name, Verdict.INCONCLUSIVE, reason=reason)
        if prop.kind == "sometimes":
            return Finding(prop.name, Verdict.VIOLATED, reason="no reachable state is a witness")
        if prop.kind in ("hang", "leads_to"):
            return self.liveness(prop)
        assert prop.kind in STATE_KINDS or prop.kind in ("deadlock", "range")
        return Finding(prop.name, Verdict.HOLDS)

    def liveness(self, prop: Property) -> Finding:
        """The answer for a property that looks at behaviours, from the graph of all states."""
        from . import liveness

        needed = self.space.bytes_used + self.space.graph_bytes() + self.judging_bytes(prop) * self.space.distinct
        if needed > self.space.most_bytes:
            allowed = f"{self.space.most_bytes / 1e9:.3g} GB"
            forecast = f"the graph of {self.space.distinct:,} states needs {needed / 1e9:.3g} GB in all, more than {allowed}"
            return Finding(prop.name, Verdict.INCONCLUSIVE, reason=forecast)
        if not hasattr(self, "graph"):
            self.graph, self.turned_by = self.space.graph(self.tell)
        if prop.kind == "hang":
            self.tell(f"{prop.name}: whether something can still be done, in {self.space.distinct:,} states")
            progressing = np.array([not (i.action.environment or i.action.row.poll) for i in self.tables.instances], dtype=bool)
            state = liveness.hang(self.graph, progressing, ~self.everywhere(ALL_FINAL))
            return Finding(prop.name, Verdict.HOLDS) if state is None else Finding(prop.name, Verdict.VIOLATED, self.space.path(state))
        units, strong = self.units()
        threads = self.threads(units, len(strong))
        for case in self.tables.symmetry.cases.get(prop.name, range(len(prop.cases))):
            label = prop.cases[case][0]
            if self.limits.time_limit_s is not None and self.seconds > self.limits.time_limit_s:
                return Finding(prop.name, Verdict.INCONCLUSIVE, reason=f"more than {self.limits.time_limit_s} s")
            self.tell(f"{' '.join((prop.name, label)).strip()}: a fair behaviour that never gets there, in {self.space.distinct:,} states")
            q = self.everywhere(case_name(prop, case, 1))
            p = self.everywhere(case_name(prop, case, 0), where=~q)
            lasso = liveness.leads_to(self.graph, p, q, units, strong, threads)
            if lasso is not None:
                path = tuple(self.tables.instances[i] for i in (*lasso.stem, *lasso.cycle))
                return Finding(prop.name, Verdict.VIOLATED, path, len(lasso.stem), label)
        return Finding(prop.name, Verdict.HOLDS)

    def judging_bytes(self, prop: Property) -> int:
        """What judging a property takes for each state, beside the graph."""
        from .threads import BYTES_OF_UNIT

        followed = prop.kind == "leads_to" and self.tables.symmetry.elements
        return JUDGING_BYTES + (BYTES_OF_UNIT * len(self.units()[1]) if followed else 0)

    def threads(self, unit_of_instance: np.ndarray, units: int) -> Threads | None:
        """How the steps between representatives rename what fairness is owed to; None where every state stands for itself."""
        from .threads import threads_of

        symmetry = self.tables.symmetry
        if not symmetry.elements:
            return None
        return threads_of(group(symmetry.classes), self.tables.instances, unit_of_instance, units, self.turned_by)

    def everywhere(self, name: str, where: np.ndarray | None = None) -> np.ndarray:
        """Whether a predicate holds, per state; [states] bool.

        Raises:
            DefinitionError: it cannot be evaluated in some state (of those in `where`).
        """
        number = self.tables.predicate(name)
        answers = self.space.judge(number)
        wrong = np.flatnonzero((answers > k.DISABLED) & (True if where is None else where))
        if len(wrong):
            self.raise_unevaluable(int(wrong[0]), number)
        return answers == 0

    def units(self) -> tuple[np.ndarray, np.ndarray]:
        """The fairness unit of each instance (-1: unfair), int32, and which units are strongly fair, bool."""
        numbers: dict[tuple, int] = {}
        strong: list[bool] = []
        units = np.full(len(self.tables.instances), -1, dtype=np.int32)
        for number, instance in enumerate(self.tables.instances):
            action = instance.action
            if action.unit:
                unit = numbers.setdefault((action.unit, instance.copy), len(numbers))
                if unit == len(strong):
                    strong.append(False)
                strong[unit] |= action.fairness == "strong"
                units[number] = unit
        return units, np.array(strong, dtype=bool)


def reduced_tables(system: System) -> tuple[Tables, list[str]]:
    """The tables of a reduced search, and what was used of which reduction.

    Raises:
        DefinitionError: no reduction preserves the answer to some property.
    """
    refused = order_refused(system.properties)
    tables = tabulate(system, alone=not refused, turned=True)
    if refused and not tables.symmetry.elements:
        reasons = "; ".join(tables.symmetry.notes) or "there is no index type of two values"
        raise DefinitionError(f"{refused}, and no values are interchangeable ({reasons}); check it without --reduce")
    return tables, tables.symmetry.notes + ([refused] if refused else [])


def told(path: tuple[Instance, ...]) -> str:
    """A path as text."""
    return "path: " + (", ".join(map(str, path)) or "the initial state")
