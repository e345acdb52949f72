"""Writing expressions: Python's operators, and the type rules that hold while they build the tree.

An author writes `count[rank] + 1 == limit`; each operator checks the types of its sides and makes one node of `expr.py`. The file's one
rule: a wrong expression is an error where it is written. Booleans and integers are distinct, members of different enums never compare,
symmetric indices are neither ordered nor added to, and a constant outside the other side's type is an error. Python's `and`, `or`,
`not` and `if` cannot build a tree, so they raise and name the operator to use.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any

from . import expr as tree  # nodes have operators, and operators make nodes: they are looked up when one is made
from .errors import DefinitionError
from .types import BOOL, Array, Enum, Index, Optional, Range, Record, Scalar, Sequence, Type

if TYPE_CHECKING:
    from .effect import Effect
    from .expr import Expr

NUMERIC = (Range, Index)


class Operators:
    """What an author may do with any expression: Python's operators, its parts, and effects on the place that it names."""

    # -- Python's operators ------------------------------------------------------------------------------------------

    def __bool__(self) -> bool:
        raise DefinitionError(
            f"`{self}` has no truth value in Python: write & for and, | for or, ~ for not, if_else(c, a, b) for if, and one comparison at a time"
        )

    __hash__ = object.__hash__

    def __and__(self, other: Any) -> Expr:
        return _logic("and", self, other)

    def __rand__(self, other: Any) -> Expr:
        return _logic("and", other, self)

    def __or__(self, other: Any) -> Expr:
        return _logic("or", self, other)

    def __ror__(self, other: Any) -> Expr:
        return _logic("or", other, self)

    def __invert__(self) -> Expr:
        return tree.Not(boolean(self, "~"))

    def __eq__(self, other: Any) -> Expr:  # type: ignore[override]
        return _equality("==", self, other)

    def __ne__(self, other: Any) -> Expr:  # type: ignore[override]
        return _equality("!=", self, other)

    def __lt__(self, other: Any) -> Expr:
        return _order("<", self, other)

    def __le__(self, other: Any) -> Expr:
        return _order("<=", self, other)

    def __gt__(self, other: Any) -> Expr:
        return _order(">", self, other)

    def __ge__(self, other: Any) -> Expr:
        return _order(">=", self, other)

    def __add__(self, other: Any) -> Expr:
        return _arithmetic("+", self, other)

    def __radd__(self, other: Any) -> Expr:
        return _arithmetic("+", other, self)

    def __sub__(self, other: Any) -> Expr:
        return _arithmetic("-", self, other)

    def __rsub__(self, other: Any) -> Expr:
        return _arithmetic("-", other, self)

    def __mul__(self, other: Any) -> Expr:
        return _arithmetic("*", self, other)

    __rmul__ = __mul__

    def __getitem__(self, index: Any) -> Expr:
        base = lift(self)
        if not isinstance(base.type, Array):
            raise DefinitionError(f"`{base}` is not an array and cannot be indexed")
        return tree.Item(base, indices_of(base, base.type.dims, index), base.type.element)

    def __getattr__(self, name: str) -> Expr:
        # Reached only for names that are no method: a field of a record.
        if name.startswith("_") or name == "type":
            raise AttributeError(name)
        base = lift(self)
        if not isinstance(base.type, Record):
            raise AttributeError(f"`{base}` of type {base.type} has no attribute {name!r}")
        position = base.type.position(name)
        return tree.Field(base, position, base.type.fields[position][1])

    # -- reading -----------------------------------------------------------------------------------------------------

    def is_in(self, *values: Any) -> Expr:
        """Whether the value is one of these constants."""
        base = lift(self)
        return tree.OneOf(base, tuple(constant(v, base.type) for v in values))

    @property
    def length(self) -> Expr:
        """Number of elements of a sequence or FIFO."""
        return tree.Length(_sequence(self, "length"))

    @property
    def empty(self) -> Expr:
        """Whether a sequence or FIFO has no element."""
        return self.length == 0

    @property
    def full(self) -> Expr:
        """Whether a sequence or FIFO is at capacity."""
        base = _sequence(self, "full")
        assert isinstance(base.type, Sequence)
        return tree.Length(base) == base.type.capacity

    @property
    def head(self) -> Expr:
        """First element; of an empty sequence a range error."""
        return self.at(0)

    def at(self, position: Any) -> Expr:
        """Element at that position; past the end a range error."""
        base = _sequence(self, "at")
        assert isinstance(base.type, Sequence)
        return tree.At(base, number(position, "at"), base.type.element)

    def has(self, value: Any) -> Expr:
        """Whether a sequence holds the value."""
        base = _sequence(self, "has")
        assert isinstance(base.type, Sequence)
        return tree.Has(base, coerce(value, base.type.element))

    def index_of(self, value: Any) -> Expr:
        """Position of the first equal element; a range error when there is none."""
        base = _sequence(self, "index_of")
        assert isinstance(base.type, Sequence)
        return tree.IndexOf(base, coerce(value, base.type.element), Range(0, base.type.capacity - 1))

    @property
    def is_none(self) -> Expr:
        """Whether an optional value is None."""
        return lift(self) == None  # noqa: E711 - builds an expression

    @property
    def value(self) -> Expr:
        """The value of an optional; None is a range error."""
        base = lift(self)
        if not isinstance(base.type, Optional):
            raise DefinitionError(f"`{base}` is of type {base.type}, not optional: use it as it is")
        return tree.Unwrap(base, base.type.inner)

    # -- effects -----------------------------------------------------------------------------------------------------

    def set(self, value: Any) -> Effect:
        """Store a value."""
        from .effect import store

        return store(self, value)

    def add(self, amount: Any) -> Effect:
        """Store the value plus an amount; leaving the type is a range error."""
        return self.set(lift(self) + amount)

    def sub(self, amount: Any) -> Effect:
        """Store the value minus an amount; leaving the type is a range error."""
        return self.set(lift(self) - amount)

    def push(self, value: Any) -> Effect:
        """Append at the end; past the capacity a range error."""
        return _edit(self, "push", value)

    def push_front(self, value: Any) -> Effect:
        """Insert before the head; past the capacity a range error."""
        return _edit(self, "push_front", value)

    def pop(self) -> Effect:
        """Drop the head; of an empty sequence a range error."""
        return _edit(self, "pop")

    def pop_back(self) -> Effect:
        """Drop the last element; of an empty sequence a range error."""
        return _edit(self, "pop_back")

    def remove(self, value: Any) -> Effect:
        """Drop the first equal element; a range error when there is none."""
        return _edit(self, "remove", value)

    def remove_at(self, position: Any) -> Effect:
        """Drop the element at that position; past the end a range error."""
        return _edit(self, "remove_at", position)

    def clear(self) -> Effect:
        """Drop every element."""
        return _edit(self, "clear")

    def send(self, message: Any) -> Effect:
        """Send into a channel: waits, drops or fails when it is full, as the channel says."""
        from .effect import send

        return send(self, message)

    def receive(self, message: Any = None) -> Effect:
        """Receive from a channel: waits while it is empty; a bag names the message that is taken."""
        from .effect import receive

        return receive(self, message)

    def arrive(self) -> Effect:
        """Arrive at a barrier; `passed(barrier)` guards the copy's next row."""
        from .effect import arrive

        return arrive(self)

    def break_open(self) -> Effect:
        """Break a barrier for good (environment rows only)."""
        from .effect import break_open

        return break_open(self)


