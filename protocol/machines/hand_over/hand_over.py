"""The hand-over of a prefilled request: epochs, index types and the variables that its threads share.

The machines of this subject (`prepare`, `kv_signal`, `cache_task`, `layer_send`, `first_token`) are functions of one
`HandOver`, which owns every variable that more than one of them touches, with the medium of the real thing. An *epoch* is a
version of the protocol, described by what it does and not by its number, so that no row asks "which version is this?".

All barriers are sense-reversing here: the server's threads leave a `threading.Barrier` by themselves, so a rank that has
been let go but has not moved yet holds nobody up.

Requests are prepared in no particular order; request q runs in slot q modulo the number of slots, hence a request beyond
the slots waits until the one before it in its slot has been freed. Requests differ in nothing but their slot, so naming
the slot in advance loses no interleaving of two requests on one or two slots, and of three on two slots it keeps the one
of the facts (C follows A). One chunk a request: every signal covers the whole prompt.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from ...combine import if_else
from ...expr import Expr, Literal
from ...operators import lift
from ...types import BOOL, Enum, Index, Optional, Range, Record, SetOf
from ...variable import Lock, barrier, channel, ghost, locked, private, unlocked
from ..arguments import one_of, within


class Stage(IntEnum):
    """What the resource manager knows of a request: the request is ..."""

    QUEUED, HELD, RUNNING, SCHEDULED, SLOTLESS, FREED = range(6)


class Answer(IntEnum):
    """`current_request_ids[id]`: absent, asked of the decode instance, or answered by it."""

    ABSENT, ASKED, ANSWERED = range(3)


@dataclass(frozen=True)
class Epoch:
    """One version of the protocol.

    Args:
        acknowledged: a request becomes schedulable only when every rank has acknowledged its registration.
        drops: a signal that comes while `cache_info` is empty is thrown away.
        parks: a layer-0 signal of an unregistered slot waits in `pending_layer0_signals`.
        singly: registered slots of one signal are queued one by one, not as one batch.
        asserts: a queued slot that is not registered fails an assertion, and its batch is abandoned; otherwise it waits.
        unmet: ours. Sending needs no barriers, and registration is one critical section under the sender's lock.
        counted: ours. CH4 counts the ranks that have reported a request, per request.
        cleans_first: ours. The sender cleans the slot before it reports the request.
        unmarked: the sender does not wait for the progress mark.
    """

    name: str
    acknowledged: bool = False
    drops: bool = False
    parks: bool = False
    singly: bool = False
    asserts: bool = False
    unmet: bool = False
    counted: bool = False
    cleans_first: bool = False
    unmarked: bool = False


EPOCHS = {
    e.name: e
    for e in (
        Epoch("E0", acknowledged=True, drops=True, asserts=True),
        Epoch("E1", drops=True),
        Epoch("E2", parks=True),
        Epoch("E3a", parks=True, singly=True),
        Epoch("repaired", parks=True, unmet=True, counted=True, cleans_first=True),
        # Ours with one of its parts left out, to show that the part is needed.
        Epoch("uncounted", parks=True, unmet=True, cleans_first=True),
        Epoch("reports_first", parks=True, unmet=True, counted=True),
        Epoch("unmarked", parks=True, unmet=True, counted=True, cleans_first=True, unmarked=True),
    )
}


class HandOver:
    """The shared variables of one prefill instance at given bounds.

    Args:
        epoch: one of EPOCHS. ranks: tensor-parallel degree. requests, slots: requests <= 2 * slots.
        layers: KV layers. halves: 2 when P's and D's halves of a cache task are put one by one, 1 when they come merged.

    Raises:
        DefinitionError: a parameter outside its choices.
    """

    def __init__(self, epoch: str, ranks: int, requests: int, slots: int, layers: int, halves: int):
        one_of(EPOCHS, epoch=epoch)
        within(1, 8, ranks=ranks, requests=requests, layers=layers)
        within((requests + 1) // 2, requests, slots=slots)
        within(1, 2, halves=halves)
        self.epoch, self.layers, self.halves, self.slots, self.requests = EPOCHS[epoch], layers, halves, slots, requests
        self.rank, self.request, self.slot = Index("rank", ranks), Index("request", requests), Index("slot", slots)
        self.batch = Record("Batch", **{f"slot_{s}": BOOL for s in self.slot})
        self.rows = Record("Rows", **{f"request_{q}": BOOL for q in self.request})
        self._declare_engine(ranks)
        self._declare_messager(ranks)
        self._declare_ghosts(ranks)

    def _declare_engine(self, ranks: int) -> None:
        """P's engine process and its queue server."""
        rank, request = self.rank, self.request
        self.resources = Lock("resource_lock", cite="facts 2.1: RM.lock")
        self.stage = locked("request_stage", Enum(Stage), self.resources, over=request, cite="facts 2.1: RM.requests, running, stop_flags")
        self.answer = unlocked("decode_answer", Enum(Answer), over=request, cite="facts 2.1: current_request_ids")
        self.infos_lock = Lock("cache_infos_lock", cite="facts 2.2: lock_info")
        self.infos = locked("cache_infos", Optional(request), self.infos_lock, cite="CH2")
        self.infos_read = locked("cache_infos_read", BOOL, self.infos_lock, over=rank, init=False, cite="CH2: initially 0")
        self.infos_met = barrier("cache_info_barrier", ranks, kind="sense", cite="6.1 a2")
        self.added_lock = Lock("added_lock", cite="facts 2.2: finish_add_cache_task_lock")
        self.added = locked("added_first", Optional(request), self.added_lock, cite="CH3")
        self.added_by = locked("added_by_rank", BOOL, self.added_lock, over=rank, init=False, cite="CH3")
        self.added_met = barrier("finish_add_barrier", ranks, kind="sense", cite="6.1 a5")
        self.tasks_lock = Lock("tasks_lock", cite="facts 2.2: lock")
        self.tasks = locked("tasks", BOOL, self.tasks_lock, over=request, cite="CH1")
        self.tasks_read = locked("tasks_read", BOOL, self.tasks_lock, over=rank, init=True, cite="CH1: initially 1")
        self.layer_met = barrier("layer_barrier", ranks, kind="sense", cite="facts 13: TP rendezvous between layers")
        self.tokens = channel("tokens", self.rows, self.requests, cite="CH9")
        self.finished_lock = Lock("finished_lock", cite="facts 2.2: finish_send_cache_lock")
        self.finished = locked("finished_first", Optional(request), self.finished_lock, cite="CH4: get returns the first element")
        self.finished_by = locked("finished_by_rank", BOOL, self.finished_lock, over=rank, init=False, cite="CH4")
        self.finished_count = locked("finished_of_request", BOOL, self.finished_lock, over=(request, rank), init=False, cite="ours: CH4 by id")
        self.finishing = channel("finishing", request, self.requests, cite="facts 1.1: finish_execution_pool")

    def _declare_messager(self, ranks: int) -> None:
        """One messager process a rank, and the kernel's signal queue."""
        rank, slot = self.rank, self.slot
        self.signal = Record("Signal", layer=Range(0, self.layers - 1), slots=self.batch)
        self.signals = channel("kv_signals", self.signal, 2, over=rank, cite="CH6: msgmnb holds two messages")
        self.work = channel("prefilled_queue", self.batch, self.requests, over=rank, on_full="error", cite="cache_prefilled_engine_ids_queue")
        self.cache_info = unlocked("cache_info", SetOf(self.request), over=rank, cite="facts 2.3: no lock; a dict, here the set of its keys")
        self.messager = Lock("messager_lock", over=rank, cite="engine_cache_task_thread_lock")
        self.progress = locked("prefilled_layer", Range(-1, self.layers - 1), self.messager, over=(rank, slot), init=-1, cite="engine_cache_tasks")
        self.pending = locked("pending_layer0", BOOL, self.messager, over=(rank, slot), init=False, cite="#7872: pending_layer0_signals")
        if self.epoch.unmet:
            self.registered = locked("cache_task", Optional(self.request), self.messager, over=(rank, slot), cite="ours: under the lock")
        else:
            self.registered = unlocked("cache_task", Optional(self.request), over=(rank, slot), cite="idx_cache_task_dict: no lock")
        self.in_hand = private("slots_in_hand", BOOL, over=(rank, slot))
        self.begin_met = barrier("begin_send_barrier", ranks, kind="sense", cite="6.4 s2")
        self.finish_met = barrier("finish_send_barrier", ranks, kind="sense", cite="6.4 finish phase")

    def _declare_ghosts(self, ranks: int) -> None:
        """What really happened, for the properties."""
        self.computed = ghost("layers_computed", Range(0, self.layers), over=(self.rank, self.request))
        self.sent = ghost("layers_sent", Range(0, self.layers), over=(self.rank, self.request))
        self.produced = ghost("token_produced", BOOL, over=self.request)
        self.answered = ghost("answered", BOOL, over=self.request)
        self.freed = ghost("blocks_freed", BOOL, over=self.request)
        self.uncomputed_sent = ghost("uncomputed_layer_sent", BOOL)
        self.freed_read = ghost("freed_block_read", BOOL)

    def slot_of(self, request: Any) -> Expr:
        """The slot in which a request runs."""
        q = lift(request)
        if isinstance(q, Literal):
            return lift(q.const % self.slots)
        return if_else(q >= self.slots, q - self.slots, q + 0) if self.requests > self.slots else q + 0

    def in_slot(self, slot: Any) -> list[int]:
        """The requests that run in that slot, in order."""
        return [q for q in self.request if q % self.slots == slot]


def has(members: Expr, member: Any) -> Expr:
    """Whether a Batch or Rows record holds that slot or request (a literal)."""
    record = members.type
    assert isinstance(record, Record)
    position = member.const if isinstance(member, Literal) else member
    return getattr(members, record.fields[position][0])


def members_of(record: Record, body: Any) -> Expr:
    """A Batch or Rows record whose k-th member is `body(k)`."""
    return record(**{name: body(k) for k, (name, _) in enumerate(record.fields)})
