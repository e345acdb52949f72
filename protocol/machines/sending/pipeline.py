"""The send pipeline of one prefill instance: its epochs and the variables that its threads share.

As `hand_over`, with what that leaves out: prompts of several chunks, batches of several requests steered by their head, and
failing writes. A request has a slot of its own here, so slot and request are one index; reuse is the subject of
`slot_reuse.py`. A cache task arrives merged, with both lists of blocks.

A *mark* says how far a request is: chunks before * layers + layers of this chunk. What the messager knows of it comes from
signals; what the worker has really written is a ghost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...combine import if_else
from ...expr import Expr, Literal
from ...types import BOOL, Index, Optional, Range, Record, SetOf
from ...variable import Lock, barrier, channel, ghost, locked, private, unlocked, world
from ..arguments import one_of, within


@dataclass(frozen=True)
class Epoch:
    """One version of the messager.

    Args:
        acknowledged: a request becomes schedulable when every rank has registered it.
        discards: a signal that comes while `cache_info` is empty is thrown away (Q3: kept after #7724, or not).
        asserts: a queued slot that is not registered is an exception; otherwise the sender waits for it.
        parks: a layer-0 signal of an unregistered slot waits, the latest only.
        split: registered slots of a signal are queued as one batch (E2); otherwise one by one.
        sweeps: every layer-0 signal waits, and the registering thread forwards those of registered slots (Q2: E3b).
        ours: items by request, cumulative; no barriers; errors kept until the last chunk; reports counted per request.
        early: ours, but an error is reported at once.
    """

    name: str
    acknowledged: bool = False
    discards: bool = False
    asserts: bool = False
    parks: bool = False
    split: bool = False
    sweeps: bool = False
    ours: bool = False
    early: bool = False


EPOCHS = {
    e.name: e
    for e in (
        Epoch("E0", acknowledged=True, discards=True, asserts=True),
        Epoch("E1", discards=True),
        Epoch("E1-keeping"),
        Epoch("E1-asserting", discards=True, asserts=True),
        Epoch("E2", parks=True, split=True),
        Epoch("E3a", parks=True),
        Epoch("E3b", parks=True, sweeps=True),
        Epoch("repaired", parks=True, ours=True),
        Epoch("reports-at-once", parks=True, ours=True, early=True),
    )
}
"""`E1-keeping` is E1 without MC's discard: the other answer to Q3. `E1-asserting` still has the assertion that #7724 made a wait."""
FAILURES = ("none", "connect", "write", "stall")


class Pipeline:
    """The shared variables at given bounds.

    Args:
        epoch: one of EPOCHS. ranks, requests, chunks, layers: how many.
        failure, victims: how the link of a rank fails, and for how many of the requests: none, connect (nothing is written),
            write (counted as written), stall (rank 1 never gets on).
        idle: forwards without any prompt that may come between (expert parallelism, or a batch of preemptions).
        token_room: capacity of the queue of tokens, 0 for one per request.
        barrier_kept: the ranks meet before they register (Q3: kept after #7724, or not).

    Raises:
        DefinitionError: a parameter outside its choices.
    """

    def __init__(
        self,
        epoch: str,
        ranks: int,
        requests: int,
        chunks: int,
        layers: int,
        failure: str,
        victims: int,
        idle: int,
        token_room: int,
        barrier_kept: bool,
    ):
        one_of(EPOCHS, epoch=epoch)
        one_of(FAILURES, failure=failure)
        within(1, 4, ranks=ranks, requests=requests, chunks=chunks, layers=layers)
        self.epoch, self.failure, self.barrier_kept = EPOCHS[epoch], failure, barrier_kept
        self.chunks, self.layers, self.victims, self.idle = chunks, layers, victims, idle
        self.token_room = token_room or requests
        self.rank, self.request = Index("rank", ranks), Index("request", requests)
        self.chunk, self.layer = Range(0, chunks), Range(0, layers - 1)
        self.mark = Range(0, chunks * layers)
        self.batch = Record("Batch", **{f"request_{q}": self.chunk for q in self.request})
        self.tokens_of = Record("Tokens", **{f"request_{q}": BOOL for q in self.request})
        self._declare_engine(ranks, requests)
        self._declare_messager(ranks, requests)
        rank, request = self.rank, self.request
        self.written = ghost("layers_written", self.mark, over=(rank, request))
        self.sent = ghost("chunks_sent", self.chunk, over=(rank, request))
        self.produced, self.answered = ghost("token_produced", BOOL, over=request), ghost("answered", BOOL, over=request)
        self.failed_answer = ghost("answered_with_an_error", BOOL, over=request)
        self.abandoned = ghost("batch_abandoned", BOOL)
        self.dragged = ghost("registered_request_dropped", BOOL)
        self.broken = world("link_broken", BOOL, over=rank)

    def _declare_engine(self, ranks: int, requests: int) -> None:
        rank, request = self.rank, self.request
        self.resources = Lock("resource_lock", cite="facts 2.1: RM.lock")
        self.running = locked("running", BOOL, self.resources, over=request, cite="RM.running")
        self.scheduled = locked("scheduled_chunks", self.chunk, self.resources, over=request, cite="num_computed_tokens")
        self.infos_lock = Lock("cache_infos_lock", cite="facts 2.2: lock_info")
        self.info = locked("cache_info_put", Optional(request), self.infos_lock, cite="CH2")
        self.info_read = locked("cache_info_read", BOOL, self.infos_lock, over=rank, init=False, cite="CH2: initially 0")
        self.infos_met = barrier("cache_info_barrier", ranks, kind="sense", cite="6.1 a2")
        self.added_lock = Lock("added_lock", cite="facts 2.2: finish_add_cache_task_lock")
        self.added = locked("added_by_rank", BOOL, self.added_lock, over=(request, rank), cite="CH3, by request: one is added at a time")
        self.tasks_lock = Lock("tasks_lock", cite="facts 2.2: lock")
        self.tasks = locked("tasks", self.chunk, self.tasks_lock, over=request, cite="CH1")
        self.tasks_read = locked("tasks_read", BOOL, self.tasks_lock, over=rank, init=True, cite="CH1")
        self.layer_met = barrier("layer_barrier", ranks, kind="sense", cite="facts 13: TP rendezvous between layers")
        self.tokens = channel("tokens", self.tokens_of, self.token_room, cite="CH9")

    def _declare_messager(self, ranks: int, requests: int) -> None:
        rank, request = self.rank, self.request
        signal = Record("Signal", layer=self.layer, batch=self.batch)
        self.signal = signal
        self.signals = channel("kv_signals", signal, 2, over=rank, cite="CH6")
        items, cite = requests * self.chunks + self.idle, "cache_prefilled_engine_ids_queue"
        self.work = channel("prefilled_queue", self.batch, items, over=rank, on_full="error", cite=cite)
        self.messager = Lock("messager_lock", over=rank, cite="engine_cache_task_thread_lock")
        self.progress = locked("prefilled_mark", self.mark, self.messager, over=(rank, request), cite="engine_cache_tasks")
        self.pending = locked("pending_layer0", self.chunk, self.messager, over=(rank, request), cite="#7872: the latest per slot")
        if self.epoch.ours:
            self.registered = locked("cache_task", BOOL, self.messager, over=(rank, request), cite="ours: under the lock")
        else:
            self.registered = unlocked("cache_task", BOOL, over=(rank, request), cite="idx_cache_task_dict: no lock")
        self.cache_info = unlocked("cache_info", SetOf(request), over=rank, cite="facts 2.3: no lock; the set of its keys")
        self.in_hand = private("batch_in_hand", self.chunk, over=(rank, request))
        self.begin_met = barrier("begin_send_barrier", ranks, kind="sense", cite="6.4 s2")
        self.finish_met = barrier("finish_send_barrier", ranks, kind="sense", cite="6.4 finish phase")
        self.finished_lock = Lock("finished_lock", cite="facts 2.2: finish_send_cache_lock")
        self.finished = locked("finished_first", Optional(request), self.finished_lock, cite="CH4: get returns the first element")
        self.finished_by = locked("finished_by_rank", BOOL, self.finished_lock, over=rank, cite="CH4")
        self.reported = locked("reported", BOOL, self.finished_lock, over=(request, rank), cite="ours: CH4 by request")
        self.error = locked("finished_with_error", BOOL, self.finished_lock, over=request, cite="CH4: any status with an error")

    def to_mark(self, chunk: Any, layer: Any) -> Expr:
        """The mark when that layer of that chunk (1 ..) is written."""
        return (chunk - 1) * self.layers + layer + 1


def member(record: Expr, position: Any) -> Expr:
    """The field of a Batch or Tokens record for that request (a literal)."""
    of = record.type
    assert isinstance(of, Record)
    return getattr(record, of.fields[position.const if isinstance(position, Literal) else position][0])


def members(record: Record, body: Any) -> Expr:
    """A Batch or Tokens record whose k-th member is `body(k)`."""
    return record(**{name: body(k) for k, (name, _) in enumerate(record.fields)})


def only(condition: Expr, value: Expr) -> Expr:
    """The value where the condition holds, else 0: a member of a batch of one."""
    return if_else(condition, value, 0)
