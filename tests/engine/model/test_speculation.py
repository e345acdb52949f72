"""Drafts, captured buffers and routing files: each as it should be, and each version of the models that is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import EngineError
from engine.model.config import TINY, TINY_EXPERTS
from engine.model.group import Group
from engine.model.kv_cache import KvCache
from engine.model.proposer import DraftRows, Insertion, NaiveProposer, NgramProposer, Proposer, accepted
from engine.model.reference import greedy, log_probabilities
from engine.model.routing import routes_of
from engine.model.shard import Chunk, Forward, Rows, Shard, forward
from engine.model.step_buffers import CapturedStep, IllegalAccess, StepBuffers
from engine.model.weights import Weights, seeded
from protocol.machines.buffers.graph_buffers import RECREATIONS

WEIGHTS, REPEATING = seeded(TINY, 7), seeded(replace(TINY, tied=True), 7)
TABLE = tuple(range(12))


def shard(weights: Weights = WEIGHTS) -> Shard:
    return Shard(weights, KvCache(TINY, 1, 24, 4))


def decode(one: Shard, rows: DraftRows, prompt: list[int], first: int, count: int, proposer: Proposer) -> tuple[list[int], int]:
    """Greedy tokens from the first on, through row 0, and how many steps it took."""
    tokens, steps = [first], 0
    rows.insert(0, first, proposer.propose([*prompt, first]))
    while len(tokens) < count:
        chunk = rows.chunk(0, len(prompt) + len(tokens) - 1, TABLE)
        likeliest = [int(token) for token in forward([one], [chunk]).argmax(axis=-1)]
        tokens += accepted(chunk.tokens[1:], likeliest)
        rows.place(0, tokens[-1], proposer.propose([*prompt, *tokens]))
        steps += 1
    return tokens[:count], steps


# -- drafts --------------------------------------------------------------------------------------------------------------


class Liar:
    """Proposes whatever it was given, right or wrong."""

    def __init__(self, drafts: list[list[int]]):
        self.most, self._drafts = 3, drafts

    def propose(self, tokens: object) -> tuple[int, ...]:
        return tuple(self._drafts.pop()) if self._drafts else ()


@settings(max_examples=20, derandomize=True, deadline=None)
@given(st.lists(st.integers(0, 255), min_size=1, max_size=8), st.lists(st.lists(st.integers(0, 263), max_size=3), max_size=6))
def test_whatever_is_proposed_the_greedy_answer_is_the_same(prompt: list[int], drafts: list[list[int]]) -> None:
    expected, one = greedy(WEIGHTS, prompt, 8), shard()
    forward([one], [Chunk(tuple(prompt), 0, TABLE)])
    found, _ = decode(one, DraftRows(1, 3), prompt, expected[0], 8, Liar([*drafts, expected[1:4]]))
    assert found == expected


@pytest.mark.parametrize(("proposer", "fewer"), [(NaiveProposer(), False), (NgramProposer(), True)])
def test_right_drafts_save_steps_and_no_drafts_take_one_a_token(proposer: Proposer, fewer: bool) -> None:
    """Seeded, tied weights repeat themselves: a text that n-grams foresee."""
    prompt, one = [256, 72, 101, 72, 101], shard(REPEATING)
    expected = greedy(REPEATING, prompt, 12)
    forward([one], [Chunk(tuple(prompt), 0, TABLE)])
    found, steps = decode(one, DraftRows(1, proposer.most), prompt, expected[0], 12, proposer)
    assert found == expected
    assert steps < 8 if fewer else steps == 11


def test_an_ngram_proposes_what_followed_last() -> None:
    assert NgramProposer(2, 3).propose([1, 2, 3, 1, 2, 4, 5, 1, 2]) == (4, 5, 1)
    assert NgramProposer(2, 3).propose([1, 2, 3]) == NgramProposer(2, 3).propose([1]) == ()


def test_a_row_left_as_it_was_decodes_with_the_request_before() -> None:
    """Q5: with NaiveProposer the copy of nothing leaves the last token of the row's last request, and one token too many."""
    prompt, rows, one = [256, 10, 20], DraftRows(1, 1, Insertion.LEFT_AS_IT_WAS), shard()
    expected = greedy(WEIGHTS, prompt, 6)
    forward([one], [Chunk(tuple(prompt), 0, TABLE)])
    rows.place(0, 199, (198,))
    rows.insert(0, expected[0])
    chunk = rows.chunk(0, len(prompt), TABLE)
    assert chunk.tokens == (199, 198)
    rows.place(0, 199, (198,))
    wrong, _ = decode(one, rows, prompt, expected[0], 6, NaiveProposer())
    assert wrong != expected
    with pytest.raises(EngineError, match="shape error"):
        DraftRows(1, 1, Insertion.RAISES).insert(0, expected[0])


