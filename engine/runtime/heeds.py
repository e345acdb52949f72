"""What a waiting client heeds: the changes for which the queue server is to rouse it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import or_
from typing import Any, NamedTuple

from .directory import Key


class Vainly(NamedTuple):
    """Variables that are not worth being roused for while one cell, whose variable is among them, has one of these values."""

    bits: int
    key: Key
    values: tuple[Any, ...]


class Heeds(NamedTuple):
    """What a client that waits is to be roused by: changes of these variables, a bit for each by its number, and of those of each `vainly`."""

    always: int = 0
    vainly: frozenset[Vainly] = frozenset()

    def __or__(self, other: Heeds) -> Heeds:  # type: ignore[override]
        return Heeds(self.always | other.always, self.vainly | other.vainly)

    def covers(self, other: Heeds) -> bool:
        """Whether whoever is roused by these is roused by whatever the others rouse for."""
        return not other.always & ~self.always and all(v in self.vainly or not v.bits & ~self.always for v in other.vainly)


EVERYTHING = Heeds(-1)


def variables_of(cells: Iterable[Key]) -> Heeds:
    """All changes of the variables of these cells."""
    return Heeds(reduce(or_, (1 << number for number, _ in cells), 0))
