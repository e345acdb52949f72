"""What the types of an expression tell before it is evaluated: its bounds, whether it fits a type, whether it can fail.

Cautious everywhere: what cannot be told is taken to be out of bounds, and to fail.
"""

from __future__ import annotations

from protocol.expr import At, Cell, Edited, Expr, IfElse, IndexOf, Item, Literal, MakeRecord, Not, Op, Unwrap
from protocol.types import Index, Optional, Range, Type


def span(expr: Expr) -> tuple[int, int] | None:
    """Bounds of a number, as closely as the tree tells; None for what is no number."""
    if isinstance(expr, Literal):
        return (expr.const, expr.const) if type(expr.const) is int else None
    if isinstance(expr, IfElse):
        sides = (span(expr.then), span(expr.other))
        return None if sides[0] is None or sides[1] is None else (min(sides[0][0], sides[1][0]), max(sides[0][1], sides[1][1]))
    if isinstance(expr, Op) and expr.kind in ("+", "-", "*"):
        left, right = span(expr.left), span(expr.right)
        if left is None or right is None:
            return None
        if expr.kind == "+":
            return left[0] + right[0], left[1] + right[1]
        if expr.kind == "-":
            return left[0] - right[1], left[1] - right[0]
        corners = [a * b for a in left for b in right]
        return min(corners), max(corners)
    if isinstance(expr.type, Range):
        return expr.type.low, expr.type.high
    return (0, expr.type.size - 1) if isinstance(expr.type, Index) else None


def fits(expr: Expr, target: Type) -> bool:
    """Whether every value of the expression lies in the type, so far as the tree tells."""
    if isinstance(expr, Literal):
        return target.contains(expr.const)
    if isinstance(expr, IfElse):
        return fits(expr.then, target) and fits(expr.other, target)
    goal = target.inner if isinstance(target, Optional) else target
    bounds = span(expr)
    if bounds is not None and isinstance(goal, (Range, Index)):
        low, high = (goal.low, goal.high) if isinstance(goal, Range) else (0, goal.size - 1)
        return low <= bounds[0] and bounds[1] <= high
    return expr.type == target or (isinstance(target, Optional) and expr.type == goal)


def is_total(expr: Expr, somethings: frozenset[str] = frozenset()) -> bool:
    """Whether evaluating the expression never is a range error. `somethings`: texts of the optional values that are known not to be None."""
    if isinstance(expr, (At, IndexOf, Edited)):
        return False
    if isinstance(expr, Unwrap):
        return str(expr.base) in somethings and is_total(expr.base, somethings)
    if isinstance(expr, (Cell, Item)):
        dims = expr.variable.over if isinstance(expr, Cell) else expr.base.type.dims  # type: ignore[attr-defined]
        if not all(fits(index, dim) for index, dim in zip(expr.indices, dims)):
            return False
    if isinstance(expr, MakeRecord) and not all(fits(part, kind) for part, (_, kind) in zip(expr.parts, expr.type.fields)):
        return False
    if isinstance(expr, Op) and expr.kind == "and":
        return is_total(expr.left, somethings) and is_total(expr.right, somethings | something_in(expr.left))
    return all(is_total(child, somethings) for child in expr.children())


def something_in(condition: Expr) -> frozenset[str]:
    """The optional values that are not None where the condition holds."""
    if isinstance(condition, Op) and condition.kind == "and":
        return something_in(condition.left) | something_in(condition.right)
    base = condition.base if isinstance(condition, Not) else condition
    kind = "==" if isinstance(condition, Not) else "!="
    if isinstance(base, Op) and base.kind == kind and isinstance(base.right, Literal) and base.right.const is None:
        return frozenset([str(base.left)])
    return frozenset()
