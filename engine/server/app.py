"""The HTTP of the server: OpenAI's endpoints over a `Service`.

A request is read and judged whole before anything is submitted, so that what is wrong with it costs the engine nothing. A client
that leaves, in a stream or while it waits, aborts its generations.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TypeVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from protocol import DefinitionError, ProtocolError

from ..clock import Clock, LiveClock
from ..errors import EngineError
from ..generation import Generation, Operable, Service
from ..model.config import ModelConfig
from ..model.sampling import Sampling
from ..vocabulary import Vocabulary
from .answer import Answer, Choice
from .control import control_routes
from .form import ChatForm, CompletionForm, Form, Json
from .problem import Problem, invalid, of_validation
from .schema import CHOICES_MAX, ChatBody, CompletionBody, Tokens, Wanted
from .telemetry import Telemetry, Track

BODY_BYTES_MAX = 4 << 20
"""A longer body is refused before it is kept."""
SEED_BITS = 63
"""Of a seed inside the engine: clients may give negative ones, a generator takes none."""
CLIENT_LEFT = 499
"""The status, seen by nobody, of a request whose client has left; nginx's number."""

logger = logging.getLogger(__name__)
Asked = TypeVar("Asked", bound=Wanted)


class Server:
    """What the endpoints share.

    Args:
        service: the engine, which the caller closes. config, vocabulary: of its model. seed: where requests without a seed draw theirs.
    """

    def __init__(self, service: Service, config: ModelConfig, vocabulary: Vocabulary, *, seed: int = 0, clock: Clock | None = None):
        self.service, self.config, self.vocabulary = service, config, vocabulary
        self.clock = clock or LiveClock()
        self.telemetry = Telemetry(service, config.name)
        self._seeds = random.Random(seed)
        self.model: Json = {
            "id": config.name,
            "object": "model",
            "created": 0,
            "owned_by": "interlock",
            "max_model_len": service.context_tokens,
        }

    async def read(self, request: Request, kind: type[Asked]) -> Asked:
        """The body of a request, for the model that is served.

        Raises:
            Problem: it is too long, malformed, or for another model.
        """
        body = bytearray()
        try:
            async for part in request.stream():
                body += part
                if len(body) > BODY_BYTES_MAX:
                    raise Problem(413, f"the body is longer than {BODY_BYTES_MAX} bytes")
        except ClientDisconnect:
            raise Problem(CLIENT_LEFT, "the body has ended early") from None
        try:
            asked = kind.model_validate_json(bytes(body))
        except ValidationError as error:
            raise of_validation(error) from None
        self.check_model(asked.model)
        return asked

    def check_model(self, name: str) -> None:
        """Raise a Problem unless that is the model we serve."""
        if name != self.config.name:
            raise Problem(404, f"the model {name!r} is not served here; {self.config.name!r} is", param="model", code="model_not_found")

    def submit(self, asked: Wanted, arrived_s: float, name: str) -> Answer:
        """Start everything that a request asks for, or nothing.

        Args:
            name: of the response; with the number of a choice behind it, under which an engine that captures routes stores them.

        Raises:
            Problem: it does not fit. EngineError: the engine has ended.
        """
        prompts = asked.prompts(self.vocabulary)
        if len(prompts) * asked.n > CHOICES_MAX:
            raise invalid(f"n: {len(prompts)} prompts times n={asked.n} are more than {CHOICES_MAX} answers", "n")
        seed = self._seeds.getrandbits(SEED_BITS) if asked.seed is None else asked.seed
        wanted = [self._generation(asked, prompt, (seed + copy) % (1 << SEED_BITS)) for prompt in prompts for copy in range(asked.n)]
        choices: list[Choice] = []
        answer = Answer(choices, sum(map(len, prompts)), self.clock)
        try:
            for index, generation in enumerate(wanted):
                track = Track(self.telemetry, arrived_s, len(generation.prompt))
                named = replace(generation, rollout=f"{name}-{index}")
                choices.append(Choice(self.service, self.vocabulary, named, index, asked.stop, track))
        except ProtocolError:
            answer.abort()
            raise
        return answer

    def _generation(self, asked: Wanted, prompt: Tokens, seed: int) -> Generation:
        if not all(0 <= token < self.config.vocabulary for token in prompt):
            raise invalid(f"prompt: token ids of {self.config.name} are 0 to {self.config.vocabulary - 1}", "prompt")
        context = self.service.context_tokens
        tokens = context - len(prompt) if asked.answer_tokens is None else asked.answer_tokens
        if len(prompt) + max(tokens, 1) > context:
            said = f"a prompt of {len(prompt)} and an answer of {max(tokens, 1)} do not fit: the model's context is {context} tokens"
            raise invalid(said, "messages" if isinstance(asked, ChatBody) else "prompt", "context_length_exceeded")
        last = set() if asked.ignore_eos else {self.config.last_token}
        sampling = Sampling(asked.temperature, asked.top_p, seed)
        return Generation(prompt, tokens, sampling, frozenset(last | set(asked.stop_token_ids)), asked.alternatives or 0)

    async def respond(self, request: Request, asked: Wanted, form: Form) -> Response:
        """The answer, whole or as a stream."""
        answer = self.submit(asked, self.clock.now(), form.id)
        if asked.stream:
            return EventStream(self._events(answer, form, asked.include_usage), answer)
        whole = asyncio.create_task(self._whole(answer, form))
        gone = asyncio.create_task(_disconnected(request))
        try:
            await asyncio.wait({whole, gone}, return_when=asyncio.FIRST_COMPLETED)
            return JSONResponse(whole.result()) if whole.done() else Response(status_code=CLIENT_LEFT)
        finally:
            whole.cancel()
            gone.cancel()
            answer.abort()

    async def _whole(self, answer: Answer, form: Form) -> Json:
        return form.whole(answer, [piece async for piece in answer.pieces()])

    async def _events(self, answer: Answer, form: Form, include_usage: bool) -> AsyncIterator[str]:
        absent: Json = {"usage": None} if include_usage else {}
        try:
            for choice in answer.choices:
                if (opening := form.opening(choice.index)) is not None:
                    yield _event(opening | absent)
            async for piece in answer.pieces():
                yield _event(form.chunk(piece) | absent)
            if include_usage:
                yield _event(form.usage_chunk(answer))
        except Exception as error:  # the status went out long ago; clients know an error object in a stream
            if not isinstance(error, Problem):
                logger.exception("a stream failed")
            yield _event(problem_of(error).as_json())
        yield "data: [DONE]\n\n"


