"""Between text and the token ids of a model: encoding, the bytes of a token, the chat template; and text out of tokens as they come."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import Protocol

from .model import smollm2
from .model.config import TINY, ModelConfig

Message = tuple[str, str]
"""Role and content of a chat message; roles are system, user and assistant."""


class Vocabulary(Protocol):
    """A model's tokenizer. Every token is some bytes of UTF-8, perhaps a part of a character; special tokens are none."""

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, with what the model wants before it."""
        ...

    def bytes_of(self, token: int) -> bytes:
        """The bytes that a token of the model stands for."""
        ...

    def chat(self, messages: Sequence[Message]) -> str:
        """The prompt of a conversation, up to where the assistant answers."""
        ...


class ByteVocabulary:
    """The tiny models' vocabulary: a token a byte. They have learnt no template, so a conversation is written as a play would be:
    a line `role: content` a message, then `assistant:`."""

    def encode(self, text: str) -> list[int]:
        """The begin token and the text's bytes in UTF-8."""
        assert TINY.first_token is not None
        return [TINY.first_token, *text.encode()]

    def bytes_of(self, token: int) -> bytes:
        """The byte; none for the begin and end tokens, and for ids that the tiny models have and nothing uses."""
        return bytes([token]) if token < 256 else b""

    def chat(self, messages: Sequence[Message]) -> str:
        """The conversation as lines."""
        return "".join(f"{role}: {content}\n" for role, content in messages) + "assistant:"


def vocabulary_of(config: ModelConfig) -> Vocabulary:
    """The vocabulary of a model.

    Raises:
        DefinitionError: smollm2 was not fetched, or a package is missing.
    """
    return smollm2.ChatTokenizer() if config == smollm2.SMOLLM2 else ByteVocabulary()


class Detokenizer:
    """Text out of tokens, one at a time: a character comes out with its last byte, and bytes that are no UTF-8 are replaced."""

    def __init__(self, vocabulary: Vocabulary):
        self._vocabulary = vocabulary
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token: int) -> str:
        """The text that this token completes."""
        return self._decoder.decode(self._vocabulary.bytes_of(token))

    def flush(self) -> str:
        """What a character that was cut off leaves."""
        return self._decoder.decode(b"", final=True)


class StopStrings:
    """Finds stop strings in a text that comes in pieces, and holds back what may still become one.

    The cut does not depend on where the pieces end: it is before the match that is complete first, the longest if several are.
    """

    def __init__(self, stops: Sequence[str]):
        self._stops = stops
        self._longest = max(map(len, stops), default=0)
        self._held = ""
        self.found = False

    def push(self, text: str) -> str:
        """The text that may go out now. Once a stop string was found, `found` is set and the text before it has gone out."""
        out = ""
        for letter in text if self._stops else ():
            self._held += letter
            matches = [stop for stop in self._stops if self._held.endswith(stop)]
            if matches:
                self.found = True
                return out + self._held[: -max(map(len, matches))]
            keep = next(k for k in range(min(self._longest - 1, len(self._held)), -1, -1) if self._may_become(k))
            out, self._held = out + self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return out if self._stops else text

    def flush(self) -> str:
        """What was held back, now that nothing follows."""
        held, self._held = self._held, ""
        return held

    def _may_become(self, length: int) -> bool:
        tail = self._held[len(self._held) - length :]
        return any(stop.startswith(tail) for stop in self._stops)
