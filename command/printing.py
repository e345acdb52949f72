"""What the commands print: tables, sentences, numbers, JSON."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from typing import Any

NARROW = 24
"""Characters of a column that may break, when it is decided which columns fit."""

PAGE_MIN, PAGE_MAX = 40, 120
PIPE_WIDTH = 200
"""Characters of a table that goes to no terminal."""


def text_width() -> int:
    """Characters of a line of prose."""
    return min(shutil.get_terminal_size((100, 24)).columns, 100)


def page_width() -> int:
    """Characters of a line of a path's table and lifelines: the terminal's."""
    return max(PAGE_MIN, min(shutil.get_terminal_size((PAGE_MAX, 24)).columns, PAGE_MAX))


def print_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """A table for people: `>name` is set right, `~name` may break; `?name` is left out where nothing is in it, and the last of them
    while the terminal is too narrow.

    Where the others are still too wide, every row is a paragraph below its first cell.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    if not rows:
        return
    console = Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH, highlight=False)
    full = [max(len(c.lstrip("?>~")), *(Text.from_markup(r[k]).cell_len for r in rows), 0) + 3 for k, c in enumerate(columns)]
    widths = [min(w, NARROW) if "~" in c else w for w, c in zip(full, columns)]
    shown = [k for k, c in enumerate(columns) if "?" not in c or any(r[k] for r in rows)]
    while sum(widths[k] for k in shown) > console.width and (spare := [k for k in shown if "?" in columns[k]]):
        shown.remove(spare[-1])
    if title:
        console.print(f"[italic]{title}[/]")
    console.print()
    if sum(widths[k] for k in shown) > console.width + 3:  # no space behind the last
        for row in rows:
            console.print(row[0], soft_wrap=True)
            told = [f"{columns[k].lstrip('?>~')} {_verdict(row[k])}" for k in shown[1:] if row[k] not in ("", "-")]
            console.print(Padding(", ".join(told), (0, 0, 0, 4)))
        console.print()
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for k in shown:
        right = ">" in columns[k]
        table.add_column(columns[k].lstrip("?>~"), justify="right" if right else "left", no_wrap="~" not in columns[k])
    for row in rows:
        table.add_row(*(_verdict(row[k]) for k in shown))
    console.print(table)
    console.print()


def print_prose(lines: list[str]) -> None:
    """Sentences, each on a line of its own, broken where the terminal ends."""
    print("\n".join(textwrap.fill(line, text_width()) for line in lines))


def number(value: int | None) -> str:
    """A count with its thousands set off; `-` where there is none."""
    return "-" if value is None else f"{value:,}"


def check_targets(*files: str | os.PathLike[str] | None) -> None:
    """Refuse files that could not be written, before the work whose answer they are to hold; none, and `-`, will do.

    Raises:
        TraceError: as `check_target`.
    """
    from protocol.trace import check_target

    for file in files:
        if file not in (None, "", "-"):
            check_target(file)  # type: ignore[arg-type]


def write_json(path: str, content: Any) -> None:
    """JSON into a file, whole or not at all; `-` is standard output.

    Raises:
        TraceError: the file cannot be written.
    """
    from protocol.trace import write_whole

    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    if path == "-":
        sys.stdout.write(text)
    else:
        write_whole(path, text)


def _verdict(text: str) -> str:
    """A verdict, and what follows it, in its colour; any other text as it is."""
    colours = {"holds": "green", "violated": "red", "inconclusive": "yellow"}
    word, _, rest = text.partition(" ")
    return f"[{colours[word]}]{word}[/] {rest}".rstrip() if word in colours else text
