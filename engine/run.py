"""The engine's entry: requests in, report out."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence

from protocol import DefinitionError
from protocol.trace import check_target

from .metrics import Report
from .runtime.forward_signal import run_live
from .runtime.live import LiveEngine
from .runtime.plan import Plan
from .workload import Request


def run(
    requests: Sequence[Request],
    *,
    ranks: int = 2,
    role: str = "mixed",
    variant: str = "repaired",
    speed: float = 1.0,
    log_path: str | os.PathLike[str] | None = None,
    seed: int | None = None,
    started: Callable[[LiveEngine], None] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """Drive the live engine over the requests, with a process per rank.

    Args:
        requests: in order of arrival. ranks: tensor-parallel ranks.
        role, variant: of the forward-signal machines.
        speed: how much faster than the trace requests arrive and forwards go.
        log_path: where the event log goes, whole or not at all; None for none.
        seed: of the workload, for the report; None when it came from a file. The live engine itself draws nothing.
        started: told once, when all processes are ready.
        progress: told how many requests are completed, each time that changes.

    Raises:
        DefinitionError: a bad argument. TraceError: the log cannot be written. EngineError: a process ended too early or could not be started.
    """
    if not math.isfinite(speed) or speed <= 0:
        raise DefinitionError(f"speed={speed}: give a positive number")
    plan = Plan(ranks, role, variant)
    plan.system()  # a wrong argument is told before anything is started
    if log_path is not None:
        check_target(log_path)
    return run_live(requests, plan, speed=speed, log_path=log_path, seed=seed, started=started, progress=progress)
