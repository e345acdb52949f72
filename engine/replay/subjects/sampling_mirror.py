"""The mirror of top_p along `sampling_mirror`: from which distribution does a row draw its token?

Every row of a step has logits of the tiny model after a prompt of its own. The fast path, which the list decides on, draws from the
whole distribution whatever the device's tensor says. What is measured is the distance (total variation) between the distribution
that a row draws from and the one that its request asked for; a greedy replay would show nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...model.reference import log_probabilities
from ...model.sampling import distribution
from ...model.weights import Floats
from ...roles.binding import after
from ..instance import drawn_prompt, weights
from ..walk import Step
from ..world import World

TOP_P = 0.7
PROMPT_TOKENS = 16


class SamplingMirror(World):
    """One worker's batch."""

    @staticmethod
    def harmless(config: dict[str, Any]) -> dict[str, Any]:
        """Ours."""
        return {"variant": "repaired"}

    def start(self) -> None:
        """Logits for as many requests as there are rows; which request is in which row does not matter."""
        self.rows: int = self.config.get("rows", 2)
        prompts = [drawn_prompt(self.seed, row, PROMPT_TOKENS) for row in range(self.rows)]
        self.logits = [log_probabilities(weights(), prompt)[-1] for prompt in prompts]

    @after("runner.sample")
    def sample(self, step: Step) -> None:
        """A step: the list says whether any row needs its nucleus."""
        occupied = [step.before("row_occupied", row) for row in range(self.rows)]
        size = max((row + 1 for row in range(self.rows) if occupied[row]), default=0)
        fast = not any(step.before("top_p_list_below_one", row) for row in range(size))
        for row in range(size):
            if occupied[row]:
                asked = self._nucleus(row, TOP_P if step.before("top_p_below_one", row) else 1.0)
                drawn = self._nucleus(row, 1.0) if fast else asked
                self.distances.append(float(np.abs(asked - drawn).sum() / 2))

    def _nucleus(self, row: int, top_p: float) -> Floats:
        return distribution(self.logits[row], 1.0, top_p)
