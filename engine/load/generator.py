"""What the load client knows of whoever generates: conversations that are asked, round after round.

One rule: the times of an answer's pieces are readings of the event loop's clock, taken where the pieces come in; so a loop whose
time is virtual gives the same measurement every time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Failure(Exception):
    """A request that got no answer; the text says why, in one line."""


@dataclass(frozen=True)
class Heard:
    """An answer: lengths in tokens (of the whole prompt, the earlier rounds included), and when its pieces came, at least one."""

    prompt_tokens: int
    output_tokens: int
    pieces_s: tuple[float, ...]


class Conversation(Protocol):
    """A session. Every round's prompt is what was said so far, answers included, and then what the round adds."""

    async def ask(self, added: tuple[int, ...], max_tokens: int) -> Heard:
        """Play the next round: add these token ids, hear an answer of so many tokens at most.

        Raises:
            Failure: there is no answer; the conversation is over.
        """
        ...


class Generator(Protocol):
    """An engine or a server."""

    def converse(self, rounds: int) -> Conversation:
        """A new session of so many rounds."""
        ...
