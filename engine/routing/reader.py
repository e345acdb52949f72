"""The trainer's side: waits until the files of a rollout are there, and loads them, by the rows of the reader.

Writer and reader share nothing but the file system. So the cell that the reader's rows look at is what lies at the path: it is looked
at before every turn, and a file that comes, is half written or has vanished between two of them opens the rows that say so.
"""

from __future__ import annotations

from pathlib import Path

from protocol.action import Instance
from protocol.machines.buffers.routing_file import File, Reader, build

from ..binding import Bindings
from ..clock import Clock, LiveClock
from ..driver import Copy, Driver
from ..model.layers import Integers
from ..runtime.agent import Agent
from ..runtime.alarms import Alarms
from ..store import Store
from .file import BrokenFile, MissingFile, RoutingError, RoutingFile

PATIENCE_S = 20.0
"""As the published reader's."""
LOOK_S = 0.01
"""Between two looks at a file that is not there."""
LOADED = (Reader.LOADED, Reader.LOADED_STALE)


class RoutingReader:
    """Reads what a `RoutingStore` writes, in this process or in another.

    Args:
        folder: of all rollouts. variant: a version of `protocol.machines.buffers.routing_file.STORES`.
        patience_s: after which a file that is not there is given up. clock: tells the time.
    """

    def __init__(self, folder: Path, variant: str = "repaired", patience_s: float = PATIENCE_S, clock: Clock | None = None):
        self._folder, self._patience_s = folder, patience_s
        self._clock = clock if clock is not None else LiveClock()
        system = build(variant).focused()
        self._driver = Driver(system, Store(system))

    def read(self, rollout: str, layers: int) -> list[Integers]:
        """The experts that every token visited: an array (tokens, experts_per_token) a layer. Asked once the service is ready.

        Raises:
            MissingFile: a file has not come in time, or has vanished. BrokenFile: one is not whole.
        """
        return [self._read(RoutingFile(self._folder, rollout, layer)) for layer in range(layers)]

    def _read(self, file: RoutingFile) -> Integers:
        self._driver.store.reset()
        copy = self._driver.copies["reader", ()]
        agent, ends = Waiter(self._driver, copy, self._clock, self._patience_s), copy.machine.final
        while True:
            found = self._look(file)
            if not agent.turn():
                self._clock.sleep(LOOK_S)
            elif copy.state in ends:
                break
        if copy.state in LOADED and not isinstance(found, RoutingError):
            return found
        raise found if isinstance(found, RoutingError) else MissingFile(f"{file.path} has come too late; wait for more than {self._patience_s:g} s")

    def _look(self, file: RoutingFile) -> Integers | RoutingError:
        """Let the rows see what lies there."""
        found: Integers | RoutingError
        try:
            found, state = file.load(), File.COMPLETE
        except MissingFile as error:
            found, state = error, File.ABSENT
        except BrokenFile as error:
            found, state = error, File.PARTIAL
        seen = {"routing_file": state, "store_cleared": True}
        for variable in self._driver.system.variables:
            if variable.name in seen:
                self._driver.store.cells(variable)[0] = seen[variable.name]
        return found


class Waiter(Agent):
    """The reader's agent, which gives up after a while."""

    def __init__(self, driver: Driver, copy: Copy, clock: Clock, patience_s: float):
        super().__init__(driver, copy, Bindings(driver.system, [], ["reader"]), clock, None, lambda data: None)
        self._alarms = Alarms(driver, copy, {"reader.time_out": patience_s})

    def turn(self) -> bool:
        """See `Agent`."""
        self._alarms.wind(self._clock.now())
        return super().turn()

    def _is_due(self, instance: Instance) -> bool:
        return self._alarms.is_due(instance, self._clock.now())
