"""Faults: the rows of the environment that the supervisor fires, because a process has really died or has come back.

The protocol says what a crash does to the cells that outlive the process, who is ended with it, and who comes back; here these
rows are found by their effects, fired, and logged. Nobody else stores to facts of the world.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from protocol.action import Instance
from protocol.effect import Crash, Restart
from protocol.evaluate import evaluate, no_cell
from protocol.expr import TRUE
from protocol.system import System

from ..clock import LiveClock
from ..driver import Driver
from .directory import Directory
from .journal import Journal
from .live_store import LiveStore, Stale
from .placement import Life
from .queue_client import Client
from .segment import Segment

SUPERVISOR = "supervisor"


@dataclass(frozen=True)
class FaultRow:
    """A row about processes: those that it crashes (`always`, whatever else holds) or restarts."""

    instance: Instance
    crashes: frozenset[Life]
    always: frozenset[Life]
    restarts: frozenset[Life]

    @property
    def by_supervisor(self) -> bool:
        """Whether the supervisor does it by itself, and not the world."""
        return self.instance.action.row.actor == SUPERVISOR


class Faults:
    """The environment's rows about processes. `journal`: the supervisor's, if there is a log."""

    def __init__(self, directory: Directory, segment: Segment, client: Client, journal: Journal | None):
        self._directory, self._client, self._journal, self._clock = directory, client, journal, LiveClock()
        self._store = LiveStore(directory, segment, client, recorded=True)
        self._driver = Driver(directory.system, self._store)
        self._rows = list(fault_rows(directory.system))

    def knows(self, life: Life) -> bool:
        """Whether the system has a row for the death of that process."""
        return any(life in row.always for row in self._rows)

    def crash(self, life: Life) -> bool:
        """The process has died; False when the system has no row for that now. Of several rows, the one that ends the fewest is meant."""
        rows = sorted((row for row in self._rows if life in row.always), key=lambda row: len(row.crashes))
        return any(self.fire(row) for row in rows)

    def ending(self) -> FaultRow | None:
        """A row, enabled now, by which the supervisor ends processes because others have died."""
        return next((row for row in self._rows if row.crashes and row.by_supervisor and self._is_enabled(row)), None)

    def returning(self) -> list[FaultRow]:
        """The rows, enabled now, by which processes come back."""
        return [row for row in self._rows if row.restarts and self._is_enabled(row)]

    def fire(self, row: FaultRow) -> bool:
        """Fire and log the row; False when it is not enabled."""
        copy = self._driver.environment[row.instance.action.machine.name, row.instance.copy]
        while self._is_enabled(row):
            began = self._clock.now()
            try:
                step = self._driver.attempt(copy, row.instance)
            except Stale:
                continue
            if step is not None and self._journal is not None:
                self._journal.write(step, began, self._clock.now())
                self._journal.flush()
            return True
        return False

    def _is_enabled(self, row: FaultRow) -> bool:
        """With the cells as they are now."""
        machine, copy = row.instance.action.machine, row.instance.copy
        self._store.forget()
        self._client.look(self._directory.spans_of(machine, copy))
        return row.instance in self._driver.enabled(self._driver.environment[machine.name, copy], row.instance.action)


def fault_rows(system: System) -> Iterator[FaultRow]:
    """The rows of the system's environment that crash or restart processes, one by one for the values of their choices."""
    for action in system.actions:
        effects = [effect for effect in action.row.effects if isinstance(effect, (Crash, Restart))] if action.environment else []
        for instance in action.instances() if effects else ():
            bind = instance.environment()
            lives = [(e, (e.process.name, tuple(evaluate(index, bind, no_cell) for index in e.indices))) for e in effects]
            yield FaultRow(
                instance,
                frozenset(life for effect, life in lives if isinstance(effect, Crash)),
                frozenset(life for effect, life in lives if isinstance(effect, Crash) and effect.condition is TRUE),
                frozenset(life for effect, life in lives if isinstance(effect, Restart)),
            )
