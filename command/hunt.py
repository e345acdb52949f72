"""`interlock hunt`: in how many of so many seeded schedules does a version of the protocol go wrong, and what does it damage?"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Annotated

import typer

from protocol.errors import DefinitionError

from .hunting import BOTH, Tally, engine_version, scenario_version, tally
from .lockstep import Turns
from .options import JsonFile
from .printing import check_targets, print_prose, print_table, write_json
from .strikes import print_strikes

WIDTH = 600
"""Characters of the first strike that are told."""


def hunt(
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO", help="A scenario of `interlock list`; none: the whole engine.")] = "",
    without: Annotated[str | None, typer.Option(help="Leave a rule of the repaired protocol out (docs/repaired.md); of the whole engine.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Schedules of each policy.")] = 20,
    first: Annotated[int, typer.Option(min=0, help="The first seed.")] = 0,
    policy: Annotated[Turns | None, typer.Option(help="Only this policy; else random and pct beside one another.")] = None,
    changes: Annotated[int, typer.Option(min=0, help="Change points of pct.")] = 3,
    requests: Annotated[int, typer.Option(min=1, help="Requests of a run of the whole engine.")] = 8,
    json_file: JsonFile = "",
    everything: Annotated[bool, typer.Option("--all", help="Every rule left out, and every scenario of docs/damage.md: a table.")] = False,
    keep: Annotated[Path | None, typer.Option(help="With --all: what is done is kept in this file, and not done again.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="With --all: write the page to a file.")] = None,
) -> None:
    """Count what goes wrong with a version under seeded schedules. It runs in lockstep, with tensors. Exit code 1: something did.

    The whole engine meets what the rule is about: clients that give up, processes that die, messages that are lost, at seeded moments.
    """
    if scenario and without is not None:
        raise DefinitionError("hunt: --without leaves a rule of the whole engine out; leave the scenario out, or --without")
    if everything and (scenario or without is not None or policy is not None or json_file):
        raise DefinitionError("hunt: --all is every version under both policies; leave out the scenario, --without, --policy and --json")
    if (keep is not None or output is not None) and not everything:
        raise DefinitionError("hunt: --keep and -o are of the whole table; give --all")
    check_targets(json_file, keep, output)
    if everything:
        raise typer.Exit(print_strikes(range(first, first + seeds), changes, requests, keep, output))
    version = scenario_version(scenario) if scenario else engine_version(without, requests)
    turns = BOTH if policy is None else (policy,)
    tallies = [tally(which, version, range(first, first + seeds), changes) for which in turns]
    if json_file:
        write_json(json_file, {"version": version.title, "policies": tallies})
    if json_file != "-":
        columns = ["policy", ">gone wrong", f">{version.beside}", "~what", ">first seed", ">?s a schedule"]
        print_table(version.title, columns, [_cells(t) for t in tallies])
        for t in tallies:
            if t["struck"]:
                said = "; ".join(t["first_harms"])
                print_prose([f"{t['policy']}, seed {t['first_seed']}: {textwrap.shorten(said, WIDTH, placeholder=' ...')}"])
    raise typer.Exit(1 if any(t["struck"] for t in tallies) else 0)


def _cells(found: Tally) -> list[str]:
    what = ", ".join(f"{kind} {count}" for kind, count in found["kinds"].items()) or "-"
    counts = ["-" if found[name] is None else f"{found[name]} of {found['schedules']}" for name in ("struck", "struck_beside")]
    first = "-" if found["first_seed"] is None else str(found["first_seed"])
    return [found["policy"], *counts, what, first, f"{found['seconds'] / found['schedules']:.2f}"]
