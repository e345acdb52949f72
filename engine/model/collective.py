"""The exchanges of a forward between ranks, as data: what a rank gives, and what each gets when all have given.

A forward stops at each exchange and goes on with what it receives; who carries the arrays (one thread for all ranks, or shared
memory between processes) is a runtime's. Sums are made in the order of the ranks, so that every rank and every run has the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..errors import EngineError
from .weights import Floats

Parcels = tuple[tuple[Floats, ...], ...]
"""For each place of the other side (a rank among all ranks of all instances), an array for each expert there."""


@dataclass(frozen=True)
class AllReduce:
    """Partial sums (tokens, hidden) of the ranks of one instance; each gets the sum."""

    layer: int
    part: str
    given: Floats


@dataclass(frozen=True)
class AllGather:
    """Parts (rows, width) of the ranks of one instance; each gets all, side by side."""

    layer: int
    part: str
    given: Floats


@dataclass(frozen=True)
class AllToAll:
    """A parcel for every rank of all instances; each gets the parcels for it, in the order of the senders."""

    layer: int
    part: str
    given: Parcels


Collective = AllReduce | AllGather | AllToAll


class Exchanging(Protocol):
    """What one rank computes together with others, from one exchange to the next, such as a forward."""

    waits: Collective | None
    """The exchange that it is at; None before the first and after the last."""

    def advance(self, received: Any = None) -> None:
        """Go on to the next exchange, with what the last one delivered."""
        ...


class CollectiveMismatch(EngineError):
    """Ranks have entered collectives that do not go together: the transport would pair them all the same, or wait for ever."""


def reduce(partials: Sequence[Floats]) -> Floats:
    """The sum over the ranks, in their order."""
    total = partials[0].copy()
    for partial in partials[1:]:
        total += partial
    return total


def complete(entered: Sequence[Collective]) -> list[Any]:
    """What each member receives, from what all members of a group gave, in their order.

    Raises:
        CollectiveMismatch: they are not one collective, or arrays of different batches.
    """
    first = entered[0]
    if any((type(c), c.layer, c.part) != (type(first), first.layer, first.part) for c in entered):
        raise CollectiveMismatch("; ".join(f"rank {k} is at {describe(c)}" for k, c in enumerate(entered)))
    if isinstance(first, AllToAll):
        return [tuple(c.given[place] for c in entered if isinstance(c, AllToAll)) for place in range(len(entered))]
    given = [c.given for c in entered if not isinstance(c, AllToAll)]
    if any(len(array) != len(given[0]) for array in given):
        rows = ", ".join(str(len(array)) for array in given)
        raise CollectiveMismatch(f"{describe(first)}: the ranks hold batches of {rows} rows; give every rank the same batch")
    joined = reduce(given) if isinstance(first, AllReduce) else np.concatenate(given, axis=-1)
    return [joined] * len(entered)


def run_together(members: Sequence[Exchanging], ranks: int) -> None:
    """Advance all ranks of all instances from their first exchange to their last, in one thread.

    Args:
        members: an instance after the other, with so many `ranks` each, which reduce and gather among themselves; all-to-alls join all.

    Raises:
        CollectiveMismatch: they do not come to the same exchanges.
    """
    for member in members:
        member.advance()
    while waits := [member.waits for member in members if member.waits is not None]:
        size = len(members) if isinstance(waits[0], AllToAll) else ranks
        groups = [waits[first : first + size] for first in range(0, len(waits), size)]
        if len(waits) < len(members):
            raise CollectiveMismatch(f"{len(members) - len(waits)} of {len(members)} ranks have ended, and others are at {describe(waits[0])}")
        for member, received in zip(members, [delivered for group in groups for delivered in complete(group)], strict=True):
            member.advance(received)


def describe(collective: Collective) -> str:
    """`the all-reduce of attention, layer 3`."""
    names = {AllReduce: "all-reduce", AllGather: "all-gather", AllToAll: "all-to-all"}
    return f"the {names[type(collective)]} of {collective.part}, layer {collective.layer}"
