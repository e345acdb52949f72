"""New expert weights by two words an instance: who is ready, and whose word counts? (EPLB, engine_worker facts 1.2 and 4.6)

Each data-parallel instance has a manager that writes its new weights into shared memory and then raises
`signal_update_weight_from_tensor`. Once an iteration the first rank of each instance looks at its own word, and where it is up takes
it down and says so to the others; but what they hear is what rank 0 of all says. So when instance 0 is ready first, all load,
also those whose weights are half written; and when another is ready first, it takes its own word down, is not heard, and is done
only when instance 0 says so later. What is raised behind that is taken down and never heard: its manager waits for ever.

Ours: an instance is heard by all, all load when all are ready, and only then do they take their words down.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial

from ...combine import all_of, any_of, me, passed
from ...effect import when
from ...expr import TRUE
from ...machine import Machine, Row
from ...properties import leads_to, never, sometimes
from ...system import System
from ...types import BOOL, Index
from ...variable import Lock, barrier, ghost, locked, private, register
from ..arguments import one_of

VARIANTS = ("published", "repaired")


class Manager(IntEnum):
    """The manager's new weights are ..."""

    OLD, HALF_WRITTEN, WRITTEN, ANNOUNCED, DONE = range(5)


class Rank(IntEnum):
    """The first rank of the instance is ..., in an iteration."""

    LOOKING, CLEARING, SAYING, MEETING, HEARING, TAKING_DOWN, LOADING, MARKING, LEAVING = range(9)


def build(variant: str = "repaired", instances: int = 2) -> System:
    """One update of the experts of every instance.

    Args:
        variant: published (instance 0 speaks for all), repaired. instances: data-parallel instances.

    Raises:
        DefinitionError: an unknown variant.
    """
    one_of(VARIANTS, variant=variant)
    ours, own = variant == "repaired", Index("instance", instances)
    i, m, k = me(own), Manager, Rank
    word = register("update_signal", BOOL, over=own, cite="1.2: signal_update_weight_from_tensor")
    done = register("rearranged", BOOL, over=own, cite="1.2: rearrange_experts_status = DONE")
    group = Lock("collective", cite="4.6: a collective hands over in one step")
    said = locked("said", BOOL, group, over=own, cite="4.6: v")
    met = barrier("broadcast", instances, kind="sense", cite="4.6")
    ready, says, hears = ghost("weights_whole", BOOL, over=own), private("says", BOOL, over=own), private("hears", BOOL, over=own)
    loaded, half = ghost("weights_loaded", BOOL, over=own), ghost("loaded_half_written", BOOL)
    manager, rank = partial(Row, actor="prefill"), partial(Row, actor="worker")
    # fmt: off
    managing = [
        manager("write_half", m.OLD,          m.HALF_WRITTEN, TRUE, [done[i].set(False)], cite="4.6: DOING"),
        manager("write_rest", m.HALF_WRITTEN, m.WRITTEN,      TRUE, [ready[i].set(True)], cite="4.6: LOAD_SUCC"),
        manager("announce",   m.WRITTEN,      m.ANNOUNCED,    TRUE, [word[i].set(True)], cite="4.6"),
        manager("see_done",   m.ANNOUNCED,    m.DONE,         done[i], [], cite="4.6: DONE"),
    ]
    heard = all_of(own, lambda j: said[j]) if ours else said[0]
    load = [loaded[i].set(True), when(~ready[i], half.set(True))]
    ranking = [
        rank("find_word", k.LOOKING,  k.SAYING if ours else k.CLEARING, word[i],  [says[i].set(True)], cite="4.6"),
        rank("find_none", k.LOOKING,  k.SAYING,   ~word[i], [says[i].set(False)], cite="4.6"),
        rank("say",       k.SAYING,   k.MEETING,  TRUE, [said[i].set(says[i]), met.arrive()], under=group, cite="4.6: broadcast"),
        rank("hear",      k.MEETING,  k.HEARING,  passed(met), [hears[i].set(heard)], under=group, cite="4.6: of rank 0"),
        rank("go_on",     k.HEARING,  k.LEAVING,  ~hears[i], [met.arrive()], cite="4.6"),
        rank("begin",     k.HEARING,  k.TAKING_DOWN if ours else k.LOADING, hears[i], [], cite="4.6: MAGIC"),
        rank("load",      k.LOADING,  k.MARKING,  TRUE, load, cite="4.6"),
        rank("mark_done", k.MARKING,  k.HEARING,  TRUE, [done[i].set(True), hears[i].set(False)], cite="4.6"),
        rank("leave",     k.LEAVING,  k.LOOKING,  passed(met), [], cite="4.6: the next iteration"),
    ]
    # fmt: on
    clear = k.TAKING_DOWN if ours else k.CLEARING
    ranking.append(rank("take_down", clear, k.LOADING if ours else k.SAYING, TRUE, [word[i].set(False)], cite="4.6: reset 0"))
    managers = Machine("manager", m, managing, copies=own, final=m.DONE, doc="The manager of an instance's experts: one update.")
    ranks = Machine("rank", k, ranking, copies=own, doc="The first rank of an instance: once an iteration.")
    properties = [
        never("loaded_half_written", half, about="no rank loads weights that its manager is still writing"),
        leads_to("update_ends", lambda j: managers.at(j) == m.ANNOUNCED, lambda j: managers.at(j) == m.DONE, each=own, about="every update ends"),
        sometimes("some_all_loaded", all_of(own, lambda j: loaded[j]), about="twin"),
        sometimes("some_update_begun", any_of(own, lambda j: ready[j]), about="twin"),
    ]
    return System("rebalance", [managers, ranks], properties, doc=__doc__ or "")
