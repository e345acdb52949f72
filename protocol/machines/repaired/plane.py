"""The plane: every variable that more than one machine of the repaired protocol touches, and the words that they share.

Each machine of this folder is a function of one `Plane`, which is made from `Rules` and `Bounds` (`bounds.py`).

One or more prefill instances P, tensor parallel; one or more decode instances D, which all P share. A request's number says where it is
routed to, `Homes` (the router picks at random; requests differ in nothing else). What is P's there is once a P, with its number in front;
`Plane.at` gives the plane as one of them sees it, and a machine of P's is written with `Plane.own`, as if there were no other. A single P
has no number. The router numbers requests, and uses a number again, with the next *turn*, when its request has been answered and P has
closed it. Every message and output names number and turn; so nothing needs a slot or a row to tell whose it is, and what was delayed from
an earlier turn is known by its turn.

Messages between P and D are three from P (ask, cancel, commit) and three from D (grant, refusal, settled), a bag of each per
request and turn: any order, any delay. A message that is sent while `copies` equal ones are under way is not sent: one more changes
nothing. Every message may be sent again at any time by whoever waits for the answer, so duplicates need no row of
their own; loss is a row of `faults.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import all_of, any_of, if_else, me
from ...effect import each, when
from ...expr import FALSE, TRUE, Expr, Literal
from ...machine import Process
from ...operators import lift
from ...slice import slice_of
from ...types import BOOL, Enum, Index, Optional, Range, Record, Sequence, Type
from ...variable import Lock, Variable, barrier, channel, ghost, locked, private, register, unlocked, world
from ..signalling.witness import Witness
from . import prefix_cache
from .bounds import Bounds, Homes, Rules


class Stage(IntEnum):
    """P's view of a request: it is ..."""

    NEW, ASKED, REFUSED, GRANTED, HELD, DOOMED_HELD, RUNNING, DOOMED, PREFILLED, DOOMED_PREFILLED, COMMITTING, CANCELLING, CLOSED = range(13)


class Entry(IntEnum):
    """D's view of a request: it is ..."""

    UNKNOWN, OPEN, RESERVED, UNWANTED, DECODING, ENDING, ANSWERING, CLOSED = range(8)


class Report(IntEnum):
    """What a rank has reported of a request (CH4): ..."""

    NOTHING, SENT, FAILED, WITHDRAWN = range(4)


class Point(IntEnum):
    """The place of the loop from which a rank has arrived at the tensor-parallel barrier, for the ghosts."""

    NOWHERE, TOP, FLAG, LAYER = range(4)


HOLDING = (Stage.HELD, Stage.DOOMED_HELD, Stage.RUNNING, Stage.DOOMED, Stage.PREFILLED, Stage.DOOMED_PREFILLED)
"""The stages in which P holds a slot and blocks for the request."""
RESERVING = (Entry.RESERVED, Entry.UNWANTED, Entry.DECODING, Entry.ENDING)
"""The states in which D holds a reservation for the request."""


