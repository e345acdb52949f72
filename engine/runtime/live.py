"""The live runtime: a supervisor and real processes - the queue server, the engine, one per tensor-parallel rank.

One rule: whatever happens - Ctrl-C, a killed child, a crash at start - no process and no shared-memory segment is left. The
supervisor alone makes them, waits for them and removes them; a child that ends before it was told to ends the run.
"""

from __future__ import annotations

import multiprocessing
import os
import secrets
import signal
import tempfile
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import IO, Any

from ..errors import EngineError
from ..log import merge
from ..metrics import Report
from ..store import Registers
from ..workload import Request
from .child import Part, Spec, run_copy, run_server
from .plan import Plan

SPAWN = multiprocessing.get_context("spawn")
START_S = 60.0
"""Longest time from a child's start to its being ready."""
STOP_S = 10.0
"""Longest time for a child to stop once told."""
SEGMENT_PREFIX = "interlock-"
STOPPING = (signal.SIGINT, signal.SIGTERM)


class Child:
    """One child process as the supervisor sees it: its name, its process and the end of its control pipe."""

    def __init__(self, name: str, target: Callable[..., None], arguments: Callable[[Connection], tuple[Any, ...]]):
        self.name = name
        self.control, theirs = SPAWN.Pipe()
        self.process: BaseProcess = SPAWN.Process(target=target, args=arguments(theirs), name=name, daemon=True)
        # The child inherits the mask for life: Ctrl-C is the supervisor's business, from the child's first instruction on.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()

    def end(self) -> None:
        """Kill it if it still runs, and forget it."""
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
        self.process.close()
        self.control.close()

    def fate(self) -> str:
        """How it ended, in words."""
        code = self.process.exitcode or 0
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return f"{self.name} (process {self.process.pid}) {how}"

    def last_words(self) -> str:
        """The failure that it reported and nobody has read yet; empty for none."""
        try:
            while self.control.poll():
                kind, content = self.control.recv()
                if kind == "failed":
                    return f"{self.name} failed: {content}"
        except (EOFError, OSError):
            pass
        return ""


