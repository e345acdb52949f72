"""A placement: which system an engine drives, and which operating-system process runs which of its copies.

Small and picklable: a process makes its own roles - models, sockets, files - by its crew's factory, so that nothing heavy travels, and has
the system, built once for all, from the blueprint (`blueprint.py`). A process takes turns over its copies in one thread. A handler that
computes for long holds up the copies of its own process and no others, so whatever computes gets a process of its own; threads were
rejected because firing rows is Python, which one lock lets run in one thread at a time anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol

from protocol import DefinitionError
from protocol.machine import Machine, Process
from protocol.system import System
from protocol.types import Value, all_values

from ..clock import Clock

OUTSIDE = "outside"
"""Who sends to the processes, and hears from them, beside themselves: the program that started the engine."""
TIMER_S = 0.25
"""After how long a timer's row fires, where the placement does not say."""


@dataclass(frozen=True)
class Composition:
    """A system by its builder, `module:function`, and the builder's arguments."""

    builder: str
    config: Mapping[str, Any] = field(default_factory=dict)

    def system(self) -> System:
        """The machines without ghosts: nobody asks a property here."""
        module, _, function = self.builder.partition(":")
        return getattr(import_module(module), function)(**self.config).focused()  # type: ignore[no-any-return]

    def described(self) -> dict[str, Any]:
        """What a log says of its system, so that it can be built again."""
        return {"builder": self.builder, "config": dict(self.config)}


@dataclass(frozen=True)
class Letter:
    """A message from one process to another, or to and from the outside: the protocol knows nothing of it."""

    sender: str
    content: Any


class Desk(Protocol):
    """What a crew gets to work with."""

    name: str
    """Of the process."""

    def now(self) -> float: ...
    def clock(self, machine: str, copy: tuple[Value, ...] = ()) -> Clock: ...
    def post(self, to: str, content: Any) -> None: ...


class Crew:
    """The roles of one process; made in it."""

    def roles(self, machine: str, copy: tuple[Value, ...]) -> Sequence[object]:
        """The roles whose handlers serve that copy."""
        return ()

    def receive(self, letter: Letter) -> None:
        """Take a letter; the copies get their turns afterwards."""

    def settle(self) -> None:
        """Called after every round of turns."""

    def close(self) -> None:
        """Let go of what the crew has opened; not called when the process is killed."""


@dataclass(frozen=True)
class Part:
    """Copies of a machine: all of them, or those with these leading indices."""

    machine: str
    leading: tuple[Value, ...] = ()

    def copies(self, system: System) -> Iterator[tuple[Value, ...]]:
        """The indices of the copies."""
        machine = system.machine(self.machine)
        return (copy for copy in all_values(machine.copies) if copy[: len(self.leading)] == self.leading)


@dataclass(frozen=True)
class Station:
    """One operating-system process.

    Args:
        name: unique among the processes. parts: what it runs.
        crew: makes its roles, in the process. Must be picklable: a function of a module, or a partial of one.
        results_to: the process that gets what its handlers return.
    """

    name: str
    parts: tuple[Part, ...]
    crew: Callable[[Desk], Crew]
    results_to: str = OUTSIDE


Life = tuple[str, tuple[Value, ...]]
"""A process of the system: its name, and its indices."""


@dataclass(frozen=True)
class Placement:
    """What an engine runs, and where.

    Args:
        stations: its processes.
        timers: seconds after which a row that a timer decides fires, by `machine.event`.
    """

    composition: Composition
    stations: tuple[Station, ...]
    timers: Mapping[str, float] = field(default_factory=dict)

    def station(self, name: str) -> Station:
        """The process of that name."""
        return next(s for s in self.stations if s.name == name)

    def check(self, system: System) -> None:
        """Raise a DefinitionError unless every copy of every active machine runs in exactly one process."""
        homes: dict[tuple[str, tuple[Value, ...]], str] = {}
        names = [s.name for s in self.stations]
        if len({*names, OUTSIDE}) <= len(names):
            raise DefinitionError(f"two processes of the placement have one name, or one is called {OUTSIDE!r}; rename it")
        for station in self.stations:
            for part in station.parts:
                for copy in part.copies(system):
                    home = homes.setdefault((part.machine, copy), station.name)
                    if home is not station.name:
                        name = system.machine(part.machine).copy_name(copy)
                        raise DefinitionError(f"{name} is placed in {home} and in {station.name}; leave it in one process")
            if station.results_to not in (*names, OUTSIDE):
                raise DefinitionError(f"{station.name} names the process {station.results_to!r}; there are {', '.join(names)}")
            self.life(station, system)
        for machine in system.active:
            for copy in () if machine.environment else all_values(machine.copies):
                if (machine.name, copy) not in homes:
                    raise DefinitionError(f"{machine.copy_name(copy)} is placed in no process; give it to one")

    def life(self, station: Station, system: System) -> Life | None:
        """Which process of the system the station is; None when the system does not know how it could die.

        Raises:
            DefinitionError: its copies are of several.
        """
        lives: set[Life | None] = set()
        for part in station.parts:
            machine = system.machine(part.machine)
            lives |= {_life_of(machine, machine.process, copy) for copy in part.copies(system)}
        if len(lives) > 1:
            raise DefinitionError(f"{station.name} runs copies of several processes, which live and die apart; give each its own")
        return next(iter(lives), None)


def _life_of(machine: Machine, process: Process | None, copy: tuple[Value, ...]) -> Life | None:
    if process is None:
        return None
    return process.name, tuple(value for value, index in zip(copy, machine.copies) if index in process.over)
