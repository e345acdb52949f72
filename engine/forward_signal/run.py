"""Runs of the forward signal's engine, from the first request to the last token of the last: in processes, or in this one."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import IO, Any

from protocol import DefinitionError
from protocol.trace import check_target

from ..metrics import Completion, Measurement
from ..runtime.ensemble import Ensemble
from ..runtime.live import LiveEngine, start
from ..runtime.policy import Policy, SeededRandom
from ..workload import Request
from .crews import Finished, placement_of
from .plan import SignalPlan


@dataclass(frozen=True)
class Report:
    """A finished run of the forward-signal engine; a request counts as sent when it is due.

    `speed` says how much faster than the trace it ran. `seed`: of the generated workload, or of the policy in lockstep; None where
    nothing was drawn.
    """

    requests: int
    completions: tuple[Completion, ...]
    duration_s: float
    forwards: int
    rows_fired: int
    speed: float
    ranks: int
    variant: str
    seed: int | None

    @property
    def measurement(self) -> Measurement:
        """Its requests, for the table."""
        return Measurement(self.completions, self.duration_s)

    def details(self) -> dict[str, Any]:
        """What it did beside answering requests."""
        return {name: getattr(self, name) for name in ("forwards", "rows_fired", "speed", "ranks", "variant", "seed")}


def run_live(
    requests: Sequence[Request],
    plan: SignalPlan,
    *,
    speed: float = 1.0,
    log_path: str | os.PathLike[str] | None = None,
    seed: int | None = None,
    started: Callable[[LiveEngine], None] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """Drive a live engine over the requests, with a process per rank.

    Args:
        requests: in order of arrival. speed: how much faster than the trace requests arrive and forwards go.
        log_path: where the event log goes, whole or not at all; None for none.
        seed: of the workload, for the report; None when it came from a file. The live engine itself draws nothing.
        started: told once, when all processes are ready. progress: told how many requests are completed, each time that changes.

    Raises:
        DefinitionError: a bad argument. TraceError: the log cannot be written. EngineError: a process ended too early or could not be started.
            Nothing is left in any case.
    """
    if not math.isfinite(speed) or speed <= 0:
        raise DefinitionError(f"speed={speed}: give a positive number")
    if log_path is not None:
        check_target(log_path)
    with start(placement_of(plan, requests, speed), log_path) as engine:
        if started is not None:
            started(engine)
        finished = _wait(engine, progress)
        return _report(finished, requests, plan, engine.stop().rows, speed, seed)


def run_lockstep(
    requests: Sequence[Request], plan: SignalPlan, *, speed: float = 1.0, seed: int = 0, log: IO[str] | None = None, policy: Policy | None = None
) -> Report:
    """Run to the last token of the last request, in this process. `policy` gives the turns (`SeededRandom(seed)` if None); `log` gets the event log.

    Raises:
        EngineError: nothing can fire any more.
    """
    turns = policy if policy is not None else SeededRandom(seed)
    with closing(Ensemble(placement_of(plan, requests, speed), turns, log is not None)) as engine:
        engine.run(lambda: bool(engine.received) and isinstance(engine.received[-1].content, Finished))
        if log is not None:
            log.writelines(engine.log())
        return _report(engine.received[-1].content, requests, plan, engine.fired, speed, seed)


def _report(finished: Finished, requests: Sequence[Request], plan: SignalPlan, fired: int, speed: float, seed: int | None) -> Report:
    done = tuple(sorted(finished.completions, key=lambda c: c.request))
    return Report(len(requests), done, finished.duration_s, finished.forwards, fired, speed, plan.ranks, plan.variant, seed)


def _wait(engine: LiveEngine, progress: Callable[[int], None] | None) -> Finished:
    """What came of the requests, when the last one is completed."""
    while True:
        letter = engine.received()
        assert letter is not None
        if isinstance(letter.content, Finished):
            return letter.content
        if progress is not None:
            progress(letter.content)
