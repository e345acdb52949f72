"""Faults: the rows of the environment that the supervisor fires, because a process has really died or has come back.

The protocol says what a crash does to the cells that outlive the process; here that row is found by its effect, fired, and
logged. Nobody else stores to facts of the world.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from protocol.effect import Crash, Restart
from protocol.evaluate import effects_of, evaluate, may_fire
from protocol.lower import Instance
from protocol.system import System
from protocol.types import Value
from protocol.variable import Variable

from ..clock import LiveClock
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
        spans = self._directory.spans_of(self._systems[system], instance.action.machine, instance.copy)
        self._client.look(spans)
        self._stores[system].begin(instance.action)
        return may_fire(instance, self._stores[system].load)

    def _fire_one(self, life: Life, kind: type[Crash] | type[Restart]) -> bool:
        return any(self._fire(life[0], instance) for instance in self._rows(life, kind))

    def _fire(self, system: str, instance: Instance) -> bool:
        store = self._stores[system]
        while True:
            began = self._clock.now()
            if not self._is_enabled(system, instance):
                return False
            try:
                writes = effects_of(instance, store.load)
                reads, written = dict(store.reads), store.shared(writes)
                store.commit(writes)
                break
            except Stale:
                continue
        if system in self._logs:
            row = instance.action.row
            values = {p.name: p.type.show(v) for p, v in zip(row.choose, instance.values)}
            told = self._directory.told(reads), self._directory.told(written)
            self._logs[system].tell(instance.copy_name, row.event, values, *told, began, self._clock.now())
            self._logs[system].flush()
        return True


def _no_cell(variable: Variable, where: tuple[Value, ...]) -> Value:
    raise LookupError(f"{variable} is not known here")
