"""The forward signal in one process: every request completes, and the same seed gives the same bytes."""

import io
import json
import math
from collections.abc import Callable
from enum import IntEnum

import pytest

from engine.binding import Bindings
from engine.clock import VirtualClock, VirtualTime
from engine.driver import Driver
from engine.forward_signal.plan import SignalPlan
from engine.forward_signal.rank import FORWARD_S, TOKEN_S
from engine.forward_signal.run import Report, run_lockstep
from engine.runtime.lockstep import Lockstep, LockstepAgent, standing
from engine.runtime.policy import PATIENCE, Policy, Priorities, RoundRobin, SeededRandom
from engine.store import Store
from engine.workload import Request, generate
from protocol import Machine, Row, System

from .ordering import order
from .small_system import build


def run(variant: str = "repaired", role: str = "mixed", ranks: int = 2, count: int = 50, seed: int = 0) -> tuple[Report, str]:
    log = io.StringIO()
    requests = [Request(r.arrival_s, r.prompt_tokens, min(r.output_tokens, 12)) for r in generate(seed=1, count=count, rate=20)]
    return run_lockstep(requests, SignalPlan(ranks, variant, role), seed=seed, log=log), log.getvalue()


def test_fifty_requests_complete_with_all_their_tokens() -> None:
    report, log = run()
    assert [c.request for c in report.completions] == list(range(50))
    assert all(c.sent_s < c.pieces_s[0] <= c.finished_s for c in report.completions)
    events = [json.loads(line) for line in log.splitlines()[:-1]]
    assert len(events) == report.rows_fired
    puts = [e for e in events if e["event"] == "put_batch"]
    reads = [e for e in events if e["event"] in ("read_batch", "read_last_batch")]
    assert len(puts) == report.forwards and len(reads) == 2 * report.forwards


@pytest.mark.parametrize("variant", ["A", "B", "B'", "repaired"])
@pytest.mark.parametrize("role", ["mixed", "prefill"])
def test_the_handlers_fit_every_variant(variant: str, role: str) -> None:
    report, _ = run(variant, role, ranks=3, count=5)
    assert len(report.completions) == 5


def test_the_same_seed_gives_the_same_bytes() -> None:
    assert run(count=8, seed=7) == run(count=8, seed=7)
    assert run(count=8, seed=7)[1] != run(count=8, seed=8)[1]


def test_a_gate_that_waits_for_the_forward_makes_fewer_and_fuller_batches() -> None:
    assert run("repaired")[0].forwards < run("B'")[0].forwards


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_ranks_run_their_forwards_side_by_side(ranks: int) -> None:
    report = run_lockstep([Request(0.0, 1000, 1)], SignalPlan(ranks))
    forward = FORWARD_S + TOKEN_S * 1000
    assert report.completions[0].ttft_s == pytest.approx(forward)


def test_of_a_run_in_which_nobody_can_fire_it_is_told_who_waits_for_what() -> None:
    system = build()
    driver, time = Driver(system, Store(system)), VirtualTime()
    agents = [LockstepAgent(driver, copy, Bindings(system, [], []), VirtualClock(time)) for copy in driver.copies.values()]
    lockstep = Lockstep(agents, time, RoundRobin())
    assert not lockstep.turn() and lockstep.wakes == math.inf
    assert standing(driver) == "giver in CHOOSING; taker[0], taker[1] in TAKING waits for take (box is <>, which giver changes) and so on"


POLICIES: dict[str, Callable[[int], Policy]] = {
    "round robin": lambda seed: RoundRobin(),
    "random": SeededRandom,
    "priorities": lambda seed: Priorities(seed, changes=3, rows=400),
}


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_completes_every_request(name: str) -> None:
    requests = [Request(r.arrival_s, r.prompt_tokens, min(r.output_tokens, 3)) for r in generate(seed=1, count=10, rate=20)]
    for seed in range(3):
        report = run_lockstep(requests, SignalPlan(2), policy=POLICIES[name](seed))
        assert len(report.completions) == 10


class Timed(IntEnum):
    WAITING, OVER, LATE = range(3)


def timed(*rows: Row) -> tuple[Driver, VirtualTime, Lockstep]:
    system = System("timed", [Machine("waiter", Timed, rows)])
    driver, time = Driver(system, Store(system)), VirtualTime()
    agent = LockstepAgent(driver, driver.copies["waiter", ()], Bindings(system, [], []), VirtualClock(time), timers={"waiter.give_up": 2.5})
    return driver, time, Lockstep([agent], time, RoundRobin())


def fire_one(lockstep: Lockstep) -> None:
    """The next row, whenever its time comes."""
    while not lockstep.turn():
        lockstep.advance(lockstep.wakes)


def test_a_timers_row_fires_when_it_has_been_enabled_for_its_time() -> None:
    driver, time, lockstep = timed(Row("give_up", Timed.WAITING, Timed.OVER, decided="timer"))
    fire_one(lockstep)
    assert time.now == 2.5 and driver.copies["waiter", ()].state is Timed.OVER


def test_a_row_that_is_enabled_makes_a_timer_wait_in_vain() -> None:
    driver, time, lockstep = timed(Row("give_up", Timed.WAITING, Timed.OVER, decided="timer"), Row("see", Timed.WAITING, Timed.LATE))
    fire_one(lockstep)
    assert time.now == 0.0 and driver.copies["waiter", ()].state is Timed.LATE


def test_what_has_to_be_observed_never_fires_by_itself() -> None:
    driver, _, lockstep = timed(Row("break_down", Timed.WAITING, Timed.OVER, decided="observed"))
    assert not lockstep.turn()
    assert order(driver, "waiter.break_down").name == "waiter.break_down"


def test_a_copy_that_nothing_stops_loses_its_priority() -> None:
    policy = Priorities(0, changes=0, rows=1)
    first = policy.turn([0, 1])
    turns = [policy.turn([0, 1]) for _ in range(PATIENCE)]
    assert turns[:-1] == [first] * (PATIENCE - 1) and turns[-1] == 1 - first


def test_a_change_point_demotes_the_copy_that_runs() -> None:
    policy = Priorities(0, changes=10, rows=10)
    assert len({policy.turn([0, 1, 2]) for _ in range(3)}) == 3
