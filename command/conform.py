"""`interlock conform`: an event log against the protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import JsonFile
from .printing import check_targets, write_json


def conform(log: Annotated[Path, typer.Argument(metavar="LOG", help="What `interlock run --log` wrote.")], json_file: JsonFile = "") -> None:
    """Whether a run's log is a behaviour of its system. Names the first event that cannot be. Exit code 1: there is one."""
    from checker.conform import conform as judge

    check_targets(json_file)
    found = judge(log)
    if json_file:
        answer = {"system": found.system, "events": found.events, "conforms": found.conforms, "line": found.line, "reason": found.reason}
        write_json(json_file, answer)
    if json_file != "-":
        if found.conforms:
            print(f"{log}: {found.events:,} events, a behaviour of {found.system}")
        else:
            print(f"{log}:{found.line}: does not conform to {found.system}: {found.reason}")
    raise typer.Exit(0 if found.conforms else 1)
