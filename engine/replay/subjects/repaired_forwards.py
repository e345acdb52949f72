"""Who computes the forwards of the repaired protocol: P's workers, which wait for them, or the devices on which they launch them.

Roles of the world in `repaired.py`. A forward is laid out when its batch is read, with the block tables of that moment; what lies in the blocks,
and whose they are, is as of the moment at which a layer is computed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from ...binding import after
from ..walk import Step

if TYPE_CHECKING:
    from .repaired import Batch, Repaired


class Forwards(ABC):
    """The rows of a forward, of the machine that has them."""

    machine: ClassVar[str]

    def __init__(self, world: Repaired):
        self._world = world

    @abstractmethod
    def batch(self, number: int) -> Batch:
        """What that rank computes."""

    @after(".write_layer")
    def write(self, step: Step) -> None:
        """The rank has written a layer."""
        (number,) = step.copy
        forward = self.batch(number).forward
        assert forward is not None
        forward.store(number, step.before(f"{self.machine}_layer", number))

    @after(".emit_tokens")
    def emit(self, step: Step) -> None:
        """The first tokens of the prompts that are through."""
        batch = self.batch(*step.copy)
        assert batch.forward is not None
        logits = dict(zip(batch.forward.owners, batch.forward.logits()))
        self._world.first.update((q, logits[q]) for q in batch.last)


class Waiting(Forwards):
    """Of a worker that waits: what it has read."""

    machine = "worker"

    def batch(self, number: int) -> Batch:
        """See `Forwards`."""
        return self._world.ranks[number].batch


class Launched(Forwards):
    """Of a device: what was launched, in that order."""

    machine = "device"

    def batch(self, number: int) -> Batch:
        """See `Forwards`."""
        return self._world.ranks[number].launched

    @after("worker.launch")
    def launch(self, step: Step) -> None:
        """What the worker has read is in the stream."""
        rank = self._world.ranks[step.copy[0]]
        rank.stream.append(rank.batch)

    @after("device.take_work")
    def take(self, step: Step) -> None:
        """The next."""
        rank = self._world.ranks[step.copy[0]]
        rank.launched = rank.stream.pop(0)


class Loading:
    """New weights on a rank of P."""

    machine: ClassVar[str]

    def __init__(self, world: Repaired):
        self._world = world

    @after(".load_weights")
    def load(self, step: Step) -> None:
        """Those in force."""
        self._world.load(*step.copy)


class LoadingRank(Loading):
    """By its worker."""

    machine = "worker"


class LoadingDevice(Loading):
    """By its device."""

    machine = "device"
