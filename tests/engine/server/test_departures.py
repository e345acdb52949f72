"""A client that leaves aborts its generations, whether it was reading a stream or waiting."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from engine.in_process import InProcess

from .conftest import HTTP, WEIGHTS, Address, Scripted, serving

BODY: dict[str, Any] = {"model": "tiny", "prompt": "Hi", "max_tokens": 100, "n": 2}


def test_leaving_a_stream_aborts_every_choice() -> None:
    engine = Scripted()
    with serving(engine) as server:
        with HTTP.stream("POST", f"{server.url}/v1/completions", json=BODY | {"stream": True}) as response:
            assert next(response.iter_lines()).startswith("data: {")
        assert all(engine.aborted.acquire(timeout=10) for _ in range(2))
        assert aborted(server) == 2


@pytest.mark.parametrize("stream", [True, False])
def test_leaving_before_the_first_token_aborts_every_choice(stream: bool) -> None:
    """The client hangs up once the engine has the request."""
    engine = Scripted(says=b"")

    async def leave(url: str) -> None:
        host, port = url.removeprefix("http://").split(":")
        content = httpx.Request("POST", url, json=BODY | {"stream": stream})
        _, writer = await asyncio.open_connection(host, int(port))
        head = f"POST /v1/completions HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(content.content)}\r\n\r\n"
        writer.write(head.encode() + content.content)
        await asyncio.to_thread(engine.arrived.acquire, timeout=10)
        writer.close()

    with serving(engine) as server:
        asyncio.run(leave(server.url))
        assert all(engine.aborted.acquire(timeout=10) for _ in range(2))
        assert aborted(server) == 2


def test_leaving_in_the_middle_of_a_body_is_no_news(capsys: pytest.CaptureFixture[str]) -> None:
    async def leave(url: str) -> None:
        host, port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"POST /v1/completions HTTP/1.1\r\nHost: {host}\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n".encode())
        await reader.readline()  # the server reads the body
        writer.write(b'{"model"')
        writer.close()

    with serving(Scripted()) as server:
        asyncio.run(leave(server.url))
        assert server.get("/health").status_code == 200
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_stays_aborts_nothing(server: Address, stream: bool) -> None:
    before = aborted(server)
    assert server.post(BODY | {"stream": stream, "max_tokens": 4}).status_code == 200
    assert aborted(server) == before


def test_a_departure_frees_the_engine_for_the_next() -> None:
    """One slot: who comes next is answered only because the first, who would take the whole context, has left."""
    with serving(InProcess(WEIGHTS, sequences=1, context_tokens=4096)) as server:
        endless = BODY | {"max_tokens": 4000, "n": 1, "ignore_eos": True, "stream": True}
        with HTTP.stream("POST", f"{server.url}/v1/completions", json=endless) as response:
            next(response.iter_lines())
        assert server.post(BODY | {"max_tokens": 3, "n": 1}).status_code == 200
        figures = server.figures()
        assert figures["generation_tokens_total{}"] < 4000 and figures["num_requests_running{}"] == 0


def aborted(server: Address) -> float:
    return server.figures()['request_success_total{finished_reason="abort"}']
