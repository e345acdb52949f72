"""Programs of table look-ups: how the circuits of one instance or predicate become a few small tables.

A program is a list of *factors*. A factor gathers a few bit fields of the work words into an index, looks up an entry, and
either stops with a code (disabled, range error ...) or replaces some bits of one word. What one instance does is split
into *parts* - conjuncts, error checks, new values of leaves - and parts over few bits share a factor, so that a small row
is one look-up. A part that reads too many bits is split through *temporaries*: bits of scratch words that earlier
factors of the same program write.

Work words: the state's words, then those of its successor, then scratch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from protocol.errors import DefinitionError

from .circuit import Circuit, Node, evaluate_on, grid_of
from .kernel import DISABLED
from .layout import WORD_BITS, Signal, bits_of

STOP = np.uint64(1 << 63)
"""Marks the entries that end a program with a code."""

SHARE_BITS = 9
"""Parts share a factor while it reads at most that many bits: such a table stays in the first-level cache."""
SPLIT_BITS = 12
"""A part that reads more is split where it can be."""
LARGEST_BITS = 20
"""A factor that reads more is refused."""
SELECT_BITS = 9
"""Bits that may choose among the instances of one copy at once."""


@dataclass
class Part:
    """One thing that a program decides: `code` ends it where the node is `ends`; without a code it writes `signal`."""

    node: Node
    code: int = 0
    ends: int = 0
    signal: Signal | None = None


def requirement(node: Node) -> Part:
    """The program is disabled unless the node is true."""
    return Part(node, DISABLED, 0)


def failure(node: Node, code: int) -> Part:
    """The program ends with the code where the node is true."""
    return Part(node, code, 1)


@dataclass
class Factor:
    """Parts that share one table; `word` is the one word that they write, if any."""

    parts: list[Part] = field(default_factory=list)
    support: int = 0
    word: int | None = None
    sealed: bool = False

    @property
    def decides(self) -> bool:
        """Whether it may end the program."""
        return any(p.code for p in self.parts)


class Tabulator:
    """Builds programs over one circuit; holds what they share: tables, temporaries, the code.

    `code` is one stream of 64-bit words: per factor a head (gathers, written word, offset of its table), the mask of bits
    kept in the written word, and one word per gather (word, shift, place in the index, width).
    """

    def __init__(self, circuit: Circuit, words: int):
        self.circuit, self.words = circuit, words
        self.code: list[int] = []
        self._tables: dict[bytes, int] = {}
        self._chunks: list[np.ndarray] = []
        self.entries = 0
        self.scratch: list[int] = []
        self._temporaries: dict[int, tuple[Signal, Part]] = {}
        self._temporary_of: dict[int, Part] = {}
        self._covered: dict[int, Node] = {}

    @property
    def work_words(self) -> int:
        """How many work words the programs need."""
        return 2 * self.words + len(self.scratch)

    def tables(self) -> np.ndarray:
        """All tables, [entries] uint64."""
        return np.concatenate(self._chunks) if self._chunks else np.zeros(1, dtype=np.uint64)

    def program(self, parts: Iterable[Part]) -> tuple[int, int] | None:
        """Append a program to the code; its bounds there, or None when it is always disabled.

        Raises:
            DefinitionError: a table would need more than 2 ** LARGEST_BITS entries.
        """
        factors: list[Factor] = []
        ready: dict[int, int] = {}
        for part in parts:
            if part.code and part.node.constant is not None:
                if part.node.constant != part.ends:
                    continue
                if part.code == DISABLED and not any(f.decides for f in factors):
                    return None
            self._place(Part(self.cover(part.node), part.code, part.ends, part.signal), factors, ready)
        emitted = [self._emit(factor) for factor in factors]
        if any(words is None for words in emitted):
            return None
        first = len(self.code)
        for words in emitted:
            assert words is not None
            self.code += words
        return first, len(self.code)

    # -- parts into factors ------------------------------------------------------------------------------------------

    def _place(self, part: Part, factors: list[Factor], ready: dict[int, int]) -> None:
        """Put a part into the first factor that may hold it, after the temporaries it reads."""
        earliest = 0
        for signal in self.circuit.signals_of(part.node.support):
            if signal.number in self._temporary_of:
                if signal.number not in ready:
                    self._place(self._temporary_of[signal.number], factors, ready)
                earliest = max(earliest, ready[signal.number] + 1)
        if part.code:
            # What ends the program is judged in order; new values may be computed at any time.
            earliest = max([earliest, *(k for k, f in enumerate(factors) if f.decides)])
        temporary = part.signal is not None and part.signal.number in self._temporary_of
        word = None if part.signal is None else part.signal.word
        for factor in factors[earliest:] if not temporary else ():
            union = factor.support | part.node.support
            fits = union == factor.support or self.circuit.width(union) <= SHARE_BITS
            if fits and not factor.sealed and (word is None or factor.word in (None, word)):
                factor.parts.append(part)
                factor.support = union
                factor.word = word if word is not None else factor.word
                return
        factors.append(Factor([part], part.node.support, word, temporary))
        if temporary:
            assert part.signal is not None
            ready[part.signal.number] = len(factors) - 1

    # -- splitting ---------------------------------------------------------------------------------------------------

    def cover(self, node: Node) -> Node:
        """An equal node that reads at most SPLIT_BITS bits where that is possible, through temporaries."""
        if self.circuit.width(node.support) <= SPLIT_BITS:
            return node
        if node.number not in self._covered:
            self._covered[node.number] = self._split(node)
        return self._covered[node.number]

    def _split(self, node: Node) -> Node:
        c = self.circuit
        if not node.arguments:  # one wide leaf
            return self._replaced(node)
        node = c.rebuilt(node, tuple(self.cover(a) for a in node.arguments))
        if c.width(node.support) <= SPLIT_BITS:
            return node
        if node.operation in ("and", "or", "+"):
            bins = self._bins(node.arguments)
            if len(bins) < len(node.arguments):
                joined = [self._temporary(c.rebuilt(node, tuple(b))) if len(b) > 1 else b[0] for b in bins]
                return self.cover(c.rebuilt(node, tuple(joined)))
        if node.operation == "select" and len(node.arguments) > 3:
            index, items = node.arguments[0], list(node.arguments[1:])
            half = len(items) // 2
            low = c.select(index, items[:half])
            high = c.select(c.total([index, c.const(-half)]), items[half:])
            return self.cover(c.choose(c.less(index, c.const(half)), self._narrow(low), self._narrow(high)))
        return self._replaced(node)

    def _replaced(self, node: Node) -> Node:
        """The node with its widest arguments as temporaries until it is small enough."""
        c = self.circuit
        arguments = list(node.arguments)
        for k in sorted(range(len(arguments)), key=lambda k: -c.width(arguments[k].support)):
            arguments[k] = self._narrow(arguments[k])
            node = c.rebuilt(node, tuple(arguments))
            if c.width(node.support) <= SPLIT_BITS:
                return node
        if c.width(node.support) > LARGEST_BITS:
            names = [s.name for s in c.signals_of(node.support)]
            shown = ", ".join(names[:12]) + (" ..." if len(names) > 12 else "")
            raise DefinitionError(
                f"one table would need 2^{c.width(node.support)} entries over {shown}; "
                "compare or combine smaller parts, or lower the bounds of these variables"
            )
        return node

    def _bins(self, nodes: tuple[Node, ...]) -> list[list[Node]]:
        """The nodes in groups that read at most SPLIT_BITS bits each, first fit."""
        groups: list[tuple[int, list[Node]]] = []
        for node in nodes:
            for k, (support, members) in enumerate(groups):
                if self.circuit.width(support | node.support) <= SPLIT_BITS:
                    members.append(node)
                    groups[k] = support | node.support, members
                    break
            else:
                groups.append((node.support, [node]))
        return [members for _, members in groups]

    def _narrow(self, node: Node) -> Node:
        """The node as a temporary where that has fewer bits than what it reads."""
        node = self.cover(node)
        span = bits_of(min(node.high - node.low + 1, 1 << 40))
        return self._temporary(node) if span < self.circuit.width(node.support) or node.low < -(1 << 40) else node

    def _temporary(self, node: Node) -> Node:
        """A signal that holds the node's value; as few bits as it has values."""
        c = self.circuit
        if node.signal is not None or node.constant is not None:
            return node
        if node.number not in self._temporaries:
            (values,) = evaluate_on(grid_of(c.signals_of(node.support)), [node])
            found = np.unique(values)
            bits = bits_of(len(found))
            if bits == 0:
                return c.const(int(found[0]))
            decode = np.concatenate([found, np.full((1 << bits) - len(found), found[-1])])
            word = next((w for w, used in enumerate(self.scratch) if used + bits <= WORD_BITS), len(self.scratch))
            if word == len(self.scratch):
                self.scratch.append(0)
            name = f"({node.operation} of {c.width(node.support)} bits)"
            signal = Signal(len(c.signals), name, bits, decode, 2 * self.words + word, self.scratch[word])
            self.scratch[word] += bits
            c.signals.append(signal)
            part = Part(node, signal=signal)
            self._temporaries[node.number] = signal, part
            self._temporary_of[signal.number] = part
        return c.input(self._temporaries[node.number][0])

    # -- factors into code -------------------------------------------------------------------------------------------

    def _emit(self, factor: Factor) -> list[int] | None:
        """The code of a factor: [] when it does nothing, None when it always disables."""
        signals = self.circuit.signals_of(factor.support)
        entries = entries_of(factor, signals)
        if (entries == entries[0]).all():
            signals, entries = [], entries[:1]
            if int(entries[0]) == int(STOP) | DISABLED:
                return None
            if factor.word is None and not entries[0]:
                return []
        gathers = gathers_of(signals)
        kept = (1 << 64) - 1
        for part in factor.parts:
            if part.signal is not None:
                kept &= ~(((1 << part.signal.bits) - 1) << part.signal.shift)
        word = factor.word or 0
        if word < self.words:
            word += self.words
        head = len(gathers) | word << 16 | self._table(entries) << 32
        return [head, kept & ((1 << 64) - 1), *gathers]

    def _table(self, entries: np.ndarray) -> int:
        key = entries.tobytes()
        offset = self._tables.get(key)
        if offset is None:
            offset = self._tables[key] = self.entries
            self._chunks.append(entries)
            self.entries += len(entries)
        return offset