# -- building --------------------------------------------------------------------------------------------------------


def lift(value: Any, like: Type | None = None) -> Expr:
    """The value as an expression; `like` is the type that a bare constant should have."""
    if isinstance(value, tree.Expr):
        return value.cell() if value.is_variable else value  # type: ignore[operator]
    if like is not None:
        return constant(value, like)
    if isinstance(value, IntEnum):
        return tree.Literal(value, Enum(type(value)))
    if isinstance(value, bool):
        return tree.TRUE if value else tree.FALSE
    if isinstance(value, int):
        return tree.Literal(value, Range(value, value))
    raise DefinitionError(f"{value!r} is neither an expression nor a constant of this language")


def constant(value: Any, of: Type) -> tree.Literal:
    """A literal of that type; a DefinitionError when the constant lies outside it or names a symmetric copy."""
    inner = of.inner if isinstance(of, Optional) else of
    if isinstance(inner, Index) and inner.symmetric and value is not None:
        raise DefinitionError(f"{value!r}: the symmetric index {inner} has no named values; make it ordered")
    if not of.contains(value):
        raise DefinitionError(f"the constant {value!r} lies outside its type {of}; widen the type or mend the constant")
    return tree.Literal(value, of)


def coerce(value: Any, target: Type) -> Expr:
    """The value as an expression that may be stored into `target` (its range is checked when it is stored)."""
    if not isinstance(value, tree.Expr):
        return lift(value, like=target)
    expr = lift(value)
    source, goal = expr.type, target
    if isinstance(goal, Optional):
        goal = goal.inner
        if isinstance(source, Optional):
            source = source.inner
    fits = source == goal or (
        isinstance(source, NUMERIC)
        and isinstance(goal, NUMERIC)
        and not is_symmetric(source)
        and not is_symmetric(goal)
        and (isinstance(source, Range) or isinstance(goal, Range))
    )
    if not fits:
        raise DefinitionError(f"`{expr}` is of type {expr.type} and cannot be stored as {target}")
    if isinstance(expr, tree.Literal) and isinstance(target, Scalar) and not target.contains(expr.const):
        raise DefinitionError(f"the constant {expr} lies outside its type {target}; widen the type or mend the constant")
    return expr


