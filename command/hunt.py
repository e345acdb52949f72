"""`interlock hunt`: in how many of so many seeded schedules does a version of the protocol go wrong, and what does it damage?"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from protocol.errors import DefinitionError

from .lockstep import Turns
from .options import JsonFile
from .printing import print_prose, print_table, write_json
from .progress import Progress

BOTH = (Turns.RANDOM, Turns.PCT)
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
) -> None:
    """Count what goes wrong with a version under seeded schedules. It runs in lockstep, with tensors. Exit code 1: something did.

    The whole engine meets what the rule is about: clients that give up, processes that die, messages that are lost, at seeded moments.
    """
    if scenario and without is not None:
        raise DefinitionError("hunt: --without leaves a rule of the whole engine out; leave the scenario out, or --without")
    version = _version_of(scenario) if scenario else _engine(without, requests)
    turns = BOTH if policy is None else (policy,)
    tallies = [_tally(which, version, range(first, first + seeds), changes) for which in turns]
    if json_file:
        write_json(json_file, {"version": version.title, "policies": tallies})
    if json_file != "-":
        columns = ["policy", ">schedules", ">gone wrong", f">{version.beside}", "~what", ">first seed", ">?s a schedule"]
        print_table(version.title, columns, [_cells(t) for t in tallies])
        for tally in tallies:
            if tally["struck"]:
                said = "; ".join(tally["first_harms"])
                print_prose([f"{tally['policy']}, seed {tally['first_seed']}: {said[:WIDTH]}{' ...' if len(said) > WIDTH else ''}"])
    raise typer.Exit(1 if any(tally["struck"] for tally in tallies) else 0)


Attempt = Callable[[Any, int], list[tuple[str, str]]]
"""A run under a policy, of a seed: what was damaged, by kind and in words."""


@dataclass(frozen=True)
class Version:
    """What is hunted.

    Args:
        attempt: a run of it; rows: about how many rows it takes. control: a run of the version that holds, None where none is known;
            beside: what that is called.
    """

    title: str
    attempt: Attempt
    rows: int
    control: Attempt | None
    beside: str


def _engine(without: str | None, requests: int) -> Version:
    """The whole engine."""
    from engine.disaggregated.hunt import ROWS_REQUEST, Hunt

    hunted = Hunt(without, requests=requests)
    control = None if without is None else Hunt(None, hunted.adversity, requests=requests).run
    title = f"the engine without {without}" if without else "the engine, all rules kept"
    rows = ROWS_REQUEST * requests
    return Version(title, _harms_of(hunted.run), rows, control and _harms_of(control), "all rules kept")


def _harms_of(run: Callable[[Any, int], Any]) -> Attempt:
    return lambda policy, seed: run(policy, seed).harms


def _version_of(name: str) -> Version:
    """The version that a scenario of the catalogue is about, with the tensors that `interlock replay` binds to it."""
    from engine.replay.hunt import ROWS, attempt_on
    from protocol.catalogue import find_scenario

    found = find_scenario(name)
    title = f"{found.name}, variant {found.variant}"
    return Version(title, attempt_on(found), ROWS, attempt_on(found, holds=True), "version that holds")


def _tally(which: Turns, version: Version, seeds: range, changes: int) -> dict[str, Any]:
    kinds: Counter[str] = Counter()
    struck: list[tuple[int, list[str]]] = []
    beside, seconds = 0, 0.0
    with Progress(which.value) as shown:
        for done, seed in enumerate(seeds):
            shown.show(f"{done} of {len(seeds)} schedules, {len(struck)} gone wrong")
            began = time.perf_counter()
            harms = version.attempt(which.policy(seed, changes, version.rows), seed)
            seconds += time.perf_counter() - began
            if harms:
                struck.append((seed, [text for _, text in harms]))
                kinds.update(kind for kind, _ in harms)
            if version.control is not None:
                beside += bool(version.control(which.policy(seed, changes, version.rows), seed))
    return {
        "policy": which.value,
        "schedules": len(seeds),
        "struck": len(struck),
        "struck_beside": None if version.control is None else beside,
        "kinds": dict(kinds),
        "seeds": [seed for seed, _ in struck],
        "first_seed": struck[0][0] if struck else None,
        "first_harms": struck[0][1] if struck else [],
        "seconds": seconds,
    }


def _cells(tally: dict[str, Any]) -> list[str]:
    what = ", ".join(f"{kind} {count}" for kind, count in tally["kinds"].items()) or "-"
    counts = ["-" if tally[name] is None else str(tally[name]) for name in ("schedules", "struck", "struck_beside")]
    first = "-" if tally["first_seed"] is None else str(tally["first_seed"])
    return [tally["policy"], *counts, what, first, f"{tally['seconds'] / tally['schedules']:.2f}"]
