"""The types of variables, messages and choices: small, finite, and all of them enumerable.

A *scalar* type has `size` values, numbered 0 .. size - 1 by `ordinal`; the number is what the checker packs and what the
exports print. The *default* of a type is its first value; popped queue cells are reset to it, so that equal queues are
equal bits. Values are plain Python: bool, int, members of an IntEnum, None, tuples (records, arrays, sequences).

This file knows nothing of expressions, variables or machines.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from itertools import product
from typing import Any

from .errors import DefinitionError

Value = Any
"""A Python value of some type: bool, int, IntEnum member, None, or a tuple of values."""


class Type:
    """Base of all types."""

    def contains(self, value: Value) -> bool:
        """Whether the value belongs to this type (a bool is not an int, and an int is not a bool)."""
        raise DefinitionError(f"{type(self).__name__} is not a usable type; use one of its subclasses")

    def default(self) -> Value:
        """The first value: what popped cells are reset to."""
        raise DefinitionError(f"{type(self).__name__} is not a usable type; use one of its subclasses")

    def show(self, value: Value) -> str:
        """The value as text for tables and traces."""
        return str(value)


class Scalar(Type):
    """A type whose values fit one bit field: numbered 0 .. size - 1."""

    size: int

    def value(self, ordinal: int) -> Value:
        """The value with that number."""
        raise DefinitionError(f"{type(self).__name__} is not a usable type; use one of its subclasses")

    def ordinal(self, value: Value) -> int:
        """The number of that value."""
        raise DefinitionError(f"{type(self).__name__} is not a usable type; use one of its subclasses")

    def values(self) -> Iterator[Value]:
        """Every value, in order."""
        return (self.value(k) for k in range(self.size))

    def default(self) -> Value:
        return self.value(0)


@dataclass(frozen=True)
class Boolean(Scalar):
    """False and True; never an integer."""

    size = 2

    def contains(self, value: Value) -> bool:
        return isinstance(value, bool)

    def value(self, ordinal: int) -> bool:
        return bool(ordinal)

    def ordinal(self, value: Value) -> int:
        return int(value)

    def __str__(self) -> str:
        return "bool"


BOOL = Boolean()


@dataclass(frozen=True)
class Range(Scalar):
    """Integers low .. high, both included; may be negative."""

    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise DefinitionError(f"Range({self.low}, {self.high}) is empty; give the lower bound first")

    @property
    def size(self) -> int:  # type: ignore[override]
        return self.high - self.low + 1

    def contains(self, value: Value) -> bool:
        return isinstance(value, int) and not isinstance(value, (bool, IntEnum)) and self.low <= value <= self.high

    def value(self, ordinal: int) -> int:
        return self.low + ordinal

    def ordinal(self, value: Value) -> int:
        return value - self.low

    def __str__(self) -> str:
        return f"{self.low}..{self.high}"


@dataclass(frozen=True)
class Enum(Scalar):
    """The members of an IntEnum whose values are 0, 1, 2 ... in order."""

    cls: type[IntEnum]

    def __post_init__(self) -> None:
        if [int(m) for m in self.cls] != list(range(len(self.cls))):
            raise DefinitionError(f"{self.cls.__name__}: number its members 0, 1, 2 ... in the order they are written")

    @property
    def size(self) -> int:  # type: ignore[override]
        return len(self.cls)

    def contains(self, value: Value) -> bool:
        return isinstance(value, self.cls)

    def value(self, ordinal: int) -> IntEnum:
        return self.cls(ordinal)

    def ordinal(self, value: Value) -> int:
        return int(value)

    def show(self, value: Value) -> str:
        return value.name

    def __str__(self) -> str:
        return self.cls.__name__


@dataclass(frozen=True)
class Index(Scalar):
    """The copies of something, 0 .. size - 1: ranks, slots, requests.

    An *ordered* index may be named (`rank 0 is special`), compared and added to. A *symmetric* one may only be stored,
    compared with ==, used as an index and chosen, so that the checker may permute its copies.
    """

    name: str
    size: int  # type: ignore[misc]
    symmetric: bool = False

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise DefinitionError(f"index {self.name!r}: give it a name that is an identifier")
        if self.size < 1:
            raise DefinitionError(f"index {self.name}: needs at least one copy, not {self.size}")

    def contains(self, value: Value) -> bool:
        return isinstance(value, int) and not isinstance(value, (bool, IntEnum)) and 0 <= value < self.size

    def value(self, ordinal: int) -> int:
        return ordinal

    def ordinal(self, value: Value) -> int:
        return value

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.size))

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Optional(Scalar):
    """None, or a value of a scalar type."""

    inner: Scalar

    def __post_init__(self) -> None:
        if not isinstance(self.inner, Scalar) or isinstance(self.inner, Optional):
            raise DefinitionError(f"Optional({self.inner}): takes a scalar type; put a bool beside a larger value instead")

    @property
    def size(self) -> int:  # type: ignore[override]
        return self.inner.size + 1

    def contains(self, value: Value) -> bool:
        return value is None or self.inner.contains(value)

    def value(self, ordinal: int) -> Value:
        return None if ordinal == 0 else self.inner.value(ordinal - 1)

    def ordinal(self, value: Value) -> int:
        return 0 if value is None else 1 + self.inner.ordinal(value)

    def show(self, value: Value) -> str:
        return "-" if value is None else self.inner.show(value)

    def __str__(self) -> str:
        return f"{self.inner}?"


@dataclass(frozen=True)
class Record(Type):
    """Named fields. Call it to make a value or an expression: `Task(request=1, last=False)`."""

    name: str
    fields: tuple[tuple[str, Type], ...]

    def __init__(self, _name: str, **fields: Type):
        object.__setattr__(self, "name", _name)
        object.__setattr__(self, "fields", tuple(fields.items()))
        if not fields:
            raise DefinitionError(f"record {_name}: needs at least one field")

    def position(self, field: str) -> int:
        """Where the field stands; a DefinitionError that lists the fields when there is none of that name."""
        for k, (name, _) in enumerate(self.fields):
            if name == field:
                return k
        raise DefinitionError(f"record {self.name} has no field {field!r}; it has {', '.join(n for n, _ in self.fields)}")

    def contains(self, value: Value) -> bool:
        return isinstance(value, tuple) and len(value) == len(self.fields) and all(t.contains(v) for (_, t), v in zip(self.fields, value))

    def default(self) -> Value:
        return tuple(t.default() for _, t in self.fields)

    def show(self, value: Value) -> str:
        return "(" + ", ".join(f"{n}={t.show(v)}" for (n, t), v in zip(self.fields, value)) + ")"

    def __call__(self, **values: Any) -> Any:
        from .combine import make_record  # a record literal is an expression; expr imports this file

        return make_record(self, values)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Array(Type):
    """One element per value of the index types; stored as a flat tuple in the order of their product."""

    element: Type
    dims: tuple[Scalar, ...]

    def __init__(self, element: Type, *dims: Scalar):
        object.__setattr__(self, "element", element)
        object.__setattr__(self, "dims", tuple(dims))
        if not dims or not all(isinstance(d, Scalar) for d in dims):
            raise DefinitionError("Array(element, index, ...): give at least one index type")

    @property
    def length(self) -> int:
        """How many elements there are."""
        return product_size(self.dims)

    def contains(self, value: Value) -> bool:
        return isinstance(value, tuple) and len(value) == self.length and all(self.element.contains(v) for v in value)

    def default(self) -> Value:
        return (self.element.default(),) * self.length

    def show(self, value: Value) -> str:
        return "[" + " ".join(self.element.show(v) for v in value) + "]"

    def __str__(self) -> str:
        return f"{self.element}[{', '.join(map(str, self.dims))}]"


def SetOf(*dims: Scalar) -> Array:
    """A set over one or several index types: an array of bool. `s[i]` asks, `s[i].set(True)` includes."""
    return Array(BOOL, *dims)


@dataclass(frozen=True)
class Sequence(Type):
    """A queue or list of up to `capacity` elements."""

    element: Type
    capacity: int

    def __post_init__(self) -> None:
        if self.capacity < 1:
            raise DefinitionError(f"Sequence capacity must be at least 1, not {self.capacity}")

    def contains(self, value: Value) -> bool:
        return isinstance(value, tuple) and len(value) <= self.capacity and all(self.element.contains(v) for v in value)

    def default(self) -> Value:
        return ()

    def show(self, value: Value) -> str:
        return "<" + " ".join(self.element.show(v) for v in value) + ">"

    def __str__(self) -> str:
        return f"sequence of {self.element} (at most {self.capacity})"


def product_size(dims: tuple[Scalar, ...]) -> int:
    """The number of value combinations of these index types; 1 for none."""
    size = 1
    for dim in dims:
        size *= dim.size
    return size


def flat_index(dims: tuple[Scalar, ...], values: tuple[Value, ...]) -> int:
    """The position of these index values in the order of the product (last index fastest)."""
    position = 0
    for dim, value in zip(dims, values):
        position = position * dim.size + dim.ordinal(value)
    return position


def all_values(dims: tuple[Scalar, ...]) -> Iterator[tuple[Value, ...]]:
    """Every combination of index values, in the order of `flat_index`."""
    return product(*(tuple(dim.values()) for dim in dims))
