"""What a picture of a system shows, before any language of pictures: edges with short labels, links between machines.

Its one rule: everything is read from the tables, and nothing is left out. A label may be cut short, but every row is on
an edge, and the row table (`table.py`) has the full text.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum

from ..combine import conjuncts
from ..effect import Effect, Store
from ..expr import TRUE
from ..machine import Machine, Row
from ..rules import accesses
from ..system import System
from ..variable import Barrier, Channel, Medium, Variable

PALETTE = ("#0072b2", "#c04d00", "#007a5a", "#9b4f96", "#7a5200", "#2f4b7c", "#8c2d19", "#3d7d8c")
"""Colours of actors, by order of appearance: after Okabe and Ito, darkened so that text in them can be read on white."""

ENVIRONMENT_COLOUR = "#666666"
MEDIUM_COLOURS = {
    Medium.REGISTER: "#fde0c5",
    Medium.UNLOCKED: "#f6cfe0",
    Medium.LOCKED: "#d3e5f5",
    Medium.CHANNEL: "#d5efe0",
    Medium.BARRIER: "#e6dff2",
    Medium.WORLD: "#eeeeee",
}
DECISIONS = {"prompt": "", "timer": "timer", "observed": "observed", "decided": "decided"}
HIDDEN = (Medium.PRIVATE, Medium.GHOST, Medium.LOCK)
STATES_ACROSS = 6
GUARD_WIDTH, EFFECT_WIDTH, EFFECTS_SHOWN = 38, 34, 2


@dataclass(frozen=True)
class Label:
    """One row on an edge. `guard` and `effects` are empty where the row is written in full on another of its edges."""

    row: Row
    guard: str = ""
    effects: str = ""

    @property
    def decided(self) -> str:
        """Who decides it, empty for prompt."""
        return DECISIONS[self.row.decided]


@dataclass
class Edge:
    """The rows of one kind from one state to another, stacked."""

    source: IntEnum
    target: IntEnum
    style: str
    """solid; dashed for the environment; dotted for a poll."""
    decided: str
    actor: str
    colour: str
    labels: list[Label] = field(default_factory=list)


@dataclass(frozen=True)
class Link:
    """What one machine does to one variable, or to one passive machine: its verbs, in the order of the rows."""

    machine: Machine
    target: Variable | Machine
    verbs: tuple[str, ...]

    @property
    def direction(self) -> str:
        """`in` when the machine only learns, `out` when it only acts, else `both`."""
        learns, acts = (any((verb in ("read", "receive")) is learning for verb in self.verbs) for learning in (True, False))
        return "both" if learns and acts else "in" if learns else "out"


def shortened(text: str, width: int) -> str:
    """The text, cut to that many characters with an ellipsis; never cut inside a short text."""
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"


def actor_colours(system: System) -> dict[str, str]:
    """A colour per actor of the system: by order of appearance, grey for the environment."""
    colours: dict[str, str] = {}
    for machine in system.machines:
        for row in machine.rows:
            name = row.actor or machine.name
            if name not in colours:
                used = sum(colour != ENVIRONMENT_COLOUR for colour in colours.values())
                colours[name] = ENVIRONMENT_COLOUR if machine.environment else PALETTE[used % len(PALETTE)]
    return colours


def edges_of(system: System, machine: Machine) -> list[Edge]:
    """The edges of a machine's diagram: rows with the same ends, style and actor share one."""
    colours = actor_colours(system)
    found: dict[tuple[object, ...], Edge] = {}
    for row in machine.rows:
        style = "dashed" if machine.environment else "dotted" if row.poll else "solid"
        actor = row.actor or machine.name
        for number, source in enumerate(row.sources):
            target = source if row.destination is None else row.destination
            key = (source, target, style, row.decided, actor)
            edge = found.setdefault(key, Edge(source, target, style, row.decided, actor, colours[actor]))
            edge.labels.append(_label(row) if number == 0 else Label(row))
    return list(found.values())


