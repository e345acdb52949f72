"""The search for the values of a row's choices, as Python source.

One rule: the values for which the guard holds, in canonical order, without trying them all. A choice that a conjunct fixes
(`t == turn_of[q]`) is computed; one that indexes a cell of a sparse variable which must not be at rest (a message in a bag, a flag)
is taken from the cells that have changed; the others are enumerated, each as far outside as its conjuncts allow. Only the
leading conjuncts that are never a range error are moved about, so that the rest of a guard is evaluated where the interpreter
would do so, and fails where the interpreter would fail.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

from protocol.combine import substitute
from protocol.evaluate import evaluate, no_cell
from protocol.expr import Cell, Expr, Literal, Me, Op, Param
from protocol.types import Index, Range, Scalar, Type
from protocol.variable import Variable

from .numbering import Numbering
from .source import Known, Names, Source
from .static import fits, is_total, something_in

TRIED_VALUES = 4096
"""To find out whether a conjunct fails at rest, up to so many values of its other choices are tried."""


class Search:
    """Writes the body of `search`: a loop for each choice that nothing else tells."""

    def __init__(self, choices: Sequence[Param], guard: list[Expr], source: Source, names: Names):
        self._source, self._names = source, names
        self._choices = list(choices)
        self._order = {p.name: k for k, p in enumerate(self._choices)}
        self._rest = _total_prefix(guard)
        self._tail = guard[len(self._rest) :]
        self._bound: set[str] = set()
        self._looped: list[int] = []
        self._sorted = True
        self._lines: list[str] = []
        self._indent = 1

    def lines(self) -> list[str]:
        """The lines of the function's body."""
        while True:
            self._test_what_is_known()
            if len(self._bound) == len(self._choices):
                break
            if not (self._fix_one() or self._take_changed()):
                self._enumerate_one()
        for part in self._tail:
            self._test(part)
        found = f"({''.join(str(self._names[p.name]) + ', ' for p in self._choices)})"
        if self._sorted:
            return [*self._lines, f"{self._pad}yield {found}"]
        ordinals = tuple(p.type.ordinal for p in self._choices)  # type: ignore[attr-defined]
        key = self._source.named(lambda values: [ordinal(v) for ordinal, v in zip(ordinals, values)])
        return ["    found = []", *self._lines, f"{self._pad}found.append({found})", f"    found.sort(key={key})", "    yield from found"]

    @property
    def _pad(self) -> str:
        return "    " * self._indent

    @property
    def _leave(self) -> str:
        """What to do where a conjunct is false."""
        return "continue" if self._indent > 1 else "return"

    def _line(self, text: str) -> None:
        self._lines.append(self._pad + text)

    def _test(self, part: Expr) -> None:
        text = self._source.text(part, self._names)
        if isinstance(text, Known) and text.value:
            return
        self._line(f"if not {self._source.shown(text)}: {self._leave}")

    def _free(self, expr: Expr) -> set[str]:
        return {e.name for e in expr.walk() if isinstance(e, Param) and e.name in self._order} - self._bound

    def _test_what_is_known(self) -> None:
        for part in self._rest:
            if not self._free(part):
                self._test(part)
        self._rest = [p for p in self._rest if self._free(p)]

    def _bind(self, choice: Param) -> None:
        self._bound.add(choice.name)

    def _fix_one(self) -> bool:
        """A choice that a conjunct equals to something known."""
        for part in self._rest:
            if not (isinstance(part, Op) and part.kind == "=="):
                continue
            for choice, value in ((part.left, part.right), (part.right, part.left)):
                if isinstance(choice, Param) and self._free(part) == {choice.name} and not self._free(value):
                    name = str(self._names[choice.name])
                    self._line(f"{name} = {self._source.write(value, self._names)}")
                    if not fits(value, choice.type):
                        self._line(f"if not {self._source.named(choice.type.contains)}({name}): {self._leave}")
                    self._sorted &= all(k < self._order[choice.name] for k in self._looped)
                    self._bind(choice)
                    self._rest = [p for p in self._rest if p is not part]
                    return True
        return False

    def _take_changed(self) -> bool:
        """Choices that index a cell of a sparse variable which must not be at rest."""
        for part in self._rest:
            cell = _fails_at_rest(part, self._source.numbering)
            if cell is None:
                continue
            choices = [i for i in cell.indices if isinstance(i, Param) and i.name in self._free(i)]
            if any(isinstance(e, Param) and e.name not in self._order for e in cell.walk()):
                continue  # the bound variable of a fold
            if not choices or len({c.name for c in choices}) != len(choices) or self._free(cell) != {c.name for c in choices}:
                continue
            if not all(c.type == d for c, d in zip(cell.indices, cell.variable.over) if any(c is choice for choice in choices)):
                continue
            at = f"i{self._indent}"
            self._line(f"for {at} in sorted({self._source.cells(cell.variable)}.active()):")
            self._indent += 1
            places = [self._order[c.name] for c in choices]
            self._sorted &= [*self._looped, *places] == sorted([*self._looped, *places])
            self._looped += places
            for k, index in enumerate(cell.indices):
                position = index_at(at, cell.variable, k)
                dim = cell.variable.over[k]
                if any(index is choice for choice in choices):
                    self._line(f"{self._names[index.name]} = {self._value(position, dim)}")  # type: ignore[attr-defined]
                else:
                    self._line(f"if {position} != {self._source.shown(self._source.ordinal(cell, index, dim, self._names))}: continue")
            for choice in choices:
                self._bind(choice)
            return True
        return False

    def _value(self, ordinal: str, dim: Scalar) -> str:
        if isinstance(dim, Index):
            return ordinal
        if isinstance(dim, Range):
            return f"{ordinal} + {dim.low}" if dim.low else ordinal
        return f"{self._source.named(dim.value)}({ordinal})"

    def _enumerate_one(self) -> None:
        choice = next(p for p in self._choices if p.name not in self._bound)
        assert isinstance(choice.type, Scalar)
        plain = isinstance(choice.type, Index) or (isinstance(choice.type, Range))
        low = choice.type.low if isinstance(choice.type, Range) else 0
        domain = f"range({low}, {low + choice.type.size})" if plain else self._source.constant(tuple(choice.type.values()))
        self._line(f"for {self._names[choice.name]} in {domain}:")
        self._indent += 1
        self._sorted &= all(k < self._order[choice.name] for k in self._looped)
        self._looped.append(self._order[choice.name])
        self._bind(choice)


