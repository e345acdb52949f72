"""FETCH: one request from the scheduler into the resource manager (facts 3.6, 3.7).

With a pool one fetch at a time runs when it was submitted, and lowers `is_fetching` at its end, whatever happened; without one
the fetch loops. On P the request first gets slot and block (waiting for ever), then asks the decode instance (which grants or
refuses), then joins `running`; in the mixed role it joins `waiting`.

An exception may strike wherever the real code calls out; what the epochs do then is nothing. Left out: the registration of
the cache task (the hand-over's subject), retries, several requests a fetch (the acknowledgement's subject).
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial

from ...combine import all_of, choice, me
from ...expr import FALSE, TRUE, Expr
from ...machine import Machine, Row
from ...types import Range
from ...variable import private
from .engine import Engine, Intake, Stage

_row = partial(Row, actor="prefill")


class Fetch(IntEnum):
    """The fetch is ..."""

    IDLE, STARTING, COUNTING, GETTING, FILTERING, TAKEN, HOLDING, GRANTED, EXITING, RECYCLED, FINISHED, ENDED = range(12)


def fetching(e: Engine) -> Machine:
    """The fetch threads of one epoch; with none of them there is a copy that never moves."""
    f = Fetch
    rows = [*_begin(e), *_get(e), *(_prepare(e) if e.role == "prefill" else _add(e, f.TAKEN, Stage.WAITING)), *_recycled(e)]
    if e.failures:
        rows += _fail(e)
    final = (f.IDLE, f.ENDED) if e.exits == "shutdown" and not e.epoch.pooled else (f.IDLE,)
    return Machine("fetch", f, rows, copies=e.thread, final=final, doc="the fetch pool's thread, or the fetch threads")


def _begin(e: Engine) -> list[Row]:
    """What starts a fetch, and what ends it."""
    f = Fetch
    rows = []
    if e.epoch.pooled:
        rows.append(_row("start_job", f.IDLE, f.STARTING, TRUE, [e.jobs.receive()], cite="facts 3.6"))
        rows.append(_row("lower_fetching", f.FINISHED, f.IDLE, TRUE, [e.fetching.set(False)], cite="facts 3.6 F8"))
    elif e.exits == "shutdown":
        rows.append(_row("see_running", f.IDLE, f.STARTING, e.running, [], cite="5.2: while running"))
        rows.append(_row("leave", f.IDLE, f.ENDED, ~e.running, [], cite="5.2: while running"))
    counts = f.GETTING if e.epoch.fetches_first else f.COUNTING
    awake = ~e.paused if e.threads else FALSE
    start = f.STARTING if e.epoch.pooled or e.exits == "shutdown" else f.IDLE
    rows.append(_row("see_not_paused", start, counts, awake, [], under=e.pause_lock, cite="facts 3.6 F1"))
    return rows


def _rest(e: Engine) -> Fetch:
    """Where a fetch ends."""
    return Fetch.FINISHED if e.epoch.pooled else Fetch.IDLE


def _get(e: Engine) -> list[Row]:
    """F2 and F3: how many may be fetched, and `get_requests`, which may also come back with nothing."""
    f, q, mine = Fetch, choice("request", e.request), e.mine[me(e.thread)]
    rest = _rest(e)
    rows = []
    if not e.epoch.fetches_first:
        if e.role == "mixed" and not e.epoch.pooled:
            # Ours lets one batch wait while a forward runs; R fetches only when nothing waits.
            few = e.waiting.length < e.slot.size if e.epoch.lets_wait else e.waiting.empty
            rows += [
                _row("see_few_waiting", f.COUNTING, f.GETTING, few, [], cite="facts 3.7: without RM.lock"),
                _row("see_enough_waiting", f.COUNTING, rest, ~few, [], poll=True, cite="facts 3.7: without RM.lock"),
            ]
        else:
            rows += [
                _row("find_slot_free", f.COUNTING, f.GETTING, e.some_slot_free, [], under=e.resources, cite="facts 3.6 F2: available_batch"),
                _row("find_no_slot_free", f.COUNTING, rest, ~e.some_slot_free, [], under=e.resources, poll=True, cite="facts 3.6 F2"),
            ]
    unread = (e.intake[q] == Intake.UNREAD) & all_of(e.request, lambda i: (i >= q) | (e.intake[i] != Intake.UNREAD))
    taken = f.FILTERING if e.epoch.filters else f.TAKEN
    get = [e.intake[q].set(Intake.READ), mine.set(q)]
    none = all_of(e.request, lambda i: e.intake[i] != Intake.UNREAD)
    rows += [
        _row("get_request", f.GETTING, taken, unread, get, choose=(q,), under=e.mutex, cite="facts 5: get_requests"),
        _row("get_nothing", f.GETTING, rest, none, [], under=e.mutex, decided="timer", poll=True, cite="facts 5: waits up to 10 s"),
    ]
    if e.epoch.filters:
        asked = e.abort_asked[mine.value]
        rows += [
            _row("keep", f.FILTERING, f.TAKEN, ~asked, [], cite="facts 3.6 F4"),
            _row("drop_silently", f.FILTERING, rest, asked, [mine.set(None)], cite="facts 3.6 F4"),
        ]
    return rows


def _wanted(e: Engine) -> Expr:
    """Ours looks whether the request is to be aborted wherever it touches it."""
    return ~e.abort_asked[e.mine[me(e.thread)].value] if e.epoch.owned_abort else TRUE


def _add(e: Engine, source: Fetch, stage: Stage) -> list[Row]:
    """F7: the request joins `waiting`, or `running` on P."""
    mine = e.mine[me(e.thread)]
    q = mine.value
    join = [e.waiting.push(q)] if stage is Stage.WAITING else []
    late = e.late_add.set(e.late_add | e.answered[q])
    add = [e.stage[q].set(stage), *join, mine.set(None), late]
    return [_row("add_request", source, _rest(e), _wanted(e), add, under=e.resources, cite="facts 3.6 F7")]


def _prepare(e: Engine) -> list[Row]:
    """F6: slot and block, D's answer, and `running`."""
    f, q = Fetch, e.mine[me(e.thread)].value
    slot, block = choice("slot", e.slot), choice("block", e.block)
    free = e.is_lowest_slot(slot) & e.is_lowest_block(block)
    hold = [*e.take_slot(q, slot), *e.take_block(q, block), e.stage[q].set(Stage.HELD)]
    there = ~e.manager_closed if e.exits == "shutdown" else TRUE
    refuse = [*e.recycle(q)]
    return [
        _row("hold", f.TAKEN, f.HOLDING, _wanted(e) & free, hold, choose=(slot, block), under=e.resources, cite="4.3: preallocate_resource_in_p"),
        _row("grant", f.HOLDING, f.GRANTED, there, [], decided="observed", fair="none" if e.silent else None, cite="4.4, 4.6: D's answer"),
        _row("refuse", f.HOLDING, f.RECYCLED, there, refuse, under=e.resources, decided="observed", fair="none", cite="4.6: pre_recycle_resource"),
        *_add(e, f.GRANTED, Stage.READY),
    ]


