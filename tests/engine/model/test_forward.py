"""The forward over batches of several requests: what one request gets depends neither on its batch nor on its chunks, up to rounding.

"Up to rounding" is 1e-4 in log-probability here; a library sums the product of one row in another order than that of several.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import EngineError
from engine.model.collective import AllReduce, CollectiveMismatch, complete, reduce
from engine.model.config import TINY, TINY_EXPERTS
from engine.model.group import Group
from engine.model.kv_cache import KvCache
from engine.model.layers import FEW_ROWS
from engine.model.numerics import bfloat16
from engine.model.reference import greedy, k3, log_probabilities, log_softmax
from engine.model.shard import Chunk, Forward, Shard, forward
from engine.model.weights import Weights, seeded
from protocol import DefinitionError

BLOCK, NEAR = 4, 1e-4
DENSE, EXPERTS = seeded(TINY, 7), seeded(TINY_EXPERTS, 7)


def group(weights: Weights, ranks: int, blocks: int = 64) -> list[Shard]:
    """The shards of an instance."""
    return [Shard(weights.shard(r, ranks), KvCache(weights.config, ranks, blocks, BLOCK)) for r in range(ranks)]


def spread(weights: Weights, instances: int, ranks: int) -> list[list[Shard]]:
    """The shards of several instances over which the experts are spread."""
    places = instances * ranks
    shards = [Shard(weights.expert_shard(p % ranks, ranks, p, places), KvCache(weights.config, ranks, 16, BLOCK)) for p in range(places)]
    return [shards[i * ranks : (i + 1) * ranks] for i in range(instances)]


@dataclass
class Request:
    """A sequence that is decoded greedily, and how far it is."""

    prompt: list[int]
    table: tuple[int, ...]
    length: int
    tokens: list[int] = field(default_factory=list)
    cached: int = 0
    logs: list[np.ndarray] = field(default_factory=list)

    def chunk(self, most: int) -> Chunk:
        """Its next tokens, so many at most; no logits in the middle of the prompt."""
        known = self.prompt + self.tokens
        some = known[self.cached : self.cached + most]
        return Chunk(tuple(some), self.cached, self.table, int(self.cached + len(some) == len(known)))

    @property
    def ended(self) -> bool:
        return len(self.tokens) == self.length


@pytest.mark.parametrize("weights", [DENSE, EXPERTS], ids=["dense", "experts"])
@settings(max_examples=12, derandomize=True, deadline=None)
@given(st.data())
def test_continuous_batching_gives_every_request_what_it_gets_alone(weights: Weights, data: st.DataObject) -> None:
    """Any order of rows, any chunks, prefill beside decode, any ranks: the tokens and log-probabilities of the whole pass."""
    shards = group(weights, data.draw(st.sampled_from([1, 2, 3])))
    prompts = data.draw(st.lists(st.lists(st.integers(0, 255), min_size=1, max_size=12), min_size=1, max_size=4))
    blocks = data.draw(st.permutations(range(64)))
    running = [Request(p, tuple(blocks[5 * i : 5 * i + 5]), data.draw(st.integers(1, 5))) for i, p in enumerate(prompts)]
    requests = list(running)
    while running:
        batch = data.draw(st.permutations(running))[: data.draw(st.integers(1, len(running)))]
        chunks = [request.chunk(data.draw(st.integers(1, 6))) for request in batch]
        rows = iter(forward(shards, chunks))
        for request, chunk in zip(batch, chunks):
            request.cached += len(chunk.tokens)
            if chunk.outputs:
                request.logs.append(log_softmax(next(rows)))
                request.tokens.append(int(np.argmax(request.logs[-1])))
        running = [r for r in running if not r.ended]
    for request in requests:
        expected = log_probabilities(weights, request.prompt + request.tokens[:-1])[len(request.prompt) - 1 :]
        assert np.abs(np.array(request.logs) - expected).max() < NEAR
        assert (expected.max(axis=-1) - expected[np.arange(request.length), request.tokens]).max() < NEAR


def test_several_outputs_of_one_chunk_are_those_of_single_steps() -> None:
    tokens, table = (256, 9, 8, 7, 6), (3, 1)
    logits = forward(group(DENSE, 2), [Chunk(tokens, 0, table, outputs=3), Chunk((5,), 0, (7,), outputs=0)])
    assert np.abs(log_softmax(logits) - log_probabilities(DENSE, tokens)[2:]).max() < NEAR


def test_few_decoding_rows_get_the_very_bits_that_each_gets_alone() -> None:
    shards, rows = group(DENSE, 2), [Chunk((9 + k,), 0, (k,)) for k in range(FEW_ROWS)]
    together = forward(shards, rows)
    assert all(np.array_equal(forward(shards, [row])[0], logits) for row, logits in zip(rows, together))


def test_partial_sums_are_added_in_the_order_of_the_ranks() -> None:
    """2^24 + 1 is not a 32-bit float: another order gives 1."""
    partials = [np.array([[x]], np.float32) for x in (2.0**24, 1.0, -(2.0**24))]
    assert reduce(partials) == 0 and reduce(partials[::2] + partials[1:2]) == 1
    assert all((received == 0).all() for received in complete([AllReduce(0, "feed", partial) for partial in partials]))


# -- layer by layer ------------------------------------------------------------------------------------------------------


@settings(max_examples=20, derandomize=True, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from([2, 3]))
def test_ranks_that_begin_layers_in_any_order_give_the_same_bits(draws, ranks: int) -> None:  # type: ignore[no-untyped-def]
    batch = [Chunk((256, 1, 2, 3, 4), 0, (4, 2)), Chunk((9, 9), 0, (0,))]
    whole, shards = group(DENSE, ranks), group(DENSE, ranks)
    expected, together = forward(whole, batch), Group([Forward(shard, batch) for shard in shards], ranks)
    for layer in range(TINY.layers):
        for rank in draws.sample(range(ranks), ranks):
            assert not shards[rank].cache.array[:, layer].any()
            together.begin_layer(rank, layer)
            assert np.array_equal(shards[rank].cache.array[:, layer], whole[rank].cache.array[:, layer])
    for rank in draws.sample(range(ranks), ranks):
        assert np.array_equal(together.finish(rank), expected)


def test_a_rank_cannot_run_ahead_of_the_others() -> None:
    shards = group(DENSE, 2)
    together = Group([Forward(shard, [Chunk((1, 2), 0, (0,))]) for shard in shards], 2)
    together.begin_layer(0, 0)
    with pytest.raises(EngineError, match="rank 1 has not begun layer 0"):
        together.begin_layer(0, 1)
    assert not shards[1].cache.array.any()
    with pytest.raises(EngineError, match="rank 1 has not begun layer 0"):
        together.finish(0)


def test_ranks_with_different_batches_do_not_add_up() -> None:
    shards = group(DENSE, 2)
    together = Group([Forward(shards[0], [Chunk((1, 2), 0, (0,))]), Forward(shards[1], [Chunk((1,), 0, (0,))])], 2)
    with pytest.raises(CollectiveMismatch, match="all-reduce of attention, layer 0: the ranks hold batches of 2, 1 rows"):
        together.run()


# -- experts -------------------------------------------------------------------------------------------------------------


@settings(max_examples=15, derandomize=True, deadline=None)
@given(st.lists(st.lists(st.lists(st.integers(0, 255), min_size=1, max_size=6), max_size=3), min_size=2, max_size=2))
def test_spread_experts_give_what_whole_ones_give(prompts: list[list[list[int]]]) -> None:
    """Two instances of two ranks, any batches, empty ones included."""
    instances = spread(EXPERTS, 2, 2)
    batches = [[Chunk(tuple(p), 0, (2 * i, 2 * i + 1)) for i, p in enumerate(mine)] for mine in prompts]
    forwards = [Forward(shard, batch) for shards, batch in zip(instances, batches) for shard in shards]
    logits = Group(forwards, 2).run()
    for place, mine in enumerate([prompts[0], prompts[0], prompts[1], prompts[1]]):
        assert logits[place].shape == (len(mine), TINY_EXPERTS.vocabulary)
        for row, prompt in zip(logits[place], mine):
            assert np.abs(log_softmax(row) - log_probabilities(EXPERTS, prompt)[-1]).max() < NEAR


def test_captured_routes_replay_the_pass_and_shifted_ones_do_not() -> None:
    tokens, shards = (256, 10, 20, 30, 40, 50), group(EXPERTS, 1)
    one = Forward(shards[0], [Chunk(tokens, 0, (0, 1), outputs=6)])
    (logits,) = Group([one], 1).run()
    routes = [layer.chosen for layer in one.routes]
    assert len(routes) == TINY_EXPERTS.layers and routes[0].shape == (6, 2)
    assert np.abs(log_probabilities(EXPERTS, tokens, routes) - log_softmax(logits)).max() < NEAR
    shifted = [np.roll(chosen, 1, axis=0) for chosen in routes]
    assert np.abs(log_probabilities(EXPERTS, tokens, shifted) - log_softmax(logits)).max() > 0.01


def test_experts_that_cannot_be_shared_evenly_are_refused() -> None:
    with pytest.raises(DefinitionError, match="4 experts, which 3 ranks cannot share"):
        EXPERTS.expert_shard(0, 1, 0, 3)
    with pytest.raises(DefinitionError, match="0 experts"):
        DENSE.expert_shard(0, 1, 0, 2)


@pytest.mark.parametrize("shards", [[DENSE.shard(r, 3) for r in range(3)], [EXPERTS.expert_shard(p % 2, 2, p, 4) for p in range(4)]])
def test_shards_are_views_and_cover_the_model(shards: Sequence[Weights]) -> None:
    whole = DENSE if shards[0].config is TINY else EXPERTS
    for shard in shards:
        assert all(np.shares_memory(array, whole[name]) for name, array in shard.arrays.items())
    cut = [name for name, array in shards[0].arrays.items() if name in whole.arrays and array.shape != whole[name].shape]
    assert all(sum(shard[name].size for shard in shards[: shards[0].ranks]) == whole[name].size for name in cut) and cut
    experts = [e for shard in shards if shard.placement for e in shard.placement.held[shard.place]]
    assert experts == list(range(4)) or whole is DENSE
    parts = [shard.vocabulary for shard in shards[: shards[0].ranks]]
    assert [p.start for p in parts] == [0, *(p.stop for p in parts[:-1])] and parts[-1].stop == whole.config.vocabulary


# -- bfloat16 ------------------------------------------------------------------------------------------------------------


@given(st.floats(width=32))
@settings(derandomize=True)
def test_a_bfloat16_is_the_nearest_number_of_eight_bits(number: float) -> None:
    x = np.array([number], np.float32)
    rounded = bfloat16(x)
    if not np.isfinite(x[0]):
        assert np.array_equal(rounded, x, equal_nan=True)
        return
    assert rounded.view(np.uint32)[0] & 0xFFFF == 0
    floor = (x.view(np.uint32) & 0xFFFF0000)[0]
    around = np.array([floor, floor + 0x10000], np.uint32).view(np.float32).astype(np.float64)
    if np.isfinite(around).all():
        assert abs(float(rounded[0]) - float(x[0])) == np.abs(around - float(x[0])).min()


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_bfloat16_engine_is_as_noisy_as_in_practice(ranks: int) -> None:
    """Weights and every operation rounded, along the exact model's own greedy text; an exact engine shows nothing."""
    prompt = [256, 72, 101, 108, 108, 111]
    text = [*prompt, *greedy(DENSE, prompt, 24)]
    exact, picked = log_probabilities(DENSE, text[:-1])[5:], np.array(text[6:])
    noise, rounded = {}, replace(DENSE, arrays={name: bfloat16(array) for name, array in DENSE.arrays.items()})
    for name, weights, narrow in (("exact", DENSE, lambda x: x), ("bfloat16", rounded, bfloat16)):
        shards = [Shard(weights.shard(r, ranks), KvCache(TINY, ranks, 8, BLOCK), narrow) for r in range(ranks)]
        logs = log_softmax(forward(shards, [Chunk(tuple(text[:-1]), 0, tuple(range(8)), outputs=24)]))
        noise[name] = float(k3(exact[np.arange(24), picked], logs[np.arange(24), picked]).mean())
    assert noise["exact"] < 1e-9
    assert 1e-7 < noise["bfloat16"] < 1e-2
