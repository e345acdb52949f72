"""What *write conflict* and *lost store* mean: predicates over the lowered actions, and the ghosts that they need.

A write conflict is read off the guards: two copies can store now, to one place, different values. A lost store needs a
history, so two ghosts keep it: who stored the value in a cell that no other copy has loaded yet, and whether a store that
nobody saw was ever replaced. A load counts where it happens: what `&`, `|`, if-else and folds skip is not loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import combinations

from .action import Action
from .combine import conjunction, conjuncts, disjunction, plus, substitute
from .effect import Store
from .errors import DefinitionError
from .expr import BOOL, TRUE, At, Cell, Expr, Field, Fold, IfElse, Item, Literal, Not, Op, Param
from .machine import copy_number
from .types import Optional, Range, all_values, product_size
from .variable import Variable, ghost


def write_conflict_on(variable: Variable, actions: list[Action]) -> Expr:
    """Two instances of different copies are enabled and store different values to one place.

    Raises:
        DefinitionError: no row stores to the variable.
    """
    writers = [
        (instance, store)
        for action in actions
        for store in action.stores
        if store.operation == "store" and store.cell.variable is variable
        for instance in action.instances()
    ]
    if not writers:
        raise DefinitionError(f"write conflict on {variable.name}: no row stores to it")
    clashes = []
    for (one, a), (two, b) in combinations(writers, 2):
        if one.action.machine is two.action.machine and one.copy == two.copy:
            continue
        places = _same_place(one.ground(a.target), two.ground(b.target))
        if places is None:
            continue
        first, second = (conjunction([i.ground(i.action.guard), i.ground(s.condition)]) for i, s in ((one, a), (two, b)))
        mine, theirs = (one.ground(a.target), one.ground(a.value)), (two.ground(b.target), two.ground(b.value))
        differ: Expr = Op("!=", _common(*mine, theirs[0]), _common(*theirs, mine[0]), BOOL)
        if isinstance(differ.left, Literal) and isinstance(differ.right, Literal):  # type: ignore[attr-defined]
            if differ.left.const == differ.right.const:  # type: ignore[attr-defined]
                continue
            differ = TRUE
        clashes.append(conjunction([first, second, *places, differ]))
    return disjunction(clashes)


def _same_place(a: Expr, b: Expr) -> list[Expr] | None:
    """When two targets in one variable overlap: the equations between their indices; None when they never do."""
    equations: list[Expr] = []
    for x, y in zip(_steps(a), _steps(b)):  # one may be a part of the other: then the common steps decide
        if isinstance(x, Field) and isinstance(y, Field):
            if x.position != y.position:
                return None
        elif isinstance(x, At) and isinstance(y, At):
            equations.append(Op("==", x.position, y.position, BOOL))
        elif isinstance(x, (Cell, Item)) and isinstance(y, (Cell, Item)):
            equations += [Op("==", i, j, BOOL) for i, j in zip(x.indices, y.indices)]
    return equations


def _common(target: Expr, value: Expr, other: Expr) -> Expr:
    """What is stored into the place that both targets, which overlap, have in common: the value, or the part of it that the other names."""
    part = value
    for step in _steps(other)[len(_steps(target)) :]:
        assert isinstance(step, (Item, Field, At))
        part = replace(step, base=part)
    return part


def _steps(target: Expr) -> list[Expr]:
    """The cell, and each part of it on the way to the target."""
    steps = [target]
    while isinstance(steps[-1], (Item, Field, At)):
        steps.append(steps[-1].base)
    return steps[::-1]


def watch_stores(variable: Variable, actions: list[Action]) -> Expr:
    """Whether a store to the variable was lost; gives the actions the effects on ghosts that remember it."""
    numbers: dict[str, int] = {}
    total = 0
    for action in actions:
        if action.machine.name not in numbers:
            numbers[action.machine.name] = total
            total += product_size(action.machine.copies)
    writer = ghost(f"{variable.name}.unread_writer", Optional(Range(0, total - 1)), over=variable.over)
    lost = ghost(f"{variable.name}.store_was_lost", BOOL, init=False)
    for action in actions:
        own = plus(copy_number(action.machine), numbers[action.machine.name])
        action.stores += _watching(action, variable, writer, lost, own)
    return lost.cell()


def _watching(action: Action, variable: Variable, writer: Variable, lost: Variable, own: Expr) -> list[Store]:
    """What an action that stores to or loads the variable does to the ghosts of a lost store.

    A store that loads the cell in the same step has seen what it replaces. Each ghost cell is written once, whatever the
    number of loads (a fold makes several) and of stores (into several parts of one cell).
    """
    none = Literal(None, writer.type)
    stores: dict[str, list[Store]] = {}
    for store in action.stores:
        if store.operation == "store" and store.cell.variable is variable:
            stores.setdefault(str(store.cell), []).append(store)
    loads = _loaded(action, variable)
    watching, losing = [], []
    for parts in stores.values():
        unread = Cell(writer, parts[0].cell.indices, writer.type)
        unseen = [Not(conjunction([when, _same_cell(load, parts[0].cell)])) for when, load in loads]
        by_other = conjunction([Op("!=", unread, none, BOOL), Op("!=", unread, own, BOOL), *unseen])
        losing += [conjunction([part.condition, by_other, Op("!=", part.target, part.value, BOOL)]) for part in parts]
        watching.append(Store(_any(part.condition for part in parts), unread, own, "watch"))
    if losing:
        watching.append(Store(_any(losing), lost.cell(), TRUE, "watch"))
    for seen, now in _seen(loads, writer):
        kept = [Not(conjunction([_any(part.condition for part in parts), _same_cell(parts[0].cell, seen)])) for parts in stores.values()]
        watching.append(Store(conjunction([*now, Op("!=", seen, own, BOOL), *kept]), seen, none, "watch"))
    return watching


def _seen(loads: list[tuple[Expr, Cell]], writer: Variable) -> Iterator[tuple[Cell, list[Expr]]]:
    """The ghost cell of each loaded cell, once, and when it is loaded: two loads may turn out to be of one cell."""
    if len(loads) == 1:
        when, load = loads[0]
        yield Cell(writer, load.indices, writer.type), [when]
    elif loads:
        for where in all_values(writer.over):
            cell = Cell(writer, tuple(Literal(v, d) for v, d in zip(where, writer.over)), writer.type)
            yield cell, [_any(conjunction([when, _same_cell(load, cell)]) for when, load in loads)]


def _any(parts: Iterable[Expr]) -> Expr:
    """The disjunction; TRUE when one of the parts is, so that what needs no condition has none."""
    listed = list(parts)
    return TRUE if any(p is TRUE for p in listed) else disjunction(listed)


def _same_cell(a: Cell, b: Cell) -> Expr:
    """Whether two cells of like variables have the same indices."""
    return conjunction([Op("==", x, y, BOOL) for x, y in zip(a.indices, b.indices) if str(x) != str(y)])


def _loaded(action: Action, variable: Variable) -> list[tuple[Expr, Cell]]:
    """The cells of that variable which firing the action loads, each once, and when it does."""
    found: dict[str, tuple[list[Expr], Cell]] = {}
    parts: list[tuple[Expr, Expr]] = [(TRUE, c) for c in conjuncts(action.guard)]
    for store in action.stores:
        if store.operation not in ("watch", "crash"):
            parts += [(TRUE, store.condition), (store.condition, store.value)]
            parts += [(store.condition, e) for e in store.target.walk() if isinstance(e, Cell) and e is not store.cell]
            parts += [(store.condition, i) for i in store.cell.indices]
    for when, expr in parts:
        for condition, cell in _loads(expr, when):
            if cell.variable is variable:
                found.setdefault(str(cell), ([], cell))[0].append(condition)
    return [(_any(conditions), cell) for conditions, cell in found.values()]


def _loads(expr: Expr, when: Expr) -> Iterator[tuple[Expr, Cell]]:
    """The cells that evaluating the expression loads, folds unrolled, and when: what is short-circuited is not loaded."""
    if isinstance(expr, Op) and expr.kind in ("and", "or"):
        yield from _loads(expr.left, when)
        yield from _loads(expr.right, conjunction([when, expr.left if expr.kind == "and" else Not(expr.left)]))
    elif isinstance(expr, IfElse):
        yield from _loads(expr.condition, when)
        yield from _loads(expr.then, conjunction([when, expr.condition]))
        yield from _loads(expr.other, conjunction([when, Not(expr.condition)]))
    elif isinstance(expr, Fold):
        name, over = expr.param.name, expr.param.type
        for value in over.values():  # type: ignore[attr-defined]
            literal = Literal(value, over)
            body = substitute(expr.body, lambda e, by=literal: by if isinstance(e, Param) and e.name == name else None)  # type: ignore[misc]
            yield from _loads(body, when)
            if expr.kind in ("any", "all"):
                when = conjunction([when, body if expr.kind == "all" else Not(body)])
    else:
        if isinstance(expr, Cell):
            yield when, expr
        for child in expr.children():
            yield from _loads(child, when)
