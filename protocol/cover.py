"""What *covers* means: whether machines that stand for others can make every step of theirs that the rest can see.

The machines that are covered run in a system of their own; the stand-in is no part of it. Ghosts say in which states of its own the
stand-in may be after what was seen so far (the subset construction): each step of a covered machine that changes a shared variable must
be one that the stand-in can make from one of them, with the same change. A step after which none is left is the finding.

All of it is stores to ghosts and one predicate, so every reader of a system can answer it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from itertools import product
from typing import Any

from .action import Action, Instance
from .combine import conjunction, disjunction, substitute
from .effect import Store
from .errors import DefinitionError
from .expr import FALSE, TRUE, At, Cell, Expr, Field, IfElse, Item, Literal, MakeRecord, Me, Not, Op, Param
from .fold import folded
from .ghosts import drop_unread_ghosts
from .operators import NUMERIC, bounds_of
from .properties import Cover
from .types import BOOL, Array, Range, Record, Scalar, Type, Value, all_values
from .variable import Variable, ghost

MOST_STATES = 256
"""States that a stand-in may have of its own: the ghost has a bit for each."""

Changed = dict[str, tuple[Expr, Expr]]
"""What an instance may change: by its text, each part of a cell and the value of the part after the step."""


@dataclass(frozen=True)
class _Move:
    """A step of the stand-in, from one of its own states to another: when it may be made, and what it changes of what is shared."""

    source: int
    target: int
    guard: Expr
    changed: Changed


def watch_cover(name: str, cover: Cover, actions: list[Action], stand_in: list[Action]) -> Expr:
    """Whether a step was made that the stand-in cannot make; gives the covered actions the stores to ghosts that tell.

    Args:
        name: of the property, after which the ghosts are called. actions: those of the system. stand_in: the lowered rows of the stand-in.

    Raises:
        DefinitionError: the stand-in touches what is neither shared nor its own, or has too many states of its own; somebody stores
            into an element of a shared sequence.
    """
    moves, states = _StandIn(cover, actions, stand_in).explored()
    numbers = Range(0, states - 1)
    lost = ghost(f"{name}.not_covered", BOOL, init=False)
    possible = ghost(f"{name}.possible", BOOL, over=numbers, init=lambda number: number == 0)
    for action in actions:
        if action.machine in cover.machines:
            action.stores += _watching(action, cover, moves, lost.cell(), possible)
    return lost.cell()


def _watching(action: Action, cover: Cover, moves: list[_Move], lost: Cell, possible: Variable) -> list[Store]:
    """What the action does to the ghosts; nothing where it stores to no shared variable.

    Where the values stay as they are, the stand-in may stay as it is, or make a step that changes none of them either.
    """
    seen: list[Expr] = []
    losing: list[Expr] = []
    numbers = possible.over[0]
    reaching: dict[Value, list[Expr]] = {number: [] for number in numbers.values()}
    wanted, unseen = ({id(v) for v in variables} for variables in (cover.shared, cover.unseen))
    for instance in action.instances() if any(id(s.cell.variable) in wanted for s in action.stores) else ():
        changed = changed_by(instance, cover.shared)
        this, ways = _is(instance), _ways(moves, changed, possible, unseen)
        same = folded(conjunction([FALSE if is_of(part, unseen) else Op("==", value, part, BOOL) for part, value in changed.values()]))
        losing.append(conjunction([this, Not(_either([same, *(way for found in ways.values() for way in found)]))]))
        seen.append(this)
        for number in numbers.values():
            stays = conjunction([_bit(possible, number), same])
            reaching[number].append(conjunction([this, _either([stays, *ways.get(number, [])])]))
    if not seen:
        return []
    stores = [Store(_either(losing), lost, TRUE, "watch")]
    if numbers.size > 1:
        here = TRUE if any(this is TRUE for this in seen) else _either(seen)
        stores += [Store(here, _bit(possible, number), _either(reaching[number]), "watch") for number in numbers.values()]
    return stores


def _ways(moves: list[_Move], changed: Changed, possible: Variable, unseen: set[int]) -> dict[Value, list[Expr]]:
    """By where it is then, in which cases the stand-in can make a step that changes just that."""
    ways: dict[Value, list[Expr]] = {}
    for move in moves:
        same: list[Expr] = []
        for text in {**changed, **move.changed}:
            part = (changed.get(text) or move.changed[text])[0]
            one, other = (c[text][1] if text in c else part for c in (changed, move.changed))
            if is_of(part, unseen):
                same.append(TRUE if alike(one, other) else FALSE)
            else:
                same.append(folded(Op("==", one, other, BOOL)))
        if not any(equal is FALSE for equal in same):
            here = _bit(possible, move.source) if possible.cells > 1 else TRUE
            ways.setdefault(move.target, []).append(conjunction([here, move.guard, *same]))
    return ways


def _bit(possible: Variable, number: Value) -> Cell:
    return Cell(possible, (Literal(number, possible.over[0]),), BOOL)


def _is(instance: Instance) -> Expr:
    """Whether the row fires as this instance."""
    machine, row = instance.action.machine, instance.action.row
    copy = [Op("==", Me(dim), Literal(v, dim), BOOL) for dim, v in zip(machine.copies, instance.copy) if dim.size > 1]
    values = [Op("==", Param(p.name, p.type), Literal(v, p.type), BOOL) for p, v in zip(row.choose, instance.values) if p.type.size > 1]  # type: ignore[attr-defined]
    return conjunction([*copy, *values])


def _either(parts: list[Expr]) -> Expr:
    """The disjunction, left to right, as a tree that is not deeper than it must be: there may be thousands of parts."""
    if any(part is TRUE for part in parts):
        return TRUE
    if len(parts) < 3:
        return disjunction(parts)
    half = len(parts) // 2
    return disjunction([_either(parts[:half]), _either(parts[half:])])


class _StandIn:
    """The machines that stand for others, as a graph over the states of their own variables."""

    def __init__(self, cover: Cover, actions: list[Action], stand_in: list[Action]):
        self.cover = cover
        shared = {id(v) for v in cover.shared}
        drop_unread_ghosts(stand_in, (), shared)
        foreign = {id(c.variable) for action in actions for c in cells_of(action)}
        own: dict[int, Variable] = {id(m.state): m.state for m in cover.stand_in}
        for action in stand_in:
            for cell in cells_of(action):
                variable = cell.variable
                if id(variable) in shared:
                    continue
                if id(variable) in foreign or not isinstance(variable.type, Scalar):
                    why = "is of the machines that it stands for" if id(variable) in foreign else f"is a {variable.type}, not a scalar"
                    raise DefinitionError(
                        f"a stand-in touches shared variables and scalars of its own; {variable.name} {why}",
                        machine=action.machine.name,
                        row=action.row.event,
                    )
                own[id(variable)] = variable
        self.own = own
        self.does = {
            i: (folded(i.ground(i.action.guard)), changed_by(i, cover.shared), changed_by(i, tuple(own.values())))
            for action in stand_in
            for i in action.instances()
        }
        self.cells = [(v, where) for v in own.values() for where in all_values(v.over)]

    def explored(self) -> tuple[list[_Move], int]:
        """Every move between the states that may be reached, the first of which is number 0; and how many states there are."""
        first = tuple(value for v in self.own.values() for value in v.initial)
        numbers, moves, waiting = {first: 0}, [], [first]
        for state in waiting:
            for instance in self.does:
                for target, guard, changed in self.steps(state, instance):
                    if target not in numbers:
                        numbers[target] = len(numbers)
                        waiting.append(target)
                    moves.append(_Move(numbers[state], numbers[target], guard, changed))
            if len(numbers) > MOST_STATES:
                names = ", ".join(m.name for m in self.cover.stand_in)
                raise DefinitionError(f"what stands for others ({names}) has more than {MOST_STATES} states of its own; let it remember less")
        return moves, len(numbers)

    def steps(self, state: tuple[Value, ...], instance: Instance) -> Iterator[tuple[tuple[Value, ...], Expr, Changed]]:
        """Where the instance may lead to from that state of its own variables, when, and what it changes of what is shared."""
        known = dict(zip(((id(v), where) for v, where in self.cells), state))
        written, seen, mine = self.does[instance]
        guard = self.placed(written, known)
        if guard is FALSE:
            return
        changed = {text: (part, self.placed(value, known)) for text, (part, value) in seen.items()}
        after = {text: self.placed(value, known) for text, (_, value) in mine.items()}
        choices: list[list[tuple[Value, Expr]]] = []
        for (variable, where), value in zip(self.cells, state):
            new = after.get(str(_cell(variable, where)), Literal(value, variable.type))
            if isinstance(new, Literal):
                choices.append([(new.const, TRUE)] if variable.type.contains(new.const) else [])
            else:
                assert isinstance(variable.type, Scalar)
                choices.append([(v, Op("==", new, Literal(v, variable.type), BOOL)) for v in variable.type.values()])
        for chosen in product(*choices):
            when = conjunction([guard, *(condition for _, condition in chosen)])
            yield tuple(value for value, _ in chosen), when, changed

    def placed(self, expr: Expr, known: dict[tuple[int, tuple[Value, ...]], Value]) -> Expr:
        """The expression with the values of the stand-in's own variables put in; itself where it mentions none."""

        def change(part: Expr) -> Expr | None:
            if not isinstance(part, Cell) or id(part.variable) not in self.own:
                return None
            indices = tuple(self.placed(i, known) for i in part.indices)
            return _picked(part.variable, indices, lambda where: Literal(known[id(part.variable), where], part.type))

        new = substitute(expr, change)
        return expr if new is expr else folded(new)


