"""The mirror of top_p: does the host's list say of every row what the device's tensor says?

`top_p_list` mirrors the tensor `top_p` on the host, so that "is every top_p 1.0?" needs no synchronisation; then sampling takes
the fast path, which ignores top_p (facts section 10; #7892). It must be written at insert, swapped with its rows, reset at clear,
and have an entry for every row or, with speculation, for every token. What exactly #7944 mended is not published (open
question Q5), so each violation that the facts name is a variant: (a) no swap, (b) stale rows, (c) too short.

One thread, the worker's: the order of its steps is what is explored. A value is 1.0 or below it. `real_bsz` is the highest
occupied row plus one, so a finished row may lie among the live ones until the rows are condensed by swaps.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import all_of, any_of, choice, count
from ...effect import when
from ...expr import Expr
from ...machine import Machine, Row
from ...properties import always, never, sometimes
from ...system import System
from ...types import BOOL, Index
from ...variable import ghost, private
from ..arguments import one_of, within

_row = partial(Row, actor="worker", decided="decided")


class Runner(IntEnum):
    """The worker's thread is ..."""

    BETWEEN_STEPS, RAISED = range(2)


@dataclass(frozen=True)
class Mirror:
    """How the list is kept. `swaps`: with its rows; `resets`: when a request ends; `long`: an entry a token."""

    name: str
    swaps: bool = True
    resets: bool = True
    long: bool = True


MIRRORS = {m.name: m for m in (Mirror("unswapped", swaps=False), Mirror("stale", resets=False), Mirror("short", long=False), Mirror("repaired"))}


def build(variant: str = "repaired", rows: int = 2, tokens: int = 1) -> System:
    """The rows of a worker's batch.

    Args:
        variant: unswapped (a), stale (b), short (c), or repaired.
        rows: max_num_seqs. tokens: tokens of a row in a step; 2 with speculation, or with NaiveProposer's one too many.

    Raises:
        DefinitionError: a parameter outside its choices.
    """
    one_of(MIRRORS, variant=variant)
    within(2, 4, rows=rows)
    within(1, 3, tokens=tokens)
    mirror, row = MIRRORS[variant], Index("row", rows)
    device, host = private("top_p_below_one", BOOL, over=row), private("top_p_list_below_one", BOOL, over=row)
    occupied = private("row_occupied", BOOL, over=row)
    wrong_fast, needless, fast = (ghost(name, BOOL) for name in ("fast_path_taken_wrongly", "fast_path_missed", "fast_path_taken"))
    runner = Runner
    r, other, below = choice("row", row), choice("other", row), choice("below", BOOL)

    def in_batch(i: Any) -> Expr:
        return any_of(row, lambda j: (j >= i) & occupied[j])

    some_below = any_of(row, lambda i: occupied[i] & device[i])
    says_below = any_of(row, lambda i: in_batch(i) & host[i])
    entries = rows * tokens if mirror.long else rows
    needed = count(row, in_batch) * tokens
    swap: list[Any] = [device[r].set(device[other]), device[other].set(device[r]), occupied[r].set(occupied[other]), occupied[other].set(occupied[r])]
    swap += [host[r].set(host[other]), host[other].set(host[r])] if mirror.swaps else []
    end = [occupied[r].set(False), device[r].set(False), *([host[r].set(False)] if mirror.resets else [])]
    sample = [
        when(~says_below, fast.set(True)),
        when(some_below & ~says_below, wrong_fast.set(True)),
        when(~some_below & says_below, needless.set(True)),
    ]
    some = any_of(row, lambda i: occupied[i])
    table = [
        _row(
            "insert", runner.BETWEEN_STEPS, None, ~occupied[r], [occupied[r].set(True), device[r].set(below), host[r].set(below)], choose=(r, below)
        ),
        _row("finish", runner.BETWEEN_STEPS, None, occupied[r], end, choose=(r,), cite="facts 10: reset at clear"),
        _row("swap_states", runner.BETWEEN_STEPS, None, r < other, swap, choose=(r, other), cite="facts 10, H-14"),
        _row("sample", runner.BETWEEN_STEPS, None, some & (needed <= entries), sample, cite="#7892"),
    ]
    if not mirror.long:
        table.append(_row("index_past_end", runner.BETWEEN_STEPS, runner.RAISED, some & (needed > entries), cite="facts 10 (c)"))
    machine = Machine("runner", runner, table, final=runner.BETWEEN_STEPS, doc="the worker's thread: inserts, ends, swaps rows and samples")
    alike = all_of(row, lambda i: ~in_batch(i) | (device[i] == host[i]))
    properties = [
        always("list_mirrors_tensor", alike, about="Q5: for every row below real_bsz the two agree"),
        never("no_top_p_ignored", wrong_fast, about="Q5 (a): the fast path only where every top_p is 1.0"),
        never("no_fast_path_missed", needless, about="Q5 (b): the slow path only where some top_p is below 1.0"),
        never("no_index_past_the_end", machine.at() == runner.RAISED, about="Q5 (c): an entry for every token"),
        sometimes("some_fast_path", fast.cell(), about="twin of the claims"),
        sometimes("some_row_between", any_of(row, lambda i: in_batch(i) & ~occupied[i]), about="twin: a finished row lies among live ones"),
    ]
    return System(f"sampling_mirror_{variant}_{rows}", [machine], properties, doc=__doc__ or "")