def _label(row: Row) -> Label:
    parts = [f"under {row.under}"] if row.under is not None else []
    parts += [f"acquire {row.acquire}"] if row.acquire is not None else []
    parts += [f"release {row.release}"] if row.release is not None else []
    parts += [str(c) for c in conjuncts(row.guard)]
    effects = [str(m) for m in row.moves] + [short_effect(e) for e in row.effects if not _is_ghost(e)]
    shown = [shortened(e, EFFECT_WIDTH) for e in effects[:EFFECTS_SHOWN]]
    if len(effects) > EFFECTS_SHOWN:
        shown.append(f"+{len(effects) - EFFECTS_SHOWN} more")
    return Label(row, shortened(" and ".join(parts), GUARD_WIDTH), "; ".join(shown))


def _is_ghost(effect: Effect) -> bool:
    return isinstance(effect, Store) and effect.cell.variable.medium is Medium.GHOST


def states_of(machine: Machine) -> list[IntEnum]:
    """The states that some row enters or leaves; an enum shared by variants has more."""
    used = {machine.initial, machine.restart, *machine.final}
    used |= {state for row in machine.rows for state in (*row.sources, row.destination) if state is not None}
    return [state for state in machine.states if state in used]


def direction_of(system: System, machine: Machine) -> str:
    """LR or TB: from top to bottom where there are many states, so that the picture fits a page, and where rows return to
    their state, since layouts make room for the labels of such loops in that direction only."""
    loops = any(edge.source is edge.target for edge in edges_of(system, machine))
    return "TB" if loops or len(states_of(machine)) > STATES_ACROSS else "LR"


def short_effect(effect: Effect) -> str:
    """The effect without its condition, which the row table has."""
    text = str(effect)
    return text if effect.condition is TRUE else "if …: " + text.removeprefix(f"if {effect.condition}: ")


def machine_title(machine: Machine) -> str:
    """`worker[rank]`: the machine and what it has copies over."""
    copies = ", ".join(str(d) for d in machine.copies)
    return f"{machine.name}[{copies}]" if copies else machine.name


def variable_title(variable: Variable) -> str:
    """`queue_read[rank]`."""
    over = ", ".join(str(d) for d in variable.over)
    return f"{variable.name}[{over}]" if over else variable.name


def medium_title(variable: Variable) -> str:
    """The medium as a reader needs it: with the lock, the order of a channel, the kind of a barrier."""
    if variable.medium is Medium.LOCKED and variable.lock is not None:
        return f"locked by {variable.lock}"
    if isinstance(variable, Channel):
        return f"{variable.kind} of {variable.capacity}, {variable.on_full} when full"
    if variable.medium is Medium.BARRIER:
        return f"{variable.kind} barrier of {variable.parties}" if isinstance(variable, Barrier) else "part of a barrier"
    return variable.medium.value


def links_of(system: System) -> list[Link]:
    """Who touches what, without private variables, ghosts and locks (a locked variable names its lock)."""
    states = {id(m.state): m for m in system.machines}
    links: list[Link] = []
    for machine in system.machines:
        found: dict[int, tuple[Variable | Machine, list[str]]] = {}
        for target, verb in _touches(machine, states):
            verbs = found.setdefault(id(target), (target, []))[1]
            if verb not in verbs:
                verbs.append(verb)
        links += [Link(machine, target, tuple(verbs)) for target, verbs in found.values()]
    return links


def _touches(machine: Machine, states: dict[int, Machine]) -> Iterable[tuple[Variable | Machine, str]]:
    for row in machine.rows:
        for access in accesses(machine, row):
            variable = access.cell.variable
            owner = states.get(id(variable))
            if owner is machine or (owner is None and variable.medium in HIDDEN):
                continue
            yield owner or variable, verb_of(access.kind)


def verb_of(kind: str) -> str:
    """The word on a link for a kind of access."""
    if kind in ("load", "test"):
        return "read"
    return kind if kind in ("send", "receive", "arrive", "break", "move") else "write"