def _picked(variable: Variable, indices: tuple[Expr, ...], value: Callable[[tuple[Value, ...]], Expr]) -> Expr:
    """The value of the cell with these indices, where `value` gives it for constant ones."""
    if all(isinstance(i, Literal) for i in indices):
        return value(tuple(i.const for i in indices))  # type: ignore[attr-defined]
    *others, last = list(all_values(variable.over))
    found = value(last)
    for where in reversed(others):
        here = conjunction([Op("==", i, Literal(v, d), BOOL) for i, v, d in zip(indices, where, variable.over)])
        found = IfElse(here, value(where), found, variable.type)
    return found


def is_of(part: Expr, variables: set[int]) -> bool:
    """Whether a part of a cell is one of these variables' (by identity)."""
    cell = _steps(part)[0]
    assert isinstance(cell, Cell)
    return id(cell.variable) in variables


def alike(one: Any, other: Any) -> bool:
    """Whether two expressions are the same, node by node: so they are equal in every state."""
    if one is other:
        return True
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(alike(a, b) for a, b in zip(one, other))
    if not isinstance(one, Expr) or type(one) is not type(other) or one.is_variable:
        return not isinstance(one, Expr) and type(one) is type(other) and bool(one == other)
    return all(alike(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))  # type: ignore[arg-type]


