"""The data plane against the monolithic pass: any cut into ranks, chunks and batches gives the same tokens and log-probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.model.config import TINY, TINY_EXPERTS, ModelConfig
from engine.model.kv_cache import BlockPool, KvCache
from engine.model.layers import Rotation, attend, rms_norm
from engine.model.reference import greedy, k3, log_probabilities, log_softmax
from engine.model.sampling import Sampling, choose, nucleus
from engine.model.shard import Chunk, Shard, forward
from engine.model.weights import Weights, seeded
from protocol import DefinitionError

BLOCK = 4
DENSE, EXPERTS = seeded(TINY, 7), seeded(TINY_EXPERTS, 7)


def group(weights: Weights, ranks: int, blocks: int = 64) -> list[Shard]:
    """The shards of a tensor-parallel group, each with its cache."""
    return [Shard(weights.shard(r, ranks), KvCache(weights.config, ranks, blocks, BLOCK)) for r in range(ranks)]


def test_tiny_weights_are_small_and_seeded() -> None:
    assert sum(array.nbytes for array in DENSE.arrays.values()) < 2_000_000
    assert np.array_equal(seeded(TINY, 7)["embedding"], DENSE["embedding"])
    assert not np.array_equal(seeded(TINY, 8)["embedding"], DENSE["embedding"])


@pytest.mark.parametrize("weights", [DENSE, EXPERTS], ids=["dense", "experts"])
@settings(max_examples=12, derandomize=True, deadline=None)
@given(st.data())
def test_any_ranks_and_chunks_agree_with_the_whole(weights: Weights, data: st.DataObject) -> None:
    ranks = data.draw(st.sampled_from([1, 2, 3, 6]))
    tokens = data.draw(st.lists(st.integers(0, 255), min_size=2, max_size=24))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(tokens) - 1), max_size=4)))
    table = tuple(data.draw(st.permutations(range(8))))
    shards, expected = group(weights, ranks), log_probabilities(weights, tokens)
    for start, stop in zip([0, *cuts], [*cuts, len(tokens)]):
        logits = forward(shards, [Chunk(tuple(tokens[start:stop]), start, table)])
        assert np.abs(log_softmax(logits[0]) - expected[stop - 1]).max() < 1e-4


def test_sequences_in_one_batch_do_not_see_each_other() -> None:
    shards = group(DENSE, 2)
    first, second = (5, 6, 7, 8, 9), (200, 3)
    logits = forward(shards, [Chunk(first, 0, (0, 1)), Chunk(second, 0, (3,))])
    for row, tokens in zip(logits, (first, second)):
        assert np.abs(log_softmax(row) - log_probabilities(DENSE, tokens)[-1]).max() < 1e-4


def test_decoding_from_pages_repeats_the_greedy_tokens() -> None:
    prompt = [256, 72, 105, 33]
    expected, shards, tokens = greedy(DENSE, prompt, 12), group(DENSE, 3), list(prompt)
    logits = forward(shards, [Chunk(tuple(prompt), 0, (9, 2, 5, 0))])
    for _ in range(12):
        tokens.append(choose(logits[0], Sampling(), 0)[0])
        logits = forward(shards, [Chunk((tokens[-1],), len(tokens) - 1, (9, 2, 5, 0))])
    assert tokens[len(prompt) :] == expected


def test_blocks_copied_to_another_cache_decode_alike() -> None:
    prompt = (256, 1, 2, 3, 4, 5)
    here, there = group(DENSE, 2), group(DENSE, 2)
    forward(here, [Chunk(prompt, 0, (4, 6))])
    for source, target in zip(here, there):
        for layer in range(TINY.layers):
            target.cache.copy_blocks(layer, source.cache, (4, 6), (0, 1))
    logits = [forward(shards, [Chunk((9,), 6, table)]) for shards, table in ((here, (4, 6)), (there, (0, 1)))]
    assert np.array_equal(*logits)


def test_a_rotation_is_relative() -> None:
    rng = np.random.default_rng(3)
    q, k = rng.standard_normal((2, 1, 1, 8)).astype(np.float32)
    dots = [np.sum(Rotation.at(np.array([p + 5]), 8, 1e4)(q) * Rotation.at(np.array([p]), 8, 1e4)(k)) for p in (0, 11, 400)]
    assert np.allclose(dots, dots[0], atol=1e-4)


def test_attention_of_one_head_is_the_textbook_sum() -> None:
    rng = np.random.default_rng(5)
    q, k, v = (rng.standard_normal((6, 1, 4)).astype(np.float32) for _ in range(3))
    out = attend(q[4:], k, v, 4)
    for row, position in zip(out, (4, 5)):
        scores = np.exp(k[: position + 1, 0] @ q[position, 0] / 2)
        assert np.allclose(row, (scores / scores.sum()) @ v[: position + 1, 0], atol=1e-5)


def test_a_norm_has_unit_mean_square() -> None:
    x = np.arange(1, 9, dtype=np.float32)[None]
    assert np.isclose(np.mean(rms_norm(x, np.ones(8, np.float32), 0.0) ** 2), 1.0)


@settings(max_examples=50, derandomize=True, deadline=None)
@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=12), st.floats(0.05, 1))
def test_the_nucleus_is_the_smallest_that_reaches_top_p(parts: list[float], top_p: float) -> None:
    p = np.array(parts) / sum(parts)
    kept = nucleus(p, top_p)
    members = kept > 0
    assert np.isclose(kept.sum(), 1) and p[members].sum() >= top_p - 1e-12
    assert p[members].sum() - p[members].min() < top_p or members.sum() == 1
    assert members.all() or p[members].min() >= p[~members].max()


def test_draws_follow_the_distribution_and_their_seed() -> None:
    logits = np.log(np.array([0.5, 0.3, 0.15, 0.05], np.float32))
    drawn = [choose(logits, Sampling(1.0, 0.9, seed=4), i)[0] for i in range(4000)]
    shares = np.bincount(drawn, minlength=4) / 4000
    assert np.allclose(shares, nucleus(np.array([0.5, 0.3, 0.15, 0.05]), 0.9), atol=0.03)
    assert drawn[:50] == [choose(logits, Sampling(1.0, 0.9, seed=4), i)[0] for i in range(50)]


@pytest.mark.parametrize("temperature", [1e-5, 9e-6, 1e-30, 5e-324])
@pytest.mark.filterwarnings("error")
def test_a_temperature_near_zero_is_greedy(temperature: float) -> None:
    logits = np.array([-800.0, 3.0, 900.0, 2.0], np.float32)
    assert {choose(logits, Sampling(temperature, 0.9), i)[0] for i in range(20)} == {2}


def test_k3_is_zero_where_both_agree_and_positive_elsewhere() -> None:
    logs = np.array([-1.0, -2.0])
    assert np.array_equal(k3(logs, logs), np.zeros(2))
    assert (k3(logs, logs + np.array([0.1, -0.1])) > 0).all()


def test_a_pool_refuses_a_double_free_and_another_owners_block() -> None:
    pool = BlockPool(4)
    mine = pool.take(3, "a")
    assert (mine, pool.free, pool.held_by("a")) == ([0, 1, 2], 1, [0, 1, 2])
    with pytest.raises(DefinitionError, match="belongs to a"):
        pool.give_back([1], "b")
    pool.give_back(mine, "a")
    with pytest.raises(DefinitionError, match="belongs to nobody"):
        pool.give_back([1], "a")
    with pytest.raises(DefinitionError, match="4 are free"):
        pool.take(5, "c")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: DENSE.shard(0, 4), "choose one of 1, 2, 3, 6"),
        (lambda: ModelConfig("odd", 8, 8, 1, 3, 2, 4, 8), "no multiple"),
        (lambda: Sampling(top_p=0), "top_p=0"),
        (lambda: Sampling(temperature=float("nan")), "temperature=nan"),
    ],
)
def test_wrong_shapes_and_numbers_are_refused(make: object, said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        make()  # type: ignore[operator]
