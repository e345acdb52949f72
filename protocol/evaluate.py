"""The interpreter: what one instance does to one state, as slowly and plainly as it can be said.

The reference explorer is nothing but it and a queue; the checker's tables and the engine's compiled rows are tested
against it. Variables are read through `load(variable, indices)`, one cell at a time and only when the expression needs
it, so that an engine can keep its cells wherever the medium says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .action import Instance
from .errors import DoubleWrite, OutOfRange
from .expr import At, Cell, Edited, Expr, Field, Fold, Has, IfElse, IndexOf, Item, Length, Literal, MakeRecord, Me, Not, OneOf, Op, Param, Unwrap
from .system import State, System
from .types import Array, Scalar, Sequence, Type, Value, flat_index
from .variable import Variable

Load = Callable[[Variable, tuple[Value, ...]], Value]
Bindings = dict[Any, Value]
Writes = list[tuple[Variable, tuple[Value, ...], Value]]
"""New cell values: (variable, indices, value)."""


def evaluate(expr: Expr, bind: Bindings, load: Load) -> Value:
    """The value of an expression.

    Raises:
        OutOfRange: an index outside its type, an element past the end of a sequence, the value of None.
    """
    return _EVALUATORS[type(expr)](expr, bind, load)


def no_cell(variable: Variable, where: tuple[Value, ...]) -> Value:
    """The `Load` of an expression that reads no cell."""
    raise AssertionError(f"{variable} was read where there is nothing to load")


def _indices(expr: Cell | Item, dims: tuple[Scalar, ...], bind: Bindings, load: Load) -> tuple[Value, ...]:
    values = tuple(evaluate(i, bind, load) for i in expr.indices)
    for value, dim in zip(values, dims):
        if not dim.contains(value):
            raise OutOfRange(f"`{expr}`: the index {value} lies outside {dim}")
    return values


def _cell(expr: Cell, bind: Bindings, load: Load) -> Value:
    return load(expr.variable, _indices(expr, expr.variable.over, bind, load))


def _item(expr: Item, bind: Bindings, load: Load) -> Value:
    array = expr.base.type
    assert isinstance(array, Array)
    base = evaluate(expr.base, bind, load)
    return base[flat_index(array.dims, _indices(expr, array.dims, bind, load))]


def _at(expr: At, bind: Bindings, load: Load) -> Value:
    base = evaluate(expr.base, bind, load)
    position = evaluate(expr.position, bind, load)
    if not 0 <= position < len(base):
        raise OutOfRange(f"`{expr}`: position {position} of {len(base)} elements")
    return base[position]


def _index_of(expr: IndexOf, bind: Bindings, load: Load) -> int:
    base, element = evaluate(expr.base, bind, load), evaluate(expr.element, bind, load)
    if element not in base:
        raise OutOfRange(f"`{expr}`: the value is not there")
    return base.index(element)


def _unwrap(expr: Unwrap, bind: Bindings, load: Load) -> Value:
    value = evaluate(expr.base, bind, load)
    if value is None:
        raise OutOfRange(f"`{expr}` is None and has no value")
    return value


_OPERATORS: dict[str, Callable[[Any, Any], Value]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
}


def _op(expr: Op, bind: Bindings, load: Load) -> Value:
    left = evaluate(expr.left, bind, load)
    if expr.kind == "and":
        return bool(left and evaluate(expr.right, bind, load))
    if expr.kind == "or":
        return bool(left or evaluate(expr.right, bind, load))
    return _OPERATORS[expr.kind](left, evaluate(expr.right, bind, load))


def _fold(expr: Fold, bind: Bindings, load: Load) -> Value:
    domain = expr.param.type
    assert isinstance(domain, Scalar)
    results = (evaluate(expr.body, {**bind, expr.param.name: v}, load) for v in domain.values())
    return {"any": any, "all": all, "sum": sum, "count": sum}[expr.kind](results)  # type: ignore[operator]


def edit(operation: str, base: tuple[Value, ...], arguments: tuple[Value, ...], capacity: int, what: object) -> tuple[Value, ...]:
    """A sequence after one operation; OutOfRange when the operation has no result."""
    if operation in ("push", "push_front"):
        if len(base) >= capacity:
            raise OutOfRange(f"`{what}`: the sequence already holds its {capacity} elements")
        return (*base, *arguments) if operation == "push" else (*arguments, *base)
    if operation == "clear":
        return ()
    if operation == "remove":
        if arguments[0] not in base:
            raise OutOfRange(f"`{what}`: the value is not there")
        position = base.index(arguments[0])
    else:
        position = {"pop": 0, "pop_back": len(base) - 1}.get(operation, arguments[0] if arguments else 0)
        if not 0 <= position < len(base):
            raise OutOfRange(f"`{what}`: position {position} of {len(base)} elements")
    return base[:position] + base[position + 1 :]


def _edited(expr: Edited, bind: Bindings, load: Load) -> Value:
    sequence = expr.type
    assert isinstance(sequence, Sequence)
    base = evaluate(expr.base, bind, load)
    arguments = tuple(evaluate(a, bind, load) for a in expr.arguments)
    if expr.operation in ("push", "push_front") and not sequence.element.contains(arguments[0]):
        raise OutOfRange(f"`{expr}`: {arguments[0]!r} lies outside {sequence.element}")
    return edit(expr.operation, base, arguments, sequence.capacity, expr)


def _make_record(expr: MakeRecord, bind: Bindings, load: Load) -> Value:
    values = tuple(evaluate(p, bind, load) for p in expr.parts)
    for value, (name, kind) in zip(values, expr.type.fields):
        if not kind.contains(value):
            raise OutOfRange(f"`{expr}`: {name} = {value!r} lies outside {kind}")
    return values


_EVALUATORS: dict[type, Callable[[Any, Bindings, Load], Value]] = {
    Literal: lambda e, b, l: e.const,
    Me: lambda e, b, l: b[e.type],
    Param: lambda e, b, l: b[e.name],
    Cell: _cell,
    Item: _item,
    Field: lambda e, b, l: evaluate(e.base, b, l)[e.position],
    At: _at,
    Length: lambda e, b, l: len(evaluate(e.base, b, l)),
    Has: lambda e, b, l: evaluate(e.element, b, l) in evaluate(e.base, b, l),
    IndexOf: _index_of,
    Unwrap: _unwrap,
    Not: lambda e, b, l: not evaluate(e.base, b, l),
    Op: _op,
    OneOf: lambda e, b, l: evaluate(e.base, b, l) in [o.const for o in e.options],
    IfElse: lambda e, b, l: evaluate(e.then if evaluate(e.condition, b, l) else e.other, b, l),
    Fold: _fold,
    MakeRecord: _make_record,
    Edited: _edited,
}


def may_fire(instance: Instance, load: Load) -> bool:
    """Whether the guard of the instance holds."""
    return bool(evaluate(instance.action.guard, instance.environment(), load))


def effects_of(instance: Instance, load: Load) -> Writes:
    """The new cell values when the instance fires, everything read before anything is written.

    Raises:
        OutOfRange: a value leaves its type. DoubleWrite: two effects write one place.
    """
    bind = instance.environment()
    changes: dict[tuple[int, tuple[Value, ...]], list[tuple[tuple[Any, ...], Value]]] = {}
    cells: dict[tuple[int, tuple[Value, ...]], Variable] = {}
    for store in instance.action.stores:
        if not evaluate(store.condition, bind, load):
            continue
        where, path = _locate(store.target, bind, load)
        value = evaluate(store.value, bind, load)
        if not store.target.type.contains(value):
            raise OutOfRange(f"`{store}`: {value!r} lies outside {store.target.type}")
        key = (id(store.cell.variable), where)
        cells[key] = store.cell.variable
        for earlier, _ in changes.setdefault(key, []):
            if earlier[: len(path)] == path[: len(earlier)]:
                raise DoubleWrite(
                    f"two effects write `{store.target}` in one step; give the row one effect per place",
                    machine=instance.action.machine.name,
                    row=instance.action.row.event,
                )
        changes[key].append((path, value))
    writes: Writes = []
    for key, parts in changes.items():
        variable = cells[key]
        value = load(variable, key[1]) if any(path for path, _ in parts) else None
        for path, part in parts:
            value = _replaced(value, path, part, variable.type)
        writes.append((variable, key[1], value))
    return writes


def _locate(target: Expr, bind: Bindings, load: Load) -> tuple[tuple[Value, ...], tuple[Any, ...]]:
    """Indices of the cell, and the path of positions inside it."""
    if isinstance(target, Cell):
        return _indices(target, target.variable.over, bind, load), ()
    if isinstance(target, Field):
        where, path = _locate(target.base, bind, load)
        return where, (*path, target.position)
    if isinstance(target, Item):
        where, path = _locate(target.base, bind, load)
        array = target.base.type
        assert isinstance(array, Array)
        return where, (*path, flat_index(array.dims, _indices(target, array.dims, bind, load)))
    assert isinstance(target, At)
    where, path = _locate(target.base, bind, load)
    position = evaluate(target.position, bind, load)
    if not 0 <= position < len(evaluate(target.base, bind, load)):
        raise OutOfRange(f"`{target}`: position {position} is past the end")
    return where, (*path, position)


def _replaced(value: Value, path: tuple[Any, ...], part: Value, kind: Type) -> Value:
    if not path:
        return part
    inner = _replaced(value[path[0]], path[1:], part, kind)
    return (*value[: path[0]], inner, *value[path[0] + 1 :])


def loader(system: System, state: State) -> Load:
    """Reads cells from a state of the explorer."""

    def load(variable: Variable, indices: tuple[Value, ...]) -> Value:
        return state[system.position[id(variable)]][flat_index(variable.over, indices)]

    return load


def successor(system: System, state: State, instance: Instance) -> State:
    """The state after the instance fires; its guard is taken to hold.

    Raises:
        OutOfRange, DoubleWrite: as `effects_of`.
    """
    cells = list(state)
    for variable, indices, value in effects_of(instance, loader(system, state)):
        position = system.position[id(variable)]
        place = flat_index(variable.over, indices)
        cells[position] = (*cells[position][:place], value, *cells[position][place + 1 :])
    return tuple(cells)


def holds(system: System, state: State, expr: Expr) -> bool:
    """Whether a property's expression holds in a state."""
    return bool(evaluate(expr, {}, loader(system, state)))
