"""The disaggregated engine in lockstep: its tokens are those of the monolithic pass, and nothing is left behind."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from checker.conform import conform
from engine.audit import Audit, audit
from engine.disaggregated.lockstep import LockstepEngine
from engine.disaggregated.lockstep_memory import Cost
from engine.disaggregated.plant import Plant
from engine.errors import EngineError
from engine.generation import Finish, Generation
from engine.model.config import TINY
from engine.model.reference import greedy, k3, log_probabilities
from engine.model.sampling import Sampling
from engine.model.weights import seeded
from engine.runtime.policy import Policy, Priorities, RoundRobin, SeededRandom

WEIGHTS, GREEDY = seeded(TINY, 0), Sampling()

PAIR = LockstepEngine(WEIGHTS, Plant(TINY, 2, sequences=2, context_tokens=128))
"""Whose compiled rows are used by those like it."""


def generations(count: int, seed: int, sampling: Sampling = GREEDY) -> list[Generation]:
    rng = random.Random(seed)
    prompts = [tuple(rng.randrange(256) for _ in range(rng.randrange(1, 100))) for _ in range(count)]
    return [Generation(prompt, rng.randrange(1, 9), sampling) for prompt in prompts]


@pytest.mark.parametrize(("ranks", "decodes"), [(1, 1), (2, 2), (3, 1)])
def test_the_tokens_are_those_of_the_monolithic_pass(ranks: int, decodes: int) -> None:
    engine = LockstepEngine(WEIGHTS, Plant(TINY, ranks, decodes, sequences=3, context_tokens=128), seed=ranks)
    wanted = {engine.submit(generation): generation for generation in generations(10, seed=ranks)}
    engine.run(20_000)
    for key, generation in wanted.items():
        answer = engine.records[key]
        assert answer.finish is Finish.LENGTH
        assert [token.id for token in answer.tokens] == greedy(WEIGHTS, generation.prompt, generation.max_tokens)
    assert engine.leaks() == []


def test_log_probabilities_agree_with_the_monolithic_pass() -> None:
    engine = LockstepEngine(WEIGHTS, Plant(TINY, 2, sequences=3, context_tokens=128))
    keys = [engine.submit(g) for g in generations(5, 1, Sampling(temperature=1.0, top_p=0.9, seed=3))]
    engine.run(20_000)
    divergences = []
    for answer in (engine.records[key] for key in keys):
        prompt, chosen = answer.generation.prompt, [token.id for token in answer.tokens]
        logs = log_probabilities(WEIGHTS, (*prompt, *chosen))[len(prompt) - 1 : -1]
        divergences.append(k3(logs[np.arange(len(chosen)), chosen], np.array([token.log_probability for token in answer.tokens])))
    assert np.concatenate(divergences).mean() < 1e-9


def test_a_stop_token_ends_an_answer() -> None:
    prompt = (256, 72, 101)
    stop = greedy(WEIGHTS, prompt, 4)[1]
    engine = LockstepEngine(WEIGHTS, Plant(TINY, context_tokens=64))
    key = engine.submit(Generation(prompt, 20, stop_tokens=frozenset([stop])))
    engine.run(5_000)
    assert engine.records[key].finish is Finish.STOP and engine.records[key].tokens[-1].id == stop


@pytest.mark.parametrize("after_rows", range(0, 300, 20))
def test_an_abort_at_any_time_ends_the_request_and_harms_no_other(after_rows: int) -> None:
    engine = LockstepEngine(WEIGHTS, PAIR.plant, seed=after_rows, like=PAIR)
    doomed, other = generations(2, seed=5)
    keys = engine.submit(doomed), engine.submit(other)
    engine.step(after_rows)
    engine.abort(keys[0])
    engine.run(20_000)
    assert engine.records[keys[0]].finish in (Finish.ABORT, Finish.LENGTH)
    assert [token.id for token in engine.records[keys[1]].tokens] == greedy(WEIGHTS, other.prompt, other.max_tokens)
    assert engine.leaks() == []


POLICIES: dict[str, Callable[[], Policy]] = {
    "round-robin": RoundRobin,
    "random": lambda: SeededRandom(3),
    "pct": lambda: Priorities(3, changes=3, rows=4000),
}
SIZES = Plant(TINY, 2, 2, sequences=2, context_tokens=128, mortal=True, turns=8)
MORTAL = LockstepEngine(WEIGHTS, SIZES)


def audited(engine: LockstepEngine) -> Audit:
    return audit(WEIGHTS, engine.records.values(), engine.leaks())


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_answers_every_request_and_its_log_is_a_behaviour(name: str, tmp_path: Path) -> None:
    engine = LockstepEngine(WEIGHTS, SIZES, policy=POLICIES[name](), logged=True, like=MORTAL)
    for generation in generations(4, seed=1):
        engine.submit(generation)
    engine.run(20_000)
    found = audited(engine)
    assert found.healthy and found.tokens == sum(g.max_tokens for g in generations(4, seed=1))
    engine.ensemble.write_log(tmp_path / "log")
    judged = conform(tmp_path / "log")
    assert judged.conforms and judged.events > 100, judged


@pytest.mark.parametrize(
    ("victim", "dead"),
    [("decode engine 1", 3), ("decode 0 worker 1", 3), ("messager 0", 5)],
)
def test_who_is_killed_comes_back_with_nothing_and_every_request_ends(victim: str, dead: int, tmp_path: Path) -> None:
    engine = LockstepEngine(WEIGHTS, SIZES, seed=len(victim), logged=True, like=MORTAL)
    for generation in generations(6, seed=2):
        engine.submit(generation)
    engine.step(500)
    assert len(engine.ensemble.kill(victim)) == dead
    engine.run(20_000)
    ends = {answer.finish for answer in engine.records.values()}
    assert Finish.ERROR in ends and ends <= {Finish.LENGTH, Finish.ERROR}
    late = [engine.submit(generation) for generation in generations(4, seed=3)]
    engine.run(20_000)
    found = audited(engine)
    assert (found.mismatched, found.answered_twice, found.leaks) == (0, 0, ())
    assert {engine.records[key].finish for key in late} == {Finish.LENGTH}
    engine.ensemble.write_log(tmp_path / "log")
    judged = conform(tmp_path / "log")
    assert judged.conforms, judged.reason


def test_a_rank_that_stays_dead_is_named_by_those_who_wait_for_it() -> None:
    plant = replace(SIZES, decodes=1, without="dies_whole", troubles={"crash": "rank"})
    engine = LockstepEngine(WEIGHTS, plant, policy=RoundRobin())
    for generation in generations(3, seed=2):
        engine.submit(generation)
    engine.step(150)
    assert engine.ensemble.kill("prefill worker 1") == ("prefill worker 1",)
    with pytest.raises(EngineError, match=r"worker\[0\] in \w+ waits for [\w ]+ \(worker\[1\] has yet to arrive at tensor_barrier\)"):
        engine.run(50_000)


def test_rows_and_forwards_take_the_virtual_time_that_they_cost() -> None:
    engine = LockstepEngine(WEIGHTS, Plant(TINY, context_tokens=64), policy=RoundRobin(), cost=Cost(forward_s=0.5, row_s=0.001))
    engine.submit(Generation((256, 72, 101), 3))
    engine.run(5_000)
    assert engine.ensemble.time.now > 3 * 0.5 + 0.001 * engine.ensemble.fired
