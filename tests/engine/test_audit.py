"""The audit of what an engine has generated: it knows of every token whether it is the one to be chosen, greedy or drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.audit import HEALTHY_K3, TIE, Record, audit
from engine.generation import Finish, Generation, Token
from engine.model.config import TINY
from engine.model.reference import log_probabilities, log_softmax
from engine.model.sampling import Sampling, choose, missed
from engine.model.weights import seeded

WEIGHTS = seeded(TINY)
PROMPT = tuple(b"audit")


def answered(sampling: Sampling) -> Record:
    """Eight tokens as the reference chooses them."""
    record = Record(Generation(PROMPT, 8, sampling), ends=[Finish.LENGTH])
    for drawn in range(8):
        said = (*PROMPT, *(token.id for token in record.tokens))
        record.tokens.append(Token(*choose(log_probabilities(WEIGHTS, said)[-1], sampling, drawn)))
    return record


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(1.0, 1.0, 3), Sampling(1.5, 0.9, 4), Sampling(0.7, 0.5, 5)])
def test_the_references_own_tokens_are_healthy(sampling: Sampling) -> None:
    found = audit(WEIGHTS, [answered(sampling)], [])
    assert found.healthy and (found.tokens, found.mismatched, found.ties) == (8, 0, 0)


@pytest.mark.parametrize("asked", [Sampling(), Sampling(1.5, 1.0, 4), Sampling(1.5, 0.3, 3), Sampling(0.2, 1.0, 3)])
def test_tokens_that_were_chosen_in_another_way_than_asked_are_found(asked: Sampling) -> None:
    """Their log-probabilities are right: only the draw tells."""
    record = answered(Sampling(1.5, 1.0, 3))
    found = audit(WEIGHTS, [replace(record, generation=replace(record.generation, sampling=asked))], [])
    assert found.k3_kl_mean < HEALTHY_K3 and found.mismatched >= 3 and not found.healthy


def test_a_draw_at_an_edge_is_a_tie_and_an_edge_of_the_nucleus_may_move() -> None:
    sampling = Sampling(1.0, 0.5, 7)
    draw = np.random.default_rng((7, 0)).random()
    edge = np.array([draw + 1e-6, 1 - draw - 1e-6])
    logs = log_softmax(np.log(edge).astype(np.float32))
    assert missed(logs, replace(sampling, top_p=1.0), 0, 0) == 0 < missed(logs, replace(sampling, top_p=1.0), 0, 1) < TIE
    halves = np.log(np.array([0.5, 0.5 - 1e-7, 1e-7], np.float32))
    assert missed(halves, sampling, 0, 0) == 0, "alone in the nucleus"
    assert missed(halves, sampling, 0, int(draw > 0.5)) == 0, "or not"
    assert missed(halves, sampling, 0, 2) == 1.0
