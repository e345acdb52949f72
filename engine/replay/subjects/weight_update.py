"""The legacy update of weights along `weight_update`: who runs what with which weights, and whose batch is cleared away.

Weights that are dropped are zeros; the new ones are the old ones again, so that the reference stays what it is: a token is hit where
some rank has computed without weights.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from protocol.machines.collectives.weights import Status

from ...binding import after
from ...model.weights import Weights
from ..instance import weights
from ..walk import Step
from .batches import Batches


@cache
def _dropped() -> Weights:
    model = weights()
    return Weights(model.config, {name: np.zeros_like(array) for name, array in model.arrays.items()})


class WeightUpdate(Batches):
    """Instances whose weights are dropped and brought back."""

    scheduler = "engine"

    @staticmethod
    def harmless(config: dict[str, Any]) -> dict[str, Any]:
        """Ours."""
        return {"variant": "repaired"}

    def start(self) -> None:
        """With weights, or without where they have been dropped already."""
        super().start()
        if self.config.get("begins_dropped"):
            for i in range(self.count):
                for r in range(self.ranks):
                    self._load(i, r, _dropped())

    def has_request(self, batch: object) -> bool:
        """Batches are numbers."""
        return batch is not None

    def _load(self, i: int, r: int, model: Weights) -> None:
        self.instances[f"engine {i}"].shards[r].weights = model.shard(r, self.ranks)

    @after("engine.put_batch")
    def put_batch(self, step: Step) -> None:
        """A batch is in the queue."""
        self.publish(step)

    @after("worker.load_weights")
    def load(self, step: Step) -> None:
        """The rank drops its weights, or has new ones."""
        i, r = step.copy
        self._load(i, r, _dropped() if step.before("worker_status", i, r) == Status.CLEARING else weights())
