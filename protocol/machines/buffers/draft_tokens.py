"""Draft tokens on D: what does a row decode with when its proposer has proposed nothing?

A request that arrives on D by its first token is inserted as a one-token prefill. With any speculative method the worker then
sets `seq_lens_this_time` to length + 1 and copies as many of the request's draft tokens into its row; but
`add_prefilled_request` fills them for MTP alone (facts sections 8.2 and 10). With NaiveProposer (and n-gram, suffix) the list is
empty. Whether the copy of nothing raises or leaves the row as it was is not published (open question Q5): both are
variants. What the row held is what the request before it in the row has left: a step places its token at position 0.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial

from ...combine import any_of, me
from ...expr import TRUE
from ...machine import Machine, Row
from ...properties import never, sometimes
from ...system import System
from ...types import BOOL, Index, Optional, Range
from ...variable import Lock, channel, ghost, locked, private
from ..arguments import one_of, within

VARIANTS = ("left_as_it_was", "raises", "repaired")
METHODS = ("naive", "mtp")


class DecodeLoop(IntEnum):
    """The request is ... on D."""

    EXPECTED, ADDED = range(2)


class Runner(IntEnum):
    """The worker's row is ..."""

    FREE, INSERTED, RAISED = range(3)


def build(variant: str = "repaired", method: str = "naive", requests: int = 2) -> System:
    """One row of D's worker, taken by one request after another.

    Args:
        variant: left_as_it_was or raises (what a copy of nothing does), or repaired.
        method: naive (no drafts) or mtp (drafts come with the first token).
        requests: how many, one after another in the row.

    Raises:
        DefinitionError: a parameter outside its choices.
    """
    one_of(VARIANTS, variant=variant)
    one_of(METHODS, method=method)
    within(1, 4, requests=requests)
    request, place = Index("request", requests), Index("place", 2)
    lock = Lock("resource_lock", cite="facts 8.2: the lock is there since #5616")
    first = locked("first_token_added", BOOL, lock, over=request, cite="facts 8.2: append the first token")
    drafts = locked("draft_added", BOOL, lock, over=request, cite="facts 8.2: draft tokens only when the method is mtp")
    tasks = channel("tasks", request, requests, cite="CH1")
    q, now = me(request), private("row_request", request)
    held = private("draft_tokens", Optional(request), over=place)
    length = private("seq_len_this_time", Range(0, 2))
    foreign, extra, decoded = (ghost(name, BOOL) for name in ("foreign_token_decoded", "token_too_many", "some_token_decoded"))
    has_drafts, own = method == "mtp", variant == "repaired"
    d, r = DecodeLoop, Runner
    added = [first[q].set(True), *([drafts[q].set(True)] if has_drafts else []), tasks.send(q)]
    loop = Machine("decode_loop", d, [
        Row("add_prefilled", d.EXPECTED, d.ADDED, TRUE, added, "decode", under=lock, cite="facts 8.2: draft tokens only when the method is mtp"),
    ], copies=request, final=d.ADDED, doc="D.L, `add_prefilled_request`, and the scheduling of what it adds")  # fmt: skip
    task = tasks.head
    used = 2 if has_drafts or not own else 1
    fill = [held[0].set(task), held[1].set(task)] if has_drafts else [held[0].set(task)] if own else []
    begin = [now.set(task), length.set(used), *fill, tasks.receive()]
    wrong = any_of(place, lambda p: (p < length) & ~held[p].is_none & (held[p] != now))
    spent = [decoded.set(True), foreign.set(foreign | wrong), extra.set(extra | (length > (2 if has_drafts else 1)))]
    end = [now.set(0), length.set(0), held[0].set(now), *spent]
    breaks = variant == "raises" and not has_drafts
    step = partial(Row, actor="worker")
    rows = [step("insert_nothing", r.FREE, r.RAISED, TRUE, [tasks.receive()], cite="Q5: draft_tokens[0:2] := [], a shape error")] if breaks else [
        step("insert", r.FREE, r.INSERTED, TRUE, begin, cite="facts 10: seq_lens_this_time := length + 1"),
        step("decode", r.INSERTED, r.FREE, TRUE, end, cite="facts 10"),
    ]  # fmt: skip
    runner = Machine("runner", r, rows, final=(r.FREE, r.RAISED) if breaks else r.FREE, doc="the worker's row on D")
    properties = [
        never("no_foreign_token_decoded", foreign, about="Q5: a row decodes with its own request's tokens"),
        never("no_token_too_many", extra, about="Q5: as many tokens as there are"),
        never("worker_never_raises", runner.at() == r.RAISED, about="Q5: a copy of nothing"),
        sometimes("some_token_decoded", decoded.cell(), about="twin of the claims"),
    ]
    return System(f"draft_tokens_{variant}_{method}", [loop, runner], properties, doc=__doc__ or "")