def _recycled(e: Engine) -> list[Row]:
    """A request that was recycled is answered. Ours comes here also from an abort, an exception and at shutdown."""
    f, mine = Fetch, e.mine[me(e.thread)]
    rows = []
    withdraws = e.epoch.owned_abort and e.asks_aborts
    if e.role == "prefill" or withdraws or (e.epoch.keeps_batch and e.failures) or (e.epoch.watches_exit and e.exits == "shutdown"):
        rows.append(
            _row("answer_recycled", f.RECYCLED, _rest(e), TRUE, [*e.answer(mine.value), mine.set(None)], under=e.mutex, cite="4.6: put_results")
        )
    if withdraws:
        rows.append(_row("withdraw", _busy(e), f.RECYCLED, ~_wanted(e), e.recycle(mine.value), under=e.resources, cite="ours"))
    if e.exits == "shutdown" and e.epoch.watches_exit:
        rows.append(_row("see_exit", _busy(e), f.EXITING, ~e.running, [], cite="ours"))
        rows.append(_row("give_back", f.EXITING, f.RECYCLED, TRUE, e.recycle(mine.value), under=e.resources, cite="ours"))
    return rows


def _busy(e: Engine) -> tuple[Fetch, ...]:
    f = Fetch
    return (f.TAKEN, f.HOLDING, f.GRANTED) if e.role == "prefill" else (f.TAKEN,)


def _fail(e: Engine) -> list[Row]:
    """An exception, so many times (facts: H14). The epochs log it; ours recycles and answers."""
    f, mine = Fetch, e.mine[me(e.thread)]
    left = private("failures_left", Range(0, e.failures), over=e.thread, init=e.failures)
    lost = [left[me(e.thread)].sub(1)]
    may = left[me(e.thread)] > 0
    if not e.epoch.keeps_batch:
        lost.append(mine.set(None))
        return [_row("fail", _busy(e), _rest(e), may, lost, decided="observed", fair="none", cite="H14, H-09; facts 3.6 F8")]
    lost += e.recycle(mine.value)
    return [_row("fail", _busy(e), f.RECYCLED, may, lost, under=e.resources, decided="observed", fair="none", cite="ours")]
