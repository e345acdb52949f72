"""A row, compiled: its guard, its effects, and the search for the values of its choices, each a Python function of the copy's indices.

One rule: all three agree with `protocol.evaluate`, cell for cell and error for error; the property tests compare them. A row is
written once (`text`) and bound to as many sets of cells as there are ways to look at them: plainly, or noting what is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from types import CodeType
from typing import Any, Protocol

from protocol import DoubleWrite, OutOfRange
from protocol.action import Action
from protocol.combine import conjuncts
from protocol.effect import Store
from protocol.expr import At, Cell, Expr, Field, Item, Literal, Me
from protocol.types import Array, Value, product_size

from .numbering import Numbering
from .solve import Search, index_at
from .source import Known, Source

Values = tuple[Value, ...]
Write = tuple[int, int, Value]
"""A new value: the variable's number, the cell's place, the value."""
Parts = dict[tuple[int, int], list[tuple[tuple[int, ...], Value]]]
"""New values of places inside cells, by cell."""


class Cells(Protocol):
    """The cells of one variable, by place and in order; those of a sparse variable have `active()` instead, the places that may not be at rest."""

    def __getitem__(self, place: int, /) -> Value: ...
    def __iter__(self) -> Iterator[Value]: ...


@dataclass(frozen=True)
class Bound:
    """A row over certain cells. Each function takes the copy's indices; `guard` and `effects` the values of the choices, too."""

    guard: Callable[..., bool]
    effects: Callable[..., list[Write]]
    search: Callable[..., Iterator[Values]]


class Row:
    """A row of a machine; written and compiled when it is first bound."""

    def __init__(self, action: Action, numbering: Numbering):
        self.action, self._numbering = action, numbering
        self._source = Source(numbering)

    def bind(self, cells: Sequence[Cells]) -> Bound:
        """The row over these cells, by number of their variables.

        Its functions raise OutOfRange and DoubleWrite as the interpreter does.
        """
        code, source = self._code, self._source
        space = {**source.names, **{f"c{n}": cells[n] for n in source.used}}
        space.update(put=self._put, merged=lambda parts: merged(parts, cells), replaced=replaced)
        exec(code, space)
        return Bound(space["guard"], space["effects"], space["search"])

    @cached_property
    def text(self) -> str:
        """The Python source of the three functions."""
        choices, source = self.action.row.choose, self._source
        own = {index: f"m{k}" for k, index in enumerate(self.action.machine.copies)}
        chosen = {p.name: f"p{k}" for k, p in enumerate(choices)}
        names: dict[Any, Any] = {**own, **chosen}
        # The first conjunct is left out: whoever asks knows that the copy is in a source of the row.
        guard = conjuncts(self.action.guard)[1:]
        holds = " and ".join(source.write(part, names) for part in guard) or "True"
        both = ", ".join([*own.values(), *chosen.values()])
        lines = [f"def guard({both}):", f"    return {holds}", f"def effects({both}):", *_EffectWriter(self.action, source, names).lines()]
        lines += [f"def search({', '.join(own.values())}):", *Search(choices, guard, source, names).lines()]
        return "\n".join(lines) + "\n"

    @cached_property
    def _code(self) -> CodeType:
        return compile(self.text, f"<row {self.action.name}>", "exec")

    def _put(self, parts: Parts, number: int, place: int, path: tuple[int, ...], value: Value) -> None:
        others = parts.setdefault((number, place), [])
        for earlier, _ in others:
            if earlier[: len(path)] == path[: len(earlier)]:
                text = f"two effects write one place of {self._numbering.variables[number].name} in one step; give the row one effect per place"
                raise DoubleWrite(text, machine=self.action.machine.name, row=self.action.row.event)
        others.append((path, value))


def merged(parts: Parts, cells: Sequence[Cells]) -> list[Write]:
    """Writes to cells from writes to places inside them."""
    writes = []
    for (number, place), changes in parts.items():
        whole = cells[number][place] if any(path for path, _ in changes) else None
        for path, value in changes:
            whole = replaced(whole, path, value)
        writes.append((number, place, whole))
    return writes


def replaced(value: Value, path: tuple[int, ...], part: Value) -> Value:
    """The value with the part at that path replaced."""
    if not path:
        return part
    return (*value[: path[0]], replaced(value[path[0]], path[1:], part), *value[path[0] + 1 :])


