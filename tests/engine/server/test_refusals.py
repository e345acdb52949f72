"""What is wrong with a request is told in OpenAI's shape, and the engine goes on."""

from __future__ import annotations

import logging
from typing import Any

import httpx
import openai
import pytest

from engine.generation import Finish, Generation
from engine.server.app import BODY_BYTES_MAX

from .conftest import CONTEXT, Address, Scripted, serving

GOOD: dict[str, Any] = {"model": "tiny", "prompt": "Hi", "max_tokens": 2, "temperature": 0}
CHAT: dict[str, Any] = {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}


def error_of(response: httpx.Response) -> tuple[int, str | None, str | None]:
    """Status, param and code, from an error object that is whole."""
    error = response.json()["error"]
    assert set(response.json()) == {"error"} and set(error) == {"message", "type", "param", "code"}
    assert error["message"] and "\n" not in error["message"]
    assert error["type"] == ("invalid_request_error" if response.status_code < 500 else "server_error")
    return response.status_code, error["param"], error["code"]


# fmt: off
FIELDS: list[tuple[dict[str, Any], int, str | None, str | None]] = [
    ({"model": "gpt-4"},                         404, "model",          "model_not_found"),
    ({"model": None},                            400, "model",          None),
    ({"model": 3},                               400, "model",          None),
    ({"prompt": None},                           400, "prompt",         None),
    ({"prompt": ""},                             400, "prompt",         None),
    ({"prompt": []},                             400, "prompt",         None),
    ({"prompt": ["a", ""]},                      400, "prompt",         None),
    ({"prompt": ["a", 1]},                       400, "prompt",         None),
    ({"prompt": {"text": "a"}},                  400, "prompt",         None),
    ({"prompt": [True]},                         400, "prompt",         None),
    ({"prompt": [1.5]},                          400, "prompt",         None),
    ({"prompt": [-1]},                           400, "prompt",         None),
    ({"prompt": [264]},                          400, "prompt",         None),
    ({"prompt": [10**30]},                       400, "prompt",         None),
    ({"prompt": "x" * CONTEXT},                  400, "prompt",         "context_length_exceeded"),
    ({"prompt": "x" * 100_000},                  400, "prompt",         "context_length_exceeded"),
    ({"max_tokens": CONTEXT},                    400, "prompt",         "context_length_exceeded"),
    ({"max_tokens": 10**40},                     400, "prompt",         "context_length_exceeded"),
    ({"max_tokens": 0},                          400, "max_tokens",     None),
    ({"max_tokens": -5},                         400, "max_tokens",     None),
    ({"max_tokens": 1.5},                        400, "max_tokens",     None),
    ({"max_tokens": "3"},                        400, "max_tokens",     None),
    ({"max_tokens": True},                       400, "max_tokens",     None),
    ({"temperature": -0.1},                      400, "temperature",    None),
    ({"temperature": 2.1},                       400, "temperature",    None),
    ({"temperature": "hot"},                     400, "temperature",    None),
    ({"top_p": 0},                               400, "top_p",          None),
    ({"top_p": 1.01},                            400, "top_p",          None),
    ({"top_p": -1},                              400, "top_p",          None),
    ({"n": 0},                                   400, "n",              None),
    ({"n": 129},                                 400, "n",              None),
    ({"n": 43, "prompt": ["a", "b", "c"]},       400, "n",              None),
    ({"seed": 2**63},                            400, "seed",           None),
    ({"seed": "x"},                              400, "seed",           None),
    ({"stop": ["a", "b", "c", "d", "e"]},        400, "stop",           None),
    ({"stop": ""},                               400, "stop",           None),
    ({"stop": [3]},                              400, "stop",           None),
    ({"stop_token_ids": list(range(65))},        400, "stop_token_ids", None),
    ({"logprobs": 21},                           400, "logprobs",       None),
    ({"logprobs": -1},                           400, "logprobs",       None),
    ({"stream": "yes"},                          400, "stream",         None),
    ({"stream_options": 3},                      400, None,             None),
    ({"echo": True},                             400, "echo",           "unsupported_value"),
    ({"presence_penalty": 0.5},                  400, "presence_penalty", "unsupported_value"),
    ({"best_of": 2},                             400, "best_of",        "unsupported_value"),
    ({"skip_special_tokens": False},             400, "skip_special_tokens", "unsupported_value"),
    ({"stream_options": {"continuous_usage_stats": True}}, 400, "continuous_usage_stats", "unsupported_value"),
    ({"nonsense": 1},                            400, "nonsense",       "unknown_argument"),
]
MESSAGES: list[tuple[dict[str, Any], str]] = [
    ({"messages": []},                                             "messages"),
    ({"messages": "Hi"},                                           "messages"),
    ({"messages": [{"role": "user"}]},                             "messages.0.content"),
    ({"messages": [{"role": "tool", "content": "x"}]},             "messages.0.role"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages"),
    ({"messages": [{"role": "user", "content": 3}]},               "messages"),
    ({"top_logprobs": 3},                                          "top_logprobs"),
    ({"logprobs": True, "top_logprobs": 21},                       "top_logprobs"),
    ({"logprobs": 3},                                              "logprobs"),
    ({"tools": [{"type": "function"}]},                            "tools"),
    ({"messages": [{"role": "user", "content": "x" * CONTEXT}]},   "messages"),
]
BODIES: list[tuple[bytes, int, str | None]] = [
    (b"",                                                          400, "json_invalid"),
    (b'{"model": "tiny", "prompt": "Hi',                           400, "json_invalid"),
    (b"[" * 100_000,                                               400, "json_invalid"),
    (b"\xff\xfe",                                                  400, "json_invalid"),
    (b'{"model": "tiny", "prompt": "\\ud800"}',                    400, "json_invalid"),
    (b"[1, 2]",                                                    400, None),
    (b"null",                                                      400, None),
    (b'{"model": "tiny", "prompt": "Hi", "top_p": NaN}',           400, None),
    (b'{"model": "tiny", "prompt": "Hi", "temperature": 1e999}',   400, None),
    (b'{"model": "tiny", "prompt": "Hi", "max_tokens": ' + b"9" * 5000 + b"}", 400, "json_invalid"),
    (b'"' + b"x" * BODY_BYTES_MAX + b'"',                          413, None),
]
# fmt: on


@pytest.fixture(autouse=True)
def the_engine_goes_on(server: Address) -> Any:
    """After each refusal a good request is answered, and no slot or block is held."""
    yield
    assert server.post(GOOD).json()["usage"]["completion_tokens"] == 2
    figures = server.figures()
    assert [figures[f"{name}{{}}"] for name in ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc")] == [0, 0, 0]


@pytest.mark.parametrize(("change", "status", "param", "code"), FIELDS, ids=lambda v: str(v)[:40])
def test_a_bad_field(server: Address, change: dict[str, Any], status: int, param: str | None, code: str | None) -> None:
    assert error_of(server.post(GOOD | change)) == (status, param, code)


@pytest.mark.parametrize(("change", "param"), MESSAGES, ids=lambda v: str(v)[:40])
def test_a_bad_chat(server: Address, change: dict[str, Any], param: str) -> None:
    assert error_of(server.post(CHAT | change, "chat/completions"))[:2] == (400, param)


@pytest.mark.parametrize(("body", "status", "code"), BODIES, ids=lambda v: str(v)[:40])
def test_a_bad_body(server: Address, body: bytes, status: int, code: str | None) -> None:
    answered = error_of(server.post(body))
    assert (answered[0], answered[2]) == (status, code)


NOTHING: list[dict[str, Any]] = [
    {"presence_penalty": 0, "logit_bias": {}, "top_k": -1},
    {"user": "me"},
    {"stop": None, "n": None},
    {"skip_special_tokens": True, "include_stop_str_in_output": False, "detokenize": True},
    {"stream_options": {"continuous_usage_stats": False, "include_obfuscation": False}},
]


@pytest.mark.parametrize("change", NOTHING, ids=lambda v: str(v)[:40])
def test_what_asks_for_nothing_is_accepted(server: Address, change: dict[str, Any]) -> None:
    assert server.post(GOOD | change).status_code == 200


def test_unknown_paths_and_methods(server: Address) -> None:
    assert error_of(server.get("/v1/embeddings")) == (404, None, None)
    assert error_of(server.get("/v1/completions")) == (405, None, None)


def test_the_official_client_raises_its_own_errors(server: Address) -> None:
    with pytest.raises(openai.BadRequestError, match="top_p: Input should be less than or equal to 1"):
        server.client().completions.create(model="tiny", prompt="Hi", top_p=3)
    with pytest.raises(openai.NotFoundError, match="'gpt-4' is not served here; 'tiny' is"):
        server.client().completions.create(model="gpt-4", prompt="Hi")


def test_a_broken_engine_is_unavailable() -> None:
    with serving(Scripted(broken=True)) as server:
        assert error_of(server.post(GOOD)) == (503, None, "engine_unavailable")
        assert error_of(server.get("/health")) == (503, None, "engine_unavailable")
        assert server.figures()["num_requests_running{}"] == 0


def test_a_fault_of_the_engine_is_told_whole_and_in_a_stream() -> None:
    with serving(Scripted(ends=Finish.ERROR, message="decode rank 1 died")) as server:
        assert error_of(server.post(GOOD)) == (500, None, "engine_error")
        stream = server.client().completions.create(model="tiny", prompt="Hi", stream=True)
        assert "".join(next(stream).choices[0].text for _ in range(3)) == "abc"
        with pytest.raises(openai.APIError, match="decode rank 1 died"):
            next(stream)
        assert server.figures()['request_success_total{finished_reason="error"}'] == 2


class Odd(Scripted):
    """An engine with a fault of programming."""

    def submit(self, generation: Generation) -> Any:
        raise ZeroDivisionError("a secret of the engine")


def test_an_internal_error_is_told_without_its_details(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.CRITICAL, "uvicorn.error"), serving(Odd()) as server:
        response = server.post(GOOD)
    assert error_of(response) == (500, None, "internal_error") and "secret" not in response.text


def test_a_fault_between_two_submissions_aborts_the_first() -> None:
    engine = Scripted(says=b"")
    plain = engine.submit

    def second_fails(generation: Generation) -> Any:
        engine.broken = bool(engine.submitted)
        return plain(generation)

    engine.submit = second_fails  # type: ignore[method-assign]
    with serving(engine) as server:
        assert error_of(server.post(GOOD | {"n": 3}))[0] == 503
        assert engine.aborted.acquire(timeout=10) and len(engine.submitted) == 1
