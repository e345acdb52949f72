"""The disaggregated engine in lockstep: its tokens are those of the monolithic pass, and nothing is left behind."""

from __future__ import annotations

import random

import numpy as np
import pytest

from engine.disaggregated.lockstep import LockstepEngine
from engine.disaggregated.plant import Plant
from engine.generation import Finish, Generation
from engine.model.config import TINY
from engine.model.reference import greedy, k3, log_probabilities
from engine.model.sampling import Sampling
from engine.model.weights import seeded

WEIGHTS, GREEDY = seeded(TINY, 0), Sampling()


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
        answer = engine.answers[key]
        assert answer.finish is Finish.LENGTH
        assert [token.id for token in answer.tokens] == greedy(WEIGHTS, generation.prompt, generation.max_tokens)
    assert engine.leaks() == []


def test_log_probabilities_agree_with_the_monolithic_pass() -> None:
    engine = LockstepEngine(WEIGHTS, Plant(TINY, 2, sequences=3, context_tokens=128))
    keys = [engine.submit(g) for g in generations(5, 1, Sampling(temperature=1.0, top_p=0.9, seed=3))]
    engine.run(20_000)
    divergences = []
    for answer in (engine.answers[key] for key in keys):
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
    assert engine.answers[key].finish is Finish.STOP and engine.answers[key].tokens[-1].id == stop


@pytest.mark.parametrize("after_rows", range(0, 300, 20))
def test_an_abort_at_any_time_ends_the_request_and_harms_no_other(after_rows: int) -> None:
    engine = LockstepEngine(WEIGHTS, Plant(TINY, 2, sequences=2, context_tokens=128), seed=after_rows)
    doomed, other = generations(2, seed=5)
    keys = engine.submit(doomed), engine.submit(other)
    engine.step(after_rows)
    engine.abort(keys[0])
    engine.run(20_000)
    assert engine.answers[keys[0]].finish in (Finish.ABORT, Finish.LENGTH)
    assert [token.id for token in engine.answers[keys[1]].tokens] == greedy(WEIGHTS, other.prompt, other.max_tokens)
    assert engine.leaks() == []
