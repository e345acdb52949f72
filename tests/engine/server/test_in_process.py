"""The monolithic engine against the one-pass reference, and what it does with aborts, faults and its end."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from engine import in_process
from engine.errors import EngineError
from engine.generation import Finish, Generation, Handle, Token
from engine.in_process import InProcess
from engine.model.config import TINY_EXPERTS
from engine.model.reference import log_probabilities
from engine.model.sampling import Sampling, choose
from engine.model.weights import Weights
from protocol import DefinitionError

from .conftest import WEIGHTS, flattened


def engine(**settings: Any) -> closing[InProcess]:
    return closing(InProcess(WEIGHTS, **settings))


async def collect(handle: Handle) -> list[Token]:
    return [token async for token in handle]


def generation(length: int, max_tokens: int, seed: int = 0, **more: Any) -> Generation:
    prompt = np.random.default_rng(length).integers(0, 256, length)
    return Generation(tuple(int(token) for token in prompt), max_tokens, Sampling(1.0, 0.95, seed), **more)


def reference(wanted: Generation, weights: Weights = WEIGHTS) -> list[tuple[int, float]]:
    """Tokens and log-probabilities of a pass over the whole sequence for each token."""
    tokens, answer = list(wanted.prompt), []
    for drawn in range(wanted.max_tokens):
        answer.append(choose(log_probabilities(weights, tokens)[-1], wanted.sampling, drawn))
        tokens.append(answer[-1][0])
    return answer


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_batches_chunks_and_ranks_answer_as_the_reference(ranks: int) -> None:
    """Seven generations of different lengths over three slots, with prompts cut into chunks of at most eight tokens."""
    wanted = [generation(length, 6, seed=length, alternatives=2) for length in (1, 3, 40, 17, 9, 25, 2)]

    async def run(service: InProcess) -> list[list[Token]]:
        return await asyncio.gather(*(collect(handle) for handle in [service.submit(w) for w in wanted]))

    with engine(ranks=ranks, sequences=3, round_tokens=8, block_size=4, context_tokens=64) as service:
        answers = asyncio.run(run(service))
        assert service.stats() == in_process.Stats(0, 0, 0.0)
    for want, answer in zip(wanted, answers):
        expected = reference(want)
        assert [token.id for token in answer] == [token for token, _ in expected]
        assert np.allclose([token.log_probability for token in answer], [log for _, log in expected], atol=1e-4)
        logs = log_probabilities(WEIGHTS, want.prompt)[-1]
        assert [token for token, _ in answer[0].alternatives] == [int(token) for token in np.argsort(-logs, kind="stable")[:2]]


@pytest.mark.parametrize(("ranks", "spread"), [(1, False), (2, False), (2, True)])
def test_experts_answer_as_the_reference_wherever_they_are(ranks: int, spread: bool) -> None:
    weights = flattened(TINY_EXPERTS)
    wanted = [generation(length, 6, seed=length) for length in (5, 20)]

    async def run(service: InProcess) -> list[list[Token]]:
        return await asyncio.gather(*(collect(handle) for handle in [service.submit(w) for w in wanted]))

    with closing(InProcess(weights, ranks=ranks, spread_experts=spread, round_tokens=8)) as service:
        answers = asyncio.run(run(service))
    for want, answer in zip(wanted, answers):
        assert [token.id for token in answer] == [token for token, _ in reference(want, weights)]


def test_a_stop_token_is_delivered_and_ends_the_answer() -> None:
    wanted = generation(5, 20)
    third = reference(wanted)[2][0]

    async def run(service: InProcess) -> tuple[list[Token], Finish | None]:
        handle = service.submit(generation(5, 20, stop_tokens=frozenset({third})))
        return await collect(handle), handle.finish

    with engine() as service:
        tokens, finish = asyncio.run(run(service))
    assert finish is Finish.STOP and tokens[-1].id == third and third not in [token.id for token in tokens[:-1]]


def test_an_abort_ends_who_runs_and_who_waits_and_frees_the_blocks() -> None:
    async def run(service: InProcess) -> list[Finish | None]:
        running, waiting, last = (service.submit(generation(4, tokens)) for tokens in (2000, 2000, 3))
        await anext(running)
        service.abort(waiting)
        assert await collect(waiting) == []
        service.abort(running)
        await collect(running)
        tokens = await collect(last)
        service.abort(last)  # it has ended: nothing happens
        assert len(tokens) == 3
        return [running.finish, waiting.finish, last.finish]

    with engine(sequences=1) as service:
        assert asyncio.run(run(service)) == [Finish.ABORT, Finish.ABORT, Finish.LENGTH]
        assert service.stats() == in_process.Stats(0, 0, 0.0)


def test_a_full_cache_makes_a_generation_wait() -> None:
    """Blocks for one whole context: the second generation is admitted when the first has given its blocks back."""

    async def run(service: InProcess) -> tuple[Any, list[Token]]:
        first, second = service.submit(generation(4, 4092)), service.submit(generation(4, 3))
        for _ in range(3):  # by then the engine has looked for a place for the second
            await anext(first)
        stats = service.stats()
        service.abort(first)
        return stats, await collect(second)

    with engine(sequences=2, context_tokens=4096, block_size=16, blocks=256) as service:
        stats, tokens = asyncio.run(run(service))
    assert stats == in_process.Stats(1, 1, 1.0) and len(tokens) == 3


def test_a_failed_forward_ends_its_generations_and_the_engine_goes_on(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    forward: Callable[..., Any] = in_process.forward

    def fails_once(*arguments: Any) -> Any:
        monkeypatch.setattr(in_process, "forward", forward)
        raise FloatingPointError("overflow")

    monkeypatch.setattr(in_process, "forward", fails_once)

    async def run(service: InProcess) -> tuple[Handle, list[Token]]:
        broken = service.submit(generation(4, 3))
        assert await collect(broken) == []
        return broken, await collect(service.submit(generation(4, 3)))

    with engine() as service, caplog.at_level(logging.ERROR):
        broken, tokens = asyncio.run(run(service))
    assert (broken.finish, broken.message) == (Finish.ERROR, "the forward failed: FloatingPointError: overflow")
    assert len(tokens) == 3 and "a round failed" in caplog.text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_fault_of_the_thread_itself_leaves_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Event()

    def fails(service: InProcess) -> Any:
        both.wait(30)
        raise ZeroDivisionError

    monkeypatch.setattr(InProcess, "_schedule", fails)

    async def run(service: InProcess) -> list[Handle]:
        handles = [service.submit(generation(4, 3)) for _ in range(2)]
        both.set()
        for handle in handles:
            await collect(handle)
        with pytest.raises(EngineError, match="the engine is closed"):
            service.stats()
        return handles

    with engine(sequences=1) as service:
        assert [(h.finish, h.message) for h in asyncio.run(run(service))] == [(Finish.ERROR, "the engine's thread ended")] * 2


def test_closing_aborts_and_refuses() -> None:
    async def run(service: InProcess) -> list[Finish | None]:
        handles = [service.submit(generation(4, 2000)) for _ in range(3)]
        await anext(handles[0])
        await asyncio.to_thread(service.close)
        for handle in handles:
            await collect(handle)
        with pytest.raises(EngineError, match="the engine is closed"):
            service.submit(generation(4, 1))
        with pytest.raises(EngineError, match="the engine is closed"):
            service.stats()
        return [handle.finish for handle in handles]

    with engine(sequences=2) as service:
        assert asyncio.run(run(service)) == [Finish.ABORT] * 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ranks": 5}, "cannot be cut into 5 ranks"),
        ({"sequences": 0}, "sequences=0: give at least 1"),
        ({"round_tokens": 7}, "round_tokens=7: give at least the number of sequences"),
        ({"sequences": 10**7, "round_tokens": 10**7, "context_tokens": 10**7}, "the KV cache would take 153,600,000 GB; ask for fewer"),
        ({"sequences": 10**10, "round_tokens": 10**10, "context_tokens": 10**10}, "the KV cache would take .* GB; ask for fewer"),
        ({"blocks": 127}, "blocks=127: one context of 2048 tokens takes 128"),
    ],
)
def test_what_cannot_work_is_refused_at_the_start(settings: dict[str, int], message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        InProcess(WEIGHTS, **settings)  # type: ignore[arg-type]


def test_a_generation_longer_than_the_context_is_refused() -> None:
    with engine(context_tokens=16) as service, pytest.raises(DefinitionError, match="17 tokens of prompt and answer; the context has 16"):
        service.submit(generation(10, 7))


@pytest.mark.parametrize(("field", "value"), [("prompt", ()), ("max_tokens", 0), ("alternatives", -1)])
def test_a_generation_of_nothing_is_refused(field: str, value: Any) -> None:
    with pytest.raises(DefinitionError, match="give"):
        Generation(**{"prompt": (1,), "max_tokens": 1, field: value})


def test_a_handle_keeps_the_order_across_threads_and_drops_what_follows_the_end() -> None:
    wanted = generation(1, 200)

    def deliver(handle: Handle) -> None:
        for k in range(200):
            handle.put(Token(k, 0.0))
        handle.end(Finish.LENGTH)
        handle.put(Token(200, 0.0))
        handle.end(Finish.ERROR, "late")

    async def run() -> None:
        handle = Handle(wanted)
        work: Coroutine[Any, Any, None] = asyncio.to_thread(deliver, handle)
        tokens, _ = await asyncio.gather(collect(handle), work)
        assert [token.id for token in tokens] == list(range(200))
        assert (handle.finish, handle.message) == (Finish.LENGTH, "")
        assert await collect(handle) == []

    asyncio.run(run())


def test_a_handle_whose_loop_is_gone_troubles_nobody() -> None:
    async def submit() -> Handle:
        return Handle(generation(1, 1))

    handle = asyncio.run(submit())
    handle.put(Token(1, 0.0))
    handle.end(Finish.LENGTH)
