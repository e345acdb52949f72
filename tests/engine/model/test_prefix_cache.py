"""The prefix cache against a slow twin that knows whole prefixes instead of hashes, and against what really lies in the blocks."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engine.model.config import TINY
from engine.model.kv_cache import BlockPool, KvCache
from engine.model.prefix_cache import PrefixCache
from engine.model.reference import log_probabilities, log_softmax
from engine.model.shard import Chunk, Shard, forward
from engine.model.weights import seeded
from protocol import DefinitionError

SIZE, BLOCKS = 2, 9
Prefix = tuple[int, ...]


class SlowCache:
    """The same by prefixes: `users[prefix]` are the owners of the cached block at its end, `unused` the prefixes without any, oldest first."""

    def __init__(self) -> None:
        self.users: dict[Prefix, list[str]] = {}
        self.unused: list[Prefix] = []
        self.own: dict[str, int] = {}
        self.prompts: dict[str, Prefix] = {}
        self.published: dict[str, int] = {}
        self.evicted = 0

    def free(self) -> int:
        return BLOCKS - sum(self.own.values()) - len(self.users) + len(self.unused)

    def match(self, tokens: Prefix) -> list[Prefix]:
        found = []
        for end in range(SIZE, len(tokens), SIZE):
            if tokens[:end] not in self.users:
                break
            found.append(tokens[:end])
        return found

    def take(self, owner: str, tokens: Prefix, blocks: int) -> None:
        matched = self.match(tokens)
        for prefix in matched:
            self.users[prefix].append(owner)
            if prefix in self.unused:
                self.unused.remove(prefix)
        fresh = blocks - len(matched)
        while BLOCKS - sum(self.own.values()) - len(self.users) < fresh:
            del self.users[self.unused.pop(0)]
            self.evicted += 1
        self.own[owner], self.prompts[owner], self.published[owner] = fresh, tokens, len(matched)

    def publish(self, owner: str, computed: int) -> None:
        tokens = self.prompts[owner]
        for place in range(self.published[owner], min(computed, len(tokens)) // SIZE):
            self.published[owner], prefix = place + 1, tokens[: (place + 1) * SIZE]
            if prefix not in self.users:
                self.users[prefix] = [owner]
                self.own[owner] -= 1

    def release(self, owner: str) -> None:
        self.own.pop(owner)
        self.prompts.pop(owner)
        for prefix in sorted((p for p, users in self.users.items() if owner in users), key=len, reverse=True):
            self.users[prefix].remove(owner)
            if not self.users[prefix]:
                self.unused.append(prefix)


prompts = st.lists(st.sampled_from([0, 0, 0, 1]), min_size=1, max_size=4 * SIZE).map(tuple)


class PrefixCacheAgainstItsTwin(RuleBasedStateMachine):
    """Requests come, compute, publish and go in any order; `lies[block]` is the prefix whose last block was computed there."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = BlockPool(BLOCKS)
        self.cache, self.slow = PrefixCache(self.pool, SIZE), SlowCache()
        self.lies: dict[int, Prefix] = {}
        self.computed: dict[str, int] = {}
        self.tables: dict[str, list[int]] = {}
        self.number = 0

    @rule(tokens=prompts, more=st.integers(0, 2), at_once=st.booleans())
    def take(self, tokens: Prefix, more: int, at_once: bool) -> None:
        blocks = -(-len(tokens) // SIZE) + more
        owner, self.number = f"r{self.number}", self.number + 1
        if self.cache.needed(tokens, blocks) > self.cache.free:
            with pytest.raises(DefinitionError, match="are free"):
                self.cache.take(owner, tokens, blocks)
            return
        expected = self.slow.match(tokens)
        lease = self.cache.take(owner, tokens, blocks)
        self.slow.take(owner, tokens, blocks)
        assert lease.cached_tokens == SIZE * len(expected)
        assert [self.lies[block] for block in lease.table[: len(expected)]] == expected, "S6: what is matched is computed"
        assert len(set(lease.table)) == blocks
        self.tables[owner], self.computed[owner] = list(lease.table), lease.cached_tokens
        if at_once:
            self.compute(owner, len(tokens))

    @precondition(lambda self: self.tables)
    @rule(data=st.data())
    def compute_and_publish(self, data: st.DataObject) -> None:
        owner = data.draw(st.sampled_from(sorted(self.tables)))
        self.compute(owner, data.draw(st.integers(0, len(self.slow.prompts[owner]))))

    def compute(self, owner: str, done: int) -> None:
        """The owner's first tokens have been computed, and are published."""
        tokens, done = self.slow.prompts[owner], max(done, self.computed[owner])
        for place in range(self.slow.published[owner], done // SIZE):
            self.lies[self.tables[owner][place]] = tokens[: (place + 1) * SIZE]
        self.computed[owner] = done
        self.cache.publish(owner, done)
        self.slow.publish(owner, done)

    @precondition(lambda self: self.tables)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        owner = data.draw(st.sampled_from(sorted(self.tables)))
        del self.tables[owner]
        self.cache.release(owner)
        self.slow.release(owner)

    @invariant()
    def agree(self) -> None:
        self.cache.check()
        assert (self.cache.free, self.cache.evictions) == (self.slow.free(), self.slow.evicted)


PrefixCacheAgainstItsTwin.TestCase.settings = settings(max_examples=80, stateful_step_count=30, derandomize=True, deadline=None)
test_prefix_cache_agrees_with_its_twin = PrefixCacheAgainstItsTwin.TestCase


def test_a_matched_prefix_is_not_computed_again_and_answers_alike() -> None:
    weights = seeded(TINY, 7)
    shards = [Shard(weights.shard(r, 2), KvCache(TINY, 2, 8, 4)) for r in range(2)]
    cache, prompt = PrefixCache(BlockPool(8), 4), (256, 5, 6, 7, 8, 9, 10, 11, 12)
    first = cache.take("first", prompt, 3)
    forward(shards, [Chunk(prompt, 0, tuple(first.table))])
    cache.publish("first", len(prompt))
    other = (*prompt[:8], 99, 98)
    second = cache.take("second", other, 3)
    assert second.cached_tokens == 8 and second.table[:2] == first.table[:2] and second.table[2] != first.table[2]
    (logits,) = forward(shards, [Chunk(other[8:], 8, tuple(second.table))])
    assert abs(log_softmax(logits) - log_probabilities(weights, other)[-1]).max() < 1e-4
    assert (cache.queries, cache.hits) == (19, 8)


def test_published_before_it_is_computed_a_block_is_found_by_others() -> None:
    """H-08: preallocation publishes; the request is refused; its blocks stay to be matched, and nothing lies in them."""
    cache = PrefixCache(BlockPool(4), 2)
    lease = cache.take("refused", (1, 2, 3, 4, 5), 3)
    cache.publish("refused", 5)
    cache.release("refused")
    assert cache.match((1, 2, 3, 4, 9)) == lease.table[:2]


def test_after_a_change_of_weights_nothing_is_found_and_nothing_leaks() -> None:
    cache = PrefixCache(BlockPool(6), 2)
    cache.take("old", (1, 2, 3, 4, 5), 3)
    cache.publish("old", 2)
    cache.take("user", (1, 2, 9), 2)
    cache.take("late", (7, 7), 1)
    cache.clear()
    cache.publish("old", 5)
    cache.publish("late", 2)
    assert cache.match((1, 2, 3, 4, 5)) == cache.match((7, 7, 7)) == []
    cache.check()
    cache.release("old")
    cache.release("user")
    cache.release("late")
    cache.check()
    assert cache.free == 6


def test_misuse_is_told() -> None:
    cache = PrefixCache(BlockPool(3), 2)
    cache.take("a", (1, 2), 2)
    with pytest.raises(DefinitionError, match="a has a block table already"):
        cache.take("a", (1, 2), 1)
    with pytest.raises(DefinitionError, match="b needs 2 blocks and 1 are free"):
        cache.take("b", (1, 2), 2)
    cache.release("a")
    with pytest.raises(DefinitionError, match="a holds no blocks"):
        cache.release("a")


def test_a_pool_notices_blocks_handed_over_or_freed_twice() -> None:
    pool = BlockPool(3)
    pool.take(2, "a")
    pool.hand_over([0], "a", "b")
    assert (pool.held_by("a"), pool.held_by("b")) == ([1], [0])
    with pytest.raises(DefinitionError, match="a hands over block 0, which belongs to b"):
        pool.hand_over([0], "a", "c")
    with pytest.raises(DefinitionError, match="a frees a block twice"):
        pool.give_back([1, 1], "a")
    pool.check()
    pool._free.append(1)
    with pytest.raises(DefinitionError, match="not each free or held once"):
        pool.check()
