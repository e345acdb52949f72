"""Mutants of a system's rows: is there a property that notices when a row is wrong?

A mutant is one row with one thing changed: a conjunct of its guard dropped, what it does to one variable dropped or done whatever the
condition, its move of a passive machine, its lock or its new state dropped, or the row itself. Effects of one row happen at once, so
their order is nothing to change. Ghosts are left as they are: they are the measure. A mutant is

- *refused*: the definition is wrong (a lock is missing, two rows are ambiguous, a cell is written twice);
- *killed*: a property that holds of the system is violated;
- *equal*: it has as many states, steps and layers as the system at all bounds that were tried;
- *survived*: it differs, and nothing asked sees how. Either a property is missing, or there is a reason why it does no harm;
- *undecided*: it has so many more states that the search was given up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from protocol.combine import conjunction, conjuncts
from protocol.effect import Arrive, BreakOpen, Effect, Receive, Send, Store, cell_of
from protocol.errors import DefinitionError
from protocol.expr import TRUE
from protocol.machine import Machine, Row
from protocol.system import System
from protocol.variable import Medium, Variable

from . import check
from .result import Limits, Result, Verdict


@dataclass(frozen=True)
class Mutant:
    """One change of one row.

    Args:
        machine, event: of the row. place: which of the machine's rows of that event.
        change: what is done to it. part: the conjunct or the variable that it is done to.
    """

    machine: str
    event: str
    place: int
    change: str
    part: str = ""

    def __str__(self) -> str:
        place = f" ({self.place + 1})" if self.place else ""
        return f"{self.machine}.{self.event}{place}: {self.change}{f' {self.part}' if self.part else ''}"


@dataclass(frozen=True)
class Judgement:
    """What became of a mutant.

    Args:
        verdict: refused, killed, equal, survived or undecided. by: the property that killed it, or why it was refused. bounds: where.
    """

    verdict: str
    by: str = ""
    bounds: str = ""


class Trial:
    """A system at some bounds, and the mutants of it.

    Args:
        build: makes the system. bounds: the arguments, or what they are called. max_states: a mutant with more is not judged here.
        unasked: properties that are left out, because asking them costs too many states.
    """

    def __init__(self, build: Callable[[], System], bounds: str, max_states: int = 3_000_000, unasked: Sequence[str] = ()):
        self._build, self.bounds, self._limits = build, bounds, Limits(max_states=max_states)
        self._unasked = {*unasked, "range"}

    @cached_property
    def system(self) -> System:
        """The system itself, asked all that holds of it."""
        system = self._build()
        asked = [p.name for p in system.properties if p.name not in self._unasked]
        whole = check(system.focused(*asked), limits=self._limits)
        if not whole.complete:
            raise DefinitionError(f"{self.bounds}: more than {self._limits.max_states} states; choose smaller bounds")
        return system.focused(*(n for n in asked if whole.findings[n].verdict is Verdict.HOLDS))

    @cached_property
    def mutants(self) -> dict[Mutant, None]:
        """Every mutant of the system."""
        return mutants(self._build())

    @cached_property
    def size(self) -> tuple[int, int, int]:
        """States, steps and layers of the system itself."""
        return _size(check(self.system, limits=self._limits))

    def judge(self, mutant: Mutant) -> Judgement:
        """What becomes of the mutant at these bounds."""
        names = [p.name for p in self.system.properties if p.name != "range"]
        try:
            with _changed(self.system, mutant):
                mutated = self.system.again().focused(*names)
            result = check(mutated, limits=self._limits, first=True)
        except DefinitionError as error:
            return Judgement("refused", str(error), self.bounds)
        for name, finding in result.findings.items():
            if finding.verdict is Verdict.VIOLATED:
                return Judgement("killed", name, self.bounds)
        if not result.complete:
            return Judgement("undecided", result.reason, self.bounds)
        return Judgement("equal" if _size(result) == self.size else "survived", "", self.bounds)


def judge(mutant: Mutant, trials: Sequence[Trial]) -> Judgement:
    """What becomes of the mutant at all of these bounds: the first that kills or refuses it decides, else any that tells it apart."""
    weight = ("equal", "survived", "undecided")
    found = Judgement("equal")
    for trial in trials:
        if mutant in trial.mutants:
            last = trial.judge(mutant)
            if last.verdict not in weight:
                return last
            found = max(found, last, key=lambda judged: weight.index(judged.verdict))
    return found


def mutants(system: System) -> dict[Mutant, None]:
    """Every mutant of the system, in the order of its tables. Faults and clients do what they like, and are not mutated."""
    found: dict[Mutant, None] = {}
    for machine in system.machines:
        if not machine.environment:
            for row in machine.rows:
                place = [r for r in machine.rows if r.event == row.event].index(row)
                found.update({Mutant(machine.name, row.event, place, change, part): None for change, part in _changes(machine, row)})
    return found


def _changes(machine: Machine, row: Row) -> Iterator[tuple[str, str]]:
    """What can be wrong with the row."""
    if machine.row_fairness(row) != "none":
        yield "drop the row", ""
    for conjunct in conjuncts(row.guard):
        yield "drop the guard", str(conjunct)
    for variable in _touched(row):
        yield "drop what it does to", variable.name
        if any(e.condition is not TRUE for e in row.effects if _variable(e) is variable):
            yield "do always what it does to", variable.name
    for move in row.moves:
        yield "drop the move", move.event
    if row.under is not None:
        yield "drop the lock", str(row.under)
    if row.destination is not None and row.sources != (row.destination,):
        yield "stay instead of going to", row.destination.name


def _touched(row: Row) -> list[Variable]:
    """The real variables that its effects are about, each once."""
    found = {id(v): v for e in row.effects if (v := _variable(e)) is not None and v.medium is not Medium.GHOST}
    return list(found.values())


def _variable(effect: Effect) -> Variable | None:
    """What the effect is about; None for the death of a process."""
    if isinstance(effect, Store):
        return cell_of(effect.target).variable
    if isinstance(effect, (Send, Receive)):
        return effect.channel.variable
    return effect.barrier.variable if isinstance(effect, (Arrive, BreakOpen)) else None


class _changed:
    """The row as the mutant has it, inside a `with`; a system that is made there keeps it."""

    def __init__(self, system: System, mutant: Mutant):
        self._machine, self._mutant = system.machine(mutant.machine), mutant
        self._row = [r for r in self._machine.rows if r.event == mutant.event][mutant.place]
        self._rows, self._was = self._machine.rows, dict(vars(self._row))

    def __enter__(self) -> None:
        row, change, part = self._row, self._mutant.change, self._mutant.part
        if change == "drop the row":
            self._machine.rows = [r for r in self._rows if r is not row]
        elif change == "drop the guard":
            row.guard = conjunction([c for c in conjuncts(row.guard) if str(c) != part])
        elif change == "drop what it does to":
            row.effects = [e for e in row.effects if not _is_about(e, part)]
        elif change == "do always what it does to":
            row.effects = [replace(e, condition=TRUE) if _is_about(e, part) else e for e in row.effects]
        elif change == "drop the move":
            row.moves = tuple(m for m in row.moves if m.event != part)
        elif change == "drop the lock":
            row.under = None
        else:
            row.destination = None

    def __exit__(self, *_: Any) -> None:
        self._machine.rows = self._rows
        vars(self._row).update(self._was)


def _is_about(effect: Effect, name: str) -> bool:
    variable = _variable(effect)
    return variable is not None and variable.name == name


def _size(result: Result) -> tuple[int, int, int]:
    return result.distinct, result.generated, result.depth
