"""Partial-order reduction: where it is enough to let one copy move.

At a state, the enabled instances of one copy stand for all steps when nothing that anybody else ever does can disable,
enable or change them, or see what they store. This is judged once and for all, from the exact sets of leaves that each
instance reads and writes (its guard with all that the lowering added, its conditions, places, values and errors), and per
state by a program over leaves that only the copy itself writes: no instance of the copy that is not independent in
this sense can fire before the copy has moved. Why that is sound: docs/semantics.md, "Reductions".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import or_

from protocol.action import Instance
from protocol.properties import Property
from protocol.system import System

from .circuit import Circuit, Node
from .expressions import Changes
from .factors import Part, requirement

ORDER_REFUSED = {
    "hang": "it looks at what can ever follow a state, of which a search that lets one copy go first leaves out most",
    "leads_to": "it looks at whole behaviours, of which a search that lets one copy go first leaves out most",
}
"""The properties that only symmetry preserves, and why not partial order."""


@dataclass(frozen=True)
class Touched:
    """The leaves that an instance may read and write, as bit sets over their numbers."""

    reads: int
    writes: int


@dataclass(frozen=True)
class Candidate:
    """A copy that may move alone: its instances, and what must hold in a state for that; an empty list: always."""

    members: list[int]
    needs: list[Part]


def order_refused(properties: list[Property]) -> str:
    """Why partial order would not be sound for some of the properties; empty when it is for all."""
    refused = (f"partial order is not sound for property {p.name} ({p.kind}): {ORDER_REFUSED[p.kind]}" for p in properties if p.kind in ORDER_REFUSED)
    return next(refused, "")


def touched_by(guard: list[tuple[Node, Node]], changes: Changes) -> Touched:
    """What an instance with that guard and those effects touches."""
    nodes = [n for pair in guard for n in pair] + [n for n, _ in changes.errors] + [n for _, n in changes.values]
    return Touched(reduce(or_, (n.support for n in nodes), 0), reduce(or_, (1 << leaf.number for leaf, _ in changes.values), 0))


def candidates(
    system: System, circuit: Circuit, instances: list[Instance], touched: dict[int, Touched], early: dict[int, list[Node]], visible: int
) -> list[Candidate]:
    """The copies that may move alone in some states, in the order of their first instance.

    Args:
        touched: of every instance that can fire at all, by number.
        early: the conjuncts of each such instance that are judged before anything may be an error.
        visible: the leaves that some asked property reads.
    """
    judges_deadlock = any(p.kind == "deadlock" for p in system.properties)
    copies: dict[tuple, list[int]] = {}
    for k in touched:
        copies.setdefault((id(instances[k].action.machine), instances[k].copy), []).append(k)
    found = []
    for members in copies.values():
        if judges_deadlock and instances[members[0]].action.environment:
            continue  # what only the environment can still do is a deadlock, too
        others = [t for k, t in touched.items() if k not in set(members)]
        read, written = reduce(or_, (t.reads for t in others), 0), reduce(or_, (t.writes for t in others), 0)
        independent = {k for k in members if not (touched[k].reads | touched[k].writes) & written and not touched[k].writes & (read | visible)}
        if not independent:
            continue
        needs = []
        for k in members:
            if k not in independent:
                own = [n for n in early[k] if not n.support & written]
                needs.append(requirement(circuit.negation(circuit.all(own))))
        found.append(Candidate(members, needs))
    return found
