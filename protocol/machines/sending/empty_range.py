"""Which blocks a pass sends, and the pass that has none to send (H-18).

At registration the list of D's blocks is padded in front to the length of P's: d = len(src) - len(dest) blocks need no sending, and
`sended_block_num` begins at d. A chunk up to t tokens sends the blocks from there to t // block_size, the last chunk to the end. A
pass without blocks counts its layers and resets them, but never sets "finished": if the last chunk has none, the request is
never reported. That needs a D that has every block already, which prefix caching on D would bring. If D's list is the longer
one, d is negative and the range begins behind the end of the list: foreign blocks.

Ours: the last chunk finishes the request whether or not it sends, and a list of another length is refused at registration.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial

from ...combine import if_else
from ...errors import DefinitionError
from ...expr import TRUE
from ...machine import Machine, Row
from ...properties import always, leads_to, sometimes
from ...system import System
from ...types import BOOL, Range
from ...variable import private
from ..arguments import one_of

VARIANTS = ("published", "repaired")


class Send(IntEnum):
    """The request's send is ..."""

    UNREGISTERED, READY, SENDING, FINISHED, REFUSED, OVER = range(6)


def build(variant: str = "repaired", source: int = 2, destination: int = 2, chunks: int = 2) -> System:
    """One request of `source` blocks on P and `destination` blocks on D, one block a chunk but the last, which has the rest.

    Raises:
        DefinitionError: an unknown variant, or a number outside its range.
    """
    one_of(VARIANTS, variant=variant)
    if not (1 <= chunks <= source <= 4 and 0 <= destination <= 4):
        raise DefinitionError(f"source={source}, destination={destination}, chunks={chunks}: needs 1 <= chunks <= source <= 4 and destination <= 4")
    s, step, ours = Send, partial(Row, actor="messager"), variant == "repaired"
    sent = private("sended_block_num", Range(-4, 4), init=0)
    chunk, finished = private("chunk", Range(0, chunks)), private("finished", BOOL)
    last = chunk.cell() == chunks - 1
    end = if_else(last, source, chunk.cell() + 1)
    empty = end <= sent.cell()
    fits = destination <= source
    # fmt: off
    rows = [
        step("register", s.UNREGISTERED, s.READY, TRUE, [sent.set(source - destination)], cite="6.1 a3"),
        step("begin_pass", s.READY, s.SENDING, chunk.cell() < chunks, [], cite="6.4 s3"),
        step("send_range", s.SENDING, s.READY, ~empty, [sent.set(end), finished.set(last), chunk.add(1)], cite="6.4 s4"),
        step("send_nothing", s.SENDING, s.READY, empty, [*([finished.set(last)] if ours else []), chunk.add(1)], cite="6.4 s4: H-18"),
        step("report", s.READY, s.OVER, finished.cell() & (chunk.cell() == chunks), [], cite="6.4 finish"),
    ]
    if ours and not fits:
        rows = [step("refuse", s.UNREGISTERED, s.REFUSED, TRUE, [], cite="ours: told at registration")]
    # fmt: on
    final = s.REFUSED if ours and not fits else s.OVER
    sender = Machine("sender", s, rows, final=final, doc="The blocks of one request.")
    properties = [
        leads_to("request_reported", TRUE, sender.at().is_in(Send.OVER, Send.REFUSED), about="L1: the request is reported, or refused"),
        always("range_within_lists", sent.cell() >= 0, about="S3: no range begins before the list, which counts from its end"),
        sometimes("some_request_over", sender.at().is_in(Send.OVER, Send.REFUSED), about="twin of range_within_lists"),
    ]
    return System("empty_range", [sender], properties, doc=__doc__ or "")
