"""States as bits: every variable cell is flattened into scalar *leaves*, and every leaf is a bit field of one word.

A record contributes its fields, an array its elements, a sequence a length leaf and `capacity` element cells (popped
cells hold the first value, so that equal queues are equal bits). A leaf with one value takes no bits. No leaf straddles
two words, and bit 63 of a word is never used: the tables and the kernel mark their special entries with it.

The file's one rule: it knows types and bits, and neither expressions nor rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence as AbstractSequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from protocol.errors import DefinitionError
from protocol.system import State, System
from protocol.types import Array, Optional, Range, Record, Scalar, Sequence, Type, Value
from protocol.variable import Variable

WORD_BITS = 63
LARGEST_LEAF_BITS = 24
"""A scalar of more values is refused: each has an array of them."""
NONE = -(1 << 60)
"""What stands for None among the plain integers of a table's grid."""

Tree = Any
"""What a value is made of: one part for a scalar, a tuple of trees for a record or array, a `Queue` for a sequence."""


@dataclass(frozen=True)
class Queue:
    """The parts of a sequence: its length and as many elements as its capacity."""

    length: Any
    elements: tuple[Tree, ...]


@dataclass(eq=False)
class Signal:
    """A bit field of the work words that holds one scalar: a leaf of the state, or an intermediate result.

    `decode` [2 ** bits] int64: the plain integer that each bit pattern stands for; patterns past the last value repeat it.
    """

    number: int
    name: str
    bits: int
    decode: np.ndarray
    word: int = 0
    shift: int = 0
    kind: Scalar | None = field(default=None)

    def encode(self, values: np.ndarray) -> np.ndarray:
        """The bit patterns of plain integers, shifted to the signal's place; what lies outside the type gives some pattern."""
        order = np.searchsorted(self.decode, values)
        return np.minimum(order, len(self.decode) - 1).astype(np.uint64) << np.uint64(self.shift)


def plain(value: Value) -> int:
    """A scalar value as the plain integer that tables compute with."""
    return NONE if value is None else int(value)


def bits_of(size: int) -> int:
    """How many bits number that many values."""
    return (size - 1).bit_length()


def decoder(kind: Scalar) -> np.ndarray:
    """The plain integers of a type's bit patterns, [2 ** bits] int64, ascending."""
    if isinstance(kind, Optional):
        inner = decoder(kind.inner)[: kind.inner.size]
        values = np.concatenate([[NONE], inner])
    else:
        first = plain(kind.value(0))
        values = np.arange(first, first + kind.size, dtype=np.int64)
    return np.concatenate([values, np.full((1 << bits_of(kind.size)) - kind.size, values[-1])]).astype(np.int64)


def parts_of(tree: Tree) -> Iterator[Any]:
    """The scalar parts of a tree, in order."""
    if isinstance(tree, Queue):
        yield tree.length
        yield from parts_of(tree.elements)
    elif isinstance(tree, tuple):
        for part in tree:
            yield from parts_of(part)
    else:
        yield tree


