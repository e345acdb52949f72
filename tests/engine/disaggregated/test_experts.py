"""A model with experts in the disaggregated engine: cut, or spread over the ranks of each instance, its tokens are the reference's."""

from __future__ import annotations

import asyncio
import random
from contextlib import closing
from pathlib import Path

import pytest

from checker.conform import conform
from engine.audit import audit
from engine.deployment import Deployment
from engine.disaggregated.lockstep import LockstepEngine
from engine.disaggregated.plant import Plant
from engine.disaggregated.service import Disaggregated
from engine.generation import Finish, Generation
from engine.model.config import TINY, TINY_EXPERTS
from engine.model.reference import greedy
from engine.model.weight_file import save
from engine.model.weights import seeded
from protocol import DefinitionError

from .clients import read

WEIGHTS = seeded(TINY_EXPERTS, 0)


def generations(count: int, seed: int, tokens: range = range(1, 6)) -> list[Generation]:
    rng = random.Random(seed)
    prompts = [tuple(rng.randrange(256) for _ in range(rng.randrange(1, 60))) for _ in range(count)]
    return [Generation(prompt, rng.choice(tokens)) for prompt in prompts]


@pytest.mark.parametrize(("parallel", "prefills"), [(1, 1), (2, 1), (4, 1), (4, 2)])
def test_the_tokens_are_those_of_the_monolithic_pass(parallel: int, prefills: int) -> None:
    """Every expert cut, whole ones on the ranks of each instance, or on the ranks of all D's together, behind one P or two."""
    plant = Plant(TINY_EXPERTS, 2, 2, sequences=4, context_tokens=128, expert_parallel=parallel, prefills=prefills)
    engine = LockstepEngine(WEIGHTS, plant, seed=2)
    wanted = {engine.submit(generation): generation for generation in generations(6, seed=3)}
    engine.run(20_000)
    for key, generation in wanted.items():
        assert engine.records[key].finish is Finish.LENGTH
        assert [token.id for token in engine.records[key].tokens] == greedy(WEIGHTS, generation.prompt, generation.max_tokens)
    assert engine.leaks() == []


def test_a_rank_has_whole_experts_of_its_own() -> None:
    plant = Plant(TINY_EXPERTS, 2, expert_parallel=2)
    parts = [plant.part(WEIGHTS, 0, rank) for rank in range(2)]
    assert [part.placement and part.placement.held[part.place] for part in parts] == [(0, 1), (2, 3)]


def test_instances_that_share_the_experts_have_each_its_own() -> None:
    plant = Plant(TINY_EXPERTS, 2, 2, expert_parallel=4)
    parts = [plant.part(WEIGHTS, instance, rank) for instance in range(3) for rank in range(2)]
    assert [part.placement and part.placement.held[part.place] for part in parts] == [(0, 1), (2, 3), (0,), (1,), (2,), (3,)]


