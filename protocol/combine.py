"""Functions that combine expressions: folds, if-else, choices, conjunctions, substitution.

They build nodes of `expr.py` and nothing else; the operators live with the tree itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from .errors import DefinitionError
from .expr import FALSE, TRUE, Cell, Expr, Fold, IfElse, Literal, MakeRecord, Me, Op, Param, Passed
from .operators import NUMERIC, boolean, bounds_of, coerce, lift, number
from .types import BOOL, Index, Range, Record, Scalar, Type


def make_record(record: Record, values: dict[str, Any]) -> Expr:
    """A record expression; a DefinitionError for a missing or unknown field."""
    names = [n for n, _ in record.fields]
    if sorted(names) != sorted(values):
        raise DefinitionError(f"{record.name}({', '.join(values)}): give exactly the fields {', '.join(names)}")
    return MakeRecord(record, tuple(coerce(values[n], t) for n, t in record.fields))


def me(index: Index) -> Me:
    """The copy's own value of that index type (DESIGN's `self`)."""
    return Me(index)


def choice(name: str, of: Scalar) -> Param:
    """A value that a row chooses; list it in the row's `choose`."""
    if not name.isidentifier() or not isinstance(of, Scalar):
        raise DefinitionError(f"choice({name!r}, {of}): give an identifier and a scalar type")
    return Param(name, of)


def if_else(condition: Any, then: Any, other: Any) -> Expr:
    """`then` where the condition holds, else `other`."""
    like = next((lift(v).type for v in (then, other) if isinstance(v, Expr)), None)
    a, b = (lift(v, like=like if not isinstance(v, Expr) and like and like.contains(v) else None) for v in (then, other))
    if a.type != b.type:
        if not (isinstance(a.type, NUMERIC) and isinstance(b.type, NUMERIC)):
            raise DefinitionError(f"if_else: `{a}` is {a.type} but `{b}` is {b.type}; give both sides one type")
        (a_low, a_high), (b_low, b_high) = bounds_of(a), bounds_of(b)
        return IfElse(boolean(condition, "if_else"), a, b, Range(min(a_low, b_low), max(a_high, b_high)))
    return IfElse(boolean(condition, "if_else"), a, b, a.type)


def count(over: Scalar, body: Callable[[Expr], Any]) -> Expr:
    """How many values of the index type satisfy the body."""
    return _fold("count", over, body, Range(0, over.size))


def any_of(over: Scalar, body: Callable[[Expr], Any]) -> Expr:
    """Whether some value of the index type satisfies the body."""
    return _fold("any", over, body, BOOL)


def all_of(over: Scalar, body: Callable[[Expr], Any]) -> Expr:
    """Whether every value of the index type satisfies the body."""
    return _fold("all", over, body, BOOL)


def sum_of(over: Scalar, body: Callable[[Expr], Any]) -> Expr:
    """The sum of the body over the index type."""
    low, high = bounds_of(number(body(Param(over_name(over), over)), "sum_of"))
    return _fold("sum", over, body, Range(low * over.size, high * over.size))


def passed(barrier: Any) -> Expr:
    """Whether the barrier at which this copy has arrived let it pass."""
    cell = lift(barrier)
    if not isinstance(cell, Cell) or not cell.variable.is_barrier:
        raise DefinitionError(f"passed({cell}): takes a barrier")
    return Passed(cell)


def over_name(over: Scalar) -> str:
    """The name of a bound variable over that type."""
    return f"any_{over}".replace(" ", "_").replace(".", "_").replace("?", "_or_none")


def conjuncts(guard: Expr) -> list[Expr]:
    """The operands of a conjunction, left to right."""
    if isinstance(guard, Op) and guard.kind == "and":
        return conjuncts(guard.left) + conjuncts(guard.right)
    return [] if guard is TRUE else [guard]


def conjunction(parts: list[Expr]) -> Expr:
    """The conjunction of the parts, left to right; TRUE for none."""
    guard: Expr = TRUE
    for part in parts:
        if part is TRUE:
            continue
        guard = part if guard is TRUE else Op("and", guard, part, BOOL)
    return guard


def disjunction(parts: list[Expr]) -> Expr:
    """The disjunction of the parts, left to right; FALSE for none."""
    result: Expr = FALSE
    for part in parts:
        result = part if result is FALSE else Op("or", result, part, BOOL)
    return result


def plus(expr: Expr, amount: int) -> Expr:
    """A number and a constant, added."""
    if amount == 0:
        return expr
    low, high = (expr.type.low, expr.type.high) if isinstance(expr.type, Range) else (0, expr.type.size - 1)  # type: ignore[attr-defined]
    if isinstance(expr, Literal):
        return Literal(expr.const + amount, Range(expr.const + amount, expr.const + amount))
    return Op("+", expr, Literal(amount, Range(amount, amount)), Range(low + amount, high + amount))


def compare(kind: str, expr: Expr, value: int) -> Expr:
    """A number compared with a constant."""
    return Op(kind, expr, Literal(value, Range(value, value)), BOOL)


def substitute(expr: Expr, change: Callable[[Expr], Expr | None]) -> Expr:
    """The expression with every node that `change` answers for replaced; the answers are not searched again."""
    new = change(expr)
    if new is not None:
        return new
    changed: dict[str, Any] = {}
    for field in fields(expr):  # type: ignore[arg-type]
        part = getattr(expr, field.name)
        if isinstance(part, Expr):
            replaced: Any = part if part.is_variable else substitute(part, change)
        elif isinstance(part, tuple) and any(isinstance(p, Expr) for p in part):
            replaced = tuple(substitute(p, change) if isinstance(p, Expr) else p for p in part)
            if all(a is b for a, b in zip(replaced, part)):
                replaced = part
        else:
            continue
        if replaced is not part:
            changed[field.name] = replaced
    return replace(expr, **changed) if changed else expr  # type: ignore[type-var]


def _fold(kind: str, over: Scalar, body: Callable[[Expr], Any], result: Type) -> Expr:
    if not isinstance(over, Scalar):
        raise DefinitionError(f"{kind} runs over an index type, not over {over!r}")
    param = Param(over_name(over), over)
    inner = lift(body(param))
    # Nested folds over one type need distinct bound names: the outer gets a prime per fold of that name inside.
    while any(isinstance(e, Fold) and e.param.name == param.name for e in inner.walk()):
        param = Param(param.name + "_", over)
        inner = lift(body(param))
    if kind != "sum":
        boolean(inner, kind)
    return Fold(kind, param, inner, result)
