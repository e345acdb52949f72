"""Prompts: token ids that a workload's lengths and block names are filled with.

They are ids of printable ASCII characters in a vocabulary of bytes; every other vocabulary has so many too, and none of its
special tokens among them.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from ..workload import Request

IDS = range(32, 127)


def prompt_of(request: Request, number: int, seed: int) -> tuple[int, ...]:
    """The prompt of a request, the same for the same seed: its named blocks, equal for equal names, then tokens of its own.

    Args:
        number: of the request in its workload; two requests have different tokens of their own.
    Cost: a draw per token.
    """
    tokens: list[int] = []
    for block in request.blocks:
        tokens += _drawn(f"{seed} block {block}", request.block_tokens)
    own = request.prompt_tokens - len(tokens)
    return tuple(tokens[: request.prompt_tokens]) + tuple(_drawn(f"{seed} request {number}", max(0, own)))


def _drawn(seed: str, count: int) -> Sequence[int]:
    return random.Random(seed).choices(IDS, k=count)
