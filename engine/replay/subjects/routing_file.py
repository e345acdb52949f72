"""The routing file along `routing_file`, with files: whose experts does a reader load, and what do the tokens become with them?

The store writes the experts that each token visited (R3), the reader passes the prompt through a mixture-of-experts model along what it
loads. What is measured is the distance (total variation) of the distribution after the prompt from that of the routes that were stored.
"""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ...binding import after
from ...model.config import TINY_EXPERTS
from ...model.reference import log_probabilities
from ...model.weights import Floats, Weights, seeded
from ...routing import file as routing
from ...routing.roles import FileClearer, writer_of
from ..instance import WEIGHTS_SEED, drawn_prompt
from ..walk import Step
from ..world import World

PROMPT_TOKENS = 16


@cache
def _experts() -> Weights:
    return seeded(TINY_EXPERTS, WEIGHTS_SEED)


class RoutingFile(World):
    """One file, its writer and its reader. All layers of the model lie in it."""

    @staticmethod
    def harmless(config: dict[str, Any]) -> dict[str, Any]:
        """Ours."""
        return {"variant": "repaired"}

    def start(self) -> None:
        """A directory; the routes of this run, and the file that an earlier run has left, where there is one."""
        self._folder = tempfile.TemporaryDirectory()
        self.file = routing.RoutingFile(Path(self._folder.name), "rollout", 0)
        self.prompt = drawn_prompt(self.seed, 0, PROMPT_TOKENS)
        self.routes, earlier = self._drawn(1), self._drawn(2)
        if self.config.get("stale"):
            self.file.path.parent.mkdir()
            self.file.path.write_bytes(routing.encoded(earlier))
        self.writer = writer_of(self.system, self.file, routing.encoded(self.routes))
        self.whole = self._distribution(self.routes)

    def _drawn(self, number: int) -> np.ndarray:
        """Experts of every layer and token, as a router could have chosen them."""
        config, generator = _experts().config, np.random.default_rng((self.seed, number))
        shape = (config.layers, PROMPT_TOKENS, config.experts)
        return generator.random(shape).argsort(axis=-1)[..., : config.experts_per_token]

    def _distribution(self, routes: np.ndarray) -> Floats:
        return np.exp(log_probabilities(_experts(), self.prompt, list(routes))[-1])

    def load(self, step: Step) -> None:
        """The reader loads what lies at the path."""
        try:
            routes = self.file.load()
        except routing.RoutingError as error:
            self.noted[f"load failed with {type(error.__cause__).__name__}"] += 1
        else:
            self.distances.append(float(np.abs(self._distribution(routes) - self.whole).sum() / 2))

    def roles(self) -> list[object]:
        """With the rows that some versions have."""
        return [FileClearer(self.file), self.writer, *(role(self) for role in (Loads, MissingLoads) if self.has(role))]


class Loads:
    """The reader."""

    def __init__(self, world: RoutingFile):
        self._world = world

    @after("reader.load", "reader.load_stale", "reader.load_broken", "reader.load_vanished")
    def load(self, step: Step) -> None:
        """Whatever it finds."""
        self._world.load(step)


class MissingLoads:
    """A reader that does not heed that it waited for nothing."""

    def __init__(self, world: RoutingFile):
        self._world = world

    @after("reader.load_missing")
    def load(self, step: Step) -> None:
        """There is no file."""
        self._world.load(step)
