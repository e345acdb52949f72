"""The load client over HTTP: streams in virtual time, and our own server on a socket."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import pytest

from engine.errors import EngineError
from engine.generation import Finish
from engine.load.bench import Answers, run_over_http
from engine.load.generator import Failure, Heard
from engine.load.http import HttpGenerator, connect
from engine.load.traffic import Traffic
from engine.workload import Request

from ..server.conftest import Scripted, serving
from .virtual import run

Timed = tuple[float, str]
"""Seconds to wait, and then what to send."""


class Script(httpx.AsyncByteStream):
    """A response body that comes in virtual time."""

    def __init__(self, parts: Sequence[Timed]):
        self._parts = parts

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for seconds, text in self._parts:
            await asyncio.sleep(seconds)
            yield text.encode()


class Server:
    """Answers each request with the next script, and keeps the bodies."""

    def __init__(self, *scripts: Sequence[Timed], status: int = 200):
        self.scripts, self.status = list(scripts), status
        self.bodies: list[dict[str, Any]] = []

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.bodies.append(json.loads(request.content))
        return httpx.Response(self.status, stream=Script(self.scripts[len(self.bodies) - 1]))

    def ask(self, *rounds: tuple[tuple[int, ...], int]) -> list[Heard]:
        async def converse() -> list[Heard]:
            async with httpx.AsyncClient(base_url="http://server", transport=httpx.MockTransport(self.handle)) as client:
                conversation = HttpGenerator(client, "tiny", {"temperature": 0.0}).converse(len(rounds))
                return [await conversation.ask(*one) for one in rounds]

        return run(converse())


def token(text: str, finish: str | None = None, **more: Any) -> str:
    return f"data: {json.dumps({'choices': [{'index': 0, 'text': text, 'finish_reason': finish}], **more})}\n\n"


def usage(prompt: int, answer: int) -> str:
    return f"data: {json.dumps({'choices': [], 'usage': {'prompt_tokens': prompt, 'completion_tokens': answer}})}\n\n"


DONE = "data: [DONE]\n\n"


def test_pieces_are_timed_as_they_come() -> None:
    server = Server(
        [(1.0, token("a")), (0.5, ": keep-alive\n\n"), (0.25, token("")), (0.5, token("b") + token("", "length")), (2.0, usage(7, 4) + DONE)]
    )
    assert server.ask(((65, 66), 4)) == [Heard(7, 4, (1.0, 1.75, 2.25))]
    (body,) = server.bodies
    assert body == {
        "model": "tiny",
        "prompt": [65, 66],
        "max_tokens": 4,
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.0,
    }


def test_an_event_may_come_in_parts_and_events_together() -> None:
    event = token("a")
    server = Server([(1.0, event[:20]), (1.0, event[20:] + token("b")), (0.0, usage(2, 2) + DONE)])
    assert server.ask(((65,), 2)) == [Heard(2, 2, (2.0, 2.0))]


def test_usage_may_come_with_the_tokens_or_not_at_all() -> None:
    counted = {"prompt_tokens": 9, "completion_tokens": 1}
    with_tokens = Server([(1.0, token("a", "stop", usage=counted) + DONE)])
    assert with_tokens.ask(((65, 66), 1)) == [Heard(9, 1, (1.0,))]
    without = Server([(1.0, token("a")), (1.0, token("b", "stop", usage=None) + DONE)])
    assert without.ask(((65, 66), 5)) == [Heard(2, 2, (1.0, 2.0))]
    script = [(1.0, token("a", "stop") + DONE)]
    assert [heard.prompt_tokens for heard in Server(script, script).ask(((65, 66), 1), ((67,), 1))] == [2, 4]


def test_a_session_is_text_that_grows_by_its_answers() -> None:
    script = [(1.0, token("Hé") + token("llo") + usage(1, 2) + DONE)]
    server = Server(script, script, script)
    server.ask(((65, 66), 2), ((67,), 2), ((68, 69), 2))
    assert [body["prompt"] for body in server.bodies] == ["AB", "ABHélloC", "ABHélloCHélloDE"]


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ([(0.0, token("a"))], "the stream ended before its [DONE]"),
        ([(0.0, DONE)], "the answer has no token"),
        ([(0.0, token("a") + 'data: {"error": {"message": "rank 1\\ndied"}}\n\n' + DONE)], "rank 1 died"),
        ([(0.0, 'data: {"object": 1}\n\n')], 'not an event of /v1/completions: {"object": 1}'),
        ([(0.0, "data: [1]\n\n")], "not an event of /v1/completions: [1]"),
        ([(0.0, "data: nonsense\n\n")], "not an event of /v1/completions: nonsense"),
    ],
)
def test_a_broken_stream_is_a_failure(script: list[Timed], error: str) -> None:
    with pytest.raises(Failure) as raised:
        Server(script).ask(((65,), 1))
    assert str(raised.value) == error


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('{"error": {"message": "too long", "code": 3}}', "HTTP 400: too long"),
        ('{"error": "no"}', "HTTP 400: no"),
        ("<h1>Bad\n gateway</h1>", "HTTP 400: <h1>Bad gateway</h1>"),
        ("[]", "HTTP 400: []"),
        ("", "HTTP 400: Bad Request"),
    ],
)
def test_a_refusal_is_a_failure_in_the_servers_words(text: str, error: str) -> None:
    with pytest.raises(Failure) as raised:
        Server([(0.0, text)], status=400).ask(((65,), 1))
    assert str(raised.value) == error


def test_our_server_answers_the_load_client() -> None:
    service = Scripted(says=b"abc", ends=Finish.LENGTH)
    with serving(service) as server:
        requests, answers = [Request(0.0, 5, 3), Request(0.0, 2, 3)], Answers(0.5, top_p=0.25)
        measured, model = run_over_http(requests, Traffic(), f"{server.url}/v1/", None, answers, lambda _: None)
    assert model == "tiny" and measured.failed == []
    assert [(c.prompt_tokens, c.output_tokens, len(c.pieces_s)) for c in measured.completions] == [(5, 3, 3), (2, 3, 3)]
    asked = {(g.max_tokens, g.sampling.temperature, g.sampling.top_p, g.stop_tokens) for g in service.submitted}
    assert asked == {(3, 0.5, 0.25, frozenset())}


def test_a_session_on_our_server_brings_the_earlier_answer() -> None:
    service = Scripted(says=b"abc", ends=Finish.LENGTH)
    with serving(service) as server:
        requests = [Request(0.0, 4, 3, "s"), Request(0.0, 2, 3, "s")]
        measured, _ = run_over_http(requests, Traffic(math.inf, concurrency=1), server.url, "tiny", Answers(), lambda _: None)
    first, second = (g.prompt for g in service.submitted)
    # Where a text begins, the server puts its first token.
    assert len(first) == 1 + 4 and second[:8] == (*first, *b"abc") and len(second) == 8 + 2
    assert [c.prompt_tokens for c in measured.completions] == [5, 10]


def test_requests_that_the_server_refuses_fail_and_the_others_do_not() -> None:
    with serving(Scripted(says=b"ab", ends=Finish.LENGTH)) as server:
        measured, _ = run_over_http([Request(0.0, 9999, 2), Request(0.0, 2, 2)], Traffic(), server.url, None, Answers(), lambda _: None)
    assert [c.error[:33] for c in measured.completions] == ["HTTP 400: a prompt of 9999 and an", ""]


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "no address", "http://[", "ftp://127.0.0.1:1"])
def test_an_address_without_a_server_is_one_line(url: str) -> None:
    with pytest.raises(EngineError) as raised:
        run_over_http([Request(0.0, 1, 1)], Traffic(), url, None, Answers(), lambda _: None)
    assert str(raised.value).startswith(f"{url}: ") and "\n" not in str(raised.value)


@pytest.mark.parametrize(("key", "header"), [("secret", "Bearer secret"), ("", None)])
def test_a_key_of_the_environment_is_sent(monkeypatch: pytest.MonkeyPatch, key: str, header: str | None) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)

    async def reach(url: str) -> str | None:
        async with connect(url, None, {}) as generator:
            return generator.client.headers.get("Authorization")

    with serving(Scripted()) as server:
        assert asyncio.run(reach(server.url)) == header


def test_a_model_that_is_not_served_is_named() -> None:
    async def reach(url: str) -> None:
        async with connect(url, "huge", {}):
            pass

    with serving(Scripted()) as server, pytest.raises(EngineError, match="serves tiny, not huge; give one of these as --model"):
        asyncio.run(reach(server.url))
