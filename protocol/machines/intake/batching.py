"""Batching: does `get_requests` return every request, within its limits, without keeping the mutex for nothing?

One thread puts requests of any length up to a bound, one after another; another calls `get_requests`. What the variants
do is said in `algorithm.py`, and how in `get_requests.py`. H19's parts (a) to (f) are a property each.
"""

from __future__ import annotations

from ...combine import all_of, any_of
from ...expr import Expr
from ...machine import Machine
from ...properties import Property, always, leads_to, never, sometimes
from ...system import System
from ..arguments import one_of, within
from .algorithm import ALGORITHMS
from .get_requests import Fetch, Limits, Scheduler, arrivals, fetch


def build(
    variant: str = "repaired", requests: int = 3, longest: int = 2, batch: int = 3, blocks: int = 3, tokens: int = 3, clock: bool = True
) -> System:
    """The scheduler at these bounds.

    Args:
        variant: local, T1, T2, tested_first, leaves_first, N1, or repaired.
        requests: how many arrive. longest: the longest of them, in tokens and in blocks.
        batch: requests that one call may return. blocks: free blocks, the same for every call. tokens: of one batch.
        clock: time-outs come to those who wait for ever; without it nothing may rely on one.

    Raises:
        DefinitionError: a parameter outside its choices.
    """
    one_of(ALGORITHMS, variant=variant)
    within(1, 6, requests=requests, batch=batch)
    within(1, 8, longest=longest, blocks=blocks, tokens=tokens)
    s = Scheduler(ALGORITHMS[variant], requests, longest, Limits(batch, blocks, tokens), clock)
    fetching = fetch(s)
    return System(f"batching_{variant}_{requests}", [arrivals(s), fetching], _properties(s, fetching), doc=__doc__ or "")


def _properties(s: Scheduler, fetching: Machine) -> list[Property]:
    def is_skipped(q: Expr) -> Expr:
        behind = s.ids.has(q) & (s.ids.index_of(q) < s.cursor)
        return behind & ~s.taken.has(q) & ~s.returned[q]

    waits = fetching.at() == Fetch.WAITING
    found = [
        never("no_request_skipped", any_of(s.request, is_skipped), about="EW-P9: what lies left of the cursor has been taken"),
        always("batch_within_tokens", s.taken_tokens() <= s.limits.tokens, about="H19 (c)"),
        always("batch_within_blocks", s.taken_tokens() <= s.limits.blocks, about="no more is taken than there are blocks"),
        never("no_second_pass_in_vain", s.fruitless == 2, about="H19 (a), (e): the mutex is not kept from one pass that takes nothing to the next"),
        never("no_wait_with_requests_in_hand", waits & ~s.taken.empty, about="H19 (d)"),
        never("log_tells_the_truth", s.lied, about="H19 (f)"),
        leads_to("requests_returned", lambda q: s.ids.has(q), lambda q: s.returned[q], each=s.request, about="EW-P9, EW-P12"),
        leads_to("puts_let_in", lambda q: s.next == q, lambda q: s.next > q, each=s.request, about="H19 (e): whoever puts gets the mutex"),
        sometimes("some_run_returns_all", all_of(s.request, lambda q: s.returned[q]), about="twin of the questions about skipping"),
        sometimes("some_batch_full", s.taken.length == s.batch, about="twin of the questions about limits"),
        sometimes("some_wait_for_requests", waits, about="twin of no_wait_with_requests_in_hand"),
    ]
    if s.algorithm.limited:
        counted = (s.tokens == s.taken_tokens()) & (s.blocks == s.taken_tokens())
        found += [
            always("only_the_taken_counted", counted, about="H19 (a)"),
            sometimes("some_request_rejected", s.rejected.cell(), about="twin of the questions about passes in vain and counting"),
        ]
    if s.algorithm.log:
        found.append(sometimes("some_log_line", s.logged.cell(), about="twin of log_tells_the_truth"))
    return found
