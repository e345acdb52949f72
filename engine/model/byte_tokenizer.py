"""Text as bytes: the tokenizer of the tiny models. Ids 0-255 are bytes, 256 begins a sequence, 257 ends it."""

from __future__ import annotations

from collections.abc import Iterable

BEGIN, END = 256, 257


def encode(text: str) -> list[int]:
    """The begin token and the text's bytes in UTF-8."""
    return [BEGIN, *text.encode()]


def decode(tokens: Iterable[int]) -> str:
    """The bytes among the tokens as text; what is no UTF-8 is replaced."""
    return bytes(t for t in tokens if t < 256).decode(errors="replace")
