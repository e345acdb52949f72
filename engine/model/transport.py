"""What carries the exchanges of ranks that compute together: one thread for all of them, or shared memory between their processes.

A rank *enters* what it computes with the others, and *leaves* it, which it may only when all have entered: that is the protocol's business. Nothing
is computed before somebody leaves, so whoever waits for others waits in the protocol, where he can be asked for whom, and not in an exchange.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from .collective import Exchanging, run_together
from .shared_exchange import Parted, SharedExchange

Place = tuple[int, int]
"""An instance and a rank of it."""


class Transport(Protocol):
    """A rank's way to the others."""

    def enter(self, computation: Exchanging) -> None:
        """The rank has entered its next computation of all."""
        ...

    def leave(self) -> None:
        """Bring the rank's computation to its end, or nowhere when some rank is being stopped."""
        ...

    def close(self) -> None:
        """The rank is being stopped, and enters nothing any more."""
        ...


class OneThread:
    """All ranks in one thread.

    Args:
        places: of all, an instance after the other, each with so many `ranks`.
    """

    def __init__(self, places: Sequence[Place], ranks: int):
        self._places, self._ranks = places, ranks
        self.entered: dict[Place, Exchanging] = {}

    def run(self) -> None:
        """Compute what all have entered."""
        run_together([self.entered.pop(place) for place in self._places], self._ranks)


class Seat:
    """A rank's place in the thread: whoever leaves first computes for all."""

    def __init__(self, thread: OneThread, place: Place):
        self._thread, self._place = thread, place

    def enter(self, computation: Exchanging) -> None:
        """See `Transport`."""
        self._thread.entered[self._place] = computation

    def leave(self) -> None:
        """See `Transport`."""
        if self._place in self._thread.entered:
            self._thread.run()

    def close(self) -> None:
        """See `Transport`."""


class Member:
    """A rank in a process of its own.

    Args:
        tensor: its end of the exchange between the ranks of its instance. world: of that between the ranks of all.
    """

    def __init__(self, tensor: SharedExchange, world: SharedExchange):
        self._tensor, self._world = tensor, world

    def enter(self, computation: Exchanging) -> None:
        """See `Transport`."""
        self._entered = computation

    def leave(self) -> None:
        """See `Transport`."""
        with suppress(Parted):
            self._tensor.carry(self._entered, self._world)

    def close(self) -> None:
        """See `Transport`."""
        self._tensor.close()
        self._world.close()
