"""Expiry: does the clean-up of old requests (ttl) take out of the list what it takes out of the dictionary?

`put_requests` begins with a clean-up, with the mutex held: unless the list holds more than `max_size` requests it does
nothing; else it collects the expired ones from the front, and then, for the i-th of them, pops its entry and `ids.pop(i)`
(facts section 5). Each round of both loops is a row here. Then the request is put, or refused when the list is full.

Requests expire in the order in which they came, at any time; they are numbered in that order.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import partial

from ...combine import any_of, choice, count, if_else
from ...machine import Machine, Row
from ...properties import Property, never, sometimes
from ...system import System
from ...types import BOOL, Index, Range, Sequence
from ...variable import Lock, ghost, locked, private, world
from ..arguments import one_of, within

_put = partial(Row, actor="prefill")


class Intake(IntEnum):
    """The thread that puts requests is ..."""

    IDLE, CHECKING, COLLECTING, POPPING, PUTTING, RAISED = range(6)


class Reader(IntEnum):
    """The fetching thread is ..."""

    READING, RAISED = range(2)


class Results(IntEnum):
    """OUT is ..."""

    DELIVERING = 0


class Clock(IntEnum):
    """Time is ..."""

    PASSING = 0


@dataclass(frozen=True)
class Cleanup:
    """What the clean-up does.

    Args:
        when_full: it runs when the list is full; otherwise only when it holds more than that.
        pops_first: ours. The i-th expired id is popped from the front, not from position i.
        keeps_ids: the data-parallel scheduler in the decode role: what has finished leaves `requests` but not `ids`.
    """

    name: str
    when_full: bool = True
    pops_first: bool = False
    keeps_ids: bool = False


CLEANUPS = {
    c.name: c
    for c in (
        Cleanup("published", when_full=False),
        Cleanup("reached"),
        Cleanup("reached_decode", pops_first=True, keeps_ids=True),
        Cleanup("repaired", pops_first=True),
    )
}


class List:
    """The scheduler's list under its mutex."""

    def __init__(self, requests: int, room: int):
        self.request, self.room = Index("request", requests), room
        self.mutex = Lock("scheduler_mutex", cite="facts 5: M")
        self.ids = locked("scheduler_ids", Sequence(self.request, requests), self.mutex, cite="facts 5: ids")
        self.entry = locked("scheduler_requests", BOOL, self.mutex, over=self.request, cite="facts 5: requests")
        self.cursor = locked("scheduler_cursor", Range(0, requests), self.mutex, cite="facts 5: ids_read_cursor")
        self.aged = world("requests_expired", Range(0, requests), init=0)
        self.returned = ghost("request_returned", BOOL, over=self.request)
        self.cleaned = ghost("some_cleaned", BOOL)
        self.entries = count(self.request, lambda q: self.entry[q])


def build(variant: str = "repaired", requests: int = 4, room: int = 3) -> System:
    """One scheduler with a limited list.

    Args:
        variant: published, reached (the clean-up runs when the list is full), reached_decode or repaired.
        requests: how many come. room: max_size.

    Raises:
        DefinitionError: a parameter outside its choices.
    """
    one_of(CLEANUPS, variant=variant)
    within(1, 5, requests=requests)
    within(1, 4, room=room)
    s = List(requests, room)
    machines = [intake(s, CLEANUPS[variant]), *_others(s, CLEANUPS[variant])]
    return System(f"expiry_{variant}_{requests}", machines, _properties(s, machines), doc=__doc__ or "")


