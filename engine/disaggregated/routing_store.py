"""The store of routes (R3): what experts every token of a rollout visited, in a file a layer that is whole or not there.

Ranks tell the routes with the tokens that come of them. When an answer is complete, its files are written by the rows of the routing file's
repaired protocol, one file after another: what an earlier run has left is cleared, a file is filled beside its place, and renamed. Only
then the client hears that its answer is complete. A request that ends otherwise leaves no file.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from protocol.machines.buffers.routing_file import build

from ..clock import VirtualClock
from ..driver import Driver, Step
from ..generation import Finish, Token
from ..model.layers import Integers
from ..model.routing import RoutingFile, encoded, joined
from ..roles.binding import Bindings, after
from ..runtime.agent import Agent
from ..store import Store

logger = logging.getLogger(__name__)


class FileWriter:
    """Handlers of the clearer and the writer of one file."""

    def __init__(self, file: RoutingFile, content: bytes):
        self._file, self._content = file, content

    @after("clearer.unlink")
    def unlink(self, step: Step) -> None:
        """What an earlier run has left."""
        self._file.unlink()

    @after("writer.make_directory")
    def make_directory(self, step: Step) -> None:
        """The rollout's folder."""
        self._file.make_directory()

    @after("writer.open_path")
    def open(self, step: Step) -> None:
        """An empty file beside its place."""
        self._file.open(self._file.temporary)

    @after("writer.write_part", "writer.write_rest")
    def write(self, step: Step) -> None:
        """A half of it."""
        half = len(self._content) // 2
        part = self._content[:half] if step.event == "write_part" else self._content[half:]
        self._file.append(self._file.temporary, part)

    @after("writer.rename")
    def rename(self, step: Step) -> None:
        """Move it into place, once its bytes are on the disk."""
        with self._file.temporary.open("rb") as file:
            os.fsync(file.fileno())
        self._file.rename()


class RoutingStore:
    """Collects routes by request, and writes them.

    Args:
        folder: of all rollouts. prefix: of the names of rollouts that have none of their own.
    """

    def __init__(self, folder: Path, prefix: str = ""):
        self._folder, self._prefix = folder, prefix
        self._collected: dict[int, list[list[Integers]]] = {}
        system = build("repaired").focused()
        self._driver = Driver(system, Store(system))

    def add(self, key: int, token: Token) -> None:
        """A request has a token, which tells the routes of the tokens that it came of."""
        if token.routes is not None:
            self._collected.setdefault(key, []).append(token.routes.arrays())

    def end(self, key: int, finish: Finish, rollout: str) -> None:
        """A request is over: write its files if its answer is complete. A disk that takes none costs the routes, and no answer."""
        parts = self._collected.pop(key, [])
        if not parts or finish not in (Finish.STOP, Finish.LENGTH):
            return
        try:
            self.put(rollout or f"{self._prefix}{key}", joined(parts))
        except OSError as error:
            logger.warning("the routes of %s cannot be written: %s", rollout or key, error)

    def put(self, rollout: str, layers: Sequence[Integers]) -> None:
        """Write the files of a rollout, an array (tokens, experts_per_token) a layer.

        Raises:
            OSError: the disk takes no more; the file at hand is not there.
        """
        for layer, chosen in enumerate(layers):
            role = FileWriter(RoutingFile(self._folder, rollout, layer), encoded(np.ascontiguousarray(chosen)))
            self._driver.store.reset()
            for machine in ("clearer", "writer"):
                bindings = Bindings(self._driver.system, [role], [machine])
                agent = Agent(self._driver, self._driver.copies[machine, ()], bindings, VirtualClock(), None, lambda data: None)
                while agent.turn():
                    pass
