"""Routing replay (R3): what is stored are the routes of the monolithic pass, in files that are whole or not there."""

from __future__ import annotations

import asyncio
import random
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.audit import Record
from engine.disaggregated.lockstep import LockstepEngine
from engine.disaggregated.plant import Plant
from engine.disaggregated.service import Disaggregated
from engine.generation import Finish, Generation
from engine.model.config import TINY, TINY_EXPERTS
from engine.model.layers import Integers
from engine.model.reference import greedy, log_probabilities
from engine.model.sampling import Sampling
from engine.model.weights import Weights, seeded
from engine.routing.reader import RoutingReader
from engine.routing.store import RoutingStore
from protocol import DefinitionError

from .clients import read

WEIGHTS = seeded(TINY_EXPERTS, 0)
FLAT = 0.15
"""Makes a tied model, which would always repeat its last token, repeat it often: drafts are proposed, and not all accepted."""


def generations(count: int, seed: int, longest: int = 60) -> list[Generation]:
    rng = random.Random(seed)
    prompts = [tuple(rng.randrange(256) for _ in range(rng.randrange(1, longest))) for _ in range(count)]
    return [Generation(prompt, rng.randrange(1, 6), rollout=f"rollout-{number}") for number, prompt in enumerate(prompts)]


def stored(folder: Path, rollout: str) -> list[Integers]:
    return RoutingReader(folder).read(rollout, TINY_EXPERTS.layers)


def check_routes(record: Record, routes: list[Integers], weights: Weights = WEIGHTS) -> None:
    """A pass that replays them has the very log-probabilities of one that chooses by itself, and another route has others."""
    wanted = record.generation
    tokens = [*wanted.prompt, *(token.id for token in record.tokens)][:-1]
    if wanted.sampling == Sampling():
        assert [token.id for token in record.tokens] == greedy(weights, wanted.prompt, wanted.max_tokens)
    assert [layer.shape for layer in routes] == [(len(tokens), TINY_EXPERTS.experts_per_token)] * TINY_EXPERTS.layers
    own = log_probabilities(weights, tokens)
    assert np.array_equal(log_probabilities(weights, tokens, routes), own)
    others = [*routes[:-1], (routes[-1] + 1) % TINY_EXPERTS.experts]
    assert not np.array_equal(log_probabilities(weights, tokens, others), own)


@pytest.mark.parametrize(("ranks", "parallel"), [(1, 1), (2, 1), (2, 2), (2, 4)])
def test_the_routes_are_those_of_the_monolithic_pass(ranks: int, parallel: int, tmp_path: Path) -> None:
    plant = Plant(TINY_EXPERTS, ranks, 2, sequences=2, context_tokens=160, expert_parallel=parallel, routing=str(tmp_path))
    engine = LockstepEngine(WEIGHTS, plant, seed=ranks)
    keys = [engine.submit(generation) for generation in generations(5, seed=ranks, longest=140)]
    engine.run(80_000)
    for key in keys:
        check_routes(engine.records[key], stored(tmp_path, engine.records[key].generation.rollout))


@pytest.mark.parametrize("spread", [False, True])
def test_drafts_that_are_rejected_leave_no_route(spread: bool, tmp_path: Path) -> None:
    sure = seeded(replace(TINY_EXPERTS, tied=True), 1)
    weights = replace(sure, arrays={**sure.arrays, "norm": sure["norm"] * np.float32(FLAT)})
    plant = Plant(weights.config, 2, sequences=3, context_tokens=96, expert_parallel=2 if spread else 1, drafts=3, routing=str(tmp_path))
    engine = LockstepEngine(weights, plant)
    keys = [engine.submit(Generation(g.prompt, 12, Sampling(1.0, seed=5), rollout=g.rollout)) for g in generations(3, seed=8)]
    engine.run(40_000)
    assert 0 < engine.ledger.drafts.accepted < engine.ledger.drafts.proposed
    for key in keys:
        check_routes(engine.records[key], stored(tmp_path, engine.records[key].generation.rollout), weights)


def test_a_request_that_is_given_up_leaves_no_file_and_the_next_one_its_own(tmp_path: Path) -> None:
    engine = LockstepEngine(WEIGHTS, Plant(TINY_EXPERTS, sequences=1, context_tokens=96, routing=str(tmp_path)))
    doomed, kept = (Generation(g.prompt, 20, rollout=g.rollout) for g in generations(2, seed=3))
    first = engine.submit(doomed)
    while not engine.records[first].tokens:
        engine.step(engine.ensemble.fired + 1)
    engine.abort(first)
    second = engine.submit(kept)
    engine.run(40_000)
    assert engine.records[first].ends == [Finish.ABORT] and not (tmp_path / doomed.rollout).exists()
    check_routes(engine.records[second], stored(tmp_path, kept.rollout))


def test_a_file_replaces_what_an_earlier_run_has_left_and_is_not_seen_before_it_is_whole(tmp_path: Path) -> None:
    store, wanted, path = RoutingStore(tmp_path), np.arange(8).reshape(4, 2), tmp_path / "again" / "layer_0.npy"
    store.put("again", [np.zeros((3, 2), np.int64)])
    assert path.exists()
    assert [path.exists() for _ in store.rows("again", [wanted])] == [False] * 8 + [True]
    assert np.array_equal(RoutingReader(tmp_path).read("again", 1)[0], wanted)
    assert sorted(file.name for file in path.parent.iterdir()) == ["layer_0.npy"]


def test_a_disk_that_takes_nothing_costs_the_routes_and_no_answer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_bytes(b"")
    engine = LockstepEngine(WEIGHTS, Plant(TINY_EXPERTS, sequences=1, context_tokens=96, routing=str(tmp_path / "file")))
    key = engine.submit(generations(1, seed=4)[0])
    engine.run(40_000)
    assert engine.records[key].ends == [Finish.LENGTH] and "cannot be written" in caplog.text


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", " "])
def test_a_rollout_is_a_plain_name(name: str) -> None:
    with pytest.raises(DefinitionError, match="give letters, digits"):
        Generation((1,), 1, rollout=name)


def test_a_model_without_experts_has_no_routes() -> None:
    with pytest.raises(DefinitionError, match="model tiny has no experts, hence no routes to store in somewhere"):
        Plant(TINY, routing="somewhere")


@pytest.mark.live
def test_processes_store_them_before_the_client_hears_of_the_end(tmp_path: Path) -> None:
    plant = Plant(TINY_EXPERTS, 2, sequences=3, context_tokens=128, expert_parallel=2, routing=str(tmp_path))
    service = Disaggregated(plant, keeps_records=True)

    async def run() -> list[bool]:
        async def one(generation: Generation) -> bool:
            await read(service.submit(generation))
            return len(list((tmp_path / generation.rollout).iterdir())) == TINY_EXPERTS.layers

        return list(await asyncio.gather(*map(one, generations(4, seed=5))))

    with closing(service):
        assert all(asyncio.run(run()))
        for record in service.records.values():
            check_routes(record, stored(tmp_path, record.generation.rollout))
