"""A child: what each operating-system process of the live engine runs - the queue server, or the copies of one station.

One rule: a child outlives neither its work nor its parent. The kernel kills it when the parent dies; Ctrl-C is blocked
for it, being the parent's business. A child says `ready`, waits for `go`, takes turns until it is told to stop, and says
how many rows each of its copies fired.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from multiprocessing import reduction
from multiprocessing.connection import Connection
from typing import IO, Any

from protocol.action import Action
from protocol.types import Value, flat_index

from ..binding import Bindings
from ..clock import LiveClock
from ..driver import Driver
from ..meter import Meter
from ..wire import Wire
from .blueprint import Blueprint
from .directory import Directory, Key, Span, merged
from .heartbeat import Heartbeat
from .journal import Journal, Shorthand
from .live_store import LiveStore
from .placement import Crew, Placement
from .polling import vain_rows
from .queue_client import Client
from .queue_server import QueueServer
from .segment import Segment
from .turns import CopyClock, Player, Turns

PR_SET_PDEATHSIG = 1


class LogFile:
    """An unnamed file that a spawned child gets with its arguments."""

    def __init__(self, stream: IO[bytes]):
        self.stream = stream

    def __reduce__(self) -> tuple[Any, ...]:
        return _open_log, (reduction.DupFd(self.stream.fileno()),)


def _open_log(descriptor: Any) -> LogFile:
    # Written where the supervisor has left the file: the place in it is shared, and "a" would move it.
    return LogFile(os.fdopen(descriptor.detach(), "wb"))


@dataclass
class Spec:
    """What a station's process needs.

    Args:
        number: among the processes of the engine. segment: how many they are, and the name of the shared memory. pulse_s: between its heartbeats.
        queue: its end of the way to the queue server. log: its part of it, if there is one. returns: it has died before, and begins anew.
    """

    placement: Placement
    blueprint: Blueprint
    station: str
    number: int
    segment: tuple[int, str]
    pulse_s: float
    control: Connection
    queue: socket.socket
    log: LogFile | None
    mortal: bool
    returns: bool


class StationDesk:
    """A crew's desk; see `placement.Desk`."""

    def __init__(self, name: str, client: Client):
        self.name, self._client, self._clock = name, client, LiveClock()
        self._clocks: dict[tuple[str, tuple[Value, ...]], CopyClock] = {}

    def now(self) -> float:
        """Seconds of the clock that all processes share."""
        return self._clock.now()

    def clock(self, machine: str, copy: tuple[Value, ...] = ()) -> CopyClock:
        """The copy's own clock."""
        return self._clocks.setdefault((machine, copy), CopyClock())

    def post(self, to: str, content: Any) -> None:
        """Send a letter to another process, or to the outside."""
        self._client.enclose(to, content)


def run_server(
    blueprint: Blueprint,
    segment: tuple[int, str],
    numbers: Mapping[str, int],
    pulse_s: float,
    introductions: socket.socket,
    control: Connection,
) -> None:
    """The queue server's process."""
    _tie_to_parent()
    try:
        directory = blueprint.directory
        memory = Segment.attach(directory, *segment)
        heart = Heartbeat(memory, segment[0] - 1, pulse_s)
        try:
            server = QueueServer(directory, memory, introductions, numbers)
            control.send(("ready", None))
            server.serve()
        finally:
            heart.end()
            memory.close()
    except Exception as error:
        _tell(control, error)


def run_station(spec: Spec) -> None:
    """The process of one station."""
    _tie_to_parent()
    try:
        _run(spec)
    except (BrokenPipeError, ConnectionResetError, EOFError) as error:
        # A peer died, which the supervisor sees by itself and names better than we can.
        _tell(spec.control, error, peer=True)
    except Exception as error:
        _tell(spec.control, error)


