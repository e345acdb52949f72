"""Who ends with a rank that dies, and how they come back: the supervisor of the ranks that run rounds together.

A collective cannot be left by one of its members. When a rank dies, or the engine of an instance, others may be in a forward that waits for
it for ever, and have computed half of a batch that it has lost; and its place in the collectives stays as it was, in memory that outlives
it. So whoever shares rounds shares a *fate*:

1. *The supervisor ends them all*, one after the other, while those who still live go on and may even end a round.
2. *When all are dead it makes anew what they have shared*: queues and signals. With that a new generation begins.
3. *It starts each again.* A rank makes its own place in the collectives anew, and says that it is ready.
4. *Nobody goes before all are ready.* Whoever went at once would meet what the dead have left in the place of one that is still to come. Who
   is lost on the way back is started again; nobody has met it yet.

In other scopes only one rank comes back, or one instance with its engine, as instances do that share no experts. A batch that was put is lost with
its engine, whose requests end with an error each: that is the business of the whole protocol (`repaired/faults.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import partial

from ...combine import choice, conjunction, me
from ...expr import TRUE, Expr, Literal, Param
from ...machine import Machine, Process, Row
from ...types import BOOL, Index, Range
from ...variable import Variable, channel, private, world

FATES = ("rank", "instance", "all", "all_at_once")
"""Who comes back anew when one dies: the rank, its instance, or all, and then together or each as soon as it can."""


class World(IntEnum):
    """The world is ..."""

    RUNNING = 0


class Supervisor(IntEnum):
    """The supervisor is ..."""

    WATCHING, ENDING, STARTING = range(3)


@dataclass(frozen=True)
class Fate:
    """The processes that may die, and what says that they may go on.

    Args:
        rank, engine: the processes of a rank and of an instance's engine. memory: the queue and the signal of an instance, made anew with it.
        generation: which one a rank belongs to. ready: a rank's word that it has made its place anew. gone: it may go on.
        dead: how many have died by themselves, of so many `deaths`.
    """

    scope: str
    instances: Index
    ranks: Index
    deaths: int
    rank: Process
    engine: Process
    memory: Process
    generation: Variable
    ready: Variable
    gone: Variable
    dead: Variable

    @classmethod
    def create(cls, scope: str, instances: Index, ranks: Index, deaths: int) -> Fate:
        """Everybody lives."""
        both, count = (instances, ranks), Range(0, deaths)
        rank = Process("rank_process", over=both)
        return cls(
            scope,
            instances,
            ranks,
            deaths,
            rank,
            Process("engine_process", over=instances),
            Process("memory", over=instances),
            generation=world("generation", count, over=both),
            ready=channel("rank_ready", Range(0, 0), 1, over=both, process=rank, cite="ours: what a child says to its supervisor"),
            gone=world("rank_may_go", BOOL, over=both, init=True),
            dead=world("deaths", count),
        )

    def machines(self) -> list[Machine]:
        """What kills, and who supervises."""
        return [self._world(), self._supervisor()]

    def _world(self) -> Machine:
        """A process dies: of a rank, or of an engine where that comes back as well."""
        w, i, r = World.RUNNING, choice("instance", self.instances), choice("rank", self.ranks)
        kill = partial(Row, source=w, destination=w, actor="world", decided="observed", cite="facts 8 H6, 9.6")
        more, count = self.dead < self.deaths, self.dead.add(1)
        rows = [kill("kill_rank", guard=more & self.rank.is_alive(i, r), effects=[count, self.rank.crash(i, r)], choose=(i, r))]
        if self.scope != "rank":
            rows.append(kill("kill_engine", guard=more & self.engine.is_alive(i), effects=[count, self.engine.crash(i)], choose=(i,)))
        return Machine("world", World, rows, final=w, environment=True, doc="what kills a rank, or an engine")

    def _supervisor(self) -> Machine:
        """One for everybody who shares a fate."""
        s, ranks, engines = Supervisor, self._ranks(), self._engines()
        i, r = (me(index) if index in self._copies else choice(index.name, index) for index in (self.instances, self.ranks))
        chosen = [index for index in (i, r) if isinstance(index, Param)]
        heard = private("ready_heard", BOOL, over=(self.instances, self.ranks))
        alive, runs = self.rank.is_alive(i, r), self.engine.is_alive(i)
        all_live = conjunction([*(self.rank.is_alive(*k) for k in ranks), *(self.engine.is_alive(j) for j in engines)])
        all_dead = conjunction([*(~self.rank.is_alive(*k) for k in ranks), *(~self.engine.is_alive(j) for j in engines)])
        waits = [] if self.scope == "all_at_once" else [self.gone[k].set(False) for k in ranks]
        anew = [*(self.memory.crash(j) for j in engines), *waits, *((self.generation[k].add(1), heard[k].set(False)) for k in ranks)]
        all_ready = conjunction([all_live, *(heard[k] for k in ranks)])
        does = partial(Row, actor="supervisor", fair="weak", cite="ours")
        # fmt: off
        rows = [
            does("see_death",  s.WATCHING, s.ENDING,   ~all_live),
            does("end_rank",   s.ENDING,   s.ENDING,   alive,     [self.rank.crash(i, r)], choose=chosen),
            does("begin_anew", s.ENDING,   s.STARTING, all_dead,  anew),
            does("start_rank", s.STARTING, s.STARTING, ~alive,    [self.rank.restart(i, r), heard[i, r].set(False)], choose=chosen),
            does("hear_ready", s.STARTING, s.STARTING, TRUE,      [self.ready[i, r].receive(), heard[i, r].set(True)], choose=chosen),
            does("let_go",     s.STARTING, s.WATCHING, all_ready, [self.gone[k].set(True) for k in ranks]),
        ]
        if engines:
            of_engine = [index for index in chosen if index is i]
            rows += [
                does("end_engine",   s.ENDING,   s.ENDING,   runs,  [self.engine.crash(i)], choose=of_engine),
                does("start_engine", s.STARTING, s.STARTING, ~runs, [self.engine.restart(i)], choose=of_engine),
            ]
        # fmt: on
        return Machine("supervisor", s, rows, copies=self._copies, environment=True, doc="who ends the others of a dead rank, and starts them again")

    # -- who shares the fate of a supervisor's copy --------------------------------------------------------------------

    @property
    def _copies(self) -> tuple[Index, ...]:
        """A supervisor for each rank, for each instance, or one for all."""
        return {"rank": (self.instances, self.ranks), "instance": (self.instances,)}.get(self.scope, ())

    def _engines(self) -> list[Expr]:
        """The instances whose engines end with it."""
        if self.scope == "rank":
            return []
        return [me(self.instances)] if self.scope == "instance" else [Literal(j, self.instances) for j in self.instances]

    def _ranks(self) -> list[tuple[Expr, Expr]]:
        """The ranks that do."""
        if self.scope == "rank":
            return [(me(self.instances), me(self.ranks))]
        return [(j, Literal(r, self.ranks)) for j in self._engines() for r in self.ranks]
