"""What carries the exchanges of the ranks: one thread for all of them, or shared memory between their processes."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.shared_memory import SharedMemory
from typing import Protocol

from ..model.collective import Exchanging, run_together
from ..model.named import weights_of
from ..model.shared_exchange import Parted, SharedExchange
from ..model.threads import share_cores
from ..model.weights import Weights
from ..runtime.household import SEGMENT_PREFIX
from .layout import Layout, Place


class Transport(Protocol):
    """A rank's way to the others. What it has entered is computed when it leaves, which it may only when all have entered."""

    def enter(self, computation: Exchanging) -> None:
        """The rank has entered its next computation of all."""
        ...

    def leave(self) -> None:
        """Bring the rank's computation to its end, or nowhere when some rank is being stopped."""
        ...

    def close(self) -> None:
        """The rank is being stopped, and enters nothing any more."""
        ...


class Common(Protocol):
    """What the processes of a run have beside the protocol."""

    def weights(self) -> Weights:
        """The whole model."""
        ...

    def transport(self, place: Place) -> Transport:
        """The rank's."""
        ...


class OneThread:
    """All ranks in one thread."""

    def __init__(self, layout: Layout, weights: Weights):
        self._layout, self._weights = layout, weights
        self.entered: dict[Place, Exchanging] = {}

    def weights(self) -> Weights:
        """The whole model."""
        return self._weights

    def transport(self, place: Place) -> Seat:
        """The rank's."""
        return Seat(self, place)

    def run(self) -> None:
        """What all have entered."""
        together = [self.entered.pop(place) for place in self._layout.places]
        run_together(together, self._layout.ranks)


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


@dataclass(frozen=True)
class Segments:
    """Shared memory: a segment an instance, and one for all ranks, which `made` makes and removes."""

    layout: Layout
    name: str

    @classmethod
    @contextmanager
    def made(cls, layout: Layout) -> Iterator[Segments]:
        """New segments, all zero, removed at the end."""
        segments = cls(layout, f"{SEGMENT_PREFIX}{os.getpid()}-{secrets.token_hex(4)}-experts")
        with ExitStack() as owned:
            for which in range(layout.instances + 1):
                members = layout.ranks if which < layout.instances else len(layout.places)
                memory = SharedMemory(f"{segments.name}-{which}", create=True, size=SharedExchange.bytes_needed(members, layout.floats))
                owned.callback(memory.unlink)
                owned.callback(memory.close)
            yield segments

    def weights(self) -> Weights:
        """The whole model."""
        return weights_of(self.layout.config)

    def transport(self, place: Place) -> Transport:
        """The rank's, in its process, which computes with its share of the cores."""
        share_cores(len(self.layout.places))
        return Process(
            self._exchange(place[0], place[1], self.layout.ranks),
            self._exchange(self.layout.instances, self.layout.number(place), len(self.layout.places)),
        )

    def _exchange(self, which: int, member: int, members: int) -> SharedExchange:
        return SharedExchange(SharedMemory(f"{self.name}-{which}"), member, members, self.layout.floats)


class Process:
    """A rank in a process of its own."""

    def __init__(self, tensor: SharedExchange, world: SharedExchange):
        self._tensor, self._world = tensor, world

    def enter(self, computation: Exchanging) -> None:
        """See `Transport`. Nothing is computed yet: a rank waits for others in the protocol, where it can be asked for whom."""
        self._entered = computation

    def leave(self) -> None:
        """See `Transport`."""
        with suppress(Parted):
            self._tensor.carry(self._entered, self._world)

    def close(self) -> None:
        """See `Transport`."""
        self._tensor.close()
        self._world.close()