# -- type rules ------------------------------------------------------------------------------------------------------


def is_symmetric(of: Type) -> bool:
    return isinstance(of, Index) and of.symmetric


def boolean(value: Any, operator: str) -> Expr:
    expr = lift(value)
    if expr.type != BOOL:
        raise DefinitionError(f"{operator} takes booleans, and `{expr}` is {expr.type}; compare it first")
    return expr


def number(value: Any, operator: str) -> Expr:
    expr = lift(value)
    if not isinstance(expr.type, NUMERIC) or is_symmetric(expr.type):
        raise DefinitionError(f"{operator} takes numbers or ordered indices, and `{expr}` is {expr.type}")
    return expr


def bounds_of(expr: Expr) -> tuple[int, int]:
    if isinstance(expr.type, Range):
        return expr.type.low, expr.type.high
    if isinstance(expr.type, Index):
        return 0, expr.type.size - 1
    raise DefinitionError(f"`{expr}` is {expr.type}, not a number")


def _sequence(value: Any, operator: str) -> Expr:
    expr = lift(value)
    if not isinstance(expr.type, Sequence):
        raise DefinitionError(f"{operator} takes a sequence or FIFO, and `{expr}` is {expr.type}")
    return expr


def _logic(kind: str, left: Any, right: Any) -> Expr:
    a, b = boolean(left, kind), boolean(right, kind)
    if kind == "and":
        return b if a is tree.TRUE else a if b is tree.TRUE else tree.Op("and", a, b, BOOL)
    return tree.Op("or", a, b, BOOL)


def _equality(kind: str, left: Any, right: Any) -> Expr:
    a = lift(left)
    b = lift(right, like=a.type) if not isinstance(right, tree.Expr) else lift(right)
    source, goal = (e.type.inner if isinstance(e.type, Optional) else e.type for e in (a, b))
    numbers = isinstance(source, NUMERIC) and isinstance(goal, NUMERIC)
    if source != goal and not (numbers and not is_symmetric(source) and not is_symmetric(goal)):
        raise DefinitionError(f"`{a}` is {a.type} and `{b}` is {b.type}: they never compare; give both one type")
    return tree.Op(kind, a, b, BOOL)


def _order(kind: str, left: Any, right: Any) -> Expr:
    a, b = number(left, kind), number(right, kind)
    return tree.Op(kind, a, b, BOOL)


def _arithmetic(kind: str, left: Any, right: Any) -> Expr:
    a, b = number(left, kind), number(right, kind)
    (a_low, a_high), (b_low, b_high) = bounds_of(a), bounds_of(b)
    if kind == "+":
        low, high = a_low + b_low, a_high + b_high
    elif kind == "-":
        low, high = a_low - b_high, a_high - b_low
    else:
        corners = [x * y for x in (a_low, a_high) for y in (b_low, b_high)]
        low, high = min(corners), max(corners)
    return tree.Op(kind, a, b, Range(low, high))


def indices_of(base: Any, dims: tuple[Scalar, ...], index: Any) -> tuple[Expr, ...]:
    given = index if isinstance(index, tuple) else (index,)
    if len(given) != len(dims):
        raise DefinitionError(f"`{base}` takes {len(dims)} indices ({', '.join(map(str, dims))}), not {len(given)}")
    return tuple(coerce(value, dim) for value, dim in zip(given, dims))


def _edit(target: Any, operation: str, *arguments: Any) -> Effect:
    from .effect import store

    base = _sequence(target, operation)
    assert isinstance(base.type, Sequence)
    if operation == "remove_at":
        given = tuple(number(a, operation) for a in arguments)
    else:
        given = tuple(coerce(a, base.type.element) for a in arguments)
    return store(base, tree.Edited(operation, base, given), operation)
