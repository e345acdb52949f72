"""Expressions: the inspectable tree behind every guard, effect and property.

The file's one rule: a guard is data, never a Python function. The interpreter, the checker's tables, the exports, the
diagrams, the read and write sets and the lint all walk this tree; authors build it with the operators of `operators.py`. `&` and `|`
short-circuit from left to right: what stands on the right is not evaluated, hence cannot fail, when the left decides.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableSet
from dataclasses import dataclass, fields
from functools import cache
from typing import TYPE_CHECKING, Any, dataclass_transform

from .operators import Operators
from .types import BOOL, Index, Range, Record, Sequence, Type, Value

if TYPE_CHECKING:
    from .variable import Variable


class Expr(Operators):
    """A typed expression over variables, the copy's own indices (`me`) and the row's choices."""

    type: Type
    is_variable = False

    def children(self) -> tuple[Expr, ...]:
        """The direct sub-expressions, in reading order."""
        known: tuple[Expr, ...] | None = self.__dict__.get("_children")
        if known is None:  # a node never changes, and is asked again and again
            known = tuple(self._found_children())
            self.__dict__["_children"] = known
        return known

    def _found_children(self) -> Iterator[Expr]:
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
                waiting += node.children()[::-1]


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


def _wrapped(expr: Expr) -> str:
    return f"({expr})" if isinstance(expr, Op) and expr.kind not in ("*",) else str(expr)
