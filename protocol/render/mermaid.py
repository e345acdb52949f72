"""Mermaid: state diagrams of machines, and the composition of a system as a flowchart.

Its one rule: whatever Mermaid would read as syntax goes in as an entity, so that any guard can stand on an edge.
"""

from __future__ import annotations

import re
from enum import IntEnum

from ..machine import Machine
from ..system import System
from ..variable import Medium, Variable
from .picture import (
    MEDIUM_COLOURS,
    Edge,
    Label,
    Link,
    direction_of,
    edges_of,
    links_of,
    machine_title,
    medium_title,
    states_of,
    variable_title,
)

SHAPES = {
    Medium.REGISTER: ("[", "]"),
    Medium.UNLOCKED: ("[", "]"),
    Medium.LOCKED: ("[(", ")]"),
    Medium.CHANNEL: (">", "]"),
    Medium.BARRIER: ("{{", "}}"),
    Medium.WORLD: ("([", "])"),
}
MARKS = {"solid": "", "dashed": "environment", "dotted": "poll"}


def machine_mermaid(system: System, machine: Machine) -> str:
    """One machine as a `stateDiagram-v2`."""
    return "\n".join(["stateDiagram-v2", f"    direction {direction_of(system, machine)}", *_states(system, machine, "", "    ")]) + "\n"


def system_mermaid(system: System) -> str:
    """All machines of a system as composite states of one `stateDiagram-v2`."""
    lines = ["---", f"title: {system.name}", "---", "stateDiagram-v2"]
    for machine in system.machines:
        lines += [f'    state "{escaped(machine_title(machine))}" as {machine.name} {{', f"        direction {direction_of(system, machine)}"]
        lines += [*_states(system, machine, f"{machine.name}_", "        "), "    }"]
    return "\n".join(lines) + "\n"


def composition_mermaid(system: System) -> str:
    """Machines, the variables between them, and who reads and writes what, as a flowchart."""
    links = links_of(system)
    lines = ["flowchart LR"]
    for machine in system.machines:
        opening, closing = ('("', '")') if machine.passive else ('["', '"]')
        lines.append(f"    {node_name(machine)}{opening}<b>{escaped(machine_title(machine))}</b>{closing}")
    targets: dict[int, Variable] = {id(k.target): k.target for k in links if isinstance(k.target, Variable)}
    for variable in targets.values():
        opening, closing = SHAPES.get(variable.medium, ("[", "]"))
        text = f"{escaped(variable_title(variable))}<br/><i>{escaped(medium_title(variable))}</i>"
        lines.append(f'    {node_name(variable)}{opening}"{text}"{closing}')
        lines.append(f"    style {node_name(variable)} fill:{MEDIUM_COLOURS[variable.medium]},stroke:#555,color:#111")
    lines += [_link(link) for link in links]
    return "\n".join(lines) + "\n"


def _link(link: Link) -> str:
    machine, target = node_name(link.machine), node_name(link.target)
    verbs = ", ".join(link.verbs)
    if link.direction == "in":
        return f"    {target} -->|{verbs}| {machine}"
    arrow = "<-->" if link.direction == "both" else "-->"
    return f"    {machine} {arrow}|{verbs}| {target}"


def node_name(part: Machine | Variable) -> str:
    """An identifier for a node: machines and variables may share a name."""
    return ("m_" if isinstance(part, Machine) else "v_") + re.sub(r"\W", "_", part.name)


def _states(system: System, machine: Machine, prefix: str, indent: str) -> list[str]:
    def name(state: IntEnum) -> str:
        return prefix + state.name

    lines = [f'{indent}state "{state.name}" as {name(state)}' for state in states_of(machine)]
    lines.append(f"{indent}[*] --> {name(machine.initial)}")
    for edge in edges_of(system, machine):
        text = "<br/>".join(_text(label, edge) for label in edge.labels)
        lines.append(f"{indent}{name(edge.source)} --> {name(edge.target)} : {text}")
    lines += [f"{indent}{name(state)} --> [*]" for state in machine.final]
    return lines


def _text(label: Label, edge: Edge) -> str:
    text = label.row.event
    marks = [m for m in (label.decided, MARKS[edge.style]) if m]
    lines = [f"{text} ({', '.join(marks)})" if marks else text]
    lines += [f"[{label.guard}]"] if label.guard else []
    lines += [f"/ {part}" for part in label.effects.split("; ") if part]
    return "<br/>".join(map(escaped, lines))


def escaped(text: str) -> str:
    """The text with everything that Mermaid reads as syntax as entities."""
    return re.sub(r'[#:;<>"{}|%&]', lambda found: f"#{ord(found.group())};", text)
