"""Graphviz DOT: the state diagram of a machine, and the composition of a system.

Reading a state diagram: an arrow without a tail points at the initial state, final states have a double frame. An edge
has its actor's colour; it is dashed in an environment machine and dotted for an unsuccessful look of a polling loop. A
small mark at the arrow's tip says who decides: circle = timer, box = observed, diamond = a handler.
"""

from __future__ import annotations

from html import escape

from ..machine import Machine
from ..system import System
from ..variable import Medium, Variable
from .mermaid import node_name
from .picture import (
    MEDIUM_COLOURS,
    Edge,
    Label,
    Link,
    actor_colours,
    edges_of,
    links_of,
    machine_title,
    medium_title,
    variable_title,
)

ARROWS = {"prompt": "normal", "timer": "normalodot", "observed": "normalobox", "decided": "normalodiamond"}
SHAPES = {
    Medium.REGISTER: "box",
    Medium.UNLOCKED: "note",
    Medium.LOCKED: "cylinder",
    Medium.CHANNEL: "cds",
    Medium.BARRIER: "hexagon",
    Medium.WORLD: "ellipse",
}
FONT = 'fontname="Helvetica,Arial,sans-serif"'
QUIET = "#444444"


def machine_dot(system: System, machine: Machine) -> str:
    """One machine as a digraph."""
    return _digraph(machine.name, [*_states(system, machine, "", "  "), *_legend(system, [machine])])


def system_dot(system: System) -> str:
    """All machines of a system and its composition, each in its own frame of one digraph."""
    lines = [f"  subgraph cluster__composition {{ label=<<b>{escape(system.name)}</b>>; color=\"#aaaaaa\";"]
    lines += [*_composition(system, "  "), "  }"]
    for machine in system.machines:
        lines.append(f"  subgraph cluster_{machine.name} {{ label=<<b>{escape(machine_title(machine))}</b>>; color=\"#aaaaaa\";")
        lines += [*_states(system, machine, f"{machine.name}.", "    "), "  }"]
    return _digraph(system.name, lines + _legend(system, system.machines))


def composition_dot(system: System) -> str:
    """Machines, the variables between them, and who reads and writes what."""
    return _digraph(f"{system.name}_composition", _composition(system, "  "))


def _digraph(name: str, lines: list[str]) -> str:
    head = [
        f'digraph "{name}" {{',
        f'  graph [rankdir=LR, nodesep=0.3, ranksep=0.45, {FONT}, fontsize=11, bgcolor="white"];',
        f'  node [{FONT}, fontsize=11, shape=box, style="rounded,filled", fillcolor="#f7f7f7", color="#333333"];',
        f"  edge [{FONT}, fontsize=9, arrowsize=0.7];",
    ]
    return "\n".join([*head, *lines, "}"]) + "\n"


def _states(system: System, machine: Machine, prefix: str, indent: str) -> list[str]:
    lines = [f'{indent}"{prefix}(start)" [shape=point, width=0.12, label="", color="#333333"];']
    for state in machine.states:
        final = ", peripheries=2" if state in machine.final else ""
        weight = ", penwidth=1.8" if state is machine.initial else ""
        lines.append(f'{indent}"{prefix}{state.name}" [label="{state.name}"{final}{weight}];')
    lines.append(f'{indent}"{prefix}(start)" -> "{prefix}{machine.initial.name}";')
    for edge in edges_of(system, machine):
        label = "".join(_label(one, edge) for one in edge.labels)
        table = f'<table border="0" cellborder="0" cellspacing="0" cellpadding="1">{label}</table>'
        look = f'color="{edge.colour}", fontcolor="{edge.colour}", style={edge.style}, arrowhead={ARROWS[edge.decided]}'
        lines.append(f'{indent}"{prefix}{edge.source.name}" -> "{prefix}{edge.target.name}" [label=<{table}>, {look}];')
    return lines


def _label(label: Label, edge: Edge) -> str:
    event = f"<b>{escape(label.row.event)}</b>"
    if label.decided:
        event += f" <i>({label.decided})</i>"
    lines = [event]
    if label.guard:
        lines.append(f'<font color="{QUIET}">[{escape(label.guard)}]</font>')
    if label.effects:
        lines += [f'<font color="{QUIET}">/ {escape(part)}</font>' for part in label.effects.split("; ")]
    return "".join(f'<tr><td align="left">{line}</td></tr>' for line in lines)


def _legend(system: System, machines: list[Machine]) -> list[str]:
    """The actors' colours as the label of the whole graph."""
    colours = actor_colours(system)
    names = dict.fromkeys(row.actor or machine.name for machine in machines for row in machine.rows)
    shown = "   ".join(f'<font color="{colours[name]}"><b>{escape(name)}</b></font>' for name in names)
    return [f"  labelloc=b; labeljust=l; fontsize=9; label=<{shown}>;"] if shown else []


def _composition(system: System, indent: str) -> list[str]:
    links = links_of(system)
    lines = []
    for machine in system.machines:
        look = 'fillcolor="white", style="rounded,filled"' if machine.passive else 'fillcolor="#dddddd", style=filled'
        look += ", peripheries=2" if machine.copies else ""
        look += ", style=\"filled,dashed\"" if machine.environment else ""
        lines.append(f"{indent}{node_name(machine)} [label=<<b>{escape(machine_title(machine))}</b>>, shape=box, {look}];")
    targets: dict[int, Variable] = {id(k.target): k.target for k in links if isinstance(k.target, Variable)}
    for variable in targets.values():
        text = f'{escape(variable_title(variable))}<br/><font point-size="9" color="{QUIET}">{escape(medium_title(variable))}</font>'
        look = f'shape={SHAPES[variable.medium]}, style=filled, fillcolor="{MEDIUM_COLOURS[variable.medium]}", fontsize=10'
        lines.append(f"{indent}{node_name(variable)} [label=<{text}>, {look}];")
    return lines + [indent + _link(link) for link in links]


def _link(link: Link) -> str:
    arrow = {"in": "dir=back", "out": "dir=forward", "both": "dir=both"}[link.direction]
    return f'{node_name(link.machine)} -> {node_name(link.target)} [label="{", ".join(link.verbs)}", {arrow}, color="#555555"];'
