"""Circuits: scalar integer functions of signals, shared node by node, and their evaluation on numpy grids.

A node is a total function of bit fields to a plain integer (False and True are 0 and 1); errors are nodes of their own, so
that nodes may be regrouped and split freely. Building folds constants, which is how a guard that is statically false is
found. The file's one rule: nothing here knows expressions, rows or states.

Intervals `low .. high` bound what a node can be; `support` is the set of signals it reads, as a bit mask over their
numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from .layout import Signal


class Node:
    """One function of signals. `arguments` are nodes; `constant` is set for constants only."""

    __slots__ = ("arguments", "constant", "high", "low", "number", "operation", "signal", "support")

    def __init__(self, number: int, operation: str, arguments: tuple[Node, ...], low: int, high: int, support: int):
        self.number, self.operation, self.arguments = number, operation, arguments
        self.low, self.high, self.support = low, high, support
        self.constant: int | None = low if low == high else None
        self.signal: Signal | None = None

    def __repr__(self) -> str:
        inner = self.signal.name if self.signal is not None else self.constant if self.constant is not None else list(self.arguments)
        return f"{self.operation}({inner})"


class Circuit:
    """Builds nodes, each distinct one once."""

    def __init__(self, signals: Iterable[Signal]) -> None:
        self.signals: list[Signal] = list(signals)
        self._nodes: dict[tuple, Node] = {}
        self.false, self.true = self.const(0), self.const(1)

    def _make(self, operation: str, arguments: tuple[Node, ...], low: int, high: int) -> Node:
        if low == high:
            return self.const(low)
        key = (operation, *(a.number for a in arguments), low, high)
        node = self._nodes.get(key)
        if node is None:
            support = 0
            for argument in arguments:
                support |= argument.support
            node = self._nodes[key] = Node(len(self._nodes), operation, arguments, low, high, support)
        return node

    def const(self, value: int) -> Node:
        """A constant."""
        key = ("const", value)
        node = self._nodes.get(key)
        if node is None:
            node = self._nodes[key] = Node(len(self._nodes), "const", (), value, value, 0)
        return node

    def input(self, signal: Signal) -> Node:
        """The value of a signal."""
        if signal.bits == 0:
            return self.const(int(signal.decode[0]))
        key = ("input", signal.number)
        node = self._nodes.get(key)
        if node is None:
            low, high = int(signal.decode.min()), int(signal.decode.max())
            node = self._nodes[key] = Node(len(self._nodes), "input", (), low, high, 1 << signal.number)
            node.signal = signal
        return node

    # -- logic -------------------------------------------------------------------------------------------------------

    def all(self, parts: Iterable[Node]) -> Node:
        """Conjunction."""
        return self._join("and", parts, self.true, self.false)

    def any(self, parts: Iterable[Node]) -> Node:
        """Disjunction."""
        return self._join("or", parts, self.false, self.true)

    def _join(self, operation: str, parts: Iterable[Node], neutral: Node, absorbing: Node) -> Node:
        found: dict[int, Node] = {}
        for part in parts:
            for node in part.arguments if part.operation == operation else (part,):
                if node is absorbing:
                    return absorbing
                if node is not neutral:
                    found[node.number] = node
        if any(self.negation(node).number in found for node in found.values()):
            return absorbing
        nodes = tuple(found.values())
        return neutral if not nodes else nodes[0] if len(nodes) == 1 else self._make(operation, nodes, 0, 1)

    def negation(self, node: Node) -> Node:
        """Not."""
        if node.constant is not None:
            return self.const(1 - node.constant)
        return node.arguments[0] if node.operation == "not" else self._make("not", (node,), 0, 1)

    def equal(self, a: Node, b: Node) -> Node:
        """Equality of two plain integers."""
        if a is b:
            return self.true
        if a.high < b.low or b.high < a.low:
            return self.false
        first, second = (a, b) if a.number < b.number else (b, a)
        for x, y in ((a, b), (b, a)):
            if y is self.true and (x.low, x.high) == (0, 1):
                return x
            if y is self.false and (x.low, x.high) == (0, 1):
                return self.negation(x)
        return self._make("==", (first, second), 0, 1)

    def less(self, a: Node, b: Node) -> Node:
        """Whether a < b."""
        if a is b or a.low >= b.high:
            return self.false
        return self.true if a.high < b.low else self._make("<", (a, b), 0, 1)

    def within(self, node: Node, low: int, high: int) -> Node:
        """Whether low <= node <= high."""
        return self.all([self.negation(self.less(node, self.const(low))), self.negation(self.less(self.const(high), node))])

    # -- arithmetic --------------------------------------------------------------------------------------------------

    def total(self, parts: Iterable[Node]) -> Node:
        """Sum."""
        offset, nodes = 0, []
        for part in parts:
            for node in part.arguments if part.operation == "+" else (part,):
                if node.constant is not None:
                    offset += node.constant
                else:
                    nodes.append(node)
        if offset or not nodes:
            nodes.append(self.const(offset))
        if len(nodes) == 1:
            return nodes[0]
        return self._make("+", tuple(nodes), sum(n.low for n in nodes), sum(n.high for n in nodes))

    def product(self, a: Node, b: Node) -> Node:
        """Product of two."""
        if a is self.true or b is self.true:
            return b if a is self.true else a
        corners = [x * y for x in (a.low, a.high) for y in (b.low, b.high)]
        return self._make("*", (a, b), min(corners), max(corners))

    def clip(self, node: Node, low: int, high: int) -> Node:
        """The node, brought into low .. high; makes a function total whose error has its own node."""
        if low <= node.low and node.high <= high:
            return node
        lowest, highest = (min(max(v, low), high) for v in (node.low, node.high))
        return self._make("clip", (node, self.const(low), self.const(high)), lowest, highest)

    # -- choice ------------------------------------------------------------------------------------------------------

    def choose(self, condition: Node, then: Node, other: Node) -> Node:
        """`then` where the condition holds, else `other`."""
        if condition.constant is not None:
            return then if condition.constant else other
        if then is other:
            return then
        if then.low >= 0 and then.high <= 1 and other.low >= 0 and other.high <= 1:
            if then.constant is not None:
                return self.any([condition, other]) if then.constant else self.all([self.negation(condition), other])
            if other.constant is not None:
                return self.any([self.negation(condition), then]) if other.constant else self.all([condition, then])
        return self._make("choose", (condition, then, other), min(then.low, other.low), max(then.high, other.high))

    def select(self, index: Node, items: list[Node]) -> Node:
        """The item with that number; some item where the index is out of bounds."""
        if index.constant is not None:
            return items[min(max(index.constant, 0), len(items) - 1)]
        if all(item is items[0] for item in items):
            return items[0]
        return self._make("select", (index, *items), min(i.low for i in items), max(i.high for i in items))

    def rebuilt(self, node: Node, arguments: tuple[Node, ...]) -> Node:
        """The node's operation on other arguments."""
        if node.operation in ("and", "or"):
            return (self.all if node.operation == "and" else self.any)(arguments)
        if node.operation == "+":
            return self.total(arguments)
        if node.operation == "select":
            return self.select(arguments[0], list(arguments[1:]))
        simple = {"not": self.negation, "==": self.equal, "<": self.less, "*": self.product, "choose": self.choose}
        if node.operation in simple:
            return simple[node.operation](*arguments)  # type: ignore[operator]
        assert node.operation == "clip"
        return self.clip(arguments[0], node.arguments[1].low, node.arguments[2].low)

    # -- grids -------------------------------------------------------------------------------------------------------

    def signals_of(self, support: int) -> list[Signal]:
        """The signals of a support, by word and place in it."""
        found = []
        while support:
            low = support & -support
            found.append(self.signals[low.bit_length() - 1])
            support ^= low
        return sorted(found, key=lambda s: (s.word, s.shift))

    def width(self, support: int) -> int:
        """Bits of all signals of a support."""
        return sum(s.bits for s in self.signals_of(support))


