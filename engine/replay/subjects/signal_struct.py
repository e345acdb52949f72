"""Signals of a stream along `signal_struct`: each forward writes its own request's layer, and the messager sends of the rows that the struct names.

A request is taken for sent when its last layer has been signalled.
"""

from __future__ import annotations

from typing import Any

from ...binding import after
from ..instance import layer_groups
from ..walk import Step
from ..world import PROMPT_BLOCKS
from .sends import Sends


class SignalStruct(Sends):
    """A request for each forward."""

    @staticmethod
    def harmless(config: dict[str, Any]) -> dict[str, Any]:
        """Ours."""
        return {"variant": "repaired"}

    def start(self) -> None:
        """Nothing is written or signalled."""
        forwards, self.layers = self.config.get("forwards", 2), self.config.get("layers", 2)
        self.groups = layer_groups(self.layers)
        self.lay_out(forwards, PROMPT_BLOCKS, self.layers)
        self.written, self.sent = dict.fromkeys(range(forwards), 0), dict.fromkeys(range(forwards), 0)

    @after("stream.send_signal")
    def signal(self, step: Step) -> None:
        """The forward has written its layer; what the struct names is sent up to the layer that was read."""
        forward, layer, seen = (step.before(name) for name in ("stream_forward", "stream_layer", "seen_layer"))
        assert isinstance(forward, int) and isinstance(layer, int) and isinstance(seen, int)
        rows = step.before("struct_rows", *([forward] if self.config.get("variant", "repaired") == "repaired" else []))
        assert isinstance(rows, int)
        self.write(forward, layer)
        self.written[forward] = layer + 1
        for group in range(self.sent[rows], min(seen + 1, self.layers)):
            self.send(rows, self.groups[group])
            self.sent[rows] = group + 1
        for q in (forward, rows):
            if self.sent[q] == self.written[q] == self.layers and not self.answers[q].tokens:
                self.begin(q)
