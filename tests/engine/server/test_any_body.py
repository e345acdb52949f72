"""Whatever is posted, a client is never told of a fault of ours, and the engine goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conftest import CONTEXT, Address

NUMBERS = st.sampled_from([-1, 0, 1, 2, 3, 20, 21, CONTEXT, 2**31, 2**63, -(2**63), 10**40]) | st.floats()
ATOMS = st.none() | st.booleans() | NUMBERS | st.text(max_size=8)
ANYTHING = st.recursive(ATOMS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=8)
TEXT = st.text(min_size=1, max_size=20)
MESSAGE = st.fixed_dictionaries({"role": st.sampled_from(["system", "developer", "user", "assistant"]), "content": st.text(max_size=20)})

# fmt: off
SENSIBLE: dict[str, st.SearchStrategy[Any]] = {
    "prompt":          TEXT | st.lists(st.integers(0, 263), min_size=1, max_size=20) | st.lists(TEXT, min_size=1, max_size=3),
    "messages":        st.lists(MESSAGE, min_size=1, max_size=3),
    "n":               st.integers(1, 3),
    "temperature":     st.floats(0, 2),
    "top_p":           st.floats(1e-9, 1),
    "seed":            st.integers(-(2**63), 2**63 - 1),
    "stop":            TEXT | st.lists(TEXT, max_size=4),
    "stop_token_ids":  st.lists(st.integers(), max_size=3),
    "stream":          st.booleans(),
    "stream_options":  st.fixed_dictionaries({}, optional={"include_usage": st.booleans()}),
    "ignore_eos":      st.booleans(),
    "echo":            st.just(False),
    "logit_bias":      st.just({}),
    "tools":           st.just([]),
}
# fmt: on


@st.composite
def bodies(draw: st.DrawFn, chat: bool) -> dict[str, Any]:
    """What is needed, short answers, some other fields; and, every other time, one of all of them is anything at all."""
    needed = "messages" if chat else "prompt"
    chosen = draw(st.lists(st.sampled_from([name for name in SENSIBLE if name not in ("prompt", "messages")]), max_size=5, unique=True))
    body = {"model": "tiny", "max_tokens": draw(st.integers(1, 5))} | {name: draw(SENSIBLE[name]) for name in (needed, *chosen)}
    if draw(st.booleans()):
        body |= {"logprobs": True, "top_logprobs": draw(st.integers(0, 20))} if chat else {"logprobs": draw(st.integers(0, 20))}
    if draw(st.booleans()):
        body[draw(st.sampled_from([*body, *SENSIBLE, "model", "user"]) | st.text(max_size=8))] = draw(ANYTHING)
    return {"max_tokens": 3} | body


def judge(answered: httpx.Response, streamed: bool) -> None:
    """An answer, or a refusal that tells in one line what was wrong."""
    assert answered.status_code in (200, 400, 404), answered.text
    if answered.status_code != 200:
        error = answered.json()["error"]
        assert error["type"] == "invalid_request_error" and error["message"] and "\n" not in error["message"]
    elif streamed:
        *events, last = [line for line in answered.text.split("\n\n") if line]
        assert last == "data: [DONE]" and not any("error" in json.loads(event.removeprefix("data: ")) for event in events)
    else:
        assert all(choice["finish_reason"] in ("stop", "length") for choice in answered.json()["choices"])


@pytest.fixture(autouse=True, scope="module")
def the_engine_goes_on(server: Address) -> Iterator[None]:
    """After all of it a good request is answered, and no slot or block is held."""
    yield
    assert server.post({"model": "tiny", "prompt": "Hi", "max_tokens": 2}).json()["usage"]["completion_tokens"] <= 2
    figures = server.figures()
    assert [figures[f"{name}{{}}"] for name in ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc")] == [0, 0, 0]


EXAMPLES = settings(derandomize=True, max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@EXAMPLES
@given(st.booleans().flatmap(lambda chat: st.tuples(st.just(chat), bodies(chat))))
def test_any_object(server: Address, asked: tuple[bool, dict[str, Any]]) -> None:
    chat, body = asked
    posted = server.post(json.dumps(body).encode(), "chat/completions" if chat else "completions")
    judge(posted, body.get("stream") is True)


@EXAMPLES
@given(st.binary(max_size=40) | ANYTHING.map(lambda value: json.dumps(value).encode()))
def test_any_bytes(server: Address, body: bytes) -> None:
    judge(server.post(body), False)
