"""Captured-graph buffers along `graph_buffers`: a replay copies the tokens of its step to the address of its capture, however much fits there.

The buffers are those of a decode worker, created again as the version does it. In memory another's lies behind the draft model's: the prompt
of a neighbour. What is measured is the distance (total variation) of the distribution after the neighbour's prompt, as memory has it when a
replay is over, from that of the prompt that was put there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from protocol.machines.buffers.graph_buffers import RECREATIONS

from ...binding import after
from ...model.reference import log_probabilities
from ...model.sampling_rows import total_variation
from ...model.shard import Chunk
from ...model.step_buffers import CapturedStep, IllegalAccess, StepBuffers
from ...model.weights import Floats
from ..instance import drawn_prompt, weights
from ..walk import Step
from ..world import World

NEIGHBOUR_TOKENS = 16


class GraphBuffers(World):
    """The buffers of the target and of the draft model, the graph that is captured over the latter, and what lies behind them."""

    @staticmethod
    def harmless(config: dict[str, Any]) -> dict[str, Any]:
        """Ours."""
        return {"variant": "repaired"}

    def start(self) -> None:
        """Buffers of their first size, and the neighbour behind the draft model's."""
        self.first: int = self.config.get("tokens", 3)
        self.target, self.draft = StepBuffers(self.first), StepBuffers(self.first)
        self.graph = CapturedStep(self.draft, range(1, self.first + 1))
        self.neighbour = drawn_prompt(self.seed, 0, NEIGHBOUR_TOKENS)
        self.expected = self._after(self.neighbour)

    def _after(self, prompt: tuple[int, ...]) -> Floats:
        return np.exp(log_probabilities(weights(), prompt)[-1])

    def replay(self, tokens: int) -> None:
        """A step of so many tokens; then the neighbour is read."""
        step = drawn_prompt(self.seed, 1, tokens)
        batch, past_end = [Chunk(step, 0, ())], max(0, tokens - self.draft.capacity)
        try:
            self.graph.replay(batch)
        except IllegalAccess:  # a device that checks ends the process here; this one writes on
            self.noted["entries written past the end of a buffer"] += past_end
        self.target.reshape(batch)
        behind = (*step[tokens - past_end :], *self.neighbour[past_end:])
        self.distances.append(total_variation(self._after(behind), self.expected))

    @after("runner.replay", "runner.replay_past_end")
    def step(self, step: Step) -> None:
        """A step, whether the buffer has as many entries as it has tokens, or fewer."""
        self.replay(step.values["tokens"])

    @after("runner.create")
    def create(self, step: Step) -> None:
        """The draft model's buffers anew; the neighbour lies behind them again."""
        self.draft = self.target.recreated(RECREATIONS[self.config.get("variant", "repaired")], self.first)

    @after("runner.capture")
    def capture(self, step: Step) -> None:
        """The graph is recorded with whatever rows there are."""
        self.graph = CapturedStep(self.draft, range(1, self.first + 1))
        if self.graph.stale_rows:
            self.noted["graph captured with rows of the last step"] += 1