class Layout:
    """Where each leaf of a system's variables lies, and the way from a state to its words and back.

    Cost: linear in the number of leaves, for building, packing and unpacking.
    """

    def __init__(self, system: System):
        self.system = system
        self.leaves: list[Signal] = []
        self._room: list[int] = []
        self.cells: dict[int, list[Tree]] = {}
        for variable in system.variables:
            names = [variable.name] if variable.cells == 1 else [f"{variable.name}[{k}]" for k in range(variable.cells)]
            self.cells[id(variable)] = [self._tree(variable.type, name) for name in names]
        self.words = max(1, len(self._room))

    def _tree(self, kind: Type, name: str) -> Tree:
        if isinstance(kind, Scalar):
            return self._leaf(kind, name)
        if isinstance(kind, Record):
            return tuple(self._tree(t, f"{name}.{n}") for n, t in kind.fields)
        if isinstance(kind, Array):
            return tuple(self._tree(kind.element, f"{name}[{k}]") for k in range(kind.length))
        assert isinstance(kind, Sequence)
        length = self._leaf(Range(0, kind.capacity), f"len({name})")
        return Queue(length, tuple(self._tree(kind.element, f"{name}.at({k})") for k in range(kind.capacity)))

    def _leaf(self, kind: Scalar, name: str) -> Signal:
        bits = bits_of(kind.size)
        if bits > LARGEST_LEAF_BITS:
            raise DefinitionError(f"{name} has {kind.size:,} values, more than 2^{LARGEST_LEAF_BITS}; lower its bounds")
        word = next((w for w, used in enumerate(self._room) if used + bits <= WORD_BITS), len(self._room))
        if word == len(self._room):
            self._room.append(0)
        leaf = Signal(len(self.leaves), name, bits, decoder(kind), word, self._room[word], kind)
        self._room[word] += bits
        self.leaves.append(leaf)
        return leaf

    def tree(self, variable: Variable, cell: int) -> Tree:
        """The leaves of one cell of a variable."""
        return self.cells[id(variable)][cell]

    def leaves_of(self, variable: Variable) -> list[Signal]:
        """The leaves of all cells of a variable, in order."""
        return [leaf for tree in self.cells[id(variable)] for leaf in parts_of(tree)]

    @property
    def bits(self) -> int:
        """Bits of one state."""
        return sum(self._room)

    def pack(self, state: State) -> np.ndarray:
        """The words of a state, [words] uint64."""
        words = [0] * self.words
        for variable, values in zip(self.system.variables, state):
            for tree, value in zip(self.cells[id(variable)], values):
                self._pack(tree, variable.type, value, words)
        return np.array(words, dtype=np.uint64)

    def _pack(self, tree: Tree, kind: Type, value: Value, words: list[int]) -> None:
        if isinstance(kind, Scalar):
            words[tree.word] |= kind.ordinal(value) << tree.shift
        elif isinstance(kind, Record):
            for part, (_, inner), item in zip(tree, kind.fields, value):
                self._pack(part, inner, item, words)
        elif isinstance(kind, Array):
            for part, item in zip(tree, value):
                self._pack(part, kind.element, item, words)
        else:
            assert isinstance(kind, Sequence)
            words[tree.length.word] |= len(value) << tree.length.shift
            for part, item in zip(tree.elements, value):
                self._pack(part, kind.element, item, words)

    def unpack(self, words: AbstractSequence[int] | np.ndarray) -> State:
        """The state that these words stand for."""
        plain_words = [int(w) for w in words]
        return tuple(tuple(self._unpack(tree, variable.type, plain_words) for tree in self.cells[id(variable)]) for variable in self.system.variables)

    def _unpack(self, tree: Tree, kind: Type, words: list[int]) -> Value:
        if isinstance(kind, Scalar):
            return kind.value(words[tree.word] >> tree.shift & ((1 << tree.bits) - 1))
        if isinstance(kind, Record):
            return tuple(self._unpack(part, inner, words) for part, (_, inner) in zip(tree, kind.fields))
        if isinstance(kind, Array):
            return tuple(self._unpack(part, kind.element, words) for part in tree)
        assert isinstance(kind, Sequence)
        length = words[tree.length.word] >> tree.length.shift & ((1 << tree.length.bits) - 1)
        return tuple(self._unpack(part, kind.element, words) for part in tree.elements[:length])

    def pretty(self, words: AbstractSequence[int] | np.ndarray) -> str:
        """The state as `name=value` text, one item per cell."""
        shown = []
        for variable, values in zip(self.system.variables, self.unpack(words)):
            for k, value in enumerate(values):
                name = variable.name if variable.cells == 1 else f"{variable.name}[{k}]"
                shown.append(f"{name}={variable.type.show(value)}")
        return " ".join(shown)
