"""What `interlock list` and `interlock show` print, as plain rows and paragraphs; the command sets them on the terminal.

A column's name tells how it is set: `>` right, `~` may break, `?` is left out first where the terminal is narrow.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from ..catalogue import Scenario
from ..catalogue.hazard import Hazard
from .catalogue import counterexamples, hazards_of, tallies, variants
from .names import VERSIONS

Table = tuple[list[str], list[list[str]]]
"""Columns and rows."""


def hazard_text(hazard: Hazard, width: int) -> str:
    """Title, what happens, the claim and the finding, a paragraph each."""
    pulls = f"  ({', '.join(hazard.pulls)})" if hazard.pulls else ""
    verdict = f"Not modelled: {hazard.unmodelled}" if hazard.unmodelled else f"The model: {hazard.finding or 'agrees'}"
    return paragraphs([f"{hazard.number}: {hazard.title}{pulls}", hazard.about, f"The facts: {hazard.claim}", verdict], width)


def further_text(hazard: Hazard, width: int) -> str:
    """The names of the counterexamples beside the main one; empty when there are none."""
    others = [s.name for s in counterexamples(hazard.number)[1:]]
    return "\n" + paragraphs(["Further counterexamples: " + ", ".join(others)], width) if others else ""


def tally_table(hazard: Hazard) -> Table:
    """The verdict per variant, and the scenario that tells it."""
    rows = [
        [t.variant, t.verdict, t.share, t.question, count(t.told.path_length), count(t.told.distinct), t.told.name] for t in tallies(hazard.number)
    ]
    return ["variant", "verdict", ">claims", "question", ">path", ">?distinct", "?told by"], rows


def version_lines(hazard: Hazard) -> list[str]:
    """What the versions of that table are that several hazards have, a line each."""
    return [f"{name}: {VERSIONS[name]}" for name in dict.fromkeys(t.variant for t in tallies(hazard.number)) if name in VERSIONS]


def hazard_table(found: Iterable[Hazard]) -> Table:
    """A row a hazard, with the variants that have it and those that have not."""
    rows = []
    for hazard in found:
        judged = tallies(hazard.number)
        answers = ["not modelled", ""] if hazard.unmodelled else [variants("violated", judged), variants("holds", judged)]
        rows.append([hazard.number, hazard.title, *answers])
    return ["hazard", "~what happens", "~violated in", "~?holds in"], rows


def scenario_table(listed: Iterable[Scenario]) -> Table:
    """A row a scenario with its recorded answer."""
    rows = []
    for s in listed:
        name = s.name + (" (deep)" if s.deep else "")
        rows.append([name, " ".join(hazards_of(s)), s.variant, s.property, s.expected, count(s.distinct), count(s.path_length)])
    return ["scenario", "?hazards", "?variant", "?property", "expected", ">distinct", ">path"], rows


def paragraphs(texts: Sequence[str], width: int) -> str:
    """Texts filled to the width, with an empty line after each; names are never broken."""
    return "".join(textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False) + "\n\n" for text in texts)


def count(value: int | None) -> str:
    """A count for people."""
    return "-" if value is None else f"{value:,}"
