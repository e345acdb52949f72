"""`interlock replay`: counterexamples driven with tensors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from protocol.errors import DefinitionError
from protocol.trace import check_target

from .exploration import explore, path_of
from .printing import print_prose, print_table
from .progress import Progress

if TYPE_CHECKING:
    from engine.replay import Exposure
    from protocol.trace import Trace


def replay(
    name: Annotated[str, typer.Argument(metavar="TRACE", help="A file of `interlock check --trace`, or a scenario: its path is found first.")] = "",
    all_hazards: Annotated[bool, typer.Option("--all", help="Every scenario of docs/damage.md: the page, with -o into a file.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of prompts, and of the schedule after the path.")] = 0,
    hold: Annotated[bool, typer.Option("--late", help="Also hold the last step of the path back, and tell the worst.")] = False,
    rough: Annotated[int, typer.Option(min=0, help="Also so many runs without a path, under rough schedules (--all: 40; --holding: 3).")] = 0,
    holding: Annotated[bool, typer.Option("--holding", help="Walk every version that holds under rough schedules: none may do damage.")] = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="With --all: write the page to a file.")] = None,
) -> None:
    """Drive the engine with tensors along a counterexample. Tells what that does to the answers. Exit code 1: there is damage."""
    from engine.replay import expose, late
    from engine.replay import replay as drive
    from engine.replay.replay import subject_of
    from engine.replay.report import comparison, exposure_text, late_story, story, telling, told_without_path, version_of
    from engine.replay.world import Spectator
    from protocol.catalogue import find_scenario

    if all_hazards + holding + bool(name) != 1:
        raise DefinitionError("replay: name a trace or a scenario, or give --all for the page, or --holding (one of them)")
    if output is not None and not all_hazards:
        raise DefinitionError("replay: -o is of the page; give --all")
    if holding:
        raise typer.Exit(_walk_holding(seed, rough or 3))
    if all_hazards:
        if output is not None:
            check_target(output)
        _replay_all(seed, rough or 40, output)
        return
    trace = _trace_named(name)
    if trace is None:
        scenario = find_scenario(name)
        print_prose(told_without_path(scenario))
        raise typer.Exit(1 if scenario.expected == "violated" else 0)
    found = drive(trace, seed)
    print(f"{trace.scenario}, version {version_of(found.scenario)}: {len(trace.steps)} steps, then a fair schedule of seed {found.seed}\n")
    print_prose(story(found))
    if found.after.requests or found.after.distances:
        print_table("", ["", ">before", ">after", ">times"], telling(comparison(found)))
    if hold:
        told = late_story(found, late(trace, seed)) or "Holding the last step back hurts no token."
        print_prose([told])
    elif not found.after.hit and found.after.overwritten + found.after.stray:
        print_prose(["No token is hurt by them if the last step is in time: --late holds it back."])
    if rough:
        columns = [">runs", ">with a token hit", ">with a request that never ends", ">tokens hit", ">growth of k3_kl_mean, bfloat16"]
        print_table("under rough schedules", columns, [exposure_text(expose(found.scenario, rough, seed))])
    is_harmless = found.after.harmless and (subject_of(found.scenario) is not Spectator or found.scenario.expected == "holds")
    raise typer.Exit(0 if is_harmless else 1)


def _trace_named(name: str) -> Trace | None:
    """The trace in a file, or the shortest path of a scenario; None where it is answered without one."""
    from protocol.catalogue.target import resolve
    from protocol.trace import load_trace

    if Path(name).exists() or name.endswith(".json"):
        return load_trace(Path(name))
    target = resolve(name)
    if target.scenario is None:
        raise DefinitionError(f"replay {name}: only scenarios of the catalogue are replayed; see `interlock list`")
    return path_of(target, explore(target, first=True), target.scenario.property)


def _replay_all(seed: int, rough: int, output: Path | None) -> None:
    from engine.replay import expose, late
    from engine.replay import replay as drive
    from engine.replay.chosen import scenarios_of_page
    from engine.replay.page import page
    from protocol.trace import write_whole

    replays, steps, lates = {}, {}, {}
    exposures: dict[str, Exposure] = {}
    with Progress("replay") as progress:
        for number, name in enumerate(listed := scenarios_of_page(), 1):
            progress.show(f"{number} of {len(listed)}: {name}")
            trace = _trace_named(name)
            assert trace is not None  # every scenario of the page is violated along a path
            replays[name], steps[name] = drive(trace, seed), len(trace.steps)
            if not replays[name].after.hit:
                lates[name] = late(trace, seed)
            scenario = replays[name].scenario
            same = [n for n in exposures if replays[n].scenario.build is scenario.build and replays[n].scenario.config == scenario.config]
            exposures[name] = exposures[same[0]] if same else expose(scenario, rough, seed)
    text = page(replays, steps, lates, exposures)
    if output is None:
        print(text, end="")
    else:
        write_whole(output, text)
        print(f"written to {output}")


def _walk_holding(seed: int, runs: int) -> int:
    """Rough walks of every version that holds; the exit code."""
    from engine.replay.cross_check import holding
    from engine.replay.registry import SUBJECTS
    from engine.replay.report import EXACT_NOISE, damage_text

    rows, failures = [], list[str]()
    with Progress("replay") as progress:
        for build in SUBJECTS:
            versions, told = holding(build), list[int]()
            for number, version in enumerate(versions, 1):
                progress.show(f"{build.__module__}: {number} of {len(versions)}")
                walks = {walk: version.walk(walk) for walk in range(seed, seed + runs)}
                told.append(sum(damage.tokens for damage in walks.values()))
                for walk, damage in walks.items():
                    if not damage.harmless or damage.k3_mean >= EXACT_NOISE:
                        failures.append(f"{version}, seed {walk}: {damage_text(damage) or f'k3_kl_mean {damage.k3_mean:.2g}'}")
            counts = [len(versions), len(versions) * runs, sum(told), told.count(0)]
            rows.append([build.__module__.removeprefix("protocol.machines."), *(f"{count:,}" for count in counts)])
    print_table("walks of the versions that hold", ["builder", ">versions", ">walks", ">tokens told", ">versions that told none"], rows)
    print_prose(failures or ["No walk does damage."])
    return 1 if failures else 0
