"""What stays at home in one process of the disaggregated engine, and what may not."""

from __future__ import annotations

from functools import partial

from engine.disaggregated.live_memory import LiveMemory
from engine.disaggregated.plant import Plant
from engine.disaggregated.stations import placement_of
from engine.model.config import TINY
from engine.runtime.directory import Directory
from engine.runtime.locality import directory_of


def named(directory: Directory, *, shared: bool) -> set[str]:
    """The names of the variables that are shared, or that stay at home though their medium is not private."""
    everywhere = Directory(directory.system)
    return {variable.name for n, variable in enumerate(directory.variables) if everywhere.is_shared[n] and directory.is_shared[n] == shared}


def of_plant(ranks: int, *, mortal: bool) -> Directory:
    plant = Plant(TINY, ranks=ranks, mortal=mortal)
    placement = placement_of(plant, partial(LiveMemory, plant, "nowhere"))
    return directory_of(placement, placement.composition.system())


def test_what_only_the_messager_of_a_rank_looks_at_stays_in_it() -> None:
    assert {"work_items", "cache_task", "computed_mark", "parked_task"} <= named(of_plant(2, mortal=True), shared=False)


def test_what_two_processes_mention_is_shared() -> None:
    """Also a variable by rank: each rank's cell is the worker's and the messager's."""
    shared = named(of_plant(2, mortal=True), shared=True)
    assert {"kv_signals", "request.state", "entry.state", "forward_signal", "tensor_barrier", "open_key"} <= shared


def test_a_barrier_of_one_rank_stays_with_it() -> None:
    assert "tensor_barrier" in named(of_plant(1, mortal=True), shared=False)
    assert "tensor_barrier" in named(of_plant(2, mortal=True), shared=True)


def test_what_outlives_a_process_is_shared_when_the_process_may_die() -> None:
    """D's engine remembers in `asked_by` which life of P has asked; the router stores it, who never dies, so it is shared."""
    assert "asked_by" in named(of_plant(1, mortal=True), shared=True)


def test_facts_of_the_world_are_everybodys() -> None:
    assert {"prefill.alive", "prefill_life"} <= named(of_plant(1, mortal=True), shared=True)
