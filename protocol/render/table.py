"""Row tables: every row of a machine in full, as Markdown and as plain text.

The diagram is for the eye and cuts its labels short; here nothing is cut.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..expr import TRUE
from ..machine import Machine, Row
from ..rules import Access, accesses
from ..system import System
from ..variable import Medium
from .picture import HIDDEN, medium_title, variable_title

COLUMNS = ("event", "from", "to", "guard", "effects", "medium access", "decided", "fair", "actor", "source")
CODE = ("guard", "effects", "medium access")
"""Columns that a page sets in code type."""
STAYS = "stays"
"""In place of a destination."""
ALIKE = ("decided", "fair", "actor")
"""Columns that a page tells once, above the table, where all rows of a machine have the same there: a page has not the room."""
TAG = re.compile(r"<(?!/?a\b)(?=[A-Za-z/!?])")
"""What Markdown would take for a tag although it is none; an anchor is meant."""


def row_table(machine: Machine) -> list[tuple[str, ...]]:
    """One tuple of `COLUMNS` per row; several items of one cell are separated by newlines."""
    return [_cells(machine, row) for row in machine.rows]


def _cells(machine: Machine, row: Row) -> tuple[str, ...]:
    guard = [f"choose {p.name} in {p.type}" for p in row.choose]
    guard += [f"{word} {lock}" for word, lock in (("under", row.under), ("acquire", row.acquire)) if lock is not None]
    guard += [] if row.guard is TRUE else [str(row.guard)]
    effects = [f"moves {move}" for move in row.moves] + [str(effect) for effect in row.effects]
    effects += [f"release {row.release}"] if row.release is not None else []
    touched = [_access(a) for a in accesses(machine, row) if a.cell.variable.medium not in HIDDEN]
    marks = [m for m, on in (("poll", row.poll), ("illegal", row.illegal)) if on]
    return (
        row.event,
        "\n".join(state.name for state in row.sources),
        STAYS if row.destination is None else row.destination.name,
        "\n".join(guard),
        "\n".join(effects),
        "\n".join([*touched, *(["assumed atomic"] if row.assume_atomic else [])]),
        ", ".join([row.decided, *marks]),
        machine.row_fairness(row),
        row.actor or machine.name,
        row.cite,
    )


def _access(access: Access) -> str:
    cells = f", {access.cells} cells" if access.cells > 1 else ""
    return f"{access} ({access.cell.variable.medium.value}{cells})"


def assumed_atomic(machine: Machine) -> list[tuple[str, str]]:
    """The rows that break their medium's rule, with the reason that their author gives."""
    return [(row.event, row.assume_atomic) for row in machine.rows if row.assume_atomic]


def markdown(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]], code: tuple[str, ...] = ()) -> str:
    """A Markdown table; the columns named in `code` are set in code type."""

    def cell(text: str, column: str) -> str:
        lines = text.replace("|", "\\|").split("\n") if text else []
        return "<br>".join(f"`{line}`" if column in code else _text(line) for line in lines)

    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(cell(text, column) for text, column in zip(row, columns)) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _text(line: str) -> str:
    """A line of prose in which nothing outside of code is taken for a tag."""
    return "`".join(part if k % 2 else TAG.sub(r"\\<", part) for k, part in enumerate(line.split("`")))


def rows_markdown(machine: Machine) -> str:
    """The row table of a machine in Markdown, no wider than it must be: a row's event and states in one cell, no empty column, and
    what all rows share above it."""
    columns = dict(zip(COLUMNS, zip(*row_table(machine))))
    events = tuple(_event(*cells) for cells in zip(*(columns.pop(name) for name in ("event", "from", "to"))))
    alike = {name: columns.pop(name)[0] for name in ALIKE if len(set(columns[name])) == 1}
    shared = "; ".join(f"*{name}* {value}" for name, value in alike.items())
    table = {"row": events} | {name: cells for name, cells in columns.items() if any(cells)}
    told = f"Every row: {shared}.\n\n" if shared else ""
    return told + markdown(tuple(table), list(zip(*table.values())), code=CODE)


def _event(event: str, sources: str, destination: str) -> str:
    """`event`, and below it `FROM` → `TO`."""
    states = ", ".join(f"`{name}`" for name in sources.split("\n"))
    return f"**`{event}`**\n{states} " + ("stays" if destination == STAYS else f"→ `{destination}`")


def plain(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table of aligned plain text; a cell of several lines takes several lines."""
    cells = [[text.split("\n") for text in row] for row in [columns, *rows]]
    widths = [max(len(line) for row in cells for line in row[k]) for k in range(len(columns))]
    lines: list[str] = []
    for number, row in enumerate(cells):
        for k in range(max(len(cell) for cell in row)):
            line = "  ".join((cell[k] if k < len(cell) else "").ljust(width) for cell, width in zip(row, widths))
            lines.append(line.rstrip())
        if number == 0:
            lines.append("  ".join("-" * width for width in widths))
    return "\n".join(lines) + "\n"


def rows_plain(machine: Machine) -> str:
    """The row table of a machine as plain text."""
    return plain(COLUMNS, row_table(machine))


def variable_table(system: System) -> list[tuple[str, str, str, str, str]]:
    """(variable, type, medium, initial value, source) of every variable but control states of active machines."""
    states = {id(m.state) for m in system.machines if not m.passive}
    listed = []
    for variable in system.variables:
        if id(variable) in states or variable.medium is Medium.LOCK:
            continue
        values = list(dict.fromkeys(variable.type.show(v) for v in variable.initial))
        listed.append((variable_title(variable), str(variable.type), medium_title(variable), ", ".join(values), variable.cite))
    return listed
