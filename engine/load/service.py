"""Generating in process: the load client over a `Service`, without HTTP between."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import count

from protocol import ProtocolError

from ..generation import Finish, Generation, Service
from ..model.sampling import Sampling
from .generator import Failure, Heard


class ServiceGenerator:
    """A `Generator` over an engine of this process.

    Args:
        service: the engine, which the caller closes. sampling: of every token; each request draws with a seed of its own, the next number.
        stop_tokens: ids that end an answer early; with none, every answer is as long as the workload says.
    """

    def __init__(self, service: Service, sampling: Sampling, stop_tokens: frozenset[int] = frozenset()):
        self.service, self.sampling, self.stop_tokens = service, sampling, stop_tokens
        self.numbers = count()
        """Of what is asked for, in its order."""

    def converse(self, rounds: int) -> ServiceConversation:
        """A new session."""
        return ServiceConversation(self)


class ServiceConversation:
    """A session: the token ids that were said."""

    def __init__(self, generator: ServiceGenerator):
        self._generator = generator
        self._said: tuple[int, ...] = ()

    async def ask(self, added: tuple[int, ...], max_tokens: int) -> Heard:
        """Play the next round; see `Conversation`. A caller that is cancelled aborts the generation."""
        service, loop = self._generator.service, asyncio.get_running_loop()
        prompt = self._said + added
        answer: list[int] = []
        pieces: list[float] = []
        try:
            number = next(self._generator.numbers)
            sampling = replace(self._generator.sampling, seed=self._generator.sampling.seed + number)
            wanted = Generation(prompt, max_tokens, sampling, self._generator.stop_tokens, rollout=f"request-{number}")
            handle = service.submit(wanted)
        except ProtocolError as error:
            raise Failure(str(error)) from None
        try:
            async for token in handle:
                pieces.append(loop.time())
                answer.append(token.id)
        except asyncio.CancelledError:
            service.abort(handle)
            raise
        if handle.finish not in (Finish.STOP, Finish.LENGTH):
            raise Failure(handle.message or f"the generation ended early ({handle.finish})")
        self._said = (*prompt, *answer)
        return Heard(len(prompt), len(answer), tuple(pieces))
