"""Nothing in the catalogue is dead: every row of every builder fires in some everyday scenario of that builder.

A row that cannot fire proves nothing: what it was meant to show never happens. The rows of passive machines count too. Scenarios are
explored cheapest first and only until all rows of their builder have fired.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from checker import Verdict, check
from checker.result import row_names
from protocol import Machine, Row, System, never
from protocol.catalogue import Scenario, scenarios
from protocol.combine import disjunction
from protocol.expr import Expr

Passive = tuple[str, str, tuple[str, ...]]
"""A row of a passive machine: the machine, the event, and its sources."""


@cache
def builders() -> dict[str, list[Scenario]]:
    """The everyday scenarios by the module of their builder, cheapest first."""
    found: dict[str, list[Scenario]] = {}
    for scenario in sorted(scenarios().values(), key=lambda s: s.distinct or 0):
        if not scenario.deep:
            found.setdefault(_name(scenario.build), []).append(scenario)
    return found


WHOLES = {"repaired.halves": "repaired.protocol", "repaired.decode_ranks": "repaired.protocol"}
"""Builders of parts, and of the whole that is split: a row of the whole need not fire in a part of it."""


def _name(build: Callable[..., System]) -> str:
    name = build.__module__.removeprefix("protocol.machines.")
    return WHOLES.get(name, name)


@cache
def systems(builder: str) -> list[System]:
    """The builder's everyday systems: what fires depends on the bounds only, so the cheapest property asked at them will do."""
    found: dict[str, System] = {}
    for scenario in builders()[builder]:
        if repr(scenario.config) not in found:
            found[repr(scenario.config)] = scenario.system()
    return list(found.values())


def dead_rows(builder: str) -> list[str]:
    """The rows that fire in no everyday scenario of the builder."""
    rows = dict.fromkeys(name for system in systems(builder) for name in row_names(system))
    waiting = set(rows)
    for system in systems(builder):
        mine = set(row_names(system))
        if waiting & mine:
            waiting -= mine.difference(check(system).never_fired)
    return [row for row in rows if row in waiting]


@pytest.mark.parametrize("builder", builders())
def test_every_row_fires_somewhere(builder: str) -> None:
    dead = dead_rows(builder)
    assert not dead, f"{builder}: never fires in an everyday scenario: {', '.join(dead)}"


def key_of(machine: Machine, row: Row) -> Passive:
    return machine.name, row.event, tuple(source.name for source in row.sources)


def taken_when(system: System) -> dict[Passive, Expr]:
    """When each row of a passive machine is taken: some active row that moves a copy may fire, and the copy is in one of its sources."""
    parts: dict[Passive, list[Expr]] = {}
    for action in system.actions:
        for move in action.row.moves:
            for row in move.machine.rows:
                if row.event == move.event:
                    at = move.machine.at(*move.indices).is_in(*row.sources)
                    parts.setdefault(key_of(move.machine, row), []).extend(i.ground(action.guard & at) for i in action.instances())
    return {key: disjunction(guards) for key, guards in parts.items()}


def rows_of_passive(system: System) -> set[Passive]:
    return {key_of(m, row) for m in system.machines if m.passive for row in m.rows}


@pytest.mark.parametrize("builder", [b for b in builders() if any(m.passive for m in systems(b)[0].machines)])
def test_every_row_of_a_passive_machine_is_taken(builder: str) -> None:
    waiting = set().union(*(rows_of_passive(system) for system in systems(builder)))
    for system in systems(builder):
        mine = {key: when for key, when in taken_when(system).items() if key in waiting} if waiting & rows_of_passive(system) else {}
        if mine:
            asked = {key: never(f"never_{k}", when) for k, (key, when) in enumerate(mine.items())}
            findings = check(System(system.name, system.machines, list(asked.values()))).findings
            waiting -= {key for key, question in asked.items() if findings[question.name].verdict is Verdict.VIOLATED}
    assert not waiting
