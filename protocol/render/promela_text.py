"""Expressions as Promela text: the part of the export that knows operators.

The one rule: beside every value stands the condition under which it can be evaluated at all (`ok`), because a range error
is a violation without a successor, not a crash of the tool.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..expr import At, Cell, Edited, Expr, Field, Fold, Has, IfElse, IndexOf, Item, Length, Literal, MakeRecord, Me, Not, OneOf, Op, Param, Unwrap
from ..types import Array, Record, Scalar, Sequence, Type, Value
from .promela_views import (
    NONE,
    After,
    Atom,
    Chosen,
    Constant,
    Made,
    Stored,
    Text,
    View,
    both,
    bounds,
    choose,
    either,
    inside,
    natural,
    negated,
    operate,
    ordinal,
    variable_name,
)

Bindings = dict[Any, Value]


def view(expr: Expr, bind: Bindings) -> tuple[View, Text]:
    """The value of an expression, and the condition under which it has one."""
    if isinstance(expr, Literal):
        return Constant(expr.type, expr.const), 1
    if isinstance(expr, Me):
        return Constant(expr.type, bind[expr.type]), 1
    if isinstance(expr, Param):
        return Constant(expr.type, bind[expr.name]), 1
    if isinstance(expr, (Cell, Item, Field, At)):
        return _place(expr, bind)
    if isinstance(expr, (Length, Has, IndexOf)):
        return _search(expr, bind)
    if isinstance(expr, Unwrap):
        base, ok = view(expr.base, bind)
        return Atom(expr.type, base.scalar()), both(ok, negated(operate("==", base.scalar(), NONE)))
    if isinstance(expr, IfElse):
        (condition, c_ok), (then, t_ok), (other, o_ok) = scalar(expr.condition, bind), view(expr.then, bind), view(expr.other, bind)
        return Chosen(expr.type, condition, then, other), both(c_ok, choose(condition, t_ok, o_ok))
    if isinstance(expr, MakeRecord):
        return _record(expr, bind)
    if isinstance(expr, Edited):
        return _edited(expr, bind)
    text, ok = _computed(expr, bind)
    return Atom(expr.type, text), ok


def scalar(expr: Expr, bind: Bindings) -> tuple[Text, Text]:
    """The text of a scalar expression, and the condition under which it can be evaluated."""
    if isinstance(expr, (Op, Not, OneOf, Fold)):
        return _computed(expr, bind)
    shown, ok = view(expr, bind)
    return shown.scalar(), ok


def holds(expr: Expr, bind: Bindings) -> Text:
    """Whether a boolean expression can be evaluated and is true."""
    if isinstance(expr, Op) and expr.kind == "and":
        return both(holds(expr.left, bind), holds(expr.right, bind))
    text, ok = scalar(expr, bind)
    return both(ok, text)


def equal(left: View, right: View) -> Text:
    """Whether two values of one shape are equal."""
    if isinstance(left.type, Scalar):
        return operate("==", left.scalar(), right.scalar())
    same: Text = operate("==", left.length(), right.length()) if isinstance(left.type, Sequence) else 1
    for place in range(parts_of(left.type)):
        same = both(same, equal(left.part(place), right.part(place)))
    return same


def parts_of(kind: Type) -> int:
    """How many parts a structured type has."""
    if isinstance(kind, Record):
        return len(kind.fields)
    assert isinstance(kind, (Array, Sequence))
    return kind.length if isinstance(kind, Array) else kind.capacity


def leaves(place: Stored, value: View) -> Iterator[tuple[Stored, Text]]:
    """The scalar stores that storing the value means."""
    if isinstance(place.type, Scalar):
        yield place, value.scalar()
        return
    if isinstance(place.type, Sequence):
        yield place.length_place(), value.length()
    for k in range(parts_of(place.type)):
        yield from leaves(place.at(k, 0), value.part(k))


def _place(expr: Cell | Item | Field | At, bind: Bindings) -> tuple[View, Text]:
    if isinstance(expr, Cell):
        whole = Array(expr.variable.type, *expr.variable.over) if expr.variable.over else expr.variable.type
        stored = Stored(whole, variable_name(expr.variable.name))
        return _element(stored, expr, expr.variable.over, bind) if expr.variable.over else (stored, 1)
    base, ok = view(expr.base, bind)
    if isinstance(expr, Field):
        return base.part(expr.position), ok
    if isinstance(expr, Item):
        assert isinstance(expr.base.type, Array)
        found, fine = _element(base, expr, expr.base.type.dims, bind)
        return found, both(ok, fine)
    position, fine = scalar(expr.position, bind)
    assert isinstance(expr.base.type, Sequence)
    not_before = 1 if bounds(expr.position.type)[0] >= 0 else operate(">=", position, 0)
    ok = both(both(both(ok, fine), not_before), operate("<", position, base.length()))
    if isinstance(position, int) and not 0 <= position < expr.base.type.capacity:
        return Constant(expr.type, expr.type.default()), 0
    return base.at(position, expr.base.type.capacity), ok


def _element(base: View, expr: Cell | Item, dims: tuple[Scalar, ...], bind: Bindings) -> tuple[View, Text]:
    flat: Text = 0
    ok: Text = 1
    count = 1
    for index, dim in zip(expr.indices, dims):
        text, fine = scalar(index, bind)
        ok = both(ok, both(fine, inside(text, index.type, dim)))
        flat = operate("+", operate("*", flat, dim.size), ordinal(text, dim))
        count *= dim.size
    if isinstance(flat, int) and not 0 <= flat < count:
        return Constant(expr.type, expr.type.default()), 0
    return base.at(flat, count), ok


def _search(expr: Length | Has | IndexOf, bind: Bindings) -> tuple[View, Text]:
    base, ok = view(expr.base, bind)
    if isinstance(expr, Length):
        return Atom(expr.type, base.length()), ok
    element, fine = view(expr.element, bind)
    found, position = _found(base, element)
    if isinstance(expr, Has):
        return Atom(expr.type, found), both(fine, ok)
    return Atom(expr.type, position), both(both(ok, fine), found)


def _found(base: View, element: View) -> tuple[Text, Text]:
    """Whether a sequence holds an element, and the first position of it."""
    assert isinstance(base.type, Sequence)
    found: Text = 0
    position: Text = base.type.capacity - 1
    for k in reversed(range(base.type.capacity)):
        here = both(operate("<", k, base.length()), equal(base.part(k), element))
        found, position = either(here, found), choose(here, k, position)
    return found, position


def _record(expr: MakeRecord, bind: Bindings) -> tuple[View, Text]:
    parts, ok = [], 1
    fits: Text = 1
    for part, (_, kind) in zip(expr.parts, expr.type.fields):
        value, fine = view(part, bind)
        ok = both(ok, fine)  # type: ignore[assignment]
        fits = both(fits, inside(value.scalar(), part.type, kind) if isinstance(kind, Scalar) else 1)
        parts.append(value)
    return Made(expr.type, tuple(parts)), both(ok, fits)


def _edited(expr: Edited, bind: Bindings) -> tuple[View, Text]:
    base, ok = view(expr.base, bind)
    kind = expr.type
    assert isinstance(kind, Sequence)
    length, operation = base.length(), expr.operation
    if operation == "clear":
        return After(kind, base, operation, 0, None), ok
    if operation in ("pop", "pop_back"):
        last = operate("-", length, 1)
        return After(kind, base, operation, 0 if operation == "pop" else last, None), both(ok, operate(">", length, 0))
    argument, fine = view(expr.arguments[0], bind)
    ok = both(ok, fine)
    if operation in ("push", "push_front"):
        fits = inside(argument.scalar(), expr.arguments[0].type, kind.element) if isinstance(kind.element, Scalar) else 1
        room = operate("<", length, kind.capacity)
        return After(kind, base, operation, length if operation == "push" else 0, argument), both(both(ok, fits), room)
    if operation == "remove":
        found, position = _found(base, argument)
        return After(kind, base, operation, position, None), both(ok, found)
    position = argument.scalar()
    there = both(operate(">=", position, 0), operate("<", position, length))
    return After(kind, base, operation, position, None), both(ok, there)


def _computed(expr: Expr, bind: Bindings) -> tuple[Text, Text]:
    if isinstance(expr, Not):
        text, ok = scalar(expr.base, bind)
        return negated(text), ok
    if isinstance(expr, OneOf):
        text, ok = scalar(expr.base, bind)
        members = sorted({natural(o.const) for o in expr.options})
        assert isinstance(expr.base.type, Scalar)
        if len(members) == expr.base.type.size:
            return 1, ok
        among: Text = 0
        for member in members:
            among = either(among, operate("==", text, member))
        return among, ok
    if isinstance(expr, Fold):
        domain = expr.param.type
        assert isinstance(domain, Scalar)
        terms = [scalar(expr.body, {**bind, expr.param.name: value}) for value in domain.values()]
        return _folded(expr.kind, terms)
    assert isinstance(expr, Op)
    if expr.kind in ("and", "or"):
        return _folded({"and": "all", "or": "any"}[expr.kind], [scalar(expr.left, bind), scalar(expr.right, bind)])
    (left, l_ok), (right, r_ok) = view(expr.left, bind), view(expr.right, bind)
    if expr.kind in ("==", "!="):
        same = equal(left, right)
        return (same if expr.kind == "==" else negated(same)), both(l_ok, r_ok)
    return operate(expr.kind, left.scalar(), right.scalar()), both(l_ok, r_ok)


def _folded(kind: str, terms: list[tuple[Text, Text]]) -> tuple[Text, Text]:
    """any, all, count or sum of terms; what stands behind the deciding one need not be evaluable."""
    text: Text
    if kind in ("count", "sum"):
        text, ok = 0, 1
        for term, fine in terms:
            text, ok = operate("+", text, term), both(ok, fine)  # type: ignore[assignment]
        return text, ok
    join, go_on = (both, lambda t: t) if kind == "all" else (either, negated)
    text, fine = terms[-1]
    for term, term_fine in reversed(terms[:-1]):
        text, fine = join(term, text), both(term_fine, 1 if fine == 1 else either(negated(go_on(term)), fine))  # type: ignore[operator]
    return text, fine