def _total_prefix(guard: list[Expr]) -> list[Expr]:
    """The leading conjuncts that are never a range error: the order in which they are asked does not matter."""
    found, somethings = [], frozenset[str]()
    for part in guard:
        if not is_total(part, somethings):
            break
        found.append(part)
        somethings |= something_in(part)
    return found


def _fails_at_rest(part: Expr, numbering: Numbering) -> Cell | None:
    """The cell of a sparse variable without whose change the conjunct is false, whatever else there is."""
    cells = [e for e in part.walk() if isinstance(e, Cell)]
    if not cells or not numbering.is_sparse(cells[0].variable) or len({str(c) for c in cells}) > 1:
        return None
    cell = cells[0]
    rest = substitute(part, lambda e: Literal(cell.variable.initial[0], cell.type) if isinstance(e, Cell) else None)
    free: dict[Any, Type] = {e.type if isinstance(e, Me) else e.name: e.type for e in rest.walk() if isinstance(e, Me | Param)}
    size = 1
    for domain in free.values():
        if not isinstance(domain, Scalar):
            return None
        size *= domain.size
    if size > TRIED_VALUES:
        return None
    for values in product(*(tuple(d.values()) for d in free.values())):  # type: ignore[attr-defined]
        if evaluate(rest, dict(zip(free, values)), no_cell):
            return None
    return cell


def index_at(place: str, variable: Variable, position: int) -> str:
    """The text of one index of a cell, from its place."""
    inner = 1
    for dim in variable.over[position + 1 :]:
        inner *= dim.size
    outer = place if inner == 1 else f"{place} // {inner}"
    return outer if position == 0 else f"({outer}) % {variable.over[position].size}"
