"""The plane: the rules of the repaired protocol, its bounds, and every variable that more than one of its machines touches.

Each machine of this folder is a function of one `Plane`. A *rule* is a field of `Rules`: what the repaired protocol does where
some version of the real one does something else. `build(without="...")` leaves one out, and the hazard that it removes
comes back; no machine asks for a version.

One prefill instance P, tensor parallel; one or more decode instances D; request q is routed to D number q modulo their
count (the router picks at random; requests differ in nothing else). The router numbers requests, and uses a number again, with
the next *turn*, when its request has been answered and P has closed it. Every message and output names number and turn; so
nothing needs a slot or a row to tell whose it is, and what was delayed from an earlier turn is known by its turn.

Messages between P and D are three from P (ask, cancel, commit) and three from D (grant, refusal, settled), a bag of each per
request and turn: any order, any delay. A message that is sent while `copies` equal ones are under way is not sent: one more changes
nothing. Every message may be sent again at any time by whoever waits for the answer, so duplicates need no row of
their own; loss is a row of `faults.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any

from ...combine import any_of, if_else, me
from ...effect import each, when
from ...errors import DefinitionError
from ...expr import Expr, Literal, lift
from ...machine import Process
from ...types import BOOL, Enum, Index, Optional, Range, Record, Sequence
from ...variable import Lock, barrier, channel, ghost, locked, register, world
from ..signalling.witness import Witness


@dataclass(frozen=True)
class Rules:
    """What the repaired protocol does; every rule is one field, and all hold unless one is left out.

    Args:
        lowers_behind_barrier: rank 0 alone stores the forward signal, and lowers it behind the barrier at the top of the loop.
        meets_at_top: the ranks meet at the top of the loop, so that none looks for a batch while another is in the last iteration.
        parks_early_signals: a layer-0 signal of a request that is not registered yet waits for the registration.
        sends_computed: a layer is sent when the rank's own signals say that it is written, for this request.
        reports_last: a rank that fails to write says so at the request's last item, not at once.
        counts_reports: a request is sent when every rank has reported this very request.
        drains_before_cancel: an abort is a state on which the owner of the stage acts; P gives nothing back, here or on D, before
            every rank has reported.
        keeps_until_sent: P keeps slot and blocks until the cache is sent, not until the first token.
        takes_once: the intake is read and advanced in one critical section.
        asks_first: P takes its own slot only when D has reserved.
        reserves_once: D answers a repeated ask with the reservation that it has.
        remembers_closed: D remembers the requests that it has closed, and reserves nothing for them.
        sends_again: a message is sent again until it is answered.
        fences_lives: a write with the memory key of an earlier life of D fails.
        dies_whole: when a rank dies, the supervisor ends all of P.
        names_turns: a message says to which turn of its request it belongs, and is dropped in another.
        names_outputs: what a decode step puts out names its request and turn.
    """

    lowers_behind_barrier: bool = True
    meets_at_top: bool = True
    parks_early_signals: bool = True
    sends_computed: bool = True
    reports_last: bool = True
    counts_reports: bool = True
    drains_before_cancel: bool = True
    keeps_until_sent: bool = True
    takes_once: bool = True
    asks_first: bool = True
    reserves_once: bool = True
    remembers_closed: bool = True
    sends_again: bool = True
    fences_lives: bool = True
    dies_whole: bool = True
    names_turns: bool = True
    names_outputs: bool = True

    @classmethod
    def all_but(cls, without: str | None) -> Rules:
        """All rules, or all but one.

        Raises:
            DefinitionError: no such rule.
        """
        known = [f.name for f in fields(cls)]
        if without is not None and without not in known:
            raise DefinitionError(f"without={without!r}: choose one of {', '.join(known)}")
        return cls() if without is None else cls(**{without: False})


class Stage(IntEnum):
    """P's view of a request: it is ..."""

    NEW, ASKED, REFUSED, GRANTED, HELD, DOOMED_HELD, RUNNING, DOOMED, PREFILLED, DOOMED_PREFILLED, COMMITTING, CANCELLING, CLOSED = range(13)


class Entry(IntEnum):
    """D's view of a request: it is ..."""

    UNKNOWN, OPEN, RESERVED, UNWANTED, DECODING, ANSWERING, CLOSED = range(7)


class Report(IntEnum):
    """What a rank has reported of a request (CH4): ..."""

    NOTHING, SENT, FAILED, WITHDRAWN = range(4)


class Point(IntEnum):
    """The place of the loop from which a rank has arrived at the tensor-parallel barrier, for the ghosts."""

    NOWHERE, TOP, FLAG, LAYER = range(4)


