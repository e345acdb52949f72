"""What the subjects share in which D reserves a place: a row of D's blocks, the same ones for as long as D lives.

A forward of D runs over all that has its first token; a row ends each request and gives its place back.
"""

from __future__ import annotations

from ..world import ANSWER_BLOCKS, ANSWER_TOKENS, PROMPT_BLOCKS, World

PLACE_BLOCKS = PROMPT_BLOCKS + ANSWER_BLOCKS


class Places(World):
    """A world whose D has places; `decode` is the name of its instance."""

    def place(self, number: int) -> tuple[int, ...]:
        """The blocks of a place."""
        return tuple(range(number * PLACE_BLOCKS, (number + 1) * PLACE_BLOCKS))

    def turn(self) -> bool:
        """A forward of D over what runs and has tokens to come."""
        tables = {q: table for q, table in self.running.items() if len(self.answers[q].tokens) < ANSWER_TOKENS}
        if tables:
            self.decode("decode", tables)
        return bool(tables)
