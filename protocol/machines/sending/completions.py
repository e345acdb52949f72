"""Parallel sends on one connection: whose completion does a thread take? (#7931, H-32)

Each thread posts its write and polls the queue of completions, which is one per connection: it takes the next completion, whoever
posted that write, and returns. So a call may return before its own data has arrived, and an error may be charged to another
request. That is harmless only where the pass waits for all its calls before anything counts as finished, and errors fail the
whole pass. Ours: a completion carries the number of its write, and a thread waits for its own.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial

from ...combine import all_of, choice, me
from ...effect import when
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from ...properties import never, sometimes
from ...system import System
from ...types import BOOL, Index, Record
from ...variable import channel, ghost, private, unlocked
from ..arguments import one_of

VARIANTS = ("EP", "EP-waits-for-all", "repaired")


class Thread(IntEnum):
    """The sending thread is ..."""

    IDLE, POLLING, RETURNED, FINISHED, FAILED = range(5)


class Nic(IntEnum):
    """The network card is ..."""

    RUNNING = 0


def build(variant: str = "repaired", writes: int = 2, faults: bool = True) -> System:
    """One write a thread, for one request each, on one connection; any one of them may fail.

    Args:
        variant: EP (#7931), EP-waits-for-all: nothing is finished before all calls have returned, repaired.
        writes: how many. faults: whether writes may fail.

    Raises:
        DefinitionError: an unknown variant.
    """
    one_of(VARIANTS, variant=variant)
    thread = Index("write", writes)
    posted = channel("send_queue", thread, writes, kind="bag", cite="CH8: one queue pair; its writes may complete in any order over rails")
    completions = channel("completions", Record("Completion", write=thread, failed=BOOL), writes, cite="CH8: the CQ")
    returned = unlocked("call_returned", BOOL, over=thread, cite="#7931: the future")
    arrived, broke = ghost("data_arrived", BOOL, over=thread), ghost("write_failed", BOOL, over=thread)
    early, wrong, some = ghost("finished_before_arrival", BOOL), ghost("error_charged_wrongly", BOOL), ghost("some_finished", BOOL)
    threads = _threads(variant, thread, posted, completions, returned, arrived, broke, early, wrong, some)
    machines = [threads, _nic(thread, faults, posted, completions, arrived, broke)]
    properties = [
        never("finished_before_arrival", early, about="S1: finished means that the data has arrived"),
        never("error_charged_wrongly", wrong, about="an error is charged to the request whose write failed"),
        sometimes("some_write_finished", some, about="twin of both"),
        sometimes("some_write_fails", threads.at(0) == Thread.FAILED, about="twin of error_charged_wrongly") if faults else None,
    ]
    return System("completions", machines, [p for p in properties if p is not None], doc=__doc__ or "")


def _nic(thread, faults, posted, completions, arrived, broke) -> Machine:  # type: ignore[no-untyped-def]
    n, w = Nic.RUNNING, choice("write", thread)
    complete = completions.message
    step = partial(Row, actor="network", choose=(w,))
    taken = private("being_written", BOOL, over=thread)
    rows = [
        step("take_write", n, n, TRUE, [posted.receive(w), taken[w].set(True)], cite="CH8"),
        step("complete", n, n, taken[w], [taken[w].set(False), completions.send(complete(write=w, failed=False)), arrived[w].set(True)], cite="CH8"),
    ]
    if faults:
        fail = [taken[w].set(False), completions.send(complete(write=w, failed=True)), broke[w].set(True)]
        rows.append(step("fail", n, n, taken[w], fail, decided="observed", fair="none", cite="CH8"))
    return Machine("nic", Nic, rows, final=n, doc="The network card: writes, then completes.")


def _threads(variant, thread, posted, completions, returned, arrived, broke, early, wrong, some) -> Machine:  # type: ignore[no-untyped-def]
    t, w = Thread, me(thread)
    head = completions.cell().head
    mine = head.write == w if variant == "repaired" else TRUE
    bad = private("call_failed", BOOL, over=thread)
    note = [bad[w].set(head.failed), completions.receive()]
    all_back = variant == "EP-waits-for-all"
    done = [when(~arrived[w], early.set(True)), some.set(True)]
    charged = [when(~broke[w], wrong.set(True))]
    step, counted = partial(Row, actor="messager"), private("calls_seen", BOOL, over=(thread, thread))
    rows = [
        step("post_write", t.IDLE, t.POLLING, TRUE, [posted.send(w)], cite="CH8"),
        step("take_completion", t.POLLING, t.RETURNED, mine, note, cite="CH8: the next one, whosever it is"),
    ]
    ready: Expr = TRUE
    if all_back:
        other = choice("call", thread)
        rows.append(step("return", t.RETURNED, t.RETURNED, ~counted[w, w], [returned[w].set(True), counted[w, w].set(True)], cite="#7931"))
        look = returned[other] & counted[w, w] & ~counted[w, other]
        rows.append(step("see_return", t.RETURNED, t.RETURNED, look, [counted[w, other].set(True)], choose=(other,), cite="#7931: all futures"))
        ready = all_of(thread, lambda i: counted[w, i])
    rows += [
        step("finish", t.RETURNED, t.FINISHED, ready & ~bad[w], done, cite="6.4: status"),
        step("charge_error", t.RETURNED, t.FAILED, ready & bad[w], charged, cite="9.5"),
    ]
    return Machine("thread", t, rows, copies=thread, final=(t.FINISHED, t.FAILED), doc="A thread of the pool, one call.")