HOLDING = (Stage.HELD, Stage.DOOMED_HELD, Stage.RUNNING, Stage.DOOMED, Stage.PREFILLED, Stage.DOOMED_PREFILLED)
"""The stages in which P holds a slot and blocks for the request."""
RESERVING = (Entry.RESERVED, Entry.UNWANTED, Entry.DECODING)
"""The states in which D holds a reservation for the request."""


@dataclass(frozen=True)
class Bounds:
    """How large, and what may go wrong.

    Args:
        requests, turns: request numbers; how often each is used. ranks, slots: tensor-parallel degree; P's slots.
        layers, chunks: KV layers; chunks of a prompt.
        decodes: D instances. room: reservations that a D takes. full: D number 0 takes none at all.
        threads: prepare threads. copies: equal messages under way at once.
        aborts: clients may give up. deadlines: P may give up waiting. repeats: P may say again what has not been answered.
        losses: messages may be lost.
        errors: the link of a rank may break. crash: "none", "prefill" (for good), "rank" (one worker of P, for
            good), or "decode" (once, and it restarts).
    """

    requests: int
    turns: int
    ranks: int
    slots: int
    layers: int
    chunks: int
    decodes: int
    room: int
    full: bool
    threads: int
    copies: int
    aborts: bool
    deadlines: bool
    repeats: bool
    losses: bool
    errors: bool
    crash: str

    @property
    def spoils_nothing(self) -> bool:
        """Nothing may happen that keeps a request from being decoded."""
        return not (self.aborts or self.deadlines or self.errors or self.full) and self.crash == "none"

    def validate(self) -> None:
        """Raise a DefinitionError for a bound outside its choices."""
        for name in ("requests", "turns", "ranks", "slots", "layers", "chunks", "decodes", "room", "threads", "copies"):
            value = getattr(self, name)
            if not 1 <= value <= 8:
                raise DefinitionError(f"{name} = {value}: choose one of 1 .. 8")
        if self.crash not in ("none", "prefill", "rank", "decode"):
            raise DefinitionError(f"crash={self.crash!r}: choose one of none, prefill, rank, decode")
        if (self.losses or self.crash == "decode") and not self.repeats:
            raise DefinitionError("a message may be lost, or heard by a D that crashes: set repeats=true, or P waits for ever")


