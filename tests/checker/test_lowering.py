"""The lowering keeps what the tables say: its states and steps are those of the tables as written.

INTERLOCK_EXAMPLES=2000 hunts longer, on new systems each time; INTERLOCK_STATES=3000 compares larger scenarios.
"""

from __future__ import annotations

import os
from enum import IntEnum

import pytest
from hypothesis import given, reject, settings

from checker.reference import Search, unit_of
from checker.result import Limits, Verdict
from protocol import (
    BOOL,
    TRUE,
    DefinitionError,
    Index,
    Lock,
    Machine,
    Medium,
    Process,
    Range,
    Record,
    Row,
    System,
    any_of,
    barrier,
    channel,
    choice,
    deadlock,
    ghost,
    hang,
    locked,
    lost_store,
    me,
    never,
    passed,
    private,
    unlocked,
    write_conflict,
)
from protocol.action import Instance
from protocol.catalogue import Scenario, scenarios
from protocol.errors import OutOfRange
from tests.checker.random_systems import EXAMPLES, systems
from tests.checker.written_rows import TwoStores
from tests.checker.written_tables import Ambiguous, Graph, Tables


class S(IntEnum):
    OUT, IN = range(2)


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


def meeting(kind: str) -> System:
    """Two copies of a process, of two threads each, that meet at a barrier of their process, crash there, and come back."""
    node, hand = Index("node", 2), Index("hand", 2)
    host, at = Process("host", over=node), choice("at", node)
    gate = barrier("gate", 2, over=node, kind=kind)
    rows = [Row("arrive", S.OUT, S.IN, TRUE, [gate[me(node)].arrive()]), Row("leave", S.IN, S.OUT, passed(gate[me(node)]))]
    faults = [
        Row("crash", S.OUT, S.IN, host.is_alive(at), [host.crash(at)], choose=at),
        Row("restart", S.IN, S.OUT, ~host.is_alive(at), [host.restart(at)], choose=at),
    ]
    machines = [Machine("crew", S, rows, copies=(node, hand), process=host), Machine("faults", S, faults, environment=True)]
    return System("meeting", machines, [deadlock(), hang()])


def holding() -> System:
    """Two machines that hold one lock; one of them may die with it."""
    pair, host, lock = Index("pair", 2), Process("host"), Lock("lock")
    level = locked("level", Range(0, 3), lock)
    rows = [
        Row("take", S.OUT, S.IN, acquire=lock),
        Row("look", (S.OUT, S.IN), None, level < 3, [level.add(1)], under=lock),
        Row("give", S.IN, S.OUT, TRUE, [level.set(0)], release=lock),
    ]
    faults = [Row("crash", S.OUT, S.IN, TRUE, [host.crash()]), Row("restart", S.IN, S.OUT, ~host.is_alive(), [host.restart()])]
    mortal, other = Machine("mortal", S, rows, copies=pair, process=host), Machine("other", S, rows, copies=pair)
    return System("holding", [mortal, other, Machine("faults", S, faults, environment=True)], [deadlock(), hang()])


def sending(on_full: str) -> System:
    """A bag of two kinds of messages, and requests that may or may not be moved."""
    kind = choice("kind", Range(0, 1))
    net, request = channel("net", Range(0, 1), 2, kind="bag", on_full=on_full), Index("request", 2)
    which, twin = choice("which", request), choice("twin", request)
    tries, place = private("tries", Range(0, 1)), choice("place", Range(0, 2))
    passive = Machine(
        "request", S, [Row("ask", S.OUT, S.IN), Row("ask", S.IN, None, TRUE), Row("end", S.IN, S.OUT)], copies=request, passive=True,
        medium=Medium.UNLOCKED,
    )  # fmt: skip
    rows = [
        Row("send", S.OUT, S.OUT, TRUE, [net.send(kind)], choose=kind),
        Row("receive", S.OUT, S.IN, TRUE, [net.receive(kind)], choose=kind),
        Row("ask", S.IN, S.OUT, which != twin, moves=(passive[which].ask, passive[twin].ask), choose=(which, twin), assume_atomic="two at once"),
        Row("end", S.IN, S.IN, (place < 2) & (tries == 0), [tries.set(1)], moves=passive[place].end, choose=place),
    ]
    return System("sending", [Machine("sender", S, rows), passive], [deadlock(), hang()])


