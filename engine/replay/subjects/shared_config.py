"""One configuration for several threads, along `shared_config`: a message to D names a slot of P, from which the request's cache is sent.

P has computed all requests, each in the slot of its number. Where the slot is another's, D decodes from that other's cache.
"""

from __future__ import annotations

from typing import Any

from ...binding import after
from ..instance import layer_groups
from ..walk import Step
from ..world import PROMPT_BLOCKS
from .sends import Sends


class SharedConfig(Sends):
    """Requests that are asked for at once."""

    @staticmethod
    def harmless(config: dict[str, Any]) -> dict[str, Any]:
        """Ours."""
        return {"variant": "repaired"}

    def start(self) -> None:
        """P has computed everything."""
        requests = self.index("asking", "request").size
        self.lay_out(requests, PROMPT_BLOCKS, 1)
        for q in range(requests):
            self.write(q, 0)

    @after("receiver.read_last")
    def read(self, step: Step) -> None:
        """The last frame; where both are of one request D knows where its cache lies, and gets it."""
        request, _, slot = step.before("dealer_socket")[0]
        if step.before("first_frame") == request:
            self.send(request, layer_groups(1)[0], slot=slot)
            self.begin(request)
