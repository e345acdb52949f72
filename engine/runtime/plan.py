"""A plan: which system a run drives. Small and picklable, so that every process builds the same system from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from protocol.machines.signalling.forward_signal import build
from protocol.system import System


@dataclass(frozen=True)
class Plan:
    """The forward signal with production bounds: batches without end, every forward scheduled (no decoding on its own)."""

    ranks: int
    role: str
    variant: str

    @property
    def config(self) -> dict[str, Any]:
        """The builder's arguments."""
        return {"variant": self.variant, "ranks": self.ranks, "role": self.role, "batches": None, "decode_steps": 0}

    def system(self) -> System:
        """The machines without ghosts: nobody asks a property here."""
        return build(**self.config).focused()

    def described(self) -> dict[str, Any]:
        """What a log says of its system, so that it can be built again."""
        return {"builder": f"{build.__module__}:{build.__name__}", "config": self.config}
