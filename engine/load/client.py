"""The client: begins sessions when they are due, plays their rounds one after the other, and keeps what it saw.

One rule: a round is sent when it is due and the round before it has been answered. Time is the event loop's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext

from ..metrics import Completion, Measurement
from ..workload import Request, Session, sessions_of
from .generator import Conversation, Failure, Generator
from .prompts import prompt_of
from .traffic import Traffic


async def play(
    requests: Sequence[Request], generator: Generator, traffic: Traffic, *, progress: Callable[[int], None] = lambda _: None
) -> Measurement:
    """Play a workload, given in order of arrival, to its last answer. `progress` is told how many requests are over each time one is."""
    return await Client(requests, generator, traffic, progress).run()


class Client:
    """One run of a workload."""

    def __init__(self, requests: Sequence[Request], generator: Generator, traffic: Traffic, progress: Callable[[int], None]):
        self._sessions = sessions_of(requests)
        self._generator, self._traffic, self._progress = generator, traffic, progress
        self._loop = asyncio.get_running_loop()
        free: AbstractAsyncContextManager[object] = nullcontext()
        self._place = free if traffic.concurrency is None else asyncio.Semaphore(traffic.concurrency)
        self._completions: list[Completion] = []

    async def run(self) -> Measurement:
        """Begin every session at its time, in order, and wait for the last."""
        self._began = self._loop.time()
        starts = self._traffic.starts_s(self._sessions)
        async with asyncio.TaskGroup() as group:
            # Sessions of one moment keep their order: a timer for each would not.
            for start, session in zip(starts, self._sessions):
                await self._until(self._began + start)
                group.create_task(self._play(session, self._began + start))
        completions = sorted(self._completions, key=lambda c: c.request)
        return Measurement(tuple(completions), self._loop.time() - self._began)

    async def _play(self, session: Session, due: float) -> None:
        async with self._place:
            conversation = self._generator.converse(len(session))
            error = ""
            for round_, (number, request) in enumerate(session):
                if round_ > 0:
                    due = self._round_due(request)
                if error:
                    self._over(Completion(number, request.prompt_tokens, 0, due, due, (), error))
                    continue
                await self._until(due)
                completion = await self._ask(conversation, number, request, due)
                self._over(completion)
                if completion.error:
                    error = f"not sent: request {number}, an earlier round of its session, failed"

    def _round_due(self, request: Request) -> float:
        """When a later round is due: now that the one before is answered, or at its own time if that is later."""
        now = self._loop.time()
        return max(now, self._began + request.arrival_s / self._traffic.speed) if self._traffic.timed else now

    async def _ask(self, conversation: Conversation, number: int, request: Request, due: float) -> Completion:
        prompt = prompt_of(request, number, self._traffic.seed)
        sent = self._loop.time()
        try:
            heard = await conversation.ask(prompt, request.output_tokens)
        except Failure as failure:
            return Completion(number, len(prompt), 0, due, sent, (), str(failure))
        return Completion(number, heard.prompt_tokens, heard.output_tokens, due, sent, heard.pieces_s)

    def _over(self, completion: Completion) -> None:
        self._completions.append(completion)
        self._progress(len(self._completions))

    async def _until(self, moment: float) -> None:
        if (left := moment - self._loop.time()) > 0:
            await asyncio.sleep(left)
