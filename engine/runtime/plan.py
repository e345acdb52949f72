"""A plan: which system a run drives. Small and picklable, so that every process builds the same system from it."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.machines.signalling.forward_signal import build
from protocol.system import System


@dataclass(frozen=True)
class Plan:
    """The forward signal with production bounds: batches without end, every forward scheduled (no decoding on its own)."""

    ranks: int
    role: str
    variant: str

    def system(self) -> System:
        """The machines without ghosts: nobody asks a property here."""
        return build(self.variant, ranks=self.ranks, role=self.role, batches=None, decode_steps=0).focused()
