"""The balancing of experts (EPLB): what tokens the experts get is counted, and when some place has too many a new placement is proposed.

When ranks may go over to it is not decided here: the proposal is what global rank 0 brings to a collective of all ranks, and every rank
goes over when it leaves that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .model.experts import ExpertPlacement
from .model.layers import Routes

GAIN = 0.95
"""A placement is proposed if its imbalance is at most so much of the present one's; moving experts has its price."""


@dataclass(frozen=True)
class Rebalance:
    """A placement that all ranks have gone over to, and the imbalance of the loads until then, under the last one and under this."""

    placement: ExpertPlacement
    before: float
    after: float


class Balancer:
    """Counts and proposes.

    Args:
        placement: the present one. experts: of the model. every: tokens that have to be counted before a proposal.
    """

    def __init__(self, placement: ExpertPlacement, experts: int, every: int):
        self.placement, self._every = placement, every
        self._loads = np.zeros(experts, np.int64)
        self.history: list[Rebalance] = []

    def count(self, layers: Sequence[Routes]) -> None:
        """The experts that some tokens have visited, layer by layer. One placement serves all layers, so their loads are added up."""
        for routes in layers:
            np.add.at(self._loads, routes.chosen.ravel(), 1)

    def propose(self) -> ExpertPlacement | None:
        """A better placement for the loads since the last one; None to stay."""
        loads = self._loads.tolist()
        if sum(loads) < self._every:
            return None
        self._loads[:] = 0
        found = ExpertPlacement.balanced(loads, len(self.placement.held), len(self.placement.held[0]))
        before, after = self.placement.imbalance(loads), found.imbalance(loads)
        if after > GAIN * before:
            return None
        self.placement = found
        self.history.append(Rebalance(found, before, after))
        return found
