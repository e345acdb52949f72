"""Expressions as Python source: what `protocol.evaluate` does to one state, said once and compiled.

`protocol/evaluate.py` is normative: the text of an expression reads the same cells in the same order, short-circuits alike and
raises OutOfRange where the interpreter does. What is known while the text is written is settled there: constants are folded, folds over
small types are unrolled, a part that depends on one index alone becomes a table, and a value that fits its place by type is not checked again.

The text refers to the cells of variable number n as `c<n>`, an object that is indexed by place, and to all else by the names in
`Source.names`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from protocol import OutOfRange
from protocol.combine import substitute
from protocol.evaluate import edit, evaluate, no_cell
from protocol.expr import (
    At,
    Cell,
    Edited,
    Expr,
    Field,
    Fold,
    Has,
    IfElse,
    IndexOf,
    Item,
    Length,
    Literal,
    MakeRecord,
    Me,
    Not,
    OneOf,
    Op,
    Param,
    Unwrap,
)
from protocol.types import Array, Enum, Index, Optional, Range, Scalar, Sequence, Type, Value
from protocol.variable import Variable

from .numbering import Numbering
from .static import fits

UNROLLED_NODES = 800
"""Folds are unrolled up to so many nodes of the expression tree."""
TABLE_VALUES = 256
"""A part that depends on one index of up to so many values is tabulated ..."""
TABLE_NODES = 5
"""... when it has at least so many nodes."""


@dataclass(frozen=True)
class Known:
    """A value that is known while the text is written."""

    value: Value


Text = str | Known
Names = Mapping[Any, Text]
"""What `Me` (by index type) and `Param` (by name) stand for."""


class Source:
    """Writes expressions; `names` is what the written text needs to be executed, beside the cells in `used`."""

    def __init__(self, numbering: Numbering):
        self.numbering = numbering
        self.names: dict[str, Any] = {}
        self.used: set[int] = set()
        self._constants: dict[Any, str] = {}

    def write(self, expr: Expr, names: Names) -> str:
        """The text of an expression."""
        return self.shown(self.text(expr, names))

    def text(self, expr: Expr, names: Names) -> Text:
        """The text of an expression, or its value."""
        table = self._table(expr, names)
        return _WRITERS[type(expr)](self, expr, names) if table is None else table

    def shown(self, text: Text) -> str:
        """A known value as text."""
        return text if isinstance(text, str) else self.constant(text.value)

    def constant(self, value: Value) -> str:
        """A constant: spelt out where Python can, else by a name."""
        if value is None or type(value) in (bool, int):
            return repr(value) if not isinstance(value, int) or value >= 0 else f"({value!r})"
        key = _typed(value)
        if key not in self._constants:
            self._constants[key] = self.named(value)
        return self._constants[key]

    def named(self, value: Any) -> str:
        """A new name for something that the text needs."""
        name = f"k{len(self.names)}"
        self.names[name] = value
        return name

    def cells(self, variable: Variable) -> str:
        """The name of a variable's cells."""
        number = self.numbering.number(variable)
        self.used.add(number)
        return f"c{number}"

    def place(self, expr: Cell | Item, dims: tuple[Scalar, ...], names: Names) -> Text:
        """The position of an element, each index checked unless its type says that it fits."""
        total: Text = Known(0)
        for index, dim in zip(expr.indices, dims):
            total = _plus(_times(total, dim.size), self.ordinal(expr, index, dim, names))
        return total

    def checked(self, expr: Expr, target: Type, names: Names, what: object) -> Text:
        """The text of a value that must lie in its type."""
        text = self.text(expr, names)
        if fits(expr, target):
            return text
        return f"{self.named(_contained(target, what))}({self.shown(text)})"

    def ordinal(self, expr: Expr, index: Expr, dim: Scalar, names: Names) -> Text:
        """One index of a cell or element, as a number from 0 on; checked unless its type says that it fits."""
        text = self.text(index, names)
        if isinstance(text, Known) and dim.contains(text.value):
            return Known(int(dim.ordinal(text.value)))
        if not fits(index, dim):
            return f"{self.named(_ordinal_of(expr, dim))}({self.shown(text)})"
        if isinstance(dim, Optional):
            return f"{self.named(dim.ordinal)}({self.shown(text)})"
        return _plus(text, Known(-dim.low)) if isinstance(dim, Range) else text

    def _table(self, expr: Expr, names: Names) -> Text | None:
        """The expression as a table over the one index that it depends on."""
        if not isinstance(expr, (IfElse, Op, OneOf, Not, Fold)):
            return None
        parts = list(expr.walk())
        if len(parts) < TABLE_NODES or any(isinstance(e, Cell) for e in parts):
            return None
        inner = {e.param.name for e in parts if isinstance(e, Fold)}
        free = {e.type if isinstance(e, Me) else e.name: e for e in parts if isinstance(e, Me) or (isinstance(e, Param) and e.name not in inner)}
        open_names = [k for k in free if isinstance(names[k], str)]
        if len(open_names) != 1:
            return None
        domain = free[open_names[0]].type
        if not isinstance(domain, (Index, Range, Enum)) or domain.size > TABLE_VALUES:
            return None
        known = {k: text.value for k, text in names.items() if isinstance(text, Known)}
        try:
            values = tuple(evaluate(expr, {**known, open_names[0]: v}, no_cell) for v in domain.values())
        except OutOfRange:
            return None
        position = _plus(names[open_names[0]], Known(-domain.low)) if isinstance(domain, Range) else names[open_names[0]]
        return f"{self.constant(values)}[{self.shown(position)}]"

    # -- one method a kind of node; each mirrors its function in protocol/evaluate.py -------------------------------------

    def _literal(self, expr: Literal, names: Names) -> Text:
        return Known(expr.const)

    def _me(self, expr: Me, names: Names) -> Text:
        return names[expr.type]

    def _param(self, expr: Param, names: Names) -> Text:
        return names[expr.name]

    def _cell(self, expr: Cell, names: Names) -> Text:
        return f"{self.cells(expr.variable)}[{self.shown(self.place(expr, expr.variable.over, names))}]"

    def _item(self, expr: Item, names: Names) -> Text:
        array = expr.base.type
        assert isinstance(array, Array)
        return f"{self.write(expr.base, names)}[{self.shown(self.place(expr, array.dims, names))}]"

    def _field(self, expr: Field, names: Names) -> Text:
        return f"{self.write(expr.base, names)}[{expr.position}]"

    def _at(self, expr: At, names: Names) -> Text:
        def at(base: tuple[Value, ...], position: int) -> Value:
            if not 0 <= position < len(base):
                raise OutOfRange(f"`{expr}`: position {position} of {len(base)} elements")
            return base[position]

        return f"{self.named(at)}({self.write(expr.base, names)}, {self.write(expr.position, names)})"

    def _length(self, expr: Length, names: Names) -> Text:
        return f"len({self.write(expr.base, names)})"

    def _has(self, expr: Has, names: Names) -> Text:
        return f"({self.write(expr.element, names)} in {self.write(expr.base, names)})"

    def _index_of(self, expr: IndexOf, names: Names) -> Text:
        def index_of(base: tuple[Value, ...], element: Value) -> int:
            if element not in base:
                raise OutOfRange(f"`{expr}`: the value is not there")
            return base.index(element)

        return f"{self.named(index_of)}({self.write(expr.base, names)}, {self.write(expr.element, names)})"

    def _unwrap(self, expr: Unwrap, names: Names) -> Text:
        def unwrap(value: Value) -> Value:
            if value is None:
                raise OutOfRange(f"`{expr}` is None and has no value")
            return value

        return f"{self.named(unwrap)}({self.write(expr.base, names)})"

    def _not(self, expr: Not, names: Names) -> Text:
        base = self.text(expr.base, names)
        return Known(not base.value) if isinstance(base, Known) else f"(not {base})"

    def _op(self, expr: Op, names: Names) -> Text:
        left = self.text(expr.left, names)
        if expr.kind in ("and", "or"):
            if isinstance(left, Known):
                return left if left.value == (expr.kind == "or") else self.text(expr.right, names)
            return f"({left} {expr.kind} {self.write(expr.right, names)})"
        right = self.text(expr.right, names)
        if isinstance(left, Known) and isinstance(right, Known):
            return Known(evaluate(Op(expr.kind, Literal(left.value, expr.left.type), Literal(right.value, expr.right.type), expr.type), {}, no_cell))
        return f"({self._compared(left)} {expr.kind} {self._compared(right)})"

    def _compared(self, text: Text) -> str:
        """A side of an operator: the member of an enumeration is equal to its number, which is spelt out."""
        return self.shown(Known(int(text.value)) if isinstance(text, Known) and isinstance(text.value, IntEnum) else text)

    def _one_of(self, expr: OneOf, names: Names) -> Text:
        base, options = self.text(expr.base, names), [o.const for o in expr.options]
        if isinstance(base, Known):
            return Known(base.value in options)
        if len(options) == 1:
            return f"({base} == {self._compared(Known(options[0]))})"
        plain = tuple(int(o) if isinstance(o, IntEnum) else o for o in options)
        simple = all(o is None or type(o) in (int, bool) for o in plain)
        return f"({base} in {plain!r})" if simple and plain else f"({base} in {self.constant(plain)})"

    def _if_else(self, expr: IfElse, names: Names) -> Text:
        condition = self.text(expr.condition, names)
        if isinstance(condition, Known):
            return self.text(expr.then if condition.value else expr.other, names)
        return f"({self.write(expr.then, names)} if {condition} else {self.write(expr.other, names)})"

    def _fold(self, expr: Fold, names: Names) -> Text:
        domain = expr.param.type
        assert isinstance(domain, Scalar)
        member = self._member(expr, names)
        if member is not None:
            return member
        if domain.size * sum(1 for _ in expr.body.walk()) > UNROLLED_NODES:
            return self._looped(expr, domain, names)
        bodies = [_with(expr.body, expr.param, Literal(v, domain)) for v in domain.values()]
        texts = [self.text(body, names) for body in bodies]
        if expr.kind in ("sum", "count"):
            known = sum(t.value for t in texts if isinstance(t, Known))
            rest = [t for t in texts if isinstance(t, str)]
            return f"({' + '.join([*rest, self.constant(known)])})" if rest else Known(known)
        decides = expr.kind == "any"
        kept: list[str] = []
        for text in texts:
            if isinstance(text, str):
                kept.append(text)
            elif text.value == decides:
                return f"({' or '.join(kept)} or True)" if kept and decides else f"({' and '.join(kept)} and False)" if kept else Known(decides)
        return f"({(' or ' if decides else ' and ').join(kept)})" if kept else Known(not decides)

    def _member(self, expr: Fold, names: Names) -> Text | None:
        """`any(v[i] == x for i in ...)` over all cells of a variable is a look into a list, which Python does at once."""
        body = expr.body
        if expr.kind == "any" and isinstance(body, Op) and body.kind == "==":
            for cell, other in ((body.left, body.right), (body.right, body.left)):
                if isinstance(cell, Cell) and len(cell.indices) == 1 and cell.indices[0] is expr.param and cell.variable.over == (expr.param.type,):
                    depends = any(isinstance(e, Param) and e.name == expr.param.name for e in other.walk())
                    if not depends and not self.numbering.is_sparse(cell.variable):
                        return f"({self.write(other, names)} in {self.cells(cell.variable)})"
        return None

    def _looped(self, expr: Fold, domain: Scalar, names: Names) -> Text:
        bound = f"v{len(self.names)}"
        values = self.named(tuple(domain.values()))
        function = {"any": "any", "all": "all", "sum": "sum", "count": "sum"}[expr.kind]
        return f"{function}({self.write(expr.body, {**names, expr.param.name: bound})} for {bound} in {values})"

    def _make_record(self, expr: MakeRecord, names: Names) -> Text:
        parts = [self.checked(part, kind, names, expr) for part, (_, kind) in zip(expr.parts, expr.type.fields)]
        if all(isinstance(p, Known) for p in parts):
            return Known(tuple(p.value for p in parts))  # type: ignore[union-attr]
        return f"({', '.join(map(self.shown, parts))},)"

    def _edited(self, expr: Edited, names: Names) -> Text:
        sequence, arguments = expr.type, [self.write(a, names) for a in expr.arguments]
        assert isinstance(sequence, Sequence)
        if expr.operation in ("push", "push_front"):
            arguments = [self.shown(self.checked(expr.arguments[0], sequence.element, names, expr))]

        def edited(base: tuple[Value, ...], *given: Value) -> tuple[Value, ...]:
            return edit(expr.operation, base, given, sequence.capacity, expr)

        return f"{self.named(edited)}({', '.join([self.write(expr.base, names), *arguments])})"