def storing(what: str) -> System:
    """Two copies that store parts and whole values, load what they replace, or what `|` and a fold may skip."""
    pair, value = Index("pair", 2), choice("value", Range(0, 1))
    here = me(pair)
    note = unlocked("note", Record("Note", flag=BOOL, number=Range(0, 1)))
    words, seen = unlocked("words", Range(0, 1), over=pair), private("seen", BOOL, over=pair)
    atomic = {"assume_atomic": "a load and a store at once"}
    parts = [
        Row("set_flag", S.OUT, S.IN, TRUE, [note.flag.set(True)]),
        Row("set_number", S.OUT, S.IN, TRUE, [note.number.set(value)], choose=value),
        Row("look_and_set", S.IN, S.OUT, note.flag, [note.number.set(1)], **atomic),
        Row("look", S.IN, S.OUT, seen[here] | (note.number == 0), [seen[here].set(~seen[here])]),
    ]
    cells = [
        Row("set_own", S.OUT, S.IN, TRUE, [words[here].set(1)]),
        Row("set_other", S.OUT, S.IN, seen[here], [words[1 - here].set(value)], choose=value),
        Row("look", S.IN, S.OUT, seen[here] | (words[0] == 0), [seen[here].set(~seen[here])]),
        Row("look_at_all", S.IN, S.OUT, any_of(pair, lambda i: words[i] == 1), [words[here].set(0)], **atomic),
    ]
    rows, asked = (parts, note) if what == "parts" else (cells, words)
    return System("storing", [Machine("crew", S, rows, copies=pair)], [lost_store(asked), write_conflict(asked)])


def beside() -> System:
    """Two machines of one copy each that store into different fields, each now this value and now that: no conflict."""
    value, note = choice("value", Range(0, 1)), unlocked("note", Record("Note", left=Range(0, 1), right=Range(0, 1)))
    machines = [Machine(n, S, [Row("set", S.OUT, None, TRUE, [getattr(note, n).set(value)], choose=value)]) for n in ("left", "right")]
    return System("beside", machines, [write_conflict(note), lost_store(note)])


def haunting() -> System:
    """What is asked depends on one ghost, that on another, and that on a third."""
    first, second, third = (ghost(f"ghost{k}", BOOL) for k in range(3))
    rows = [
        Row("see", S.OUT, S.IN, TRUE, [second.set(first)]),
        Row("tell", S.IN, S.OUT, TRUE, [third.set(second)]),
        Row("rise", S.OUT, S.OUT, TRUE, [first.set(True)]),
    ]
    return System("haunting", [Machine("medium", S, rows)], [never("heard", third)])


def overlapping() -> System:
    """Two rows of one event of a passive machine are enabled at once, of which one stays: a definition error where both are taken."""
    far, near = unlocked("far", BOOL), unlocked("near", BOOL)
    rows = [Row("ask", S.OUT, S.IN, ~far), Row("ask", S.OUT, None, ~near)]
    passive = Machine("request", S, rows, passive=True, medium=Medium.UNLOCKED)
    client = Machine("client", S, [Row("ask", S.OUT, S.IN, TRUE, [], moves=passive[()].ask, assume_atomic="two looks at once")])
    return System("overlapping", [client, passive], [deadlock()])


MADE = {
    "haunting": haunting,
    "overlapping alternatives": overlapping,
    "storing beside each other": beside,
    "storing parts of a value": lambda: storing("parts"),
    "storing cells": lambda: storing("cells"),
    "meeting at a draining barrier": lambda: meeting("draining"),
    "meeting at a sense-reversing barrier": lambda: meeting("sense"),
    "holding a lock": holding,
    "sending into a bag that blocks": lambda: sending("block"),
    "sending into a bag that drops": lambda: sending("drop"),
    "sending into a bag that overflows": lambda: sending("error"),
}
"""What random systems seldom have."""


@pytest.mark.parametrize("name", MADE)
def test_what_is_seldom_is_lowered_as_written(name: str) -> None:
    assert agree(MADE[name](), 3000)


@pytest.mark.parametrize("scenario", chosen(), ids=lambda s: s.name)
def test_scenarios_are_lowered_as_written(scenario: Scenario) -> None:
    assert agree(scenario.system(), FEW)
