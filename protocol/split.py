"""Splitting a system: each side explored beside machines that stand for the other ones.

A `Split` cuts the active machines of a whole system into sides, each with a *stand-in*: machines that can do, to the variables that others
touch as well, whatever the side can do. The *part* of a side is a system of its own: the side, and the stand-ins of all others. It asks
what the whole asks about the side, and whether the side's own stand-in covers it. When every part's stand-in covers, what holds in a part
holds in the whole: docs/semantics.md, "Environments", has the argument and what it needs, which is judged here and raised when it is not so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations

from .action import Action
from .cover import cells_of
from .errors import DefinitionError
from .expr import Cell, Expr, Item, Literal
from .fold import is_total
from .machine import Machine
from .properties import Cover, Property, covers
from .system import System, raw_cells
from .variable import Channel, Medium, Variable

CARRIED = ("always", "never", "leads_to", "covers")
"""The kinds of property that a part answers for the whole, when they hold there."""


@dataclass(frozen=True)
class Side:
    """Active machines of a system, and the machines that stand for them in the parts of the others.

    Every machine of `stand_in` names those of `machines` in its `stands_for`.
    """

    name: str
    machines: Sequence[Machine]
    stand_in: Sequence[Machine]


class Split:
    """A whole system cut into sides.

    Args:
        whole: not explored; asked for its rows and properties.
        sides: two or more, which have every active machine of the whole between them.

    Raises:
        DefinitionError: a machine is on no side or on two; a stand-in touches what only its side touches; a row of a side does not do in
            its part what it does in the whole.
    """

    def __init__(self, whole: System, *sides: Side):
        if len({side.name for side in sides}) < max(2, len(sides)):
            raise DefinitionError(f"split {whole.name}: takes two sides or more, of different names")
        self.whole, self.sides = whole, {side.name: side for side in sides}
        placed = [machine for side in sides for machine in side.machines]
        for machine in whole.active:
            if sum(m is machine for m in placed) != 1:
                raise DefinitionError(f"split {whole.name}: put the machine on one of the sides {', '.join(self.sides)}", machine=machine.name)
        self.touched = {side.name: self._touched_by(side) for side in sides}
        self._check_locks()
        self._check_stand_ins()
        self.parts = {side.name: self._part(side) for side in sides}
        self._check_rows()

    def part(self, name: str) -> System:
        """The side of that name beside what stands for the others.

        Raises:
            DefinitionError: there is no such side.
        """
        if name not in self.parts:
            raise DefinitionError(f"split {self.whole.name}: there is no side {name!r}; choose one of {', '.join(self.parts)}")
        return self.parts[name]

    def shared(self, side: Side) -> list[Variable]:
        """The variables that the side and some other one touch."""
        elsewhere = self._elsewhere(side)
        return [variable for key, variable in self.touched[side.name].items() if key in elsewhere]

    def _touched_by(self, side: Side) -> dict[int, Variable]:
        """What the machines of the side touch, messages that they must never see included."""
        return {**_touched(a for a in self.whole.actions if a.machine in side.machines), **_looked_at(side)}

    def _elsewhere(self, side: Side) -> set[int]:
        return {key for name, touched in self.touched.items() if name != side.name for key in touched}

    def _part(self, side: Side) -> System:
        others = [machine for other in self.sides.values() if other is not side for machine in other.stand_in]
        moved = [move.machine for machine in [*side.machines, *others] for row in machine.rows for move in row.moves]
        machines = [m for m in self.whole.machines if m in side.machines or (m.passive and m in moved)]
        carried = [p for p in self.whole.properties if self._is_about(p, side)]
        unseen = self._unseen(side, carried)
        cover = Cover(tuple(side.machines), tuple(side.stand_in), tuple(self.shared(side)), unseen)
        asked = covers(f"{side.name}_covered", cover, about=f"what stands for {side.name} can do all that others see of it")
        known = [m for m in (self._trimmed(machine, {id(v) for v in unseen}) for machine in others) if m.rows]
        return System(f"{self.whole.name}_{side.name}", [*machines, *known], [*carried, asked], self.whole.doc, unseen)

    def _unseen(self, side: Side, carried: list[Property]) -> tuple[Variable, ...]:
        """The shared variables that nobody in the side's part reads, and of which no store can be an error.

        A row of a stand-in that stores to nothing else may read them: without them it does nothing, and is left out.
        """
        read = {v for p in carried for v in _read_by(p)} | set(_looked_at(side))
        unseen = {id(v) for v in self.shared(side)} - read
        own = [a for a in self.whole.actions if a.machine in side.machines] + self.lowered[side.name]
        others = [a for name, actions in self.lowered.items() if name != side.name for a in actions]
        while True:
            acting = own + [a for a in others if not _only_stores(a, unseen)]
            seen = {v for a in acting for v in _seen(a, unseen)} | {v for a in own for v in _may_err(a, unseen)}
            if not seen & unseen:
                return tuple(v for v in self.shared(side) if id(v) in unseen)
            unseen -= seen

    def _trimmed(self, machine: Machine, unseen: set[int]) -> Machine:
        """The stand-in without the rows that only store to these variables."""
        actions = [a for lowered in self.lowered.values() for a in lowered if a.machine is machine]
        kept = [a.row for a in actions if not _only_stores(a, unseen)]
        if len(kept) == len(machine.rows):
            return machine
        copies, doc, stands_for = machine.copies, machine.doc, machine.stands_for
        return Machine(machine.name, machine.states, kept, copies=copies, initial=machine.initial, stands_for=stands_for, doc=doc)

    def _is_about(self, prop: Property, side: Side) -> bool:
        """Whether the part of a side shows every step that changes what the property reads."""
        elsewhere = self._elsewhere(side)
        return prop.kind in CARRIED and all(v in self.touched[side.name] or v not in elsewhere for v in _read_by(prop))

    # -- what the argument needs -------------------------------------------------------------------------------------

    def _check_locks(self) -> None:
        """A lock that is held across rows lies on one side: who holds it is no variable that a stand-in could set."""
        users: dict[str, set[str]] = {}
        for side in self.sides.values():
            for machine in side.machines:
                for row in machine.rows:
                    for lock in (row.under, row.acquire, row.release):
                        if isinstance(lock, Cell):
                            users.setdefault(lock.variable.name, set()).add(side.name)
        for machine in self.whole.active:
            for row in machine.rows:
                if isinstance(row.acquire, Cell) and len(users[row.acquire.variable.name]) > 1:
                    why = f"acquires {row.acquire} across rows, and both sides use it; keep its users on one side"
                    raise DefinitionError(why, machine=machine.name, row=row.event)

    def _check_stand_ins(self) -> None:
        """A stand-in is one, and touches what is shared or its own."""
        self.lowered: dict[str, list[Action]] = {}
        known = {id(cell.variable) for m in self.whole.machines for row in m.rows for cell in raw_cells(row)}
        known |= {key for touched in self.touched.values() for key in touched} | {id(m.state) for m in self.whole.machines}
        owners: dict[int, str] = {}
        for side in self.sides.values():
            shared = {id(v) for v in self.shared(side)}
            for machine in side.stand_in:
                if not set(machine.stands_for) <= {m.name for m in side.machines} or not machine.stands_for:
                    raise DefinitionError(f"name in stands_for= which machines of {side.name} it replaces", machine=machine.name)
            alone = System(f"{self.whole.name}_{side.name}_stand_in", [*(m for m in self.whole.machines if m.passive), *side.stand_in])
            self.lowered[side.name] = alone.actions
            for action in alone.actions:
                for variable in _touched([action]).values():
                    if id(variable) in known and id(variable) not in shared:
                        why = f"touches {variable.name}, which {side.name} does not share with another side; give it a variable of its own"
                        raise DefinitionError(why, machine=action.machine.name, row=action.row.event)
                    if id(variable) not in known and owners.setdefault(id(variable), side.name) != side.name:
                        why = f"touches {variable.name} of what stands for {owners[id(variable)]}; give each stand-in variables of its own"
                        raise DefinitionError(why, machine=action.machine.name, row=action.row.event)

    def _check_rows(self) -> None:
        """Every row of a side does in its part what it does in the whole: else its guard or effects depend on who else is there."""
        wholes = {(a.machine.name, n): a for a, n in _numbered(self.whole.actions)}
        matters = {id(v) for part in self.parts.values() for v in part.variables}
        for side in self.sides.values():
            for action, n in _numbered(self.parts[side.name].actions):
                if action.machine in side.machines:
                    left_out = {id(v) for v in self.parts[side.name].unseen}
                    one, other = (_text(a, matters, left_out) for a in (wholes[action.machine.name, n], action))
                    if one != other:
                        lost = sorted(set(one) ^ set(other))[0]
                        why = f"does not do the same without the other sides: `{lost}`; what locks, barriers and crashes do must stay on one side"
                        raise DefinitionError(why, machine=action.machine.name, row=action.row.event)


def _numbered(actions: Iterable[Action]) -> list[tuple[Action, int]]:
    """The actions, each with its place among those of its machine."""
    seen: dict[str, int] = {}
    found = []
    for action in actions:
        seen[action.machine.name] = seen.get(action.machine.name, -1) + 1
        found.append((action, seen[action.machine.name]))
    return found


def _touched(actions: Iterable[Action]) -> dict[int, Variable]:
    """The variables that the actions read or write, by identity."""
    return {id(cell.variable): cell.variable for action in actions for cell in cells_of(action)}


def _looked_at(side: Side) -> dict[int, Variable]:
    """What rows of the side read to see a message that is illegal there; such a row is a question, and no action."""
    return {id(c.variable): c.variable for machine in side.machines for row in machine.rows if row.illegal for c in raw_cells(row)}


def _only_stores(action: Action, variables: set[int]) -> bool:
    """Whether the action stores to these variables and to nothing else."""
    return bool(action.stores) and all(id(s.cell.variable) in variables for s in action.stores)


def _seen(action: Action, variables: set[int]) -> set[int]:
    """Those of the variables that the action reads for anything but to store to them themselves."""
    read = _named(action.guard)
    for store in action.stores:
        mine = id(store.cell.variable)
        read |= (_named(store.condition) | _named(store.target) | _named(store.value)) - ({mine} if mine in variables else set())
    return read & variables


def _read_by(prop: Property) -> set[int]:
    return {v for expr in prop.expressions for v in _named(expr)}


def _may_err(action: Action, variables: set[int]) -> set[int]:
    """Those of the variables that the action may be kept from storing to, by an error: left out, the part would not know of it.

    What cannot be an error is a constant, or a message into a bag that drops what it has no room for, where nothing that is evaluated for it
    can be one, and no other store of the row meets it.
    """
    found = set()
    targets: dict[int, list[Expr]] = {}
    for store in action.stores:
        variable = store.cell.variable
        drops = isinstance(variable, Channel) and variable.kind == "bag" and variable.on_full == "drop" and store.operation == "send"
        if not (drops or isinstance(store.value, Literal)) or not is_total(store.target) or not is_total(store.condition):
            found.add(id(variable))
        targets.setdefault(id(variable), []).append(store.target)
    return (found | {v for v, written in targets.items() if _may_meet(written)}) & variables


def _may_meet(targets: list[Expr]) -> bool:
    """Whether two of these places may be the same, or one inside another."""
    fixed = all(isinstance(i, Literal) for t in targets for part in t.walk() if isinstance(part, (Cell, Item)) for i in part.indices)
    return len(targets) > 1 and (not fixed or any(str(a).startswith(str(b)) for a, b in permutations(targets, 2)))


def _named(expr: Expr) -> set[int]:
    return {id(e.variable) for e in expr.walk() if isinstance(e, Cell)}


def _text(action: Action, matters: set[int], left_out: set[int]) -> list[str]:
    """Guard and stores of an action as text, without what is left out of the part, ghosts that no part has, and stores that only watch."""
    stores = [s for s in action.stores if s.operation != "watch" and id(s.cell.variable) not in left_out]
    return [str(action.guard), *(str(s) for s in stores if s.cell.variable.medium is not Medium.GHOST or id(s.cell.variable) in matters)]
