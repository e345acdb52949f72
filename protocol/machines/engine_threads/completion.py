"""TOK and FIN: what the engine does with a step's report (facts 6.4, 6.5).

TOK takes a report and handles slot by slot, lowest first, by who has the slot *now*: a last token goes to the client and to
FIN; a stop recycles an aborted request, or sends a preempted one back to the head of `waiting`. FIN finishes in two critical
sections: the slot, then the block; a request that it finds in `waiting` it skips.

Left out: tokens that are not the last, the wait of P for the cache to be sent (`token_wait.py`), the store between FIN's two
sections. TOK's look at tasks_list takes no lock; here it is one step with what follows from it.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import all_of, any_of, choice
from ...effect import each
from ...expr import FALSE, TRUE, Expr, Param
from ...machine import Machine, Row
from ...types import Enum, Optional, Range
from ...variable import Variable, private
from .engine import Engine, Output, Stage

_row = partial(Row, actor="prefill")


class Tokens(IntEnum):
    """The token processor is ..."""

    WAITING, HANDLING, ANSWERING = range(3)


class Finish(IntEnum):
    """The finishing thread is ..."""

    IDLE, FREEING = range(2)


def token_processor(e: Engine) -> Machine:
    """TOK."""
    t, s = Tokens, choice("slot", e.slot)
    step = private("step_in_hand", Enum(Output), over=e.slot)
    answering = private("answering", Optional(e.request))
    first = all_of(e.slot, lambda i: (i >= s) | (step[i] == Output.NOTHING))
    last, stopped = first & (step[s] == Output.LAST), first & (step[s] == Output.STOPPED)
    owner = e.slot_owner[s].value
    owned = ~e.slot_owner[s].is_none
    runs = owned & e.stage[owner].is_in(Stage.RUNNING, Stage.ABORTING, Stage.PREEMPTED)
    recycles = e.stops_running or (e.epoch.direct_abort and "abort" in e.commands)
    noted = e.abort_asked[owner] if e.epoch.direct_abort else e.stage[owner] == Stage.ABORTING
    aborted = owned & noted if recycles else FALSE
    preempted = owned & (e.stage[owner] == Stage.PREEMPTED)
    done = [step[s].set(Output.NOTHING)]
    take = [e.outputs.receive(), *(step[i].set(getattr(e.outputs.head, f"slot_{i}")) for i in e.slot)]
    lock = e.resources
    back = [e.stage[owner].set(Stage.WAITING), e.waiting.push_front(owner), *done]
    finish = [e.finishing.send(owner), answering.set(owner), *done]
    recycle = [*e.recycle(owner), answering.set(owner), *done]
    pauses = "pause" in e.commands and not e.epoch.drains
    rows = [
        _row("receive_step", t.WAITING, t.HANDLING, TRUE, take, cite="facts 6.5"),
        _row("handle_last", t.HANDLING, t.ANSWERING, last & runs, finish, choose=(s,), under=lock, cite="facts 6.4: EOS"),
        _row("end_step", t.HANDLING, t.WAITING, all_of(e.slot, lambda i: step[i] == Output.NOTHING), [], cite="facts 6.5"),
        _row("answer", t.ANSWERING, t.HANDLING, TRUE, [*e.answer(answering.value), answering.set(None)], under=e.mutex, cite="facts 5: put_results"),
    ]
    if (recycles or pauses) and e.reports_may_miss:
        idle = ~aborted & ~preempted if pauses else ~aborted
        rows.append(_row("skip_stop", t.HANDLING, t.HANDLING, stopped & idle, done, choose=(s,), under=lock, cite="facts 6.5"))
    if recycles:
        both = stopped & aborted
        rows.append(_row("recycle_aborted", t.HANDLING, t.ANSWERING, both, recycle, choose=(s,), under=lock, cite="facts 6.5: -9 and to be aborted"))
    if e.reports_may_miss:
        rows.append(_row("skip_last", t.HANDLING, t.HANDLING, last & ~runs, done, choose=(s,), under=lock, cite="facts 6.5: nobody has the slot"))
    if pauses:
        mine = preempted & ~aborted
        rows.append(
            _row("reschedule", t.HANDLING, t.HANDLING, stopped & mine, back, choose=(s,), under=lock, cite="facts 6.5: -9 and to be rescheduled")
        )
    if e.step_failures:
        rows.append(_failure(e, step, last & runs, finish, s))
    return Machine("token_processor", t, rows, final=t.WAITING, doc="the engine's thread that credits what the steps report")


def _failure(e: Engine, step: Variable, last: Expr, finish: list[Any], slot: Param) -> Row:
    """An exception while a report is handled: it is dropped, for all slots. Ours finishes the request of the one slot, with an error."""
    t, left = Tokens, private("step_failures_left", Range(0, e.step_failures), init=e.step_failures)
    if e.epoch.keeps_step:
        guard, effects = last & (left > 0), [*finish, left.sub(1)]
        return _row("fail_slot", t.HANDLING, t.ANSWERING, guard, effects, fair="none", choose=(slot,), under=e.resources, cite="ours")
    guard = (left > 0) & any_of(e.slot, lambda i: step[i] != Output.NOTHING)
    lose = [each(e.slot, lambda i: step[i].set(Output.NOTHING)), left.sub(1)]
    return _row("fail_step", t.HANDLING, t.WAITING, guard, lose, decided="observed", fair="none", cite="H28: a whole step")


def finisher(e: Engine) -> Machine:
    """FIN."""
    f = Finish
    freeing = private("finishing_request", Optional(e.request))
    q = e.finishing.head
    known = e.stage[q].is_in(Stage.RUNNING, Stage.ABORTING, Stage.PREEMPTED)
    forget = [] if e.epoch.direct_abort else [e.abort_asked[q].set(False)]
    remove = [e.finishing.receive(), freeing.set(q), *e.free_slot(q), e.stage[q].set(Stage.ENDING), *forget]
    skip = [e.finishing.receive()]
    gone = [*e.free_block(freeing.value), e.stage[freeing.value].set(Stage.GONE), freeing.set(None)]
    rows = [
        _row("free_slot", f.IDLE, f.FREEING, known, remove, under=e.resources, cite="facts 6.4: FIN; 4.10 a"),
        _row("free_block", f.FREEING, f.IDLE, TRUE, gone, under=e.resources, cite="4.10 c"),
    ]
    if e.reports_may_miss:
        rows.append(_row("skip_finished", f.IDLE, f.IDLE, ~known, skip, under=e.resources, cite="facts 6.4: skips what waits"))
    return Machine("finisher", f, rows, final=f.IDLE, doc="the engine's thread that finishes requests")
