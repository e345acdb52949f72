"""A search with its progress, its path and its printed answer: what `check`, `show` and `replay` share."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from protocol.errors import DefinitionError

from .printing import number, print_table
from .progress import Progress

if TYPE_CHECKING:
    from checker.report import Record
    from checker.result import Limits, Result
    from protocol.catalogue.target import Target
    from protocol.trace import Trace


class Explorer(StrEnum):
    """Who explores: the compiled kernel, or its slow and obvious twin."""

    TABLE = "table"
    REFERENCE = "reference"


def explore(
    target: Target,
    limits: Limits | None = None,
    explorer: Explorer = Explorer.TABLE,
    *,
    first: bool = False,
    workers: int = 1,
    reduced: bool = False,
    place: str = "",
) -> Result:
    """Explore a target; `place` stands before its name in the line of progress.

    Raises:
        DefinitionError: of its system, with the target's name.
    """
    from checker import check
    from checker.result import Limits

    if workers > 1 and explorer is Explorer.REFERENCE:
        raise DefinitionError(f"--workers {workers}: the reference explorer has one thread; use the table explorer")
    try:
        with Progress(place + target.name) as progress:
            return check(
                target.system,
                limits=limits or Limits(),
                explorer=explorer.value,
                first=first,
                workers=workers,
                reduced=reduced,
                progress=progress,
                phase=progress.show,
            )
    except DefinitionError as error:
        raise DefinitionError(f"{target.name}: {error}") from error


def path_of(target: Target, result: Result, property_name: str) -> Trace | None:
    """The path that a search found for one property, with its states; None where the answer needs none."""
    from protocol.trace import trace_of

    finding = result.findings[property_name]
    if finding.path is None:
        return None
    trace = trace_of(target.system, finding.path, property=property_name, loop_start=finding.loop_start)
    trace.scenario, trace.config = target.name, target.config
    trace.about = target.scenario.about if target.scenario is not None else ""
    return trace


def print_records(records: list[Record], *, paths: bool = False) -> None:
    """A row for each record, why an answer is missing, and on demand the steps of the paths."""
    columns = ["scenario", "property", "verdict", ">distinct", ">?generated", ">?depth", ">seconds", ">path"]
    rows = []
    for r in records:
        verdict = r.verdict + ("" if r.expected in (None, r.verdict) else f" (recorded: {r.expected})")
        counts = [number(r.distinct), number(r.generated), number(r.depth), f"{r.seconds:.2f}", number(r.path_length)]
        rows.append([r.name, r.property, verdict, *counts])
    print_table("", columns, rows)
    for r in records:
        if r.reason:
            print(f"{r.name}, {r.property}: {r.reason}")
        if paths and r.path:
            what = "a witness" if r.verdict != "violated" else "a path, perhaps not the shortest" if r.reduced else "the shortest path"
            print(f"\n{r.name}, {r.property}: {what}")
            for place, step in enumerate(r.path, 1):
                print(f"{place:4}  {step}")
