"""A model with experts in the disaggregated engine: cut, or spread over the ranks of each instance, its tokens are the reference's."""

from __future__ import annotations

import asyncio
import random
from contextlib import closing

import pytest

from engine.audit import audit
from engine.deployment import Deployment
from engine.disaggregated.lockstep import LockstepEngine
from engine.disaggregated.plant import Plant
from engine.disaggregated.service import Disaggregated
from engine.generation import Finish, Generation, Handle
from engine.model.config import TINY, TINY_EXPERTS
from engine.model.reference import greedy
from engine.model.weights import seeded
from protocol import DefinitionError

WEIGHTS = seeded(TINY_EXPERTS, 0)


def generations(count: int, seed: int) -> list[Generation]:
    rng = random.Random(seed)
    prompts = [tuple(rng.randrange(256) for _ in range(rng.randrange(1, 60))) for _ in range(count)]
    return [Generation(prompt, rng.randrange(1, 6)) for prompt in prompts]


@pytest.mark.parametrize("spread", [False, True])
def test_the_tokens_are_those_of_the_monolithic_pass(spread: bool) -> None:
    engine = LockstepEngine(WEIGHTS, Plant(TINY_EXPERTS, 2, 2, sequences=3, context_tokens=128, spread_experts=spread), seed=2)
    wanted = {engine.submit(generation): generation for generation in generations(6, seed=3)}
    engine.run(20_000)
    for key, generation in wanted.items():
        assert engine.answers[key].finish is Finish.LENGTH
        assert [token.id for token in engine.answers[key].tokens] == greedy(WEIGHTS, generation.prompt, generation.max_tokens)
    assert engine.leaks() == []


def test_a_rank_has_whole_experts_of_its_own() -> None:
    plant = Plant(TINY_EXPERTS, 2, spread_experts=True)
    parts = [plant.part(WEIGHTS, rank) for rank in range(2)]
    assert [part.placement and part.placement.held[part.place] for part in parts] == [(0, 1), (2, 3)]


async def read(handle: Handle) -> Finish | None:
    async for _ in handle:
        pass
    return handle.finish


@pytest.mark.live
def test_processes_exchange_tokens_with_the_experts_of_the_others() -> None:
    service = Disaggregated(Plant(TINY_EXPERTS, 2, sequences=3, context_tokens=128, spread_experts=True), keeps_records=True)

    async def run() -> list[Finish | None]:
        return list(await asyncio.gather(*(read(service.submit(generation)) for generation in generations(6, seed=5))))

    with closing(service):
        assert set(asyncio.run(run())) == {Finish.LENGTH}
        found = audit(WEIGHTS, service.records.values(), service.leaks())
    assert (found.mismatched, found.answered_twice, found.leaks) == (0, 0, ()) and found.k3_kl_mean < 1e-9


@pytest.mark.parametrize(
    ("deployment", "message"),
    [
        (Deployment("tiny-experts", tensor_parallel=2, expert_parallel=4), "give 1, or as many as --tp"),
        (Deployment("tiny", tensor_parallel=2, expert_parallel=2), f"model {TINY.name} has 0 experts, which 2 ranks cannot share evenly"),
        (Deployment("tiny-experts", tensor_parallel=3, expert_parallel=3), "4 experts, which 3 ranks cannot share evenly; spread them over 1, 2, 4"),
    ],
)
def test_what_cannot_be_spread_is_refused(deployment: Deployment, message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        deployment.start()
