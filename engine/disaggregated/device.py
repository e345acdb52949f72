"""A rank of P whose loop does not wait for its forwards: the worker launches them, and the rank's device computes them, one behind the other.

The device is a process of its own beside the worker's, as a card is beside its host: it takes the work out of its stream in the order of the
launches, and its rows are those of the forward that a waiting worker has itself.
"""

from __future__ import annotations

from ..binding import Outcome, after, carries
from ..step import Step
from .job import NewWeights, Work
from .ranks import PrefillForwards


class LaunchingRank:
    """Handlers of the worker: it hands on what it has read."""

    _read: Work | NewWeights | None = None

    @after("worker.read_batch", "worker.read_last_batch")
    def read(self, step: Step) -> None:
        """A batch, or new weights."""
        self._read = step.cargo

    @carries("worker.launch")
    def launch(self, outcome: Outcome) -> Work | NewWeights | None:
        """To the device."""
        return self._read


class Device(PrefillForwards):
    """Handlers of the device."""

    machine = "device"

    @after("device.take_work")
    def take(self, step: Step) -> None:
        """What was launched is computed."""
        self.begin(step)
