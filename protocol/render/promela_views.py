"""Values as Promela text, part by part: the constants, the stored, the computed and the edited.

Scalars are stored by their natural values (an enum member by its number, None as a number that nothing else uses). A
structured variable becomes one global array per scalar leaf; a sequence is its length and its cells, those past the end
at their default, so that equal sequences are equal states. What a constant decides is decided here, so texts stay short.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import DefinitionError
from ..types import Array, Boolean, Enum, Index, Optional, Range, Record, Scalar, Sequence, Type, Value

Text = int | str
"""A constant, or Promela text in parentheses."""

NONE = -32768


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
