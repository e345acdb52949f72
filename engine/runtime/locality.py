"""Locality: the shared variables that, cell by cell, only one process looks at, and that hence need not leave it; or only one stores to.

A cell is at home in a process when no copy outside of it mentions the cell, and when the cell is lost with the process, or the process does
not die. The environment may give such cells their initial values in the row by which the process dies, which then really begins with
them; a variable with which it does more - messages that it drops, arrivals that it counts - is everybody's. So it is with a register
that only one process stores to: when that process is dead, the register tells what it has stored last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from protocol.action import Action
from protocol.effect import Crash, Store
from protocol.expr import Cell, Literal
from protocol.machine import Machine
from protocol.system import System
from protocol.types import Value
from protocol.variable import Medium, Variable

from .directory import Directory, Span
from .placement import Placement


def directory_of(placement: Placement, system: System) -> Directory:
    """The directory of a placement's system, which it fits, with what is at home in one process left there."""
    everywhere = Directory(system)
    at_home, stored_to = (_of_one_process(placement, everywhere, spans_of) for spans_of in (everywhere.spans_of, everywhere.stored_spans))
    return Directory(system, frozenset(at_home), frozenset(stored_to))


def _of_one_process(placement: Placement, directory: Directory, spans_of: Callable[[Machine, tuple[Value, ...]], set[Span]]) -> Iterator[int]:
    """The numbers of the variables of each of whose cells only one process has them among its spans, and loses them with its life."""
    system = directory.system
    found: dict[int, list[tuple[int, int, str]]] = {}
    lives = {station.name: placement.life(station, system) for station in placement.stations}
    for station in placement.stations:
        for part in station.parts:
            for copy in part.copies(system):
                for number, start, end in spans_of(system.machine(part.machine), copy):
                    found.setdefault(number, []).append((start, end, station.name))
    touched, resets = _by_environment(system)
    for number, spans in found.items():
        variable = directory.variables[number]
        lost = resets.get(number, set())
        is_lost = all(life is None or life[0] in lost for life in (lives[home] for _, _, home in spans))
        if is_lost and number not in touched and variable.medium is not Medium.WORLD and not _overlap(spans):
            yield number


def _by_environment(system: System) -> tuple[set[int], dict[int, set[str]]]:
    """The variables that the environment looks at or changes, and those that it only resets when it crashes some processes: which."""
    touched: set[int] = set()
    resets: dict[int, set[str]] = {}
    for action in system.actions:
        if action.environment:
            crashed = {effect.process.name for effect in action.row.effects if isinstance(effect, Crash)}
            touched |= {system.position[id(variable)] for variable in _read(action)}
            for store in action.stores:
                number = system.position[id(store.cell.variable)]
                if crashed and _is_reset(store):
                    resets[number] = resets.get(number, set()) | crashed
                else:
                    touched.add(number)
    return touched, resets


def _read(action: Action) -> Iterator[Variable]:
    for part in (action.guard, *(e for store in action.stores for e in (store.condition, store.value, *store.cell.indices))):
        yield from (e.variable for e in part.walk() if isinstance(e, Cell))


def _is_reset(store: Store) -> bool:
    return store.target is store.cell and isinstance(store.value, Literal) and set(store.cell.variable.initial) == {store.value.const}


def _overlap(spans: list[tuple[int, int, str]]) -> bool:
    """Whether two processes have one cell."""
    reached, owner = 0, ""
    for start, end, home in sorted(spans):
        if start < reached and home != owner:
            return True
        if end > reached:
            reached, owner = end, home
    return False
