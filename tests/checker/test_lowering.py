"""The lowering keeps what the tables say: its states and steps are those of the tables as written.

INTERLOCK_EXAMPLES=2000 hunts longer, on new systems each time; INTERLOCK_STATES=3000 compares larger scenarios.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import given, reject, settings

from checker.reference import Search, unit_of
from checker.result import Limits, Verdict
from protocol import DefinitionError, System
from protocol.action import Instance
from protocol.catalogue import Scenario, scenarios
from protocol.errors import OutOfRange
from protocol.machine import Machine, Row
from tests.checker.random_systems import EXAMPLES, systems
from tests.checker.written_rows import TwoStores
from tests.checker.written_tables import Ambiguous, Graph, Tables

MOST, FEW = 300, int(os.environ.get("INTERLOCK_STATES", "60"))
"""States up to which a random system is compared, and a scenario of the catalogue; INTERLOCK_STATES=3000 compares larger ones."""
JUDGED = ("always", "never", "sometimes", "deadlock", "write_conflict", "lost_store", "illegal")


def agree(system: System, most: int) -> bool:
    """Explore the tables as written, and as lowered, and compare; whether there were few enough states to."""
    tables, search = Tables(system), Search(system)
    try:
        graph = tables.explore(most)
    except (TwoStores, Ambiguous, OutOfRange):
        with pytest.raises(DefinitionError):
            search.run(Limits(max_states=most), False, None, 0.0)
        return True
    if graph is None:
        return False
    search.run(Limits(), False, None, 0.0)
    assert search.edges == graph.edges
    compare(system, search, graph)
    for instance, (machine, row, copy, _) in zip(search.instances, tables.instances, strict=True):
        assert (unit_of(instance) is None, instance.action.fairness) == (fairness(machine, row) == "none", fairness(machine, row))
        assert same_unit(instance, search.instances) == {
            k for k, (m, r, c, _) in enumerate(tables.instances)
            if fairness(machine, row) != "none" != fairness(m, r) and (m, c) == (machine, copy) and (r is row or machine.fairness == "copy")
        }  # fmt: skip
    return True


def compare(system: System, search: Search, graph: Graph) -> None:
    """Each property is decided by the same state."""
    for prop in system.properties:
        if prop.kind == "write_conflict" and "range" in graph.first:
            continue  # where a guard is an error it is not judged
        if prop.kind in JUDGED:
            at = graph.first.get(prop.name)
            assert search.found.get(prop.name) == (None if at is None else search.path(at)), prop.name
        if prop.kind == "hang":
            moving = {s for s, edges in enumerate(graph.edges) if any(not still(search.instances[k]) for k, _ in edges)}
            while grown := {s for s, edges in enumerate(graph.edges) if s not in moving and any(t in moving for _, t in edges)}:
                moving |= grown
            hanging = [s for s, stuck in enumerate(graph.stuck) if stuck and s not in moving]
            finding = search.finding(prop, "")
            assert (finding.verdict, finding.path) == ((Verdict.VIOLATED, search.path(hanging[0])) if hanging else (Verdict.HOLDS, None))
    assert ("range" in search.found) == ("range" in graph.first)
    if "range" in graph.first:
        assert search.found["range"][:-1] == search.path(graph.first["range"])


def still(instance: Instance) -> bool:
    """Whether its step is no progress."""
    return instance.action.machine.environment or instance.action.row.poll


def same_unit(instance: Instance, instances: list[Instance]) -> set[int]:
    """The instances, by number, that share its fairness unit."""
    return {k for k, other in enumerate(instances) if unit_of(instance) is not None and unit_of(other) == unit_of(instance)}


def fairness(machine: Machine, row: Row) -> str:
    """The row's own word, else strong where it acquires a lock and the machine is weak, else the machine's default."""
    default = machine.fair or ("none" if machine.environment else "weak")
    return row.fair or ("strong" if row.acquire is not None and default == "weak" else default)


def chosen() -> list[Scenario]:
    """The largest scenario with few states of every builder and variant."""
    few = sorted((s for s in scenarios().values() if (s.distinct or FEW) < FEW), key=lambda s: s.distinct or 0)
    return list({(s.build, s.variant): s for s in few}.values())


@settings(EXAMPLES, max_examples=EXAMPLES.max_examples if "INTERLOCK_EXAMPLES" in os.environ else 60)
@given(systems())
def test_random_systems_are_lowered_as_written(system: System) -> None:
    if not agree(system, MOST):
        reject()


@pytest.mark.parametrize("scenario", chosen(), ids=lambda s: s.name)
def test_scenarios_are_lowered_as_written(scenario: Scenario) -> None:
    assert agree(scenario.system(), FEW)
