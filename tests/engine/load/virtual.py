"""A generator on virtual time, whose answers take exactly as long as they are told to."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from engine.clock import VirtualTime
from engine.load import virtual
from engine.load.generator import Failure, Heard

Result = TypeVar("Result")


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """`asyncio.run` in virtual time, which jumps to the next timer."""
    time = VirtualTime()
    return virtual.run(main, time, time.advance)


@dataclass
class Timed:
    """A generator: the first token after `first_s`, each further one `interval_s` later; requests whose answer has `fails` tokens fail.

    Lengths are powers of two here and there, so that times add up exactly.
    """

    first_s: float = 1.0
    interval_s: float = 0.25
    fails: int = -1
    sent: list[tuple[float, int, int]] = field(default_factory=list)
    """Of every request: when it came, tokens said before it in its session, tokens that it added."""
    under_way: int = 0
    most_under_way: int = 0

    def converse(self, rounds: int) -> TimedConversation:
        return TimedConversation(self)


class TimedConversation:
    def __init__(self, generator: Timed):
        self._generator, self._said = generator, 0

    async def ask(self, added: tuple[int, ...], max_tokens: int) -> Heard:
        owner, loop = self._generator, asyncio.get_running_loop()
        owner.sent.append((loop.time(), self._said, len(added)))
        owner.under_way += 1
        owner.most_under_way = max(owner.most_under_way, owner.under_way)
        pieces = []
        try:
            for number in range(max_tokens):
                await asyncio.sleep(owner.interval_s if number else owner.first_s)
                pieces.append(loop.time())
        finally:
            owner.under_way -= 1
        if max_tokens == owner.fails:
            raise Failure("told to")
        prompt = self._said + len(added)
        self._said = prompt + max_tokens
        return Heard(prompt, max_tokens, tuple(pieces))
