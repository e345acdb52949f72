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
AsyncExecution = Annotated[
    bool, typer.Option("--async-execution", help="P's ranks launch their forwards on devices and go on, instead of waiting for them.")
]
ExpertParallel = Annotated[
    int, typer.Option("--ep", min=1, help="1: ranks have a part of every expert; --tp: whole ones; --tp times --decode: D's share them.")
]
Eplb = Annotated[
    int | None, typer.Option("--eplb", min=0, metavar="N", help="Move experts between the D's that share them, with N redundant ones on every rank.")
]
Routing = Annotated[str, typer.Option("--routing", metavar="DIR", help="Store the experts that every token visits: DIR/<answer>/layer_0.npy ...")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="A scenario of `interlock list`, or path/to/file.py:build.")]
