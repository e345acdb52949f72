"""Expressions: the inspectable tree behind every guard, effect and property.

The file's one rule: a guard is data, never a Python function. The interpreter, the checker's tables, the exports, the
diagrams, the read and write sets and the lint all walk this tree. Python's own operators build it; `and`, `or`, `not`,
`if` on an expression cannot, so they raise and name the operator to use. `&` and `|` short-circuit from left to right:
what stands on the right is not evaluated, hence cannot fail, when the left decides.

Types are checked while the tree is built: booleans and integers are distinct, members of different enums never compare,
symmetric indices are neither ordered nor added to, and a constant outside the other side's type is an error.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableSet
from dataclasses import dataclass, fields
from enum import IntEnum
from functools import cache
from typing import TYPE_CHECKING, Any, dataclass_transform

from .errors import DefinitionError
from .types import BOOL, Array, Enum, Index, Optional, Range, Record, Scalar, Sequence, Type, Value

if TYPE_CHECKING:
    from .effect import Effect
    from .variable import Variable

NUMERIC = (Range, Index)


class Expr:
    """A typed expression over variables, the copy's own indices (`me`) and the row's choices."""

    type: Type
    is_variable = False

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
        return Not(boolean(self, "~"))

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
        return Item(base, indices_of(base, base.type.dims, index), base.type.element)

    def __getattr__(self, name: str) -> Expr:
        # Reached only for names that are no method: a field of a record.
        if name.startswith("_") or name == "type":
            raise AttributeError(name)
        base = lift(self)
        if not isinstance(base.type, Record):
            raise AttributeError(f"`{base}` of type {base.type} has no attribute {name!r}")
        position = base.type.position(name)
        return Field(base, position, base.type.fields[position][1])

    # -- reading -----------------------------------------------------------------------------------------------------

    def is_in(self, *values: Any) -> Expr:
        """Whether the value is one of these constants."""
        base = lift(self)
        return OneOf(base, tuple(constant(v, base.type) for v in values))

    @property
    def length(self) -> Expr:
        """Number of elements of a sequence or FIFO."""
        return Length(_sequence(self, "length"))

    @property
    def empty(self) -> Expr:
        """Whether a sequence or FIFO has no element."""
        return self.length == 0

    @property
    def full(self) -> Expr:
        """Whether a sequence or FIFO is at capacity."""
        base = _sequence(self, "full")
        assert isinstance(base.type, Sequence)
        return Length(base) == base.type.capacity

    @property
    def head(self) -> Expr:
        """First element; of an empty sequence a range error."""
        return self.at(0)

    def at(self, position: Any) -> Expr:
        """Element at that position; past the end a range error."""
        base = _sequence(self, "at")
        assert isinstance(base.type, Sequence)
        return At(base, number(position, "at"), base.type.element)

    def has(self, value: Any) -> Expr:
        """Whether a sequence holds the value."""
        base = _sequence(self, "has")
        assert isinstance(base.type, Sequence)
        return Has(base, coerce(value, base.type.element))

    def index_of(self, value: Any) -> Expr:
        """Position of the first equal element; a range error when there is none."""
        base = _sequence(self, "index_of")
        assert isinstance(base.type, Sequence)
        return IndexOf(base, coerce(value, base.type.element), Range(0, base.type.capacity - 1))

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
        return Unwrap(base, base.type.inner)

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

    # -- structure ---------------------------------------------------------------------------------------------------

    def children(self) -> Iterator[Expr]:
        """The direct sub-expressions, in reading order."""
        for name in _parts(type(self)):  # type: ignore[arg-type]
            part = getattr(self, name)
            if isinstance(part, Expr):
                if not part.is_variable:
                    yield part
            elif isinstance(part, tuple):
                yield from (p for p in part if isinstance(p, Expr))

    def walk(self) -> Iterator[Expr]:
        """This expression and everything below it."""
        yield self
        for child in self.children():
            yield from child.walk()

    def nodes(self, known: MutableSet[int] | None = None) -> Iterator[Expr]:
        """As `walk`, but every node once, however often it is shared; those in `known` (by identity) and what is below them left out."""
        seen: MutableSet[int] = set() if known is None else known
        waiting: list[Expr] = [self]
        while waiting:
            node = waiting.pop()
            if id(node) not in seen:
                seen.add(id(node))
                yield node
                waiting += reversed(list(node.children()))


@cache
def _parts(cls: Any) -> tuple[str, ...]:
    """The names of a node's fields."""
    return tuple(field.name for field in fields(cls))


