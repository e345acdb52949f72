"""The router, which posts every request to P and to D (1.3) and returns what D answers."""

from __future__ import annotations

from enum import IntEnum

from ...combine import me
from ...expr import TRUE
from ...machine import Machine, Row
from .terms import Terms


class Posting(IntEnum):
    """The router has posted to ..."""

    NOBODY, PREFILL, BOTH = range(3)


def client(t: Terms) -> Machine:
    """R: the router posts each request to P and to D (1.3); it never tires, so its rows are fair."""
    q, c = me(t.request), Posting
    rows = [
        Row("post_to_prefill", c.NOBODY, c.PREFILL, TRUE, [t.prefill_posts[q].send(True)], "router", fair="weak", cite="1.3"),
        Row("post_to_decode", c.PREFILL, c.BOTH, TRUE, [t.decode_posts[q].send(True)], "router", fair="weak", cite="1.3"),
    ]
    return Machine("client", c, rows, copies=t.request, environment=True, doc="the router, on behalf of the clients")
