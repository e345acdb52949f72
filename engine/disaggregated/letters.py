"""Letters between the processes of an engine and the program that has started it: what is wanted, and what has come of it.

The protocol knows nothing of them. A generation has a key here, unique among all ever, under which everything about it comes back. What an
operator writes is in `operator.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..generation import Finish, Generation, Token
from .loss import Loss


@dataclass(frozen=True)
class Submit:
    """To the router: a generation, and the key under which its tokens come back."""

    key: int
    generation: Generation


@dataclass(frozen=True)
class Abort:
    """To the router: give a generation up."""

    key: int


@dataclass(frozen=True)
class GivenUp:
    """From the router: a generation was given up before it had a number."""

    key: int


@dataclass(frozen=True)
class Inspect:
    """To an engine: say what is held, and find nothing wrong with the count of blocks. `look`: what the answer is to name."""

    look: int = 0


@dataclass(frozen=True)
class Held:
    """From an engine: blocks that are taken, and requests that it has tables of; to which look. False where there are none."""

    look: int
    blocks: int
    requests: int

    def __bool__(self) -> bool:
        return self.blocks > 0 or self.requests > 0

    def __str__(self) -> str:
        return f"{self.blocks} blocks of {self.requests} requests"


@dataclass(frozen=True)
class Begun:
    """P has scheduled chunks of these requests; only the first time tells something new."""

    keys: tuple[int, ...]


@dataclass(frozen=True)
class Produced:
    """A token for a client."""

    key: int
    token: Token


@dataclass(frozen=True)
class Closed:
    """The router has D's answer, or the news that there will be none: why it has ended, and of an error how. All its tokens have been told before."""

    key: int
    finish: Finish
    loss: Loss | None = None