# -- captured buffers ----------------------------------------------------------------------------------------------------


def batch(*lengths: int) -> list[Chunk]:
    return [Chunk(tuple(range(65, 65 + n)), 0, (2 * k, 2 * k + 1)) for k, n in enumerate(lengths)]


@settings(max_examples=20, derandomize=True, deadline=None)
@given(st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=3), min_size=1, max_size=4))
def test_a_replay_computes_what_the_step_itself_does(steps: list[list[int]]) -> None:
    captured, direct, replayed = CapturedStep(StepBuffers(12), [4, 8, 12]), shard(), shard()
    for lengths in steps:
        assert captured.replay(batch(*lengths)) == Rows(batch(*lengths))
        assert np.array_equal(forward([direct], batch(*lengths)), forward([replayed], captured.replay(batch(*lengths))))


@pytest.mark.parametrize(("variant", "faults", "stale"), [("cloned", 1, 3), ("cloned_zeroed", 1, 0), ("full_size", 0, 3), ("repaired", 0, 0)])
def test_buffers_created_again_from_the_targets_present_ones(variant: str, faults: int, stale: int) -> None:
    """A short step, a clear, a capture, a long step: error 700 in the published way; every version as in the model."""
    target = StepBuffers(12)
    target.reshape(batch(2, 1))
    captured = CapturedStep(target.recreated(RECREATIONS[variant], 12), [4, 8, 12])
    assert captured.stale_rows == stale
    if faults:
        with pytest.raises(IllegalAccess, match=r"error 700, .* 8 tokens writes into buffers of 3"):
            captured.replay(batch(4, 3))
    else:
        assert captured.replay(batch(4, 3)) == Rows(batch(4, 3))


def test_a_step_larger_than_every_graph_is_refused() -> None:
    with pytest.raises(IllegalAccess, match=r"captured are \[2, 4\]"):
        CapturedStep(StepBuffers(8), [4, 2]).replay(batch(4, 1))


# -- routes --------------------------------------------------------------------------------------------------------------


def captured_routes() -> tuple[tuple[int, ...], list[np.ndarray]]:
    """A prompt's tokens and the experts that each visited, layer by layer, from a batch of two."""
    tokens = (256, 10, 20, 30, 40)
    one = Forward(Shard(seeded(TINY_EXPERTS, 7), KvCache(TINY_EXPERTS, 1, 4, 4)), rows := Rows([Chunk((9, 8), 0, (0,)), Chunk(tokens, 0, (1, 2))]))
    Group([one], 1).run()
    return tokens, routes_of(rows, one.routes)[1]


def test_ranks_that_share_the_rows_know_the_routes_of_their_own() -> None:
    weights, rows = seeded(TINY_EXPERTS, 7), Rows([Chunk((9, 8), 0, (0,)), Chunk((256, 10, 20), 0, (1,))])
    whole = Forward(Shard(weights, KvCache(TINY_EXPERTS, 1, 4, 4)), rows)
    spread = [Forward(Shard(weights.expert_shard(r, 2, r, 2), KvCache(TINY_EXPERTS, 2, 4, 4)), rows) for r in range(2)]
    Group([whole], 1).run()
    Group(spread, 2).run()
    for rank, part in enumerate(spread):
        for one, own in zip(whole.routes, part.routes, strict=True):
            assert np.array_equal(one.chosen[rank::2], own.chosen) and np.allclose(one.share[rank::2], own.share, atol=1e-5)


def test_routes_that_are_replayed_give_the_pass_again() -> None:
    tokens, routes = captured_routes()
    weights = seeded(TINY_EXPERTS, 7)
    assert np.abs(log_probabilities(weights, tokens, routes) - log_probabilities(weights, tokens)).max() < 1e-4