class EventStream(StreamingResponse):
    """Server-sent events of an answer; whatever ends the response, the answer is not left running."""

    def __init__(self, events: AsyncIterator[str], answer: Answer):
        super().__init__(events, media_type="text/event-stream", headers={"Cache-Control": "no-cache"})
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._answer.abort()


def _event(content: Json) -> str:
    return f"data: {json.dumps(content, ensure_ascii=False, separators=(',', ':'))}\n\n"


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def make_app(server: Server, *, control: bool = False) -> FastAPI:
    """The application.

    Args:
        control: whether it has the operator's endpoints, for an engine that can be operated.
    """
    app = FastAPI(openapi_url=None)
    if control and isinstance(server.service, Operable):
        app.include_router(control_routes(server.service))

    @app.post("/v1/completions")
    async def completions(request: Request) -> Response:
        asked = await server.read(request, CompletionBody)
        return await server.respond(request, asked, CompletionForm(asked.model, server.vocabulary, asked.alternatives is not None))

    @app.post("/v1/chat/completions")
    async def chat_completions(request: Request) -> Response:
        asked = await server.read(request, ChatBody)
        return await server.respond(request, asked, ChatForm(asked.model, server.vocabulary, asked.alternatives is not None))

    @app.get("/v1/models")
    async def models() -> Json:
        return {"object": "list", "data": [server.model]}

    @app.get("/v1/models/{name:path}")
    async def model(name: str) -> Json:
        server.check_model(name)
        return server.model

    @app.get("/health")
    async def health() -> Response:
        server.service.stats()
        return Response()

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(server.telemetry.page(), media_type=CONTENT_TYPE_LATEST)

    def handle(_: Request, error: Exception) -> Response:
        problem = problem_of(error)
        return JSONResponse(problem.as_json(), problem.status)

    for kind in (Problem, ProtocolError, HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, handle)
    return app


def problem_of(error: Exception) -> Problem:
    """What the client is told of an error."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        return invalid(f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
    if isinstance(error, HTTPException):
        return Problem(error.status_code, f"{error.detail}; the endpoints are those of the OpenAI API")
    if isinstance(error, DefinitionError):
        return invalid(str(error))
    if isinstance(error, EngineError):
        return Problem(503, str(error), code="engine_unavailable")
    return Problem(500, "an internal error; the server's log has it", code="internal_error")