class Supervisor:
    """Owns the processes, the register segment and the log parts of one run. Use it as a context manager."""

    def __init__(
        self, requests: Sequence[Request], plan: Plan, speed: float, *, logged: bool, progress: Callable[[int], None] | None = None
    ):
        self._requests, self._plan, self._speed, self._logged, self._progress = requests, plan, speed, logged, progress
        self.children: list[Child] = []
        self.parts: list[IO[str]] = []
        self._registers: Registers | None = None
        self._handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Supervisor:
        if threading.current_thread() is threading.main_thread():
            self._handlers = {number: signal.signal(number, self._interrupted) for number in STOPPING}
        try:
            self._start()
        except OSError as error:
            self.__exit__()
            raise EngineError(f"the engine cannot be started: {error}; make room for its processes and its shared memory") from error
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for child in reversed(self.children):
            child.end()
        self.children = []
        if self._registers is not None:
            self._registers.close()
            self._registers.unlink()
            self._registers = None
        for part in self.parts:
            part.close()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _interrupted(self, number: int, _: object) -> None:
        """End the run, once: a second Ctrl-C must not interrupt the clean-up."""
        for each in STOPPING:
            signal.signal(each, signal.SIG_IGN)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)

    def run(self) -> tuple[list[Any], int, float, int]:
        """Let them go: completions, forwards, seconds and rows fired of the finished run.

        Raises:
            EngineError: a child ended too early, or reported an error.
        """
        gate, *workers = self.children[1:]
        for child in (gate, *workers):
            self._tell(child, "go")
        answers = [self._answer(gate, "stopped", None)]
        for child in workers:
            self._tell(child, "stop")
        answers += [self._answer(child, "stopped", STOP_S, stopping=True) for child in workers]
        completions, forwards, seconds = answers[0][1]
        return completions, forwards, seconds, sum(fired for fired, _ in answers)

    def _start(self) -> None:
        system = self._plan.system()
        names = [("gate", 0), *(("worker", rank) for rank in range(self._plan.ranks))]
        self._registers = Registers.create(system, f"{SEGMENT_PREFIX}{os.getpid()}-{secrets.token_hex(4)}")
        queues = [SPAWN.Pipe() for _ in names]
        inbox, outbox = SPAWN.Pipe(duplex=False)
        spare = [end for pair in queues for end in pair] + [inbox, outbox]
        try:
            clients = [ours for ours, _ in queues]
            self._add("queue server", run_server, lambda control: (self._plan, clients, control, os.getpid()))
            for (machine, rank), (_, queue) in zip(names, queues):
                results = inbox if machine == "gate" else outbox
                self._add_copy(machine, rank, queue, results)
        finally:
            # The children have their own ends now; ours would keep the pipes open when theirs are gone.
            for end in spare:
                end.close()
        for child in self.children:
            self._answer(child, "ready", START_S)

    def _add(self, name: str, target: Callable[..., None], arguments: Callable[[Connection], tuple[Any, ...]]) -> None:
        self.children.append(Child(name, target, arguments))

    def _add_copy(self, machine: str, rank: int, queue: Connection, results: Connection) -> None:
        assert self._registers is not None
        segment, part = self._registers.name, None
        if self._logged:
            self.parts.append(tempfile.TemporaryFile("w+", encoding="utf-8"))
            part = Part(self.parts[-1])
        requests = self._requests if machine == "gate" else ()

        def arguments(control: Connection) -> tuple[Spec]:
            return (Spec(self._plan, machine, rank, self._speed, segment, os.getpid(), control, queue, results, part, requests),)

        self._add(f"worker[{rank}]" if machine == "worker" else machine, run_copy, arguments)

    def _tell(self, child: Child, order: str) -> None:
        try:
            child.control.send(order)
        except OSError:
            raise self._early_end() from None

    def _answer(self, asked: Child, expected: str, seconds: float | None, *, stopping: bool = False) -> Any:
        """What the child has to say with the expected message; counts of completed requests go to `progress`. While `stopping`, others may end."""
        sentinels = [c.process.sentinel for c in self.children if c is asked or not stopping]
        while True:
            ready = wait([asked.control, *sentinels], seconds)
            if not ready:
                raise EngineError(f"{asked.name} has not said {expected} for {seconds:g} s; try again on a machine that is less busy")
            if asked.control not in ready:
                raise self._early_end()
            try:
                kind, content = asked.control.recv()
            except (EOFError, ConnectionResetError):
                raise self._early_end() from None
            if kind == expected:
                return content
            if kind != "completed":
                raise self._early_end(None if kind == "lost" else f"{asked.name} failed: {content}")
            if self._progress is not None:
                self._progress(content)

    def _early_end(self, said: str | None = None) -> EngineError:
        """The error for a run that a child has ended: who it was - one that was killed before one that merely lost its peer - and why."""
        ended = wait([c.process.sentinel for c in self.children], STOP_S)
        dead = [c for c in self.children if c.process.sentinel in ended]
        for child in dead:
            child.process.join(STOP_S)  # the sentinel falls a moment before the exit code can be had
        dead.sort(key=lambda c: c.process.exitcode or 0)
        if said is None:
            failures = [text for text in (c.last_words() for c in self.children) if text]
            said = failures[0] if failures else dead[0].fate() if dead else "a process closed its pipe"
        return EngineError(f"{said} before the run was over; the run is given up and no log is written, start it again")


def run_live(
    requests: Sequence[Request],
    plan: Plan,
    *,
    speed: float = 1.0,
    log_path: str | os.PathLike[str] | None = None,
    seed: int | None = None,
    started: Callable[[Supervisor], None] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """Run to the last token of the last request.

    `started` is told when all processes are ready, `progress` how many requests are completed each time it changes.

    Raises:
        EngineError: a process ended too early or could not be started. TraceError: the log cannot be written. Nothing is left in either case.
    """
    with Supervisor(requests, plan, speed, logged=log_path is not None, progress=progress) as supervisor:
        if started is not None:
            started(supervisor)
        completions, forwards, seconds, fired = supervisor.run()
        if log_path is not None:
            merge(supervisor.parts, log_path, plan.described())
    done = tuple(sorted(completions, key=lambda c: c.request))
    return Report(len(requests), done, seconds, forwards, fired, speed, plan.ranks, plan.variant, seed)
