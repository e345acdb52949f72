"""The shape of an expression: a number that two expressions share only if they mean the same in every state.

Copies, choices and bound variables are put in as constants, folds are unrolled, constants are folded, and the operands of
what commutes are sorted. Under a permutation g, the shape of an expression E is that of the expression which is in g(s) what E
is in s; so E in one copy and E in another are the same but for the renaming when the one's shape under g is the other's shape.
A constant is renamed as what it is compared with or stored into is; where a value of a renamed index type
is ordered, added to or mixed with a plain number there is no such expression, and `Asymmetric` says so.

`&`, `|` and folds commute only where no operand may be a range error: elsewhere their order decides what is evaluated.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any

from protocol.action import Instance
from protocol.combine import conjuncts
from protocol.effect import Store
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
from protocol.types import BOOL, Array, Optional, Range, Record, Scalar, Sequence, Type, Value
from protocol.variable import Lock

from .expressions import Bindings, Elaborator
from .kernel import DOUBLE
from .permutation import Kind, Permutation, kind_of

PLAIN = Range(0, 0)
"""Stands for every type that no permutation changes."""
FOLDED: dict[str, Callable[[Any, Any], Value]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "+": operator.add, "-": operator.sub, "*": operator.mul,
}  # fmt: skip


class Asymmetric(Exception):
    """The values of an index type are not interchangeable, and why."""


@dataclass(frozen=True)
class Term:
    """An expression read: a constant (`number` is None), or the number of its shape and what it would be renamed as."""

    number: int | None
    const: Value = None
    kind: Kind = PLAIN


@dataclass(frozen=True)
class Form:
    """The shape of an instance: of its guard, and of its stores in order."""

    guard: int
    stores: tuple[tuple[int, int, int], ...]


class Shapes:
    """The numbers of all shapes of one system."""

    def __init__(self, elaborator: Elaborator):
        self.elaborator = elaborator
        self._known: dict[Hashable, int] = {}
        self._risky: dict[int, tuple[Expr, bool]] = {}

    def number(self, *parts: Hashable) -> int:
        """The number of a shape, a new one for what has not been seen before."""
        return self._known.setdefault(parts, len(self._known))

    def total(self, expr: Expr, bind: Bindings) -> bool:
        """Whether evaluating the expression can never be an error."""
        found = self._risky.get(id(expr))
        if found is None:
            found = self._risky[id(expr)] = expr, any(_risky(e) for e in expr.walk())
        return not found[1] or self.elaborator.value(expr, bind)[1] is self.elaborator.circuit.false

    def under(self, permutation: Permutation) -> Reader:
        """What reads expressions under that permutation."""
        return Reader(self, permutation)


class Reader:
    """Reads expressions under one permutation."""

    def __init__(self, shapes: Shapes, permutation: Permutation):
        self.shapes, self.permutation = shapes, permutation
        self._sorts: dict[Type, Hashable] = {}
        self._reading: Expr | Store | None = None

    def form(self, instance: Instance) -> Form:
        """The shape of an instance, renamed.

        Raises:
            Asymmetric: it treats values of a renamed type as numbers.
        """
        bind = instance.environment()
        guard = self.fit(self.term(instance.action.guard, bind), BOOL)
        stores = [self._store(s, bind) for s in instance.action.stores]
        return Form(guard, tuple(s for s in stores if s is not None))

    def same(self, mine: Form, theirs: Form, instance: Instance) -> bool:
        """Whether two shapes do the same; the order of stores matters only where two of them may be to one place."""
        if mine.guard != theirs.guard or sorted(mine.stores) != sorted(theirs.stores):
            return False
        if mine.stores == theirs.stores:
            return True
        changes = self.shapes.elaborator.changes(instance.action.stores, instance.environment())
        return all(code != DOUBLE for _, code in changes.errors)

    def parts(self, instance: Instance) -> list[tuple[Expr | Store, Hashable]]:
        """The conjuncts of the guard of an instance and its stores, each with its shape."""
        bind = instance.environment()
        guards: list[tuple[Expr | Store, Hashable]] = [(c, self.fit(self.term(c, bind), BOOL)) for c in conjuncts(instance.action.guard)]
        return guards + [(s, self._store(s, bind)) for s in instance.action.stores]

    def closed(self, expr: Expr) -> int:
        """The shape of a boolean expression without copies or choices: a property's."""
        return self.fit(self.term(expr, {}), BOOL)

    def _store(self, store: Store, bind: Bindings) -> tuple[int, int, int] | None:
        condition = self.term(store.condition, bind)
        if condition.number is None and not condition.const:
            return None
        target = self.term(store.target, bind)
        assert target.number is not None
        value = self.term(store.value, bind)
        self._reading = store
        return self.fit(condition, BOOL), target.number, self.fit(value, target.kind)

    # -- terms -------------------------------------------------------------------------------------------------------

    def term(self, expr: Expr, bind: Bindings) -> Term:
        """An expression, read."""
        return getattr(self, _METHODS[type(expr)])(expr, bind)  # type: ignore[no-any-return]

    def fit(self, term: Term, kind: Kind) -> int:
        """The number of a term where a value of that kind is wanted."""
        if term.number is None:
            return self.shapes.number("const", self.permutation.value(kind, term.const))
        if self.sort(term.kind) != self.sort(kind):
            raise Asymmetric(f"`{self._reading}` mixes values of {self._moved()} with numbers, orders them or counts with them")
        return term.number

    def sort(self, kind: Kind) -> Hashable:
        """What the permutation does to values of that kind; None for nothing."""
        if isinstance(kind, Lock):
            return id(kind) if any(self.sort(d) for machine, _ in kind.holders for d in machine.copies) else None
        if kind not in self._sorts:
            self._sorts[kind] = self._sort(kind)
        return self._sorts[kind]

    def _sort(self, kind: Type) -> Hashable:
        if isinstance(kind, Optional):
            return self.sort(kind.inner)
        if isinstance(kind, Scalar):
            return None if self.permutation.image(kind) is None else kind
        parts: list[Hashable] = []
        if isinstance(kind, Record):
            moved = self.permutation.fields(kind)
            parts = [*(self.sort(t) for _, t in kind.fields), None if moved == sorted(moved) else tuple(moved)]
        elif isinstance(kind, Array):
            parts = [*(self.sort(d) for d in kind.dims), self.sort(kind.element)]
        elif isinstance(kind, Sequence):
            parts = [self.sort(kind.element)]
        return (type(kind).__name__, *parts) if any(p is not None for p in parts) else None

    def _moved(self) -> str:
        return ", ".join(str(index) for index, _ in self.permutation.images)

    def _made(self, kind: Kind, *parts: Hashable) -> Term:
        return Term(self.shapes.number(*parts), None, kind)

    def _literal(self, expr: Literal, bind: Bindings) -> Term:
        return Term(None, expr.const)

    def _me(self, expr: Me, bind: Bindings) -> Term:
        return Term(None, bind[expr.type])

    def _param(self, expr: Param, bind: Bindings) -> Term:
        return Term(None, bind[expr.name])

    def _indices(self, indices: tuple[Expr, ...], dims: tuple[Scalar, ...], bind: Bindings) -> tuple[int, ...]:
        numbers = []
        for index, dim in zip(indices, dims):
            term = self.term(index, bind)
            self._reading = index
            numbers.append(self.fit(term, dim))
        return tuple(numbers)

    def _cell(self, expr: Cell, bind: Bindings) -> Term:
        variable = expr.variable
        return self._made(kind_of(variable), "cell", id(variable), *self._indices(expr.indices, variable.over, bind))

    def _item(self, expr: Item, bind: Bindings) -> Term:
        kind = expr.base.type
        assert isinstance(kind, Array)
        base = self.fit(self.term(expr.base, bind), kind)
        return self._made(expr.type, "item", base, *self._indices(expr.indices, kind.dims, bind))

    def _field(self, expr: Field, bind: Bindings) -> Term:
        base = self.term(expr.base, bind)
        if base.number is None:
            return Term(None, base.const[expr.position])
        assert isinstance(expr.base.type, Record)
        return self._made(expr.type, "field", self.permutation.fields(expr.base.type).index(expr.position), base.number)

    def _at(self, expr: At, bind: Bindings) -> Term:
        base = self.fit(self.term(expr.base, bind), expr.base.type)
        return self._made(expr.type, "at", base, self.fit(self.term(expr.position, bind), PLAIN))

    def _length(self, expr: Length, bind: Bindings) -> Term:
        return self._made(PLAIN, "length", self.fit(self.term(expr.base, bind), expr.base.type))

    def _element(self, expr: Has | IndexOf, bind: Bindings) -> Term:
        kind = expr.base.type
        assert isinstance(kind, Sequence)
        base = self.fit(self.term(expr.base, bind), kind)
        return self._made(PLAIN, type(expr).__name__, base, self.fit(self.term(expr.element, bind), kind.element))

    def _unwrap(self, expr: Unwrap, bind: Bindings) -> Term:
        base = self.term(expr.base, bind)
        if base.number is None and base.const is not None:
            return base
        return self._made(expr.type, "unwrap", self.fit(base, expr.base.type))

    def _not(self, expr: Not, bind: Bindings) -> Term:
        base = self.term(expr.base, bind)
        return Term(None, not base.const) if base.number is None else self._made(PLAIN, "not", base.number)

    def _op(self, expr: Op, bind: Bindings) -> Term:
        if expr.kind in ("and", "or"):
            return self._joined(expr.kind, [(e, bind) for e in _chain(expr, expr.kind)])
        a, b = self.term(expr.left, bind), self.term(expr.right, bind)
        if a.number is None and b.number is None:
            return Term(None, FOLDED[expr.kind](a.const, b.const))
        self._reading = expr
        if expr.kind in ("==", "!="):
            kind = b.kind if a.number is None else a.kind
            return self._made(PLAIN, expr.kind, *sorted((self.fit(a, kind), self.fit(b, kind))))
        left, right = self.fit(a, PLAIN), self.fit(b, PLAIN)
        return self._made(PLAIN, expr.kind, *(sorted((left, right)) if expr.kind in ("+", "*") else (left, right)))

    def _joined(self, kind: str, parts: Iterable[tuple[Expr, Bindings]]) -> Term:
        """A conjunction or disjunction: operands that can be no error are sorted among their like neighbours."""
        deciding = kind == "or"
        runs: list[tuple[bool, list[int]]] = []
        for expr, bind in parts:
            term = self.term(expr, bind)
            total = self.shapes.total(expr, bind)
            if term.number is None and total and term.const is not deciding:
                continue
            if term.number is None and total and all(safe for safe, _ in runs):
                return Term(None, deciding)
            if not (runs and runs[-1][0] and total):
                runs.append((total, []))
            runs[-1][1].append(self.fit(term, BOOL))
        if not runs:
            return Term(None, not deciding)
        numbers = [n for total, members in runs for n in (sorted(set(members)) if total else members)]
        return Term(numbers[0]) if len(numbers) == 1 else self._made(PLAIN, kind, *numbers)

    def _fold(self, expr: Fold, bind: Bindings) -> Term:
        domain = expr.param.type
        assert isinstance(domain, Scalar)
        bound = [(expr.body, {**bind, expr.param.name: v}) for v in domain.values()]
        if expr.kind in ("any", "all"):
            return self._joined("or" if expr.kind == "any" else "and", bound)
        terms = [self.term(body, inner) for body, inner in bound]
        offset = sum(t.const for t in terms if t.number is None)
        rest = sorted(self.fit(t, PLAIN) for t in terms if t.number is not None)
        return self._made(PLAIN, "sum", offset, *rest) if rest else Term(None, offset)

    def _one_of(self, expr: OneOf, bind: Bindings) -> Term:
        base = self.term(expr.base, bind)
        if base.number is None:
            return Term(None, base.const in [o.const for o in expr.options])
        options = sorted(self.fit(Term(None, o.const), base.kind) for o in expr.options)
        return self._made(PLAIN, "one of", base.number, *options)

    def _if_else(self, expr: IfElse, bind: Bindings) -> Term:
        condition, then, other = (self.term(e, bind) for e in (expr.condition, expr.then, expr.other))
        if condition.number is None:
            return then if condition.const else other
        kind = expr.type if then.number is None and other.number is None else other.kind if then.number is None else then.kind
        return self._made(kind, "if", condition.number, self.fit(then, kind), self.fit(other, kind))

    def _make_record(self, expr: MakeRecord, bind: Bindings) -> Term:
        parts = [self.fit(self.term(p, bind), t) for p, (_, t) in zip(expr.parts, expr.type.fields)]
        return self._made(expr.type, "record", expr.type.name, *(parts[k] for k in self.permutation.fields(expr.type)))

    def _edited(self, expr: Edited, bind: Bindings) -> Term:
        kind = expr.type
        assert isinstance(kind, Sequence)
        wanted = PLAIN if expr.operation == "remove_at" else kind.element
        arguments = (self.fit(self.term(a, bind), wanted) for a in expr.arguments)
        return self._made(kind, "edited", expr.operation, self.fit(self.term(expr.base, bind), kind), *arguments)


def _chain(expr: Expr, kind: str) -> list[Expr]:
    """The operands of a chain of one operator, left to right."""
    if isinstance(expr, Op) and expr.kind == kind:
        return _chain(expr.left, kind) + _chain(expr.right, kind)
    return [expr]


def _risky(expr: Expr) -> bool:
    """Whether this node, by itself, may be an error; errs on the side of yes."""
    if isinstance(expr, (Cell, Item)):
        dims = expr.variable.over if isinstance(expr, Cell) else expr.base.type.dims  # type: ignore[attr-defined]
        return any(i.type != d and not (isinstance(i, Literal) and d.contains(i.const)) for i, d in zip(expr.indices, dims))
    return isinstance(expr, (At, IndexOf, Unwrap, MakeRecord, Edited))


_METHODS: dict[type, str] = {
    Literal: "_literal", Me: "_me", Param: "_param", Cell: "_cell", Item: "_item", Field: "_field", At: "_at", Length: "_length",
    Has: "_element", IndexOf: "_element", Unwrap: "_unwrap", Not: "_not", Op: "_op", OneOf: "_one_of", IfElse: "_if_else",
    Fold: "_fold", MakeRecord: "_make_record", Edited: "_edited",
}  # fmt: skip
