"""What a fired row costs in lockstep, beside the same engine loop without machines.

    python -m tests.benchmarks.rows [--rows N] [--runs K]

First the forward signal with its roles, two ranks: the whole loop - policy, search, guard, effects, commit, handlers - beside a
plain loop that calls the same roles. Most of its rows are turns of idle loops, a millisecond of virtual time each, which the
plain loop has not. Then our protocol at production bounds without tensors or roles, the policy deciding everything: median
and 99th percentile of a row, rows/s, how long the system takes to build and its rows to compile, and the same with control states
assigned, which is what `transitions` costs. CPU time of the thread, so that a busy machine counts less; nothing is asserted.
"""

from __future__ import annotations

import argparse
import io
import time
from collections import deque
from collections.abc import Callable
from statistics import median

from engine.binding import Outcome
from engine.clock import VirtualClock, VirtualTime
from engine.driver import Copy, Driver
from engine.forward_signal.batch import Result
from engine.forward_signal.plan import SignalPlan
from engine.forward_signal.rank import Rank
from engine.forward_signal.run import run_lockstep
from engine.forward_signal.scheduler import Scheduler
from engine.runtime.lockstep import Lockstep
from engine.runtime.policy import SeededRandom
from engine.store import Store
from engine.workload import Request, generate
from protocol.action import Action
from protocol.machines.repaired.protocol import build
from protocol.system import System
from tests.engine.free_agent import FreeAgent

PRODUCTION = {
    "requests": 16,
    "turns": 1000,
    "ranks": 2,
    "slots": 8,
    "layers": 4,
    "chunks": 8,
    "decodes": 2,
    "room": 8,
    "threads": 3,
    "decode_ranks": True,
}
OPENING = ("schedule", "schedule_nothing")


class Bare(Driver):
    """A driver whose control states are plainly assigned."""

    def move(self, copy: Copy, action: Action) -> None:
        if action.row.destination is not None:
            copy.state = action.row.destination


class Carried:
    """What a role gets in the place of a step: the batch."""

    def __init__(self, cargo: object):
        self.cargo = cargo


def cpu_us(work: Callable[[], object]) -> float:
    """Microseconds of this thread's time."""
    began = time.thread_time_ns()
    work()
    return (time.thread_time_ns() - began) / 1000


def plain_loop(requests: list[Request], ranks: int) -> int:
    """The engine's loop without machines: schedule, forward on every rank, result; how many forwards."""
    now, results = VirtualTime(), deque[Result]()
    clocks = [VirtualClock(now) for _ in range(ranks + 1)]
    scheduler = Scheduler(requests, 1.0, clocks[-1], lambda: [results.popleft() for _ in range(len(results))])
    roles = [Rank(r, 1.0, clock) for r, clock in enumerate(clocks[:-1])]
    while not scheduler.finished:
        outcome = scheduler.schedule([Outcome(event) for event in OPENING])
        if outcome.event == "schedule_nothing":
            scheduler.rest(None)
        else:
            step = Carried(scheduler.contents(outcome))
            for role in roles:
                role.take(step)  # type: ignore[arg-type]
                role.forward(step)  # type: ignore[arg-type]
            now.advance(max(clock.wakes for clock in clocks[:-1]))
            results.extend(found for role in roles if (found := role.report(step)) is not None)  # type: ignore[arg-type]
        now.advance(clocks[-1].wakes)
    return scheduler.forwards


def forward_signal(runs: int) -> None:
    """The forward signal's engine, with and without machines."""
    requests = [Request(r.arrival_s, r.prompt_tokens, min(r.output_tokens, 12)) for r in generate(seed=1, count=50, rate=20)]
    report = run_lockstep(requests, SignalPlan(2))
    forwards = plain_loop(requests, 2)
    with_log = median(cpu_us(lambda: run_lockstep(requests, SignalPlan(2), log=io.StringIO())) for _ in range(runs))
    without_log = median(cpu_us(lambda: run_lockstep(requests, SignalPlan(2))) for _ in range(runs))
    plain = median(cpu_us(lambda: plain_loop(requests, 2)) for _ in range(runs))
    print(f"forward signal, 2 ranks, {len(requests)} requests, {report.rows_fired:,} rows, {report.forwards:,} forwards")
    print(f"  {'':<36}{'us/row':>10}{'rows/forward':>14}{'us/forward':>12}")
    for name, spent, rows, steps in (
        ("machines and roles", without_log, report.rows_fired, report.forwards),
        ("machines, roles and event log", with_log, report.rows_fired, report.forwards),
        ("roles alone, a plain loop", plain, 0, forwards),
    ):
        print(f"  {name:<36}{f'{spent / rows:.1f}' if rows else '-':>10}{rows / steps:>14.0f}{spent / steps:>12.1f}")


def lockstep(kind: type[Driver], system: System) -> Lockstep:
    """A run without roles in which the seed decides everything."""
    driver, now = kind(system, Store(system)), VirtualTime()
    return Lockstep([FreeAgent(driver, copy, now) for copy in driver.copies.values()], now, SeededRandom(1))


def ours(rows: int) -> None:
    """Our protocol at production bounds."""
    built: list[System] = []
    building = cpu_us(lambda: built.append(build(**PRODUCTION).focused()))  # type: ignore[arg-type]
    run = lockstep(Driver, built[0])
    first = cpu_us(lambda: [run.turn() for _ in range(1000)])
    spent = sorted(cpu_us(run.turn) for _ in range(rows))
    bare = lockstep(Bare, built[0])
    for _ in range(1000):
        bare.turn()
    without = sorted(cpu_us(bare.turn) for _ in range(rows))
    print(f"repaired, {', '.join(f'{name}={value}' for name, value in PRODUCTION.items())}: {rows:,} rows")
    print(f"  building the system {building / 1e6:.2f} s, the first 1000 rows {first / 1e6:.2f} s (each row is compiled when it is first looked at)")
    print(f"  {'':<36}{'median us':>10}{'p99 us':>12}{'rows/s':>12}")
    for name, times in (("whole", spent), ("with states assigned, not triggered", without)):
        print(f"  {name:<36}{median(times):>10.1f}{times[int(0.99 * rows)]:>12.1f}{1e6 * rows / sum(times):>12,.0f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.rows")
    parser.add_argument("--rows", type=int, default=50_000, help="rows of our protocol")
    parser.add_argument("--runs", type=int, default=3, help="runs of the forward signal, of which the median is printed")
    given = parser.parse_args()
    forward_signal(given.runs)
    ours(given.rows)


if __name__ == "__main__":
    main()
