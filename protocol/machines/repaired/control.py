"""The operator's control: pause, resume, and new weights for all ranks of P and of every D.

It runs beside the router's copies. While it is paused the router posts nothing new, which is the one place where anything is held
back: what is posted ends as ever, so no thread of P or D asks whether there is a pause (H9, H-23: a pause that preempts and clears
takes requests from under those who work on them). It is PAUSED when no D has an entry of a request that is not over, and then
P has none either; nothing can come after that.

New weights are for P a batch of their own: the scheduling thread puts it, every rank reads it, and it is over when the
forward signal is down, which is the one fact about all ranks that P knows anyway. For D they are a step without requests. Nobody
clears a queue, and no status is copied back (H3, H4). Who is dead meanwhile begins with the weights that are in force when it
comes back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import all_of, any_of, choice
from ...effect import each, when
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from ...properties import Property, leads_to, never, sometimes
from ...types import BOOL
from ...variable import Variable, private
from .plane import HOLDING, Entry, Plane, Stage
from .router import CLIENT

_row = partial(Row, actor="router")


class Control(IntEnum):
    """The operator's thread is ..."""

    RUNNING, DRAINING, PAUSED, ASKING, ASKING_DECODES, AWAITING = range(6)


CHANGING = (Control.ASKING, Control.ASKING_DECODES, Control.AWAITING)
"""The states in which the weights are about to change."""


def control(p: Plane, request: Machine, entry: Machine) -> Machine | None:
    """The operator's thread; None where the bounds have no control."""
    if not p.bounds.control:
        return None
    c, d = Control, choice("decode", p.decode)
    seen = private("control_seen", BOOL, over=p.decode)
    every, forget = all_of(p.decode, lambda i: seen[i]), each(p.decode, lambda i: seen[i].set(False))
    idle = all_of(p.request, lambda q: entry.at(d, q).is_in(Entry.UNKNOWN, Entry.CLOSED)) if p.rules.drains_before_pause else TRUE
    decode_lives = p.decode_process.is_alive(d) if p.decode_process else TRUE
    decode, prefills = partial(_row, choose=(d,), under=p.decode_lock[d]), partial(_at_prefills, p, private("control_prefill", p.prefill))
    note, fresh = seen[d].set(True), ~seen[d]
    ask_decode, decode_done = [note, when(decode_lives, p.decode_update_due[d].set(True))], fresh & ~p.decode_update_due[d]

    def over(own: Plane) -> Expr:
        rests = all_of(p.request, lambda q: request.at(*own.here, q).is_in(Stage.NEW, Stage.CLOSED))
        return every & rests if p.rules.drains_before_pause else every

    def ask(own: Plane) -> list[Any]:
        return [when(own.engine_lives(), own.update_due.set(True))]

    # fmt: off
    rows = [
        _row("pause",               c.RUNNING,        c.DRAINING,       TRUE,         [p.paused.set(True)], **CLIENT, cite="facts 3.8"),
        decode("see_decode_idle",   c.DRAINING,       c.DRAINING,       fresh & idle, [note], cite="ours: every request that was posted is over"),
        *prefills("see_prefill_idle", c.DRAINING,     c.PAUSED,         over,         then=[forget], cite="ours: and P is done"),
        _row("resume",              c.PAUSED,         c.RUNNING,        TRUE,         [p.paused.set(False)], **CLIENT, cite="facts 3.8"),
        _row("update",              c.PAUSED,         c.ASKING,         TRUE,         [p.weights.set(1 - p.weights)], **CLIENT, cite="facts 4.1 W5"),
        *prefills("ask_prefill",    c.ASKING,         c.ASKING_DECODES, lambda own: TRUE, ask, cite="ours: by its gate"),
        decode("ask_decode",        c.ASKING_DECODES, c.ASKING_DECODES, fresh,        ask_decode, cite="ours"),
        *prefills("see_prefill_updated", c.ASKING_DECODES, c.AWAITING,  lambda own: every & ~own.update_due, then=[forget], cite="ours"),
        decode("see_decode_updated", c.AWAITING,      c.AWAITING,       decode_done,  [note], cite="ours"),
        _row("end_update",          c.AWAITING,       c.PAUSED,         every,        [forget], cite="ours"),
    ]
    # fmt: on
    return Machine("control", c, rows, final=(c.RUNNING, c.PAUSED), doc="The operator: pause, resume, new weights.")


def _at_prefills(
    p: Plane,
    turn: Variable,
    event: str,
    source: Control,
    destination: Control,
    guard: Callable[[Plane], Expr],
    effects: Callable[[Plane], list[Any]] = lambda own: [],
    then: Sequence[Any] = (),
    cite: str = "",
) -> list[Row]:
    """What is done under the lock of every prefill instance, one after another; `then` with the last, which leads on."""
    rows, last = [], len(p.prefills) - 1
    for number, own in enumerate(p.prefills):
        its = turn == number if last else TRUE
        does = [*effects(own), *([turn.set((number + 1) % (last + 1))] if last else []), *(then if number == last else ())]
        goes = destination if number == last else source
        rows.append(_row(event, source, goes, its & guard(own), does, under=own.resources, cite=cite))
    return rows


def control_properties(p: Plane, request: Machine, controlling: Machine) -> list[Property]:
    """What a pause and new weights must not do, and must do."""
    at = controlling.at()

    def works(q: Expr) -> Expr:
        return request.at(*p.prefill_of(q), q).is_in(*HOLDING) | any_of(p.decode, lambda d: p.decode_batch[d, q])

    def decodes_newly(q: Expr) -> Expr:
        return any_of(p.decode, lambda d: p.decode_batch[d, q]) & (p.served_by[q] == 1)

    at_work = any_of(p.request, works)
    return [
        never("weights_mixed", p.mixed, about="a request is computed with one version of the weights, on P and on D, from its first layer on"),
        never(
            "at_work_while_paused",
            at.is_in(Control.PAUSED, *CHANGING) & at_work,
            about="nothing is under way while the operator is told that all rest",
        ),
        sometimes("some_pause_during_work", (at == Control.DRAINING) & at_work, about="twin: a pause that has something to wait for"),
        sometimes("some_decode_with_new_weights", any_of(p.request, decodes_newly), about="twin: requests are computed with the new weights"),
        leads_to("pause_ends", at == Control.DRAINING, at == Control.PAUSED, about="what is under way ends, and the operator hears of it"),
        leads_to("update_ends", at.is_in(*CHANGING), at == Control.PAUSED, about="every rank that lives gets the new weights"),
    ]