class Plane:
    """The shared variables of the repaired protocol at given bounds."""

    def __init__(self, rules: Rules, bounds: Bounds):
        bounds.validate()
        self.rules, self.bounds = rules, bounds
        self.request, self.rank = Index("request", bounds.requests), Index("rank", bounds.ranks)
        self.slot, self.decode, self.thread = Index("slot", bounds.slots), Index("decode", bounds.decodes), Index("thread", bounds.threads)
        self.layers, self.chunks = bounds.layers, bounds.chunks
        self.withdraw = bounds.chunks + 1
        self.turn = Range(0, bounds.turns - 1)
        self.task = Range(0, self.withdraw)
        self.mark = Range(0, bounds.chunks * bounds.layers)
        self.life = Range(0, 1 if bounds.crash == "decode" else 0)
        whole = bounds.crash == "prefill" or (bounds.crash == "rank" and rules.dies_whole)
        self.prefill_process = Process("prefill") if whole else None
        self.rank_process = Process("rank", over=self.rank) if bounds.crash == "rank" and not rules.dies_whole else None
        self.decode_process = Process("decode", over=self.decode) if bounds.crash == "decode" else None
        self._declare_world()
        self._declare_engine()
        self._declare_workers()
        self._declare_messagers()
        self._declare_network()
        self._declare_decode()
        self._declare_ghosts()

    # -- declarations ------------------------------------------------------------------------------------------------

    def _declare_world(self) -> None:
        """Facts that everybody sees without a message: lives, links."""
        self.decode_life = world("decode_life", self.life, over=self.decode)
        self.link_up = world("link_up", BOOL, over=self.rank, init=True)

    def _declare_engine(self) -> None:
        """P's engine process."""
        request = self.request
        self.mutex = Lock("scheduler_mutex", cite="engine_worker facts 5: M")
        self.name = Record("Name", request=request, turn=self.turn)
        waiting = self.bounds.requests * self.bounds.turns
        self.intake = locked("intake", Sequence(self.name, waiting), self.mutex, cite="scheduler.ids behind its cursor; ours: no cursor")
        self.resources = Lock("resource_lock", cite="cache_handshake facts 2.1: RM.lock")
        self.slot_of = locked("slot_of", Optional(self.slot), self.resources, over=request, cite="stop_flags, tasks_list")
        self.turn_of = locked("turn_of", self.turn, self.resources, over=request, cite="ours")
        self.granted_life = locked("granted_life", self.life, self.resources, over=request, cite="ours: whose memory was granted")
        self.scheduled = locked("scheduled_chunks", Range(0, self.chunks), self.resources, over=request, cite="num_computed_tokens")
        self.finished_lock = Lock("finished_lock", cite="cache_handshake facts 2.2: finish_send_cache_lock")
        self.report = locked("report", Enum(Report), self.finished_lock, over=(request, self.rank), cite="CH4; ours: by request")

    def _declare_workers(self) -> None:
        """The engine-worker queue, the registers and the collectives of P's ranks."""
        rank, request = self.rank, self.request
        self.queue_lock = Lock("queue_lock", cite="engine_worker facts 2.2: L")
        self.queue = locked("queue_tasks", self.task, self.queue_lock, over=request, cite="engine_worker facts 2.2: Q")
        self.queue_read = locked("queue_read", BOOL, self.queue_lock, over=rank, init=True, cite="engine_worker facts 2.2: CRF")
        self.queue_filled = register("queue_filled", BOOL, cite="exist_tasks_intra_signal: XQ")
        self.announced = register("batch_announced", BOOL, cite="exist_task_signal: XT")
        self.forward_signal = register("forward_signal", BOOL, cite="#6680: engine_forward_signal")
        self.met = barrier("tensor_barrier", self.bounds.ranks, kind="sense", cite="engine_worker facts 4: TPB, and the layers' collectives")
        self.rows = Record("Rows", **{f"request_{q}": BOOL for q in request})
        self.tokens = channel("tokens", self.rows, self.bounds.requests, cite="CH9")

    def _declare_messagers(self) -> None:
        """One messager process a rank, the kernel's signal queue, and the mailbox of cache tasks."""
        rank, request = self.rank, self.request
        self.infos_lock = Lock("cache_infos_lock", cite="cache_handshake facts 2.2: lock_info")
        self.info = Record("CacheTask", request=request, life=self.life)
        self.info_request = locked("cache_info_request", Optional(request), self.infos_lock, cite="CH2")
        self.info_life = locked("cache_info_life", self.life, self.infos_lock, cite="CH2")
        self.info_read = locked("cache_info_read", BOOL, self.infos_lock, over=rank, init=True, cite="CH2; ours: at first read by all")
        self.tasks = Record("Tasks", **{f"request_{q}": self.task for q in request})
        self.signal = Record("Signal", layer=Range(0, self.layers - 1), tasks=self.tasks)
        self.signals = channel("kv_signals", self.signal, 2, over=rank, cite="CH6: msgmnb holds two messages")
        self.item = Record("Item", request=request, task=self.task)
        items = self.bounds.requests * (self.chunks + 1)
        self.items = channel("work_items", self.item, items, over=rank, on_full="error", cite="cache_prefilled_engine_ids_queue")
        self.messager = Lock("messager_lock", over=rank, cite="engine_cache_task_thread_lock")
        self.registered = locked("cache_task", Optional(self.life), self.messager, over=(rank, request), cite="idx_cache_task_dict; ours: by request")
        self.failed = locked("cache_task_failed", BOOL, self.messager, over=(rank, request), cite="6.4: status")
        self.chunks_sent = locked("chunks_sent", Range(0, self.chunks), self.messager, over=(rank, request), cite="6.4: sended_block_num")
        self.progress = locked("computed_mark", self.mark, self.messager, over=(rank, request), cite="engine_cache_tasks; ours: by request")
        self.parked = locked("parked_task", self.task, self.messager, over=(rank, request), cite="#7872: pending_layer0_signals")

    def _declare_network(self) -> None:
        """Six kinds of message, and the client's answer."""

        def bag(name: str, message: Any, cite: str) -> Any:
            return channel(name, message, self.bounds.copies, over=(self.request, self.turn), kind="bag", on_full="drop", cite=cite)

        unit = Range(0, 0)
        self.ask, self.cancel, self.commit = bag("ask", unit, "CH7: prefill"), bag("cancel", unit, "ours"), bag("commit", unit, "CH7: decode")
        self.grant, self.refusal = bag("grant", self.life, "CH7: cache_sync"), bag("refusal", unit, "CH7: cache_sync with error_msg")
        self.settled = bag("settled", unit, "ours")
        once = "error" if self.rules.remembers_closed else "drop"  # that there is one answer is a property
        self.answers = channel("answers", unit, 1, over=self.request, on_full=once, cite="D's response to the router")

    def _declare_decode(self) -> None:
        """D's engine process; a crash forgets it all."""
        decode, request, process = self.decode, self.request, self.decode_process
        self.decode_lock = Lock("decode_lock", over=decode, cite="D's RM.lock")
        self.reserved = locked("reserved", Range(0, self.bounds.room), self.decode_lock, over=decode, process=process, cite="D's slots and blocks")
        self.entry_turn = locked("entry_turn", self.turn, self.decode_lock, over=(decode, request), process=process, cite="ours")
        self.due = locked("reply_due", BOOL, self.decode_lock, over=(decode, request, self.turn), process=process, cite="ours: P waits for a reply")

    def _declare_ghosts(self) -> None:
        """What really happened, for the properties."""
        rank, request = self.rank, self.request
        self.computed = ghost("layers_computed", self.mark, over=(rank, request))
        self.sent = ghost("layers_sent", self.mark, over=(rank, request))
        self.prefill_holds = ghost("prefill_holds", BOOL, over=request)
        self.decode_holds = ghost("decode_holds", BOOL, over=request)
        self.uncomputed_sent = ghost("uncomputed_layer_sent", BOOL)
        self.freed_read = ghost("freed_block_read", BOOL)
        self.freed_written = ghost("freed_block_written", BOOL)
        self.foreign_written = ghost("foreign_block_written", BOOL)
        self.committed_unsent = ghost("committed_unsent", BOOL)
        self.produced = ghost("token_produced", BOOL, over=request)
        self.taken = ghost("taken_from_intake", BOOL, over=(request, self.turn))
        self.taken_twice = ghost("taken_twice", BOOL)
        self.times_answered = ghost("times_answered", Range(0, 2), over=request)
        self.miscredited = ghost("token_miscredited", BOOL)
        self.point = ghost("arrived_from", Enum(Point), over=rank)
        self.slipped = ghost("barrier_slipped", BOOL)
        self.batch_number = ghost("batch_number", Range(0, 1), init=1)
        self.witness = Witness.create(rank, Range(0, 1))

    # -- words that several machines use -----------------------------------------------------------------------------

    def home(self, request: Any) -> Expr:
        """The D instance of a request."""
        q, n = lift(request), self.bounds.decodes
        if isinstance(q, Literal):
            return Literal(q.const % n, self.decode)
        number: Expr = Literal(0, self.decode)
        for position in self.request:
            if position % n:
                number = if_else(q == position, Literal(position % n, self.decode), number)
        return number

    def steps(self, task: Any, layer: Any) -> Expr:
        """How many layers of the prompt are done when that layer of that chunk is."""
        return (lift(task) - 1) * self.layers + layer + 1

    def is_chunk(self, task: Any) -> Expr:
        """Whether a task is a chunk (1 .. chunks), neither nothing nor the withdrawal."""
        return (lift(task) != 0) & (lift(task) != self.withdraw)

    def arrive(self, point: Point) -> list[Any]:
        """Arrive at the tensor-parallel barrier, and note whether the others arrived from the same place (EW-P6)."""
        r = me(self.rank)
        elsewhere = any_of(self.rank, lambda i: (i != r) & (self.point[i] != Point.NOWHERE) & (self.point[i] != point))
        waits = any_of(self.rank, lambda i: (i != r) & (self.point[i] == Point.NOWHERE))
        note = each(self.rank, lambda i: when((i != r) & ~waits, self.point[i].set(Point.NOWHERE)))
        mine = self.point[r].set(if_else(waits, point, Point.NOWHERE))
        return [self.met.arrive(), when(elsewhere, self.slipped.set(True)), *note, mine]

    def release_slot(self, request: Any) -> list[Any]:
        """P gives slot and blocks of the request back."""
        q = lift(request)
        return [self.slot_of[q].set(None), self.scheduled[q].set(0), self.prefill_holds[q].set(False)]

    def forget_ghosts(self, request: Any) -> list[Any]:
        """A new turn of the request begins on P: what was computed and sent in the last one does not count."""
        q = lift(request)
        return [each(self.rank, lambda r: (self.computed[r, q].set(0), self.sent[r, q].set(0))), self.produced[q].set(False)]

    def release_reservation(self, decode: Any, request: Any) -> list[Any]:
        """D gives the request's reservation back."""
        return [self.reserved[decode].sub(1), self.decode_holds[request].set(False)]


def field(record: Expr, position: Any) -> Expr:
    """The member of a Rows or Tasks record for that request (a literal)."""
    of = record.type
    assert isinstance(of, Record)
    return getattr(record, of.fields[position.const if isinstance(position, Literal) else position][0])


def per_request(record: Record, body: Any) -> Expr:
    """A Rows or Tasks record whose member for request k is `body(k)`."""
    return record(**{name: body(k) for k, (name, _) in enumerate(record.fields)})

