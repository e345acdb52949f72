"""What is known of an expression without looking at a state: its constants folded, and whether it may be an error."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from .combine import substitute
from .expr import FALSE, TRUE, Cell, Expr, Field, Fold, IfElse, Item, Length, Literal, MakeRecord, Me, Not, OneOf, Op, Param, Unwrap
from .operators import NUMERIC, bounds_of
from .types import BOOL, Array, Type, Value

_OPERATORS: dict[str, Callable[[Any, Any], Value]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "+": operator.add, "-": operator.sub, "*": operator.mul,
}  # fmt: skip


def folded(expr: Expr) -> Expr:
    """An expression of the same value, in which operators, conditions and membership of constants are decided.

    What is decided by its left side drops its right side, errors of it included, as evaluating it does. True and false are TRUE and FALSE
    themselves.
    """

    def change(part: Expr) -> Expr | None:
        if isinstance(part, Op):
            return _op(part)
        if isinstance(part, Not):
            base = folded(part.base)
            return _truth(not base.const) if isinstance(base, Literal) else Not(base)
        if isinstance(part, OneOf):
            base = folded(part.base)
            return _truth(base.const in [o.const for o in part.options]) if isinstance(base, Literal) else OneOf(base, part.options)
        if isinstance(part, IfElse):
            condition = folded(part.condition)
            if isinstance(condition, Literal):
                return folded(part.then if condition.const else part.other)
            return IfElse(condition, folded(part.then), folded(part.other), part.type)
        if isinstance(part, Unwrap):
            base = folded(part.base)
            return Literal(base.const, part.type) if isinstance(base, Literal) and base.const is not None else Unwrap(base, part.type)
        if isinstance(part, Literal) and part.type == BOOL:
            return _truth(bool(part.const))
        return None

    return substitute(expr, change)


def _op(expr: Op) -> Expr:
    left = folded(expr.left)
    if expr.kind in ("and", "or"):
        if isinstance(left, Literal):
            return folded(expr.right) if bool(left.const) == (expr.kind == "and") else left
        right = folded(expr.right)
        neutral = TRUE if expr.kind == "and" else FALSE
        return left if right is neutral else Op(expr.kind, left, right, BOOL)
    right = folded(expr.right)
    if isinstance(left, Literal) and isinstance(right, Literal):
        value = _OPERATORS[expr.kind](left.const, right.const)
        return _truth(bool(value)) if expr.type == BOOL else Literal(value, expr.type)
    return Op(expr.kind, left, right, expr.type)


def _truth(value: bool) -> Expr:
    return TRUE if value else FALSE


def is_total(expr: Expr) -> bool:
    """Whether evaluating it is an error in no state; False where that is not seen at once."""
    if isinstance(expr, Cell):
        return all(map(_fits, expr.indices, expr.variable.over))
    if isinstance(expr, Item):
        return isinstance(expr.base.type, Array) and is_total(expr.base) and all(map(_fits, expr.indices, expr.base.type.dims))
    if isinstance(expr, MakeRecord):
        return all(_fits(part, kind) for part, (_, kind) in zip(expr.parts, expr.type.fields))
    known = (Literal, Me, Param, Field, Length, Not, Op, OneOf, IfElse, Fold)
    return isinstance(expr, known) and all(map(is_total, expr.children()))


def _fits(index: Expr, dim: Type) -> bool:
    """Whether an index, or a part of a record, lies in its type, whatever its value."""
    if isinstance(index.type, NUMERIC):
        return is_total(index) and all(dim.contains(n) for n in bounds_of(index))
    return is_total(index) and index.type == dim
