"""`interlock list` and `interlock show`: the catalogue, by pull request, by hazard, by scenario."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from protocol.errors import DefinitionError

from .exploration import explore, path_of, print_records
from .options import JsonFile, Settings
from .printing import page_width, print_prose, print_table, text_width, write_json

if TYPE_CHECKING:
    from protocol.catalogue import Scenario
    from protocol.catalogue.hazard import Hazard
    from protocol.render.listing import Table

SHOWN = "A hazard (H1 and H-01 are different), a pull request ('#7724' or 7724), a scenario, a word of them, or path/to/file.py:build."
SHORTEST = 3
"""Characters of a word that is looked for."""
MENTIONS = 20
"""Of the scenarios that speak of a word, so many are listed."""


def list_scenarios(json_file: JsonFile = "") -> None:
    """The catalogue by pull request: its hazards and its scenarios. Each scenario has its property and the recorded answer."""
    from protocol.catalogue import scenarios
    from protocol.render.catalogue import BESIDE, by_pull, cited_hazards, hazards_about, hazards_of, pull_title, pulls_of

    listed = list(scenarios().values())
    if json_file:
        columns = ("name", "group", "sources", "variant", "property", "expected", "distinct", "path_length", "deep")
        write_json(json_file, [{c: getattr(s, c) for c in columns} | {"hazards": hazards_of(s), "pulls": pulls_of(s)} for s in listed])
    if json_file != "-":
        for pull, mine in by_pull(listed).items():
            _print_pull(pull_title(pull), cited_hazards(mine) if pull == BESIDE else hazards_about(pull, mine), mine)


def show(name: Annotated[str, typer.Argument(metavar="NAME", help=SHOWN)], settings: Settings = []) -> None:  # noqa: B006
    """What happens in a hazard, a pull request or a scenario. Then the shortest path."""
    from protocol.catalogue import scenarios
    from protocol.render.catalogue import find_hazard, find_pull, hazards_about, pull_title
    from protocol.render.changes import change_table

    hazard = find_hazard(name)
    pull = find_pull(name) if hazard is None else None
    if settings and (hazard is not None or pull is not None):
        raise DefinitionError(f"show {name}: takes no --set; name one of its scenarios")
    if hazard is not None:
        _show_hazard(hazard)
    elif pull is not None:
        _print_pull(pull_title(pull), hazards_about(pull), [s for s in scenarios().values() if pull in s.sources], change_table(pull))
    elif ".py" in name or name in scenarios() or not _show_mentions(name):
        _show_one(name, settings)


def _show_hazard(hazard: Hazard) -> None:
    from protocol.catalogue.target import resolve
    from protocol.render.catalogue import counterexamples
    from protocol.render.listing import further_text, hazard_text, paragraphs, tally_table, version_lines
    from protocol.render.sequence import trace_table

    width = text_width()
    print(hazard_text(hazard, width), end="")
    print_table("", *tally_table(hazard))
    print_prose([*version_lines(hazard), ""])
    for main in counterexamples(hazard.number)[:1]:
        print(paragraphs([f"{main.name}, variant {main.variant}, {main.property}: {main.about}"], width), end="")
        target = resolve(main.name)
        trace = path_of(target, explore(target, first=main.deep), main.property)
        if trace is not None:
            trace.about = ""  # printed above
            print(trace_table(trace, page_width()))
    print(further_text(hazard, width), end="")


def _print_pull(title: str, found: list[Hazard], mine: list[Scenario], changed: Table | None = None) -> None:
    from protocol.render.listing import hazard_table, scenario_table

    print(title)
    if changed is not None and changed[1]:
        print_table("", *changed)
    print_table("", *hazard_table(found))
    print_table("", *scenario_table(mine))


def _show_mentions(word: str) -> bool:
    """What speaks of that word; whether anything does."""
    from protocol.render.catalogue import mentions
    from protocol.render.listing import hazard_table, scenario_table

    told, found = mentions(word) if len(word) >= SHORTEST else ([], [])
    if not told and not found:
        return False
    print(f"Nothing is called {word!r}; {len(told):,} hazards and {len(found):,} scenarios speak of it, or their systems are written with it.")
    print_table("", *hazard_table(told))
    print_table("", *scenario_table(found[:MENTIONS]))
    if len(found) > MENTIONS:
        print(f"... and {len(found) - MENTIONS:,} more; `interlock list` has all")
    return True


def _show_one(name: str, settings: list[str]) -> None:
    from checker.report import records_of
    from protocol.catalogue.target import resolve
    from protocol.render.sequence import trace_table

    target = resolve(name, settings)
    scenario = target.scenario
    if scenario is not None:
        print(f"{scenario.name}  ({', '.join(scenario.sources)}; variant {scenario.variant}; recorded: {scenario.expected})\n")
        print(scenario.about + "\n")
        arguments = ", ".join(f"{key}={value!r}" for key, value in target.config.items())
        print(f"built by {scenario.build.__module__}.{scenario.build.__name__}({arguments})")
    result = explore(target)
    records = records_of(target, result)
    print_records(records)
    for record in records:
        trace = path_of(target, result, record.property)
        if trace is not None:
            trace.about = ""  # printed above
            print()
            print(trace_table(trace, page_width()))