class Plane:
    """The shared variables of the repaired protocol at given bounds."""

    def __init__(self, rules: Rules, bounds: Bounds):
        bounds.validate()
        self.rules, self.bounds = rules, bounds
        self.request, self.rank = Index("request", bounds.requests), Index("rank", bounds.ranks)
        self.prefill, self.homes = Index("prefill", bounds.prefills), Homes(bounds.prefills, bounds.decodes)
        self.instances = (self.prefill,) if bounds.prefills > 1 else ()
        """The leading index types of all that is P's: none for a single P."""
        self.each_rank = (*self.instances, self.rank)
        self.here: tuple[Any, ...] = ()
        """The leading indices of all that is P's, as the plane is seen: see `at`."""
        self.slot, self.decode, self.thread = Index("slot", bounds.slots), Index("decode", bounds.decodes), Index("thread", bounds.threads)
        self.layers, self.chunks = bounds.layers, bounds.chunks
        self.withdraw = 2 * bounds.chunks
        self.turn = Range(0, bounds.turns - 1)
        self.prompt = Range(1, bounds.chunks)
        self.task = Range(0, self.withdraw)
        self.mark = Range(0, bounds.chunks * bounds.layers)
        self.life = Range(0, bounds.lives - 1 if bounds.crash in ("decode", "any") else 0)
        self.prefill_lives = Range(0, bounds.lives - 1 if bounds.crash in ("prefill", "rank", "any") else 0)
        self.key = Optional(Range(0, self.life.size * bounds.turns - 1))
        self._declare_processes()
        self._declare_world()
        self._declare_engine()
        self._declare_workers()
        self._declare_messagers()
        self._declare_network()
        self._declare_decode()
        self._declare_control()
        self._declare_ghosts()
        self.cache: Any = prefix_cache.PrefixCache.create(self)

    # -- declarations ------------------------------------------------------------------------------------------------

    def _declare_processes(self) -> None:
        """Who can die. A crash of "prefill" takes everything of P; one of a rank, the engine process, a worker or a messager."""
        crash = self.bounds.crash
        instances, ranks = self.instances, self.each_rank
        self.prefill_process = Process("prefill", over=instances) if crash in ("prefill", "rank", "any") else None
        self.engine_process = Process("engine", over=instances) if crash == "rank" else self.prefill_process
        self.worker_process = Process("worker", over=ranks) if crash == "rank" else self.prefill_process
        self.messager_process = Process("messager", over=ranks) if crash == "rank" else self.prefill_process
        self.decode_process = Process("decode", over=self.decode) if crash in ("decode", "any") else None

    def _declare_world(self) -> None:
        """Facts that are seen without a message: the number of the life that a process is in."""
        self.decode_life = world("decode_life", self.life, over=self.decode)
        self.prefill_life = world("prefill_life", self.prefill_lives, over=self.instances)

    def _declare_engine(self) -> None:
        """P's engine process."""
        instances, requests = self.instances, (*self.instances, self.request)
        own = partial(locked, process=self.engine_process)
        self.mutex = Lock("scheduler_mutex", over=instances, cite="engine_worker facts 5: M")
        self.name = Record("Name", request=self.request, turn=self.turn)
        waiting = self.bounds.requests * self.bounds.turns
        self.intake = own("intake", Sequence(self.name, waiting), self.mutex, over=instances, cite="scheduler.ids behind its cursor; ours: no cursor")
        self.last_request = own("last_request", Optional(self.request), self.mutex, over=instances, cite="what lies before the scheduler's cursor")
        self.last_turn = own("last_turn", self.turn, self.mutex, over=instances, cite="what lies before the scheduler's cursor")
        self.resources = Lock("resource_lock", over=instances, cite="cache_handshake facts 2.1: RM.lock")
        self.slot_of = own("slot_of", Optional(self.slot), self.resources, over=requests, cite="stop_flags, tasks_list")
        self.turn_of = own("turn_of", self.turn, self.resources, over=requests, cite="ours")
        self.granted_key = own("granted_key", self.key, self.resources, over=requests, cite="ours: opens D's memory for this reservation")
        self.prompt_chunks = own("prompt_chunks", self.prompt, self.resources, over=requests, cite="prompt_token_ids_len, in chunks")
        self.scheduled = own("scheduled_chunks", Range(0, self.chunks), self.resources, over=requests, cite="num_computed_tokens")
        self.finished_lock = Lock("finished_lock", over=instances, cite="cache_handshake facts 2.2: finish_send_cache_lock")
        by_request = partial(locked, over=(*requests, self.rank), process=self.prefill_process)
        self.report = by_request("report", Enum(Report), self.finished_lock, cite="CH4; ours: by request")

    def _declare_workers(self) -> None:
        """The engine-worker queue, the registers and the collectives of P's ranks."""
        instances, process = self.instances, self.prefill_process
        self.queue_lock = Lock("queue_lock", over=instances, cite="engine_worker facts 2.2: L")
        own, flag = partial(locked, process=process), partial(register, over=instances, process=process)
        self.queue = own("queue_tasks", self.task, self.queue_lock, over=(*instances, self.request), cite="engine_worker facts 2.2: Q")
        self.queue_read = own("queue_read", BOOL, self.queue_lock, over=self.each_rank, init=True, cite="engine_worker facts 2.2: CRF")
        self.queue_filled = flag("queue_filled", BOOL, cite="exist_tasks_intra_signal: XQ")
        self.announced = flag("batch_announced", BOOL, cite="exist_task_signal: XT")
        self.forward_signal = flag("forward_signal", BOOL, cite="#6680: engine_forward_signal")
        meetings = "engine_worker facts 4: TPB, and the layers' collectives"
        self.met = barrier("tensor_barrier", self.bounds.ranks, over=instances, kind="sense", process=process, cite=meetings)
        self.rows = Record("Rows", **{f"request_{q}": BOOL for q in self.request})
        self.tokens = channel("tokens", self.rows, self.bounds.requests, over=instances, process=process, cite="CH9")

    def _declare_messagers(self) -> None:
        """One messager process a rank, the kernel's signal queue, and the mailbox of cache tasks."""
        instances, ranks, request = self.instances, self.each_rank, self.request
        self.infos_lock = Lock("cache_infos_lock", over=instances, cite="cache_handshake facts 2.2: lock_info")
        post = partial(locked, lock=self.infos_lock, process=self.prefill_process)
        self.info_request = post("cache_info_request", Optional(request), over=instances, cite="CH2")
        self.info_key = post("cache_info_key", self.key, over=instances, cite="CH2")
        self.info_read = post("cache_info_read", BOOL, over=ranks, init=True, cite="CH2; ours: at first read by all")
        self.tasks = Record("Tasks", **{f"request_{q}": self.task for q in request})
        self.signal = Record("Signal", layer=Range(0, self.layers - 1), tasks=self.tasks)
        whose, made_by = (ranks, self.prefill_process) if self.rules.owns_signals else (self.rank, None)
        self.signals = channel("kv_signals", self.signal, 2, over=whose, process=made_by, cite="CH6: msgmnb holds two messages")
        self.work = Record("Work", tasks=self.tasks, update=BOOL)
        self.stream = channel("stream", self.work, 2, over=ranks, process=self.worker_process, cite="P.G[r]; capacity: ours")
        self.stream_met = barrier("stream_barrier", self.bounds.ranks, over=instances, kind="sense", process=self.prefill_process, cite="P.G[r]")
        self.item = Record("Item", request=request, task=self.task)
        items = self.bounds.requests * (self.chunks + 1)
        process, queue = self.messager_process, "cache_prefilled_engine_ids_queue"
        self.items = channel("work_items", self.item, items, over=ranks, on_full="error", process=process, cite=queue)
        self.messager = Lock("messager_lock", over=ranks, cite="engine_cache_task_thread_lock")
        own = partial(locked, lock=self.messager, over=(*ranks, request), process=process)
        self.registered = own("cache_task", self.key, cite="idx_cache_task_dict; ours: by request")
        self.progress = own("computed_mark", self.mark, cite="engine_cache_tasks; ours: by request")
        self.parked = own("parked_task", self.task, cite="#7872: pending_layer0_signals")

    def _declare_network(self) -> None:
        """Six kinds of message, and the client's answer."""

        def bag(name: str, message: Any, cite: str) -> Any:
            return channel(name, message, self.bounds.copies, over=(self.request, self.turn), kind="bag", on_full="drop", cite=cite)

        unit = Range(0, 0)
        self.ask, self.cancel, self.commit = bag("ask", unit, "CH7: prefill"), bag("cancel", unit, "ours"), bag("commit", unit, "CH7: decode")
        self.grant, self.refusal = bag("grant", self.life, "CH7: cache_sync"), bag("refusal", unit, "CH7: cache_sync with error_msg")
        self.settled = bag("settled", unit, "ours")
        once = "error" if self.rules.reserves_posted else "drop"  # that there is one answer is a property
        self.answers = channel("answers", unit, 1, over=self.request, on_full=once, cite="D's response to the router")

    def _declare_decode(self) -> None:
        """D's engine process, and what its network card lets in; a crash forgets it all."""
        decode, request, process = self.decode, self.request, self.decode_process
        self.decode_lock = Lock("decode_lock", over=decode, cite="D's RM.lock")
        own, each_request = partial(locked, lock=self.decode_lock, process=process), (decode, request)
        self.reserved = own("reserved", Range(0, self.bounds.room), over=decode, cite="D's slots and blocks")
        self.entry_turn = own("entry_turn", self.turn, over=each_request, cite="ours")
        self.asked_by = own("asked_by", self.prefill_lives, over=each_request, cite="ours: which life of P the router posted it to")
        self.due = own("reply_due", Optional(self.turn), over=each_request, cite="ours: P waits for a reply to its newest turn")
        self.decode_batch = private("decode_batch", BOOL, over=each_request)
        self.open_key = unlocked("open_key", self.key, over=each_request, process=process, cite="ours: the key with which the card lets P write")

    def _declare_control(self) -> None:
        """What the operator asks for: of the router, of P's scheduling thread, and of each D."""
        own, control = partial(locked, over=self.instances), "engine_worker facts 3.8: control to workers"
        self.paused = unlocked("paused", BOOL, cite="engine_worker facts 3.8: is_paused")
        self.update_due = own("update_due", BOOL, self.resources, process=self.engine_process, cite="ours")
        self.queue_update = own("queue_update", BOOL, self.queue_lock, process=self.prefill_process, cite=control)
        self.decode_update_due = locked("decode_update_due", BOOL, self.decode_lock, over=self.decode, process=self.decode_process, cite="ours")

    def _declare_ghosts(self) -> None:
        """What really happened, for the properties; what is known of P's ranks ends with P."""
        rank, ranks, request, instances = self.rank, self.each_rank, self.request, self.instances
        of_prefill = partial(ghost, process=self.prefill_process)
        self.whole = ghost("prompt_marks", self.mark, over=request)
        self.computed = of_prefill("layers_computed", self.mark, over=(*ranks, request))
        self.sent = ghost("layers_sent", self.mark, over=(rank, request))
        self.prefill_holds = of_prefill("prefill_holds", BOOL, over=(*instances, request))
        self.decode_holds = ghost("decode_holds", Optional(self.turn), over=request)
        self.step_turn = ghost("step_turn", self.turn, over=(self.decode, request))
        self.freed_read, self.freed_written = ghost("freed_block_read", BOOL), ghost("freed_block_written", BOOL)
        self.foreign_written, self.others_written = ghost("foreign_block_written", BOOL), ghost("other_prefills_block_written", BOOL)
        self.uncomputed_sent, self.committed_unsent = ghost("uncomputed_layer_sent", BOOL), ghost("committed_unsent", BOOL)
        self.kernels_due = of_prefill("kernels_due", Range(0, 3), over=ranks)
        self.may_fail = ghost("write_may_fail", BOOL, over=request)
        self.given_up = ghost("given_up_by_prefill", BOOL, over=request)
        self.ended_unasked, self.failed_without_cause = ghost("ended_unasked", BOOL), ghost("failed_without_cause", BOOL)
        self.produced = of_prefill("token_produced", BOOL, over=(*instances, request))
        self.taken, self.taken_twice = ghost("taken_from_intake", BOOL, over=(request, self.turn)), ghost("taken_twice", BOOL)
        self.times_answered = ghost("times_answered", Range(0, 2), over=request)
        self.miscredited, self.token_lost = ghost("token_miscredited", BOOL), ghost("token_lost", BOOL)
        self.point = of_prefill("arrived_from", Enum(Point), over=ranks)
        self.batch_number = of_prefill("batch_number", Range(0, 1), over=instances, init=1)
        self.witness = Witness.create(rank, Range(0, 1), self.prefill_process, instances)
        version = Range(0, 1)
        self.weights = ghost("weights_in_force", version)
        self.rank_weights = ghost("weights_of_rank", version, over=ranks)
        self.decode_weights = ghost("weights_of_decode", version, over=self.decode)
        self.served_by = ghost("weights_of_request", Optional(version), over=request)
        self.mixed, self.slipped = ghost("weights_mixed", BOOL), ghost("barrier_slipped", BOOL)

    # -- the plane as one prefill instance sees it -------------------------------------------------------------------

    def at(self, *prefill: Any) -> Plane:
        """The plane as that prefill instance sees it, without numbers of its own; a single one has no number to give."""
        seen = copy(self)
        seen.here = prefill
        for name, part in vars(self).items():
            if isinstance(part, Variable) and part.over[: len(prefill)] == self.instances:
                setattr(seen, name, slice_of(part, prefill))
        seen.witness, seen.cache = self.witness.at(*prefill), self.cache and self.cache.at(*prefill)
        return seen

    @property
    def own(self) -> Plane:
        """The plane as the copy itself sees it, in the rows of a machine that has copies over `instances` first."""
        return self.at(*(me(index) for index in self.instances))

    @property
    def prefills(self) -> list[Plane]:
        """The plane as each prefill instance sees it."""
        return [self.at(number) for number in self.prefill] if self.instances else [self.at()]

    def at_home(self, request: Any) -> Plane:
        """The plane as the prefill instance of a request sees it."""
        return self.at(*self.prefill_of(request))

    def prefill_of(self, request: Any) -> tuple[Expr, ...]:
        """The leading indices of what the prefill instance of a request has."""
        return (self.routed(request, self.prefill, self.homes.prefill_of),) if self.instances else ()

    def serves(self, request: Any) -> Expr:
        """Whether this prefill instance is the one of the request."""
        return self.prefill_of(request)[0] == self.here[0] if self.here else TRUE

    def is_troubled(self, request: Any) -> Expr:
        """Whether faults may happen to the request."""
        number = self.bounds.troubled
        return self.prefill_of(request)[0] < number if number is not None else TRUE

    def private(self, name: str, type: Type, over: Any = ()) -> Any:
        """A variable of the threads of this prefill instance."""
        dims = over if isinstance(over, tuple) else (over,)
        return slice_of(private(name, type, over=(*self.instances, *dims)), self.here)

    def engine_lives(self) -> Expr:
        """Whether the engine process of this prefill instance lives."""
        return self.engine_process.is_alive(*self.here) if self.engine_process is not None else TRUE

    def is_dead(self) -> Expr:
        """Whether this prefill instance has crashed."""
        return ~self.prefill_process.is_alive(*self.here) if self.prefill_process is not None else FALSE

    def is_whole(self) -> Expr:
        """Whether all processes of this prefill instance live."""
        engine, worker, messager = self.engine_process, self.worker_process, self.messager_process
        if not (engine and worker and messager):
            return TRUE
        if engine is self.prefill_process:
            return engine.is_alive(*self.here)
        return engine.is_alive(*self.here) & all_of(self.rank, lambda r: worker.is_alive(*self.here, r) & messager.is_alive(*self.here, r))

    # -- words that several machines use -----------------------------------------------------------------------------

    def home(self, request: Any) -> Expr:
        """The D instance of a request."""
        return self.routed(request, self.decode, self.homes.decode_of)

    def routed(self, request: Any, to: Index, home_of: Callable[[int], int]) -> Expr:
        """Which instance the request goes to."""
        q = lift(request)
        if isinstance(q, Literal):
            return Literal(home_of(q.const), to)
        number: Expr = Literal(0, to)
        for position in self.request:
            if home_of(position):
                number = if_else(q == position, Literal(home_of(position), to), number)
        return number

    def task_of(self, chunk: Any, is_last: Any) -> Expr:
        """The task for that chunk (1 .. chunks): a last one is a number of its own, so that the message itself says it."""
        return if_else(is_last, lift(chunk) + self.chunks - 1, chunk)

    def chunk_of(self, task: Any) -> Expr:
        """Which chunk of the prompt a task is."""
        return if_else(lift(task) < self.chunks, task, lift(task) - (self.chunks - 1))

    def is_chunk(self, task: Any) -> Expr:
        """Whether a task is a chunk, neither nothing nor the withdrawal."""
        return (lift(task) != 0) & (lift(task) != self.withdraw)

    def is_last(self, task: Any) -> Expr:
        """Whether a task is the last chunk of its prompt."""
        return (lift(task) >= self.chunks) & (lift(task) != self.withdraw)

    def marks(self, chunk: Any, layer: Any) -> Expr:
        """How many layers of the prompt are done when that layer of that chunk is."""
        return (lift(chunk) - 1) * self.layers + layer + 1

    def key_of(self, life: Any, turn: Any) -> Expr:
        """The key of the reservation that a D in that life makes for that turn of a request."""
        return lift(life) * self.bounds.turns + turn

    def turn_of_key(self, key: Any) -> Expr:
        """The turn that a key is for."""
        value, turns = lift(key).value, self.bounds.turns
        turn: Expr = value
        for life in range(1, self.life.size):
            turn = if_else(value < life * turns, turn, value - life * turns)
        return turn

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
        return [self.slot_of[q].set(None), self.scheduled[q].set(0), self.prefill_holds[q].set(False), *prefix_cache.release(self, q)]

    def give_up(self, request: Any) -> list[Any]:
        """P says to D that nothing will come of the request."""
        q = lift(request)
        return [self.cancel[q, self.turn_of[q]].send(0), self.given_up[q].set(True)]

    def count_answer(self, request: Any) -> tuple[Any, ...]:
        """The client is answered, by D or because D is lost."""
        times = self.times_answered[request]
        return when(times < 2, times.add(1))

    def serve(self, request: Any, version: Expr, really: Expr) -> list[Any]:
        """Note that the request is computed with this version of the weights: with one, from its first layer on."""
        mine = self.served_by[request]
        return [when(really & mine.is_none, mine.set(version)), when(really & ~mine.is_none & (mine != version), self.mixed.set(True))]

    def forget_ghosts(self, request: Any) -> list[Any]:
        """A new turn of the request begins on P: what was computed and sent in the last one does not count."""
        q = lift(request)
        served = [self.served_by[q].set(None)] if self.bounds.control else []
        forgotten = [self.produced[q].set(False), self.may_fail[q].set(False), self.given_up[q].set(False), *served]
        return [each(self.rank, lambda r: (self.computed[r, q].set(0), self.sent[r, q].set(0))), *forgotten]


def field(record: Expr, position: Any) -> Expr:
    """The member of a Rows or Tasks record for that request (a literal)."""
    of = record.type
    assert isinstance(of, Record)
    return getattr(record, of.fields[position.const if isinstance(position, Literal) else position][0])


def per_request(record: Record, body: Any) -> Expr:
    """A Rows or Tasks record whose member for request k is `body(k)`."""
    return record(**{name: body(k) for k, (name, _) in enumerate(record.fields)})
