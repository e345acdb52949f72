"""The store of routes: what experts every token of a rollout visited, in a file a layer that is whole or not there.

Ranks tell the routes with the tokens that come of them. When an answer is complete, its files are written by the rows of the routing file's
repaired protocol, one file after another: what an earlier run has left is cleared, a file is filled beside its place, and renamed. Only
then the client hears that its answer is complete. A request that ends otherwise leaves no file.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from protocol.machines.buffers.routing_file import build

from ..binding import Bindings
from ..clock import VirtualClock
from ..driver import Driver
from ..generation import Finish, Token
from ..model.layers import Integers
from ..model.routing import joined
from ..runtime.agent import Agent
from ..store import Store
from .file import RoutingFile, encoded
from .roles import FileClearer, writer_of

logger = logging.getLogger(__name__)


class RoutingStore:
    """Collects routes by request, and writes them.

    Args:
        folder: of all rollouts. prefix: of the names of rollouts that have none of their own.
        variant: a version of `protocol.machines.buffers.routing_file.STORES`.
    """

    def __init__(self, folder: Path, prefix: str = "", variant: str = "repaired"):
        self._folder, self._prefix = folder, prefix
        self._collected: dict[int, list[list[Integers]]] = {}
        system = build(variant).focused()
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
        for _ in self.rows(rollout, layers):
            pass

    def rows(self, rollout: str, layers: Sequence[Integers]) -> Iterator[str]:
        """The same row by row: each time, what has become of who fired it, as `writer HALFWAY`."""
        system = self._driver.system
        for layer, chosen in enumerate(layers):
            file = RoutingFile(self._folder, rollout, layer)
            self._driver.store.reset()
            with closing(writer_of(system, file, encoded(chosen))) as writer:
                for machine, role in (("clearer", FileClearer(file)), ("writer", writer)):
                    copy = self._driver.copies[machine, ()]
                    agent = Agent(self._driver, copy, Bindings(system, [role], [machine]), VirtualClock(), None, lambda data: None)
                    while agent.turn():
                        yield f"{machine} {copy.state.name}"
