"""The live engine: a supervisor and real processes - the queue server, and one for every station of a placement.

One rule: whatever happens - Ctrl-C, a killed child, a crash at start - no process, no shared-memory segment and no half log is left.
The supervisor alone makes them, waits for them and removes them. When a child is killed that some system knows as a
process, the supervisor ends what lives with it, fires the row of that crash, and starts it anew if the system has a row for that;
any other early end ends the engine.
"""

from __future__ import annotations

import os
import queue
import secrets
import signal
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import wait
from types import TracebackType
from typing import Any

from ..clock import LiveClock
from ..errors import EngineError
from ..meter import Usage
from ..queue_server import Client, Letter
from ..wire import Wire
from .child import Spec, run_server, run_station
from .directory import Directory
from .faults import SUPERVISOR, FaultRow, Faults
from .placement import OUTSIDE, Life, Placement
from .process import Child
from .segment import Segment
from .written import Logs

START_S = 60.0
"""Longest time from a child's start to its being ready."""
STOP_S = 10.0
"""Longest time for a child to stop once told."""
SEGMENT_PREFIX = "interlock-"
STOPPING = (signal.SIGINT, signal.SIGTERM)
QUEUE_SERVER = "queue server"


@dataclass(frozen=True)
class Died:
    """What the outside hears when a process has died and the engine goes on: who died with it, and how."""

    names: tuple[str, ...]
    fate: str


@dataclass(frozen=True)
class Returned:
    """What the outside hears when processes that had died run again."""

    names: tuple[str, ...]


@dataclass
class Return:
    """Processes that are to run again by a row: `missing` are those that are not ready yet, `until` when they must be."""

    row: FaultRow
    missing: set[str]
    names: set[str]
    until: float


def start(placement: Placement, logs: Mapping[str, str | os.PathLike[str]] | None = None, *, signals: bool = True) -> LiveEngine:
    """A running engine, every process ready; use it as a context manager, or call `close`.

    Args:
        logs: where the event log of each system goes when the engine is stopped; systems that are not named are not logged.
        signals: whether Ctrl-C and SIGTERM end the engine when this is the main thread; a program that handles them itself says no.

    Raises:
        DefinitionError: the placement does not fit its systems. EngineError: a process did not start.
    """
    engine = LiveEngine(placement, logs or {}, signals=signals)
    try:
        engine.start()
    except OSError as error:
        engine.close()
        raise EngineError(f"the engine cannot be started: {error}; make room for its processes and its shared memory") from error
    except BaseException:
        engine.close()
        raise
    return engine


