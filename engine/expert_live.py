"""The same instances in processes of their own: an engine each, and one process for every rank, with real exchanges between them.

A forward is computed when its row has committed, by all ranks at once: sums within an instance, the all-to-all over all ranks. A rank that
waits in a barrier of the protocol waits in no exchange, so when nothing gets on any more every rank can be asked where it stands.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import product
from multiprocessing.shared_memory import SharedMemory

from protocol.machines.collectives.expert_round import build
from protocol.machines.collectives.meeting import Call
from protocol.types import Value

from .clock import Clock
from .driver import Step
from .expert_parallel import BLOCK_SIZE, BLOCKS, CHUNK_TOKENS, Asked, ExpertScheduler, Run, Running, Stall, whereabouts
from .expert_ranks import ExpertRank, Place
from .meter import Usage
from .model.collective import AllToAll
from .model.config import ModelConfig
from .model.kv_cache import KvCache
from .model.named import weights_of
from .model.shard import Forward, Shard
from .model.shared_exchange import SharedExchange
from .model.threads import share_cores
from .queue_server import Letter
from .roles.binding import after
from .runtime.household import SEGMENT_PREFIX
from .runtime.live import LiveEngine, start
from .runtime.placement import OUTSIDE, Composition, Crew, Desk, Part, Placement, Station

BUILDER = f"{build.__module__}:{build.__name__}"
PATIENCE_S = 10.0
"""Without a new token for so long, a run is stalled."""
ANSWER_S = 2.0
"""How long a rank may take to say where it stands; one that is in an exchange says nothing."""
REST_S = 0.005
"""Pause of an engine that has nothing to schedule."""
TASK_ROWS = {"worker.read_batch", "worker.read_last_batch", "worker.start_forward", "worker.finish_forward"}
"""The rows at which a rank computes."""


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


@dataclass(frozen=True)
class Layout:
    """What all processes of a run know: sizes, the names of the exchanges' segments, and the requests of every instance."""

    config: ModelConfig
    variant: str
    ranks: int
    segments: tuple[str, ...]
    asked: tuple[tuple[Asked, ...], ...]

    @property
    def instances(self) -> int:
        """Data-parallel instances."""
        return len(self.asked)

    @property
    def floats(self) -> int:
        """The most that a rank gives to one exchange."""
        requests = max(1, *map(len, self.asked))
        return requests * max(CHUNK_TOKENS * self.config.hidden * self.config.experts_per_token, self.config.vocabulary)

    @property
    def composition(self) -> Composition:
        """The system of the round."""
        return Composition(BUILDER, {"variant": self.variant, "instances": self.instances, "ranks": self.ranks, "role": "prefill"})

    def places(self) -> list[Place]:
        """All ranks of all instances."""
        return list(product(range(self.instances), range(self.ranks)))


class Exchanges:
    """What `ExpertRank` computes its forwards by, for one rank in a process of its own."""

    def __init__(self, layout: Layout, place: Place):
        instance, rank = place
        number, ranks = instance * layout.ranks + rank, layout.ranks
        *tensor, world = (SharedMemory(name) for name in layout.segments)
        self._tensor = SharedExchange(tensor[instance], rank, ranks, layout.floats)
        self._world = SharedExchange(world, number, layout.instances * ranks, layout.floats)
        self.entered = 0

    def begin(self, instance: int, rank: int, forward: Forward) -> None:
        """Compute the whole forward, beside all others."""
        self.entered += 1
        forward.advance()
        while forward.waits is not None:
            carrier = self._world if isinstance(forward.waits, AllToAll) else self._tensor
            forward.advance(carrier.exchange(forward.waits))
        self._forward = forward

    def finish(self, instance: int, rank: int) -> Forward:
        """The last forward."""
        return self._forward


class EngineCrew(Crew):
    """An instance's engine."""

    def __init__(self, layout: Layout, instance: int, desk: Desk):
        self._desk, self._instance, self._told = desk, instance, 0
        self._scheduler = ExpertScheduler(layout.asked[instance])
        self._rest = EngineRest(desk.clock("gate", (instance,)))

    def roles(self, machine: str, copy: tuple[Value, ...]) -> Sequence[object]:
        return [self._scheduler, self._rest]

    def receive(self, letter: Letter) -> None:
        self._scheduler.receive(letter.content)

    def settle(self) -> None:
        self._scheduler.collect()
        if self._scheduler.credited > self._told:
            self._told = self._scheduler.credited
            self._desk.post(OUTSIDE, Advanced(self._instance, tuple(self._scheduler.requests)))


class EngineRest:
    """The pause of an engine that has nothing to schedule."""

    def __init__(self, clock: Clock):
        self._clock = clock

    @after("gate.schedule_nothing")
    def rest(self, step: Step) -> None:
        """For a moment."""
        self._clock.sleep(REST_S)


