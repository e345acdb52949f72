"""`get_requests`: one call takes a batch from the list of arrived requests, pass by pass, the mutex held across passes.

A pass is a look at `ids[cursor : cursor + batch]` with the mutex held; each request in it is examined in a row of its own.
`wait_for` gives the mutex back only where the slice is empty: a pass that takes nothing and is followed by another keeps
it. The time-out (TO, 0.1 s since the last request was taken) is a row that may fire at any time; the 5 ms rounds of the
wait change nothing and are no rows.

A block holds one token here, so that a request needs as many blocks as it has tokens, and `reserved` is 0: the two limits
differ all the same. The pre-check (no blocks at all, or a batch below one) is left out: it returns nothing and takes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import choice, if_else, sum_of
from ...effect import each, when
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from ...types import BOOL, Index, Range, Sequence
from ...variable import Lock, ghost, locked, private
from .algorithm import Algorithm

_fetch, _put = partial(Row, actor="prefill"), partial(Row, actor="client")


class Fetch(IntEnum):
    """The thread that calls `get_requests` is ..."""

    IDLE, WAITING, SCANNING, ADVANCING, DECIDING, RETURNING = range(6)


class Arrivals(IntEnum):
    """The thread that puts requests (DP-in, ZMQ-in) is ..."""

    PUTTING, DONE = range(2)


@dataclass(frozen=True)
class Limits:
    """What a call may take. `batch`: requests; `blocks`: free ones; `tokens`: of one batch."""

    batch: int
    blocks: int
    tokens: int


class Scheduler:
    """The scheduler's list under its mutex, and the local variables of one call."""

    def __init__(self, algorithm: Algorithm, requests: int, longest: int, limits: Limits, clock: bool):
        self.algorithm, self.limits, self.longest = algorithm, limits, longest
        self.request = Index("request", requests)
        self.batch = 1 if algorithm.single else limits.batch
        self.timed = "strong" if clock else "none"
        lengths, counted = Range(1, longest), Range(0, limits.tokens + longest)
        self.mutex = Lock("scheduler_mutex", cite="facts 5: M")
        self.ids = locked("scheduler_ids", Sequence(self.request, requests), self.mutex, cite="facts 5: ids")
        # A pass begins left of the end and adds at most the whole list: T1 may leave the list, but not by more.
        self.cursor = locked("scheduler_cursor", Range(0, 2 * requests), self.mutex, cite="facts 5: ids_read_cursor")
        self.length = locked("request_tokens", lengths, self.mutex, over=self.request, cite="facts 5: req.len")
        self.position = private("fetch_position", Range(0, requests))
        self.taken = private("fetch_taken", Sequence(self.request, self.batch))
        self.tokens, self.blocks = private("fetch_tokens", counted), private("fetch_blocks", counted)
        self.seen = private("fetch_saw_some", BOOL)
        self.next = private("arrivals_next", Range(0, requests))
        self.returned = ghost("request_returned", BOOL, over=self.request)
        self.refused = ghost("request_refused", BOOL, over=self.request)
        self.pass_took = ghost("pass_took", BOOL)
        self.fruitless = ghost("fruitless_passes", Range(0, 2))
        self.rejected = ghost("some_rejected", BOOL)
        self.logged = ghost("log_said", BOOL)
        self.lied = ghost("log_lied", BOOL)

    @property
    def left(self) -> Expr:
        """Whether requests lie right of the cursor."""
        return self.cursor < self.ids.length

    @property
    def need(self) -> Expr:
        """Tokens, and blocks, of the request that is examined."""
        return self.length[self.ids.at(self.position)]

    def taken_tokens(self) -> Expr:
        """What the requests in hand really need."""
        return sum_of(self.request, lambda q: if_else(self.taken.has(q), self.length[q], 0))


def arrivals(s: Scheduler) -> Machine:
    """DP-in or ZMQ-in: puts the requests one after another, each of any length (`put_requests`)."""
    a, length = Arrivals, choice("length", Range(1, s.longest))
    last = s.next == s.request.size - 1
    fits = (length <= min(s.limits.blocks, s.limits.tokens)) if s.algorithm.refuses else TRUE
    put: list[Any] = [s.ids.push(s.next), s.length[s.next].set(length), s.next.add(1)]
    row = partial(_put, choose=(length,), under=s.mutex, decided="decided", fair="strong", cite="facts 5: put_requests")
    rows = [row("put", a.PUTTING, a.PUTTING, ~last & fits, put), row("put_last", a.PUTTING, a.DONE, last & fits, put)]
    if s.algorithm.refuses and s.longest > min(s.limits.blocks, s.limits.tokens):
        refuse = [s.refused[s.next].set(True), s.next.add(1)]
        row = partial(row, cite="ours: what can never fit is answered at once")
        rows += [row("refuse", a.PUTTING, a.PUTTING, ~last & ~fits, refuse), row("refuse_last", a.PUTTING, a.DONE, last & ~fits, refuse)]
    return Machine("arrivals", a, rows, final=a.DONE, doc="the thread that puts requests into the scheduler")


def fetch(s: Scheduler) -> Machine:
    """FETCH: calls `get_requests` again and again."""
    f = Fetch
    rows = [_fetch("call", f.IDLE, f.WAITING, cite="facts 3.6 F3"), *_waiting(s), *_scanning(s), *_deciding(s), *_returning(s)]
    return Machine("fetch", f, rows, final=(f.IDLE, f.WAITING), doc="the thread that fetches, inside `get_requests`")