def grid_of(signals: list[Signal]) -> dict[int, np.ndarray]:
    """The plain value of each signal in every entry of a table over them, by signal number; each [2 ** bits] int64.

    The first signal takes the lowest bits of the entry's index.
    """
    entries = np.arange(1 << sum(s.bits for s in signals), dtype=np.int64)
    grid, place = {}, 0
    for signal in signals:
        grid[signal.number] = signal.decode[(entries >> place) & ((1 << signal.bits) - 1)]
        place += signal.bits
    return grid


def evaluate_on(grid: dict[int, np.ndarray], nodes: list[Node]) -> list[np.ndarray]:
    """The values of nodes on a grid; each [2 ** bits] int64, or a single element for a constant."""
    known: dict[int, np.ndarray] = {}

    def value(node: Node) -> np.ndarray:
        found = known.get(node.number)
        if found is None:
            if node.constant is not None:
                found = np.array([node.constant], dtype=np.int64)
            elif node.signal is not None:
                found = grid[node.signal.number]
            else:
                found = _OPERATIONS[node.operation]([value(a) for a in node.arguments])
            known[node.number] = found
        return found

    return [value(node) for node in nodes]


def _folded(function: Callable) -> Callable[[list[np.ndarray]], np.ndarray]:
    def apply(arguments: list[np.ndarray]) -> np.ndarray:
        result = arguments[0]
        for argument in arguments[1:]:
            result = function(result, argument)
        return result

    return apply


def _select(arguments: list[np.ndarray]) -> np.ndarray:
    index, items = arguments[0], np.broadcast_arrays(arguments[0], *arguments[1:])[1:]
    chosen = items[-1].copy()
    for k, item in enumerate(items[:-1]):
        np.copyto(chosen, item, where=index <= 0 if k == 0 else index == k)
    return chosen


_OPERATIONS: dict[str, Callable[[list[np.ndarray]], np.ndarray]] = {
    "and": _folded(np.bitwise_and),
    "or": _folded(np.bitwise_or),
    "+": _folded(np.add),
    "*": _folded(np.multiply),
    "not": lambda a: 1 - a[0],
    "==": lambda a: (a[0] == a[1]).astype(np.int64),
    "<": lambda a: (a[0] < a[1]).astype(np.int64),
    "choose": lambda a: np.where(a[0] != 0, a[1], a[2]),
    "select": _select,
    "clip": lambda a: np.clip(a[0], a[1], a[2]),
}