# -- what an instance changes ------------------------------------------------------------------------------------------


def cells_of(action: Action) -> Iterator[Cell]:
    """Every cell that the action reads or writes."""
    for expr in [action.guard, *(e for s in action.stores for e in (s.condition, s.target, s.value))]:
        yield from (part for part in expr.walk() if isinstance(part, Cell))


def changed_by(instance: Instance, variables: tuple[Variable, ...]) -> Changed:
    """The parts of these variables that the instance may change, with their values after the step.

    Raises:
        DefinitionError: a store into an element of a sequence.
    """
    wanted = {id(v) for v in variables}
    stores = [
        Store(folded(instance.ground(s.condition)), folded(instance.ground(s.target)), folded(instance.ground(s.value)), s.operation)
        for s in instance.action.stores
        if id(s.cell.variable) in wanted
    ]
    changed: Changed = {}
    for target in (s.target for s in stores if s.condition is not FALSE):
        for part in _candidates(target):
            if str(part) not in changed:
                value = _after(part, stores)
                if value is not part:
                    changed[str(part)] = part, value
    return changed


def _candidates(target: Expr) -> Iterator[Expr]:
    """The parts that a store to the target may write: scalars and sequences."""
    steps = _steps(target)
    if any(isinstance(step, At) for step in steps):
        raise DefinitionError(f"`{target}`: whether a store into an element of a sequence is covered is not decided; store the whole")
    if all(isinstance(i, Literal) for step in steps if isinstance(step, (Cell, Item)) for i in step.indices):
        yield from _parts(target)
        return
    cell = steps[0]
    assert isinstance(cell, Cell)
    for where in all_values(cell.variable.over):
        yield from _parts(_cell(cell.variable, where))


