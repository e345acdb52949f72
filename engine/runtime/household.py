"""A household: the processes of one live engine, and what they share - the segment, the parts of the logs, the ways to the queue server.

One rule: whatever a household has made, `close` ends and removes. Who runs again when, and why, is the supervision's.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any

from ..clock import LiveClock
from ..errors import EngineError
from ..wire import Wire
from .blueprint import Blueprint
from .child import Spec, run_server, run_station
from .live_store import done
from .locality import directory_of
from .placement import OUTSIDE, Life, Placement
from .process import Child
from .queue_client import Client
from .segment import Segment, new_name
from .written import WrittenLog

QUEUE_SERVER = "queue server"
BEATS = 10
"""In the time after which a process that does not beat is taken to be stopped."""


@dataclass(frozen=True)
class Patience:
    """How long the processes of an engine are waited for, in seconds.

    Args:
        start_s: from a process's start to its being ready, its weights loaded. stop_s: from being told to stop to its end.
        frozen_s: without a heartbeat, which a computation does not hold up: the process is stopped, or stuck in foreign code.
        hung_s: without a turn, although its heart beats: the longest that one handler may take, a forward of D for instance.
        attempts: how often processes that come back by one row may be lost meanwhile. pause_s: before the next attempt; doubled each time.
    """

    start_s: float = 60.0
    stop_s: float = 10.0
    frozen_s: float = 15.0
    hung_s: float = 120.0
    attempts: int = 5
    pause_s: float = 0.1

    @property
    def pulse_s(self) -> float:
        """Between two heartbeats: often enough that one late one is no silence."""
        return self.frozen_s / BEATS


PATIENCE = Patience()


class Household:
    """The processes by name (`children`), and everything that is theirs together.

    Raises:
        DefinitionError: the placement does not fit its system.
    """

    def __init__(self, placement: Placement, log: str | os.PathLike[str] | None, patience: Patience):
        self.placement, self.patience, self.clock = placement, patience, LiveClock()
        self.system = placement.composition.system()
        placement.check(self.system)
        self.directory = directory_of(placement, self.system)
        self._blueprint = Blueprint.of(self.directory)
        self.log = WrittenLog(placement.composition, self.system, log)
        self.children: dict[str, Child] = {}
        self.segment: Segment | None = None
        self.client: Client | None = None
        self._introductions: socket.socket | None = None
        self._numbers = {s.name: k for k, s in enumerate(placement.stations)} | {QUEUE_SERVER: len(placement.stations)}

    def open(self) -> None:
        """Make the segment and start the queue server."""
        self.segment = Segment.create(self.directory, len(self._numbers), new_name())
        self._introductions, theirs = socket.socketpair()
        pulse_s, numbers = self.patience.pulse_s, self._numbers
        with theirs:
            self._start(Child(QUEUE_SERVER, run_server, lambda control: (self._blueprint, self._attach(), numbers, pulse_s, theirs, control)))
        self.client = Client(Wire(self._introduce(OUTSIDE), self.patience.frozen_s), self.directory)

    def launch(self, name: str, *, mortal: bool, returns: bool) -> None:
        """Start the process of a station. `mortal`: whether the system knows of its death; `returns`: it has died before."""
        with self._introduce(name) as end:
            log, number, pulse_s = self.log.begin(name), self._numbers[name], self.patience.pulse_s
            given = self.placement, self._blueprint, name, number
            spec = lambda control: (Spec(*given, self._attach(), pulse_s, control, end, log, mortal, returns),)  # noqa: E731
            self._start(Child(name, run_station, spec))

    def bury(self, name: str) -> None:
        """End a process whatever it does, complete its log, and have the queue server forget it."""
        assert self.client is not None and self.segment is not None
        self.children[name].kill()
        number = self._numbers[name]
        last = self.client.bury(name), done(self.segment.intent(number), self.segment, self.directory)
        self.log.complete(name, [row for row in last if row is not None])
        self.segment.intend(number, b"")
        self.children.pop(name).end()

    def life(self, name: str) -> Life | None:
        """Which process of the system the station is; None where the system does not know how it could die."""
        return None if name == QUEUE_SERVER else self.placement.life(self.placement.station(name), self.system)

    def last_turn(self, name: str) -> float:
        """When the process took its last turn; the queue server takes none."""
        assert self.segment is not None
        return self.segment.beats[self._numbers[name]]

    def last_beat(self, name: str) -> float:
        """When its heart beat last."""
        assert self.segment is not None
        return self.segment.pulses[self._numbers[name]]

    def answer(self, asked: Child, expected: str, seconds: float) -> Any:
        """What the child has to say with the expected message.

        Raises:
            EngineError: it says nothing, or something else; or, while the engine starts, some process ends.
        """
        while True:
            ends = [c.process.sentinel for c in self.children.values() if c is asked or expected == "ready"]
            ready = wait([asked.control, *ends], seconds)
            if not ready:
                raise EngineError(f"{asked.name} has not said {expected} for {seconds:g} s; try again on a machine that is less busy")
            said = asked.heard() if asked.control in ready else None
            if said is None or said[0] != expected:
                raise self.early_end(f"{asked.name} failed: {said[1]}" if said is not None and said[0] == "failed" else None)
            return said[1]

    def early_end(self, said: str | None = None) -> EngineError:
        """The error for an engine that a child has ended: who it was, and why."""
        cause = said or self._culprit()
        return EngineError(f"{cause} before the run was over; the run is given up and no log is written, start it again", cause=cause)

    def close(self) -> None:
        """End every process at once, and remove what was made."""
        for child in reversed(self.children.values()):
            child.dismiss()  # all before the first is waited for: on a busy machine each end takes its time
        for child in self.children.values():
            child.end()
        self.children = {}
        for owned in (self._introductions, self.client, self.log, self.segment, self._blueprint):
            if owned is not None:
                owned.close()
        if self.segment is not None:
            self.segment.unlink()
        self._introductions = self.client = self.segment = None

    def _start(self, child: Child) -> None:
        self.children[child.name] = child

    def _attach(self) -> tuple[int, str]:
        assert self.segment is not None
        return len(self._numbers), self.segment.name

    def _introduce(self, name: str) -> socket.socket:
        """A client's end of a way to the queue server, which gets the other."""
        assert self._introductions is not None
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(self._introductions, [name.encode()], [theirs.fileno()])
            except (BrokenPipeError, ConnectionResetError):
                ours.close()
                raise self.early_end() from None
        return ours

    def _culprit(self) -> str:
        """Who has ended, waiting for the first: one that has told its failure, else one that has crashed, else one that has merely lost its peer."""
        children = list(self.children.values())
        if told := next((text for text in (c.last_words() for c in children) if text), ""):
            return told
        wait([c.process.sentinel for c in children], self.patience.stop_s)
        if not any(c.has_crashed for c in children):
            self.children[QUEUE_SERVER].process.join(self.patience.stop_s)  # who has lost the server ends by itself, and may be seen first
        ended = sorted((c for c in children if c.has_ended), key=lambda c: not c.has_crashed)
        return ended[0].fate() if ended else "a process closed its pipe"
