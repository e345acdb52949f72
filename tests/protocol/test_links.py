"""Links and words: the paths of CH10, CH8 and H24's index, and of the words that two sides store to."""

from __future__ import annotations

import pytest

from checker import check
from protocol import DefinitionError
from protocol.catalogue import scenarios
from protocol.machines.links import eager_connect, queue_index, visibility
from protocol.machines.words import batch_rows, need_block, rebalance

from .paths import in_order, paths_of

path_of = paths_of()
BUILDERS = (eager_connect, queue_index, visibility, batch_rows, need_block, rebalance)

PATHS = {
    "links-connect-that-raises-is-never-answered": ["eager[0].go_on", "eager[0].find_none", "eager[0].raise"],
    "links-rank-connects-twice": ["eager[0].find_none", "sender[0].find_none", "eager[0].connect", "sender[0].connect"],
    "links-acknowledged-not-landed": ["card.take_write", "card.acknowledge", "sender.commit", "decoder.decode"],
    "links-copied-in-a-stream": ["sender.post_write", "sender.commit", "decoder.decode"],
    "links-first-instance-reserves-for-all": ["prefill[1].ask", "decode_loop[0].reserve"],
    "words-ask-lost-under-the-zero": ["scheduler.find_need", "rank.ask", "scheduler.clear"],
    "words-abort-takes-rows-away-in-b": ["control.load_rows", "scheduler.put_batch", "worker.insert", "control.put_abort", "worker.abort"],
    "words-half-written-experts-loaded": ["rank[1].find_none", "rank[0].say", "rank[1].hear", "rank[1].load"],
    "words-announced-experts-never-loaded": ["manager[1].announce", "rank[1].take_down", "rank[0].hear"],
}


@pytest.mark.parametrize("name", PATHS)
def test_path_tells_the_story(name: str) -> None:
    assert in_order(path_of(name), *PATHS[name]), path_of(name)


@pytest.mark.parametrize("scenario", [s for s in scenarios().values() if s.group in ("links", "words")], ids=lambda s: s.name)
def test_scenario_is_as_recorded(scenario) -> None:  # type: ignore[no-untyped-def]
    result = check(scenario.system())
    found = result.findings[scenario.property]
    assert (found.verdict.value, result.distinct, found.path_length) == (scenario.expected, scenario.distinct, scenario.path_length)


@pytest.mark.parametrize("module", BUILDERS, ids=lambda m: m.__name__.rpartition(".")[2])
def test_unknown_variant_is_refused(module) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DefinitionError, match="choose one of"):
        module.build(variant="sideways")


def test_three_instances_and_three_ranks_are_mended_as_well() -> None:
    for system in (rebalance.build(instances=3), queue_index.build(instances=3), eager_connect.build(ranks=3, fails=True, sends=True)):
        result = check(system)
        assert {n: f.verdict.value for n, f in result.findings.items() if f.verdict.value != "holds"} == {}
