"""The messager of V0 along `step_layer_words`: it sends what the two words that it has read say, whatever the worker has written by then."""

from __future__ import annotations

from typing import Any

from ...binding import after
from ..instance import layer_groups
from ..walk import Step
from ..world import PROMPT_BLOCKS
from .sends import Sends


class StepLayerWords(Sends):
    """A request for each step. D decodes it when all its layers have been sent and its forward has a first token."""

    @staticmethod
    def harmless(config: dict[str, Any]) -> dict[str, Any]:
        """Ours."""
        return {"variant": "repaired"}

    def start(self) -> None:
        """Steps are numbered from 1, requests from 0."""
        steps, layers = self.config.get("steps", 2), self.config.get("layers", 2)
        self.groups = layer_groups(layers)
        self.lay_out(steps, PROMPT_BLOCKS, layers)
        self.written, self.sent = dict.fromkeys(range(steps), 0), dict.fromkeys(range(steps), 0)

    @after("worker.write_layer")
    def write_layer(self, step: Step) -> None:
        """The next layer of the step's request."""
        number, layer = step.before("worker_step"), step.after("worker_layer")
        assert isinstance(number, int) and isinstance(layer, int)
        self.write(number - 1, layer)
        self.written[number - 1] = layer + 1
        self._decode(number - 1)

    @after("messager.send_layers", "messager.send_all_layers")
    def send_layers(self, step: Step) -> None:
        """Up to the layer that the pair stands for: of a later step, all of this one."""
        item, number, layer = (step.before(name) for name in ("item", "seen_step", "seen_layer"))
        assert isinstance(item, int) and isinstance(number, int) and isinstance(layer, int)
        q = item - 1
        if q not in self.sent:
            return
        upto = len(self.groups) if number > item else layer + 1 if number == item else 0
        for group in range(self.sent[q], upto):
            self.send(q, self.groups[group])
        self.sent[q] = max(self.sent[q], upto)
        self._decode(q)

    def _decode(self, q: int) -> None:
        if self.written[q] == self.sent[q] == len(self.groups) and not self.answers[q].tokens:
            self.begin(q)