def _begin_pass(s: Scheduler) -> list[Any]:
    return [s.position.set(s.cursor), s.seen.set(True), s.pass_took.set(False)]


def _waiting(s: Scheduler) -> list[Row]:
    """`wait_for`: the mutex is free until the slice has something in it or the time is over."""
    f = Fetch
    time_out = [s.seen.set(False)]
    # fmt: off
    return [
        _fetch("find_requests", f.WAITING, f.SCANNING,  s.left,  [*_begin_pass(s), s.fruitless.set(0)], acquire=s.mutex, cite="facts 5: step 4"),
        _fetch("time_out",      f.WAITING, f.RETURNING, ~s.left, time_out, under=s.mutex, decided="timer", fair=s.timed, cite="facts 5: step 6"),
    ]
    # fmt: on


def _scanning(s: Scheduler) -> list[Row]:
    """One pass over the slice, one request a row."""
    f, a, limits = Fetch, s.algorithm, s.limits
    more, full = s.position < s.ids.length, s.taken.length >= s.batch - 1
    within_blocks, within_tokens = s.blocks + s.need <= limits.blocks, s.tokens + s.need <= limits.tokens
    admits = TRUE if not a.limited else within_blocks if a.overshoots else within_blocks & within_tokens
    last = full | ~within_tokens if a.overshoots else full
    count = [s.tokens.add(s.need), s.blocks.add(s.need)] if a.limited else []
    move = [] if a.cumulative else [s.cursor.add(1)]
    take = [s.taken.push(s.ids.at(s.position)), s.position.add(1), s.pass_took.set(True), *count, *move]
    vain = when(~s.pass_took, s.fruitless.set(if_else(s.fruitless == 2, 2, s.fruitless + 1)))
    reject = [*(count if a.counts_rejected else []), vain, s.rejected.set(True)]
    over = f.ADVANCING if a.cumulative else f.DECIDING
    step = partial(_fetch, under=s.mutex)
    cite = "H19 (a): counted before it is rejected" if a.counts_rejected else "H19 (e): tested, then counted"
    # fmt: off
    rows = [
        step("take_last", f.SCANNING, over,       more & admits & last,  take, cite="facts 5: step 5; H19 (c) where tokens come second"),
    ]
    if not a.single:
        rows += [
            step("take",     f.SCANNING, f.SCANNING, more & admits & ~last, take, cite="facts 5: step 5"),
            step("end_pass", f.SCANNING, over,       ~more,                 [],   cite="facts 5: step 5"),
        ]
    if a.limited and a.leaves:
        rows.append(_fetch("reject", f.SCANNING, f.RETURNING, more & ~admits, reject, release=s.mutex, cite="facts 9.4: leave on first reject"))
    elif a.limited:
        rows.append(step("reject", f.SCANNING, over, more & ~admits, reject, cite=cite))
    if a.cumulative:
        rows.append(step("advance_cursor", f.ADVANCING, f.DECIDING, TRUE, [s.cursor.add(s.taken.length)], cite="H18, H-11: by all, every pass"))
    # fmt: on
    return rows


def _deciding(s: Scheduler) -> list[Row]:
    """After a pass: leave, look again with the mutex still held, or wait for more."""
    f = Fetch
    if not s.algorithm.repeats:
        return [_fetch("leave", f.DECIDING, f.RETURNING, release=s.mutex, cite="N1; ours: one pass, and never a wait with requests in hand")]
    over = (s.tokens > s.limits.tokens) | (s.taken.length >= s.batch)
    again = "H19 (a), (e): something is there"
    # fmt: off
    rows = [
        _fetch("leave",         f.DECIDING, f.RETURNING, over,            [], release=s.mutex, cite="facts 5: step 6"),
        _fetch("leave_late",    f.DECIDING, f.RETURNING, ~over,           [], release=s.mutex, decided="timer", fair=s.timed, cite="facts 5: step 6"),
        _fetch("wait_for_more", f.DECIDING, f.WAITING,   ~over & ~s.left, [], release=s.mutex, cite="H19 (d): up to TO for batch-mates"),
    ]
    # fmt: on
    if not s.algorithm.leaves:  # where a rejection ends the call, a pass ends with nothing left
        rows.append(_fetch("look_again", f.DECIDING, f.SCANNING, ~over & s.left, _begin_pass(s), under=s.mutex, cite=again))
    return rows


def _returning(s: Scheduler) -> list[Row]:
    f, log = Fetch, s.algorithm.log
    give: list[Any] = [
        each(s.request, lambda q: when(s.taken.has(q), s.returned[q].set(True))),
        *(s.taken.clear(), s.tokens.set(0), s.blocks.set(0), s.position.set(0), s.seen.set(False)),
    ]
    row = partial(_fetch, source=f.RETURNING, destination=f.IDLE)
    if not log:
        return [row("return_batch", effects=give, cite="facts 5: step 7")]
    says = (s.seen & s.taken.empty) if log == "inverted" else ~s.taken.empty
    said = [s.logged.set(True), when(s.taken.empty, s.lied.set(True))]
    return [
        row("return_batch", guard=~says, effects=give, cite="facts 5: step 7"),
        row("log_and_return", guard=says, effects=[*give, *said], cite="H19 (f): 'has put all just-pulled request into the queue'"),
    ]
