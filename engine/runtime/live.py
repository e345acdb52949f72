"""The live engine: a supervisor and real processes - the queue server, and one for every station of a placement.

One rule: whatever happens - Ctrl-C, a killed child, a crash at start - no process, no shared-memory segment and no half log is left.
The supervisor alone makes them, waits for them and removes them (`household.py`); when a process dies or falls silent, it
brings it back if it may, and else ends the engine (`supervision.py`).
"""

from __future__ import annotations

import os
import queue
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from protocol import DefinitionError

from ..errors import EngineError
from ..meter import Usage
from .faults import SUPERVISOR, Faults
from .household import PATIENCE, QUEUE_SERVER, Household, Patience
from .interrupts import Interrupts
from .placement import Letter, Placement
from .process import Child
from .supervision import Supervision

PROCESSES_A_CORE = 64
"""Those that share a core: of many more one that merely waits for its turn would be taken for a stopped one."""


def start(
    placement: Placement,
    log: str | os.PathLike[str] | None = None,
    *,
    signals: bool = True,
    patience: Patience = PATIENCE,
) -> LiveEngine:
    """A running engine, every process ready; use it as a context manager, or call `close`.

    Args:
        log: where the event log goes when the engine is stopped; None for none.
        signals: whether Ctrl-C and SIGTERM end the engine when this is the main thread; a program that handles them itself says no.
        patience: how long its processes are waited for.

    Raises:
        DefinitionError: the placement does not fit its system, or is of more processes than this machine carries.
        EngineError: a process did not start.
    """
    check_machine(placement)
    engine = LiveEngine(placement, log, signals=signals, patience=patience)
    try:
        engine.start()
    except OSError as error:
        engine.close()
        raise EngineError(f"the engine cannot be started: {error}; make room for its processes and its shared memory") from error
    except BaseException:
        engine.close()
        raise
    return engine


def check_machine(placement: Placement) -> None:
    """Raise a DefinitionError when this machine does not carry so many processes."""
    processes, cores = len(placement.stations) + 1, len(os.sched_getaffinity(0))
    if processes > cores * PROCESSES_A_CORE:
        text = f"an engine of {processes:,} processes is more than {cores} cores carry ({cores * PROCESSES_A_CORE})"
        raise DefinitionError(f"{text}; give fewer instances or ranks")


class LiveEngine:
    """What the outside has of an engine; made by `start`."""

    def __init__(self, placement: Placement, log: str | os.PathLike[str] | None, *, signals: bool, patience: Patience):
        self.placement = placement
        self._house = Household(placement, log, patience)
        self._received: queue.SimpleQueue[Letter | EngineError] = queue.SimpleQueue()
        self._supervision: Supervision | None = None
        self._interrupts = Interrupts() if signals else None
        self._server_began_s = 0.0

    def __enter__(self) -> LiveEngine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def children(self) -> Mapping[str, Child]:
        """The processes by name; whoever is dead is missing."""
        return self._house.children

    @property
    def failure(self) -> EngineError | None:
        """What has ended the engine; None while it goes on."""
        return None if self._supervision is None else self._supervision.failure

    def start(self) -> None:
        """Start every process and wait until all are ready."""
        house = self._house
        if self._interrupts is not None:
            self._interrupts.take()
        house.open()
        assert house.segment is not None and house.client is not None
        faults = Faults(house.directory, house.segment, house.client, house.log.journal(SUPERVISOR))
        for station in self.placement.stations:
            life = house.life(station.name)
            house.launch(station.name, mortal=life is not None and faults.knows(life), returns=False)
        for child in house.children.values():
            house.answer(child, "ready", house.patience.start_s)
        self._server_began_s = house.children[QUEUE_SERVER].cpu_s()
        for child in house.children.values():
            child.tell("go")
        self._supervision = Supervision(house, faults, self._received.put)

    def send(self, process: str, content: Any) -> None:
        """Hand a message to the crew of a process. One to a process that is dead at the moment is lost.

        Raises:
            EngineError: the engine has ended.
        """
        client, supervision = self._house.client, self._supervision
        if client is not None and supervision is not None and supervision.failure is None:
            try:
                return client.post(process, content)
            except (EOFError, OSError):
                supervision.await_failure()
        raise self.failure or EngineError("the engine has been stopped; start it again")

    def received(self, seconds: float | None = None) -> Letter | None:
        """The next message from a process, in the order in which they arrived; None when there is none for so long.

        Raises:
            EngineError: the engine has ended, and everything that arrived before has been taken.
        """
        try:
            item = self._received.get(timeout=seconds)
        except queue.Empty:
            return None
        if isinstance(item, EngineError):
            self._received.put(item)
            raise item
        return item

    def stop(self) -> Usage:
        """End in good order, write the log, and return what the living processes have done since they were all ready.

        Raises:
            EngineError: the engine has ended before. TraceError: the log cannot be written.
        """
        assert self._supervision is not None
        self._supervision.end()
        if self.failure is not None:
            raise self.failure
        house, returning = self._house, self._supervision.is_returning
        stations = [c for name, c in house.children.items() if name != QUEUE_SERVER and not returning(name)]
        for child in stations:
            child.tell("stop")
        usage = Usage(0, house.children[QUEUE_SERVER].cpu_s() - self._server_began_s)
        for child in stations:
            usage += house.answer(child, "stopped", house.patience.stop_s)
        house.log.merge()
        return usage

    def close(self) -> None:
        """End everything at once; what `stop` has not written is lost."""
        if self._supervision is not None:
            self._supervision.end()
        self._house.close()
        if self._interrupts is not None:
            self._interrupts.give_back()
