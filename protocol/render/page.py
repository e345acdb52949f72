"""The page of one system, as Markdown: who touches what, each machine with its diagram and every row, variables, properties."""

from __future__ import annotations

import sys

from ..machine import Machine
from ..system import System
from .mermaid import composition_mermaid, machine_mermaid
from .picture import machine_title, states_of
from .table import assumed_atomic, markdown, rows_markdown, variable_table

LONG_CLAIM = 240
"""Characters; of a longer claim only the kind is told, for its text is in the tables."""


def system_page(system: System) -> str:
    """The page, from its title on."""
    parts = [f"# {system.name}\n", _prose(system.doc), "## Who touches what\n", _mermaid(composition_mermaid(system)), "## Machines\n"]
    told = {_prose(system.doc)}
    for machine in system.machines:
        preface = _prose(_preface(machine))
        parts.append(machine_section(system, machine, "" if preface in told else preface))
        told.add(preface)
    columns = ("variable", "type", "medium", "initial", "source")
    parts += ["## Variables\n", markdown(columns, variable_table(system), code=("variable", "type", "initial"))]
    asked = [(p.name, p.about or p.kind, str(p) if len(str(p)) <= LONG_CLAIM else p.kind) for p in system.properties]
    parts += ["## Properties\n", markdown(("property", "about", "claim"), asked, code=("property", "claim"))]
    return "\n".join(part for part in parts if part)


def machine_section(system: System, machine: Machine, preface: str = "") -> str:
    """One machine: what it is, its diagram, every row. `preface`: what its file says of it, where that was not said above."""
    parts = [f"### {machine_title(machine)}\n", f"{_kind(machine)} {_sentence(machine.doc)}\n", _prose(preface)]
    parts += [_mermaid(machine_mermaid(system, machine)), rows_markdown(machine)]
    unused = [s.name for s in machine.states if s not in states_of(machine)]
    if unused:
        parts.append(f"States of other variants: {', '.join(f'`{name}`' for name in unused)}.\n")
    rows = assumed_atomic(machine)
    if rows:
        lines = [f"- `{event}`: {why}" for event, why in rows]
        parts.append("\n".join(["**Assumed to be atomic**, although the medium does not make it so:\n", *lines]) + "\n")
    return "\n".join(part for part in parts if part)


def _kind(machine: Machine) -> str:
    copies = f"One copy per {', '.join(map(str, machine.copies))}." if machine.copies else "One copy."
    role = "Environment." if machine.environment else "Passive: moved by others' rows." if machine.passive else "Active."
    process = f" It lives in the process `{machine.process.name}`." if machine.process is not None else ""
    return f"{role} {copies}{process}"


def _sentence(doc: str) -> str:
    """A machine's own words as a sentence; a name that they begin with keeps its case."""
    first = doc.partition(" ")[0].strip(",:")
    return f"{doc[:1].upper() if first.isalpha() else doc[:1]}{doc[1:]}".rstrip(".") + "." if doc else ""


def _preface(machine: Machine) -> str:
    """The docstring of its file: the machine's states live there."""
    module = sys.modules.get(machine.states.__module__)
    return (module.__doc__ or "") if module is not None else ""


def _prose(text: str) -> str:
    """A docstring as a paragraph; nothing of nothing."""
    return text.strip() + "\n" if text.strip() else ""


def _mermaid(source: str) -> str:
    return f"```mermaid\n{source}```\n"
