"""A child: what each operating-system process of the live engine runs - the queue server, the engine, a rank.

One rule: a child outlives neither its work nor its parent. The kernel kills it when the parent dies; Ctrl-C is blocked
for it, being the parent's business. A child says `ready`, waits for `go`, takes turns until it is told to stop, and says
how many rows it fired.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import reduction
from multiprocessing.connection import Connection
from typing import IO, Any

from ..clock import LiveClock
from ..driver import Driver
from ..log import LogPart
from ..queue_server import Client, serve
from ..roles.batch import Result
from ..roles.binding import Bindings
from ..roles.rank import Rank
from ..roles.scheduler import Scheduler
from ..store import Registers, Store, initial_sections
from ..workload import Request
from .agent import Agent
from .plan import Plan

PR_SET_PDEATHSIG = 1
BACK_OFF_S = (0.00005, 0.001)
"""First and longest pause of a copy that has no row to fire; doubled each time."""
TURNS_BETWEEN_LOOKS = 64
"""A busy copy looks whether it is to stop every so many turns; an idle one each time."""


class Part:
    """An unnamed file that a spawned child gets with its arguments."""

    def __init__(self, stream: IO[str]):
        self.stream = stream

    def __reduce__(self) -> tuple[Any, ...]:
        return _open_part, (reduction.DupFd(self.stream.fileno()),)


def _open_part(descriptor: Any) -> Part:
    return Part(os.fdopen(descriptor.detach(), "w", encoding="utf-8"))


@dataclass
class Spec:
    """What one copy's process needs. `machine` and `rank` name the copy; `results` is its end of the way back to the engine."""

    plan: Plan
    machine: str
    rank: int
    speed: float
    registers: str
    parent: int
    control: Connection
    queue: Connection
    results: Connection
    part: Part | None
    requests: Sequence[Request] = ()

    @property
    def name(self) -> str:
        """`worker[0]`."""
        return f"{self.machine}[{self.rank}]" if self.machine == "worker" else self.machine


def run_server(plan: Plan, clients: list[Connection], control: Connection, parent: int) -> None:
    """The queue server's process."""
    _tie_to(parent)
    try:
        sections = initial_sections(plan.system())
        control.send(("ready", None))
        serve(sections, clients)
    except Exception as error:
        _tell(control, error)


def run_copy(spec: Spec) -> None:
    """The process of one copy."""
    _tie_to(spec.parent)
    try:
        _run(spec)
    except (BrokenPipeError, ConnectionResetError, EOFError) as error:
        # A peer died, which the supervisor sees by itself and names better than we can.
        _tell(spec.control, error, peer=True)
    except Exception as error:
        _tell(spec.control, error)


def _run(spec: Spec) -> None:
    system, clock = spec.plan.system(), LiveClock()
    registers = Registers.attach(system, spec.registers)
    driver = Driver(system, Store(system, registers, Client(spec.queue)))
    copy = driver.copies[spec.machine, (spec.rank,) if spec.machine == "worker" else ()]
    scheduler = Scheduler(spec.requests, spec.speed, clock, lambda: _received(spec.results)) if spec.machine == "gate" else None
    role = scheduler if scheduler is not None else Rank(spec.rank, spec.speed, clock)
    part = None if spec.part is None else LogPart(spec.part.stream, spec.name)
    agent = Agent(driver, copy, Bindings(system, [role], [spec.machine]), clock, part, spec.results.send)
    spec.control.send(("ready", None))
    spec.control.recv()
    began = clock.now()
    _take_turns(agent, clock, spec.control, scheduler)
    if part is not None:
        part.flush()
    finished = None if scheduler is None else (scheduler.completions, scheduler.forwards, clock.now() - began)
    spec.control.send(("stopped", (agent.fired, finished)))
    registers.close()


def _take_turns(agent: Agent, clock: LiveClock, control: Connection, scheduler: Scheduler | None) -> None:
    """Turn until told to stop; the scheduler's process says how many requests are completed, and stops with the last."""
    pause, busy, told = BACK_OFF_S[0], 0, 0
    while scheduler is None or not scheduler.finished:
        if agent.turn():
            pause, busy = BACK_OFF_S[0], busy + 1
        else:
            clock.sleep(pause)
            pause, busy = min(2 * pause, BACK_OFF_S[1]), 0
        if scheduler is not None and len(scheduler.completions) > told:
            told = len(scheduler.completions)
            control.send(("completed", told))
        if busy % TURNS_BETWEEN_LOOKS == 0 and control.poll():
            return


def _received(results: Connection) -> Iterator[Result]:
    while results.poll():
        yield results.recv()


def _tie_to(parent: int) -> None:
    """Die with the parent."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _tell(control: Connection, error: Exception, *, peer: bool = False) -> None:
    """Report an error to the supervisor, which may have gone."""
    text = traceback.format_exception_only(error)[-1].strip()
    try:
        control.send(("lost" if peer else "failed", text))
    except OSError:
        pass
