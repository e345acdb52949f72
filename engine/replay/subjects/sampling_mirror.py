"""The mirror of top_p along `sampling_mirror`: from which distribution does a row draw its token?

The rows are those of a decode worker, with the mirror as the version keeps it. Every row of a step has logits of the tiny model after a
prompt of its own. What is measured is the distance (total variation) between the distribution that a row draws from and the one that its
request asked for; a greedy replay would show nothing.
"""

from __future__ import annotations

from typing import Any

from protocol.machines.buffers.sampling_mirror import MIRRORS

from ...binding import after
from ...model.reference import log_probabilities
from ...model.sampling import Sampling
from ...model.sampling_rows import SamplingRows, total_variation
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
        """Empty rows, and logits for as many requests; which request is in which row does not matter."""
        count: int = self.config.get("rows", 2)
        self.rows = SamplingRows(count, self.config.get("tokens", 1), MIRRORS[self.config.get("variant", "repaired")])
        prompts = [drawn_prompt(self.seed, row, PROMPT_TOKENS) for row in range(count)]
        self.logits = [log_probabilities(weights(), prompt)[-1] for prompt in prompts]

    @after("runner.insert")
    def take_row(self, step: Step) -> None:
        """A request takes a row."""
        self.rows.insert(step.values["row"], Sampling(1.0, TOP_P if step.values["below"] else 1.0))

    @after("runner.finish")
    def end_row(self, step: Step) -> None:
        """Its request has ended."""
        self.rows.finish(step.values["row"])

    @after("runner.swap_states")
    def swap_rows(self, step: Step) -> None:
        """Two rows change places."""
        self.rows.swap(step.values["row"], step.values["other"])

    @after("runner.sample")
    def sample(self, step: Step) -> None:
        """A step: the list says whether any row needs its nucleus."""
        for row, logits in enumerate(self.logits):
            if step.before("row_occupied", row):
                self.distances.append(total_variation(self.rows.drawn_from(row, logits), self.rows.asked_for(row, logits)))
