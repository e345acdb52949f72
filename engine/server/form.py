"""The JSON of answers, whole and in chunks: one form an endpoint, with OpenAI's field names."""

from __future__ import annotations

import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from ..generation import Finish
from ..vocabulary import Vocabulary
from .answer import Answer, Entry, Piece

Json = dict[str, Any]


class Form(ABC):
    """The shape of one request's answer.

    Args:
        model: its served name. vocabulary: spells tokens. logprobs: whether log-probabilities were asked for.
    """

    prefix: str
    whole_object: str
    chunk_object: str

    def __init__(self, model: str, vocabulary: Vocabulary, logprobs: bool):
        self.vocabulary, self.logprobs = vocabulary, logprobs
        # The date of an answer is the wall clock's, for people; every duration is of the engine's own clock.
        self._head: Json = {"id": f"{self.prefix}-{uuid.uuid4().hex}", "created": int(time.time()), "model": model}

    @property
    def id(self) -> str:
        """The response's name."""
        return str(self._head["id"])

    def whole(self, answer: Answer, pieces: Sequence[Piece]) -> Json:
        """All pieces of an answer as one object."""
        choices = []
        for choice in answer.choices:
            mine = [piece for piece in pieces if piece.index == choice.index]
            text, entries = "".join(p.text for p in mine), [entry for p in mine for entry in p.entries]
            choices.append(self._choice(choice.index, self.text(text), entries, mine[-1].finish))
        return self._head | {"object": self.whole_object, "choices": choices, "usage": usage(answer)}

    def chunk(self, piece: Piece) -> Json:
        """One piece as the object of a stream."""
        return self._chunk([self._choice(piece.index, self.delta(piece.text), piece.entries, piece.finish)])

    def opening(self, index: int) -> Json | None:
        """What a stream says of a choice before its first piece; None for nothing."""
        return None

    def usage_chunk(self, answer: Answer) -> Json:
        """The last object of a stream that asked for its usage."""
        return self._chunk([]) | {"usage": usage(answer)}

    def _chunk(self, choices: list[Json]) -> Json:
        return self._head | {"object": self.chunk_object, "choices": choices}

    def _choice(self, index: int, said: Json, entries: Sequence[Entry], finish: Finish | None) -> Json:
        logprobs = self.entries(entries) if self.logprobs else None
        return {"index": index, **said, "logprobs": logprobs, "finish_reason": None if finish is None else finish.value}

    def spelled(self, token: int) -> str:
        """A name for each token: its text, or its bytes if they are a part of a character, or its number if it is special."""
        data = self.vocabulary.bytes_of(token)
        try:
            return data.decode() or f"token_id:{token}"
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in data)

    @abstractmethod
    def text(self, text: str) -> Json:
        """Where a whole choice has its text."""

    @abstractmethod
    def delta(self, text: str) -> Json:
        """Where a chunk has its text."""

    @abstractmethod
    def entries(self, entries: Sequence[Entry]) -> Json:
        """Log-probabilities."""


class CompletionForm(Form):
    """Of /v1/completions."""

    prefix, whole_object, chunk_object = "cmpl", "text_completion", "text_completion"

    def text(self, text: str) -> Json:
        """The text itself."""
        return {"text": text}

    def delta(self, text: str) -> Json:
        """As in a whole choice."""
        return self.text(text)

    def entries(self, entries: Sequence[Entry]) -> Json:
        """Four lists of one length; the chosen token is among the likeliest in any case."""
        return {
            "tokens": [self.spelled(e.token.id) for e in entries],
            "token_logprobs": [e.token.log_probability for e in entries],
            "top_logprobs": [
                {self.spelled(token): log for token, log in (*e.token.alternatives, (e.token.id, e.token.log_probability))} for e in entries
            ],
            "text_offset": [e.offset for e in entries],
        }


class ChatForm(Form):
    """Of /v1/chat/completions."""

    prefix, whole_object, chunk_object = "chatcmpl", "chat.completion", "chat.completion.chunk"

    def opening(self, index: int) -> Json | None:
        """The role of who speaks."""
        return self._chunk([self._choice(index, {"delta": {"role": "assistant", "content": ""}}, (), None)])

    def text(self, text: str) -> Json:
        """A message of the assistant."""
        return {"message": {"role": "assistant", "content": text}}

    def delta(self, text: str) -> Json:
        """What is added to the message."""
        return {"delta": {"content": text}}

    def entries(self, entries: Sequence[Entry]) -> Json:
        """An object a token."""
        return {
            "content": [
                self._spelled(e.token.id, e.token.log_probability) | {"top_logprobs": [self._spelled(*other) for other in e.token.alternatives]}
                for e in entries
            ]
        }

    def _spelled(self, token: int, log_probability: float) -> Json:
        return {"token": self.spelled(token), "bytes": list(self.vocabulary.bytes_of(token)), "logprob": log_probability}


def usage(answer: Answer) -> Json:
    """Tokens of the prompts and of all choices."""
    prompt, completion = answer.prompt_tokens, answer.completion_tokens
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
