"""A system as one standalone HTML page: the composition, every machine's diagram and row table. No outside resources."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from html import escape

from ..machine import Machine
from ..system import System
from .picture import machine_title
from .svg import composition_svg, inline, machine_svg
from .table import COLUMNS, assumed_atomic, row_table, variable_table

STYLE = """
body { font: 15px/1.5 Helvetica, Arial, sans-serif; color: #1a1a1a; margin: 2rem auto; max-width: 100rem; padding: 0 1.5rem; }
h1 { font-size: 1.6rem; } h2 { margin-top: 2.5rem; border-bottom: 1px solid #ccc; }
nav a { margin-right: 1rem; } figure { margin: 1rem 0; overflow-x: auto; } svg { max-width: 100%; height: auto; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: 13px; }
th { text-align: left; background: #f2f2f2; } th, td { border: 1px solid #ddd; padding: 0.25rem 0.5rem; vertical-align: top; }
td.code { font-family: ui-monospace, Menlo, Consolas, monospace; font-size: 12px; white-space: pre-line; }
.atomic { background: #fff4e0; }
p, ul, ol { max-width: 60rem; }
p.legend { color: #444; font-size: 13px; }
"""
ITEM = re.compile(r"^(?:- |\d+\. )", re.MULTILINE)
CODE, EMPHASIS = re.compile(r"`([^`]+)`"), re.compile(r"(?<![\w*])\*([^*\s][^*]*)\*(?![\w*])")
LEGEND = (
    "An edge is one or more rows: event, [guard], / effects, in its actor's colour. Dashed: the environment. Dotted: an "
    "unsuccessful look of a polling loop. Mark at the arrow: circle = timer, box = observed, diamond = decided by a handler. "
    "A double frame is a final state. Texts that end in … are in full in the table."
)


def system_html(system: System, machines: list[Machine]) -> str:
    """The page.

    Raises:
        DefinitionError: the SVG renderer is not installed.
    """
    links = "".join(f'<a href="#{m.name}">{escape(machine_title(m))}</a>' for m in machines)
    parts = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(system.name)}</title><style>{STYLE}</style></head><body>',
        f"<h1>{escape(system.name)}</h1>",
        *(_paragraph(text) for text in system.doc.split("\n\n") if text.strip()),
        f"<nav>{links}</nav>",
        "<h2>Who touches what</h2>",
        f"<figure>{inline(composition_svg(system), 'composition_')}</figure>",
        f"<p class=legend>{escape(LEGEND)}</p>",
    ]
    for machine in machines:
        parts += _machine(system, machine)
    parts += ["<h2>Variables</h2>", _table(("variable", "type", "medium", "initial", "source"), variable_table(system))]
    asked = [(p.name, str(p) if len(str(p)) < 2000 else p.kind, p.about) for p in system.properties]
    parts += ["<h2>Properties</h2>", _table(("property", "claim", "about"), asked), "</body></html>"]
    return "\n".join(parts) + "\n"


def _machine(system: System, machine: Machine) -> list[str]:
    parts = [f'<h2 id="{machine.name}">{escape(machine_title(machine))}</h2>', _paragraph(machine.doc)]
    parts.append(f"<figure>{inline(machine_svg(system, machine), machine.name + '_')}</figure>")
    parts.append(_table(COLUMNS, row_table(machine), {event for event, _ in assumed_atomic(machine)}))
    for event, why in assumed_atomic(machine):
        parts.append(f"<p class=atomic><b>{escape(event)}</b> is assumed to be atomic: {escape(why)}</p>")
    return parts


def _paragraph(text: str) -> str:
    """A paragraph of a docstring, or its list; `code` and *emphasis* are set as such."""
    lead, *items = ITEM.split(text.strip())
    told = f"<p>{_inline(lead)}</p>" if lead else ""
    kind = "ul" if "\n- " in f"\n{text.strip()}" else "ol"
    return told + (f"<{kind}>{''.join(f'<li>{_inline(item)}</li>' for item in items)}</{kind}>" if items else "")


def _inline(text: str) -> str:
    return EMPHASIS.sub(r"<em>\1</em>", CODE.sub(r"<code>\1</code>", escape(text.strip())))


def _table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]], flagged: Collection[str] = ()) -> str:
    plain = {"decided", "fair", "actor", "source", "about", "medium"}
    head = "".join(f"<th>{escape(c)}</th>" for c in columns)
    body = []
    for row in rows:
        cells = "".join(f"<td{'' if c in plain else ' class=code'}>{escape(text)}</td>" for c, text in zip(columns, row))
        body.append(f"<tr{' class=atomic' if row[0] in flagged else ''}>{cells}</tr>")
    return f"<div class=wide><table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
