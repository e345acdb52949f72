"""The rows of a log put into one order that its system allows.

The search goes by time. Of rows that overlap, only those that meet in a cell are tried in both orders. Where nothing that may still come
first changes what a row reads, and it reads another value, no other order of what follows helps.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from protocol.types import Value

from .event_log import Event
from .logged_rows import EVERYTHING, Firing, LoggedRows, State

Chain = tuple[int, Any] | None
"""The places of rows in the log, the last first: a row and the chain before it."""
DEAD_ENDS = 8
"""So many dead ends are kept, for whoever asks what was done to the log."""


@dataclass
class _Choice:
    """A place where several rows may come next: those not tried yet, and how many rows led there."""

    untried: list[tuple[int, Firing]]
    placed: int


class _Step(NamedTuple):
    """A row that is placed, with those before it; the mark before it, and what its stores replaced."""

    order: tuple[int, Any]
    mark: int
    before: list[tuple[int, Value]]


@dataclass(frozen=True)
class DeadEnd:
    """An order of so many rows behind which no other row can come.

    Args:
        chain: the last of them and what led there. heads: those of which one would have to come next. suspect: the first of these that no
            other row can help. All by their places in the log.
    """

    chain: Chain
    placed: int
    heads: Sequence[int]
    suspect: int

    @property
    def order(self) -> list[int]:
        """The rows, the first first."""
        order, chain = [], self.chain
        while chain is not None:
            k, chain = chain
            order.append(k)
        return order[::-1]


class Ordering:
    """Depth first over orders of the rows. What has failed once, the same rows placed and the same state, is not tried again.

    A state and the rows placed are known by the exclusive or of a random number of 128 bits for each.
    """

    def __init__(self, rows: LoggedRows, state: State, events: Sequence[Event]):
        self.rows, self.state, self.events = rows, state, events
        homes = sorted({event.process for event in events})
        self._lines = [[k for k, event in enumerate(events) if event.process == home] for home in homes]
        self._home = [0] * len(events)
        for number, line in enumerate(self._lines):
            for k in line:
                self._home[k] = number
        self._places = [0] * len(homes)
        self._is_placed = bytearray(len(events))
        self._first = 0
        self._trail: list[_Step] = []
        self._mark, self._marks, self._draw = 0, dict[object, int](), random.Random(0)

    def run(self, enough: int | None = None) -> Sequence[DeadEnd]:
        """Place all events, or as many as are enough: nothing; else the last dead ends, each of which is farther than the one before."""
        goal = len(self.events) if enough is None else min(enough, len(self.events))
        failed: set[int] = set()
        choices: list[_Choice] = []
        ends: deque[DeadEnd] = deque(maxlen=DEAD_ENDS)
        while len(self._trail) < goal:
            fitting: list[tuple[int, Firing]] = []
            if self._mark not in failed:
                heads = self._heads()
                fitting, suspect = self._tried(heads)
                if not fitting and (not ends or len(self._trail) > ends[-1].placed):
                    ends.append(DeadEnd(self._order, len(self._trail), heads, suspect))
            if len(fitting) > 1:
                choices.append(_Choice(fitting[:0:-1], len(self._trail)))
            if not fitting:
                while choices and not choices[-1].untried:
                    choices.pop()
                if not choices:
                    return ends
                failed.add(self._mark)
                failed.update(step.mark for step in self._trail[choices[-1].placed + 1 :])
                self.take_back(choices[-1].placed)
                fitting = [choices[-1].untried.pop()]
            self._place(*fitting[0])
        return ()

    def go_to(self, order: Sequence[int]) -> None:
        """Place these rows in this order, up to the first that does not fit."""
        shared = 0
        while shared < min(len(order), len(self._trail)) and self._trail[shared].order[0] == order[shared]:
            shared += 1
        self.take_back(shared)
        for k in order[shared:]:
            firing = self._fitting(k)
            if firing is None:
                return
            self._place(k, firing)

    def rest(self, most: int) -> list[int]:
        """The first rows that are not placed."""
        return list(islice((k for k in range(self._first, len(self.events)) if not self._is_placed[k]), most))

    def take_back(self, placed: int = 0) -> None:
        """Leave only so many rows placed, and the state as it was behind them."""
        while len(self._trail) > placed:
            step = self._trail.pop()
            k, self._mark = step.order[0], step.mark
            for place, value in step.before:
                self.state.cells[place] = value
            self._is_placed[k] = False
            self._places[self._home[k]] -= 1
            self._first = min(self._first, k)

    @property
    def _order(self) -> Chain:
        return self._trail[-1].order if self._trail else None

    def _heads(self) -> list[int]:
        """Next rows of processes, of which one comes next in every order of the rest, or may as well: what others do does not meet them."""
        found, homes = [self._first], {self._home[self._first]}
        for k in found:
            if self.events[k].began <= self.events[self._first].ended:
                for home in range(len(self._lines)):
                    if home not in homes and self._may_meet(home, k):
                        homes.add(home)
                        found.append(self._lines[home][self._places[home]])
        return sorted(found)

    def _may_meet(self, home: int, k: int) -> bool:
        """Whether a row of that process which may come before row k meets it in a cell."""
        return any(self._meet(self.events[k], other) for other in self._before(home, k))

    def _before(self, home: int, k: int) -> Iterator[Event]:
        """The rows of that process that may come before row k."""
        line = self._lines[home]
        for place in range(self._places[home], len(line)):
            other = self.events[line[place]]
            if other.began > self.events[k].ended:
                return
            yield other

    def _tried(self, heads: Sequence[int]) -> tuple[list[tuple[int, Firing]], int]:
        """Those of the rows that fit; none where one does not that no other can help. That one, or the first, is the suspect."""
        fitting = []
        for k in heads:
            firing = self._fitting(k)
            if firing is not None:
                fitting.append((k, firing))
            elif self._is_hopeless(k):
                return [], k
        return fitting, heads[0]

    def _is_hopeless(self, k: int) -> bool:
        """Whether row k, which does not fit, could come now, and none that may still come before it stores to what it reads."""
        event = self.events[k]
        if event.began > self.events[self._first].ended or self.rows.untold(event):
            return False
        homes = (home for home in range(len(self._lines)) if home != self._home[k])
        before = (other for home in homes for other in self._before(home, k))
        return all(other.writes.keys().isdisjoint(event.reads) and not EVERYTHING <= self.rows.untold(other) for other in before)

    def _meet(self, one: Event, other: Event) -> bool:
        """Whether the order of the two matters: one writes what the other reads or writes."""
        if not (other.writes.keys().isdisjoint(one.reads) and one.writes.keys().isdisjoint(other.reads)):
            return True
        if not one.writes.keys().isdisjoint(other.writes):
            return True
        mine, others = self.rows.untold(one), self.rows.untold(other)
        return not mine.isdisjoint(others) or EVERYTHING <= mine or EVERYTHING <= others

    def _fitting(self, k: int) -> Firing | None:
        event = self.events[k]
        if event.began > self.events[self._first].ended:
            return None
        return next((firing for row in self.rows.of(event) if (firing := row.fits(event)) is not None), None)

    def _place(self, k: int, firing: Firing) -> None:
        assert firing.writes is not None
        cells, before, mark = self.state.cells, list[tuple[int, Value]](), self._mark
        self._mark ^= self._bits(k)
        for place, value in firing.writes:
            old = cells[place]
            if old != value:
                before.append((place, old))
                self._mark ^= self._bits((place, old)) ^ self._bits((place, value))
                cells[place] = value
        self._trail.append(_Step((k, self._order), mark, before))
        self._is_placed[k] = True
        self._places[self._home[k]] += 1
        while self._first < len(self.events) and self._is_placed[self._first]:
            self._first += 1

    def _bits(self, what: object) -> int:
        if what not in self._marks:
            self._marks[what] = self._draw.getrandbits(128)
        return self._marks[what]
