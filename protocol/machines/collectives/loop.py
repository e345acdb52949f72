"""Versions of the rounds of several data-parallel instances, told by what they do, and what their machines share.

`Loop` describes a version by flags, so that no row asks "which version is this?". `Round` holds the variables that the
engines' gates (`round_gate.py`) and the workers' ranks (`round_worker.py`) both touch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import all_of, any_of, me
from ...effect import each, when
from ...expr import Expr
from ...machine import Process
from ...types import BOOL, Enum, Index, Optional, Range
from ...variable import Variable, ghost, locked, private, register, world
from .fate import Fate
from .meeting import Meetings
from .queues import TaskQueues


class Batch(IntEnum):
    """What a batch holds: nothing, requests, or a control request: to sleep, to wake, one that all instances run together, or its end."""

    EMPTY, REQUESTS, SLEEP, WAKE, CONTROL, WITHDRAWAL = range(6)


class Offer(IntEnum):
    """What rank 0 of an instance gives to the all_gather: nothing to do, requests that go on decoding, or a batch."""

    NOTHING, RUNNING, BATCH = range(3)


class Part(IntEnum):
    """What the all_gather of the repaired loop tells a rank to do: no forward, one without a new batch, or one with its own."""

    REST, ACCOMPANY, WORK = range(3)


@dataclass(frozen=True)
class Loop:
    """One version of the round.

    Args:
        gated: the engine schedules only while the forward signal is down.
        counts: the gate looks at the queue under its lock (`num_tasks`), and not at its register (`exist_tasks`).
        pushes_empty: an engine that has nothing to schedule puts an empty batch.
        meets: roles in which ranks meet (EPB) between reading a batch and its forward.
        skips: roles in which an iteration without a batch has no forward.
        top_barrier: TPB#0 before rank 0 looks; rank 0 also takes its announcement back.
        read_barrier: TPB#2' after reading.
        owned: ours. Rank 0 alone raises the signal, and lowers it behind TPB#0 of the next iteration.
        asks: ours. Instead of TPB#1 one all_gather of all ranks, which says what each has to do in this iteration.
        offers_running: ours. Requests that go on decoding are offered as well as batches.
        raises_for_others: the signal goes up for an empty forward, too.
        gives_up: ours. The wait for the signal has a time-out, which ends in an error reply.
    """

    gated: bool = False
    counts: bool = False
    pushes_empty: bool = False
    meets: tuple[str, ...] = ()
    skips: tuple[str, ...] = ()
    top_barrier: bool = False
    read_barrier: bool = False
    owned: bool = False
    asks: bool = False
    offers_running: bool = False
    raises_for_others: bool = False
    gives_up: bool = False


_B = Loop(gated=True, counts=True, pushes_empty=True, meets=("prefill",), skips=("prefill",))
_OURS = Loop(gated=True, top_barrier=True, owned=True, asks=True, offers_running=True, gives_up=True)

LOOPS = {
    "A": Loop(),
    "6085": replace(_B, meets=("prefill", "decode")),
    "B": _B,
    "B'": replace(_B, counts=False, top_barrier=True, read_barrier=True),
    "B-without-empty-batches": replace(_B, pushes_empty=False),
    "B-without-meeting": replace(_B, meets=()),
    "repaired": _OURS,
    "repaired-without-asking": replace(_OURS, asks=False, skips=("prefill",)),
    "repaired-without-top-barrier": replace(_OURS, top_barrier=False),
    "repaired-offering-batches-only": replace(_OURS, offers_running=False),
    "repaired-raising-for-others": replace(_OURS, raises_for_others=True),
    "repaired-without-time-out": replace(_OURS, gives_up=False),
}
"""The versions by name; the last ones are those of the facts and ours with one part left out."""


@dataclass(frozen=True)
class Round:
    """What the gates and the ranks of all instances share.

    `announced`: exist_task_signal (or read_finish_flag) of an instance. `forward_signal`: engine_forward_signal, None in A.
    `decoding`: the requests of the last batch have one more forward to go (ours, in the decode role).
    `offered`, `part`: the payload of the repaired all_gather, as given and as received; `waits_given`, `waits_all`: that of W7,
    whether a rank has a control request waiting (`waits`), and whether all have. `stopped`: the engine of that
    instance does nothing more (paused, or its thread is dead). `lead`: how many forwards a rank has begun more than the
    slowest, at most two. `process`: of a rank, where one may die; `fate`: where the dead come back.
    """

    loop: Loop
    role: str
    instances: Index
    ranks: Index
    queues: TaskQueues
    meetings: Meetings
    process: Process | None
    announced: Variable
    forward_signal: Variable | None
    offered: Variable
    part: Variable
    batch: Variable
    decoding: Variable
    asleep: Variable
    waits: Variable
    waits_given: Variable
    waits_all: Variable
    stopped: Variable
    lead: Variable
    fate: Fate | None

    @classmethod
    def create(cls, loop: Loop, role: str, instances: int, ranks: int, crashes: bool, fate: str | None = None, deaths: int = 0) -> Round:
        """The variables of so many instances with so many ranks each."""
        index, rank = Index("instance", instances), Index("rank", ranks)
        if fate is None:
            return cls.over(loop, role, index, rank, Process("rank_process", over=(index, rank)) if crashes else None)
        fates = Fate.create(fate, index, rank, deaths)
        return cls.over(loop, role, index, rank, fates.rank, fates.memory, None, fates, deaths + 1)

    @classmethod
    def over(
        cls,
        loop: Loop,
        role: str,
        index: Index,
        rank: Index,
        process: Process | None = None,
        memory: Process | None = None,
        collectives: Process | None = None,
        fate: Fate | None = None,
        generations: int = 1,
        name: str = "",
    ) -> Round:
        """The variables of these instances with these ranks each, their names behind `name`.

        `process`: of a rank. `memory`, `collectives`: whose end makes queues and flags, and the places in collectives, anew.
        """
        both, meetings = (index, rank), Meetings.create(index, rank, generations, collectives, name)
        flag = partial(register, over=index, process=memory)
        met, own = partial(locked, lock=meetings.lock, process=collectives), partial(private, over=both)
        signal = flag(f"{name}forward_signal", BOOL, cite="engine_forward_signal; facts 1.2: FWD") if loop.gated else None
        return cls(
            loop,
            role,
            index,
            rank,
            TaskQueues.create(index, rank, Enum(Batch), memory, name),
            meetings,
            process,
            announced=register(
                f"{name}batch_announced", BOOL, over=index, process=collectives, cite="exist_task_signal or read_finish_flag; facts 1.2: XT, RF"
            ),
            forward_signal=signal,
            offered=met(f"{name}work_offered", Enum(Offer), over=index, cite="ours: what rank 0 gives to the all_gather"),
            part=met(f"{name}forward_part", Enum(Part), over=both, cite="ours: what each rank receives from it"),
            batch=own(f"{name}worker_batch", Optional(Enum(Batch))),
            decoding=own(f"{name}worker_decodes", BOOL),
            asleep=own(f"{name}worker_asleep", BOOL),
            waits=own(f"{name}control_waits", BOOL),
            waits_given=met(f"{name}control_given", BOOL, over=both, cite="facts 4.1 W7"),
            waits_all=met(f"{name}control_everywhere", BOOL, over=both, cite="facts 4.1 W7"),
            stopped=world(f"{name}engine_stopped", BOOL, over=index),
            lead=ghost(f"{name}forwards_ahead", Range(0, 2), over=both),
            fate=fate,
        )

    @property
    def own(self) -> tuple[Expr, Expr]:
        """The caller: its instance and its rank."""
        return me(self.instances), me(self.ranks)

    def any_rank(self, fact: Any) -> Expr:
        """Whether the fact is true of some rank of some instance."""
        return any_of(self.instances, lambda j: any_of(self.ranks, lambda s: fact(j, s)))

    def all_ranks(self, fact: Any) -> Expr:
        """Whether the fact is true of every rank of every instance."""
        return all_of(self.instances, lambda j: all_of(self.ranks, lambda s: fact(j, s)))

    def count_forward(self) -> list[Any]:
        """Effects on the ghosts when the caller begins a forward: it leads by one more, or the others by one less."""
        i, r = self.own
        mine, lead = self.lead[i, r], self.lead
        catches_up = (mine == 0) & self.all_ranks(lambda j, s: ((j == i) & (s == r)) | (lead[j, s] > 0))
        follow = each(self.instances, lambda j: each(self.ranks, lambda s: when(((j != i) | (s != r)) & catches_up, lead[j, s].sub(1))))
        return [*follow, when(~catches_up & (mine < 2), mine.add(1))]