def _cell(variable: Variable, where: tuple[Value, ...]) -> Cell:
    return Cell(variable, tuple(Literal(v, d) for v, d in zip(where, variable.over)), variable.type)


def _parts(place: Expr) -> Iterator[Expr]:
    """The scalars and sequences that a place is made of."""
    kind = place.type
    if isinstance(kind, Record):
        for position, (_, inner) in enumerate(kind.fields):
            yield from _parts(Field(place, position, inner))
    elif isinstance(kind, Array):
        for where in all_values(kind.dims):
            yield from _parts(Item(place, tuple(Literal(v, d) for v, d in zip(where, kind.dims)), kind.element))
    else:
        yield place


def _after(part: Expr, stores: list[Store]) -> Expr:
    """The value of a part after the stores, which all read the state before."""
    value = part
    for store in stores:
        inside = _inside(_steps(store.target), _steps(part), store.value)
        if inside is not None:
            equations, new = inside
            when = folded(conjunction([store.condition, *equations]))
            value = new if when is TRUE else value if when is FALSE else IfElse(when, new, value, _joined(new, value))
    return value


def _inside(target: list[Expr], part: list[Expr], value: Expr) -> tuple[list[Expr], Expr] | None:
    """When the target holds the part: the equations between their indices, and what of the value is stored into the part; None for never."""
    equations: list[Expr] = []
    for x, y in zip(target, part):
        if isinstance(x, Field) and isinstance(y, Field):
            if x.position != y.position:
                return None
        elif isinstance(x, (Cell, Item)) and isinstance(y, (Cell, Item)):
            if isinstance(x, Cell) and isinstance(y, Cell) and x.variable is not y.variable:
                return None
            equations += [folded(Op("==", i, j, BOOL)) for i, j in zip(x.indices, y.indices)]
    if any(equation is FALSE for equation in equations):
        return None
    for step in part[len(target) :]:
        if isinstance(step, Field):
            value = value.parts[step.position] if isinstance(value, MakeRecord) else Field(value, step.position, step.type)
        elif isinstance(step, Item):
            value = Item(value, step.indices, step.type)
    return equations, value


def _joined(one: Expr, other: Expr) -> Type:
    """A type that holds both."""
    if isinstance(one.type, NUMERIC) and isinstance(other.type, NUMERIC) and one.type != other.type:
        (low, high), (least, most) = bounds_of(one), bounds_of(other)
        return Range(min(low, least), max(high, most))
    return other.type


def _steps(target: Expr) -> list[Expr]:
    """The cell, and each part of it on the way to the target."""
    steps = [target]
    while isinstance(steps[-1], (Item, Field, At)):
        steps.append(steps[-1].base)
    return steps[::-1]
