"""Meetings: the collectives of a group of ranks, and which of them each rank has entered.

A collective (a barrier, a broadcast, an all_gather, the all-to-all of a mixture of experts) lets nobody go before every
rank of its group has entered one. Communicators match calls by order and not by program point: where two ranks of a
group enter different collectives, the transport pairs them all the same (a barrier slips a phase, a broadcast hands out
another's data) or waits for ever. So a rank's entry says *which* collective it is, which the transport does not look at,
and two properties do:

- mismatched: ranks of one group have been paired over different collectives (properties P5 and P6 of the facts);
- crossed: a rank waits in a group for one that waits for it in another group; neither ever leaves (H8).

Where ranks come back from the dead, a third one looks at which *generation* each place in a collective was taken in.

A rank is in at most one collective at a time, so one cell a rank says where it waits. The cells are guarded by a lock that
nobody holds across rows: completion is one event of the communicator, and what the last entry hands out lies in every
rank's own buffer before anybody is let go. The group `TENSOR` is the ranks of one data-parallel instance; `EXPERTS`, `EXCHANGE`
and `WORLD` are all ranks of all instances, three times.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import partial
from itertools import combinations
from typing import Any

from ...combine import any_of, me
from ...effect import each, when
from ...expr import TRUE, Expr
from ...machine import Process, Row
from ...types import BOOL, Enum, Index, Range
from ...variable import Lock, Variable, ghost, locked


class Call(IntEnum):
    """The program point at which a rank entered a collective; NONE while it waits in none."""

    NONE, TOP, FLAG, READ, SKIP, IDLE, SLEEP, MEET, BALANCE, PENDING, FORWARD, STATUS, UPDATING, LOADED, CLEARING, CLEARED = range(16)


TENSOR = (Call.TOP, Call.FLAG, Call.READ, Call.SKIP, Call.IDLE, Call.SLEEP)
"""TPB#0, TPB#1, TPB#2', TPB#1b, TPB#2 and the barrier of the sleeping branch."""
EXPERTS = (Call.MEET, Call.PENDING)
"""EPB (or, repaired, the all_gather that asks who has a batch) and the all_gather of pending controls."""
EXCHANGE = (Call.FORWARD,)
"""The all-to-all of a forward, which has a transport of its own."""
WORLD = (Call.STATUS, Call.BALANCE, Call.UPDATING, Call.LOADED, Call.CLEARING, Call.CLEARED)
"""The broadcasts of model_weights_status and of load balancing; the barriers before, in and after an update of weights."""
GROUPS = (TENSOR, EXPERTS, EXCHANGE, WORLD)


@dataclass(frozen=True)
class Meetings:
    """Where each rank of each instance waits. `mismatched`: some meeting joined different collectives.

    Where ranks come back: `generation`, in which a rank has last made its place anew, and `mixed`: some meeting joined two of them.
    """

    instances: Index
    ranks: Index
    lock: Lock
    entered: Variable
    mismatched: Variable
    generation: Variable | None = None
    mixed: Variable | None = None

    @classmethod
    def create(cls, instances: Index, ranks: Index, generations: int = 1, process: Process | None = None, name: str = "") -> Meetings:
        """Nobody waits. `generations`: more than one where ranks come back. `process`: its end empties all places. `name`: before those of cells."""
        lock = Lock(f"{name}collectives", cite="facts 4: TPB, EPB; the communicator completes a collective at once")
        entered = locked(f"{name}collective_entered", Enum(Call), lock, over=(instances, ranks), process=process, cite="facts 9.3 P5, P6")
        found = cls(instances, ranks, lock, entered, ghost(f"{name}collectives_mismatched", BOOL))
        if generations == 1:
            return found
        made = ghost("collective_generation", Range(0, generations - 1), over=(instances, ranks))
        return replace(found, generation=made, mixed=ghost("generations_mixed", BOOL))

    @property
    def own(self) -> tuple[Expr, Expr]:
        """The caller: its instance and its rank."""
        return me(self.instances), me(self.ranks)

    @property
    def may_leave(self) -> Expr:
        """The collective that the caller entered is complete."""
        return self.entered[self.own] == Call.NONE

    def enter(self, call: Call, deliver: Callable[[Any, Any], Any] | None = None) -> list[Any]:
        """Effects of entering a collective; the last of the group lets all go.

        `deliver` gives the effects on the buffer of the member with that instance and rank, which the last entry has.
        """
        i, r = self.own
        group = _group_of(call)
        last = ~self._some_other(group, lambda j, s: ~self.entered[j, s].is_in(*group))
        differs = self._some_other(group, lambda j, s: self.entered[j, s].is_in(*group) & (self.entered[j, s] != call))
        release = self._each_member(group, lambda j, s: self.entered[j, s].set(Call.NONE))
        effects = [when(last, *release), when(~last, self.entered[i, r].set(call)), when(differs, self.mismatched.set(True))]
        made = self.generation
        if made is not None and self.mixed is not None:
            stale = self._some_other(group, lambda j, s: made[j, s] != made[i, r])
            effects.append(when(last & stale, self.mixed.set(True)))
        if deliver is not None:
            effects.append(when(last, *self._each_member(group, deliver)))
        return effects

    def meet(self, call: Call, source: IntEnum, at: IntEnum, after: IntEnum, cite: str, effects: Any = ()) -> list[Row]:
        """The rows of a worker that enters a collective and leaves it, with these effects when it leaves."""
        row, name = partial(Row, actor="worker", under=self.lock, cite=cite), call.name.lower()
        return [row(f"enter_{name}", source, at, TRUE, self.enter(call)), row(f"leave_{name}", at, after, self.may_leave, effects)]

    def take_part(self, generation: Expr) -> list[Any]:
        """Effects on the ghosts when the caller has made its place anew, in that generation."""
        return [] if self.generation is None else [self.generation[self.own].set(generation)]

    def is_crossed(self) -> Expr:
        """Two ranks wait in collectives of different groups, each of which the other belongs to."""

        def waits(j: Any, s: Any, groups: tuple[tuple[Call, ...], ...]) -> Expr:
            return self.entered[j, s].is_in(*(call for group in groups for call in group))

        def in_instance(j: Any, *groups: tuple[Call, ...]) -> Expr:
            return any_of(self.ranks, lambda s: waits(j, s, groups))

        def somewhere(group: tuple[Call, ...]) -> Expr:
            return any_of(self.instances, lambda j: in_instance(j, group))

        crossed = any_of(self.instances, lambda j: in_instance(j, TENSOR) & in_instance(j, *GROUPS[1:]))
        for one, other in combinations(GROUPS[1:], 2):
            crossed = crossed | (somewhere(one) & somewhere(other))
        return crossed

    # -- the members of a group ------------------------------------------------------------------------------------------

    def _some_other(self, group: tuple[Call, ...], fact: Callable[[Any, Any], Any]) -> Expr:
        """Whether the fact is true of some member but the caller."""
        i, r = self.own
        if group is TENSOR:
            return any_of(self.ranks, lambda s: (s != r) & fact(i, s))
        return any_of(self.instances, lambda j: any_of(self.ranks, lambda s: ((j != i) | (s != r)) & fact(j, s)))

    def _each_member(self, group: tuple[Call, ...], body: Callable[[Any, Any], Any]) -> tuple[Any, ...]:
        """The effects of the body for every member."""
        i, _ = self.own
        if group is TENSOR:
            return each(self.ranks, lambda s: body(i, s))
        return each(self.instances, lambda j: each(self.ranks, lambda s: body(j, s)))


def _group_of(call: Call) -> tuple[Call, ...]:
    return next(group for group in GROUPS if call in group)
