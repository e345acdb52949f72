"""`interlock diagram`, `explain` and `export`: pictures of systems and of paths, and the system in another checker's language."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from protocol.errors import DefinitionError

from .options import Name, Settings
from .printing import page_width


class Language(StrEnum):
    """Of an export."""

    PROMELA = "promela"


def diagram(
    name: Name,
    output: Annotated[Path, typer.Option("-o", "--output", help="A .mmd, .dot, .svg, .html or .md file; the last two have every row too.")],
    settings: Settings = [],  # noqa: B006
) -> None:
    """Draw the machines of a system, and the variables between them."""
    from protocol.catalogue.target import resolve
    from protocol.render import FORMATS
    from protocol.render import diagram as draw
    from protocol.trace import check_target, write_whole

    kind = output.suffix.lstrip(".")
    if kind not in FORMATS:
        raise DefinitionError(f"{output}: name a file that ends in {', '.join(f'.{name}' for name in FORMATS[:-1])} or .{FORMATS[-1]}")
    check_target(output)
    write_whole(output, draw(resolve(name, settings).system, kind))
    print(f"written to {output}")


def explain(
    trace_file: Annotated[Path, typer.Argument(metavar="TRACE", help="A file that `interlock check --trace` wrote.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write a .txt, .mmd or .svg sequence diagram instead.")] = None,
) -> None:
    """A counterexample as a table and as a sequence diagram."""
    from protocol.render.sequence import sequence_mermaid, sequence_svg, sequence_text, trace_table
    from protocol.trace import load_trace, write_whole

    trace = load_trace(trace_file)
    if output is None:
        width = page_width()
        print(trace_table(trace, width))
        print()
        print(sequence_text(trace, heading=False, width=width))
        return
    forms = {".txt": sequence_text, ".mmd": sequence_mermaid, ".svg": sequence_svg}
    if output.suffix not in forms:
        raise DefinitionError(f"{output}: name a file that ends in .txt, .mmd or .svg")
    write_whole(output, forms[output.suffix](trace))
    print(f"written to {output}")


def export(
    name: Name,
    to: Annotated[Language, typer.Option("--to", help="The language of the export.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write to a file instead of standard output.")] = None,
    settings: Settings = [],  # noqa: B006
) -> None:
    """The system in another checker's language, for a second opinion."""
    from protocol.catalogue.target import resolve
    from protocol.render.promela import export as promela
    from protocol.trace import check_target, write_whole

    if output is not None:
        check_target(output)
    text = promela(resolve(name, settings).system)
    if output is None:
        print(text)
    else:
        write_whole(output, text)
        print(f"written to {output}")