@dataclass_transform(eq_default=False, frozen_default=True)
def _node(cls: type) -> type:
    """A frozen expression node; equality stays an expression, so identity is what hashes."""
    return dataclass(frozen=True, eq=False, repr=False)(cls)


@_node
class Literal(Expr):
    """A constant."""

    const: Value
    type: Type

    def __str__(self) -> str:
        return self.type.show(self.const)


@_node
class Me(Expr):
    """The copy's own value of an index type its machine has copies over."""

    type: Index

    def __str__(self) -> str:
        return self.type.name


@_node
class Param(Expr):
    """A value that a row chooses, or the bound variable of a fold or of `each`."""

    name: str
    type: Type

    def __str__(self) -> str:
        return self.name


@_node
class Cell(Expr):
    """One cell of a shared variable: the unit that a medium's rule counts."""

    variable: Variable
    indices: tuple[Expr, ...]
    type: Type

    def __str__(self) -> str:
        where = f"[{', '.join(map(str, self.indices))}]" if self.indices else ""
        return f"{self.variable.name}{where}"


@_node
class Item(Expr):
    """An element of an array value."""

    base: Expr
    indices: tuple[Expr, ...]
    type: Type

    def __str__(self) -> str:
        return f"{self.base}[{', '.join(map(str, self.indices))}]"


@_node
class Field(Expr):
    """A field of a record value."""

    base: Expr
    position: int
    type: Type

    def __str__(self) -> str:
        assert isinstance(self.base.type, Record)
        return f"{self.base}.{self.base.type.fields[self.position][0]}"


@_node
class At(Expr):
    """An element of a sequence."""

    base: Expr
    position: Expr
    type: Type

    def __str__(self) -> str:
        return f"{self.base}.head" if str(self.position) == "0" else f"{self.base}.at({self.position})"


@_node
class Length(Expr):
    """Number of elements of a sequence."""

    base: Expr

    @property
    def type(self) -> Range:  # type: ignore[override]
        assert isinstance(self.base.type, Sequence)
        return Range(0, self.base.type.capacity)

    def __str__(self) -> str:
        return f"len({self.base})"


@_node
class Has(Expr):
    """Whether a sequence holds a value."""

    base: Expr
    element: Expr
    type = BOOL

    def __str__(self) -> str:
        return f"{self.element} in {self.base}"


@_node
class IndexOf(Expr):
    """Position of the first equal element of a sequence."""

    base: Expr
    element: Expr
    type: Range

    def __str__(self) -> str:
        return f"{self.base}.index_of({self.element})"


@_node
class Unwrap(Expr):
    """The value of an optional that is not None."""

    base: Expr
    type: Type

    def __str__(self) -> str:
        return f"{self.base}"


@_node
class Not(Expr):
    """Negation."""

    base: Expr
    type = BOOL

    def __str__(self) -> str:
        return f"not {_wrapped(self.base)}"


@_node
class Op(Expr):
    """A binary operator: and or == != < <= > >= + - *."""

    kind: str
    left: Expr
    right: Expr
    type: Type

    def __str__(self) -> str:
        def side(e: Expr) -> str:
            if self.kind in ("and", "or") and isinstance(e, Op) and e.kind == self.kind:
                return str(e)
            return _wrapped(e)

        return f"{side(self.left)} {self.kind} {side(self.right)}"


@_node
class OneOf(Expr):
    """Whether a scalar is one of several constants."""

    base: Expr
    options: tuple[Literal, ...]
    type = BOOL

    def __str__(self) -> str:
        if len(self.options) == 1:
            return f"{self.base} == {self.options[0]}"
        return f"{self.base} in {{{', '.join(map(str, self.options))}}}"


@_node
class IfElse(Expr):
    """One of two values of one type; only the chosen side is evaluated."""

    condition: Expr
    then: Expr
    other: Expr
    type: Type

    def __str__(self) -> str:
        return f"({self.then} if {self.condition} else {self.other})"


