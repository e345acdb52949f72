"""docs/catalogue.md, and a page of scenarios per group: hazard, pull request, verdict per variant, states, path length.

The catalogue has the hazards and the matrices; what happens in each scenario is told on the page of its group, to which every
verdict of a matrix leads.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence

from ..catalogue import Scenario, hazards
from ..catalogue.beyond import BEYOND
from ..catalogue.hazard import Hazard
from .catalogue import REFERENCE, Tally, by_question, counterexamples, hazards_of, is_judged, pull_title, pulls_of, question, tallies, variants
from .names import versions_section
from .table import markdown

_INTRO = """\
Is a race real, in which version, and what mends it? Every hazard of the control plane is here, with what the model says of it in
each [version](#versions) of the protocol; `interlock show H1` tells one in the terminal, with its shortest path. What each pull request opened and
closed: [pulls.md](pulls.md), and `interlock show '#7724'`. H1 and H-01 are different: the former are hazards between engine and worker,
the latter of the cache hand-over.

`interlock check --all` explores every scenario again and fails when a verdict or a count differs (`--deep`: those above a million
states, too). A verdict is about the bounds of its scenario and no others. In the tables: ✗ = some claim about that hazard is
violated in that variant, with the steps of the shortest path; ✓ = all of them hold; below it the distinct states of the system
that tells it. States and steps of a hazard in the first table are those of its main counterexample. *Repaired* is ours; most other
variants are real versions, some are ours with a part left out to show what it is for, and the text of each group says which.
Scenarios with *without* in their name, and those that only show that a claim is not empty (`some_...`), are no part of a verdict.
"""

_BEYOND = """\
What was left out when they were gone through section by section; numbers are those of the engine-worker facts (E) and of the cache
hand-over's (C).
"""

WIDE = 7
"""Variants that a table has columns for; more become its rows."""
WIDEST = 10
"""Columns that a page has room for; a matrix of more is cut into tables side by side, one under the other."""


def catalogue_page(listed: Sequence[Scenario], generated: str) -> str:
    """Hazards, contradictions and matrices."""
    known = list(hazards().values())
    parts = ["# Catalogue\n", generated, _INTRO, versions_section(), "## Hazards\n", _hazard_table(known)]
    unmodelled = [(h.number, h.title, h.unmodelled) for h in known if h.unmodelled]
    if unmodelled:
        parts += ["## What no interleaving model can express\n", markdown(("hazard", "title", "why"), unmodelled)]
    parts += ["## What of the facts is in no machine\n", _BEYOND, markdown(("facts", "what they tell", "why it is not there"), BEYOND)]
    findings = [(_to(h.number), h.claim, h.finding) for h in known if h.finding]
    parts += ["## Where the model says more than the facts, or otherwise\n", markdown(("hazard", "the facts", "the model"), findings)]
    for group in dict.fromkeys(s.group for s in listed):
        parts += _group_section(group, [s for s in listed if s.group == group])
    return "\n".join(part for part in parts if part)


def scenarios_page(group: str, mine: Sequence[Scenario], generated: str) -> str:
    """Every scenario of a group with its recorded answer and what happens in it."""
    parts = [f"# Scenarios of {group}\n", generated, f"Their matrices are in the [catalogue](../catalogue.md#{group}).\n"]
    for asked, listed in by_question(mine).items():
        parts += [f"## {asked.capitalize()}\n", _scenario_table(listed)]
    return "\n".join(parts)


def scenario_pages(listed: Sequence[Scenario], generated: str) -> dict[str, str]:
    """The page of each group by its file name."""
    groups = dict.fromkeys(s.group for s in listed)
    return {_page(group): scenarios_page(group, [s for s in listed if s.group == group], generated) for group in groups}


# -- parts -----------------------------------------------------------------------------------------------------------


def _hazard_table(known: Iterable[Hazard]) -> str:
    rows = []
    for hazard in known:
        judged = tallies(hazard.number)
        main = next(iter(counterexamples(hazard.number)), None)
        counts = ("", "") if main is None else (f"{main.distinct or 0:,}", f"[{main.path_length}]({_link(main)})")
        answers = ("not modelled", "") if hazard.unmodelled else (variants("violated", judged), variants("holds", judged))
        rows.append((_to(hazard.number), hazard.title, " ".join(hazard.pulls), *answers, *counts))
    return markdown(("hazard", "what happens", "pull requests", "violated in", "holds in", "states", "steps"), rows)


def _group_section(group: str, mine: Sequence[Scenario]) -> list[str]:
    module = sys.modules.get(f"protocol.catalogue.{group.replace('-', '_')}")
    parts = [f"## {group}\n", (module.__doc__ or "").strip() + "\n" if module is not None else ""]
    for hazard in getattr(module, "HAZARDS", ()):  # a part of a group that is split over modules owns none
        parts += _hazard_section(hazard)
    for asked, listed in by_question(mine).items():
        parts += [f"### {asked.capitalize()}\n", _matrix(listed)]
    return [*parts, f"[All {len(mine)} scenarios of {group}](machines/{_page(group)})\n"]


def _hazard_section(hazard: Hazard) -> list[str]:
    lines = [f"- **The facts:** {hazard.claim}"]
    lines += [f"- **The model:** {hazard.finding}"] if hazard.finding else []
    lines += [f"- **Not modelled:** {hazard.unmodelled}"] if hazard.unmodelled else []
    told = [f"[`{s.name}`]({_link(s)})" for s in counterexamples(hazard.number)[:1]]
    lines += [f"- **Main counterexample:** {', '.join(told)}; `interlock show {hazard.number}`"] if told else []
    lines += [f"- **Pull requests:** {'; '.join(map(pull_title, hazard.pulls))}"] if hazard.pulls else []
    return [f'#### <a id="{hazard.number.lower()}"></a>{hazard.number}: {hazard.title}\n', hazard.about + "\n", "\n".join(lines) + "\n"]


def _matrix(listed: Sequence[Scenario]) -> str:
    """Hazards, and pull requests of scenarios that cite no hazard, by variant; many variants go down the page."""
    judged = [s for s in listed if is_judged(s)]
    columns = sorted(dict.fromkeys(s.variant for s in judged), key=lambda v: v == REFERENCE)
    found: dict[str, list[Scenario]] = {}
    for scenario in judged:
        for source in hazards_of(scenario) or pulls_of(scenario)[:1] or list(scenario.sources[:1]):
            found.setdefault(source, []).append(scenario)
    order = {number: k for k, number in enumerate(hazards())}
    sources = sorted(found, key=lambda source: (order.get(source, len(order)), source))
    heads = [_to(s) if s in order else s for s in sources]
    cells = [[_cell([s for s in found[source] if s.variant == v]) for v in columns] for source in sources]
    if len(columns) > WIDE:
        heads, columns, cells = columns, heads, [list(column) for column in zip(*cells)]
    tables = -(-len(columns) // WIDEST)
    each = -(-len(columns) // tables)
    return "\n".join(_part(heads, columns[k : k + each], [row[k : k + each] for row in cells]) for k in range(0, len(columns), each))


def _part(heads: Sequence[str], columns: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """Of a matrix too wide for a page some columns, and the rows that have something there."""
    return markdown(("", *columns), [(head, *row) for head, row in zip(heads, cells) if any(row)])


def _cell(mine: Sequence[Scenario]) -> str:
    """The verdict with its steps; below it the states."""
    if not mine:
        return ""
    tally = Tally(mine[0].variant, question(mine[0]), tuple(mine))
    mark = f"✗ {tally.told.path_length or ''}".rstrip() if tally.violated else "✓"
    return f"[{mark}]({_link(tally.told)})\n{tally.told.distinct or 0:,}"


def _scenario_table(listed: Sequence[Scenario]) -> str:
    """Four columns, so that there is room for what happens."""
    rows = []
    for s in listed:
        name = f'<a id="{s.name}"></a>`{s.name}`' + (" (deep)" if s.deep else "")
        settings = ", ".join([s.variant, *(f"{k}={v}" for k, v in s.config.items() if v != s.variant)])
        settings = re.sub(r",(?=\S)", ", ", settings)  # where a cell may be broken
        verdict = {"violated": "✗ violated", "holds": "✓ holds"}.get(s.expected, s.expected)
        counts = [f"{n:,} {unit}" for n, unit in ((s.path_length, "steps"), (s.distinct, "states")) if n is not None]
        rows.append((f"{name}\n{' '.join(s.sources)}", f"`{s.property}`\n{settings}", "\n".join([verdict, *counts]), s.about))
    return markdown(("scenario", "asked", "answer", "what happens"), rows)


def _page(group: str) -> str:
    return f"{group}-scenarios.md"


def _link(scenario: Scenario) -> str:
    return f"machines/{_page(scenario.group)}#{scenario.name}"


def _to(number: str) -> str:
    return f"[{number}](#{number.lower()})"
