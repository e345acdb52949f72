"""Arguments and options that several commands take."""

from __future__ import annotations

from typing import Annotated

import typer

JsonFile = Annotated[str, typer.Option("--json", metavar="FILE", help="Write the answer as JSON; - is standard output.")]
Settings = Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="Change a bound of the builder; may be repeated.")]
PrefixCaching = Annotated[
    bool, typer.Option("--enable-prefix-caching/--no-enable-prefix-caching", help="Whether P keeps blocks of prompts for others that begin alike.")
]
Drafts = Annotated[
    int, typer.Option("--num-speculative-tokens", min=0, help="Draft tokens a decode step verifies at most, proposed by n-grams; 0: none.")
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="A scenario of `interlock list`, or path/to/file.py:build.")]