_WRITERS: dict[type, Callable[[Source, Any, Names], Text]] = {
    Literal: Source._literal,
    Me: Source._me,
    Param: Source._param,
    Cell: Source._cell,
    Item: Source._item,
    Field: Source._field,
    At: Source._at,
    Length: Source._length,
    Has: Source._has,
    IndexOf: Source._index_of,
    Unwrap: Source._unwrap,
    Not: Source._not,
    Op: Source._op,
    OneOf: Source._one_of,
    IfElse: Source._if_else,
    Fold: Source._fold,
    MakeRecord: Source._make_record,
    Edited: Source._edited,
}


# -- small builders ----------------------------------------------------------------------------------------------------


def _with(body: Expr, param: Param, value: Literal) -> Expr:
    return substitute(body, lambda e: value if isinstance(e, Param) and e.name == param.name else None)


def _plus(left: Text, right: Text) -> Text:
    if isinstance(left, Known) and isinstance(right, Known):
        return Known(int(left.value) + int(right.value))
    for one, other in ((left, right), (right, left)):
        if isinstance(one, Known) and int(one.value) == 0:
            return other
    return f"({left if isinstance(left, str) else int(left.value)} + {right if isinstance(right, str) else int(right.value)})"


def _times(text: Text, factor: int) -> Text:
    if isinstance(text, Known):
        return Known(int(text.value) * factor)
    return text if factor == 1 else f"{text} * {factor}"


def _ordinal_of(expr: Expr, dim: Scalar) -> Callable[[Value], int]:
    def ordinal(value: Value) -> int:
        if not dim.contains(value):
            raise OutOfRange(f"`{expr}`: the index {value} lies outside {dim}")
        return int(dim.ordinal(value))

    return ordinal


def _contained(target: Type, what: object) -> Callable[[Value], Value]:
    def contained(value: Value) -> Value:
        if not target.contains(value):
            raise OutOfRange(f"`{what}`: {value!r} lies outside {target}")
        return value

    return contained


def _typed(value: Value) -> Any:
    """A key that tells True from 1, and the members of two enumerations apart."""
    return type(value), tuple(map(_typed, value)) if isinstance(value, tuple) else value
