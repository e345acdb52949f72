"""Rows of the worker that are moved, along `swapped_rows`: a layer is sent when the messager's mark says so, whoever has written which.

D decodes when a request has been sent whole and its forward has a first token.
"""

from __future__ import annotations

from typing import Any

from ...binding import after
from ..instance import layer_groups
from ..walk import Step
from ..world import PROMPT_BLOCKS
from .sends import Sends


class SwappedRows(Sends):
    """Requests that are written and sent layer by layer."""

    @staticmethod
    def harmless(config: dict[str, Any]) -> dict[str, Any]:
        """Ours."""
        return {"variant": "repaired"}

    def start(self) -> None:
        """As many groups of layers as the builder has layers."""
        self.layers: int = self.config.get("layers", 2)
        self.groups = layer_groups(self.layers)
        self.left = {q: 2 * self.layers for q in range(self.config.get("requests", 2))}
        self.lay_out(len(self.left), PROMPT_BLOCKS, self.layers)

    @after("worker.write_layer")
    def write_layer(self, step: Step) -> None:
        """The next layer of a request."""
        q = step.values["request"]
        self.write(q, step.before("written_layers", q))
        self._one_less(q)

    @after("sender.send_layer")
    def send_layer(self, step: Step) -> None:
        """The next layer that is marked."""
        (q,) = step.copy
        self.send(q, self.groups[step.before("sent_layers", q)])
        self._one_less(q)

    def _one_less(self, q: int) -> None:
        self.left[q] -= 1
        if not self.left[q]:
            self.begin(q)
