"""The strike table of `interlock hunt --all`: what is done is not done again, what was not struck says why, and the page tells what was counted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from command import hunting, strikes
from command.hunting import Version
from command.strikes import Listed, print_strikes
from engine.disaggregated.hunt import Adversity
from engine.replay.chosen import scenarios_of_page
from engine.replay.strikes import REASONS
from protocol import DefinitionError, TraceError
from protocol.machines.repaired.bounds import Rules

SEEDS = range(3, 7)


def breaks(seeds: tuple[int, ...]) -> hunting.Attempt:
    """A version that goes wrong with these seeds."""
    return lambda policy, seed: [("wrong tokens", f"seed {seed}")] if seed in seeds else []


def refused() -> Version:
    raise DefinitionError("no handlers for it")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the versions that were made."""
    names: list[str] = []

    def version(name: str, seeds: tuple[int, ...]) -> Version:
        names.append(name)
        return Version(name, breaks(seeds), 10, breaks(()), "kept")

    def listed(requests: int) -> Iterator[Listed]:
        yield Listed("fences_writes", "H-13", lambda: version("fences_writes", (4, 5)), True, str(Adversity(aborts=2, stalls=("sender",) * 3)))
        yield Listed("names_turns", "H-20", lambda: version("names_turns", ()), is_rule=True)
        yield Listed("sends_computed", "H-05", refused, is_rule=True)
        yield Listed("early-zero", "H1", lambda: version("early-zero", (6,)), is_rule=False)

    monkeypatch.setattr(strikes, "_listed", listed)
    return names


def test_the_page_tells_strikes_and_why_there_are_none(made: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert print_strikes(SEEDS, 3, 8, None, tmp_path / "hunt.md") == 0
    text = (tmp_path / "hunt.md").read_text()
    fences = "| [`fences_writes`](repaired.md#fences_writes) | [H-13](catalogue.md#h-13) "
    assert fences + "| 2 clients give up, 3 stalls of a sender | 2 | 2 | 0 | wrong tokens | random 4 |" in text
    assert "| `early-zero` | [H1](catalogue.md#h1) | 1 | 1 | 0 | wrong tokens | random 6 |" in text
    assert "- `names_turns`: a message would have to stay" in text and "- `sends_computed`: not driven: no handlers for it" in text
    assert "4 seeded schedules of each policy" in " ".join(text.split())
    assert "names_turns: a message would have to stay" in capsys.readouterr().out


def test_what_is_kept_is_not_done_again_with_the_same_options(made: list[str], tmp_path: Path) -> None:
    kept = tmp_path / "kept.jsonl"
    print_strikes(SEEDS, 3, 8, kept, tmp_path / "first.md")
    assert made == ["fences_writes", "names_turns", "early-zero"]
    lines = kept.read_text().splitlines(keepends=True)
    kept.write_text("".join(lines[:-1]))  # as if it had been stopped there
    print_strikes(SEEDS, 3, 8, kept, tmp_path / "again.md")
    assert made[3:] == ["early-zero"] and (tmp_path / "again.md").read_text() == (tmp_path / "first.md").read_text()
    print_strikes(SEEDS, 4, 8, kept, None)
    assert len(made) == 7


def test_a_version_that_holds_and_is_struck_is_exit_code_1(made: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    holds = Version("all", breaks(()), 10, breaks((5,)), "kept")
    monkeypatch.setattr(strikes, "_listed", lambda requests: [Listed("fences_writes", "", lambda: holds, is_rule=True)])
    assert print_strikes(SEEDS, 3, 8, None, None) == 1


def test_docs_hunt_tells_of_every_rule_and_of_every_scenario_of_the_damage() -> None:
    text = (Path(__file__).parents[3] / "docs" / "hunt.md").read_text(encoding="utf-8")
    rules, scenarios = (re.findall(r"^\| \[?`([\w-]+)`", part, re.M) for part in text.split("## The versions of the real system"))
    again = "hunt again: `interlock hunt --all --seeds 20 --keep FILE -o docs/hunt.md`"
    assert rules == [field.name for field in fields(Rules)], f"docs/hunt.md tells of other rules; {again}"
    assert scenarios == scenarios_of_page(), f"docs/hunt.md tells of other scenarios than docs/damage.md; {again}"
    assert set(REASONS) <= {*rules, *scenarios}


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("nothing\n")
    with pytest.raises(TraceError, match="holds no line of `interlock hunt --all --keep`"):
        print_strikes(SEEDS, 3, 8, tmp_path / "other", None)
