"""The processes of a run with shared experts, in either runtime: an engine for each instance, and one for every rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from protocol.machines.collectives.meeting import Call
from protocol.types import Value

from ..binding import bound_rows
from ..model.balancing import Rebalance
from ..model.shard import Shard
from ..model.transport import Place
from ..runtime.placement import OUTSIDE, Crew, Desk, Letter, Part, Placement, Station
from .common import Common
from .plan import RoundPlan
from .ranks import BALANCING, ExpertRank, witness
from .scheduler import ExpertScheduler, Running


@dataclass(frozen=True)
class Advanced:
    """From an engine: its requests as they are after a forward."""

    instance: int
    requests: tuple[Running, ...]


@dataclass(frozen=True)
class Where:
    """To a rank: say where you stand."""


@dataclass(frozen=True)
class Stands:
    """From a rank: the collective that it has entered and not left, how many rows it has fired, and how many forwards it has entered."""

    place: Place
    call: Call
    rows: int
    forwards: int


class EngineCrew(Crew):
    """An instance's engine."""

    def __init__(self, plan: RoundPlan, instance: int, desk: Desk):
        self._desk, self._instance, self._told = desk, instance, 0
        self._scheduler = ExpertScheduler(plan.asked[instance], desk.clock("gate", (instance,)))

    def roles(self, machine: str, copy: tuple[Value, ...]) -> Sequence[object]:
        return [self._scheduler]

    def receive(self, letter: Letter) -> None:
        self._scheduler.receive(letter.content)

    def settle(self) -> None:
        self._scheduler.collect()
        if self._scheduler.credited > self._told:
            self._told = self._scheduler.credited
            self._desk.post(OUTSIDE, Advanced(self._instance, tuple(self._scheduler.requests)))


class RankCrew(Crew):
    """A rank, and what it says of where it stands."""

    def __init__(self, plan: RoundPlan, place: Place, common: Common, rows: frozenset[str], desk: Desk):
        self._desk, self._place = desk, place
        weights = common.weights().placed_shard(place[1], plan.ranks, plan.number(place), plan.experts)
        shard, self._transport = Shard(weights, plan.cache()), common.transport(place)
        if plan.balance is None:
            self._rank = ExpertRank(place, shard, self._transport)
        else:
            self._rank = BALANCING[plan.balance](place, shard, self._transport, plan.experts, self._tell)
        self._roles = [self._rank, witness(self._rank, sorted(rows - bound_rows(type(self._rank))))]

    def roles(self, machine: str, copy: tuple[Value, ...]) -> Sequence[object]:
        return self._roles

    def receive(self, letter: Letter) -> None:
        self._desk.post(OUTSIDE, Stands(self._place, self._rank.call, self._rank.rows, self._rank.forwards))

    def close(self) -> None:
        self._transport.close()

    def _tell(self, moved: Rebalance) -> None:
        if self._place == (0, 0):
            self._desk.post(OUTSIDE, moved)


def name_of(place: Place) -> str:
    """Of a rank's process."""
    return f"worker[{place[0]},{place[1]}]"


def placement_of(plan: RoundPlan, common: Common) -> Placement:
    """A process for every engine and for every rank."""
    rows = frozenset(action.name for action in plan.composition.system().actions if action.machine.name == "worker")
    engines = [Station(f"engine {i}", (Part("gate", (i,)),), partial(EngineCrew, plan, i)) for i in range(plan.instances)]
    ranks = [
        Station(name_of(place), (Part("worker", place),), partial(RankCrew, plan, place, common, rows), results_to=f"engine {place[0]}")
        for place in plan.places
    ]
    return Placement(plan.composition, (*engines, *ranks))
