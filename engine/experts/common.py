"""What the processes of a run have beside the protocol: the model, and ways to one another, in one thread or by shared memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.shared_memory import SharedMemory
from typing import Protocol

from ..model.named import weights_of
from ..model.shared_exchange import SharedExchange
from ..model.threads import share_cores
from ..model.transport import Member, OneThread, Place, Seat, Transport
from ..model.weights import Weights
from ..runtime.segment import new_name
from .plan import RoundPlan


class Common(Protocol):
    """Asked by each process."""

    def weights(self) -> Weights:
        """The whole model."""
        ...

    def transport(self, place: Place) -> Transport:
        """The rank's."""
        ...


class Room:
    """One thread for all."""

    def __init__(self, plan: RoundPlan, weights: Weights):
        self._weights, self._thread = weights, OneThread(plan.places, plan.ranks)

    def weights(self) -> Weights:
        """The whole model."""
        return self._weights

    def transport(self, place: Place) -> Transport:
        """The rank's."""
        return Seat(self._thread, place)


@dataclass(frozen=True)
class Segments:
    """Shared memory: a segment an instance, and one for all ranks, which `made` makes and removes."""

    plan: RoundPlan
    name: str

    @classmethod
    @contextmanager
    def made(cls, plan: RoundPlan) -> Iterator[Segments]:
        """New segments, all zero, removed at the end."""
        segments = cls(plan, f"{new_name()}-experts")
        with ExitStack() as owned:
            for which in range(plan.instances + 1):
                members = plan.ranks if which < plan.instances else len(plan.places)
                memory = SharedMemory(f"{segments.name}-{which}", create=True, size=SharedExchange.bytes_needed(members, plan.floats))
                owned.callback(memory.unlink)
                owned.callback(memory.close)
            yield segments

    def weights(self) -> Weights:
        """The whole model."""
        return weights_of(self.plan.config)

    def transport(self, place: Place) -> Transport:
        """The rank's, in its process, which computes with its share of the cores."""
        share_cores(len(self.plan.places))
        tensor = self._exchange(place[0], place[1], self.plan.ranks)
        return Member(tensor, self._exchange(self.plan.instances, self.plan.number(place), len(self.plan.places)))

    def _exchange(self, which: int, member: int, members: int) -> SharedExchange:
        return SharedExchange(SharedMemory(f"{self.name}-{which}"), member, members, self.plan.floats)
