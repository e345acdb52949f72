"""Symmetry: which values of index types are interchangeable, and the one state that stands for all renamings of it.

Two values of an index type are interchangeable when exchanging them maps the initial state to itself and the instances to
each other: each does to the renamed state what its renamed instance does. That is read off the lowered rows, copy by copy,
before anything is explored (`shape.py`). Being interchangeable is transitive, so that an index type falls into classes, and
every permutation inside classes is a symmetry of the system. A property need not be symmetric: its renamings are watched
together with it. Why that is sound: docs/semantics.md, "Reductions".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import factorial, prod

from protocol.action import Instance
from protocol.evaluate import successor
from protocol.expr import Expr
from protocol.properties import Property
from protocol.system import State, System
from protocol.types import Array, Index, Optional, Record, Sequence, Type

from .expressions import Elaborator
from .layout import Layout
from .permutation import Permutation, group, swap
from .shape import Asymmetric, Reader, Shapes

WHOLE_GROUP = 24
"""Up to that many permutations are all tried, so that a state has one representative; beyond, exchanges are made while one helps."""
MOST_RENAMINGS = 24
"""A property with more renamings than that is not symmetric enough: the values are then not interchanged."""
IDENTITY = Permutation(())

Class = tuple[Index, tuple[int, ...]]
"""Values of an index type that are interchangeable."""


@dataclass
class Symmetry:
    """What may be renamed.

    `elements`: every permutation but the identity when `whole`, else the exchanges of two values. `renamings`: per property
    (by name) permutations g such that, as g runs over them, P(g(s)) gives each renaming of P once; the identity first.
    """

    classes: list[Class] = field(default_factory=list)
    elements: list[Permutation] = field(default_factory=list)
    whole: bool = True
    renamings: dict[str, list[Permutation]] = field(default_factory=dict)
    cases: dict[str, list[int]] = field(default_factory=dict)
    """Of each leads_to the cases that stand for all: any other is the renaming of one of these."""
    notes: list[str] = field(default_factory=list)
    """One line an index type: what is interchangeable, or why not."""

    def least(self, layout: Layout, state: State) -> tuple[State, Permutation]:
        """The representative of a state, as the kernel finds it, and the permutation that leads there."""
        best, words, chosen = state, _words(layout, state), IDENTITY
        again = True
        while again:
            again = False
            for element in self.elements:
                turned = element.state(layout.system, state if self.whole else best)
                found = _words(layout, turned)
                if found < words:
                    best, words = turned, found
                    chosen = element if self.whole else element.after(chosen)
                    again = not self.whole
        return best, chosen

    def unfold(self, layout: Layout, path: list[Instance], last: Instance | None = None, seen: Permutation = IDENTITY) -> tuple[Instance, ...]:
        """The path of the system that a path of representatives stands for.

        Args:
            last: an instance that is enabled in the representative at the end.
            seen: the path ends in this renaming of that representative.
        """
        state, turned = layout.system.initial_state(), IDENTITY
        real = []
        for instance in path:
            real.append(turned.instance(instance))
            state, element = self.least(layout, successor(layout.system, state, instance))
            turned = turned.after(element.inverse)
        if last is not None:
            real.append(turned.instance(last))
        end = seen.after(turned.inverse)
        return tuple(end.instance(i) for i in real)


def find(system: System, elaborator: Elaborator, asked: dict[str, Expr], fixed: dict[str, Expr]) -> Symmetry:
    """The symmetry of a system that is asked these predicates, and of which the fixed ones and every leads_to are to stay as they are.

    Cost: a few tenths of a millisecond per instance and pair of values, for a system that is symmetric; else less.
    """
    judge = _Judge(system, elaborator)
    found = Symmetry(renamings=dict.fromkeys(asked, [IDENTITY]))
    free = {index: judge.classes(index) for index in indices_of(system)}
    behaviours = [p for p in system.properties if p.kind == "leads_to"]
    for prop in behaviours:
        found.cases[prop.name] = judge.cases(prop, [(index, members) for index, (classes, _) in free.items() for members in classes])
        for label, p, q in (prop.cases[case] for case in found.cases[prop.name]):
            fixed = fixed | {f"{prop.name} ({label or 'its one case'}), before": p, f"{prop.name} ({label or 'its one case'}), after": q}
    for index, (classes, reasons) in free.items():
        for members in [part for whole in classes for part in judge.undisturbed(index, whole, fixed, reasons)]:
            try:
                more = [*found.classes, (index, members)]
                found.renamings = {name: judge.renamings(name, expr, more) for name, expr in asked.items()}
            except Asymmetric as error:
                reasons.append(str(error))
            else:
                found.classes.append((index, members))
                found.notes.append(f"{index}: {listed(members)} are interchangeable")
        found.notes += [f"{index}: {reason}" for reason in reasons]
    if behaviours:
        _lessen(found)
    found.whole = order_of(found.classes) <= WHOLE_GROUP
    found.elements = group(found.classes)[1:] if found.whole else list(_swaps(found.classes))
    return found


def order_of(classes: list[Class]) -> int:
    """How many renamings there are."""
    return prod(factorial(len(members)) for _, members in classes)


def _lessen(found: Symmetry) -> None:
    """Interchange fewer values, until all renamings can be tried: a leads_to follows each copy through them."""
    while order_of(found.classes) > WHOLE_GROUP:
        largest = max(range(len(found.classes)), key=lambda k: len(found.classes[k][1]))
        index, members = found.classes[largest]
        found.notes.append(f"{index}: {members[-1]} is kept apart: fairness is followed through {WHOLE_GROUP} renamings at most")
        found.classes[largest] = index, members[:-1]
    found.classes = [c for c in found.classes if len(c[1]) > 1]


def indices_of(system: System) -> list[Index]:
    """The index types of two values or more that a system has cells, values, copies or choices of, as they first occur."""
    found: dict[Index, None] = {}

    def walk(kind: Type) -> None:
        if isinstance(kind, Index) and kind.size > 1:
            found.setdefault(kind)
        parts: list[Type] = []
        if isinstance(kind, Optional):
            parts = [kind.inner]
        elif isinstance(kind, Record):
            parts = [t for _, t in kind.fields]
        elif isinstance(kind, Array):
            parts = [*kind.dims, kind.element]
        elif isinstance(kind, Sequence):
            parts = [kind.element]
        for part in parts:
            walk(part)

    for variable in system.variables:
        for kind in (*variable.over, variable.type):
            walk(kind)
    for action in system.actions:
        for kind in (*action.machine.copies, *(p.type for p in action.row.choose)):
            walk(kind)
    return list(found)


def listed(values: tuple[int, ...]) -> str:
    """`0, 1 and 2`."""
    return f"{', '.join(map(str, values[:-1]))} and {values[-1]}"


class _Judge:
    """Decides which values may be exchanged; holds the shapes of all instances."""

    def __init__(self, system: System, elaborator: Elaborator):
        self.system = system
        self.shapes = Shapes(elaborator)
        self.instances = list(system.instances())
        self.place = {_key(i): k for k, i in enumerate(self.instances)}
        plain = self.shapes.under(IDENTITY)
        self.forms = [plain.form(i) for i in self.instances]

    def classes(self, index: Index) -> tuple[list[tuple[int, ...]], list[str]]:
        """The classes of two values or more, and why values of different classes are not interchangeable."""
        classes: list[list[int]] = []
        reasons: list[str] = []
        for value in range(index.size):
            for members in reversed(classes):
                try:
                    self.judge(swap(index, members[-1], value))
                except Asymmetric as error:
                    reasons.append(f"{members[-1]} and {value} are not interchangeable: {error}")
                    continue
                members.append(value)
                break
            else:
                classes.append([value])
        return [tuple(c) for c in classes if len(c) > 1], reasons[: 1 if len(classes) > 1 else 0]

    def undisturbed(self, index: Index, members: tuple[int, ...], fixed: dict[str, Expr], reasons: list[str]) -> list[tuple[int, ...]]:
        """A class in parts of two values or more, inside which every renaming leaves the fixed predicates as they are."""
        parts: list[list[int]] = []
        for value in members:
            for part in parts:
                exchange = swap(index, part[-1], value)
                try:
                    told = next((n for n, e in fixed.items() if self._closed(n, e, exchange) != self._closed(n, e, IDENTITY)), None)
                except Asymmetric as error:
                    reasons.append(str(error))
                    return []
                if told is None:
                    part.append(value)
                    break
                reasons.append(f"property {told} tells {part[-1]} and {value} apart")
            else:
                parts.append([value])
        return [tuple(part) for part in parts if len(part) > 1]

    def cases(self, prop: Property, classes: list[Class]) -> list[int]:
        """The cases of a leads_to of which none is a renaming of another."""
        shapes = [self._sides(case, IDENTITY) for case in prop.cases]
        asked: list[int] = []
        covered: set[tuple[int, int]] = set()
        for number, case in enumerate(prop.cases):
            if shapes[number] in covered:
                continue
            asked.append(number)
            waiting, known = [IDENTITY], {shapes[number]}
            while waiting and len(known) <= MOST_RENAMINGS:
                turned = waiting.pop()
                for exchange in _swaps(classes):
                    new = exchange.after(turned)
                    try:
                        sides = self._sides(case, new)
                    except Asymmetric:
                        continue
                    if sides not in known:
                        known.add(sides)
                        waiting.append(new)
            covered |= known
        return asked

    def _sides(self, case: tuple[str, Expr, Expr], permutation: Permutation) -> tuple[int, int]:
        reader = self.shapes.under(permutation)
        return reader.closed(case[1]), reader.closed(case[2])

    def judge(self, exchange: Permutation) -> None:
        """Raise `Asymmetric` unless the permutation, which is its own inverse, is a symmetry of the system."""
        start = self.system.initial_state()
        for variable, before, after in zip(self.system.variables, start, exchange.state(self.system, start)):
            if before != after:
                raise Asymmetric(f"the initial value of {variable.name} tells them apart")
        reader = self.shapes.under(exchange)
        for instance in self.instances:
            image = exchange.instance(instance)
            try:
                mine, theirs = reader.form(instance), self.forms[self.place[_key(image)]]
            except Asymmetric as error:
                raise Asymmetric(f"row {instance.action.name}: {error}") from error
            if not reader.same(mine, theirs, instance):
                raise Asymmetric(f"row {instance.action.name}: {instance} is not renamed {image}: {self._difference(reader, instance, image)}")

    def _difference(self, reader: Reader, instance: Instance, image: Instance) -> str:
        """The first part of a row that tells two of its instances apart."""
        there = {shape for _, shape in self.shapes.under(IDENTITY).parts(image)}
        return next((f"`{part}`" for part, shape in reader.parts(instance) if shape not in there), "the order in which it is judged")

    def renamings(self, name: str, expr: Expr, classes: list[Class]) -> list[Permutation]:
        """Permutations inside the classes that give each renaming of a predicate once, the identity first.

        Raises:
            Asymmetric: there are too many, or the predicate treats the values as numbers.
        """
        exchanges = list(_swaps(classes))
        found = {self._closed(name, expr, IDENTITY): IDENTITY}
        waiting = [IDENTITY]
        while waiting:
            known = waiting.pop()
            for exchange in exchanges:
                new = exchange.after(known)
                number = self._closed(name, expr, new)
                if number not in found:
                    found[number] = new
                    waiting.append(new)
            if len(found) > MOST_RENAMINGS:
                raise Asymmetric(f"property {name} has more than {MOST_RENAMINGS} renamings")
        return [g.inverse for g in found.values()]  # the shape under g is that of P(g^-1(s))

    def _closed(self, name: str, expr: Expr, permutation: Permutation) -> int:
        try:
            return self.shapes.under(permutation).closed(expr)
        except Asymmetric as error:
            raise Asymmetric(f"property {name}: {error}") from error


def _swaps(classes: list[Class]) -> Iterator[Permutation]:
    """The exchanges of two values of one class."""
    for index, members in classes:
        for k, first in enumerate(members):
            for second in members[k + 1 :]:
                yield swap(index, first, second)


def _key(instance: Instance) -> tuple[int, tuple, tuple]:
    return instance.action.number, instance.copy, instance.values


def _words(layout: Layout, state: State) -> list[int]:
    return [int(w) for w in layout.pack(state)]
