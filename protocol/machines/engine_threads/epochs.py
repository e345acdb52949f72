"""Versions of the engine's threads, each described by what it does.

A, B, B', A' and R are those of the facts (engine_worker section 0.1). A aborts as the facts give it for A and A' (section 3.8: noted,
and acted on by `schedule()`), before #7141 and #7633. R prepares with threads and aborts and pauses as in the hand-over's
epoch E1 (cache_handshake 9.4, 9.8); R' is R with the newest abort and pause. The others are one of these with one part changed, to
show what the part is for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

ROLES = ("mixed", "prefill")


@dataclass(frozen=True)
class Epoch:
    """One version.

    Args:
        pooled: one fetch at a time runs in a pool of one thread, submitted by the scheduling thread; else there are fetch loops.
        fetches_first: a fetch is submitted before the gate, whatever waits.
        gated: the gate looks at the forward signal too, in these roles.
        locked_look: the gate looks at the queue under its lock (`num_tasks`), else at its register (`exist_tasks`).
        guards_submit: a submission to a closed pool leaves the loop, in these roles.
        swallows: any other RuntimeError in the loop is swallowed; else it ends the thread.
        direct_abort: the control thread puts the stop of an aborted request into the queue itself; else `schedule()` does.
        filters: a fetch drops requests whose abort was asked, without a word.
        drains: a pause waits until every request is over; else it preempts, clears and resets.
        counts_aborting: admission counts requests that are being aborted, which keep their slot (#7141).
        reports_stops: a worker step in which nothing is left to run still reports its stops (#7633).
        reports_once: ours. A stop is reported only where it emptied the slot: each stay in a slot ends with one report.
        one_putter: ours. Only the scheduling thread puts into the queue.
        holds_lock: ours. `schedule()` and `put_tasks` are one critical section.
        owned_abort: ours. An abort is a state of the request, on which whoever owns its stage acts.
        keeps_batch: ours. An exception in a fetch answers its request and gives back what it holds.
        keeps_step: ours. An exception while a report is handled costs the request of that slot only, which is answered.
        watches_exit: ours. Every wait of a fetch ends at shutdown.
        lets_wait: ours. As many requests may wait as there are slots, so that a batch gathers during a forward; else a fetch loop
            takes nothing while something waits.
        some_thread: ours. There is at least one fetch thread, whatever the configuration says.
    """

    name: str
    pooled: bool = True
    fetches_first: bool = False
    gated: tuple[str, ...] = ()
    locked_look: bool = False
    guards_submit: tuple[str, ...] = ("mixed",)
    swallows: bool = True
    direct_abort: bool = False
    filters: bool = False
    drains: bool = False
    counts_aborting: bool = False
    reports_stops: bool = False
    reports_once: bool = False
    one_putter: bool = False
    holds_lock: bool = False
    owned_abort: bool = False
    keeps_batch: bool = False
    keeps_step: bool = False
    watches_exit: bool = False
    lets_wait: bool = False
    some_thread: bool = False


_A = Epoch("A")
_B = Epoch("B", fetches_first=True, gated=ROLES, locked_look=True, guards_submit=ROLES, direct_abort=True, filters=True)
_NEW = replace(_A, name="A'", swallows=False, drains=True, counts_aborting=True, reports_stops=True)
_R = replace(_A, name="R", pooled=False, swallows=False, direct_abort=True, counts_aborting=True)
_OURS = Epoch(
    "repaired",
    pooled=False,
    gated=ROLES,
    swallows=False,
    drains=True,
    counts_aborting=True,
    reports_stops=True,
    reports_once=True,
    one_putter=True,
    holds_lock=True,
    owned_abort=True,
    keeps_batch=True,
    keeps_step=True,
    watches_exit=True,
    lets_wait=True,
    some_thread=True,
)

EPOCHS = {
    e.name: e
    for e in (
        _A,
        _B,
        replace(_B, name="B'", gated=("prefill",), locked_look=False, swallows=False),
        _NEW,
        _R,
        replace(_R, name="R'", direct_abort=False, drains=True, reports_stops=True),
        # A' admitting as before #7141.
        replace(_NEW, name="uncounted", counts_aborting=False),
        # Ours with one of its parts left out, to show that the part is needed.
        replace(_OURS, name="two_putters", one_putter=False, owned_abort=False, direct_abort=True, holds_lock=False, reports_once=False),
        replace(_OURS, name="locked_put", one_putter=False, owned_abort=False, direct_abort=True),
        replace(_OURS, name="reports_twice", reports_once=False),
        replace(_OURS, name="clearing", drains=False),
        replace(_OURS, name="unowned", owned_abort=False),
        replace(_OURS, name="forgetful", keeps_batch=False),
        replace(_OURS, name="careless", keeps_step=False),
        replace(_OURS, name="unbounded", fetches_first=True),
        replace(_OURS, name="unwatched", watches_exit=False),
        replace(_OURS, name="threadless", some_thread=False),
        replace(_OURS, name="uncounted_ours", counts_aborting=False),
        _OURS,
    )
}