def _run(spec: Spec) -> None:
    segment = Segment.attach(spec.blueprint.directory, *spec.segment)
    heart = Heartbeat(segment, spec.number, spec.pulse_s)
    try:
        _play(spec, segment)
    finally:
        heart.end()
        segment.close()


def _play(spec: Spec, segment: Segment) -> None:
    directory, station = spec.blueprint.directory, spec.placement.station(spec.station)
    client = Client(Wire(spec.queue), directory, partial(segment.mail.__getitem__, spec.number))
    desk = StationDesk(spec.station, client)
    crew = station.crew(desk)
    meter = Meter()
    crew.receive = meter.metered(crew.receive)  # type: ignore[method-assign]
    system, recorded = directory.system, spec.mortal and spec.log is not None
    intend, own = partial(segment.intend, spec.number), _own_flags(spec, directory)
    store = LiveStore(directory, segment, client, recorded=recorded, own=own, intend=intend)
    driver = Driver(system, store)
    journal = None if spec.log is None else Journal(Shorthand(system), spec.log.stream)
    if journal is not None:
        client.before_sending = [journal.flush]
    players, mentioned, guarding = [], list[Span](), list[tuple[Span, Player, Action]]()
    for part in station.parts:
        for copy in part.copies(system):
            driver.prepare(driver.copies[part.machine, copy])
            player = _player(spec, driver, store, part.machine, copy, crew, desk, meter, journal)
            players.append(player)
            mentioned += directory.spans_of(system.machine(part.machine), copy)
            for action in player.actions:
                for span in directory.guard_spans(action, copy):
                    guarding.append((span, player, action))
                    if directory.is_shared[span[0]]:
                        player.mention(action, span[0], directory.variables[span[0]].name)
            for state, action, variable, where, values in vain_rows(player.copy, player.is_quiet):
                number = system.position[id(variable)]
                if directory.is_shared[number]:
                    key = number, flat_index(variable.over, where)
                    player.is_vain(state, action, key, [directory.encode(number, value) for value in values])
    client.watch(merged(mentioned))
    spec.control.send(("ready", None))
    if spec.control.recv() == "go":
        variables = [variable.name for variable in directory.variables]
        beat = partial(segment.beats.__setitem__, spec.number)
        meter.begin()
        Turns(players, guarding, store, client, crew, spec.control, beat, variables).run()
    crew.close()
    if journal is not None:
        journal.flush()
    spec.control.send(("stopped", meter.usage(sum(player.fired for player in players))))


def _own_flags(spec: Spec, directory: Directory) -> list[Key]:
    """The flags that say whether this process is alive."""
    system = directory.system
    life = spec.placement.life(spec.placement.station(spec.station), system)
    if life is None:
        return []
    alive = next(m.process for m in system.machines if m.process is not None and m.process.name == life[0]).alive
    return [(system.position[id(alive)], flat_index(alive.over, life[1]))]


def _player(
    spec: Spec,
    driver: Driver,
    store: LiveStore,
    machine: str,
    indices: tuple[Value, ...],
    crew: Crew,
    desk: StationDesk,
    meter: Meter,
    journal: Journal | None,
) -> Player:
    """The player of one copy. One that has died begins where its machine restarts."""
    copy = driver.copies[machine, indices]
    if spec.returns:
        copy.state = driver.system.machine(machine).restart
    bindings = Bindings(driver.system, crew.roles(machine, indices), [machine], meter)
    results_to = spec.placement.station(spec.station).results_to
    deliver = meter.metered(partial(desk.post, results_to))
    return Player(driver, copy, bindings, desk.clock(machine, indices), journal, deliver, store, spec.placement.timers)


def _tie_to_parent() -> None:
    """Die with the parent, and leave Ctrl-C to the supervisor."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _tell(control: Connection, error: Exception, *, peer: bool = False) -> None:
    """Report an error to the supervisor, which may have gone."""
    text = traceback.format_exception_only(error)[-1].strip()
    try:
        control.send(("lost" if peer else "failed", text))
    except OSError:
        pass
