"""Losses: why a request has no answer, as the protocol's states say at the moment when it is lost.

What P knew of a request is gone with P, and what D knew with D. So of a dead P D's entry tells whether the request had its reservation already;
of a dead D, the tokens that its client has got.
"""

from __future__ import annotations

from enum import StrEnum


class Loss(StrEnum):
    """What has become of the request, in words about it."""

    QUEUED = "its prefill instance died while it was queued"
    PREFILLING = "its prefill instance died before all of its KV cache was in decode"
    NO_ROOM = "its prefill instance gave up waiting for room in decode"
    UNSENT = "its KV cache could not be written to its decode instance"
    DECODING = "its decode instance died"


def loss_text(loss: Loss | None, tokens: int) -> str:
    """What a client is told who has got so many tokens; None where nothing is known."""
    what = loss or "it ended without an answer"
    where = f" after {tokens} token{'s' * (tokens != 1)}" if tokens else " before its first token" if loss is Loss.DECODING else ""
    return f"{what}{where}; send it again"
