"""Expressions as Promela text: the part of the export that knows types and operators.

Scalars are stored by their natural values (an enum member by its number, None as a number that nothing else uses). A
structured variable becomes one global array per scalar leaf; a sequence is its length and its cells, those past the end
at their default, so that equal sequences are equal states.

The one rule: beside every value stands the condition under which it can be evaluated at all (`ok`), because a range error
is a violation without a successor, not a crash of the tool. What a constant decides is decided here, so texts stay short.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..errors import DefinitionError
from ..expr import At, Cell, Edited, Expr, Field, Fold, Has, IfElse, IndexOf, Item, Length, Literal, MakeRecord, Me, Not, OneOf, Op, Param, Unwrap
from ..types import Array, Boolean, Enum, Index, Optional, Range, Record, Scalar, Sequence, Type, Value

Text = int | str
"""A constant, or Promela text in parentheses."""

Bindings = dict[Any, Value]
NONE = -32768
OPERATORS = {"==": "==", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">=", "+": "+", "-": "-", "*": "*"}


def both(left: Text, right: Text) -> Text:
    """Conjunction, evaluated from left to right."""
    if left == 0 or right == 1:
        return left
    return right if left == 1 else 0 if right == 0 else f"({left} && {right})"


def either(left: Text, right: Text) -> Text:
    """Disjunction, evaluated from left to right."""
    if left == 1 or right == 0:
        return left
    return right if left == 0 else 1 if right == 1 else f"({left} || {right})"


def negated(text: Text) -> Text:
    """Negation of a truth value."""
    return 1 - text if isinstance(text, int) else f"(!{text})"


def choose(condition: Text, then: Text, other: Text) -> Text:
    """One of two; only the chosen side is evaluated."""
    if isinstance(condition, int):
        return then if condition else other
    return then if then == other else f"({condition} -> {then} : {other})"


def operate(kind: str, left: Text, right: Text) -> Text:
    """Comparison or arithmetic."""
    if isinstance(left, int) and isinstance(right, int):
        results = {"==": left == right, "!=": left != right, "<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}
        return int(results[kind]) if kind in results else {"+": left + right, "-": left - right, "*": left * right}[kind]
    if (kind in "+-" and right == 0) or (kind == "*" and right == 1):
        return left
    if (kind == "+" and left == 0) or (kind == "*" and left == 1):
        return right
    return f"({left} {kind} {right})"


def natural(value: Value) -> int:
    """The number that stands for a scalar value."""
    return NONE if value is None else int(value)


def bounds(of: Type) -> tuple[int, int]:
    """Least and greatest number of the values of a scalar type, None apart."""
    if isinstance(of, Optional):
        return bounds(of.inner)
    if isinstance(of, Range):
        return of.low, of.high
    assert isinstance(of, (Boolean, Enum, Index))
    return 0, of.size - 1


def inside(text: Text, source: Type, target: Scalar) -> Text:
    """Whether a scalar of one type is a value of another."""
    low, high = bounds(target)
    if isinstance(text, int):
        return int(isinstance(target, Optional) if text == NONE else low <= text <= high)
    least, greatest = bounds(source)
    fits = both(1 if low <= least else f"({text} >= {low})", 1 if greatest <= high else f"({text} <= {high})")
    if isinstance(source, Optional):
        missing = operate("==", text, NONE)
        return either(missing, fits) if isinstance(target, Optional) else both(negated(missing), fits)
    return fits


def ordinal(text: Text, of: Scalar) -> Text:
    """The number 0 .. size - 1 of a value."""
    if isinstance(of, Optional):
        return choose(operate("==", text, NONE), 0, operate("-", text, bounds(of)[0] - 1))
    return operate("-", text, bounds(of)[0])


class View:
    """A value of any type, looked at part by part."""

    type: Type

    def scalar(self) -> Text:
        """The value of a scalar."""
        raise DefinitionError(f"a {self.type} is no scalar")

    def part(self, place: int) -> View:
        """Field, array element or sequence cell with that position; a cell past the end is its type's default."""
        raise DefinitionError(f"a {self.type} has no parts")

    def length(self) -> Text:
        """Number of elements of a sequence."""
        raise DefinitionError(f"a {self.type} has no length")

    def at(self, place: Text, count: int) -> View:
        """The part at a position that may be computed, one of `count`."""
        if isinstance(place, int):
            return self.part(place)
        picked = self.part(count - 1)
        for k in reversed(range(count - 1)):
            picked = Chosen(picked.type, operate("==", place, k), self.part(k), picked)
        return picked

    def part_type(self, place: int) -> Type:
        """The type of a part."""
        if isinstance(self.type, Record):
            return self.type.fields[place][1]
        assert isinstance(self.type, (Array, Sequence))
        return self.type.element


