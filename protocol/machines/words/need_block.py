"""The word by which a rank asks the scheduler for blocks: load, then set to 0 (`need_block_num_signal`, engine_worker facts 1.2, 6.3).

A rank that runs out of blocks stores how many it needs into its slot's cell. `schedule()` loads the cell and, where it is not 0, keeps
the number, sets the cell to 0 and gives as many. Between its load and its store the rank, one step further, may have stored a larger
number: that is overwritten by the 0, and the rank waits for blocks of which nobody knows. (The facts have this window for
text-to-image requests, whose tables grow while they run.)

Ours: the cell has one writer. The rank stores how many it has needed in all, and the scheduler, which never stores there, gives the
difference to what it has given.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import if_else
from ...expr import TRUE
from ...machine import Machine, Row
from ...properties import leads_to, lost_store, sometimes
from ...system import System
from ...types import Range
from ...variable import channel, private, register
from ..arguments import one_of

VARIANTS = ("published", "repaired")


class Rank(IntEnum):
    """The rank is ... with its blocks."""

    CONTENT, SHORT, WAITING = range(3)


class Scheduler(IntEnum):
    """`schedule()` is ..."""

    LOOKING, CLEARING, GIVING = range(3)


def build(variant: str = "repaired", needs: int = 2) -> System:
    """One slot, whose request needs one block more so many times.

    Args:
        variant: published, repaired. needs: how many blocks, one step after the other.

    Raises:
        DefinitionError: an unknown variant.
    """
    one_of(VARIANTS, variant=variant)
    number, ours = Range(0, needs), variant == "repaired"
    word = register("need_block_num", number, cite="engine_worker facts 1.2").cell()
    table = channel("block_tables", number, needs, cite="engine_worker facts 4.5: by the next batch")
    short: dict[str, Any] = {"decided": "decided", "fair": "none"}
    needed, given, seen = (private(n, number).cell() for n in ("blocks_needed", "blocks_given", "number_seen"))
    had = private("blocks_had", Range(0, 2 * needs)).cell()  # what was asked for twice comes twice
    r, s = Rank, Scheduler
    rank, engine = partial(Row, actor="worker"), partial(Row, actor="prefill")
    missing = needed if ours else if_else(had < needed, needed - had, 0)
    receive = [table.receive(), had.add(table.cell().head)]
    rows = [
        rank("run_short", (r.CONTENT, r.WAITING), r.SHORT, needed < needs, [needed.add(1)], **short, cite="1.2: extend tables"),
        rank("ask", r.SHORT, r.WAITING, TRUE, [word.set(missing)], cite="1.2"),
        rank("receive", r.WAITING, r.WAITING, had + table.cell().head < needed, receive, cite="4.5"),
        rank("receive_last", r.WAITING, r.CONTENT, had + table.cell().head >= needed, receive, cite="4.5"),
    ]
    new, none = (word > given, word <= given) if ours else (word != 0, word == 0)
    found = [seen.set(word - given if ours else word)]
    give = [table.send(seen), seen.set(0), *([given.add(seen)] if ours else [])]
    schedule = [
        engine("find_need", s.LOOKING, s.GIVING if ours else s.CLEARING, new, found, cite="6.3 S1: capture"),
        engine("find_none", s.LOOKING, None, none, [], poll=True, cite="6.3 S1"),
        engine("give", s.GIVING, s.LOOKING, TRUE, give, cite="6.3 S1: extend"),
    ]
    if not ours:
        schedule.append(engine("clear", s.CLEARING, s.GIVING, TRUE, [word.set(0)], cite="6.3 S1: and set to 0"))
    asking = Machine("rank", r, rows, final=r.CONTENT, doc="The rank, which runs short of blocks.")
    machines = [asking, Machine("scheduler", s, schedule, final=s.LOOKING, doc="`schedule()`: looks, clears, gives.")]
    content = asking.at() == r.CONTENT
    properties = [
        leads_to("need_met", ~content, content, about="whoever runs short of blocks gets them"),
        lost_store(word.variable, "asks_kept", about="no ask is overwritten before the scheduler has seen it"),
        sometimes("some_need_met", content & (had != 0), about="twin"),
    ]
    return System("need_block", machines, properties, doc=__doc__ or "")
