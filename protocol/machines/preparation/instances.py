"""Prefill and decode instances at preparation: variants, index types and the variables that several machines touch.

The machines of `preparation` are functions of one `Instances`. A *variant* says what it does, so that no row asks which
version it is in. Which prefill instance a request is sent to and which decode instance it will be sent on to is the
router's choice before anything here happens: two constants a request.

*Room.* An instance grants slot and blocks in one critical section and takes them back together, so one number stands for
what is scarcer: the blocks, in units of a request. Slots are no limit here, because `available_batch()` bounds a batch by the
free slots when it is fetched; nothing bounds it by the blocks. Left out is D's guard that nobody waits in its own queue.

*Channels* are bags: `_process_message` runs in four threads, so no two messages are ordered. They lose nothing and
duplicate nothing by themselves. Their capacity is never reached: `on_full="error"` shows it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from ...combine import if_else, sum_of
from ...effect import Effect, each
from ...errors import DefinitionError
from ...expr import Expr
from ...types import BOOL, Enum, Index, Optional, Range, Record, Sequence
from ...variable import Lock, channel, ghost, locked, private, unlocked, world
from ..arguments import one_of, within


class Stage(IntEnum):
    """For the prefill instance the request is ..."""

    QUEUED, ASKED, GRANTED, HELD, RUNNING, COMPUTED, DONE, FAILED, GIVEN_UP = range(9)


class Half(IntEnum):
    """What is known of a request's cache task: P's blocks, D's, or both."""

    NONE, PREFILL, DECODE, BOTH = range(4)


class Place(IntEnum):
    """For the decode instance the request is ..."""

    UNKNOWN, RESERVED, DONE = range(3)


class Key(IntEnum):
    """`current_request_ids[id]`: absent, "init", "finished", or an error text."""

    ABSENT, INIT, FINISHED, ERROR = range(4)


@dataclass(frozen=True)
class Variant:
    """One version of preparation.

    Args:
        single: one thread a prefill instance, whatever `threads` says; else `threads` of them.
        splits: ours. No thread waits for D; the request does, and each goes on alone.
        decode_first: ours. P's blocks are taken only after D has granted; else before it is asked.
        numbered: ours. Asks, answers and cancellations carry the attempt, and D grants an attempt once.
        cancels: ours. A grant that nobody waits for any more is answered with a cancellation.
        bounded: ours. After `tries` refusals the request gets an error; else it is asked for again, for ever.
        told: an error of P's is an answer to the client; else the router returns D's response only.
        both_tell: D, too, answers its client at a refusal.
    """

    name: str
    single: bool = False
    splits: bool = False
    decode_first: bool = False
    numbered: bool = False
    cancels: bool = False
    bounded: bool = False
    told: bool = False
    both_tell: bool = False


_OURS = {"splits": True, "decode_first": True, "numbered": True, "cancels": True, "bounded": True, "told": True}

VARIANTS = {
    v.name: v
    for v in (
        Variant("E0", single=True),
        Variant("E1"),
        Variant("repaired", **_OURS),
        # Ours with one of its parts left out, to show that the part is needed.
        Variant("prefill_first", **{**_OURS, "decode_first": False}),
        Variant("unnumbered", **{**_OURS, "numbered": False}),
        Variant("uncancelled", **{**_OURS, "cancels": False}),
        Variant("endless", **{**_OURS, "bounded": False}),
        Variant("untold", **{**_OURS, "told": False}),
        Variant("both_tell", **_OURS, both_tell=True),
    )
}

WAITS = ("continuous", "once", "cache_task")
REFUSALS = ("told", "silent", "client_too")


@dataclass(frozen=True)
class Bounds:
    """What a configuration fixes; see `preparation.build`."""

    variant: str
    waits: str
    refusals: str
    prefills: str
    decodes: str
    sizes: str
    prefill_room: int
    decode_room: str
    threads: int
    batch: int
    tries: int
    timeouts: int
    messager: bool

    def validated(self) -> Bounds:
        """Itself.

        Raises:
            DefinitionError: a parameter outside its choices.
        """
        one_of(VARIANTS, variant=self.variant)
        one_of(WAITS, waits=self.waits)
        one_of(REFUSALS, refusals=self.refusals)
        within(1, 8, prefill_room=self.prefill_room)
        within(1, 4, threads=self.threads)
        within(1, 3, batch=self.batch, tries=self.tries)
        within(0, 2, timeouts=self.timeouts)
        for name, text in (("prefills", self.prefills), ("decodes", self.decodes), ("sizes", self.sizes), ("decode_room", self.decode_room)):
            if not text.isdigit() or (name != "decode_room" and len(text) != len(self.decodes)):
                raise DefinitionError(f"{name}={text!r}: give one digit for each {'decode instance' if name == 'decode_room' else 'request'}")
        if max(map(int, self.decodes)) >= len(self.decode_room):
            raise DefinitionError(f"decodes={self.decodes!r}: choose one of {', '.join(map(str, range(len(self.decode_room))))} for each request")
        if self.waits == "cache_task" and not self.messager:
            raise DefinitionError("waits='cache_task': only the messager waits for D then; set messager=True")
        if self.variant == "prefill_first" and self.messager:
            raise DefinitionError("variant='prefill_first': stands without the messager; set messager=False")
        return self