class RankCrew(Crew):
    """A rank, and what it says of where it stands."""

    def __init__(self, layout: Layout, place: Place, desk: Desk):
        instance, rank = place
        share_cores(layout.instances * layout.ranks)
        number, places = instance * layout.ranks + rank, layout.instances * layout.ranks
        weights = weights_of(layout.config).expert_shard(rank, layout.ranks, number, places)
        self._exchanges = Exchanges(layout, place)
        self._role = ExpertRank(instance, rank, Shard(weights, KvCache(layout.config, layout.ranks, BLOCKS, BLOCK_SIZE)), self._exchanges)
        rows = {action.name for action in layout.composition.system().actions if action.machine.name == "worker"}
        self._desk, self._place, self._trail = desk, place, trail_of(place, sorted(rows - TASK_ROWS))

    def roles(self, machine: str, copy: tuple[Value, ...]) -> Sequence[object]:
        return [self._role, self._trail]

    def receive(self, letter: Letter) -> None:
        trail = self._trail
        self._desk.post(OUTSIDE, Stands(self._place, trail.call, trail.rows, self._exchanges.entered))


class Trail:
    """Which collective a rank has entered last and not left, as its rows tell, and how many of them it has fired."""

    def __init__(self, place: Place):
        self._place = place
        self.call, self.rows = Call.NONE, 0

    def note(self, step: Step) -> None:
        """A row has fired."""
        self.rows += 1
        entered = step.left("collective_entered", *self._place)
        if entered is not None:
            self.call = Call(entered)


def trail_of(place: Place, rows: Sequence[str]) -> Trail:
    """A trail whose handler is bound to these rows; which there are depends on the version of the loop."""

    class Bound(Trail):
        @after(*rows)
        def note(self, step: Step) -> None:
            super().note(step)

    return Bound(place)


def placement_of(layout: Layout) -> Placement:
    """A process for every engine and for every rank."""
    engines = [Station(f"engine {i}", (Part("gate", (i,)),), partial(EngineCrew, layout, i)) for i in range(layout.instances)]
    ranks = [
        Station(f"worker[{i},{r}]", (Part("worker", (i, r)),), partial(RankCrew, layout, (i, r)), results_to=f"engine {i}")
        for i, r in layout.places()
    ]
    return Placement({"": layout.composition}, (*engines, *ranks))


@contextmanager
def _segments(layout: Layout) -> Iterator[None]:
    """The exchanges' memory: one an instance, and one for all ranks."""
    with ExitStack() as owned:
        for number, name in enumerate(layout.segments):
            members = layout.ranks if number < layout.instances else layout.instances * layout.ranks
            memory = SharedMemory(name, create=True, size=SharedExchange.bytes_needed(members, layout.floats))
            owned.callback(memory.unlink)
            owned.callback(memory.close)
        yield


def run_experts_live(
    config: ModelConfig,
    requests: Sequence[Sequence[Asked]],
    *,
    variant: str = "repaired",
    ranks: int = 2,
    log: str | os.PathLike[str] | None = None,
    patience_s: float = PATIENCE_S,
) -> Run:
    """Generate greedily on several instances of processes, to the last token or to a stall.

    Args:
        config: of a model whose experts all ranks together can share evenly. requests, variant, ranks: see `run_experts`.
        log: where the events go. patience_s: seconds without a new token after which the run is stalled.

    Raises:
        DefinitionError: an unknown variant, or a model that cannot be spread so. EngineError: a process failed, or does not start.
    """
    config.check_places(len(requests) * ranks)
    own = f"{SEGMENT_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
    segments = tuple(f"{own}-experts-{number}" for number in range(len(requests) + 1))
    layout = Layout(config, variant, ranks, segments, tuple(tuple(mine) for mine in requests))
    with _segments(layout), start(placement_of(layout), {} if log is None else {"": log}) as engine:
        state = {i: tuple(ExpertScheduler(mine).requests) for i, mine in enumerate(layout.asked)}
        stalled = _follow(engine, state, patience_s)
        first = _ask(engine, layout)
        stood = _ask(engine, layout) if stalled else first
        used = engine.stop() if len(stood) == len(layout.places()) else Usage()
    stall = None
    if stalled:
        standing = {place for place in layout.places() if place not in stood or stood[place].rows == first[place].rows}
        calls = {place: stood[place].call if place in stood else Call.FORWARD for place in layout.places()}
        stall = Stall(used.rows, tuple(whereabouts(calls, standing)))
    forwards = {place: stood[place].forwards if place in stood else 0 for place in layout.places()}
    return Run(tuple(state[i] for i in sorted(state)), forwards, used.rows, stall)


def _follow(engine: LiveEngine, state: dict[int, tuple[Running, ...]], patience_s: float) -> bool:
    """Until every request has its tokens, or nothing is heard for so long; whether it was that."""
    while not all(request.ended for mine in state.values() for request in mine):
        letter = engine.received(patience_s)
        if letter is None:
            return True
        if isinstance(letter.content, Advanced):
            state[letter.content.instance] = letter.content.requests
    return False


def _ask(engine: LiveEngine, layout: Layout) -> dict[Place, Stands]:
    """Where the ranks stand, of those that say so in time."""
    for i, r in layout.places():
        engine.send(f"worker[{i},{r}]", Where())
    found: dict[Place, Stands] = {}
    while len(found) < len(layout.places()) and (letter := engine.received(ANSWER_S)) is not None:
        if isinstance(letter.content, Stands):
            found[letter.content.place] = letter.content
    return found