@dataclass(frozen=True)
class Stored(View):
    """A part of a variable: element `index` of the `count` that its leaf arrays have so far."""

    type: Type
    name: str
    index: Text = 0
    count: int = 1

    def scalar(self) -> Text:
        if self.count == 1:
            return self.name
        if self.indexes_itself():
            shown: Text = f"{self.name}[{self.count - 1}]"
            for k in reversed(range(self.count - 1)):
                shown = choose(operate("==", self.index, k), f"{self.name}[{k}]", shown)
            return shown
        return f"{self.name}[{self.index}]"

    def indexes_itself(self) -> bool:
        """Whether the index is read from the same array, which SPIN refuses."""
        return isinstance(self.index, str) and self.name in re.findall(r"\w+", self.index)

    def part(self, place: int) -> View:
        return self.at(place, 0)

    def length(self) -> Text:
        return self.length_place().scalar()

    def length_place(self) -> Stored:
        """Where the length of a sequence is kept; no field can have that name."""
        assert isinstance(self.type, Sequence)
        return Stored(Range(0, self.type.capacity), f"{self.name}__0len", self.index, self.count)

    def at(self, place: Text, count: int) -> Stored:
        if isinstance(self.type, Record):
            assert isinstance(place, int)
            name, kind = self.type.fields[place]
            return Stored(kind, f"{self.name}__{name}", self.index, self.count)
        assert isinstance(self.type, (Array, Sequence))
        size = self.type.length if isinstance(self.type, Array) else self.type.capacity
        if place == size:
            raise DefinitionError(f"{self.name} has {size} parts")
        return Stored(self.type.element, self.name, operate("+", operate("*", self.index, size), place), self.count * size)


@dataclass(frozen=True)
class Constant(View):
    """A Python value."""

    type: Type
    value: Value

    def scalar(self) -> Text:
        return natural(self.value)

    def part(self, place: int) -> View:
        kind = self.part_type(place)
        return Constant(kind, self.value[place] if place < len(self.value) else kind.default())

    def length(self) -> Text:
        return len(self.value)


@dataclass(frozen=True)
class Atom(View):
    """A scalar that was computed."""

    type: Type
    text: Text

    def scalar(self) -> Text:
        return self.text


@dataclass(frozen=True)
class Made(View):
    """A record put together."""

    type: Type
    parts: tuple[View, ...]

    def part(self, place: int) -> View:
        return self.parts[place]


@dataclass(frozen=True)
class Chosen(View):
    """One of two values."""

    type: Type
    condition: Text
    then: View
    other: View

    def scalar(self) -> Text:
        return choose(self.condition, self.then.scalar(), self.other.scalar())

    def part(self, place: int) -> View:
        return Chosen(self.part_type(place), self.condition, self.then.part(place), self.other.part(place))

    def length(self) -> Text:
        return choose(self.condition, self.then.length(), self.other.length())


@dataclass(frozen=True)
class After(View):
    """A sequence after one operation; `position` is where an element goes or vanishes."""

    type: Sequence
    base: View
    operation: str
    position: Text
    element: View | None

    def length(self) -> Text:
        if self.operation == "clear":
            return 0
        return operate("+" if self.element is not None else "-", self.base.length(), 1)

    def part(self, place: int) -> View:
        kind, last = self.type.element, self.type.capacity - 1
        default = Constant(kind, kind.default())
        if self.operation == "clear":
            return default
        same = self.base.part(place)
        if self.element is not None:
            before = self.base.part(place - 1) if place > 0 else default
            moved: View = same if self.operation == "push" else before
            return Chosen(kind, operate("==", place, self.position), self.element, moved)
        following = self.base.part(place + 1) if place < last else default
        return Chosen(kind, operate("<", place, self.position), same, following)


def variable_name(name: str) -> str:
    """The global's name: prefixed, because words of Promela and of C are no identifiers."""
    return "v_" + name.replace(".", "__")


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
