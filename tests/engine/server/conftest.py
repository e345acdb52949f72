"""A server on a free port, in a thread of the test process, over the monolithic engine or a scripted one."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
import numpy as np
import openai
import pytest

from engine.errors import EngineError
from engine.generation import DraftUse, Finish, Generation, Handle, PrefixUse, Service, Stats, Token
from engine.in_process import InProcess
from engine.model.balancing import ExpertUse
from engine.model.config import TINY, ModelConfig
from engine.model.weights import Weights, seeded
from engine.server.app import Server, make_app
from engine.server.serve import open_socket, uvicorn_for
from engine.vocabulary import ByteVocabulary

CONTEXT = 256


def flattened(config: ModelConfig) -> Weights:
    """A seeded model with its logits flattened, so that sampling draws many different bytes."""
    whole = seeded(config)
    return Weights(config, {**whole.arrays, "norm": np.asarray(whole["norm"] * 0.05, np.float32)})


WEIGHTS = flattened(TINY)
HTTP, OPENAI_HTTP = httpx.Client(timeout=30, verify=False), openai.DefaultHttpxClient(verify=False)
"""One for all tests: making one takes longer than a request."""


@dataclass
class Address:
    """Where a server listens, and how tests ask it."""

    url: str

    def client(self) -> openai.OpenAI:
        """The official client."""
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key="none", max_retries=0, http_client=OPENAI_HTTP)

    def get(self, path: str) -> httpx.Response:
        """Get a path."""
        return HTTP.get(f"{self.url}{path}")

    def post(self, body: object, path: str = "completions") -> httpx.Response:
        """Post JSON, or these bytes."""
        url = f"{self.url}/v1/{path}"
        return HTTP.post(url, content=body) if isinstance(body, bytes) else HTTP.post(url, json=body)

    def figures(self) -> dict[str, float]:
        """The lines of /metrics: name, with labels other than the model, to value."""
        lines = [line.rpartition(" ") for line in self.get("/metrics").text.splitlines() if not line.startswith("#")]
        return {re.sub(r',?model_name="[^"]*"', "", name).removeprefix("interlock:"): float(value) for name, _, value in lines}


@contextmanager
def serving(service: Service, config: ModelConfig = TINY) -> Iterator[Address]:
    """A server over this engine, which is closed with it."""
    server = uvicorn_for(make_app(Server(service, config, ByteVocabulary()), control=True))
    with open_socket("127.0.0.1", 0) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
        thread.start()
        try:
            yield Address(url)
        finally:
            service.close()
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="package")
def server() -> Iterator[Address]:
    """A server over the monolithic engine."""
    with serving(InProcess(WEIGHTS, ranks=2, sequences=4, context_tokens=CONTEXT, round_tokens=32)) as address:
        yield address


@dataclass
class Scripted:
    """An engine that does what a test tells it: every generation gets the bytes of `says`, and then `ends` (None: it goes on for ever)."""

    says: bytes = b"abc"
    ends: Finish | None = None
    message: str = ""
    broken: bool = False
    context_tokens: int = CONTEXT
    submitted: list[Generation] = field(default_factory=list)
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    """Released once for each generation submitted."""
    aborted: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    """Released once for each abort."""

    def submit(self, generation: Generation) -> Handle:
        self.stats()
        self.submitted.append(generation)
        self.arrived.release()
        handle = Handle(generation)
        for byte in self.says:
            handle.put(Token(byte, -1.0))
        if self.ends is not None:
            handle.end(self.ends, self.message)
        return handle

    def abort(self, handle: Handle) -> None:
        handle.end(Finish.ABORT)
        self.aborted.release()

    def stats(self) -> Stats:
        if self.broken:
            raise EngineError("decode rank 1 died; start the engine again")
        return Stats(2, 1, 0.5, PrefixUse(queries=30, hits=20), DraftUse(9, 4), ExpertUse(2, (1.5, 1.25)))

    def close(self) -> None:
        pass