@_node
class Fold(Expr):
    """count, any, all or sum of an expression over every value of an index type; `any` and `all` short-circuit."""

    kind: str
    param: Param
    body: Expr
    type: Type

    def __str__(self) -> str:
        return f"{self.kind}({self.body} for {self.param} in {self.param.type})"


@_node
class MakeRecord(Expr):
    """A record from the values of its fields."""

    type: Record
    parts: tuple[Expr, ...]

    def __str__(self) -> str:
        return f"{self.type.name}({', '.join(f'{n}={p}' for (n, _), p in zip(self.type.fields, self.parts))})"


@_node
class Edited(Expr):
    """A sequence after one built-in operation: push, push_front, pop, pop_back, remove, remove_at or clear."""

    operation: str
    base: Expr
    arguments: tuple[Expr, ...]

    @property
    def type(self) -> Type:  # type: ignore[override]
        return self.base.type

    def __str__(self) -> str:
        return f"{self.base}.{self.operation}({', '.join(map(str, self.arguments))})"


@_node
class Passed(Expr):
    """Whether the barrier at which this copy has arrived let it pass; lowered away by the system."""

    barrier: Cell
    type = BOOL

    def __str__(self) -> str:
        return f"passed({self.barrier})"


TRUE = Literal(True, BOOL)
FALSE = Literal(False, BOOL)


# -- building --------------------------------------------------------------------------------------------------------


def lift(value: Any, like: Type | None = None) -> Expr:
    """The value as an expression; `like` is the type that a bare constant should have."""
    if isinstance(value, Expr):
        return value.cell() if value.is_variable else value  # type: ignore[operator]
    if like is not None:
        return constant(value, like)
    if isinstance(value, IntEnum):
        return Literal(value, Enum(type(value)))
    if isinstance(value, bool):
        return TRUE if value else FALSE
    if isinstance(value, int):
        return Literal(value, Range(value, value))
    raise DefinitionError(f"{value!r} is neither an expression nor a constant of this language")


def constant(value: Any, of: Type) -> Literal:
    """A literal of that type; a DefinitionError when the constant lies outside it or names a symmetric copy."""
    inner = of.inner if isinstance(of, Optional) else of
    if isinstance(inner, Index) and inner.symmetric and value is not None:
        raise DefinitionError(f"{value!r}: the symmetric index {inner} has no named values; make it ordered")
    if not of.contains(value):
        raise DefinitionError(f"the constant {value!r} lies outside its type {of}; widen the type or mend the constant")
    return Literal(value, of)


def coerce(value: Any, target: Type) -> Expr:
    """The value as an expression that may be stored into `target` (its range is checked when it is stored)."""
    if not isinstance(value, Expr):
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
    if isinstance(expr, Literal) and isinstance(target, Scalar) and not target.contains(expr.const):
        raise DefinitionError(f"the constant {expr} lies outside its type {target}; widen the type or mend the constant")
    return expr


# -- type rules ------------------------------------------------------------------------------------------------------


def is_symmetric(of: Type) -> bool:
    return isinstance(of, Index) and of.symmetric


def _wrapped(expr: Expr) -> str:
    return f"({expr})" if isinstance(expr, Op) and expr.kind not in ("*",) else str(expr)


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
        return b if a is TRUE else a if b is TRUE else Op("and", a, b, BOOL)
    return Op("or", a, b, BOOL)


def _equality(kind: str, left: Any, right: Any) -> Expr:
    a = lift(left)
    b = lift(right, like=a.type) if not isinstance(right, Expr) else lift(right)
    source, goal = (e.type.inner if isinstance(e.type, Optional) else e.type for e in (a, b))
    numbers = isinstance(source, NUMERIC) and isinstance(goal, NUMERIC)
    if source != goal and not (numbers and not is_symmetric(source) and not is_symmetric(goal)):
        raise DefinitionError(f"`{a}` is {a.type} and `{b}` is {b.type}: they never compare; give both one type")
    return Op(kind, a, b, BOOL)


def _order(kind: str, left: Any, right: Any) -> Expr:
    a, b = number(left, kind), number(right, kind)
    return Op(kind, a, b, BOOL)


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
    return Op(kind, a, b, Range(low, high))


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
    return store(base, Edited(operation, base, given), operation)
