"""The plane of P's scheduling: what its threads, its worker and its messager share (`prefill_scheduling.py`)."""

from __future__ import annotations

from typing import Any

from ...combine import all_of, count
from ...effect import each, when
from ...expr import Expr
from ...types import BOOL, Index, Optional, Range, Record, Sequence
from ...variable import Lock, channel, ghost, locked, private, register
from .prefill_request import prefill_machine
from .prefill_variants import Variant


class PrefillPlane:
    """One prefill instance's variables and its requests' machine; the arguments are those of `prefill_scheduling.build`."""

    def __init__(
        self, v: Variant, requests: int, blocks: int, threads: int, stops: int, aborts: int, refusals: int, speculates: bool, gated: bool, deaths: int
    ):
        q, b = Index("request", requests), Index("block", blocks)
        self.v, self.request, self.block, self.thread = v, q, b, Index("thread", threads)
        self.stops, self.aborts, self.refusals, self.speculates, self.gated, self.deaths = stops, aborts, refusals, speculates, gated, deaths
        self.lock = Lock("resource_lock", cite="facts 6.2: RM.lock")
        self.owner = locked("block_owner", Optional(q), self.lock, over=b, cite="facts 6.2: block_tables")
        self.done = locked("chunks_scheduled", Range(0, 2), self.lock, over=q, cite="facts 6.3: num_computed_tokens")
        self.running = locked("running", Sequence(q, requests), self.lock, cite="facts 6.2: running")
        self.waiting = locked("waiting", Sequence(q, requests), self.lock, cite="facts 6.2: waiting")
        self.machine = prefill_machine(q, self.lock, not v.waits, v.queues, v.spares)
        self.hand = private("request_in_hand", Optional(q), over=self.thread)
        self.forward_up = register("engine_forward_signal", BOOL, cite="facts 1.2: FWD")
        self.task = Record("Task", run=Optional(q), last=BOOL, **{f"stop_{r}": BOOL for r in q})
        self.tasks = channel("queue_tasks", self.task, 2, cite="facts 2.2: Q; the slot is the request's")
        self.cache_task = Record("CacheTask", request=q, block=b)
        self.told = channel("cache_tasks", self.cache_task, requests, cite="facts 2.3: put_cache_info")
        self.report = Record("Step", request=q, stopped=BOOL)
        self.outputs = channel("step_outputs", self.report, 2 * requests, cite="facts 9.1: OUTQ")
        self.computed = channel("layer_signals", q, requests, cite="facts 2.5: the last layer of the last chunk")
        self.shipped = channel("finished_send_cache", q, requests, kind="bag", cite="facts 2.4: FS")
        self.finishing = channel("finishing", q, requests, cite="finish_execution_pool")
        self.source = private("messager_block", Optional(b), over=q)
        self.chunk = private("rank_request", Optional(q))
        self.asked = ghost("abort_asked", BOOL, over=q)
        self.refused = ghost("refused", BOOL, over=q)
        self.sent = ghost("first_token_sent", BOOL, over=q)

    def is_lowest(self, b: Any) -> Expr:
        """The block is free, and every lower one is not."""
        return self.owner[b].is_none & all_of(self.block, lambda i: (i >= b) | ~self.owner[i].is_none)

    def free(self, q: Any) -> list[Any]:
        """The request's blocks are free."""
        return [each(self.block, lambda b: when(self.owner[b] == q, self.owner[b].set(None)))]

    def make_task(self, run: Any = None, last: Any = False, stops: Any = None) -> Expr:
        """A batch: one chunk, and the requests that are stopped."""
        return self.task(run=run, last=last, **{f"stop_{r}": stops(r) if stops is not None else False for r in self.request})

    def own(self, q: Any) -> Expr:
        """How many blocks the request has."""
        return count(self.block, lambda b: self.owner[b] == q)
