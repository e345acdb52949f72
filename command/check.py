"""`interlock check`: explore every interleaving of scenarios and compare the answers with their record."""

from __future__ import annotations

import signal
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

from protocol.errors import DefinitionError

from .catalogue import answers
from .exploration import Explorer, explore, path_of, print_records
from .options import JsonFile, Settings
from .printing import print_prose, write_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checker.report import Record
    from protocol.trace import Trace

LONG_S = 10
"""Of the deep catalogue, a scenario that takes longer is told as soon as it is answered."""


@dataclass
class _Answers:
    """What is known so far of the scenarios asked; `wrong` has an entry for each that was compared with its record."""

    names: list[str]
    answered: int = 0
    records: list[Record] = field(default_factory=list)
    wrong: dict[str, list[str]] = field(default_factory=dict)
    trace: Trace | None = None


def check(
    names: Annotated[list[str], typer.Argument(metavar="SCENARIO", help="Scenarios, or path/to/file.py:build.")] = [],  # noqa: B006
    all_scenarios: Annotated[bool, typer.Option("--all", help="The whole catalogue, compared with its record.")] = False,
    settings: Settings = [],  # noqa: B006
    json_file: JsonFile = "",
    trace_file: Annotated[str, typer.Option("--trace", metavar="FILE", help="Write the first path found, as ITF JSON.")] = "",
    max_states: Annotated[int | None, typer.Option(min=1, help="Budget: distinct states.")] = None,
    max_memory: Annotated[float | None, typer.Option(min=0.001, help="Budget: GB of the search's own memory.")] = None,
    time_limit: Annotated[float | None, typer.Option(min=0.001, help="Budget: seconds per scenario.")] = None,
    workers: Annotated[int, typer.Option(min=1, max=2, help="Threads of the table explorer; a completed answer does not depend on it.")] = 1,
    first: Annotated[bool, typer.Option("--first", help="Stop at the first violation; counts then cover what was explored.")] = False,
    deep: Annotated[bool, typer.Option("--deep", help="The whole catalogue with its proofs above a million states.")] = False,
    reduce: Annotated[bool, typer.Option("--reduce", help="Leave out interleavings that the property cannot tell apart.")] = False,
    explorer: Annotated[Explorer, typer.Option(help="The compiled explorer, or the slow and obvious one.")] = Explorer.TABLE,
) -> None:
    """Explore every interleaving: verdicts, counts, shortest paths. Exit code 1: violated; 3: a budget ran out."""
    from checker.report import differences, exit_code, records_of
    from checker.result import Limits
    from protocol.catalogue import scenarios
    from protocol.catalogue.target import resolve
    from protocol.trace import check_target, save_trace

    all_scenarios = all_scenarios or (deep and not names)
    _check_asked(names, all_scenarios, settings, reduce)
    for file in (trace_file, json_file if json_file != "-" else ""):
        if file:
            check_target(file)
    if all_scenarios:
        names = [s.name for s in scenarios().values() if deep or not s.deep]
    limits = Limits(max_states, max_memory, time_limit)
    found = _Answers(names)
    started = time.perf_counter()
    shared = all_scenarios and not (deep or first or trace_file) and limits == Limits() and workers == 1 and explorer is Explorer.TABLE
    with _terminable(found):
        for name, records, wrong in answers(names) if shared else ():
            found.wrong[name] = wrong
            found.records += records
            found.answered += 1
        for name in names if not shared else ():
            target = resolve(name, settings)
            place = f"{found.answered + 1:,} of {len(names):,}: " if len(names) > 1 else ""
            result = explore(target, limits, explorer, first=first, workers=workers, reduced=reduce, place=place)
            records = records_of(target, result)
            found.records += records
            if all_scenarios:
                found.wrong[name] = differences(target, records)
                if deep and result.seconds > LONG_S:
                    outcome = "; ".join(found.wrong[name]) or "as recorded"
                    print(f"{place}{name}: {result.distinct:,} states, {result.seconds:.0f} s, {outcome}", file=sys.stderr, flush=True)
            for record in records:
                if found.trace is None and trace_file:
                    found.trace = path_of(target, result, record.property)
            found.answered += 1
    found.records.sort(key=lambda r: names.index(r.name))
    if found.trace is not None:
        save_trace(found.trace, trace_file)
    if json_file:
        write_json(json_file, [r.as_json() for r in found.records])
    if json_file != "-":
        _tell(found, trace_file, paths=not all_scenarios, reduced=reduce)
    if all_scenarios:
        _tell_differences(found, None if json_file == "-" else time.perf_counter() - started)
        raise typer.Exit(_compared_code(found))
    raise typer.Exit(exit_code(found.records) if found.answered == len(names) else 3)


def _check_asked(names: list[str], all_scenarios: bool, settings: list[str], reduced: bool) -> None:
    """Refuse what does not go together."""
    if all_scenarios == bool(names):
        raise DefinitionError("check: name scenarios, or give --all for the whole catalogue (and not both)")
    if all_scenarios and settings:
        raise DefinitionError("check --all compares with the record, so it takes no --set; name the scenario instead")
    if all_scenarios and reduced:
        raise DefinitionError("check --all compares counts with the record, so it takes no --reduce; name scenarios instead")


@contextmanager
def _terminable(found: _Answers) -> Iterator[None]:
    """Lets the keyboard, or a kind request to end, leave the scenarios that are not answered yet."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        text = f"interlock: stopped after {found.answered:,} of {len(found.names):,} scenarios; the others are not answered"
        print(text, file=sys.stderr)
    finally:
        signal.signal(signal.SIGTERM, before)


def _tell(found: _Answers, trace_file: str, *, paths: bool, reduced: bool) -> None:
    """The table, the paths, and what was left out or written."""
    print_records(found.records, paths=paths)
    if reduced:
        print("\nreduced: what the property cannot tell apart was left out, and is not counted")
        for name, notes in {r.name: r.notes for r in found.records}.items():
            for note in notes:
                print(f"{name}: {note}")
    if len(found.names) == len(found.records) == 1 and found.records[0].never_fired:
        print()
        print_prose([f"rows that never fire at these bounds: {', '.join(found.records[0].never_fired)}"])
    if trace_file:
        print(f"path written to {trace_file}" if found.trace is not None else f"no path was found, so {trace_file} was not written")


def _tell_differences(found: _Answers, seconds: float | None) -> None:
    """What is not as recorded; and, given its time in seconds, the sum of the whole catalogue."""
    for name, lines in found.wrong.items():
        for line in lines:
            print(f"not as recorded: {name}: {line}", file=sys.stderr)
    if seconds is not None:
        print(f"{len(found.names)} scenarios, {sum(not lines for lines in found.wrong.values())} as recorded, {seconds:.1f} s")


def _compared_code(found: _Answers) -> int:
    """0 when every answer is as recorded, 1 when one differs, 3 when none differs but some are missing."""
    differing = [r for r in found.records if found.wrong.get(r.name)]
    if any(r.verdict != "inconclusive" for r in differing):
        return 1
    return 3 if differing or found.answered < len(found.names) else 0