class _EffectWriter:
    """Writes the body of `effects`: every store in order, all of them reading the state before the row."""

    def __init__(self, action: Action, source: Source, names: Mapping[Any, Any]):
        self._source, self._names = source, names
        machine = action.machine
        self._stores = [s for s in action.stores if not (s.cell.variable is machine.state and all(isinstance(i, Me) for i in s.cell.indices))]
        self._apart = not _collide(self._stores)

    def lines(self) -> list[str]:
        """The lines of the function's body."""
        lines = ["    w = []" if self._apart else "    w = {}"]
        resets, stores = _split_resets(self._stores, self._source.numbering)
        for group in resets:
            lines += self._reset(group)
        for store in stores:
            lines += self._store(store)
        return [*lines, "    return w" if self._apart else "    return merged(w)"]

    def _store(self, store: Store) -> list[str]:
        source, names = self._source, self._names
        condition = source.text(store.condition, names)
        if isinstance(condition, Known) and not condition.value:
            return []
        indent, lines = "    ", []
        if isinstance(condition, str):
            lines.append(f"    if {condition}:")
            indent = "        "
        cell = store.cell
        place, path = source.shown(source.place(cell, cell.variable.over, names)), self._path(store.target)
        value = source.shown(source.checked(store.value, store.target.type, names, store))
        cells = source.cells(cell.variable)
        number = cells[1:]
        if not self._apart:
            return [*lines, f"{indent}put(w, {number}, {place}, ({''.join(p + ', ' for p in path)}), {value})"]
        if not path:
            return [*lines, f"{indent}w.append(({number}, {place}, {value}))"]
        lines.append(f"{indent}i = {place}; j = ({''.join(p + ', ' for p in path)}); v = {value}")
        return [*lines, f"{indent}w.append(({number}, i, replaced({cells}[i], j, v)))"]

    def _path(self, target: Expr) -> list[str]:
        """The positions inside the cell."""
        if isinstance(target, Cell):
            return []
        source, names = self._source, self._names
        if isinstance(target, Field):
            return [*self._path(target.base), str(target.position)]
        if isinstance(target, Item):
            array = target.base.type
            assert isinstance(array, Array)
            return [*self._path(target.base), source.shown(source.place(target, array.dims, names))]
        assert isinstance(target, At)

        def position(base: tuple[Value, ...], at: int) -> int:
            if not 0 <= at < len(base):
                raise OutOfRange(f"`{target}`: position {at} is past the end")
            return at

        checked = f"{source.named(position)}({source.write(target.base, names)}, {source.write(target.position, names)})"
        return [*self._path(target.base), checked]

    def _reset(self, group: list[Store]) -> list[str]:
        """A crash gives the cells of a sparse variable their initial values back: only those that have changed."""
        source, first = self._source, group[0]
        variable = first.cell.variable
        fixed = [(k, source.write(i, self._names)) for k, i in enumerate(first.cell.indices) if not isinstance(i, Literal)]
        cells = source.cells(variable)
        tests = [f"{index_at('i', variable, k)} == {text}" for k, text in fixed]
        which = f" if {' and '.join(tests)}" if tests else ""
        value = source.constant(first.value.const)  # type: ignore[attr-defined]
        each = f"        for i in [i for i in sorted({cells}.active()){which}]:"
        put = f"w.append(({cells[1:]}, i, {value}))" if self._apart else f"put(w, {cells[1:]}, i, (), {value})"
        return [f"    if {source.write(first.condition, self._names)}:", each, f"            {put}"]


def _split_resets(stores: list[Store], numbering: Numbering) -> tuple[list[list[Store]], list[Store]]:
    """The stores of a crash that reset a whole sparse variable, grouped; and the others."""
    groups: dict[tuple[int, int], list[Store]] = {}
    rest = []
    for store in stores:
        variable = store.cell.variable
        resets = store.operation == "crash" and isinstance(store.target, Cell) and isinstance(store.value, Literal) and numbering.is_sparse(variable)
        if resets and store.value.const == variable.initial[0]:  # type: ignore[attr-defined]
            groups.setdefault((id(variable), id(store.condition)), []).append(store)
        else:
            rest.append(store)
    whole = []
    for group in groups.values():
        free = [d for i, d in zip(group[0].cell.indices, group[0].cell.variable.over) if isinstance(i, Literal)]
        if product_size(tuple(free)) == len(group):
            whole.append(group)
        else:
            rest += group
    return whole, rest


def _collide(stores: Sequence[Store]) -> bool:
    """Whether two of the stores may write one cell: no index tells them apart. A crash makes thousands, so they are looked up."""
    kinds: dict[tuple[int, tuple[int, ...]], set[tuple[Value, ...]]] = {}
    for store in stores:
        known = tuple(k for k, index in enumerate(store.cell.indices) if isinstance(index, Literal))
        named = kinds.setdefault((id(store.cell.variable), known), set())
        place = tuple(store.cell.indices[k].const for k in known)  # type: ignore[attr-defined]
        if place in named:
            return True
        named.add(place)
    return any(_overlap(one, kinds[one], other, kinds[other]) for one, other in combinations(kinds, 2) if one[0] == other[0])


def _overlap(one: tuple[int, tuple[int, ...]], places: set[Any], other: tuple[int, tuple[int, ...]], others: set[Any]) -> bool:
    """Whether stores that name different indices of one variable may meet: the indices that both name agree."""
    both = [k for k in one[1] if k in other[1]]
    seen = {tuple(place[one[1].index(k)] for k in both) for place in places}
    return any(tuple(place[other[1].index(k)] for k in both) in seen for place in others)
