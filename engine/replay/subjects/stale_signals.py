"""Signals of an earlier life of P along `stale_signals`: what they say is written is sent, and D decodes from it.

A token of the builder is two blocks of a prompt. A request is sent when an item covers it; an item that comes after that finds no task.
"""

from __future__ import annotations

from typing import Any

from ...binding import after
from ..instance import layer_groups
from ..walk import Step
from .sends import Sends

TOKEN_BLOCKS = 2
REQUEST = 0


class StaleSignals(Sends):
    """The request of the new life."""

    @staticmethod
    def harmless(config: dict[str, Any]) -> dict[str, Any]:
        """Ours."""
        return {"variant": "repaired"}

    def start(self) -> None:
        """Its prompt; nothing is computed yet."""
        self.tokens: int = self.config.get("tokens", 2)
        self.lay_out(1, self.tokens * TOKEN_BLOCKS, 1)
        self.computed = self.sent = False

    @after("prefill.forward")
    def forward(self, step: Step) -> None:
        """The new life's forward."""
        self.write(REQUEST, 0)
        self.computed = True
        self._end()

    @after("sender.send")
    def item(self, step: Step) -> None:
        """What the item says is written."""
        if not self.sent:
            tokens = min(self.tokens, step.before("item_in_hand"))
            self.send(REQUEST, layer_groups(1)[0], tokens * TOKEN_BLOCKS)
            self.sent = tokens == self.tokens
            self._end()

    def _end(self) -> None:
        if self.sent and self.computed and not self.answers[REQUEST].tokens:
            self.begin(REQUEST)
