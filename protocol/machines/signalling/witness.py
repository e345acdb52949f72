"""What a bystander writes down about the ranks, so that properties can be stated: ghosts, and the effects on them.

Nothing here restricts the protocol, and a system drops whatever its asked properties do not read. A worker's rows call
these where the thing happens:

- `begin`, `hold`: what each rank decided to work on in this iteration of its loop. Two ranks are at most one iteration
  apart, because the barrier at the top lies between, so iterations are told apart by a turn of two; a rank forgets its
  last-but-one decision when it arrives there, which is after every rank has made that decision.
- `hold` also compares the batch with the one that is next in put order: reading one twice, or out of turn, is a misread.
- `look`, `raise_signal`, `lower_signal`: in which lap of the loop the forward signal was raised. A zero is *late* when the
  rank that stores it is one lap behind; in the same lap it is at worst early. Laps are counted modulo three, which is exact
  as long as two ranks are at most one apart; a path to a first late zero is exact in any case.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

from ...combine import any_of, if_else, me
from ...effect import when
from ...expr import Expr
from ...machine import Process
from ...slice import slice_of
from ...types import BOOL, Index, Optional, Range, Type
from ...variable import Variable, ghost

LAPS = Range(0, 2)


@dataclass(frozen=True)
class Witness:
    """The ghosts of one data-parallel instance's ranks."""

    ranks: Index
    numbers: Range
    turn: Variable
    decided: Variable
    held: Variable
    next_batch: Variable
    misread: Variable
    lap: Variable
    raised_in: Variable
    late_zero: Variable

    @classmethod
    def create(cls, ranks: Index, numbers: Range, process: Process | None = None, instances: tuple[Index, ...] = ()) -> Witness:
        """Ghosts of ranks that have decided nothing and read nothing; a crash of the process makes them so again.

        `instances`: leading index types, where there are several such groups of ranks; see `at`.
        """
        own = partial(_ghost, instances, process)
        return cls(
            ranks,
            numbers,
            turn=own("witness_turn", BOOL, (ranks,)),
            decided=own("witness_decided", BOOL, (ranks, BOOL)),
            held=own("witness_held", Optional(numbers), (ranks, BOOL)),
            next_batch=own("witness_next_batch", numbers, (ranks,)),
            misread=own("witness_misread", BOOL),
            lap=own("witness_lap", LAPS, (ranks,)),
            raised_in=own("witness_raised_in", Optional(LAPS)),
            late_zero=own("witness_late_zero", BOOL),
        )

    def at(self, *instance: Any) -> Witness:
        """The ghosts of that instance's ranks."""
        parts = {f.name: getattr(self, f.name) for f in fields(self)}
        sliced: dict[str, Any] = {name: slice_of(part, instance) for name, part in parts.items() if isinstance(part, Variable)}
        return replace(self, **sliced)

    def begin(self) -> list[Any]:
        """The rank arrives at the barrier before the flag is read: a new iteration."""
        own, turn = me(self.ranks), self.turn[me(self.ranks)]
        return [self.turn[own].set(~turn), self.decided[own, ~turn].set(False), self.held[own, ~turn].set(None)]

    def hold(self, number: Any = None) -> list[Any]:
        """The rank works on that batch in this iteration; None: on no new batch."""
        own, turn = me(self.ranks), self.turn[me(self.ranks)]
        effects: list[Any] = [self.decided[own, turn].set(True), self.held[own, turn].set(number)]
        if number is not None:
            following = if_else(number == self.numbers.high, self.numbers.low, number + 1)
            effects += [when(number != self.next_batch[own], self.misread.set(True)), self.next_batch[own].set(following)]
        return effects

    def look(self) -> list[Any]:
        """The rank loads the announcement: a new lap."""
        own = me(self.ranks)
        return [self.lap[own].set(_next_lap(self.lap[own]))]

    def raise_signal(self) -> list[Any]:
        """The rank raises the forward signal."""
        return [self.raised_in.set(self.lap[me(self.ranks)])]

    def lower_signal(self) -> list[Any]:
        """The rank lowers the forward signal."""
        late = self.raised_in == _next_lap(self.lap[me(self.ranks)])
        return [when(late, self.late_zero.set(True)), self.raised_in.set(None)]

    def is_divided(self) -> Expr:
        """Two ranks have decided on different work for one iteration."""

        def both_decided(i: Any, j: Any, turn: bool) -> Any:
            return self.decided[i, turn] & self.decided[j, turn]

        def differ(turn: bool) -> Any:
            return any_of(
                self.ranks,
                lambda i: any_of(self.ranks, lambda j: both_decided(i, j, turn) & (self.held[i, turn] != self.held[j, turn])),
            )

        return differ(False) | differ(True)


def _ghost(instances: tuple[Index, ...], process: Process | None, name: str, type: Type, over: tuple[Any, ...] = ()) -> Variable:
    return ghost(name, type, over=(*instances, *over), process=process)


def _next_lap(lap: Expr) -> Expr:
    return if_else(lap == LAPS.high, LAPS.low, lap + 1)
