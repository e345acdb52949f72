"""The façade of an engine: token ids in, token ids out, one generation at a time. Servers and load clients see nothing else of it.

One rule: a service delivers from whatever thread it likes, a client consumes on its event loop, and the `Handle` between them is
the only thing that both touch. Text, stop strings and HTTP are the client's; which token comes next is the service's.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from protocol import DefinitionError

from .model.balancing import ExpertUse
from .model.routing import Routing
from .model.sampling import Sampling

ROLLOUT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
"""Names of rollouts, which are names of folders."""


class Finish(StrEnum):
    """Why a generation ended: a stop token, its length, its client (or the service's end), or a fault."""

    STOP = "stop"
    LENGTH = "length"
    ABORT = "abort"
    ERROR = "error"


@dataclass(frozen=True)
class Generation:
    """What to generate.

    Args:
        prompt: token ids, at least one. max_tokens: of the answer, the stop token included.
        sampling: how tokens are chosen. stop_tokens: ids that end the answer; the one that does is delivered as its last token.
        alternatives: how many of the likeliest tokens are told beside each chosen one.
        rollout: the name under which an engine that captures routes stores them; it makes one if there is none.

    Raises:
        DefinitionError: an empty prompt, no tokens asked for, a negative number of alternatives, a rollout that is no name of a folder.
    """

    prompt: tuple[int, ...]
    max_tokens: int
    sampling: Sampling = Sampling()
    stop_tokens: frozenset[int] = frozenset()
    alternatives: int = 0
    rollout: str = ""

    def __post_init__(self) -> None:
        if not self.prompt:
            raise DefinitionError("a generation with an empty prompt; give at least one token")
        if self.max_tokens < 1:
            raise DefinitionError(f"max_tokens={self.max_tokens}: give at least 1")
        if self.alternatives < 0:
            raise DefinitionError(f"alternatives={self.alternatives}: give 0 or more")
        if self.rollout and not ROLLOUT.fullmatch(self.rollout):
            raise DefinitionError(f"rollout={self.rollout!r}: give letters, digits, '-', '_' and '.', the first a letter or a digit")

    @property
    def tokens(self) -> int:
        """Tokens of the prompt and of the longest answer together."""
        return len(self.prompt) + self.max_tokens


@dataclass(frozen=True)
class Token:
    """One generated token: its log-probability under the model (before temperature and nucleus), and the likeliest (id, log-probability).

    `routes`: which experts the tokens visited that it came of, and of which no earlier token has told; None where nobody captures them.
    """

    id: int
    log_probability: float
    alternatives: tuple[tuple[int, float], ...] = ()
    routes: Routing | None = None


@dataclass(frozen=True)
class PrefixUse:
    """What a prefix cache has been good for.

    Args:
        queries: tokens of prompts that were looked up. hits: those of them that were found, and not computed again.
        evictions: blocks that made room for others.
    """

    queries: int = 0
    hits: int = 0
    evictions: int = 0

    def __add__(self, other: PrefixUse) -> PrefixUse:
        return PrefixUse(self.queries + other.queries, self.hits + other.hits, self.evictions + other.evictions)

    @property
    def hit_rate(self) -> float:
        """The share of the tokens that were found; 0 of none."""
        return self.hits / self.queries if self.queries else 0.0


@dataclass(frozen=True)
class DraftUse:
    """What speculative decoding has been good for: draft tokens that were proposed, and those of them that were accepted."""

    proposed: int = 0
    accepted: int = 0

    def __add__(self, other: DraftUse) -> DraftUse:
        return DraftUse(self.proposed + other.proposed, self.accepted + other.accepted)

    @property
    def acceptance_rate(self) -> float:
        """The share that was accepted; 0 of none."""
        return self.accepted / self.proposed if self.proposed else 0.0


@dataclass(frozen=True)
class Stats:
    """What an engine is doing.

    Args:
        running, waiting: generations under way; those that were not scheduled yet. kv_usage: the share of KV blocks taken (0 to 1).
        prefix, drafts, experts: the use of its prefix cache, of draft tokens and of shared experts since the start; of none where there is none.
    """

    running: int
    waiting: int
    kv_usage: float
    prefix: PrefixUse = PrefixUse()
    drafts: DraftUse = DraftUse()
    experts: ExpertUse = ExpertUse()


class Handle:
    """A submitted generation. Iterate over it, once, for its tokens in order; afterwards `finish` says why it ended, `message` which fault.

    Made on the event loop that consumes it. `begin`, `put` and `end` are the service's and may be called from any thread.
    """

    def __init__(self, generation: Generation):
        self.generation = generation
        self.finish: Finish | None = None
        self.message = ""
        self.begun_s: float | None = None
        """When its first chunk was scheduled, on the machine's monotonic clock; None while it waits."""
        self._arrived: deque[Token | Finish] = deque()
        self._ended = False
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self._waking = False

    def begin(self, moment_s: float) -> None:
        """Its first chunk was scheduled; only the first time counts."""
        if self.begun_s is None:
            self.begun_s = moment_s

    def put(self, token: Token) -> None:
        """Deliver the next token; after the end it is dropped."""
        if not self._ended:
            self._arrived.append(token)
            self._wake()

    def end(self, finish: Finish, message: str = "") -> None:
        """End the generation, the first time it is called; a message tells the client of a fault."""
        if not self._ended:
            self._ended, self.message = True, message
            self._arrived.append(finish)
            self._wake()

    def _wake(self) -> None:
        # One wake-up serves everything that arrives before the consumer runs: `_waking` is lowered before the queue is drained.
        if not self._waking:
            self._waking = True
            try:
                self._loop.call_soon_threadsafe(self._ready.set)
            except RuntimeError:
                self._ended = True  # the loop is closed: nobody is left to tell

    def __aiter__(self) -> Handle:
        return self

    async def __anext__(self) -> Token:
        while not self._arrived:
            if self.finish is not None:
                raise StopAsyncIteration
            await self._ready.wait()
            self._ready.clear()
            self._waking = False
        arrived = self._arrived.popleft()
        if isinstance(arrived, Finish):
            self.finish = arrived
            raise StopAsyncIteration
        return arrived


@runtime_checkable
class Operable(Protocol):
    """An engine as its operator sees it. Orders are given one after another; each returns when it is carried out."""

    @property
    def is_paused(self) -> bool:
        """Whether no request is begun."""
        ...

    def pause(self, *, abort: bool = False) -> None:
        """Begin no further request, and return when none is under way; what comes meanwhile waits.

        Args:
            abort: give up what is under way, and what waits, instead of letting it end.

        Raises:
            EngineError: the engine has ended.
        """
        ...

    def resume(self) -> None:
        """Begin what has waited.

        Raises:
            EngineError: the engine has ended.
        """
        ...

    def update_weights(self, path: str | os.PathLike[str]) -> None:
        """Go on with the weights of a file. What is under way ends with the old ones; what waits gets the new ones.

        An engine that is paused stays so. Cost: what is under way is waited for; the file is mapped, not copied.

        Raises:
            DefinitionError: the file does not hold weights of this model; nothing has changed. EngineError: the engine has ended.
        """
        ...


class Service(Protocol):
    """An engine that generates. `submit` and `stats` raise an EngineError once the engine cannot go on, with the cause."""

    @property
    def context_tokens(self) -> int:
        """The most tokens that a prompt and its answer may have together."""
        ...

    def submit(self, generation: Generation) -> Handle:
        """Start a generation. Called on an event loop; returns at once.

        Raises:
            DefinitionError: it is longer than the context.
            EngineError: the engine has ended.
        """
        ...

    def abort(self, handle: Handle) -> None:
        """End a generation early with `Finish.ABORT`; its slot and blocks are free soon after. Nothing happens when it has ended."""
        ...

    def stats(self) -> Stats:
        """What the engine is doing now."""
        ...

    def close(self) -> None:
        """Abort what runs, free everything; called again, it does nothing."""
        ...
