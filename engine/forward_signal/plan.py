"""A plan: which system a run drives."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.machines.signalling.forward_signal import build

from ..runtime.placement import Composition

BUILDER = f"{build.__module__}:{build.__name__}"


@dataclass(frozen=True)
class SignalPlan:
    """The forward signal with production bounds: batches without end, every forward scheduled (no decoding on its own).

    Args:
        ranks: tensor-parallel ranks. variant, role: versions of the machines, and for which instance they are made.
    """

    ranks: int
    variant: str = "repaired"
    role: str = "mixed"

    @property
    def composition(self) -> Composition:
        """The system and its bounds."""
        bounds = {"variant": self.variant, "ranks": self.ranks, "role": self.role, "batches": None, "decode_steps": 0}
        return Composition(BUILDER, bounds)
