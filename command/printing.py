"""What the commands print: tables, sentences, numbers, JSON."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from typing import Any

NARROW = 24
"""Characters of a column that may break, when it is decided which columns fit."""


def text_width() -> int:
    """Characters of a line of prose."""
    return min(shutil.get_terminal_size((100, 24)).columns, 100)


def print_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """A table for people: `>name` is set right, `~name` may break; the last `?name` is left out while the terminal is too narrow."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        return
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
    full = [max(len(c.lstrip("?>~")), *(Text.from_markup(r[k]).cell_len for r in rows), 0) + 3 for k, c in enumerate(columns)]
    widths = [min(w, NARROW) if "~" in c else w for w, c in zip(full, columns)]
    shown = list(range(len(columns)))
    while sum(widths[k] for k in shown) > console.width and (spare := [k for k in shown if "?" in columns[k]]):
        shown.remove(spare[-1])
    table = Table(title=title or None, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for k in shown:
        right = ">" in columns[k]
        table.add_column(columns[k].lstrip("?>~"), justify="right" if right else "left", no_wrap="~" not in columns[k])
    for row in rows:
        table.add_row(*(_verdict(row[k]) for k in shown))
    console.print(table)


def print_prose(lines: list[str]) -> None:
    """Sentences, each on a line of its own, broken where the terminal ends."""
    print("\n".join(textwrap.fill(line, text_width()) for line in lines))


def number(value: int | None) -> str:
    """A count with its thousands set off; `-` where there is none."""
    return "-" if value is None else f"{value:,}"


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
