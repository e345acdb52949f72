"""A run with shared experts, from the first token to the last, or to a stall.

Every layer with experts exchanges tokens between all ranks of all instances, so all must run the same number of forwards. Whether an
idle instance comes along is the protocol's business: with empty batches (#6680) or by the repaired round it does; without them
the busy one waits for ever, and the run ends with a `Stall` that says which rank waits in which barrier, and for whom.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass

from protocol.machines.collectives.meeting import GROUPS, TENSOR, Call

from ..clock import VirtualClock
from ..errors import StandsStill
from ..model.balancing import Rebalance
from ..model.config import ModelConfig
from ..model.transport import Place
from ..model.weights import Weights
from ..runtime.ensemble import Ensemble
from ..runtime.live import start
from ..runtime.placement import Letter
from ..runtime.policy import Policy, RoundRobin
from .common import Room, Segments
from .crews import Advanced, Stands, Where, name_of, placement_of
from .plan import Asked, RoundPlan
from .scheduler import ExpertScheduler, Running

PATIENCE_S = 10.0
"""Without a new token for so long, a run of processes is stalled."""
ROW_S = 0.0001
"""Virtual time of a row."""
GLANCE = 1_000
"""Rows in lockstep after which whoever stood still at both ends stands; a forward takes fewer than two hundred."""
BARRIERS = {
    Call.TOP: "TPB#0",
    Call.FLAG: "TPB#1",
    Call.READ: "TPB#2'",
    Call.SKIP: "TPB#1b",
    Call.MEET: "EPB",
    Call.FORWARD: "the all-to-all",
    Call.STATUS: "the broadcast of load balancing",
    Call.BALANCE: "the broadcast of load balancing",
}
"""What the ranks of this run meet in, as the real code calls it."""


@dataclass(frozen=True)
class Stall:
    """A run that made no progress any more: after how many rows, and where each rank was, in words."""

    rows: int
    ranks: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join([f"no request makes progress any more, after {self.rows:,} rows:", *(f"  {line}" for line in self.ranks)])


@dataclass(frozen=True)
class Run:
    """What a run came to.

    `requests`: of every instance. `forwards`: of every rank, by (instance, rank), those without requests among them. `rows`: fired.
    `stall`: None when every request has its tokens. `rebalances`: the placements of experts that were gone over to.
    """

    requests: tuple[tuple[Running, ...], ...]
    forwards: dict[Place, int]
    rows: int
    stall: Stall | None
    rebalances: tuple[Rebalance, ...] = ()


class Tally:
    """What the processes have told."""

    def __init__(self, plan: RoundPlan):
        self._plan = plan
        self._requests = {i: tuple(ExpertScheduler(mine, VirtualClock()).requests) for i, mine in enumerate(plan.asked)}
        self._rebalances: list[Rebalance] = []
        self._stood: dict[Place, Stands] = {}

    @property
    def complete(self) -> bool:
        """Whether every request has its tokens."""
        return all(request.ended for mine in self._requests.values() for request in mine)

    def take(self, letter: Letter) -> None:
        """One letter."""
        told = letter.content
        if isinstance(told, Advanced):
            self._requests[told.instance] = told.requests
        elif isinstance(told, Rebalance):
            self._rebalances.append(told)
        elif isinstance(told, Stands):
            self._stood[told.place] = told

    def ask(self, send: Callable[[str, Where], None], hear: Callable[[], object]) -> dict[Place, Stands]:
        """Where every rank stands; `hear` takes in what has been told, or waits until something is."""
        self._stood = {}
        for place in self._plan.places:
            send(name_of(place), Where())
        while len(self._stood) < len(self._plan.places):
            hear()
        return self._stood

    def run(self, rows: int, stood: Mapping[Place, Stands], before: Mapping[Place, Stands] | None) -> Run:
        """The run, at whose end the ranks `stood` so; `before` that, if it is stalled."""
        stall = None
        if before is not None:
            still = {place for place in stood if stood[place].rows == before[place].rows}
            stall = Stall(rows, tuple(whereabouts({place: stood[place].call for place in self._plan.places}, still)))
        forwards = {place: stood[place].forwards for place in self._plan.places}
        return Run(tuple(self._requests[i] for i in sorted(self._requests)), forwards, rows, stall, tuple(self._rebalances))


def run_experts(
    weights: Weights,
    requests: Iterable[Sequence[Asked]],
    *,
    variant: str = "repaired",
    ranks: int = 2,
    balance: str | None = None,
    redundant: int = 0,
    policy: Policy | None = None,
    log: str | os.PathLike[str] | None = None,
) -> Run:
    """Generate greedily on several instances in lockstep, to the last token or to a stall.

    Args:
        weights: of a model whose experts all ranks together can share evenly.
        requests: of each instance: (prompt, how many tokens are wanted); none for an idle instance.
        variant, ranks, balance, redundant: see `RoundPlan`. policy: whose turn it is; round-robin if None. log: where the events go.

    Raises:
        DefinitionError: an unknown variant or place, or a model that cannot be spread so. TraceError: the log cannot be written.
    """
    plan = RoundPlan(weights.config, variant, ranks, tuple(map(tuple, requests)), balance, redundant)
    tally, before = Tally(plan), None
    placement = placement_of(plan, Room(plan, weights))
    with closing(Ensemble(placement, policy if policy is not None else RoundRobin(), log is not None, ROW_S)) as ensemble:

        def hear() -> None:
            while ensemble.received:
                tally.take(ensemble.received.popleft())

        def is_complete() -> bool:
            hear()
            return tally.complete

        try:
            ensemble.run(is_complete)
        except StandsStill:
            before = tally.ask(ensemble.send, hear)
            for _ in range(GLANCE):
                with suppress(StandsStill):
                    if not ensemble.turn():
                        ensemble.pass_time()
        if log is not None:
            ensemble.write_log(log)
        return tally.run(ensemble.fired, tally.ask(ensemble.send, hear), before)


def run_experts_live(
    config: ModelConfig,
    requests: Iterable[Sequence[Asked]],
    *,
    variant: str = "repaired",
    ranks: int = 2,
    balance: str | None = None,
    redundant: int = 0,
    log: str | os.PathLike[str] | None = None,
    patience_s: float = PATIENCE_S,
) -> Run:
    """The same with an operating-system process for every engine and every rank.

    Args:
        patience_s: seconds without a new token after which the run is stalled.

    Raises:
        DefinitionError: see `run_experts`. EngineError: a process failed, was killed, or does not start.
    """
    plan = RoundPlan(config, variant, ranks, tuple(map(tuple, requests)), balance, redundant)
    tally, before = Tally(plan), None
    with Segments.made(plan) as segments, start(placement_of(plan, segments), log) as engine:

        def hear(seconds: float | None = None) -> bool:
            letter = engine.received(seconds)
            if letter is not None:
                tally.take(letter)
            return letter is not None

        while not tally.complete:
            if hear(patience_s / 2):
                continue
            before = tally.ask(engine.send, hear)
            if not hear(patience_s / 2):
                break
            before = None
        stood = tally.ask(engine.send, hear)
        return tally.run(engine.stop().rows, stood, before)


def whereabouts(calls: Mapping[Place, Call], standing: Container[Place]) -> list[str]:
    """Of every rank, in words: the barrier that it stands in and those it waits for, or that it goes round.

    Args:
        calls: the collective that each has entered and not left. standing: who fires no row any more.
    """
    lines = []
    for place, call in calls.items():
        if place not in standing:
            lines.append(f"{name_of(place)} goes round its loop, and enters no forward")
        elif call is Call.NONE:
            lines.append(f"{name_of(place)} stands in no barrier")
        else:
            group = next(group for group in GROUPS if call in group)
            missing = [p for p in calls if calls[p] not in group and (group is not TENSOR or p[0] == place[0])]
            awaited = ", ".join(map(name_of, missing))
            lines.append(f"{name_of(place)} waits in {BARRIERS.get(call, call.name)} ({call.name}) for {awaited}")
    return lines
