"""Captured-graph buffers along `graph_buffers`: a replay copies the tokens of its step to the address of its capture, however much fits there.

The buffer lies in one stretch of memory with another's: the prompt of a neighbour. What is measured is the distance (total variation) of
the distribution after the neighbour's prompt, as memory has it by then, from that of the prompt that was put there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...model.reference import log_probabilities
from ...model.weights import Floats
from ...roles.binding import after
from ..instance import drawn_prompt, weights
from ..walk import Step
from ..world import World

NEIGHBOUR_TOKENS = 16


class GraphBuffers(World):
    """One draft model's input buffer, and what lies behind it."""

    @staticmethod
    def harmless(config: dict[str, Any]) -> dict[str, Any]:
        """Ours."""
        return {"variant": "repaired"}

    def start(self) -> None:
        """The buffer at its first size, and the neighbour behind it."""
        self.entries: int = self.config.get("tokens", 3)
        self.neighbour = drawn_prompt(self.seed, 0, NEIGHBOUR_TOKENS)
        self.expected = self._after(self.neighbour)
        self.memory = np.array([0] * self.entries + list(self.neighbour))

    def _after(self, prompt: tuple[int, ...]) -> Floats:
        return np.exp(log_probabilities(weights(), prompt)[-1])

    def replay(self, tokens: int) -> None:
        """As many entries as the step has tokens; then the neighbour is read."""
        self.memory[:tokens] = drawn_prompt(self.seed, 1, tokens)
        behind = tuple(map(int, self.memory[self.entries :]))
        self.distances.append(float(np.abs(self._after(behind) - self.expected).sum() / 2))

    @after("runner.replay")
    def replay_within(self, step: Step) -> None:
        """A step."""
        self.replay(step.values["tokens"])

    @after("runner.replay_past_end")
    def replay_past_end(self, step: Step) -> None:
        """A step with more tokens than the buffer has entries; a device that checks ends the process here."""
        self.noted["entries written past the end of a buffer"] += step.values["tokens"] - self.entries
        self.replay(step.values["tokens"])

    @after("runner.create")
    def create(self, step: Step) -> None:
        """The buffer anew, at the size that it has now; the neighbour lies behind it again."""
        self.entries = step.after("draft_entries")
        self.memory = np.array([0] * self.entries + list(self.neighbour))

    @after("runner.capture")
    def capture(self, step: Step) -> None:
        """The graph is recorded with whatever rows there are."""
        if step.before("rows_of_last_step"):
            self.noted["graph captured with rows of the last step"] += 1
