"""How many layers are signalled and awaited, along `signalled_layers`: the messager sends up to the layer of each signal, and reports at its last.

The draft model's layer, where it runs, is behind the model's own: no token rests on it, as a draft that it gets wrong is rejected.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...binding import after
from ..instance import layer_groups
from ..walk import Step
from ..world import PROMPT_BLOCKS
from .sends import Sends


class Failing:
    """The worker of a version that may have more layers than its struct allows."""

    def __init__(self, world: SignalledLayers):
        self._world = world

    @after("worker.fail_assertion")
    def die(self, step: Step) -> None:
        """P's process is gone."""
        self._world.noted["P's worker dies of the assertion that bounds its layers"] += 1


class Reporting:
    """The messager of a version that has taken the task."""

    def __init__(self, world: SignalledLayers):
        self._world = world

    @after("messager.mark_progress", "messager.mark_late")
    def mark(self, step: Step) -> None:
        """Up to the layer of the signal."""
        self._world.send_marked(step)

    @after("messager.report")
    def report(self, step: Step) -> None:
        """What the messager takes for the last layer."""
        self._world.send_marked(step)
        self._world.is_reported = True
        if step.touches("reported_early") and step.after("reported_early"):
            self._world.noted["a request is reported before the draft model's layer is written"] += 1
        self._world.decode_when_told()


class Refusing:
    """The messager of a version that refuses a task of another number of layers."""

    def __init__(self, world: SignalledLayers):
        self._world = world

    @after("messager.refuse_task")
    def refuse(self, step: Step) -> None:
        """The client hears of it."""
        self._world.fail(0)


class SignalledLayers(Sends):
    """One request."""

    @staticmethod
    def harmless(config: dict[str, Any]) -> dict[str, Any]:
        """Ours, with all in agreement."""
        return {"variant": "repaired"}

    def start(self) -> None:
        """Nothing is written or signalled."""
        self.layers = self.config.get("layers", 2)
        self.groups = layer_groups(self.layers)
        self.lay_out(1, PROMPT_BLOCKS, self.layers)
        self.written = self.sent = 0
        self.is_reported = False

    @after("worker.signal_layer")
    def write_layer(self, step: Step) -> None:
        """A layer of the request is written; a dummy run has no rows, and the draft model's layer is not the model's."""
        layer = step.before("struct_layer")
        assert isinstance(layer, int)
        if step.before("forward_has_rows") and layer < self.layers:
            self.write(0, layer)
            self.written = layer + 1
            self.decode_when_told()

    def roles(self) -> Sequence[object]:
        """Those that the version has."""
        return [self, *(role(self) for role in (Failing, Reporting, Refusing) if self.has(role))]

    def send_marked(self, step: Step) -> None:
        """The layers up to the signal's."""
        ((layer, _), *_) = step.before("kv_signals")  # type: ignore[misc]
        for group in range(self.sent, min(layer + 1, self.layers)):
            self.send(0, self.groups[group])
            self.sent = group + 1

    def decode_when_told(self) -> None:
        """D has been told, and P has the first token."""
        if self.is_reported and self.written == self.layers and not self.answers[0].tokens:
            self.begin(0)
