"""Faults: the rows of the environment that the supervisor fires, because a process has really died or has come back.

The protocol says what a crash does to the cells that outlive the process; here that row is found by its effect, fired, and
logged. Nobody else stores to facts of the world.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from protocol.effect import Crash, Restart
from protocol.evaluate import evaluate
from protocol.lower import Instance
from protocol.system import System
from protocol.types import Value
from protocol.variable import Variable

from ..clock import LiveClock
from ..driver import Driver
from ..log import LogPart
from ..queue_server import Client
from .directory import Directory
from .live_store import LiveStore, Stale
from .placement import Life
from .segment import Segment

SUPERVISOR = "supervisor"


class Faults:
    """The environment's copies of all systems, as far as they are about processes.

    Args:
        logs: by system, of the supervisor.
    """

    def __init__(self, systems: Mapping[str, System], directory: Directory, segment: Segment, client: Client, logs: Mapping[str, LogPart]):
        self._systems, self._directory, self._client, self._logs, self._clock = systems, directory, client, logs, LiveClock()
        self._stores = {name: LiveStore(name, directory, segment, client, recorded=True) for name in systems}
        self._drivers = {name: Driver(system, self._stores[name]) for name, system in systems.items()}

    def knows(self, life: Life) -> bool:
        """Whether the system has a row for the death of that process."""
        return any(True for _ in self._rows(life, Crash))

    def crash(self, life: Life) -> bool:
        """The process has died; False when the system has no row for that now."""
        return self._fire_one(life, Crash)

    def restart(self, life: Life) -> bool:
        """The process runs again; False when the system does not want it to."""
        return self._fire_one(life, Restart)

    def may_restart(self, life: Life) -> bool:
        """Whether the system has a row, enabled now, by which the process comes back."""
        return any(self._is_enabled(life[0], instance) for instance in self._rows(life, Restart))

    def _rows(self, life: Life, kind: type[Crash] | type[Restart]) -> Iterator[Instance]:
        for action in self._systems[life[0]].actions:
            if action.environment:
                for effect in action.row.effects:
                    if isinstance(effect, kind) and effect.process.name == life[1]:
                        for instance in action.instances():
                            bind = instance.environment()
                            if tuple(evaluate(index, bind, _no_cell) for index in effect.indices) == life[2]:
                                yield instance

    def _is_enabled(self, system: str, instance: Instance) -> bool:
        """With the cells as they are now."""
        machine, copy = instance.action.machine, instance.copy
        self._stores[system].forget()
        self._client.look(self._directory.spans_of(system, machine, copy))
        driver = self._drivers[system]
        return instance in driver.enabled(driver.environment[machine.name, copy], instance.action)

    def _fire_one(self, life: Life, kind: type[Crash] | type[Restart]) -> bool:
        return any(self._fire(life[0], instance) for instance in self._rows(life, kind))

    def _fire(self, system: str, instance: Instance) -> bool:
        driver = self._drivers[system]
        copy = driver.environment[instance.action.machine.name, instance.copy]
        while self._is_enabled(system, instance):
            began = self._clock.now()
            try:
                step = driver.attempt(copy, instance)
            except Stale:
                continue
            if step is not None and system in self._logs:
                self._logs[system].write(step, began, self._clock.now())
                self._logs[system].flush()
            return True
        return False


def _no_cell(variable: Variable, where: tuple[Value, ...]) -> Value:
    raise LookupError(f"{variable} is not known here")
