"""The first answer of docs/damage.md: a hazard that raises k3 fifty times is told with its factor, one that does not is named, H1 hurts nothing."""

from __future__ import annotations

from typing import Any, cast

import pytest

from engine.replay import reverted
from engine.replay.damage import Damage
from engine.replay.replay import Exposure, Late, Replay


def damage(k3_mean: float, hit: int = 0) -> Damage:
    """Of one request with ten tokens."""
    return Damage(10, hit, hit, 10 * k3_mean, 1, (), (), {}, 0, 0)


def replayed(exact: float, narrow: float, hit: int) -> Replay:
    return Replay(cast(Any, None), 0, damage(1e-12), damage(exact, hit), damage(2e-4), damage(narrow, hit))


def exposed(ratio: float) -> Exposure:
    return Exposure(40, 4 if ratio > 1 else 0, 0, 100, 10, 0.1, 2e-4 * ratio, 2e-4)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(reverted, "CHOSEN", {"H1": ("a",), "H9": ("b",), "H10": ("c",), "H-13": ("d",), "H-25": ("e",)})
    replays = {"a": replayed(1e-12, 1e-4, 0), "b": replayed(1.0, 1.0, 4), "c": replayed(2.0, 2.0, 8)}
    replays |= {name: replayed(1e-12, 2e-4, 0) for name in "de"}
    lates = {"d": Late(4, damage(0.5, 5), damage(0.5, 5)), "e": Late(4, damage(1e-12), damage(2e-4))}
    exposures = {"a": exposed(1.0), "b": exposed(1.0), "c": exposed(300.0), "d": exposed(1.0), "e": exposed(80.0)}
    return reverted.answer((replays, lates, exposures))


def test_those_that_reach_it_come_first_by_their_factor_and_those_that_do_so_late_behind(told: str) -> None:
    rows = [line for line in told.splitlines() if line.startswith("| [")]
    assert [row[3 : row.index("]")] for row in rows] == ["H10", "H9", "H-13", "H-25"]
    assert "| 8 of 10 | 2: over 10^9 times | 0.0002 to 2: **10,000 times** | 0.4% | 10.0% (4 of 40 runs): 300 times |" in rows[0]
    assert "| 5 of 10, late |" in rows[2] and rows[2].endswith("| - | none in 40 runs |")
    assert rows[3].endswith("| - | - | - | - | 10.0% (4 of 40 runs): 80 times |")


def test_those_that_do_not_are_named(told: str) -> None:
    words = " ".join(told.split())
    assert "by [H1](#h1): they cost requests" in words and "without any path by [H10](#h10), [H-25](#h-25)." in words
    assert "3 others do" in words and "([H-13](#h-13): when its last step comes late)" in words