class LiveEngine:
    """Owns the processes, the segment and the log parts of one engine; made by `start`."""

    def __init__(self, placement: Placement, logs: Mapping[str, str | os.PathLike[str]], *, signals: bool):
        self.placement = placement
        self._systems = placement.build()
        placement.check(self._systems)
        self.children: dict[str, Child] = {}
        self._directory = Directory(self._systems)
        self._logs = Logs(placement, self._directory, logs)
        self._segment: Segment | None = None
        self._introductions: socket.socket | None = None
        self._client: Client | None = None
        self._faults: Faults | None = None
        self._received: queue.SimpleQueue[Letter | EngineError] = queue.SimpleQueue()
        self._failure: EngineError | None = None
        self._returning: list[Return] = []
        self._handlers: dict[signal.Signals, Any] = {}
        self._thread: threading.Thread | None = None
        self._ending, self._end = socket.socketpair()
        self._signals, self._clock = signals, LiveClock()
        self._server_began_s = 0.0

    def __enter__(self) -> LiveEngine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # -- for those who use it ------------------------------------------------------------------------------------------

    def send(self, process: str, content: Any) -> None:
        """Hand a message to the crew of a process. One to a process that is dead at the moment is lost.

        Raises:
            EngineError: the engine has ended.
        """
        if self._failure is not None:
            raise self._failure
        assert self._client is not None
        try:
            self._client.post(process, content)
        except EOFError:
            raise self._failure or EngineError("the engine has been stopped; start it again") from None

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

    def liveness(self) -> dict[str, float]:
        """Seconds since each process last took a turn; a process that is dead or not yet back is missing."""
        assert self._segment is not None
        now, beats = self._clock.now(), self._segment.beats
        names = [s.name for s in self.placement.stations]
        return {n: now - beats[k] for k, n in enumerate(names) if n in self.children and not self._is_returning(n)}

    def stop(self) -> Usage:
        """End in good order, write the logs, and return what the living processes have done since they were all ready.

        Raises:
            EngineError: the engine has ended before. TraceError: a log cannot be written.
        """
        self._end_supervision()
        if self._failure is not None:
            raise self._failure
        stations = [c for name, c in self.children.items() if name != QUEUE_SERVER and not self._is_returning(name)]
        for child in stations:
            child.tell("stop")
        served = Usage(0, self.children[QUEUE_SERVER].cpu_s() - self._server_began_s)
        usage = sum((self._answer(child, "stopped", STOP_S) for child in stations), served)
        self._logs.merge()
        return usage

    def close(self) -> None:
        """End everything at once; what `stop` has not written is lost."""
        self._end_supervision()
        for child in reversed(self.children.values()):
            child.end()
        self.children = {}
        for owned in (self._introductions, self._client, self._logs, self._segment, self._ending, self._end):
            if owned is not None:
                owned.close()
        if self._segment is not None:
            self._segment.unlink()
        self._introductions = self._client = self._segment = None
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}

    # -- start ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start every process and wait until all are ready."""
        if self._signals and threading.current_thread() is threading.main_thread():
            self._handlers = {number: signal.signal(number, self._interrupted) for number in STOPPING}
        name = f"{SEGMENT_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
        self._segment = Segment.create(self._directory, len(self.placement.stations), name)
        self._introductions, theirs = socket.socketpair()
        with theirs:
            segment = self._segment_name()
            self._add(Child(QUEUE_SERVER, run_server, lambda control: (self.placement, segment, theirs, control)))
        self._client = Client(Wire(self._introduce(OUTSIDE)), self._directory)
        self._faults = Faults(self._systems, self._directory, self._segment, self._client, self._logs.of_process(SUPERVISOR))
        for station in self.placement.stations:
            self._launch(station.name, returns=False)
        for child in self.children.values():
            self._answer(child, "ready", START_S)
        self._server_began_s = self.children[QUEUE_SERVER].cpu_s()
        for child in self.children.values():
            child.tell("go")
        self._thread = threading.Thread(target=self._supervise, name="interlock-supervisor", daemon=True)
        self._thread.start()

    def _segment_name(self) -> tuple[int, str]:
        assert self._segment is not None
        return len(self.placement.stations), self._segment.name

    def _introduce(self, name: str) -> socket.socket:
        """A client's end of a way to the queue server, which gets the other."""
        assert self._introductions is not None
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._introductions, [name.encode()], [theirs.fileno()])
        return ours

    def _add(self, child: Child) -> None:
        self.children[child.name] = child

    def _launch(self, name: str, *, returns: bool) -> None:
        number = [s.name for s in self.placement.stations].index(name)
        life = self._life(name)
        mortal = life is not None and self._faults is not None and self._faults.knows(life)
        with self._introduce(name) as end:
            logs = self._logs.begin(name)
            self._add(
                Child(
                    name,
                    run_station,
                    lambda control: (Spec(self.placement, name, number, self._segment_name(), control, end, logs, mortal, returns),),
                )
            )

    def _is_returning(self, name: str) -> bool:
        """Whether the process has died and is not yet back."""
        return any(name in r.names for r in self._returning)

    def _life(self, name: str) -> Life | None:
        return self.placement.life(self.placement.station(name), self._systems)

    def _answer(self, asked: Child, expected: str, seconds: float) -> Any:
        """What the child has to say with the expected message."""
        while True:
            ready = wait([asked.control, *(c.process.sentinel for c in self.children.values() if c is asked or expected == "ready")], seconds)
            if not ready:
                raise EngineError(f"{asked.name} has not said {expected} for {seconds:g} s; try again on a machine that is less busy")
            said = asked.heard() if asked.control in ready else None
            if said is None or said[0] != expected:
                raise self._early_end(f"{asked.name} failed: {said[1]}" if said is not None and said[0] == "failed" else None)
            return said[1]

    def _interrupted(self, number: int, _: object) -> None:
        """End the engine, once: a second Ctrl-C must not interrupt the clean-up."""
        for each in STOPPING:
            signal.signal(each, signal.SIG_IGN)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)

    # -- supervision, in a thread of its own ---------------------------------------------------------------------------

    def _supervise(self) -> None:
        try:
            while self._watch():
                pass
        except EngineError as error:
            self._fail(error)
        except EOFError:
            self._fail(self._early_end())
        except Exception as error:  # nobody would ever hear of it
            self._fail(EngineError(f"the supervisor failed: {type(error).__name__}: {error}; start the engine again"))

    def _fail(self, error: EngineError) -> None:
        self._failure = error
        self._received.put(error)

    def _end_supervision(self) -> None:
        if self._thread is not None:
            self._end.send(b"x")
            self._thread.join()
            self._thread = None

    def _watch(self) -> bool:
        """One wait for whatever happens next; False once the engine is being stopped."""
        assert self._client is not None
        self._hand_out()  # what came along while the last event was dealt with: no socket tells of it again
        self._client.await_news()
        controls = {c.control: c for c in self.children.values()}
        sentinels = {c.process.sentinel: c for c in self.children.values()}
        left = min((r.until for r in self._returning), default=None)
        ready = wait([self._ending, self._client, *controls, *sentinels], None if left is None else max(0.0, left - self._clock.now()))  # type: ignore[list-item]
        if self._ending in ready:
            return False
        if self._client in ready:
            self._client.take_news()
        self._hand_out()
        for handle in ready:
            if handle in sentinels:
                self._ended(sentinels[handle])
                return True
        for handle in ready:
            if handle in controls:
                self._said(controls[handle])
        if left is not None and left < self._clock.now():
            late = min(self._returning, key=lambda r: r.until)
            raise EngineError(f"{min(late.missing)} has not come back for {START_S:g} s; start the engine again on a machine that is less busy")
        return True

    def _hand_out(self) -> None:
        assert self._client is not None
        for letter in self._client.letters:
            self._received.put(letter)
        self._client.letters.clear()

    def _said(self, child: Child) -> None:
        said = child.heard()
        if said is not None and said[0] == "failed":
            raise self._early_end(f"{child.name} failed: {said[1]}")
        if said is None or said[0] == "lost":
            wait([c.process.sentinel for c in self.children.values()], STOP_S)
        elif said[0] == "ready":
            self._ready(child.name)

    def _ended(self, child: Child) -> None:
        """A process has ended by itself. It was a crash, if some system knows of it; else the engine ends."""
        child.process.join(STOP_S)  # the sentinel falls a moment before the exit code can be had
        life = None if child.name == QUEUE_SERVER else self._life(child.name)
        assert self._faults is not None and self._client is not None
        server = self.children[QUEUE_SERVER].process
        if life is None or not child.was_killed or self._is_returning(child.name) or not server.is_alive():
            raise self._early_end()
        fate, before = child.fate(), set(self.children)
        self._bury({life})
        if not self._faults.crash(life):
            name = life[0] or "the engine's"
            raise EngineError(f"{fate}, and system {name} has no row for that (again); the run is given up, start it again")
        while (row := self._faults.ending()) is not None:
            self._bury(set(row.crashes))
            self._faults.fire(row)
        self._begin_anew()
        self._received.put(Letter(SUPERVISOR, Died(tuple(sorted(before - set(self.children))), fate)))
        for row in self._faults.returning():
            names = {s.name for s in self.placement.stations if self._life(s.name) in row.restarts and s.name not in self.children}
            if names:
                self._returning.append(Return(row, set(names), names, self._clock.now() + START_S))
                for name in sorted(names):
                    self._launch(name, returns=True)

    def _bury(self, lives: set[Life]) -> None:
        """End every process with one of these lives, and complete its log."""
        assert self._client is not None
        for name in [s.name for s in self.placement.stations if self._life(s.name) in lives and s.name in self.children]:
            self.children[name].kill()
            self._logs.complete(name, self._client.bury(name))
            self.children.pop(name).end()
        self._returning = [r for r in self._returning if not lives & r.row.restarts]

    def _begin_anew(self) -> None:
        """Give every system whose processes have all died its initial values."""
        assert self._client is not None
        for name in self._systems:
            homes = [s.name for s in self.placement.stations if any(part.system == name for part in s.parts)]
            if not any(home in self.children for home in homes):
                self._client.reset(*self._directory.spans[name])

    def _ready(self, name: str) -> None:
        """A process is ready again; with the last of those that come back with it, they go."""
        assert self._faults is not None
        for back in [r for r in self._returning if name in r.missing]:
            back.missing.remove(name)
            if not back.missing:
                self._returning.remove(back)
                self._faults.fire(back.row)
                for other in back.names:
                    self.children[other].tell("go")
                self._received.put(Letter(SUPERVISOR, Returned(tuple(sorted(back.names)))))

    def _early_end(self, said: str | None = None) -> EngineError:
        """The error for an engine that a child has ended: who it was - one that was killed before one that merely lost its peer - and why."""
        children = list(self.children.values())
        said = said or next((text for text in (c.last_words() for c in children) if text), None)
        if said is None:
            dead = self._dead()
            if not any(c.was_killed for c in dead):
                self.children[QUEUE_SERVER].process.join(STOP_S)  # who ends by itself has lost the server, whose own end may be told later
                dead = self._dead()
            said = min(dead, key=lambda c: c.process.exitcode or 0).fate() if dead else "a process closed its pipe"
        return EngineError(f"{said} before the run was over; the run is given up and no log is written, start it again")

    def _dead(self) -> list[Child]:
        """The children that have ended, waiting for the first."""
        children = list(self.children.values())
        ended = wait([c.process.sentinel for c in children], STOP_S)
        dead = [c for c in children if c.process.sentinel in ended]
        for child in dead:
            child.process.join(STOP_S)  # the sentinel falls a moment before the exit code can be had
        return dead