class Instances:
    """The shared variables of some prefill and decode instances at given bounds."""

    def __init__(self, bounds: Bounds):
        self.bounds, self.variant = bounds.validated(), VARIANTS[bounds.variant]
        homes, goals = [int(c) for c in bounds.prefills], [int(c) for c in bounds.decodes]
        self.request, self.prefill = Index("request", len(homes)), Index("prefill", max(homes) + 1)
        self.decode = Index("decode", len(bounds.decode_room))
        self.thread = Index("thread", 1 if self.variant.single else bounds.threads)
        self.tries = Range(0, bounds.tries - 1)
        self.attempt = self.tries if self.variant.numbered else Range(0, 0)
        self.home = world("request_prefill", self.prefill, over=self.request, init=lambda q: homes[q])
        self.goal = world("request_decode", self.decode, over=self.request, init=lambda q: goals[q])
        self.size = world("request_size", Range(0, 9), over=self.request, init=lambda q: int(bounds.sizes[q]))
        self.decode_room = world("decode_room", Range(0, 9), over=self.decode, init=lambda d: int(bounds.decode_room[d]))
        self._declare_prefill(homes)
        self._declare_decode()
        self._declare_network()
        self._declare_messager()
        self._declare_ghosts()

    def _declare_prefill(self, homes: list[int]) -> None:
        """P's engine process."""
        self.queue_lock = Lock("scheduler_mutex", over=self.prefill, cite="facts 2.1: scheduler.mutex")
        self.queued = locked(
            "scheduler_ids", BOOL, self.queue_lock, over=(self.prefill, self.request), init=lambda p, q: homes[q] == p, cite="facts 2.1: ids"
        )
        self.resources = Lock("resource_lock", over=self.prefill, cite="facts 2.1: RM.lock")
        self.stage = locked("request_stage", Enum(Stage), self.resources, over=(self.prefill, self.request), cite="facts 2.1: RM.requests")
        self.tried = locked("request_tries", self.tries, self.resources, over=(self.prefill, self.request), cite="ours")
        self.key = unlocked("current_request_ids", Enum(Key), over=self.request, cite="facts 2.1: no lock")

    def _declare_decode(self) -> None:
        """D's engine process."""
        self.decode_lock = Lock("decode_resource_lock", over=self.decode, cite="facts 8: RM.lock of D")
        self.place = locked("decode_place", Enum(Place), self.decode_lock, over=(self.decode, self.request), cite="facts 8.1: requests")
        self.granted_to = locked("decode_attempt", self.attempt, self.decode_lock, over=(self.decode, self.request), cite="ours")
        self.overwritten = locked("decode_room_overwritten", Range(0, 9), self.decode_lock, over=self.decode, cite="8.1: overwritten silently")

        self.kept = private("allocate_resource_requests", Sequence(self.request, len(self.bounds.decodes)), over=self.decode)

    def _declare_network(self) -> None:
        """CH7, and what the router sees."""
        parts: dict[str, Any] = {"request": self.request, "attempt": self.attempt}
        most = len(self.bounds.decodes) + self.bounds.timeouts * self.thread.size * self.prefill.size
        self.ask, self.answer = Record("Ask", **parts), Record("Answer", **parts, granted=BOOL)
        self.asks = channel("prefill_messages", self.ask, most, kind="bag", on_full="error", cite="CH7: `prefill`")
        self.answers = channel("cache_sync_messages", self.answer, most, kind="bag", on_full="error", cite="CH7: `cache_sync`")
        self.deliveries = channel("disaggregate_requests", self.ask, most, over=self.decode, on_full="error", cite="facts 2.2: queue.Queue")
        self.cancels = channel("cancel_messages", self.ask, most, kind="bag", on_full="error", cite="ours")
        self.first_tokens = channel("decode_messages", self.request, len(self.bounds.decodes), kind="bag", on_full="error", cite="CH7: `decode`")

    def _declare_messager(self) -> None:
        """CH2, and the messager process of each P, with one rank."""
        p, q, most = self.prefill, self.request, len(self.bounds.decodes)
        self.infos_lock = Lock("cache_infos_lock", over=p, cite="facts 2.2: lock_info")
        self.infos = locked("cache_infos", Enum(Half), self.infos_lock, over=(p, q), cite="CH2")
        self.infos_read = locked("cache_infos_read", BOOL, self.infos_lock, over=p, init=False, cite="CH2: initially 0")
        self.added_lock = Lock("added_lock", over=p, cite="facts 2.2: finish_add_cache_task_lock")
        self.added = locked("added", BOOL, self.added_lock, over=(p, q), cite="CH3")
        self.messager = Lock("messager_lock", over=p, cite="engine_cache_task_thread_lock")
        self.cache_info = unlocked("cache_info", Enum(Half), over=(p, q), cite="facts 2.3: no lock")
        if self.variant.splits:
            self.cache_task = locked("cache_task", BOOL, self.messager, over=(p, q), cite="ours: under the lock")
        else:
            self.cache_task = unlocked("cache_task", BOOL, over=(p, q), cite="idx_cache_task_dict: no lock")
        kind = "bag" if self.variant.splits else "fifo"
        self.work = channel("prefilled_queue", q, most, over=p, kind=kind, on_full="error", cite="cache_prefilled_engine_ids_queue")
        self.work_in_hand = private("work_in_hand", Optional(q), over=p)
        self.reports = channel("finished_send", q, most, over=p, on_full="error", cite="CH4")
        self.registered, self.registered_again = ghost("registered", BOOL, over=q), ghost("registered_again", BOOL)
        self.assertion_failed = ghost("assertion_failed", BOOL)

    def put_halves(self, p: Any, half_of: Callable[[Any], Expr]) -> list[Effect]:
        """CH2: the list of halves replaces what the messager has read; NONE for a request that is not in it."""
        return [self.infos_read[p].set(False), *each(self.request, lambda q: self.infos[p, q].set(half_of(q)))]

    def _declare_ghosts(self) -> None:
        """What really happened, for the properties."""
        self.ended = ghost("ended_at_prefill", BOOL, over=self.request)
        self.served = ghost("served", BOOL, over=self.request)
        self.client_answers = ghost("client_answers", Range(0, 2), over=self.request)
        self.granted = ghost("grant_seen", BOOL, over=self.request)
        self.dropped = ghost("ask_dropped", BOOL, over=self.request)

    def used(self, p: Any) -> Expr:
        """The room that is taken at a prefill instance."""
        holding = [Stage.HELD, Stage.RUNNING, Stage.COMPUTED]
        if self.variant.splits and not self.variant.decode_first:
            holding += [Stage.ASKED, Stage.GRANTED]
        return sum_of(self.request, lambda q: if_else(self.stage[p, q].is_in(*holding), self.size[q], 0))

    def has_room(self, p: Any, q: Any) -> Expr:
        """Whether the request fits into its prefill instance."""
        return self.used(p) + self.size[q] <= self.bounds.prefill_room

    def decode_has_room(self, d: Any, q: Any) -> Expr:
        """Whether the request fits into its decode instance."""
        held = sum_of(self.request, lambda i: if_else(self.place[d, i] == Place.RESERVED, self.size[i], 0))
        return held + self.overwritten[d] + self.size[q] <= self.decode_room[d]

    def attempt_of(self, p: Any, q: Any) -> Any:
        """The number that an ask of this request carries now."""
        return self.tried[p, q] if self.variant.numbered else 0

    def asked(self, q: Any) -> Effect:
        """A new ask is on its way: D has not dropped it."""
        return self.dropped[q].set(False)

    def end_with_error(self, q: Any) -> list[Effect]:
        """P's one error result for a request; the client sees it where the router returns it."""
        told = [self.tell_client(q)] if self.variant.told else []
        return [self.ended[q].set(True), *told]

    def tell_client(self, q: Any) -> Effect:
        """The client gets one more answer."""
        return self.client_answers[q].set(if_else(self.client_answers[q] == 2, 2, self.client_answers[q] + 1))
