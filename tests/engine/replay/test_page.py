"""docs/damage.md is what the replays say: what can be counted to the digit, k3_kl_mean within the spread of rounding."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.replay.chosen import CHOSEN, scenarios_of_page
from engine.replay.page import GENERATED, counts_table, k3_table
from protocol.catalogue import scenarios

from .paths import found, replayed

PAGE = Path(__file__).parents[3] / "docs" / "damage.md"
AGAIN = "change the replay and write the page again: `interlock replay --all -o docs/damage.md`"
NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?(?:e-?\d+)?")


@pytest.fixture(scope="module")
def written() -> str:
    return PAGE.read_text(encoding="utf-8")


def rows(text: str) -> list[list[str]]:
    """The cells of the lines that are a table's."""
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line.startswith("| [")]


def test_the_page_is_about_scenarios_that_exist_and_the_hazards_that_were_asked_for() -> None:
    assert set(scenarios_of_page()) <= set(scenarios())
    assert {"H1", "H9", "H10", "H-01", "H-03", "H-04", "H-05", "H-06", "H-08", "H-12", "H-13", "H-22", "top_p_list"} <= set(CHOSEN)


def test_what_the_page_counts_is_what_the_replays_count(written: str) -> None:
    names = scenarios_of_page()
    table = counts_table({n: replayed(n) for n in names}, {n: len(found(n).steps) for n in names})
    stale = [line for line in table.splitlines() if line not in written]
    assert not stale and GENERATED in written, f"{stale[0] if stale else GENERATED} is not in docs/damage.md; {AGAIN}"


def test_the_page_tells_k3_as_it_is_measured_here(written: str) -> None:
    told = {(row[0], row[1]): row[2:] for row in rows(written) if len(row) == 9}
    for hazard, name, *cells in rows(k3_table({n: replayed(n) for n in scenarios_of_page()})):
        for cell, there in zip(cells, told[hazard, name]):
            here, page = (NUMBER.findall(text) for text in (cell, there))
            assert len(here) == len(page), f"{name}: {there} became {cell}; {AGAIN}"
            assert all(close(a, b) for a, b in zip(here, page)), f"{name}: {there} became {cell}; {AGAIN}"


def close(here: str, there: str) -> bool:
    """Whether two numbers differ by less than another matrix library makes of a bfloat16 engine's noise over a few tokens: by a factor of 3."""
    a, b = (float(text.replace(",", "")) for text in (here, there))
    return a == b or 1 / 3 < a / b < 3
