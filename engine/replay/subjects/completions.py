"""Parallel sends along `completions`: data arrive when the network card completes their write, and D decodes when a thread says finished."""

from __future__ import annotations

from typing import Any

from ...binding import after
from ..instance import layer_groups
from ..walk import Step
from ..world import PROMPT_BLOCKS
from .sends import Sends


class Completions(Sends):
    """A write of a whole cache for each request."""

    @staticmethod
    def harmless(config: dict[str, Any]) -> dict[str, Any]:
        """Ours."""
        return {"variant": "repaired"}

    def start(self) -> None:
        """P has computed everything."""
        requests = self.index("thread", "write").size
        self.lay_out(requests, PROMPT_BLOCKS, 1)
        for q in range(requests):
            self.write(q, 0)

    @after("nic.complete")
    def arrive(self, step: Step) -> None:
        """The write is done."""
        self.send(step.values["write"], layer_groups(1)[0])

    @after("thread.finish")
    def take_for_sent(self, step: Step) -> None:
        """The thread says that its request is sent."""
        self.begin(step.copy[0])

    @after("thread.charge_error")
    def take_for_failed(self, step: Step) -> None:
        """The thread says that its request has failed."""
        self.fail(step.copy[0])