def intake(s: List, cleanup: Cleanup) -> Machine:
    """`put_requests`: clean up, then put or refuse."""
    i, following = Intake, private("intake_next", Range(0, s.request.size))
    expired, round_ = private("intake_expired", Sequence(s.request, s.request.size)), private("intake_round", Range(0, s.request.size))
    over = s.entries >= s.room if cleanup.when_full else s.entries > s.room
    oldest = s.ids.at(round_)
    more = (round_ < s.ids.length) & (oldest < s.aged)
    position = 0 if cleanup.pops_first else round_
    pop = [s.entry[expired.at(round_)].set(False), s.ids.remove_at(position), round_.add(1), s.cleaned.set(True)]
    left, number = round_ < expired.length, expired.length
    adjust = s.cursor.set(if_else(number > s.cursor, 0, s.cursor - number))
    forget = [expired.clear(), round_.set(0)]
    put = [s.ids.push(following), s.entry[following].set(True), following.add(1)]
    step = partial(_put, under=s.mutex)
    # fmt: off
    rows = [
        _put("begin_put",      i.IDLE,       i.CHECKING,   following < s.request.size, acquire=s.mutex, cite="facts 5: put_requests"),
        step("skip_cleanup",   i.CHECKING,   i.PUTTING,    ~over, cite="facts 5: recycle(), len(requests) <= max_size"),
        step("begin_cleanup",  i.CHECKING,   i.COLLECTING, over,  cite="facts 5: recycle()"),
        step("collect",        i.COLLECTING, i.COLLECTING, more & s.entry[oldest], [expired.push(oldest), round_.add(1)],
             cite="facts 5: expired prefix"),
        _put("miss_entry",     i.COLLECTING, i.RAISED,     more & ~s.entry[oldest], [*forget, following.add(1)], release=s.mutex,
             cite="facts 5: KeyError, because ids keeps finished ids"),
        step("end_collecting", i.COLLECTING, i.POPPING,    ~more, [round_.set(0)], cite="facts 5"),
        step("pop",            i.POPPING,    i.POPPING,    left & (position < s.ids.length), pop, cite="facts 5, H-10: ids.pop(i)"),
        _put("pop_past_end",   i.POPPING,    i.RAISED,     left & (position >= s.ids.length), [*forget, following.add(1)], release=s.mutex,
             cite="facts 5, H-10: IndexError"),
        step("end_cleanup",    i.POPPING,    i.PUTTING,    ~left, [adjust, *forget], cite="facts 5: adjust cursor"),
        _put("put",            i.PUTTING,    i.IDLE,       s.entries < s.room, put, release=s.mutex, cite="facts 5: put_requests"),
        _put("refuse",         i.PUTTING,    i.IDLE,       s.entries >= s.room, [following.add(1)], release=s.mutex, cite="facts 5: would exceed"),
        _put("log_error",      i.RAISED,     i.IDLE,       cite="facts 5"),
    ]
    # fmt: on
    return Machine("intake", i, rows, final=i.IDLE, doc="ZMQ-in: `put_requests` with its clean-up")


def _others(s: List, cleanup: Cleanup) -> list[Machine]:
    """The fetching thread, one request a call; OUT; and time."""
    q, r = choice("request", s.request), Reader
    here, more = s.ids.at(s.cursor), s.cursor < s.ids.length
    take = [s.returned[here].set(True), s.cursor.add(1)]
    leave = [] if cleanup.keeps_ids else [s.ids.remove(q), s.cursor.sub(1)]
    # fmt: off
    reader = Machine("fetch", r, [
        Row("take",       r.READING, r.READING, more & s.entry[here],  take, "prefill", under=s.mutex, cite="facts 5: get_requests"),
        Row("miss_entry", r.READING, r.RAISED,  more & ~s.entry[here], [],   "prefill", under=s.mutex, cite="H17: KeyError requests[id]"),
        Row("log_error",  r.RAISED,  r.READING, cite="facts 3.6 F8"),
    ], final=r.READING, doc="FETCH: takes one request a call")
    in_list = s.ids.has(q) & (s.ids.index_of(q) < s.cursor)
    results = Machine("results", Results, [
        Row("finish", Results.DELIVERING, None, in_list & s.entry[q], [s.entry[q].set(False), *leave], "prefill", choose=(q,), under=s.mutex,
            cite="facts 5: recycle(id), of a request that was read"),
    ], final=Results.DELIVERING, doc="OUT: recycles what has finished")
    clock = Machine("clock", Clock, [
        Row("expire", Clock.PASSING, None, s.aged < s.request.size, [s.aged.add(1)], "environment", cite="facts 5: ttl"),
    ], environment=True, doc="requests grow old in the order in which they came")
    # fmt: on
    return [reader, results, clock]


def _properties(s: List, machines: list[Machine]) -> list[Property]:
    putting, reading, *_ = machines
    idle = putting.at() == Intake.IDLE
    raised = (putting.at() == Intake.RAISED) | (reading.at() == Reader.RAISED)
    skipped = any_of(s.request, lambda q: s.ids.has(q) & (s.ids.index_of(q) < s.cursor) & ~s.returned[q])
    return [
        never("no_entry_without_id", idle & any_of(s.request, lambda q: s.entry[q] & ~s.ids.has(q)), about="who is in `requests` will be read"),
        never("nobody_raises", raised, about="KeyError in the reader or the clean-up, IndexError in the clean-up"),
        never("no_request_skipped", idle & skipped, about="EW-P9: what lies left of the cursor has been returned"),
        sometimes("some_request_cleaned", s.cleaned.cell(), about="twin: the clean-up does something"),
        sometimes("some_request_returned", any_of(s.request, lambda q: s.returned[q]), about="twin: requests are returned"),
    ]
