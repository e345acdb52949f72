"""Which of D's queues does an item land in? (H24: `create_connection` over IPC always takes index 0)

D's engine-worker server keeps one queue of P's messages for each of its data-parallel instances; a client says which when it connects.
The old version connects to the first, whatever instance a request was routed to. So that instance reserves for requests that it does
not know, and their own instance never hears of them: the first token waits at the wrong one for a request that its scheduler does
not have. Ours: the message names the instance, and who connects takes the number from there.

Nothing here depends on the order of steps: it is wrong in every run with a request for another instance than the first.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial

from ...combine import any_of, me
from ...effect import when
from ...expr import TRUE
from ...machine import Machine, Row
from ...properties import leads_to, never, sometimes
from ...system import System
from ...types import BOOL, Enum, Index, Record
from ...variable import channel, ghost, private
from ..arguments import one_of

VARIANTS = ("published", "repaired")


class Kind(IntEnum):
    """P sends an ask, and later the first token."""

    ASK, TOKEN = range(2)


class Prefill(IntEnum):
    """P has ... the request."""

    PREPARED, ASKED, GRANTED, COMMITTED = range(4)


class Loop(IntEnum):
    """The decode loop of the instance is ..."""

    LISTENING, REPLYING = range(2)


def build(variant: str = "repaired", instances: int = 2) -> System:
    """One request for each data-parallel instance of D.

    Args:
        variant: published (index 0), repaired. instances: of D.

    Raises:
        DefinitionError: an unknown variant.
    """
    one_of(VARIANTS, variant=variant)
    own = Index("instance", instances)
    message = Record("Message", request=own, kind=Enum(Kind))
    queue = channel("disaggregate_requests", message, 2 * instances, over=own, cite="engine_worker facts 2.4")
    granted = channel("cache_sync", own, instances, kind="bag", cite="CH7")
    reserved, decoding = private("reserved_for", BOOL, over=(own, own)), private("decodes", BOOL, over=(own, own))
    foreign = ghost("reserved_elsewhere", BOOL)
    p, d, q = Prefill, Loop, me(own)
    sender, listener = partial(Row, actor="prefill"), partial(Row, actor="decode")
    hand = private("replies_to", own, over=own)

    def target(request: object) -> object:
        return 0 if variant == "published" else request

    head = queue[q].head
    # fmt: off
    prefill = [
        sender("ask",     p.PREPARED, p.ASKED,     TRUE, [queue[target(q)].send(message(request=q, kind=Kind.ASK))],   cite="4.4"),
        sender("granted", p.ASKED,    p.GRANTED,   TRUE, [granted.receive(q)], cite="4.5"),
        sender("commit",  p.GRANTED,  p.COMMITTED, TRUE, [queue[target(q)].send(message(request=q, kind=Kind.TOKEN))], cite="4.9"),
    ]
    noted = [reserved[q, head.request].set(True), hand[q].set(head.request), when(head.request != q, foreign.set(True)), queue[q].receive()]
    known = (head.kind == Kind.TOKEN) & (head.request == q)
    decode = [
        listener("reserve", d.LISTENING, d.REPLYING,  head.kind == Kind.ASK, noted, cite="8.1: makes an entry for whatever it is asked"),
        listener("grant",   d.REPLYING,  d.LISTENING, TRUE, [granted.send(hand[q]), hand[q].set(0)], cite="4.4"),
        listener("insert",  d.LISTENING, d.LISTENING, known, [decoding[q, q].set(True), queue[q].receive()], cite="4.11: has_request"),
    ]
    # fmt: on
    asking = Machine("prefill", p, prefill, copies=own, final=p.COMMITTED, doc="P, once a request.")
    loop = Machine("decode_loop", d, decode, copies=own, final=d.LISTENING, doc="D.L, once an instance.")
    return System(
        "queue_index",
        [asking, loop],
        [
            leads_to("committed_decoded", lambda r: asking.at(r) == p.COMMITTED, lambda r: decoding[r, r], each=own, about="L2"),
            never("reserved_elsewhere", foreign, about="S4: an instance reserves for its own requests"),
            sometimes("some_request_decodes", any_of(own, lambda r: decoding[r, r]), about="twin"),
        ],
        doc=__doc__ or "",
    )