@pytest.mark.parametrize(("decodes", "parallel"), [(2, 4), (1, 2)])
def test_experts_move_while_requests_decode_and_no_token_changes(decodes: int, parallel: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A placement is thought of after a few tokens, which are never evenly spread."""
    monkeypatch.setattr("engine.disaggregated.balancing.INTERVAL_VISITS", 64)
    plant = Plant(TINY_EXPERTS, 2, decodes, sequences=3, context_tokens=128, expert_parallel=parallel, redundant_experts=1)
    engine = LockstepEngine(WEIGHTS, plant, seed=2)
    for generation in generations(6, seed=3, tokens=range(8, 16)):
        engine.submit(generation)
    engine.run(80_000)
    found = audit(WEIGHTS, engine.records.values(), engine.leaks())
    assert found.healthy and engine.ledger.rebalances and all(move.after < move.before for move in engine.ledger.rebalances)


def test_new_weights_come_into_force_on_all_instances_that_share_the_experts(tmp_path: Path) -> None:
    """Beside an instance that loads them another may be asked for an empty forward, or load them itself."""
    save(new := seeded(TINY_EXPERTS, 1), tmp_path / "new.safetensors")
    engine = LockstepEngine(WEIGHTS, Plant(TINY_EXPERTS, 2, 2, sequences=1, context_tokens=96, expert_parallel=4), seed=4)
    before = [engine.submit(generation) for generation in generations(3, seed=1)]
    engine.run(40_000)
    engine.update_weights(tmp_path / "new.safetensors")
    behind = [engine.submit(generation) for generation in generations(3, seed=2)]
    engine.run(80_000)
    for weights, keys in ((WEIGHTS, before), (new, behind)):
        for key in keys:
            wanted = engine.records[key].generation
            assert [token.id for token in engine.records[key].tokens] == greedy(weights, wanted.prompt, wanted.max_tokens)


@pytest.mark.live
def test_processes_of_two_instances_share_the_experts_and_their_log_is_a_behaviour(tmp_path: Path) -> None:
    """More requests at once than one D has room for, so both decode; then one alone, beside which the other D comes along. All meet to balance."""
    plant = Plant(TINY_EXPERTS, 2, 2, sequences=3, context_tokens=128, expert_parallel=4, redundant_experts=1)
    service = Disaggregated(plant, tmp_path / "log", keeps_records=True)

    async def run(count: int) -> list[Finish | None]:
        return list(await asyncio.gather(*(read(service.submit(generation)) for generation in generations(count, seed=5))))

    with closing(service):
        assert set(asyncio.run(run(8))) == set(asyncio.run(run(1))) == {Finish.LENGTH}
        found = audit(WEIGHTS, service.records.values(), service.leaks())
        service.stop()
    assert (found.mismatched, found.answered_twice, found.leaks) == (0, 0, ()) and found.k3_kl_mean < 1e-9
    judged = conform(tmp_path / "log")
    assert judged.conforms, judged.reason
    assert '"event": "leave_balance"' in (tmp_path / "log").read_text()


@pytest.mark.live
def test_processes_exchange_tokens_with_the_experts_of_the_others() -> None:
    service = Disaggregated(Plant(TINY_EXPERTS, 2, sequences=3, context_tokens=128, expert_parallel=2), keeps_records=True)

    async def run() -> list[Finish | None]:
        return list(await asyncio.gather(*(read(service.submit(generation)) for generation in generations(6, seed=5))))

    with closing(service):
        assert set(asyncio.run(run())) == {Finish.LENGTH}
        found = audit(WEIGHTS, service.records.values(), service.leaks())
    assert (found.mismatched, found.answered_twice, found.leaks) == (0, 0, ()) and found.k3_kl_mean < 1e-9


@pytest.mark.parametrize(
    ("deployment", "message"),
    [
        (Deployment("tiny-experts", decode=3, tensor_parallel=2, expert_parallel=4), "--ep 4: experts are spread .* give one of 1, 2, 6"),
        (Deployment("tiny-experts", decode=3, tensor_parallel=2, expert_parallel=6), "4 experts, which 6 ranks cannot share evenly"),
        (Deployment("tiny-experts", decode=2, tensor_parallel=2, expert_parallel=2, redundant_experts=0), "--eplb: .* give --ep 4"),
        (Deployment("tiny-experts", redundant_experts=0), "--eplb: .* there is one; give --tp or --decode 2"),
        (Deployment("tiny-experts", decode=2, tensor_parallel=2, expert_parallel=4, redundant_experts=4), "redundant=4: give 0 to 3"),
        (Deployment("tiny-experts", prefill=0, redundant_experts=0), "--eplb: the monolithic engine moves no experts"),
        (Deployment("tiny", tensor_parallel=2, expert_parallel=2), f"model {TINY.name} has 0 experts, which 2 ranks cannot share evenly"),
        (Deployment("tiny-experts", tensor_parallel=3, expert_parallel=3), "4 experts, which 3 ranks cannot share evenly; spread them over 1, 2, 4"),
    ],
)
def test_what_cannot_be_spread_is_refused(deployment: Deployment, message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        deployment.start()
