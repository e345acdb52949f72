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
from .layout import Layout
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

    def __init__(self, layout: Layout, instance: int, desk: Desk):
        self._desk, self._instance, self._told = desk, instance, 0
        self._scheduler = ExpertScheduler(layout.asked[instance], desk.clock("gate", (instance,)))

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

    def __init__(self, layout: Layout, place: Place, common: Common, rows: frozenset[str], desk: Desk):
        self._desk, self._place = desk, place
        weights = common.weights().placed_shard(place[1], layout.ranks, layout.number(place), layout.experts)
        shard, self._transport = Shard(weights, layout.cache()), common.transport(place)
        if layout.balance is None:
            self._rank = ExpertRank(place, shard, self._transport)
        else:
            self._rank = BALANCING[layout.balance](place, shard, self._transport, layout.experts, self._tell)
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


def placement_of(layout: Layout, common: Common) -> Placement:
    """A process for every engine and for every rank."""
    rows = frozenset(action.name for action in layout.composition.system().actions if action.machine.name == "worker")
    engines = [Station(f"engine {i}", (Part("gate", (i,)),), partial(EngineCrew, layout, i)) for i in range(layout.instances)]
    ranks = [
        Station(name_of(place), (Part("worker", place),), partial(RankCrew, layout, place, common, rows), results_to=f"engine {place[0]}")
        for place in layout.places
    ]
    return Placement({"": layout.composition}, (*engines, *ranks))
