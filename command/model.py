"""`interlock model`: models that the engine can run."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from protocol.errors import DefinitionError


def fetch(name: Annotated[str, typer.Argument(metavar="NAME", help="smollm2")]) -> None:
    """Download a model, verify it and unpack it into the user's cache."""
    from engine.model import smollm2

    if name != "smollm2":
        raise DefinitionError(f"there is no model {name!r} to fetch; smollm2 is the one (tiny needs no fetching)")
    where = smollm2.fetch(lambda text: print(text, file=sys.stderr))
    print(f"smollm2 is in {where}")
