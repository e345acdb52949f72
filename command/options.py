"""Arguments and options that several commands take."""

from __future__ import annotations

from typing import Annotated

import typer

JsonFile = Annotated[str, typer.Option("--json", metavar="FILE", help="Write the answer as JSON; - is standard output.")]
Settings = Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="Change a bound of the builder; may be repeated.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="A scenario of `interlock list`, or path/to/file.py:build.")]
