"""Routing replay (R3): which experts every token visited, captured in a forward and handed on in files, one a layer.

A trainer that replays the routes of the rollout computes with the same experts. A file that is read while it is written, or taken
away in between, is what made that fail (hazard H-33): so a file is written beside its place and renamed, which is one step, and the
steps of the published way are here too, one by one, because the replay of a counterexample needs them.
"""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import EngineError
from .layers import Integers, Routes
from .shard import Rows


class RoutingError(EngineError):
    """A routing file that cannot be loaded: it is not there, not whole, or not an array."""


def routes_of(rows: Rows, layers: Sequence[Routes]) -> list[list[Integers]]:
    """For every chunk of a batch, what its tokens visited: an array (tokens, experts_per_token) a layer."""
    return [[routes.chosen[own] for routes in layers] for own in rows.spans]


def gathered(ranks: Sequence[Sequence[Routes]]) -> list[Routes]:
    """Routes of all rows, layer by layer, from those of the ranks among which an instance has dealt its rows out (spread experts)."""
    return [_interleaved(parts) for parts in zip(*ranks, strict=True)]


def _interleaved(parts: Sequence[Routes]) -> Routes:
    rows, per_token = sum(len(part.chosen) for part in parts), parts[0].chosen.shape[1]
    chosen, share = np.empty((rows, per_token), np.int64), np.empty((rows, per_token), np.float32)
    for rank, part in enumerate(parts):
        chosen[rank :: len(parts)], share[rank :: len(parts)] = part.chosen, part.share
    return Routes(chosen, share)


@dataclass(frozen=True)
class Routing:
    """The experts that consecutive tokens visited, as bytes, to travel with a token. `shape`: (layers, tokens, experts_per_token)."""

    shape: tuple[int, int, int]
    experts: bytes

    @classmethod
    def of(cls, layers: Sequence[Integers]) -> Routing:
        """From an array (tokens, experts_per_token) a layer."""
        together = np.stack(layers).astype(np.uint16)
        layer_count, tokens, per_token = together.shape
        return cls((layer_count, tokens, per_token), together.tobytes())

    def arrays(self) -> list[Integers]:
        """An array (tokens, experts_per_token) a layer."""
        return list(np.frombuffer(self.experts, np.uint16).reshape(self.shape).astype(np.int64))


def joined(parts: Sequence[Sequence[Integers]]) -> list[Integers]:
    """The routes of consecutive parts of a sequence as those of the whole, layer by layer."""
    return [np.concatenate(layers) for layers in zip(*parts, strict=True)]


class RoutingFile:
    """The file of one layer of one rollout: `<folder>/<rollout>/layer_<layer>.npy`."""

    def __init__(self, folder: Path, rollout: str, layer: int):
        self.path = folder / rollout / f"layer_{layer}.npy"

    def put(self, chosen: Integers) -> None:
        """Write it so that it is there whole or not at all. Shape (tokens, experts_per_token)."""
        self.make_directory()
        content = encoded(chosen)
        with self.temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        self.rename()

    def load(self) -> Integers:
        """What was put.

        Raises:
            RoutingError: there is no such file, or not a whole one.
        """
        try:
            array: Integers = np.load(self.path, allow_pickle=False)
        except FileNotFoundError:
            raise RoutingError(f"{self.path} is not there; ask for it when the rollout is over") from None
        except (EOFError, ValueError) as error:
            raise RoutingError(f"{self.path} is not whole ({error}); let its writer rename it into place") from None
        return array

    # -- the steps, one by one -----------------------------------------------------------------------------------------

    @property
    def temporary(self) -> Path:
        """Where it is written before it is renamed."""
        return self.path.with_suffix(".part")

    def make_directory(self) -> None:
        """Make the rollout's folder."""
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def open(self, path: Path) -> None:
        """Create an empty file there (the published way: at the final path)."""
        path.write_bytes(b"")

    def append(self, path: Path, content: bytes) -> None:
        """Write some more of it."""
        with path.open("ab") as file:
            file.write(content)

    def rename(self) -> None:
        """Move what was written beside it into place."""
        os.replace(self.temporary, self.path)

    def unlink(self) -> None:
        """The file's part of `clear_store`."""
        self.path.unlink(missing_ok=True)
        self.temporary.unlink(missing_ok=True)


def encoded(chosen: Integers) -> bytes:
    """The contents of a file."""
    buffer = io.BytesIO()
    np.save(buffer, chosen)
    return buffer.getvalue()


def clear_store(folder: Path) -> None:
    """Remove all rollouts: before anything is put, never beside it."""
    shutil.rmtree(folder, ignore_errors=True)
