"""Speculative decoding: who proposes draft tokens, how many of them the model accepts, and the rows that hold them on D.

A step decodes a row's last token and its drafts together. A draft is accepted when it is the model's own token at that place - the
likeliest, or the one that the request's generator draws - so that answers are those without drafts, whatever was proposed.
NaiveProposer proposes nothing: a speculative data path whose rows hold the last token alone, at place 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Protocol

import numpy as np

from ..errors import EngineError
from .shard import Chunk


class Proposer(Protocol):
    """`most`: drafts that it proposes at most."""

    most: int

    def propose(self, tokens: Sequence[int]) -> tuple[int, ...]:
        """Drafts of what follows these tokens, prompt and answer; perhaps none."""


class NaiveProposer:
    """No drafts: what a speculative path is without a draft model."""

    most = 0

    def propose(self, tokens: Sequence[int]) -> tuple[int, ...]:
        """Nothing."""
        return ()


class NgramProposer:
    """What followed the last `length` tokens when they occurred before."""

    def __init__(self, length: int = 2, most: int = 3):
        self.length, self.most = length, most

    def propose(self, tokens: Sequence[int]) -> tuple[int, ...]:
        """The tokens behind the youngest earlier occurrence that has enough behind it, else what there is. Cost: the length of the sequence."""
        end, found = len(tokens) - self.length, tuple[int, ...]()
        key = tuple(tokens[end:])
        for start in range(end - 1, -1, -1):
            if tuple(tokens[start : start + self.length]) == key:
                found = tuple(tokens[start + self.length : start + self.length + self.most])
                if len(found) == self.most:
                    break
        return found


def proposer_of(most: int) -> Proposer:
    """The proposer of so many drafts at most; of none, one that proposes nothing."""
    return NgramProposer(most=most) if most else NaiveProposer()


def accepted(drafts: Sequence[int], own: Iterable[int]) -> tuple[int, ...]:
    """The tokens that a step yields: the drafts up to the first wrong one, and the model's own token behind them.

    `own`: the token that the model chooses behind the last token and the first k drafts, for k = 0, 1, ...; asked no further than needed.
    """
    taken = []
    for place, token in enumerate(own):
        taken.append(token)
        if place == len(drafts) or token != drafts[place]:
            break
    return tuple(taken)


class Insertion(Enum):
    """What happens to a row's draft tokens when a request without drafts is inserted on D (open question Q5).

    The published insert sets the row's length to one more than it has room for drafts, and copies the request's drafts, of which
    there are none: the copy of nothing leaves what the row's last request left there, or raises. Ours places the first token.
    """

    LEFT_AS_IT_WAS = "left_as_it_was"
    RAISES = "raises"
    REPAIRED = "repaired"


class DraftRows:
    """`draft_tokens` and `seq_lens_this_time` of a worker on D: what each row decodes with in the next step.

    Args:
        rows: requests at once. most: drafts a row.
    """

    def __init__(self, rows: int, most: int, insertion: Insertion = Insertion.REPAIRED):
        self._insertion = insertion
        self.draft_tokens = np.zeros((rows, most + 1), np.int64)
        self.lengths = np.zeros(rows, np.int64)

    def insert(self, row: int, first_token: int, drafts: Sequence[int] = ()) -> None:
        """A request whose first token P has chosen takes the row; drafts come along with it from a draft model only.

        Raises:
            EngineError: the copy of nothing raises.
        """
        if drafts or self._insertion is Insertion.REPAIRED:
            self.place(row, first_token, drafts)
        elif self._insertion is Insertion.RAISES:
            wanted = self.draft_tokens.shape[1]
            raise EngineError(f"row {row}: draft_tokens[0:{wanted}] := [] is a shape error; place the request's first token at 0")
        else:
            self.lengths[row] = self.draft_tokens.shape[1]

    def place(self, row: int, last_token: int, drafts: Sequence[int]) -> None:
        """Behind a step: the last token at place 0, then the drafts."""
        self.lengths[row] = 1 + len(drafts)
        self.draft_tokens[row, : 1 + len(drafts)] = (last_token, *drafts)

    def chunk(self, row: int, start: int, table: tuple[int, ...]) -> Chunk:
        """What the row decodes with, its last token at position `start`; logits are wanted behind each token."""
        held = tuple(int(token) for token in self.draft_tokens[row, : self.lengths[row]])
        return Chunk(held, start, table, outputs=len(held))
