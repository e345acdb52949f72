"""The routing file along `routing_file`, with files: whose experts does a reader load, and what do the tokens become with them?

The store writes the experts that each token visited (R3), the reader passes the prompt through a mixture-of-experts model along what it
loads. What is measured is the distance (total variation) of the distribution after the prompt from that of the routes that were stored.
"""

from __future__ import annotations

import io
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ...model.config import TINY_EXPERTS
from ...model.reference import log_probabilities
from ...model.weights import Floats, Weights, seeded
from ...roles.binding import after
from ..instance import WEIGHTS_SEED, drawn_prompt
from ..walk import Step
from ..world import World

PROMPT_TOKENS = 16


@cache
def _experts() -> Weights:
    return seeded(TINY_EXPERTS, WEIGHTS_SEED)


class RoutingFile(World):
    """One file, its writer and its reader."""

    @staticmethod
    def harmless(config: dict[str, Any]) -> dict[str, Any]:
        """Ours."""
        return {"variant": "repaired"}

    def start(self) -> None:
        """A directory; the routes of this run, and the file that an earlier run has left, where there is one."""
        self._folder = tempfile.TemporaryDirectory()
        self.path = Path(self._folder.name) / "rollout" / "layer_0.npy"
        self.temporary = self.path.with_suffix(".new")
        self.prompt = drawn_prompt(self.seed, 0, PROMPT_TOKENS)
        self.routes, earlier = self._drawn(1), self._drawn(2)
        if self.config.get("stale"):
            self.path.parent.mkdir()
            self.path.write_bytes(self._content(earlier))
        renames = any(action.name == "writer.rename" for action in self.system.actions)
        self.target = self.temporary if renames else self.path
        self.file: io.BufferedWriter | None = None
        self.whole = self._distribution(self.routes)

    def _drawn(self, number: int) -> np.ndarray:
        """Experts of every layer and token, as a router could have chosen them."""
        config, generator = _experts().config, np.random.default_rng((self.seed, number))
        shape = (config.layers, PROMPT_TOKENS, config.experts)
        return generator.random(shape).argsort(axis=-1)[..., : config.experts_per_token]

    def _distribution(self, routes: np.ndarray) -> Floats:
        return np.exp(log_probabilities(_experts(), self.prompt, list(routes))[-1])

    def _content(self, routes: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        np.save(buffer, routes)
        return buffer.getvalue()

    @after("writer.make_directory")
    def make(self, step: Step) -> None:
        """`makedirs`."""
        self.path.parent.mkdir(exist_ok=True)

    @after("writer.open_path")
    def open(self, step: Step) -> None:
        """The path exists, and is empty."""
        self.file = self.target.open("wb")

    @after("writer.write_part")
    def begin(self, step: Step) -> None:
        """Half of it."""
        self._write(0)

    @after("writer.write_rest")
    def end(self, step: Step) -> None:
        """The other half."""
        self._write(1)

    def _write(self, half: int) -> None:
        content = self._content(self.routes)
        assert self.file is not None
        self.file.write(content[: len(content) // 2] if half == 0 else content[len(content) // 2 :])
        self.file.flush()
        if half:
            self.file.close()

    @after("clearer.unlink")
    def unlink(self, step: Step) -> None:
        """`rmtree`, the files."""
        for path in (self.path, self.temporary):
            path.unlink(missing_ok=True)

    @after("clearer.remove_directory")
    def remove(self, step: Step) -> None:
        """`rmtree`, the directory, if it is empty."""
        if self.path.parent.is_dir() and not any(self.path.parent.iterdir()):
            self.path.parent.rmdir()

    def load(self, step: Step) -> None:
        """The reader loads what lies at the path."""
        try:
            routes = np.load(self.path)
        except (OSError, ValueError, EOFError) as error:
            self.noted[f"load failed with {type(error).__name__}"] += 1
        else:
            self.distances.append(float(np.abs(self._distribution(routes) - self.whole).sum() / 2))

    def roles(self) -> list[object]:
        """With the rows that some versions have."""
        return [self, *(role(self) for role in (Loads, Renames, MissingLoads) if self.has(role))]


class Loads:
    """The reader."""

    def __init__(self, world: RoutingFile):
        self._world = world

    @after("reader.load", "reader.load_stale", "reader.load_broken", "reader.load_vanished")
    def load(self, step: Step) -> None:
        """Whatever it finds."""
        self._world.load(step)


class Renames:
    """A writer that fills a temporary file."""

    def __init__(self, world: RoutingFile):
        self._world = world

    @after("writer.rename")
    def rename(self, step: Step) -> None:
        """Absent to complete in one step."""
        self._world.temporary.replace(self._world.path)


class MissingLoads:
    """A reader that does not heed that it waited for nothing."""

    def __init__(self, world: RoutingFile):
        self._world = world

    @after("reader.load_missing")
    def load(self, step: Step) -> None:
        """There is no file."""
        self._world.load(step)
