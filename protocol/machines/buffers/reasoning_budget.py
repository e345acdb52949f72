"""The reasoning budget: does a request that waits for room on D pay for each attempt?

`preallocate_resource_in_d` takes one from `reasoning_max_tokens` before it takes the lock, then looks for room (facts 8.1).
With FD_ENABLE_CACHE_TASK D keeps a request that does not fit and tries it again every millisecond; without it D refuses,
P asks again, and each message is a new object with the budget of the start. `free_slots` stands for slots and blocks; other
requests end and begin at any time.

Left out: what the budget is used for (the token at which reasoning is cut off), and the network, whose messages the
refusing mode passes through the row `ask_again`.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial

from ...combine import if_else
from ...expr import TRUE
from ...machine import Machine, Row
from ...properties import always, never, sometimes
from ...system import System
from ...types import BOOL, Range
from ...variable import Lock, ghost, locked, private
from ..arguments import one_of, within

_row = partial(Row, actor="decode")
VARIANTS = ("kept", "refused", "repaired")


class DecodeLoop(IntEnum):
    """The thread that allocates on D has the request ..."""

    RECEIVED, TRYING, REFUSED, GRANTED = range(4)


class Others(IntEnum):
    """The other requests of D are ..."""

    RUNNING = 0


def build(variant: str = "repaired", budget: int = 3) -> System:
    """One request and one slot.

    Args:
        variant: kept (D tries the same object again), refused (P sends it again), or repaired (paid for once, when granted).
        budget: reasoning_max_tokens of the request.

    Raises:
        DefinitionError: a parameter outside its choices.
    """
    one_of(VARIANTS, variant=variant)
    within(2, 8, budget=budget)
    lock = Lock("resource_lock", cite="facts 8.1: RM.lock")
    free = locked("slot_free", BOOL, lock, init=False, cite="facts 8.1: available_batch, free blocks")
    left, tried = private("reasoning_max_tokens", Range(0, budget), init=budget), ghost("refused_once", BOOL)
    d = DecodeLoop
    # A budget below 1 says that reasoning ends at once; less than nothing changes nothing.
    pay, restore = [left.set(if_else(left > 0, left - 1, 0))], [left.set(budget)]
    under = partial(_row, under=lock)
    grant, refuse = [free.set(False), *(pay if variant == "repaired" else [])], [tried.set(True)]
    # fmt: off
    rows = [
        _row("begin",   d.RECEIVED, d.TRYING,  TRUE,  [] if variant == "repaired" else pay, cite="H-36: before the lock, on every retry"),
        under("grant",  d.TRYING,   d.GRANTED, free,  grant,  cite="facts 8.1"),
        under("refuse", d.TRYING,   d.REFUSED if variant == "refused" else d.RECEIVED, ~free, refuse, poll=True, cite="facts 4.4"),
    ]
    if variant == "refused":
        rows.append(_row("ask_again", d.REFUSED, d.RECEIVED, TRUE, restore, cite="facts 4.6: P sends it again, a new object on D"))
    loop = Machine("decode_loop", d, rows, final=d.GRANTED, doc="D.L: allocates for one request")
    others = Machine("others", Others, [
        Row("end",   Others.RUNNING, None, ~free, [free.set(True)],  "decode", under=lock, decided="decided", cite="facts 4.12"),
        Row("begin", Others.RUNNING, None, free,  [free.set(False)], "decode", under=lock, decided="decided", fair="none", cite="facts 8.1"),
    ], final=Others.RUNNING, doc="the other requests of D")
    # fmt: on
    granted = loop.at() == d.GRANTED
    properties = [
        always("paid_once", ~granted | (left == budget - 1), about="H-36: a granted request has its whole budget but one"),
        never("budget_not_used_up", left == 0, about="H-36: waiting does not use the budget up"),
        sometimes("some_grant_after_refusal", granted & tried, about="twin: a request that was refused is granted later"),
    ]
    return System(f"reasoning_budget_{variant}_{budget}", [loop, others], properties, doc=__doc__ or "")
