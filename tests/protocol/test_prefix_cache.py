"""The prefix cache: the paths that the facts describe, and a twin with numbered blocks and a real free list."""

from __future__ import annotations

import random
from typing import Any

import pytest

from engine.disaggregated.plant import Plant
from engine.model.config import TINY
from protocol import DefinitionError
from protocol.catalogue.prefix_cache import SCENARIOS
from protocol.machines.preparation.prefix_cache import VARIANTS, build

from .paths import in_order, paths_of

path_of = paths_of("prefix-cache")


def test_second_request_overtakes_the_first_whose_nodes_it_matched() -> None:
    steps = path_of("overtaken-in-e1-7364")
    assert in_order(steps, "prepare[0].hold", "prepare[1].hold", "prepare[1].see_grant", "forward.compute(request=1)")
    assert "forward.compute(request=0)" not in steps


def test_refused_request_leaves_a_node_that_the_next_one_matches() -> None:
    steps = path_of("poisoned-in-e0-7364")
    assert in_order(steps, "prepare[0].see_refusal", "prepare[0].recycle", "prepare[1].hold", "forward.compute(request=1)")


def test_unpinned_node_is_evicted_between_match_and_forward() -> None:
    steps = path_of("evicted-under-reader-unpinned")
    assert in_order(steps, "forward.compute(request=0)", "prepare[1].hold", "cache_manager.evict(path=0, node=0)", "forward.compute(request=1)")


def test_every_question_that_holds_is_violated_in_some_variant() -> None:
    answers: dict[str, set[str]] = {}
    for s in SCENARIOS:
        if not s.property.startswith("some_"):
            answers.setdefault(s.property, set()).add(s.expected)
    assert all(found == {"holds", "violated"} for found in answers.values())


@pytest.mark.parametrize("wrong", [{"variant": "E2"}, {"paths": "02"}, {"paths": ""}, {"nodes": 0}, {"blocks": 1}, {"refusals": 3}], ids=str)
def test_bounds_are_judged_with_a_remedy(wrong: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError, match="choose one of"):
        build(**wrong)


# -- a twin: numbered blocks, a free list, reference counts -----------------------------------------------------------------

NODES = 2


class Twin:
    """One random run of P's prefix cache, written without the model: blocks have numbers and contents."""

    def __init__(self, seed: int, paths: list[int], blocks: int, at: str):
        self.random, self.paths, self.at = random.Random(seed), paths, at
        self.free, self.contents = list(range(blocks)), [None] * blocks
        self.tree: dict[tuple[int, int], int] = {}
        self.references: dict[int, int] = {}
        self.tables: dict[int, list[int]] = {}
        self.matched: dict[int, int] = {}
        self.garbage = False

    def run(self) -> bool:
        """Whether some forward read a block that did not hold what it should."""
        threads = {q: self.life(q) for q in range(len(self.paths))}
        while threads:
            q = self.random.choice(sorted(threads))
            if next(threads[q], "over") == "over":
                del threads[q]
            self.check_integrity()
        assert len(self.free) + len(self.tree) == len(self.contents) and not any(self.references.values())
        return self.garbage

    def life(self, q: int) -> Any:
        """A request from its preallocation to its release; each `yield` lets others go on."""
        while not self.allocate(q):
            yield
        yield
        if self.random.random() < 0.3:
            return self.release(q)
        yield
        for place, block in enumerate(self.tables[q]):
            if place < self.matched[q]:
                self.garbage |= self.contents[block] != (self.paths[q], place)
            else:
                self.contents[block] = (self.paths[q], place)  # type: ignore[call-overload]
        yield
        if self.at == "computed":
            self.publish(q)
        yield
        return self.release(q)

    def allocate(self, q: int) -> bool:
        path, found = self.paths[q], 0
        while (path, found) in self.tree and found < NODES:
            found += 1
        table = [self.tree[path, k] for k in range(found)]
        for block in table:
            self.references[block] += 1
        while len(self.free) < NODES + 1 - found and self.evict():
            pass
        if len(self.free) < NODES + 1 - found:
            for block in table:
                self.references[block] -= 1
            return False
        for _ in range(NODES + 1 - found):
            block = self.free.pop()
            self.contents[block] = None
            table.append(block)
        self.tables[q], self.matched[q] = table, found
        if self.at == "preallocation":
            self.publish(q)
        return True

    def publish(self, q: int) -> None:
        for place in range(self.matched[q], NODES):
            if (self.paths[q], place) not in self.tree:
                self.tree[self.paths[q], place] = block = self.tables[q][place]
                self.references[block] = 1

    def evict(self) -> bool:
        leaves = [(f, k) for (f, k), b in self.tree.items() if (f, k + 1) not in self.tree and not self.references[b]]
        if leaves:
            self.free.append(self.tree.pop(self.random.choice(leaves)))
        return bool(leaves)

    def release(self, q: int) -> None:
        for block in self.tables.pop(q):
            if block in self.tree.values():
                self.references[block] -= 1
            else:
                self.free.append(block)

    def check_integrity(self) -> None:
        """No block is both free and in use, and none has two owners but as a node."""
        nodes = list(self.tree.values())
        own = [b for table in self.tables.values() for b in table if b not in nodes]
        assert len({*nodes, *own, *self.free}) == len(nodes) + len(own) + len(self.free)


def twin_reads_garbage(at: str) -> bool:
    """Whether any of many random runs does, on paths and blocks as in the scenarios."""
    return any([Twin(seed, [0, 0, 0, 1], 6, at).run() for seed in range(2000)])


def test_twin_with_numbered_blocks_agrees() -> None:
    assert {v.at for v in VARIANTS.values()} >= {"computed", "preallocation"}
    assert not twin_reads_garbage("computed")
    assert twin_reads_garbage("preallocation")


def test_no_row_of_the_engine_asks_for_the_cache() -> None:
    """What is found is contents of `prepare.hold` and of the chunks behind it: P with the cache takes the steps of P without, and no others."""
    with_cache, without = (Plant(TINY, prefix_cache=cached) for cached in (True, False))
    assert with_cache.protocol_config == without.protocol_config
