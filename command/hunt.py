"""`interlock hunt`: in how many of so many seeded schedules does a version of the protocol go wrong, and what does it damage?"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from protocol.errors import DefinitionError

from .lockstep import Turns
from .options import JsonFile
from .printing import print_prose, print_table, write_json
from .progress import Progress

if TYPE_CHECKING:
    from engine.runtime.policy import Policy

BOTH = (Turns.RANDOM, Turns.PCT)
WIDTH = 600
"""Characters of the first strike that are told."""


def hunt(
    scenario: Annotated[str, typer.Argument(metavar="[SCENARIO]", help="A scenario of `interlock list`; none: the whole engine.")] = "",
    without: Annotated[str | None, typer.Option(help="Leave a rule of the repaired protocol out (docs/repaired.md); of the whole engine.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Schedules of each policy.")] = 20,
    first: Annotated[int, typer.Option(min=0, help="The first seed.")] = 0,
    policy: Annotated[Turns | None, typer.Option(help="Only this policy; else random and pct beside one another.")] = None,
    changes: Annotated[int, typer.Option(min=0, help="Change points of pct.")] = 3,
    requests: Annotated[int, typer.Option(min=1, help="Requests of a run of the whole engine.")] = 8,
    json_file: JsonFile = "",
) -> None:
    """Run a version in lockstep under seeded schedules, with tensors, and count what goes wrong. Exit code 1: something did.

    The whole engine meets what the rule is about: clients that give up, processes that die, messages that are lost, at seeded moments.
    """
    if scenario and without is not None:
        raise DefinitionError("hunt: --without leaves a rule of the whole engine out; leave the scenario out, or --without")
    attempt, rows, title = _of_scenario(scenario) if scenario else _of_engine(without, requests)
    turns = BOTH if policy is None else (policy,)
    tallies = [_tally(which, attempt, range(first, first + seeds), changes, rows) for which in turns]
    if json_file:
        write_json(json_file, {"version": title, "policies": tallies})
    if json_file != "-":
        columns = ["policy", ">schedules", ">gone wrong", "what", ">first seed", ">s a schedule"]
        print_table(title, columns, [_cells(t) for t in tallies])
        for tally in tallies:
            if tally["struck"]:
                said = "; ".join(tally["first_harms"])
                print_prose([f"{tally['policy']}, seed {tally['first_seed']}: {said[:WIDTH]}{' ...' if len(said) > WIDTH else ''}"])
    raise typer.Exit(1 if any(tally["struck"] for tally in tallies) else 0)


Attempt = Callable[[Any, int], tuple[list[str], list[str]]]
"""A run under a policy, of a seed: what was damaged, in words and by kind."""


def _of_engine(without: str | None, requests: int) -> tuple[Attempt, int, str]:
    """The whole engine; about how many rows a run takes, and what it is called."""
    from engine.disaggregated.hunt import ROWS_REQUEST, Hunt

    hunted = Hunt(without, requests=requests)

    def attempt(policy: Policy, seed: int) -> tuple[list[str], list[str]]:
        outcome = hunted.run(policy, seed)
        return outcome.harms, outcome.kinds

    return attempt, ROWS_REQUEST * requests, f"the engine without {without}" if without else "the engine, all rules kept"


def _of_scenario(name: str) -> tuple[Attempt, int, str]:
    """The version that a scenario of the catalogue is about, with the tensors that `interlock replay` binds to it."""
    from engine.replay.hunt import ROWS, attempt_on
    from protocol.catalogue import find_scenario

    found = find_scenario(name)
    return attempt_on(found), ROWS, f"{found.name}, variant {found.variant}"


def _tally(which: Turns, attempt: Attempt, seeds: range, changes: int, rows: int) -> dict[str, Any]:
    kinds: Counter[str] = Counter()
    struck: list[tuple[int, list[str]]] = []
    began = time.perf_counter()
    with Progress(which.value) as shown:
        for done, seed in enumerate(seeds):
            shown.show(f"{done} of {len(seeds)} schedules, {len(struck)} gone wrong")
            harms, found = attempt(which.policy(seed, changes, rows), seed)
            if harms:
                struck.append((seed, harms))
                kinds.update(found)
    return {
        "policy": which.value,
        "schedules": len(seeds),
        "struck": len(struck),
        "kinds": dict(kinds),
        "seeds": [seed for seed, _ in struck],
        "first_seed": struck[0][0] if struck else None,
        "first_harms": struck[0][1] if struck else [],
        "seconds": time.perf_counter() - began,
    }


def _cells(tally: dict[str, Any]) -> list[str]:
    what = ", ".join(f"{kind} {count}" for kind, count in tally["kinds"].items()) or "-"
    first = "-" if tally["first_seed"] is None else str(tally["first_seed"])
    return [tally["policy"], str(tally["schedules"]), str(tally["struck"]), what, first, f"{tally['seconds'] / tally['schedules']:.2f}"]
