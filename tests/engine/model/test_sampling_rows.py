"""The mirror of top_p: what a stale one does to the distribution that is drawn from, along the paths of the model."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checker import check
from engine.errors import EngineError
from engine.model.config import TINY
from engine.model.kv_cache import KvCache
from engine.model.reference import log_softmax
from engine.model.sampling import Sampling, nucleus
from engine.model.sampling_rows import SamplingRows, total_variation
from engine.model.shard import Chunk, Shard, forward
from engine.model.weights import seeded
from protocol import DefinitionError
from protocol.machines.buffers.sampling_mirror import MIRRORS, build

ROWS = 3
BELOW, ONE = Sampling(1.0, 0.5, seed=1), Sampling(1.0, 1.0, seed=2)


def logits(rows: int) -> np.ndarray:
    """Of the tiny model after one token a row, spread so that no token is sure."""
    shard = Shard(seeded(TINY, 7), KvCache(TINY, 1, rows, 4))
    out = forward([shard], [Chunk((65 + row,), 0, (row,)) for row in range(rows)])
    return (out / out.std()).astype(np.float32)


LOGITS = logits(ROWS)
moves = st.lists(st.tuples(st.sampled_from(["insert", "insert", "finish", "swap"]), st.integers(0, 2), st.integers(0, 2), st.booleans()), max_size=14)


def worst_distance(rows: SamplingRows, occupied: set[int]) -> float:
    """The largest distance between what a row draws from and what its request asked for."""
    return max((total_variation(rows.drawn_from(row, LOGITS[row]), rows.asked_for(row, LOGITS[row])) for row in occupied), default=0.0)


def act(rows: SamplingRows, occupied: set[int], move: tuple[str, int, int, bool]) -> None:
    """One move, if it can be made."""
    what, row, other, below = move
    if what == "insert" and row not in occupied:
        rows.insert(row, BELOW if below else ONE)
        occupied.add(row)
    elif what == "finish" and row in occupied:
        rows.finish(row)
        occupied.remove(row)
    elif what == "swap" and row != other:
        rows.swap(row, other)
        taken = {row: other, other: row}
        occupied.symmetric_difference_update({taken.get(r, r) for r in occupied} ^ occupied)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(moves)
def test_a_kept_mirror_changes_no_distribution(path: list[tuple[str, int, int, bool]]) -> None:
    rows, occupied = SamplingRows(ROWS), set[int]()
    for move in path:
        act(rows, occupied, move)
        assert worst_distance(rows, occupied) == 0
        mirrored = [rows.top_p_list[r] for r in range(rows.batch_rows)]
        assert all(top_p == 1.0 for r, top_p in enumerate(mirrored) if r not in occupied)


@pytest.mark.parametrize(("variant", "prop"), [("unswapped", "no_top_p_ignored"), ("stale", "no_fast_path_missed")])
def test_the_models_shortest_path_does_its_damage(variant: str, prop: str) -> None:
    """(a) top_p is ignored: another distribution; (b) the fast path is missed: time lost, and the distribution is right."""
    path = check(build(variant, rows=2)).findings[prop].path
    assert path is not None
    rows, occupied = SamplingRows(2, mirror=MIRRORS[variant]), set[int]()
    for instance in path:
        event, values = instance.action.row.event, dict(zip((p.name for p in instance.action.row.choose), instance.values))
        if event != "sample":
            move = (event.removesuffix("_states"), int(values["row"]), int(values.get("other", 0)), bool(values.get("below", False)))
            act(rows, occupied, move)
    distance = worst_distance(rows, occupied)
    if variant == "unswapped":
        outside = max(1 - p[nucleus(p, 0.5) > 0].sum() for p in np.exp(log_softmax(LOGITS[sorted(occupied)])))
        assert rows.takes_fast_path and 0.4 < distance < 0.5
        assert distance == pytest.approx(outside, abs=1e-5), "what is drawn although the request left it out"
    else:
        assert not rows.takes_fast_path and distance == 0 and all(rows.asked_for(r, LOGITS[r]).all() for r in occupied)


def test_a_short_list_has_no_entry_for_the_last_tokens() -> None:
    rows = SamplingRows(2, tokens_per_row=2, mirror=MIRRORS["short"])
    rows.insert(1, BELOW)
    with pytest.raises(EngineError, match="top_p_list has 2 entries for 4 tokens"):
        rows.drawn_from(1, LOGITS[1])
    long = SamplingRows(2, tokens_per_row=2)
    long.insert(1, BELOW)
    assert long.top_p_list == [1.0, 1.0, 0.5, 0.5] and not long.takes_fast_path


def test_distances_of_distributions() -> None:
    assert total_variation(np.array([0.5, 0.5]), np.array([0.5, 0.5])) == 0
    assert total_variation(np.array([1.0, 0.0]), np.array([0.0, 1.0])) == 1
    assert np.isclose(total_variation(np.array([0.6, 0.3, 0.1]), np.array([0.6 / 0.9, 0.3 / 0.9, 0])), 0.1)


def test_rows_are_taken_once() -> None:
    rows = SamplingRows(1)
    rows.insert(0, ONE)
    with pytest.raises(DefinitionError, match="row 0 is taken"):
        rows.insert(0, ONE)
    rows.finish(0)
    with pytest.raises(DefinitionError, match="row 0 has no request"):
        rows.drawn_from(0, LOGITS[0])
