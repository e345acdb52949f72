"""Generating over HTTP: the load client of any server with OpenAI's /v1/completions, by streams of server-sent events.

A request by itself is sent as token ids, so that its length is exact. A session is sent as text, because servers answer in text: each
prompt is the text of everything said before and the characters of what the round adds. The lengths that are reported are the
server's own (`usage`).
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

from ..errors import EngineError
from .generator import Failure, Heard

CONNECT_S = 10.0
SILENCE_S = 600.0
"""The longest time without a piece; a server that is silent longer has lost the request."""
KEPT_S = 2.0
"""The longest time that a connection is kept without a request. Uvicorn closes its own after 5 s, and who asks at that moment gets no answer."""
ERROR_CHARACTERS_MAX = 300
"""Of a server's own words in an error."""

Json = dict[str, Any]


class HttpGenerator:
    """A `Generator` over a server.

    Args:
        client: whose base is the server's address. model: its served name. options: further fields of every request's body.
    """

    def __init__(self, client: httpx.AsyncClient, model: str, options: Mapping[str, Any]):
        self.client, self.model, self.options = client, model, options

    def converse(self, rounds: int) -> HttpConversation:
        """A new session; as text if it has several rounds."""
        return HttpConversation(self, textual=rounds > 1)


@asynccontextmanager
async def connect(url: str, model: str | None, options: Mapping[str, Any]) -> AsyncIterator[HttpGenerator]:
    """A generator over the server at `http://host:port`, for this model or for the first that it serves; closed at the end.

    A server that wants a key gets that of the environment, OPENAI_API_KEY.

    Raises:
        EngineError: the server does not answer, or has no such model.
    """
    base = url.rstrip("/").removesuffix("/v1")
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=KEPT_S)
    timeout = httpx.Timeout(SILENCE_S, connect=CONNECT_S, pool=None)
    key = os.environ.get("OPENAI_API_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        client = httpx.AsyncClient(base_url=base, headers=headers, timeout=timeout, limits=limits)
    except (httpx.InvalidURL, ValueError) as error:
        raise EngineError(f"{url}: {error}; give http://host:port") from None
    async with client:
        served = await _served(client, url)
        if model is not None and model not in served:
            raise EngineError(f"{url} serves {', '.join(served)}, not {model}; give one of these as --model")
        yield HttpGenerator(client, model or served[0], options)


async def _served(client: httpx.AsyncClient, url: str) -> list[str]:
    try:
        response = await client.get("/v1/models")
        response.raise_for_status()
        served = [str(model["id"]) for model in response.json()["data"]]
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
        raise EngineError(f"{url}: /v1/models has no answer ({_said(error)}); start a server with the OpenAI API there") from None
    if not served:
        raise EngineError(f"{url} serves no model; start it with one")
    return served


class HttpConversation:
    """A session: the text that was said."""

    def __init__(self, generator: HttpGenerator, *, textual: bool):
        self._generator, self._textual = generator, textual
        self._said = ""

    async def ask(self, added: tuple[int, ...], max_tokens: int) -> Heard:
        """Play the next round; see `Conversation`. A caller that is cancelled closes the stream."""
        prompt = self._said + "".join(map(chr, added)) if self._textual else list(added)
        body = {"model": self._generator.model, "prompt": prompt, "max_tokens": max_tokens, "stream": True}
        body |= {"stream_options": {"include_usage": True}} | dict(self._generator.options)
        stream = Stream(asyncio.get_running_loop())
        try:
            async with self._generator.client.stream("POST", "/v1/completions", json=body) as response:
                if response.status_code != httpx.codes.OK:
                    await response.aread()
                    raise Failure(f"HTTP {response.status_code}: {_problem(response)}")
                async for line in response.aiter_lines():
                    stream.take(line)
        except httpx.HTTPError as error:
            raise Failure(_said(error)) from None
        heard = stream.heard(len(prompt))
        if self._textual:
            self._said = f"{prompt}{stream.text}"
        return heard


class Stream:
    """The events of one answer, taken as they come."""

    def __init__(self, loop: asyncio.AbstractEventLoop):
        self._loop = loop
        self._pieces: list[float] = []
        self._usage: Json = {}
        self._done = False
        self.text = ""

    def take(self, line: str) -> None:
        """One line of the stream.

        Raises:
            Failure: the server tells of an error, or the line is no event of this API.
        """
        if not line.startswith("data:"):
            return  # empty lines part events; comments keep a connection alive
        content = line.removeprefix("data:").strip()
        if content == "[DONE]":
            self._done = True
            return
        try:
            event = json.loads(content)
            if "error" in event:
                raise Failure(_words(event["error"]))
            for choice in event["choices"]:
                # A last event that only says why the answer ended is no token; one without text may hold half a character.
                if choice["text"] or not choice.get("finish_reason"):
                    self._pieces.append(self._loop.time())
                    self.text += choice["text"]
            self._usage = event.get("usage") or self._usage
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Failure(f"not an event of /v1/completions: {content[:ERROR_CHARACTERS_MAX]}") from None

    def heard(self, prompt_length: int) -> Heard:
        """The whole answer; a server that tells no usage is taken to make a token a piece, and of each id or character of the prompt.

        Raises:
            Failure: the stream ended early, or without any piece.
        """
        if not self._done:
            raise Failure("the stream ended before its [DONE]")
        if not self._pieces:
            raise Failure("the answer has no token")
        prompt, answer = (self._usage.get(name) for name in ("prompt_tokens", "completion_tokens"))
        return Heard(prompt or prompt_length, answer or len(self._pieces), tuple(self._pieces))


def _problem(response: httpx.Response) -> str:
    """What a refusal says: OpenAI's error shape, or the beginning of whatever it is."""
    try:
        return _words(response.json()["error"])
    except (ValueError, KeyError, TypeError):
        return " ".join(response.text[:ERROR_CHARACTERS_MAX].split()) or response.reason_phrase


def _words(error: Any) -> str:
    said = error.get("message", error) if isinstance(error, dict) else error
    return " ".join(str(said)[:ERROR_CHARACTERS_MAX].split())


def _said(error: Exception) -> str:
    """What went wrong in one line: the server's status, or an error of the connection, of which some say nothing but their kind."""
    if isinstance(error, httpx.HTTPStatusError):
        return f"HTTP {error.response.status_code}"
    return " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
