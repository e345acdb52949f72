"""The arguments of builders: one way to say which are allowed, and one way to refuse the others."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import DefinitionError


def one_of(known: Iterable[object], **given: object) -> None:
    """Refuse an argument that is not among the known ones.

    Raises:
        DefinitionError: names it, and what is known.
    """
    choices = list(known)
    for name, value in given.items():
        if value not in choices:
            raise DefinitionError(f"{name}={value!r}: choose one of {', '.join(map(str, choices))}")


def within(low: int, high: int, **given: int) -> None:
    """Refuse a number that does not lie between the two, both included.

    Raises:
        DefinitionError: names it, and what is allowed.
    """
    for name, value in given.items():
        if not low <= value <= high:
            raise DefinitionError(f"{name}={value}: choose one of {', '.join(map(str, range(low, high + 1)))}")