def entries_of(factor: Factor, signals: list[Signal]) -> np.ndarray:
    """The table of a factor, [2 ** bits] uint64."""
    grid = grid_of(signals)
    values = evaluate_on(grid, [p.node for p in factor.parts])
    size = 1 << sum(s.bits for s in signals)
    entries = np.zeros(size, dtype=np.uint64)
    running = np.ones(size, dtype=bool)
    for part, value in zip(factor.parts, values):
        if part.code:
            ends = running & (value == part.ends)
            entries[ends] = STOP | np.uint64(part.code)
            running &= ~ends
    for part, value in zip(factor.parts, values):
        if part.signal is not None:
            bits = np.broadcast_to(part.signal.encode(value), size)
            entries[running] |= bits[running]
    return entries


def gathers_of(signals: list[Signal]) -> list[int]:
    """One code word per run of neighbouring bit fields, which together make up an entry's index."""
    runs: list[list[int]] = []
    place = 0
    for signal in signals:
        if runs and runs[-1][0] == signal.word and runs[-1][1] + runs[-1][3] == signal.shift:
            runs[-1][3] += signal.bits
        else:
            runs.append([signal.word, signal.shift, place, signal.bits])
        place += signal.bits
    return [word | shift << 16 | at << 24 | width << 32 for word, shift, at, width in runs]
