"""Expressions to circuits: what `protocol/evaluate.py` does to one state, for every state at once.

An expression becomes the tree of its scalar parts (nodes of a `Circuit`) and one node that says where evaluating it is a
range error; where it is, the parts are arbitrary. Copy and choices are constants here, folds are unrolled, and an index
that is constant reads only its own leaves. The short-circuit of and, or, any, all and if_else is in the error node alone.

`protocol/evaluate.py` is normative: every method below mirrors one of its functions, error for error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import dataclass
from typing import Any

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
from protocol.types import Array, Index, Optional, Range, Record, Scalar, Sequence, Type, Value
from protocol.variable import Variable

from .circuit import Circuit, Node
from .kernel import DOUBLE, RANGE
from .layout import NONE, Layout, Queue, Signal, Tree, parts_of, plain
from .permutation import Permutation

Bindings = dict[Any, Value]
Meaning = tuple[Tree, Node]
"""The parts of a value, and where evaluating it is an error."""


@dataclass
class Changes:
    """What the effects of an instance do: the new value of each leaf, and the errors in the order of the stores."""

    values: list[tuple[Signal, Node]]
    errors: list[tuple[Node, int]]


class Elaborator:
    """Turns expressions over a layout's variables into nodes of one circuit."""

    def __init__(self, layout: Layout):
        self.layout = layout
        self.circuit = Circuit(layout.leaves)
        self._inputs: dict[int, list[Tree]] = {key: [_map(self.circuit.input, tree) for tree in trees] for key, trees in layout.cells.items()}

    def renamed(self, permutation: Permutation) -> Elaborator:
        """What elaborates, over the signals of a state, expressions about the renamed state."""
        other = copy(self)
        other._inputs = permutation.inputs(self.circuit, self.layout.system, self._inputs)
        return other

    def value(self, expr: Expr, bind: Bindings) -> Meaning:
        """Parts and error of an expression."""
        return getattr(self, _METHODS[type(expr)])(expr, bind)

    def leaves(self, variable: Variable) -> list[Node]:
        """The parts of all cells of a variable, in the order of their leaves."""
        return [node for tree in self._inputs[id(variable)] for node in parts_of(tree)]

    def obligations(self, expr: Expr, bind: Bindings, negated: bool = False) -> list[tuple[Node, Node]]:
        """The expression (or its negation) as conjuncts to be judged from left to right: (value, error) each."""
        if isinstance(expr, Not):
            return self.obligations(expr.base, bind, not negated)
        if isinstance(expr, Op) and expr.kind == ("or" if negated else "and"):
            return self.obligations(expr.left, bind, negated) + self.obligations(expr.right, bind, negated)
        if isinstance(expr, Fold) and expr.kind == ("any" if negated else "all"):
            assert isinstance(expr.param.type, Scalar)
            return [o for v in expr.param.type.values() for o in self.obligations(expr.body, {**bind, expr.param.name: v}, negated)]
        node, error = self.value(expr, bind)
        return [(self.circuit.negation(node) if negated else node, error)]

    # -- constants and places ----------------------------------------------------------------------------------------

    def constant(self, value: Value, kind: Type) -> Tree:
        """A value of a type as constant parts."""
        if isinstance(kind, Scalar):
            return self.circuit.const(plain(value))
        if isinstance(kind, Record):
            return tuple(self.constant(v, t) for v, (_, t) in zip(value, kind.fields))
        if isinstance(kind, Array):
            return tuple(self.constant(v, kind.element) for v in value)
        assert isinstance(kind, Sequence)
        blank = kind.element.default()
        elements = tuple(self.constant(value[k] if k < len(value) else blank, kind.element) for k in range(kind.capacity))
        return Queue(self.circuit.const(len(value)), elements)

    def _outside(self, tree: Tree, kind: Type) -> Node:
        """Where a value lies outside a type; composite values are checked where they are made."""
        c = self.circuit
        if isinstance(kind, Optional):
            return c.all([c.negation(c.equal(tree, c.const(NONE))), self._outside(tree, kind.inner)])
        if isinstance(kind, (Range, Index)):
            return c.negation(c.within(tree, int(kind.value(0)), int(kind.value(kind.size - 1))))
        return c.false

    def _ordinal(self, node: Node, kind: Scalar) -> Node:
        c = self.circuit
        if isinstance(kind, Optional):
            return c.choose(c.equal(node, c.const(NONE)), c.const(0), c.total([c.true, self._ordinal(node, kind.inner)]))
        first = int(kind.value(0))
        return c.total([c.clip(node, first, first + kind.size - 1), c.const(-first)])

    def _flat(self, indices: tuple[Expr, ...], dims: tuple[Scalar, ...], bind: Bindings) -> tuple[Node, Node]:
        """Position among the product of index types."""
        c = self.circuit
        position, errors = c.const(0), []
        for index, dim in zip(indices, dims):
            node, error = self.value(index, bind)
            errors += [error, self._outside(node, dim)]
            position = c.total([c.product(position, c.const(dim.size)), self._ordinal(node, dim)])
        return position, c.any(errors)

    def _picked(self, index: Node, trees: Iterable[Tree]) -> Tree:
        return _map(lambda *nodes: self.circuit.select(index, list(nodes)), *trees)

    # -- one method per expression -----------------------------------------------------------------------------------

    def _literal(self, expr: Literal, bind: Bindings) -> Meaning:
        return self.constant(expr.const, expr.type), self.circuit.false

    def _me(self, expr: Me, bind: Bindings) -> Meaning:
        return self.circuit.const(plain(bind[expr.type])), self.circuit.false

    def _param(self, expr: Param, bind: Bindings) -> Meaning:
        return self.circuit.const(plain(bind[expr.name])), self.circuit.false

    def _cell(self, expr: Cell, bind: Bindings) -> Meaning:
        position, error = self._flat(expr.indices, expr.variable.over, bind)
        return self._picked(position, self._inputs[id(expr.variable)]), error

    def _item(self, expr: Item, bind: Bindings) -> Meaning:
        assert isinstance(expr.base.type, Array)
        base, error = self.value(expr.base, bind)
        position, wrong = self._flat(expr.indices, expr.base.type.dims, bind)
        return self._picked(position, base), self.circuit.any([error, wrong])

    def _field(self, expr: Field, bind: Bindings) -> Meaning:
        base, error = self.value(expr.base, bind)
        return base[expr.position], error

    def _position(self, base: Queue, position: Node) -> Node:
        """Where a position is none of a sequence's."""
        c = self.circuit
        return c.negation(c.all([c.negation(c.less(position, c.const(0))), c.less(position, base.length)]))

    def _at(self, expr: At, bind: Bindings) -> Meaning:
        base, error = self.value(expr.base, bind)
        position, wrong = self.value(expr.position, bind)
        return self._picked(position, base.elements), self.circuit.any([error, wrong, self._position(base, position)])

    def _length(self, expr: Length, bind: Bindings) -> Meaning:
        base, error = self.value(expr.base, bind)
        return base.length, error

    def _same(self, a: Tree, b: Tree) -> Node:
        return self.circuit.all(self.circuit.equal(x, y) for x, y in zip(parts_of(a), parts_of(b)))

    def _matches(self, base: Queue, element: Tree) -> list[Node]:
        """Per position of a sequence, whether it is used and holds the element."""
        c = self.circuit
        return [c.all([c.less(c.const(k), base.length), self._same(e, element)]) for k, e in enumerate(base.elements)]

    def _first_match(self, base: Queue, element: Tree) -> tuple[Node, Node]:
        """Position of the first equal element, and where there is none."""
        c = self.circuit
        matches = self._matches(base, element)
        position = c.const(len(matches) - 1)
        for k in reversed(range(len(matches) - 1)):
            position = c.choose(matches[k], c.const(k), position)
        return position, c.negation(c.any(matches))

    def _has(self, expr: Has, bind: Bindings) -> Meaning:
        element, wrong = self.value(expr.element, bind)
        base, error = self.value(expr.base, bind)
        return self.circuit.any(self._matches(base, element)), self.circuit.any([error, wrong])

    def _index_of(self, expr: IndexOf, bind: Bindings) -> Meaning:
        element, wrong = self.value(expr.element, bind)
        base, error = self.value(expr.base, bind)
        position, missing = self._first_match(base, element)
        return position, self.circuit.any([error, wrong, missing])

    def _unwrap(self, expr: Unwrap, bind: Bindings) -> Meaning:
        base, error = self.value(expr.base, bind)
        c = self.circuit
        kind = expr.type
        assert isinstance(kind, Scalar)
        inner = c.clip(base, plain(kind.value(0)), plain(kind.value(kind.size - 1)))
        return inner, c.any([error, c.equal(base, c.const(NONE))])

    def _not(self, expr: Not, bind: Bindings) -> Meaning:
        base, error = self.value(expr.base, bind)
        return self.circuit.negation(base), error

    def _op(self, expr: Op, bind: Bindings) -> Meaning:
        c = self.circuit
        (a, error), (b, wrong) = self.value(expr.left, bind), self.value(expr.right, bind)
        if expr.kind == "and":
            return c.all([a, b]), c.any([error, c.all([a, wrong])])
        if expr.kind == "or":
            return c.any([a, b]), c.any([error, c.all([c.negation(a), wrong])])
        return self._plain_operation(expr.kind, a, b), c.any([error, wrong])

    def _plain_operation(self, kind: str, a: Tree, b: Tree) -> Node:
        c = self.circuit
        if kind in ("==", "!="):
            same = self._same(a, b)
            return same if kind == "==" else c.negation(same)
        if kind in ("<", ">="):
            return c.less(a, b) if kind == "<" else c.negation(c.less(a, b))
        if kind in (">", "<="):
            return c.less(b, a) if kind == ">" else c.negation(c.less(b, a))
        if kind == "*":
            return c.product(a, b)
        return c.total([a, b if kind == "+" else c.product(c.const(-1), b)])

    def _one_of(self, expr: OneOf, bind: Bindings) -> Meaning:
        base, error = self.value(expr.base, bind)
        return self.circuit.any(self._same(base, self.constant(o.const, o.type)) for o in expr.options), error

    def _if_else(self, expr: IfElse, bind: Bindings) -> Meaning:
        c = self.circuit
        condition, error = self.value(expr.condition, bind)
        (then, wrong), (other, bad) = self.value(expr.then, bind), self.value(expr.other, bind)
        chosen = _map(lambda a, b: c.choose(condition, a, b), then, other)
        return chosen, c.any([error, c.choose(condition, wrong, bad)])

    def _fold(self, expr: Fold, bind: Bindings) -> Meaning:
        c = self.circuit
        domain = expr.param.type
        assert isinstance(domain, Scalar)
        parts = [self.value(expr.body, {**bind, expr.param.name: v}) for v in domain.values()]
        nodes = [node for node, _ in parts]
        if expr.kind in ("sum", "count"):
            return c.total(nodes), c.any(error for _, error in parts)
        going = [n if expr.kind == "all" else c.negation(n) for n in nodes]
        errors = [c.all([*going[:k], error]) for k, (_, error) in enumerate(parts) if error is not c.false]
        return (c.all if expr.kind == "all" else c.any)(nodes), c.any(errors)

    def _make_record(self, expr: MakeRecord, bind: Bindings) -> Meaning:
        parts = [self.value(p, bind) for p in expr.parts]
        errors = [error for _, error in parts]
        errors += [self._outside(tree, kind) for (tree, _), (_, kind) in zip(parts, expr.type.fields)]
        return tuple(tree for tree, _ in parts), self.circuit.any(errors)

    def _edited(self, expr: Edited, bind: Bindings) -> Meaning:
        c, kind = self.circuit, expr.type
        assert isinstance(kind, Sequence)
        base, error = self.value(expr.base, bind)
        arguments = [self.value(a, bind) for a in expr.arguments]
        errors = [error, *(wrong for _, wrong in arguments)]
        blank = self.constant(kind.element.default(), kind.element)
        elements, length, operation = base.elements, base.length, expr.operation
        if operation == "clear":
            return Queue(c.const(0), tuple(blank for _ in elements)), c.any(errors)
        if operation in ("push", "push_front"):
            element = arguments[0][0]
            errors += [self._outside(element, kind.element), c.negation(c.less(length, c.const(kind.capacity)))]
            grown = c.clip(c.total([length, c.true]), 0, kind.capacity)
            if operation == "push_front":
                return Queue(grown, (element, *elements[:-1])), c.any(errors)
            return Queue(grown, tuple(self._at_place(length, k, element, e) for k, e in enumerate(elements))), c.any(errors)
        shifted = (*elements[1:], blank)
        shrunk = c.clip(c.total([length, c.const(-1)]), 0, kind.capacity)
        if operation == "pop":
            return Queue(shrunk, shifted), c.any([*errors, c.equal(length, c.const(0))])
        if operation == "pop_back":
            return Queue(shrunk, tuple(self._at_place(shrunk, k, blank, e) for k, e in enumerate(elements))), c.any(
                [*errors, c.equal(length, c.const(0))]
            )
        if operation == "remove":
            position, missing = self._first_match(base, arguments[0][0])
        else:
            position = arguments[0][0]
            missing = self._position(base, position)
        kept = tuple(_map(lambda a, b, k=k: c.choose(c.less(c.const(k), position), a, b), e, s) for k, (e, s) in enumerate(zip(elements, shifted)))
        return Queue(shrunk, kept), c.any([*errors, missing])

    def _at_place(self, length: Node, k: int, new: Tree, old: Tree) -> Tree:
        here = self.circuit.equal(length, self.circuit.const(k))
        return _map(lambda a, b: self.circuit.choose(here, a, b), new, old)

    # -- effects -----------------------------------------------------------------------------------------------------

    def changes(self, stores: list[Store], bind: Bindings) -> Changes:
        """All stores of an instance, read from the state before it and committed at once."""
        c = self.circuit
        hits: dict[int, tuple[Signal, list[tuple[Node, Node]]]] = {}
        errors: list[tuple[Node, int]] = []
        for store in stores:
            condition, wrong = self.value(store.condition, bind)
            errors.append((wrong, RANGE))
            if condition is c.false:
                continue
            places, misplaced = self._places(store.target, bind)
            tree, bad = self.value(store.value, bind)
            outside = self._outside(tree, store.target.type)
            errors.append((c.all([condition, c.any([misplaced, bad, outside])]), RANGE))
            twice = []
            for where, leaves in places:
                hit = c.all([condition, where])
                for leaf, node in zip(parts_of(leaves), parts_of(tree)):
                    earlier = hits.setdefault(leaf.number, (leaf, []))[1]
                    twice += [c.all([hit, other]) for other, _ in earlier]
                    earlier.append((hit, node))
            errors.append((c.any(twice), DOUBLE))
        values = []
        for leaf, writes in hits.values():
            old = c.input(leaf)
            new = old
            for hit, node in writes:
                new = c.choose(hit, node, new)
            if new is not old:
                values.append((leaf, new))
        return Changes(values, [(e, code) for e, code in errors if e is not c.false])

    def _places(self, target: Expr, bind: Bindings) -> tuple[list[tuple[Node, Tree]], Node]:
        """The leaves that a place may be, each with where it is that one; and where the place does not exist."""
        c = self.circuit
        if isinstance(target, Cell):
            position, error = self._flat(target.indices, target.variable.over, bind)
            return self._numbered(position, [(c.true, self.layout.cells[id(target.variable)])]), error
        assert isinstance(target, (Field, Item, At))
        places, error = self._places(target.base, bind)
        if isinstance(target, Field):
            return [(where, tree[target.position]) for where, tree in places], error
        if isinstance(target, Item):
            assert isinstance(target.base.type, Array)
            position, wrong = self._flat(target.indices, target.base.type.dims, bind)
            return self._numbered(position, places), c.any([error, wrong])
        (base, bad), (position, wrong) = self.value(target.base, bind), self.value(target.position, bind)
        elements = [(where, tree.elements) for where, tree in places]
        return self._numbered(position, elements), c.any([error, bad, wrong, self._position(base, position)])

    def _numbered(self, position: Node, places: list[tuple[Node, Any]]) -> list[tuple[Node, Tree]]:
        c = self.circuit
        found = [(c.all([where, c.equal(position, c.const(k))]), tree) for where, trees in places for k, tree in enumerate(trees)]
        return [(where, tree) for where, tree in found if where is not c.false]


def _map(function: Callable[..., Any], *trees: Tree) -> Tree:
    """A function applied to the corresponding parts of trees of one shape."""
    first = trees[0]
    if isinstance(first, Queue):
        elements = _map(function, *(t.elements for t in trees))
        return Queue(function(*(t.length for t in trees)), elements)
    if isinstance(first, tuple):
        return tuple(_map(function, *parts) for parts in zip(*trees))
    return function(*trees)


_METHODS: dict[type, str] = {
    Literal: "_literal", Me: "_me", Param: "_param", Cell: "_cell", Item: "_item", Field: "_field", At: "_at", Length: "_length",
    Has: "_has", IndexOf: "_index_of", Unwrap: "_unwrap", Not: "_not", Op: "_op", OneOf: "_one_of", IfElse: "_if_else",
    Fold: "_fold", MakeRecord: "_make_record", Edited: "_edited",
}  # fmt: skip
