"""States, transitions, depth and verdict agree with SPIN's on the exports (checkers.md section 5 has the published counts)."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from checker import Result, Verdict, check
from protocol import System
from protocol.catalogue import Scenario, scenarios
from protocol.render.promela import export
from tests.checker.spin import needs_spin, run_spin
from tests.reference import alternating_bit, dining, peterson, producer_consumer, tcommit, two_phase_commit

# builder, its arguments, distinct states, transitions (None where none are published), depth
PUBLISHED: list[tuple[Any, dict[str, Any], int, int | None, int | None]] = [
    (two_phase_commit, {"resource_managers": 3}, 288, 1_145, 10),
    (two_phase_commit, {"resource_managers": 4}, 1_568, 8_257, 13),
    (two_phase_commit, {"resource_managers": 5}, 8_832, 58_145, 16),
    (two_phase_commit, {"resource_managers": 6}, 50_816, 402_305, 19),
    (tcommit, {"resource_managers": 3}, 34, 93, 6),
    (tcommit, {"resource_managers": 5}, 274, 1_295, 10),
    (peterson, {}, 34, 62, 9),
    (dining, {"philosophers": 3}, 14, None, None),
    (dining, {"philosophers": 5}, 82, None, None),
    (dining, {"philosophers": 8}, 1_154, None, None),
    (dining, {"philosophers": 10}, 6_726, None, None),
    (dining, {"philosophers": 12}, 39_202, None, None),
    (dining, {"philosophers": 3, "ordered": True}, 12, None, None),
    (dining, {"philosophers": 5, "ordered": True}, 70, None, None),
    (dining, {"philosophers": 10, "ordered": True}, 5_741, None, None),
    (producer_consumer, {"producers": 2, "consumers": 2, "items": 3, "places": 2}, 250, None, 12),
    (producer_consumer, {"producers": 2, "consumers": 2, "items": 5, "places": 3}, 1_738, None, 20),
    (producer_consumer, {"producers": 3, "consumers": 3, "items": 4, "places": 3}, 60_389, None, 24),
    (alternating_bit, {}, 96, None, None),
]
LARGER = [
    (two_phase_commit, {"resource_managers": 7}, 296_448, 2_744_705, 22),
    (two_phase_commit, {"resource_managers": 8}, 1_745_408, 18_507_777, 25),
    (producer_consumer, {"producers": 4, "consumers": 4, "items": 3, "places": 4}, 1_337_264, None, 24),
]


def named(case: tuple[Any, dict[str, Any], int, int | None, int | None]) -> str:
    return "-".join([case[0].__name__.rsplit(".", 1)[-1], *(str(v) for v in case[1].values())])


@pytest.mark.parametrize("case", PUBLISHED + LARGER, ids=named)
def test_our_counts_are_the_published_ones(case: tuple[Any, dict[str, Any], int, int | None, int | None]) -> None:
    module, config, distinct, transitions, depth = case
    result = check(module.build(**config))
    assert result.distinct == distinct
    assert transitions in (None, result.generated - 1)
    assert depth in (None, result.depth)


@needs_spin
@pytest.mark.spin
@pytest.mark.parametrize("case", PUBLISHED, ids=named)
def test_spin_counts_what_we_count(case: tuple[Any, dict[str, Any], int, int | None, int | None], tmp_path: Path) -> None:
    module, config, *_ = case
    agree(module.build(**config), tmp_path)


def smallest_and_largest() -> list[Scenario]:
    """Per group and variant of the catalogue, the smallest and the largest scenario that SPIN explores in seconds."""
    small = [s for s in scenarios().values() if s.distinct is not None and s.distinct < 60_000]
    chosen: dict[str, Scenario] = {}
    for _, members in groupby(sorted(small, key=lambda s: (s.group, s.variant, s.distinct)), key=lambda s: (s.group, s.variant)):
        listed = list(members)
        chosen.update({s.name: s for s in (listed[0], listed[-1])})
    return list(chosen.values())


@needs_spin
@pytest.mark.spin
@pytest.mark.parametrize("scenario", smallest_and_largest(), ids=lambda s: s.name)
def test_spin_counts_the_catalogue_alike(scenario: Scenario, tmp_path: Path) -> None:
    agree(scenario.system(), tmp_path)


def agree(system: System, folder: Path) -> None:
    """SPIN's counts and verdict for the system are ours."""
    ours, theirs = check(system), run_spin(export(system), folder)
    assert (theirs.states, theirs.transitions, theirs.depth) == (ours.distinct, ours.generated, ours.depth)
    assert (theirs.errors > 0) == found_something(system, ours)


def found_something(system: System, result: Result) -> bool:
    """Whether an exported assertion should fail: a violation, or the witness of a `sometimes`; liveness is not exported."""
    kinds = {p.name: p.kind for p in system.properties} | {"range": "range"}
    found = [f for n, f in result.findings.items() if kinds[n] not in ("leads_to", "hang")]
    return any((f.verdict is Verdict.VIOLATED) != (kinds[f.property] == "sometimes") for f in found)
