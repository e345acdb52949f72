"""Renamings of the values of index types, and what they do to values, states, instances and circuits.

A permutation g acts on a state by moving what belongs to value v to where g(v)'s belongs, and by replacing v by g(v)
wherever it is stored. The file's one rule: it says what a renaming does, never whether it may be done (`symmetry.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations, product
from typing import Any

from protocol.action import Instance
from protocol.system import State, System
from protocol.types import Array, Index, Optional, Record, Scalar, Sequence, Type, Value, all_values, flat_index
from protocol.variable import Lock, Variable

from .circuit import Circuit, Node
from .layout import NONE, Queue, Tree

Kind = Type | Lock
"""What a value is renamed as: by its type, or as the number of a lock's holder."""


@dataclass(frozen=True)
class Permutation:
    """Per index type that it moves, the image of each value; other types stay as they are."""

    images: tuple[tuple[Index, tuple[int, ...]], ...]

    def image(self, index: Scalar) -> tuple[int, ...] | None:
        """The images of the values of a scalar type; None where each stays what it is."""
        return next((image for kind, image in self.images if kind == index), None)

    # -- values ------------------------------------------------------------------------------------------------------

    def value(self, kind: Kind, value: Value) -> Value:
        """A value of that type, renamed; what lies outside the type stays."""
        if isinstance(kind, Lock):
            return self._holder(kind, value)
        if isinstance(kind, Optional):
            return None if value is None else self.value(kind.inner, value)
        if isinstance(kind, Scalar):
            image = self.image(kind)
            return value if image is None or not kind.contains(value) else image[value]
        if isinstance(kind, Record):
            return tuple(self.value(kind.fields[k][1], value[k]) for k in self.fields(kind))
        if isinstance(kind, Array):
            return tuple(self.value(kind.element, value[k]) for k in self.sources(kind.dims))
        assert isinstance(kind, Sequence)
        return tuple(self.value(kind.element, v) for v in value)

    def _holder(self, lock: Lock, value: Value) -> Value:
        for machine, first in lock.holders:
            copies = list(all_values(machine.copies))
            if first <= value < first + len(copies):
                return first + flat_index(machine.copies, self.indices(machine.copies, copies[value - first]))
        return value

    def indices(self, dims: tuple[Scalar, ...], values: tuple[Value, ...]) -> tuple[Value, ...]:
        """A tuple of index values, renamed."""
        return tuple(self.value(d, v) for d, v in zip(dims, values))

    def sources(self, dims: tuple[Scalar, ...]) -> list[int]:
        """For each position of the renamed product of index types, the position that its content comes from."""
        found = [0] * len(list(all_values(dims)))
        for k, where in enumerate(all_values(dims)):
            found[flat_index(dims, self.indices(dims, where))] = k
        return found

    def fields(self, record: Record) -> list[int]:
        """For each field of a renamed record, the field that its content comes from: `rank_0`, `rank_1` ... belong to these values."""
        for index, image in self.images:
            if len({t for _, t in record.fields}) == 1 and [n for n, _ in record.fields] == [f"{index.name}_{v}" for v in index]:
                return [image.index(v) for v in index]
        return list(range(len(record.fields)))

    def state(self, system: System, state: State) -> State:
        """A state, renamed."""
        return tuple(
            tuple(self.value(kind_of(variable), cells[k]) for k in self.sources(variable.over)) for variable, cells in zip(system.variables, state)
        )

    def instance(self, instance: Instance) -> Instance:
        """The instance that does to the renamed state what this one does to the state."""
        copy = self.indices(instance.action.machine.copies, instance.copy)
        values = self.indices(tuple(p.type for p in instance.action.row.choose), instance.values)  # type: ignore[misc]
        return Instance(instance.action, copy, values)

    # -- the group ---------------------------------------------------------------------------------------------------

    def after(self, other: Permutation) -> Permutation:
        """First the other, then this one."""
        mine, theirs = dict(self.images), dict(other.images)
        joined = {}
        for index in {**theirs, **mine}:
            first, second = (m.get(index, tuple(range(index.size))) for m in (theirs, mine))
            joined[index] = tuple(second[v] for v in first)
        return Permutation(tuple(joined.items()))

    @property
    def inverse(self) -> Permutation:
        """What undoes it."""
        return Permutation(tuple((index, tuple(image.index(v) for v in range(index.size))) for index, image in self.images))

    # -- circuits ----------------------------------------------------------------------------------------------------

    def inputs(self, circuit: Circuit, system: System, trees: dict[int, list[Tree]]) -> dict[int, list[Tree]]:
        """Per variable (by id) the trees of its renamed cells, as nodes over the trees of the cells as they are."""
        return {id(v): [self.tree(circuit, kind_of(v), trees[id(v)][k]) for k in self.sources(v.over)] for v in system.variables}

    def tree(self, circuit: Circuit, kind: Kind, tree: Tree) -> Tree:
        """The parts of a renamed value, as nodes over the parts of the value."""
        if isinstance(kind, (Lock, Scalar)):
            return self._node(circuit, kind, tree)
        if isinstance(kind, Record):
            return tuple(self.tree(circuit, kind.fields[k][1], tree[k]) for k in self.fields(kind))
        if isinstance(kind, Array):
            return tuple(self.tree(circuit, kind.element, tree[k]) for k in self.sources(kind.dims))
        assert isinstance(kind, Sequence) and isinstance(tree, Queue)
        elements = []
        for k, old in enumerate(tree.elements):
            used = circuit.less(circuit.const(k), tree.length)  # what is not used stays the default
            elements.append(_joined(circuit, used, self.tree(circuit, kind.element, old), old))
        return Queue(tree.length, tuple(elements))

    def _node(self, circuit: Circuit, kind: Kind, node: Node) -> Node:
        if isinstance(kind, Optional):
            inner = self._node(circuit, kind.inner, circuit.clip(node, int(kind.inner.value(0)), int(kind.inner.value(kind.inner.size - 1))))
            absent = circuit.equal(node, circuit.const(NONE))
            return node if self.image(kind.inner) is None else circuit.choose(absent, circuit.const(NONE), inner)
        values = range(kind.type.size) if isinstance(kind, Lock) else range(kind.size)  # type: ignore[attr-defined]
        if isinstance(kind, Scalar) and self.image(kind) is None:
            return node
        images = [self.value(kind, v) for v in values]
        return node if images == list(values) else circuit.select(node, [circuit.const(v) for v in images])


def kind_of(variable: Variable) -> Kind:
    """What the cells of a variable are renamed as."""
    return variable if isinstance(variable, Lock) else variable.type


def swap(index: Index, a: int, b: int) -> Permutation:
    """The permutation that exchanges two values."""
    image = list(range(index.size))
    image[a], image[b] = b, a
    return Permutation(((index, tuple(image)),))


def group(classes: list[tuple[Index, tuple[int, ...]]]) -> list[Permutation]:
    """Every permutation that moves values inside these classes only, the identity first."""
    found = []
    for choice in product(*(permutations(members) for _, members in classes)):
        joined: dict[Index, list[int]] = {}
        for (index, members), images in zip(classes, choice):
            image = joined.setdefault(index, list(range(index.size)))
            for member, new in zip(members, images):
                image[member] = new
        found.append(Permutation(tuple((index, tuple(image)) for index, image in joined.items())))
    return found


def _joined(circuit: Circuit, used: Node, new: Tree, old: Tree) -> Any:
    if isinstance(new, tuple):
        return tuple(_joined(circuit, used, a, b) for a, b in zip(new, old))
    return new if new is old else circuit.choose(used, new, old)
