"""A routing file: `<folder>/<rollout>/layer_<layer>.npy`, the experts that every token of a rollout visited in a layer.

A trainer that replays the routes of the rollout computes with the same experts. A file that is read while it is written, or taken
away in between, is what made that fail (hazard H-33): who does what when is the protocol's business (`routing_file`).
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from ..errors import EngineError
from ..model.layers import Integers


class RoutingError(EngineError):
    """A routing file that cannot be loaded."""


class MissingFile(RoutingError):
    """It is not there."""


class BrokenFile(RoutingError):
    """It is there, and not whole, or no array."""


class RoutingFile:
    """The file of one layer of one rollout. `path`: where it lies. `temporary`: where it is filled by those who rename it."""

    def __init__(self, folder: Path, rollout: str, layer: int):
        self.path = folder / rollout / f"layer_{layer}.npy"
        self.temporary = self.path.with_suffix(".part")

    def load(self) -> Integers:
        """What was put, of shape (tokens, experts_per_token).

        Raises:
            MissingFile, BrokenFile: see there.
        """
        try:
            array: Integers = np.load(self.path, allow_pickle=False)
        except FileNotFoundError as error:
            raise MissingFile(f"{self.path} is not there; ask for it when the rollout is over") from error
        except (EOFError, ValueError) as error:
            raise BrokenFile(f"{self.path} is not whole ({error}); let its writer rename it into place") from error
        return array


def encoded(chosen: Integers) -> bytes:
    """The contents of a file."""
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(chosen))
    return buffer.getvalue()
