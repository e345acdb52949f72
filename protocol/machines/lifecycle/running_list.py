"""`schedule()` walks along `running` by an index while it preempts from its end (H30): may one call visit a request twice?

For want of a block the last of `running` is preempted; one that uses the extended block table (txt2image) is put back at the front
instead, and the next from the end is tried. That shifts everybody behind the index by one, so the request that is visited next
is the one that was just visited: it gets two chunks in one batch. Ours walks along a copy, and takes the last that may be
preempted out of the list wherever it stands.

One `schedule()` is one critical section; its loop is taken apart here, under the lock. Left out: what a visit does.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import all_of, any_of, choice
from ...effect import each
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from ...properties import Property, never, sometimes
from ...system import System
from ...types import BOOL, Index, Optional, Range, Sequence
from ...variable import Lock, ghost, locked, private
from ..arguments import one_of, within

_row = partial(Row, actor="engine")
VARIANTS = ("published", "repaired")


class Walk(IntEnum):
    """`schedule()` is ..."""

    AWAY, STARTING, VISITING, PREEMPTING, REINSERTING = range(5)


def build(variant: str = "repaired", requests: int = 3, extended: int = 1, preemptions: int = 2) -> System:
    """`schedule()` over a number of running requests, the last `extended` of which use the extended table.

    Raises:
        DefinitionError: an unknown variant, or a number out of bounds.
    """
    one_of(VARIANTS, variant=variant)
    within(2, 4, requests=requests)
    within(0, requests, extended=extended)
    within(1, 4, preemptions=preemptions)
    return _List(variant == "repaired", requests, extended, preemptions).system()


class _List:
    """The list `running`, and the walk along it."""

    def __init__(self, ours: bool, requests: int, extended: int, preemptions: int):
        q = Index("request", requests)
        self.ours, self.request, self.plain, self.length = ours, q, requests - extended, requests
        self.lock = Lock("resource_lock", cite="facts 6.2: RM.lock")
        self.running = locked("running", Sequence(q, requests), self.lock, init=tuple(range(requests)), cite="facts 6.2: running")
        self.copy, self.at = private("running_copy", Sequence(q, requests)), private("visited_index", Range(0, requests))
        self.mine, self.moved = private("visited_request", Optional(q)), private("moved_request", Optional(q))
        self.left = private("preemptions_left", Range(0, preemptions), init=preemptions)
        self.visited, self.twice = ghost("visited", BOOL, over=q), ghost("visited_twice", BOOL)

    def system(self) -> System:
        """The walk, and what is asked of it."""
        w = Walk
        walked = self.copy if self.ours else self.running
        begin: list[Any] = [self.at.set(0), each(self.request, lambda q: self.visited[q].set(False))]
        begin += [self.copy.set(self.running.cell())] if self.ours else []
        q, v = choice("request", self.request), choice("victim", self.request)
        more = (self.at < walked.length) & (walked.at(self.at) == q)
        present = self.running.has(q) if self.ours else TRUE
        visit = [self.visited[q].set(True), self.twice.set(self.twice.cell() | self.visited[q])]
        end = [self.mine.set(None), *([self.copy.clear()] if self.ours else [])]
        here: dict[str, Any] = {"under": self.lock}
        rows = [
            _row("begin", w.AWAY, w.VISITING, TRUE, begin, acquire=self.lock, cite="6.3 S1"),
            _row("visit", w.VISITING, w.VISITING, more & present, [*visit, self.at.add(1)], choose=(q,), **here, cite="6.3 S1"),
            _row("lack_block", w.VISITING, w.PREEMPTING, more & present & (self.left > 0), [*visit, self.at.add(1), self.mine.set(q)],
                 choose=(q,), **here, fair="none", cite="6.3 S2"),
            _row("end", w.VISITING, w.AWAY, self.at >= walked.length, end, release=self.lock, cite="6.3"),
            _row("give_up", w.PREEMPTING, w.AWAY, ~self.is_preemptible, end, release=self.lock, cite="6.3 S2: none is preemptible"),
            *(self._ours(q, v, more) if self.ours else self._published(v)),
        ]  # fmt: skip
        return System(
            "running_list", [Machine("schedule", w, rows, final=w.AWAY, doc="schedule(), S1 and S2 (6.3).")], self.properties(), doc=__doc__ or ""
        )

    @property
    def is_preemptible(self) -> Expr:
        """Some running request may be preempted."""
        return any_of(self.request, lambda q: self.running.has(q) & (q < self.plain))

    def _published(self, v: Any) -> list[Row]:
        w = Walk
        here: dict[str, Any] = {"under": self.lock}
        last = self.is_preemptible & (self.running.at(self.running.length - 1) == v)
        gone = [self.running.pop_back(), self.left.sub(1)]
        leave = last & (v < self.plain)
        return [
            _row("take_extended", w.PREEMPTING, w.REINSERTING, last & (v >= self.plain), [self.running.pop_back(), self.moved.set(v)],
                 choose=(v,), **here, cite="6.3 S2: extend table"),
            _row("reinsert", w.REINSERTING, w.PREEMPTING, TRUE, [self.running.push_front(self.moved.value), self.moved.set(None)],
                 **here, cite="H30"),
            _row("preempt", w.PREEMPTING, w.VISITING, leave & (self.mine.cell() != v), [*gone, self.mine.set(None)],
                 choose=(v,), **here, cite="6.3 S2"),
            _row("preempt_itself", w.PREEMPTING, w.AWAY, leave & (self.mine.cell() == v), [*gone, self.mine.set(None)],
                 choose=(v,), release=self.lock, cite="6.3 S2: leave the loop"),
        ]  # fmt: skip

    def _ours(self, q: Any, v: Any, more: Expr) -> list[Row]:
        w = Walk
        place = self.running.cell().index_of
        behind = any_of(self.request, lambda r: (r < self.plain) & self.running.has(r) & self.running.has(v) & (place(r) > place(v)))
        victim = self.is_preemptible & (v < self.plain) & self.running.has(v) & ~behind
        gone = [self.running.remove(v), self.left.sub(1), self.mine.set(None)]
        return [
            _row("skip_preempted", w.VISITING, w.VISITING, more & ~self.running.has(q), [self.at.add(1)], choose=(q,), under=self.lock, cite="ours"),
            _row("preempt", w.PREEMPTING, w.VISITING, victim & (self.mine.cell() != v), gone, choose=(v,), under=self.lock, cite="ours"),
            _row("preempt_itself", w.PREEMPTING, w.AWAY, victim & (self.mine.cell() == v), [*gone, self.copy.clear()],
                 choose=(v,), release=self.lock, cite="ours"),
        ]  # fmt: skip

    def properties(self) -> list[Property]:
        """Each request once a call."""
        return [
            never("no_second_visit", self.twice.cell(), "H30: one call visits a request once"),
            sometimes("some_preempted", self.running.length < self.length, "twin: a request is preempted"),
            sometimes("some_all_visited", all_of(self.request, lambda q: self.visited[q]), "twin: a call visits every request"),
        ]
