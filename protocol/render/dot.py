"""Graphviz DOT: the state diagram of a machine, and the composition of a system.

Reading a state diagram: an arrow without a tail points at the initial state, final states have a double frame. An edge
has its actor's colour; it is dashed in an environment machine and dotted for an unsuccessful look of a polling loop. A
small mark at the arrow's tip says who decides: circle = timer, box = observed, diamond = a handler.

Labels are plain text: the Graphviz that `svg.py` uses is built without HTML-like labels.
"""

from __future__ import annotations

from ..machine import Machine
from ..system import System
from ..variable import Medium, Variable
from .mermaid import node_name
from .picture import (
    MEDIUM_COLOURS,
    Label,
    Link,
    actor_colours,
    direction_of,
    edges_of,
    links_of,
    machine_title,
    medium_title,
    states_of,
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
FONT = 'fontname="Helvetica"'


def machine_dot(system: System, machine: Machine) -> str:
    """One machine as a digraph."""
    return _digraph(machine.name, [f"  rankdir={direction_of(system, machine)};", *_states(system, machine, "", "  "), *_legend(system, [machine])])


def system_dot(system: System) -> str:
    """All machines of a system and its composition, each in its own frame of one digraph."""
    lines = [_frame("composition", system.name), *_composition(system, "    "), "  }"]
    for machine in system.machines:
        lines += [_frame(machine.name, machine_title(machine)), *_states(system, machine, f"{machine.name}.", "    "), "  }"]
    return _digraph(system.name, lines + _legend(system, system.machines))


def composition_dot(system: System) -> str:
    """Machines, the variables between them, and who reads and writes what."""
    return _digraph(f"{system.name} composition", _composition(system, "  "))


def _digraph(name: str, lines: list[str]) -> str:
    head = [
        f"digraph {_quoted(name)} {{",
        f'  graph [rankdir=LR, nodesep=0.3, ranksep=0.45, {FONT}, fontsize=11, bgcolor="white"];',
        f'  node [{FONT}, fontsize=11, margin="0.16,0.07", shape=box, style="rounded,filled", fillcolor="#f7f7f7", color="#333333"];',
        f"  edge [{FONT}, fontsize=9, arrowsize=0.7];",
    ]
    return "\n".join([*head, *lines, "}"]) + "\n"


def _frame(name: str, title: str) -> str:
    return f'  subgraph "cluster {name}" {{ label={_quoted(title)}; fontsize=13; color="#aaaaaa";'


def _quoted(*lines: str, end: str = "\\n") -> str:
    """Lines of text as one quoted label; each ends in `end` (`\\l` = set left) when there are several."""
    escaped = [line.replace("\\", "\\\\").replace('"', '\\"') for line in lines]
    return '"' + (escaped[0] if len(lines) == 1 and end == "\\n" else end.join(escaped) + (end if end == "\\l" else "")) + '"'


def _states(system: System, machine: Machine, prefix: str, indent: str) -> list[str]:
    start = _quoted(f"{prefix}(start)")
    lines = [f'{indent}{start} [shape=point, width=0.12, label="", color="#333333"];']
    for state in states_of(machine):
        final = ", peripheries=2" if state in machine.final else ""
        weight = ", penwidth=1.8" if state is machine.initial else ""
        lines.append(f"{indent}{_quoted(prefix + state.name)} [label={_quoted(state.name)}{final}{weight}];")
    lines.append(f"{indent}{start} -> {_quoted(prefix + machine.initial.name)};")
    for edge in edges_of(system, machine):
        label = _quoted(*("  " + line for one in edge.labels for line in _lines(one)), end="\\l")
        look = f'color="{edge.colour}", fontcolor="{edge.colour}", style={edge.style}, arrowhead={ARROWS[edge.decided]}'
        ends = f"{_quoted(prefix + edge.source.name)} -> {_quoted(prefix + edge.target.name)}"
        lines.append(f"{indent}{ends} [label={label}, {look}];")
    return lines


def _lines(label: Label) -> list[str]:
    lines = [f"{label.row.event} ({label.decided})" if label.decided else label.row.event]
    lines += [f"[{label.guard}]"] if label.guard else []
    return lines + [f"/ {part}" for part in label.effects.split("; ") if part]


def _legend(system: System, machines: list[Machine]) -> list[str]:
    """The actors in their colours, where there are several."""
    colours = actor_colours(system)
    names = list(dict.fromkeys(row.actor or machine.name for machine in machines for row in machine.rows))
    if len(names) < 2:
        return []
    return [f'  {_quoted(f"actor {n}")} [shape=plaintext, style="", label={_quoted(n)}, fontsize=9, fontcolor="{colours[n]}"];' for n in names]


def _composition(system: System, indent: str) -> list[str]:
    links = links_of(system)
    lines = []
    for machine in system.machines:
        fill = "white" if machine.passive else "#dddddd"
        style = "rounded,filled" if machine.passive else "filled,dashed" if machine.environment else "filled"
        copies = ", peripheries=2" if machine.copies else ""
        look = f'fontsize=12, style="{style}", fillcolor="{fill}"{copies}'
        lines.append(f"{indent}{node_name(machine)} [label={_quoted(machine_title(machine))}, {look}];")
    targets: dict[int, Variable] = {id(k.target): k.target for k in links if isinstance(k.target, Variable)}
    for variable in targets.values():
        label = _quoted(variable_title(variable), f"({medium_title(variable)})")
        look = f'shape={SHAPES[variable.medium]}, style=filled, fillcolor="{MEDIUM_COLOURS[variable.medium]}", fontsize=10, margin="0.2,0.09"'
        lines.append(f"{indent}{node_name(variable)} [label={label}, {look}];")
    return lines + [indent + _link(link) for link in links]


def _link(link: Link) -> str:
    """An edge in the direction in which knowledge flows, so that writers stand before their readers."""
    ends = [node_name(link.machine), node_name(link.target)]
    source, target = reversed(ends) if link.direction == "in" else ends
    both = ", dir=both" if link.direction == "both" else ""
    return f'{source} -> {target} [label={_quoted(", ".join(link.verbs))}{both}, color="#555555"];'
