"""Expert rounds along `expert_round`: which requests are computed, and which wait for a rank that never comes.

The all-to-all is a meeting of the ranks here, as in the machines: who enters gets what is his. What a round costs is time, or everything.
"""

from __future__ import annotations

from typing import Any

from protocol.machines.collectives.loop import Batch

from ...binding import after
from ..walk import Step
from .batches import Batches


class ExpertRound(Batches):
    """Instances that meet in every forward."""

    scheduler = "gate"

    @staticmethod
    def harmless(config: dict[str, Any]) -> dict[str, Any]:
        """Ours, without a fault, and without deaths: a batch ends with its engine, and the error that its clients get is no row of these machines."""
        return {"variant": "repaired", "fault": None, "fate": None}

    def has_request(self, batch: object) -> bool:
        """A batch may be empty, or control."""
        return batch == Batch.REQUESTS

    @after("gate.put_batch")
    def put_batch(self, step: Step) -> None:
        """A batch is in the queue."""
        self.publish(step)

    def roles(self) -> list[object]:
        """With the gate's last word, where it has one."""
        return [self, *(role(self) for role in (GivenUp,) if self.has(role))]


class GivenUp:
    """Ours: a gate that waits too long."""

    def __init__(self, world: ExpertRound):
        self._world = world

    @after("gate.give_up")
    def give_up(self, step: Step) -> None:
        """All requests of the instance get an error."""
        (i,) = step.copy
        for name in self._world.put[i]:
            self._world.answers[name].over = True
            self._world.instances[f"engine {i}"].free(name)
