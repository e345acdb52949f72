"""P's scheduling without a waiting queue (#7944), beside `schedule()` with preemption: what becomes of whatever waits (7.1, 7.2).

A request is prepared with a slot and all its blocks, granted or refused by D, and registered with the messager, which keeps the block
numbers; then it is scheduled in two chunks. `schedule()` may need a block more than was preallocated (speculation); it then preempts the
last of `running`. An old pause preempts all (9.8). Either way the request waits once its stop was reported, and `schedule()` would admit it
again, with new blocks. `prefill_schedule()` has no such part: it asserts that nothing waits. Ours has no waiting queue: a stopped request
keeps its blocks and begins again, so no row leads to WAITING and nothing is left to assert; who was sent is not preempted. A manager that
lacks the method raises AttributeError, every round. V2 inherits it, but there a preallocation is a message that only its own `schedule()`
takes from the queue; behind #6680's gate it is not taken while the forward signal is up, for ever when the worker dies.

The messager ships a request when its last chunk is computed, from the blocks that were registered. TOK waits for that, holding up everything
behind it. Left out: layers and ranks (the group "sending"), D but for its answer, slots as such (`query_queue.py`), the budget (one chunk a call).
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import all_of, any_of, choice, if_else, me
from ...effect import when
from ...errors import DefinitionError
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from ...properties import Property, always, leads_to, never, sometimes
from ...system import System
from ...types import Optional, Range
from ...variable import private
from ..arguments import one_of, within
from .prefill_plane import PrefillPlane
from .prefill_rank import Rank, messager, rank
from .prefill_request import IN_RUNNING, WITHOUT_BLOCKS, Prefill
from .prefill_variants import VARIANTS

_row = partial(Row, actor="prefill")


class Prepare(IntEnum):
    """The prepare thread is ..."""

    IDLE, ASKING, REGISTERING, ADDING = range(4)


class Schedule(IntEnum):
    """The scheduling thread is ..."""

    SCHEDULING = 0


class Tokens(IntEnum):
    """The token processor is ..."""

    WAITING, SENDING, SENT = range(3)


class Finish(IntEnum):
    """The finishing thread is ..."""

    IDLE, STORING, FREEING = range(3)


class Stop(IntEnum):
    """The control thread is ..."""

    IDLE = 0


def build(
    variant: str = "repaired",
    requests: int = 2,
    blocks: int = 2,
    threads: int = 1,
    stops: int = 0,
    aborts: int = 0,
    refusals: int = 0,
    speculates: bool = False,
    gated: bool = False,
    deaths: int = 0,
) -> System:
    """P's manager, its prepare threads, worker, messager and token processor.

    Args:
        variant: one of VARIANTS. requests, blocks, threads: how many.
        stops, aborts, refusals: how often a request is preempted by a pause, is aborted, is refused by D or fails its preprocessing.
        speculates: the last chunk needs one block more (in `schedule()` only).
        gated: `schedule()` is not called while the forward signal is up (#6680). deaths: how often the worker dies in a forward.

    Raises:
        DefinitionError: an unknown variant, or a number out of bounds.
    """
    one_of(VARIANTS, variant=variant)
    within(1, 3, requests=requests)
    within(1, 4, blocks=blocks)
    within(1, 2, threads=threads)
    within(0, 2, stops=stops, refusals=refusals)
    within(0, 1, aborts=aborts, deaths=deaths)
    if speculates and not VARIANTS[variant].admits:
        raise DefinitionError(f"speculates=True with variant={variant!r}: only schedule() allocates; choose one of schedule, V2_schedule")
    if deaths and not gated:
        raise DefinitionError("deaths without gated=True: nothing here looks at the worker's life but the gate")
    return _Engine(VARIANTS[variant], requests, blocks, threads, stops, aborts, refusals, speculates, gated, deaths).system()


class _Engine(PrefillPlane):
    """One prefill instance's engine."""

    def system(self) -> System:
        """The machines, and what is asked of them."""
        working = rank(self)
        machines = [self.machine, self.prepare(), self.schedule(), working, messager(self), self.tokens(), self.finisher()]
        if self.stops or self.aborts:
            machines.append(self.stopping())
        return System("prefill_scheduling", machines, [*self.properties(), *self.writes(working)], doc=__doc__ or "")

    def prepare(self) -> Machine:
        """The prepare threads, each one request after the other."""
        p, q, b, hand = Prepare, choice("request", self.request), choice("block", self.block), self.hand[me(self.thread)]
        mine, first = hand.value, self.machine.at(q) == Prefill.ABSENT
        here: dict[str, Any] = {"under": self.lock}
        if self.v.queues:
            move: dict[str, Any] = {"moves": [self.machine[q].query], **here}
            rows = [_row("query", p.IDLE, p.ASKING, first, [hand.set(q)], choose=(q,), **move, cite="V2: _sync_query")]
        else:
            free, take = first & self.is_lowest(b), [self.owner[b].set(q), hand.set(q)]
            rows = [_row("preallocate", p.IDLE, p.ASKING, free, take, choose=(q, b), moves=[self.machine[q].hold], **here, cite="6.4")]
        held, task = self.machine.at(mine) == Prefill.HELD, self.cache_task(request=mine, block=b)
        known = self.owner[b] == mine
        rows += [
            _row("take_grant", p.ASKING, p.REGISTERING, held, [], moves=[self.machine[mine].grant], **here, cite="6.4: check_decode_allocated"),
            _row("register", p.REGISTERING, p.ADDING, known, [self.told.send(task)], choose=(b,), moves=[self.machine[mine].register], **here,
                 cite="2.3: put_cache_info"),
            _row("add", p.ADDING, p.IDLE, TRUE, [self.running.push(mine), hand.set(None)], moves=[self.machine[mine].add], **here, cite="6.4"),
        ]  # fmt: skip
        if self.refusals:
            left = private("refusals_left", Range(0, self.refusals), over=self.thread, init=self.refusals)[me(self.thread)]
            gone = [left.sub(1), hand.set(None), self.refused[mine].set(True), *(self.free(mine) if self.v.recycles else [])]
            rows.append(_row("give_up", p.ASKING, p.IDLE, held & (left > 0), gone, moves=[self.machine[mine].fail], **here, fair="none",
                             cite="6.4: pre_recycle_resource"))  # fmt: skip
        return Machine("prepare", p, rows, copies=self.thread, final=p.IDLE, doc="the prepare threads")

    def schedule(self) -> Machine:
        """SCHED: one decision a call; its put follows in the same section, as no other race is asked here (H9 is)."""
        s, q, b = Schedule.SCHEDULING, choice("request", self.request), choice("block", self.block)
        stage = self.machine.at(q)
        here: dict[str, Any] = {"under": self.lock}
        clear = self.waiting.empty if self.v.asserts else TRUE
        first = (stage == Prefill.RUNNING) & all_of(self.request, lambda r: (r == q) | (self.machine.at(r) != Prefill.RUNNING) | self.is_behind(r, q))
        rows = []
        if self.v.queues and self.v.drains:
            open_gate = ~self.forward_up.cell() if self.gated and not self.v.drains_first else TRUE
            queued = (stage == Prefill.QUEUED) & self.is_lowest(b) & open_gate
            rows.append(
                _row(
                    "drain_query", s, s, queued, [self.owner[b].set(q)], choose=(q, b), moves=[self.machine[q].hold], **here, cite="V2: drained here"
                )
            )
        if self.v.lacks:
            rows.append(_row("raise_attribute_error", s, s, TRUE, [], poll=True, cite="#7944; 7.2"))
            return Machine("schedule", Schedule, rows, final=s, doc="the engine's scheduling thread")
        if self.v.asserts:
            rows.append(_row("raise_assertion_error", s, s, ~self.waiting.empty, [], poll=True, **here, cite="#7944; 7.2"))
        chunk = [self.done[q].add(1), self.tasks.send(self.make_task(run=q))]
        enough = (self.own(q) >= 2) if self.speculates else TRUE
        last = [self.done[q].add(1), self.tasks.send(self.make_task(run=q, last=True))]
        move: dict[str, Any] = {"moves": [self.machine[q].last_chunk], **here}
        rows += [
            _row("schedule_chunk", s, s, clear & first & (self.done[q] == 0), chunk, choose=(q,), **here, cite="7.1, 7.2"),
            _row("schedule_last", s, s, clear & first & (self.done[q] == 1) & enough, last, choose=(q,), **move, cite="7.1, 7.2"),
        ]
        if self.v.admits:
            rows += self._waiting_rows(q, b, first & (self.done[q] == 1))
        return Machine("schedule", Schedule, rows, final=s, doc="the engine's scheduling thread")

    def is_behind(self, r: Any, q: Any) -> Expr:
        """Request r stands behind q in `running`."""
        return self.running.cell().index_of(r) > self.running.cell().index_of(q)

    def _waiting_rows(self, q: Any, b: Any, due: Expr) -> list[Row]:
        """What only `schedule()` does: a block more, preemption for it, and admission."""
        s, v = Schedule.SCHEDULING, choice("victim", self.request)
        here: dict[str, Any] = {"under": self.lock}
        rows = []
        if self.speculates:
            needs, none = due & (self.own(q) < 2), all_of(self.block, lambda i: ~self.owner[i].is_none)
            victim = none & (self.running.at(self.running.length - 1) == v)
            first = (self.owner[b] == v) & ~any_of(self.block, lambda i: (i < b) & (self.owner[i] == v))
            others = [when((self.owner[i] == v) & (b != i), self.owner[i].set(None)) for i in self.block]
            lose = [self.running.pop_back(), self.done[v].set(0), self.tasks.send(self.make_task(stops=lambda r: v == r))]
            move: dict[str, Any] = {"moves": [self.machine[v].preempt], "under": self.lock}
            itself, other = needs & victim & (v == q), needs & victim & (v != q) & first
            rows += [
                _row("allocate", s, s, needs & self.is_lowest(b), [self.owner[b].set(q)], choose=(q, b), **here, cite="7.1"),
                _row("preempt_itself", s, s, itself, [*lose, *self.free(v)], choose=(q, v), **move, cite="7.1: _trigger_preempt"),
                _row("preempt_last", s, s, other, [*lose, *others, self.owner[b].set(q)], choose=(q, v, b), **move, cite="7.1; H-24"),
            ]
        idle = ~any_of(self.request, lambda r: self.machine.at(r) == Prefill.RUNNING)
        head = idle & ~self.waiting.empty & (self.waiting.head == q) & self.is_lowest(b)
        take = [self.waiting.pop(), self.running.push(q), self.owner[b].set(q)]
        admit: dict[str, Any] = {"moves": [self.machine[q].admit], **here}
        return [*rows, _row("admit", s, s, head, take, choose=(q, b), **admit, cite="7.1: serve waiting")]

    def tokens(self) -> Machine:
        """TOK: waits for the cache of a first token, and hands a request that was stopped back."""
        t, head, hand = Tokens, self.outputs.head, private("token_in_hand", Optional(self.request))
        stage, mine = self.machine.at(head.request), hand.value
        doomed = stage == Prefill.ABORTING
        here: dict[str, Any] = {"under": self.lock}
        queue = self.waiting if self.v.waits else self.running
        front, back = queue.push_front(head.request), [] if self.v.waits else [self.done[head.request].set(0)]
        move: dict[str, Any] = {"moves": [self.machine[head.request].stopped], **here}
        token, stopped = stage != Prefill.GONE, stage == Prefill.PREEMPTED
        send = [self.finishing.send(mine), self.sent[mine].set(True), hand.set(None), *([] if self.v.waits else [self.running.remove(mine)])]
        take = [self.outputs.receive(), hand.set(head.request)]
        rows = [
            _row("receive_token", t.WAITING, t.SENDING, ~head.stopped & token, take, **here, cite="6.4: is_prefill"),
            _row("receive_stop", t.WAITING, t.WAITING, head.stopped & stopped, [self.outputs.receive(), front, *back], **move, cite="6.5: -9"),
            _row("cache_sent", t.SENDING, t.SENT, TRUE, [self.shipped.receive(mine)], cite="6.4: get_finished_req"),
            _row("send_first_token", t.SENT, t.WAITING, TRUE, send, moves=[self.machine[mine].sent], **here, cite="6.4"),
        ]
        if self.v.waits:
            stale = if_else(head.stopped, ~stopped, ~token)
            rows.append(_row("skip", t.WAITING, t.WAITING, stale, [self.outputs.receive()], **here, cite="6.5"))
        elif self.aborts:
            gone = [self.outputs.receive(), *self.free(head.request), *back]
            rows.append(_row("free_aborted", t.WAITING, t.WAITING, head.stopped & doomed, gone, **move, cite="ours: H12"))
        return Machine("token_processor", t, rows, final=t.WAITING, doc="the engine's thread that credits what the steps report")

    def finisher(self) -> Machine:
        """FIN: the slot, the store, the blocks; a request that it finds in `waiting` it skips. Ours frees once, after the store."""
        f, hand = Finish, private("finishing_request", Optional(self.request))
        q, mine, store = self.finishing.head, hand.value, _row("store", Finish.STORING, Finish.FREEING, TRUE, [], cite="6.4: optional storage write")
        take: list[Any] = [self.finishing.receive(), hand.set(q)]
        here: dict[str, Any] = {"under": self.lock}
        free: list[Any] = [*self.free(mine), self.done[mine].set(0), hand.set(None)]
        if not self.v.waits:
            rows = [
                _row("take", f.IDLE, f.STORING, TRUE, take, cite="ours: the store comes first"),
                store,
                _row("free", f.FREEING, f.IDLE, TRUE, free, moves=[self.machine[mine].finish], **here, cite="ours: one place"),
            ]
        else:
            stage = self.machine.at(q)
            over, leave = stage.is_in(*IN_RUNNING, Prefill.PREEMPTED), when(stage.is_in(*IN_RUNNING), self.running.remove(q))
            rows = [
                _row("free_slot", f.IDLE, f.STORING, over, [*take, leave], moves=[self.machine[q].finish], **here, cite="6.4: FIN"),
                _row("skip", f.IDLE, f.IDLE, ~over, [self.finishing.receive()], **here, cite="6.4; H-41"),
                store,
                _row("free_blocks", f.FREEING, f.IDLE, TRUE, free, moves=[self.machine[mine].free], **here, cite="6.4: FIN"),
            ]
        return Machine("finisher", Finish, rows, final=f.IDLE, doc="the engine's thread that finishes requests")

    def stopping(self) -> Machine:
        """An old pause, or an abort as in B: what is in `running` is preempted, in any order (9.4, 9.8)."""
        s, q, left = Stop, choice("request", self.request), private("stops_left", Range(0, self.stops), init=self.stops)
        sources = (Prefill.RUNNING,) if self.v.spares else IN_RUNNING
        lose = [left.sub(1), self.running.remove(q), self.tasks.send(self.make_task(stops=lambda r: q == r))]
        lose += [*self.free(q), self.done[q].set(0)] if self.v.waits else []
        guard = (left > 0) & self.machine.at(q).is_in(*sources)
        move: dict[str, Any] = {"moves": [self.machine[q].preempt], "under": self.lock}
        rows = [_row("preempt", s.IDLE, s.IDLE, guard, lose, choose=(q,), fair="none", **move, cite="9.8: preempted_all")]
        if self.aborts:
            rows.append(self.abort(q))
        return Machine("stopping", s, rows, final=s.IDLE, doc="the engine's control thread")

    def abort(self, q: Any) -> Row:
        """An abort while the request is not computed yet. The published `schedule()` acts on it for a decoding request, which P has none of."""
        s, left, asked = Stop.IDLE, private("aborts_left", Range(0, self.aborts), init=self.aborts), self.asked[q].set(True)
        guard, row = (left > 0) & (self.machine.at(q) == Prefill.RUNNING), partial(_row, choose=(q,), under=self.lock, fair="none")
        if self.v.waits:
            return row("abort", s, s, guard, [left.sub(1), asked], cite="6.4: waiting_abort, for ever; H12")
        stop = [left.sub(1), asked, self.running.remove(q), self.tasks.send(self.make_task(stops=lambda r: q == r))]
        return row("abort", s, s, guard, stop, moves=[self.machine[q].abort], cite="ours: a state, and a stop")

    def properties(self) -> list[Property]:
        """S3, P12, S7 and their twins."""
        at, head, p = self.machine.at, self.computed.cell(), Prefill
        source = self.source[head.head]
        foreign = ~head.empty & ~source.is_none & (self.owner[source.value] != head.head)
        over = all_of(self.request, lambda q: (at(q) == p.GONE) & self.sent[q])
        kept = all_of(self.request, lambda q: ~at(q).is_in(*WITHOUT_BLOCKS) | (self.own(q) == 0))
        done = all_of(self.request, lambda q: at(q) != p.GONE) & any_of(self.request, lambda q: self.sent[q])

        def ends(q: Any) -> Expr:
            return at(q) == p.GONE

        return [
            never("no_foreign_source", foreign, "S3, H-24: what is shipped are the blocks of the request that was computed"),
            always("blocks_given_back", kept, "S7: whoever is not there has no block"),
            sometimes("some_refused", any_of(self.request, lambda q: self.refused[q]), "twin: D refuses a request"),
            leads_to(
                "queries_answered", lambda q: at(q) == p.QUEUED, lambda q: at(q) != p.QUEUED, each=self.request, about="V2: a query is answered"
            ),
            leads_to(
                "running_ends", lambda q: at(q) == p.RUNNING, lambda q: at(q) != p.RUNNING, each=self.request, about="P12: who runs is scheduled"
            ),
            leads_to(
                "waiting_ends", lambda q: at(q) == p.WAITING, lambda q: at(q) != p.WAITING, each=self.request, about="P12: nobody waits for ever"
            ),
            leads_to("sent_is_freed", lambda q: self.sent[q], ends, each=self.request, about="H-41, S7: who was sent is freed"),
            never(
                "no_aborted_sent",
                any_of(self.request, lambda q: self.asked[q] & self.sent[q]),
                "H12: an abort of what is not computed yet takes effect",
            ),
            sometimes("some_aborted", any_of(self.request, lambda q: self.asked[q]), "twin: an abort comes while the request is being computed"),
            leads_to("requests_end", lambda q: ~at(q).is_in(p.ABSENT, p.GONE), ends, each=self.request, about="P12"),
            always("nothing_waits", all_of(self.request, lambda q: at(q) != p.WAITING), "the precondition of prefill_schedule"),
            sometimes("some_run_ends", over, "twin: all requests are sent and freed"),
            sometimes("some_sent", done, "twin: a first token is sent and its request not freed yet"),
            sometimes("some_stopped", any_of(self.request, lambda q: at(q) == p.PREEMPTED), "twin: a request is preempted"),
        ]

    def writes(self, working: Machine) -> list[Property]:
        """P7, for the time that a step takes."""

        def writes(q: Any) -> Expr:
            return (working.at() == Rank.FORWARDING) & (self.chunk.cell() == q)

        def stopped(q: Any) -> Expr:
            return self.machine.at(q).is_in(Prefill.PREEMPTED, Prefill.ABORTING)

        lost, late = any_of(self.request, lambda q: writes(q) & (self.own(q) == 0)), any_of(self.request, lambda q: writes(q) & stopped(q))
        return [
            never("no_lost_block_written", lost, "P7, S4: who is in a step has the blocks that it writes"),
            sometimes("some_stopped_written", late, "twin: a request is stopped during a step that runs it"),
        ]
