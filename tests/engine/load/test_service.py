"""The load client over engines of this process: a scripted one, and the monolithic one with its tensors."""

from __future__ import annotations

import asyncio
import math

import pytest

from engine.deployment import Deployment
from engine.generation import Finish, Generation, Handle, Stats, Token
from engine.load.bench import Answers, context_of, run_in_lockstep, run_in_process, told
from engine.load.client import play
from engine.load.service import ServiceGenerator
from engine.load.traffic import Traffic
from engine.model.balancing import ExpertUse
from engine.model.config import TINY
from engine.model.sampling import Sampling
from engine.runtime.policy import RoundRobin
from engine.workload import Request, generate
from protocol import DefinitionError


class Counting:
    """A service whose answers are the numbers from 0 on; it refuses prompts of more than ten tokens, and may end in various ways."""

    context_tokens = 100

    def __init__(self, ends: Finish | None = Finish.LENGTH, message: str = ""):
        self.ends, self.message = ends, message
        self.submitted: list[Generation] = []
        self.aborted: list[Handle] = []

    def submit(self, generation: Generation) -> Handle:
        if len(generation.prompt) > 10:
            raise DefinitionError("too long")
        self.submitted.append(generation)
        handle = Handle(generation)
        for token in range(generation.max_tokens):
            handle.put(Token(token, -1.0))
        if self.ends is not None:
            handle.end(self.ends, self.message)
        return handle

    def abort(self, handle: Handle) -> None:
        self.aborted.append(handle)

    def stats(self) -> Stats:
        return Stats(0, 0, 0.0)

    def close(self) -> None:
        pass


def test_a_round_brings_the_tokens_of_earlier_prompts_and_answers() -> None:
    service = Counting()

    async def converse() -> None:
        conversation = ServiceGenerator(service, Sampling(0.5), frozenset({99})).converse(2)
        first = await conversation.ask((50, 51), 3)
        second = await conversation.ask((60,), 2)
        assert (first.prompt_tokens, first.output_tokens, len(first.pieces_s)) == (2, 3, 3)
        assert (second.prompt_tokens, second.output_tokens, len(second.pieces_s)) == (6, 2, 2)

    asyncio.run(converse())
    assert [g.prompt for g in service.submitted] == [(50, 51), (50, 51, 0, 1, 2, 60)]
    assert [(g.sampling, g.stop_tokens) for g in service.submitted] == [
        (Sampling(0.5, seed=n), frozenset({99})) for n in range(len(service.submitted))
    ]


@pytest.mark.parametrize(
    ("service", "prompt", "error"),
    [
        (Counting(), 11, "too long"),
        (Counting(Finish.ERROR, "rank 1 died"), 3, "rank 1 died"),
        (Counting(Finish.ABORT), 3, "the generation ended early (abort)"),
    ],
)
def test_what_gets_no_answer_fails_and_the_run_goes_on(service: Counting, prompt: int, error: str) -> None:
    measured = asyncio.run(play([Request(0.0, prompt, 1)], ServiceGenerator(service, Sampling()), Traffic()))
    assert [c.error for c in measured.completions] == [error]


def test_who_is_cancelled_aborts_its_generation() -> None:
    service = Counting(ends=None)

    async def leave() -> None:
        asked = asyncio.create_task(ServiceGenerator(service, Sampling()).converse(1).ask((1,), 2))
        while not service.submitted:
            await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked

    asyncio.run(leave())
    assert [handle.generation for handle in service.aborted] == service.submitted


def test_the_monolithic_engine_answers_every_request_in_full() -> None:
    requests = [r.scaled(0.02) for r in generate(seed=2, count=12, rate=50, rounds=3)]
    wanted = Deployment("tiny", 0, tensor_parallel=2, sequences=4, context_tokens=context_of(requests))
    told: list[int] = []
    measured, figures, _, _ = run_in_process(requests, Traffic(math.inf, concurrency=3), wanted, Answers(), told.append)
    assert figures == {} and measured.failed == [] and told == list(range(1, 13))
    assert [c.output_tokens for c in measured.completions] == [r.output_tokens for r in requests]
    assert all(len(c.pieces_s) == c.output_tokens for c in measured.completions)
    said = 0
    for number, (request, completion) in enumerate(zip(requests, measured.completions)):
        said = 0 if number % 3 == 0 else said
        assert completion.prompt_tokens == said + request.prompt_tokens
        said = completion.prompt_tokens + completion.output_tokens


@pytest.mark.parametrize("redundant", [None, 1])
def test_a_run_tells_how_experts_have_moved(redundant: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.disaggregated.balancing.INTERVAL_VISITS", 64)
    requests = [Request(0.0, 9, 12)] * 4
    wanted = Deployment("tiny-experts", decode=2, sequences=2, context_tokens=64, expert_parallel=2, redundant_experts=redundant)
    measured, figures, _ = run_in_lockstep(requests, Traffic(math.inf), wanted.in_lockstep(RoundRobin()), Answers(), lambda _: None)
    assert not measured.failed and figures.pop("rows_fired") > 100
    if redundant is None:
        assert figures == {"prefix_cache_hit_rate": 0.0}
    else:
        assert figures["expert_moves"] > 0 and figures["expert_imbalance_before"] > figures["expert_imbalance_after"] >= 1


def test_experts_lie_as_at_first_behind_a_death_and_their_moves_stay_counted() -> None:
    use = ExpertUse(1, (1.5, 1.25)) + ExpertUse(1, (1.75, 1.0)) + ExpertUse()
    assert use == ExpertUse(2, (1.75, 1.0)) and use.at_first() == ExpertUse(2)
    moved = {"rows_fired": 7, "expert_moves": 2, "expert_imbalance_before": 1.75, "expert_imbalance_after": 1.0}
    assert told(7, Stats(0, 0, 0.0, experts=use), balances=True) == moved
    assert told(7, Stats(0, 0, 0.0, experts=use.at_first()), balances=True) == {"rows_fired": 7, "expert_moves": 2}


def test_a_run_tells_what_cache_and_drafts_were_good_for() -> None:
    """Sessions of two rounds: of the second's prompt P finds the whole blocks of the first's, and not the answer, which D has computed."""
    requests = generate(seed=2, count=6, rate=50, rounds=2, input_len=40, output_len=30)
    deployed = Deployment("tiny", sequences=2, context_tokens=256, drafts=2)
    answers = Answers(temperature=1.0, top_p=0.1)
    measured, figures, found = run_in_lockstep(requests, Traffic(math.inf), deployed.in_lockstep(RoundRobin()), answers, lambda _: None, audits=True)
    assert not measured.failed and found is not None and found.healthy
    assert set(figures) == {"rows_fired", "prefix_cache_hit_rate", "draft_acceptance_rate"}
    assert figures["prefix_cache_hit_rate"] == round(3 * 32 / measured.input_tokens, 3)
    assert 0 < figures["draft_acceptance_rate"] < 1


def test_an_answer_may_end_at_the_models_last_token(monkeypatch: pytest.MonkeyPatch) -> None:
    service = Counting()
    monkeypatch.setattr(Deployment, "start", lambda *_, **__: service)
    for ignore in (True, False):
        run_in_process([Request(0.0, 1, 1)], Traffic(), Deployment(prefill=0), Answers(ignore_eos=ignore), lambda _: None)
    assert [g.stop_tokens for g in service.submitted] == [frozenset(), frozenset({TINY.last_token})]


def test_the_context_is_that_of_the_longest_session() -> None:
    assert context_of([Request(0.0, 10, 1), Request(0.0, 5, 2, "a"), Request(0.0, 3, 4, "a")]) == 14
