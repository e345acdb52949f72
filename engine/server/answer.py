"""Generations on their way to a client: tokens become text, stop strings end them, and a client that leaves aborts them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from ..clock import Clock
from ..generation import Finish, Generation, Service, Token
from ..vocabulary import Detokenizer, StopStrings, Vocabulary
from .problem import Problem
from .telemetry import Track


@dataclass(frozen=True)
class Entry:
    """A token whose text went out: where in the answer's text it begins, in characters."""

    token: Token
    offset: int


@dataclass(frozen=True)
class Piece:
    """What one token, or the end, adds to a choice: text, the tokens that begin in it, and why the choice ended if it did."""

    index: int
    text: str
    entries: tuple[Entry, ...]
    finish: Finish | None = None


class Choice:
    """One answer to a request; its text is complete up to what a stop string or a cut character holds back."""

    def __init__(self, service: Service, vocabulary: Vocabulary, generation: Generation, index: int, stops: Sequence[str], track: Track):
        self.index, self.generation, self.track = index, generation, track
        self._service = service
        self._handle = service.submit(generation)
        self._text, self._stops = Detokenizer(vocabulary), StopStrings(stops)
        self._decoded = self._sent = 0  # characters
        self._entries: list[Entry] = []

    async def pieces(self, clock: Clock) -> AsyncIterator[Piece]:
        """A piece for every token, in order, and a last one with the end.

        Raises:
            Problem: the engine ended the generation by a fault.
        """
        async for token in self._handle:
            self.track.token(clock.now())
            if token.id in self.generation.stop_tokens:
                continue
            self._entries.append(Entry(token, self._decoded))
            # Nothing follows the last token, so all text goes out with it: a piece with text is a token, for whoever measures them.
            last = self.track.tokens == self.generation.max_tokens
            text = self._text.push(token.id) + (self._text.flush() if last else "")
            self._decoded += len(text)
            released = self._stops.push(text)
            if self._stops.found:
                self._service.abort(self._handle)
                yield self._last(released, Finish.STOP, clock)
                return
            yield self._piece(released + (self._stops.flush() if last else ""))
        finish = self._handle.finish or Finish.ERROR
        if finish is Finish.ERROR:
            self._end(finish, clock)
            raise Problem(500, f"the engine could not finish this request: {self._handle.message}", code="engine_error")
        released = self._stops.push(self._text.flush())
        yield self._last(released if self._stops.found else released + self._stops.flush(), finish, clock)

    def abort(self, clock: Clock) -> None:
        """Nobody wants it any more; nothing happens once it has ended."""
        if not self.track.ended:
            self._service.abort(self._handle)
            self._end(Finish.ABORT, clock)

    def _end(self, finish: Finish, clock: Clock) -> None:
        self.track.end(finish, clock.now(), self._handle.begun_s)

    def _piece(self, text: str) -> Piece:
        self._sent += len(text)
        ready = tuple(entry for entry in self._entries if entry.offset < self._sent)
        self._entries = self._entries[len(ready) :]
        return Piece(self.index, text, ready)

    def _last(self, text: str, finish: Finish, clock: Clock) -> Piece:
        self._end(finish, clock)
        piece = self._piece(text)
        # What is left has no text: it was cut off by a stop string, or it is a token without characters at the very end.
        rest = () if self._stops.found else tuple(self._entries)
        return Piece(self.index, piece.text, piece.entries + rest, finish)


class Answer:
    """All choices of a request."""

    def __init__(self, choices: Sequence[Choice], prompt_tokens: int, clock: Clock):
        self.choices, self.prompt_tokens, self._clock = choices, prompt_tokens, clock

    async def pieces(self) -> AsyncIterator[Piece]:
        """The pieces of all choices as they come; the first fault ends them all."""
        arrived: asyncio.Queue[Piece | Exception | None] = asyncio.Queue()

        async def pump(choice: Choice) -> None:
            try:
                async for piece in choice.pieces(self._clock):
                    arrived.put_nowait(piece)
            except Exception as error:  # raised where the pieces are consumed
                arrived.put_nowait(error)
            else:
                arrived.put_nowait(None)

        pumps = [asyncio.create_task(pump(choice)) for choice in self.choices]
        try:
            for _ in pumps:
                while (piece := await arrived.get()) is not None:
                    if isinstance(piece, Exception):
                        raise piece
                    yield piece
        finally:
            for task in pumps:
                task.cancel()

    def abort(self) -> None:
        """End what still runs."""
        for choice in self.choices:
            choice.abort(self._clock)

    @property
    def completion_tokens(self) -> int:
        """Tokens generated so far, over all choices."""
        return sum(choice.track.tokens for choice in self.choices)
