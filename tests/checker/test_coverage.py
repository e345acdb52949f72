"""Nothing in the catalogue is dead or empty: every row fires, and where a claim holds something happens.

A row that cannot fire proves nothing: what it was meant to show never happens. The rows of passive machines count too. Scenarios are
explored cheapest first and only until all rows of their builder have fired. A claim may hold in a variant for want of anything to look
at: the catalogue has a witness of that variant, or one is looked for here, at the claim's own bounds.
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
from protocol.render.catalogue import is_witness

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


WHOLES = dict.fromkeys(("repaired.halves", "repaired.decode_ranks", "repaired.decode_rounds"), "repaired.protocol")
"""Builders of parts, and of the whole that is split: a row of the whole need not fire in a part of it."""


def _name(build: Callable[..., System]) -> str:
    name = build.__module__.removeprefix("protocol.machines.")
    return WHOLES.get(name, name)


def systems(builder: str) -> list[System]:
    """The builder's everyday systems: what fires depends on the bounds only, so the cheapest property asked at them will do."""
    found: dict[str, System] = {}
    for scenario in builders()[builder]:
        if repr(scenario.config) not in found:
            found[repr(scenario.config)] = scenario.system()
    return list(found.values())


def dead_rows(made: list[System]) -> list[str]:
    """The rows that fire in none of the systems."""
    rows = dict.fromkeys(name for system in made for name in row_names(system))
    waiting = set(rows)
    for system in made:
        mine = set(row_names(system))
        if waiting & mine:
            waiting -= mine.difference(check(system).never_fired)
    return [row for row in rows if row in waiting]


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


def untaken_rows(made: list[System]) -> set[Passive]:
    """The rows of passive machines that are taken in none of the systems."""
    waiting = set[Passive]().union(*map(rows_of_passive, made))
    for system in made:
        mine = {key: when for key, when in taken_when(system).items() if key in waiting} if waiting & rows_of_passive(system) else {}
        if mine:
            asked = {key: never(f"never_{k}", when) for k, (key, when) in enumerate(mine.items())}
            findings = check(System(system.name, system.machines, list(asked.values()))).findings
            waiting -= {key for key, question in asked.items() if findings[question.name].verdict is Verdict.VIOLATED}
    return waiting


@pytest.mark.parametrize("builder", builders())
def test_every_row_fires_somewhere(builder: str) -> None:
    """Nothing is built before the test runs, nor kept behind it: every process that tests would."""
    made = systems(builder)
    dead, untaken = dead_rows(made), untaken_rows(made)
    assert not dead, f"{builder}: never fires in an everyday scenario: {', '.join(dead)}"
    assert not untaken, f"{builder}: never taken in an everyday scenario: {untaken}"


def unwitnessed(builder: str) -> list[Scenario]:
    """The cheapest claim that holds in each variant of which the catalogue has no witness; parts of a whole cannot be asked for one."""
    found: list[Scenario] = []
    seen = {s.variant for s in builders()[builder] if is_witness(s) and s.expected == "holds"}
    for scenario in builders()[builder]:
        if scenario.expected == "holds" and scenario.variant not in seen and _name(scenario.build) not in WHOLES.values():
            kinds = {p.name: p.kind for p in scenario.build(**scenario.config).properties}
            if kinds[scenario.property] in ("always", "never"):
                seen.add(scenario.variant)
                found.append(scenario)
    return found


def witnesses(scenario: Scenario) -> list[str]:
    """What happens at the scenario's bounds of what can be a witness there; one suffices."""
    system = scenario.build(**scenario.config)
    for name in (p.name for p in system.properties if p.kind == "sometimes"):
        if check(system.focused(name), first=True).findings[name].verdict is Verdict.HOLDS:
            return [name]
    return []


@pytest.mark.parametrize("builder", builders())
def test_claims_that_hold_are_not_empty_in_any_variant(builder: str) -> None:
    empty = [s.name for s in unwitnessed(builder) if not witnesses(s)]
    assert not empty, f"{builder}: nothing that could witness them happens in {', '.join(empty)}"
