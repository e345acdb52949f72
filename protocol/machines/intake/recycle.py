"""Recycling: may an abort move the cursor of a list that others are reading?

Three threads share one LocalScheduler (facts section 5): `fetch` takes `ids[cursor : cursor + batch]` and hands it to the
resource manager, `results` recycles what has finished, `intake` puts the requests and, a bounded number of times, aborts
one that the resource manager does not know. `recycling.py` has the variables and `_recycle`.

An abort in the published code asks the resource manager and not the cursor: an id that it does not know may be unread, or
read and on its way to the manager. H17 and H-10 are about the first; the second is the window between `store_cursor` and
`admit`, in which an aborted request goes on and runs.

Left out: the abort of a request that the resource manager knows, FETCH's filter by abort_req_ids_set (the id is taken out
of that set as soon as it is recycled), blocks and slots, more than one fetching thread.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial

from ...combine import all_of, any_of, choice, count, if_else
from ...effect import each, when
from ...machine import Machine, Row
from ...properties import Property, always, leads_to, never, sometimes
from ...system import System
from ...types import BOOL, Range
from ...variable import private
from ..arguments import one_of, within
from .recycling import ABORTS, List, Recycler, in_slice, recycle

_fetch, _intake = partial(Row, actor="prefill"), partial(Row, actor="prefill")


class Reader(IntEnum):
    """The fetching thread is ..."""

    WAITING, SLICING, LOOKING_UP, STORING, ADMITTING, RAISED = range(6)


def build(variant: str = "repaired", requests: int = 3, batch: int = 2, aborts: int = 1) -> System:
    """One scheduler at these bounds.

    Args:
        variant: B, locked, checked, locked_checked or repaired.
        requests: how many arrive. batch: how many one call may take. aborts: how many aborts may come.

    Raises:
        DefinitionError: a parameter outside its choices.
    """
    one_of(ABORTS, variant=variant)
    within(1, 4, requests=requests, batch=batch)
    within(0, 2, aborts=aborts)
    s = List(ABORTS[variant], requests, aborts)
    machines = [intake(s, aborts), fetch(s, batch), results(s)]
    return System(f"recycle_{variant}_{requests}", machines, _properties(s, machines), doc=__doc__ or "")


def intake(s: List, aborts: int) -> Machine:
    """ZMQ-in: puts requests, and recycles those that are aborted."""
    r, q = Recycler, choice("request", s.request)
    following, left = private("intake_next", Range(0, s.request.size)), private("intake_aborts_left", Range(0, aborts), init=aborts)
    request, a = private("intake_request", s.request), s.abort
    mutex = s.mutex if a.mutex else None
    unknown = (following > q) & (left > 0) & ~s.admitted[q]
    chosen = [request.set(q), left.set(if_else(left > 0, left - 1, 0))]
    ask = partial(_intake, choose=(q,), decided="decided", fair="none")
    # fmt: off
    rows = [
        _intake("add_entry", r.IDLE,   r.ADDING, following < s.request.size, [s.entry[following].set(True)], acquire=s.mutex, cite="put_requests"),
        _intake("add_id",    r.ADDING, r.IDLE,   effects=[s.ids.push(following), following.add(1)], release=s.mutex, cite="put_requests"),
    ]
    if a.unread_only:
        rows += [
            ask("abort",             r.IDLE,    r.LOADING, unknown, chosen, cite="ours: the resource manager does not know it"),
            _intake("abort_unread",  r.LOADING, r.IDLE, s.ids.has(request) & (s.ids.index_of(request) >= s.cursor),
                    [s.ids.remove(request), s.entry[request].set(False), s.aborted[request].set(True), request.set(0)], under=s.mutex,
                    fair="strong", cite="ours: unread, so the cursor stays"),
            _intake("leave_to_owner", r.LOADING, r.IDLE, ~s.ids.has(request) | (s.ids.index_of(request) < s.cursor), [request.set(0)],
                    under=s.mutex, fair="strong", cite="ours: read, so it is the resource manager's to abort"),
        ]
    else:
        done = [s.aborted[request].set(True)]
        start = _intake("begin_recycle", r.STARTING, r.POPPING, acquire=mutex, cite="facts 5: recycle(id)") if a.mutex else None
        rows += [ask("abort", r.IDLE, r.POPPING if start is None else r.STARTING, unknown, chosen, cite="facts 3.8 B: if id in RM.requests ... else"),
                 *([] if start is None else [start]), *recycle(s, "intake", mutex=a.mutex, checks=a.checks, done=done, request=request)]
    # fmt: on
    return Machine("intake", r, rows, final=r.IDLE, doc="ZMQ-in: puts requests and reads aborts")


def results(s: List) -> Machine:
    """OUT: recycles what has finished, with the mutex."""
    r, q = Recycler, choice("request", s.request)
    request, over = private("results_request", s.request), private("results_over", BOOL, over=s.request)
    begin = [request.set(q), over[q].set(True)]
    rows = [
        Row("finish", r.IDLE, r.POPPING, ~over[q] & s.admitted[q], begin, "prefill", choose=(q,), acquire=s.mutex, cite="facts 5: get_results"),
        *recycle(s, "results", mutex=True, checks=False, done=[], request=request),
    ]
    return Machine("results", r, rows, final=r.IDLE, doc="OUT: takes results and recycles what has finished")


def fetch(s: List, batch: int) -> Machine:
    """FETCH: `get_requests` of LocalScheduler, access by access, then the hand-over to the resource manager."""
    f, q = Reader, choice("request", s.request)
    own = private("fetch_cursor", s.positions, init=0)
    found, taken = private("fetch_found", BOOL, over=s.request), private("fetch_taken", BOOL, over=s.request)
    some = any_of(s.request, lambda i: in_slice(s, own, batch, i))
    first = found[q] & all_of(s.request, lambda i: (i >= q) | ~found[i])
    none = all_of(s.request, lambda i: ~found[i])
    next_taken = taken[q] & all_of(s.request, lambda i: (i >= q) | ~taken[i])
    last_taken = next_taken & (count(s.request, lambda i: taken[i]) == 1)
    slice_ = each(s.request, lambda i: found[i].set(in_slice(s, own, batch, i)))
    drop = each(s.request, lambda i: (found[i].set(False), taken[i].set(False)))
    more = count(s.request, lambda i: taken[i])
    give = each(s.request, lambda i: when(taken[i], s.returned[i].set(if_else(s.returned[i] == 2, 2, s.returned[i] + 1))))
    find, miss = [found[q].set(False), taken[q].set(True)], [drop, own.set(0)]
    move = [s.cursor.set(own + more), own.set(0), give]
    admit = [s.admitted[q].set(True), taken[q].set(False), when(s.aborted[q], s.zombie.set(True))]
    # fmt: off
    rows = [
        _fetch("load_cursor",   f.WAITING,    f.SLICING,    effects=[own.set(s.cursor)], acquire=s.mutex, cite="facts 5: wait_for"),
        _fetch("find_nothing",  f.SLICING,    f.WAITING,    ~some, [own.set(0)], release=s.mutex, poll=True, cite="facts 5"),
        _fetch("take_slice",    f.SLICING,    f.LOOKING_UP, some,  [slice_], under=s.mutex, cite="facts 5"),
        _fetch("look_up",       f.LOOKING_UP, f.LOOKING_UP, first & s.entry[q],  find, choose=(q,), under=s.mutex, cite="facts 5"),
        _fetch("miss_entry",    f.LOOKING_UP, f.RAISED,     first & ~s.entry[q], miss, choose=(q,), release=s.mutex, cite="H17: KeyError"),
        _fetch("reload_cursor", f.LOOKING_UP, f.STORING,    none, [own.set(s.cursor)], under=s.mutex, cite="facts 5: cursor += taken: load"),
        _fetch("store_cursor",  f.STORING,    f.ADMITTING,  effects=move, release=s.mutex, cite="facts 5: cursor += taken"),
        _fetch("admit",         f.ADMITTING,  f.ADMITTING,  next_taken & ~last_taken, admit, choose=(q,), cite="facts 3.6 F7: RM.requests[id]"),
        _fetch("admit_last",    f.ADMITTING,  f.WAITING,    last_taken, admit, choose=(q,), cite="facts 3.6 F7: RM.requests[id]"),
        _fetch("log_error",     f.RAISED,     f.WAITING,    cite="facts 3.6 F8, H14"),
    ]
    # fmt: on
    return Machine("fetch", f, rows, final=f.WAITING, doc="FETCH: takes requests from the scheduler to the resource manager")


def _properties(s: List, machines: list[Machine]) -> list[Property]:
    putting, fetching, delivering = machines
    idle = (putting.at() == Recycler.IDLE) & (fetching.at() == Reader.WAITING) & (delivering.at() == Recycler.IDLE)
    skipped = any_of(s.request, lambda q: s.ids.has(q) & (s.ids.index_of(q) < s.cursor) & (s.returned[q] == 0))
    raised = (putting.at() == Recycler.RAISED) | (fetching.at() == Reader.RAISED) | (delivering.at() == Recycler.RAISED)
    recycled = any_of(s.request, lambda q: (s.returned[q] == 1) & ~s.ids.has(q))
    return [
        never("no_request_returned_twice", any_of(s.request, lambda q: s.returned[q] == 2), about="EW-P9: the same request is not executed twice"),
        never("no_request_skipped", idle & skipped, about="EW-P9: when nobody is at it, what lies left of the cursor has been returned"),
        always("cursor_in_list", s.cursor >= 0, about="H17: a negative cursor counts from the end"),
        never("nobody_raises", raised, about="H17, H-10: KeyError in the reader, ValueError in a recycler"),
        never("no_aborted_request_admitted", s.zombie, about="what an abort has recycled does not run"),
        leads_to("requests_returned", lambda q: s.ids.has(q), lambda q: (s.returned[q] > 0) | s.aborted[q], each=s.request, about="EW-P9, CH-L2"),
        sometimes("some_request_aborted", any_of(s.request, lambda q: s.aborted[q]), about="twin: aborts happen"),
        sometimes("some_run_returns_all", all_of(s.request, lambda q: s.returned[q] > 0), about="twin: requests are returned"),
        sometimes("some_request_recycled", recycled, about="twin: finished ones are recycled"),
    ]
