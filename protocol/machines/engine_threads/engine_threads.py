"""The engine process's threads, put together: may they work against each other?

Five kinds of thread share the scheduler's mutex, RM.lock and the engine-worker queue: SCHED (`scheduling.py`), FETCH
(`fetching.py`), ZMQ-in (`control.py`), TOK and FIN (`completion.py`); the workers (`ranks.py`) read what is put. Each lock protects
its own variables, and no lock what spans two of them: a request on its way from the scheduler to the resource manager, a batch on
its way from `schedule()` into the queue. Whoever acts on all requests "now" (an abort, a pause) misses the one that is on its way.

What each version does is said in `epochs.py`, what goes wrong in the catalogue's group "engine-threads". Ours:

1. *One putter.* Only SCHED puts into the queue; aborts and control requests are noted under RM.lock, and `schedule()` acts on them. So
   tasks arrive in the order of the decisions, and no other thread ever waits for a rank.
2. *One critical section* from `schedule()` to the end of the put: what is put is what is true (`snapshot.py`). The put does not wait
   there, because the gate has seen the queue empty and nobody else puts.
3. *An abort is a state that the owner of the stage acts on*: unread: ZMQ-in, under the mutex; in a fetch: the fetch, at every
   wait; waiting or ready: `schedule()`; running: `schedule()` issues the stop, and TOK gives slot and block back when it is reported.
4. *A pause refuses, aborts and drains*; the reset of the cache comes when the last block is back.
5. *An exception costs one request*, which is answered, and what it held is given back: in a fetch as in the handling of a step.
6. *Fetch loops instead of a pool*: nothing to submit to at exit, no `is_fetching`; at least one of them; every wait watches the exit.
   As many requests may wait as there are slots: a batch gathers during a forward, and no more than a batch.

7. *Each stay in a slot ends with one report*: a stop that finds its slot empty is not reported, since the last token was. The slot is
   free only when that one report has been handled, so no report is credited to the next request in the slot, and reports need
   no name.

A generation number in each batch, checked by the worker, was the alternative to 1 and 2. It would let the worker reject a stale
prefill, but the engine would have to learn of the rejection and schedule again; and it does not name the victim of a stop, which is
addressed to a slot. One critical section around `schedule()` and the put, with the aborts still put by ZMQ-in (`locked_put`), mends
the stale prefill and not the stop that hits the next request in the slot.

The bounds are small: two or three requests on one or two slots. One row is one look, one store, or one critical section; where a
look without a lock is joined to what follows it (TOK's at tasks_list, ZMQ-in's at RM.requests), the file says so. Left out, because
they are other subjects: the ranks' barriers, cache tasks and the waits of P's token processor, preemption for want of blocks,
tokens credited by slot, the cursor.
"""

from __future__ import annotations

from typing import Any

from ...combine import all_of, any_of, conjunction
from ...expr import FALSE, Expr
from ...machine import Machine
from ...properties import Property, always, leads_to, never, sometimes
from ...system import System
from .completion import finisher, token_processor
from .control import Control, control
from .engine import IN_RUNNING, Engine, Intake, Stage
from .environment import Exit, client, leaving, stalling
from .fetching import Fetch, fetching
from .ranks import Rank, ranks
from .scheduling import Schedule, scheduling


def build(
    epoch: str = "repaired",
    role: str = "mixed",
    requests: int = 2,
    slots: int = 1,
    blocks: int = 1,
    threads: int = 1,
    late: int = 0,
    commands: tuple[str, ...] = (),
    exits: str = "none",
    failures: int = 0,
    step_failures: int = 0,
    stalls: int = 0,
    silent: bool = False,
    gives_up: bool = False,
) -> System:
    """The engine process of one data-parallel instance; `gives_up`: the old pause stops waiting after its 60 s. The rest: see `Engine`."""
    e = Engine(epoch, role, requests, slots, blocks, threads, late, commands, exits, failures, step_failures, stalls, silent)
    machines = [scheduling(e), fetching(e), ranks(e), token_processor(e), finisher(e)]
    if late or commands:
        machines += [client(e), control(e, gives_up)]
    if exits != "none":
        machines.append(leaving(e))
    if stalls:
        machines.append(stalling(e))
    by_name = {m.name: m for m in machines}
    properties = [*_ownership(e, by_name), *_requests(e, by_name["rank"]), *_threads(e, by_name)]
    return System("engine_threads", machines, properties, doc=__doc__ or "")


def _ownership(e: Engine, machines: dict[str, Machine]) -> list[Property]:
    """P7 and S4: who owns slots and blocks."""
    rank, q = machines["rank"], e.request

    def owned(r: Any) -> Expr:
        slots = [e.held[r, s].is_none | _is_owned(e, r, s) | _stop_comes(e, r, s) for s in e.slot]
        return (rank.at(r) != Rank.FORWARDING) | conjunction(slots)

    def writes_freed(r: Any) -> Expr:
        return (rank.at(r) == Rank.FORWARDING) & any_of(e.slot, lambda s: ~e.held[r, s].is_none & (e.table[e.held[r, s].value] != e.held_block[r, s]))

    def in_free_list(r: Any) -> Expr:
        return any_of(e.block, lambda b: (e.table[r] == b) & e.block_free[b])

    two_tables = any_of(q, lambda a: any_of(q, lambda b: (a < b) & ~e.table[a].is_none & (e.table[a] == e.table[b])))
    forwarding = any_of(e.rank, lambda r: (rank.at(r) == Rank.FORWARDING) & any_of(e.slot, lambda s: ~e.held[r, s].is_none))
    shared = any_of(
        e.rank, lambda r: (rank.at(r) == Rank.FORWARDING) & any_of(e.slot, lambda a: any_of(e.slot, lambda b: (a < b) & _same_block(e, r, a, b)))
    )

    def runs(r: Any) -> Expr:
        return e.stage[r].is_in(*IN_RUNNING)

    placed = all_of(q, lambda r: ~runs(r) | e.holds_slot(r))
    together = any_of(q, lambda a: any_of(q, lambda b: (a < b) & runs(a) & runs(b) & (e.place[a] == e.place[b])))
    return [
        always(
            "written_by_owner", all_of(e.rank, owned), "P7: a step runs what the engine has in that slot and block, or the slot's stop is on its way"
        ),
        never("no_freed_block_written", any_of(e.rank, writes_freed), "P7, S4: what a step writes is its request's until it ends"),
        never("no_stop_for_another", _stops_another(e, machines), "no stop is on its way to a request that nobody wants to stop"),
        never("no_block_shared_in_step", shared, "P7: no step writes one block for two requests"),
        sometimes("some_step_runs", forwarding, "a step runs a request"),
        never("no_block_owned_twice", two_tables | any_of(q, in_free_list), "S4: no block is in two tables, or in a table and in the free list"),
        never(
            "no_held_block_free",
            any_of(q, lambda r: (e.stage[r] == Stage.HELD) & in_free_list(r)),
            "S4: the blocks of a request in preparation are taken",
        ),
        never("no_ending_block_free", any_of(q, lambda r: (e.stage[r] == Stage.ENDING) & in_free_list(r)), "S4: a block is freed once"),
        sometimes("some_block_held", any_of(q, lambda r: ~e.table[r].is_none), "a request has a block"),
        always("running_has_slot", placed, "S4: what runs has its slot"),
        never("no_slot_shared", together, "S4: no two requests run in one slot"),
        sometimes("some_request_runs", any_of(q, lambda r: e.stage[r] == Stage.RUNNING), "a request runs"),
    ]


def _same_block(e: Engine, r: Any, a: Any, b: Any) -> Expr:
    """The rank has two requests on one block."""
    return ~e.held[r, a].is_none & ~e.held[r, b].is_none & (e.held_block[r, a] == e.held_block[r, b])


def _is_owned(e: Engine, r: Any, s: int) -> Expr:
    """The request that the rank has in this slot has this slot and this block."""
    owner = e.held[r, s].value
    return (e.slot_owner[s] == owner) & (e.table[owner] == e.held_block[r, s])


def _stop_comes(e: Engine, r: Any, s: int) -> Expr:
    """A stop of the slot is in a thread's hand, or in the queue and unread by this rank."""
    queued = ~e.queue.tasks.empty & ~e.queue.read[r] & e.stop_field(e.queue.tasks.head, s)
    return e.stop_field(e.in_hand, s) | e.stops_in_hand[s] | queued


def _stops_another(e: Engine, machines: dict[str, Machine]) -> Expr:
    """The control thread is about to stop a slot whose request runs, and was put, and is not to be aborted."""
    if "control" not in machines:
        return FALSE
    put = machines["schedule"].at() != Schedule.PUTTING

    def innocent(q: Any) -> Expr:
        return (e.stage[q] == Stage.RUNNING) & ~e.abort_asked[q]

    hit = any_of(e.slot, lambda s: e.stops_in_hand[s] & ~e.slot_owner[s].is_none & innocent(e.slot_owner[s].value))
    return (machines["control"].at() == Control.PUTTING_STOP) & put & hit


def _requests(e: Engine, rank: Machine) -> list[Property]:
    """P12 and what else a request may expect."""
    q = e.request

    def is_open(r: Any) -> Expr:
        return e.intake[r].is_in(Intake.UNREAD, Intake.READ)

    def answered(r: Any) -> Expr:
        return e.intake[r] == Intake.GONE

    def asked(r: Any) -> Expr:
        return e.abort_asked[r] & e.in_requests(r)

    stepping = any_of(e.rank, lambda r: rank.at(r) == Rank.FORWARDING)
    lost = any_of(q, lambda r: (e.stage[r] == Stage.HELD) & all_of(e.thread, lambda t: e.mine[t] != r))
    return [
        leads_to("requests_answered", is_open, answered, each=q, about="P12: every accepted request gets a terminal answer"),
        sometimes("some_run_answers_all", all_of(q, answered), "every request is answered"),
        leads_to("aborts_end", asked, lambda r: ~e.in_requests(r), each=q, about="P14: a request to be aborted gives back what it has"),
        sometimes("some_abort_asked", any_of(q, asked), "a request of the resource manager is to be aborted"),
        never("no_held_request_lost", lost, "S7: what is held in preparation is in some thread's hand"),
        never("no_answered_request_scheduled", e.late_schedule, "P10: nothing is scheduled after its terminal answer"),
        never("no_answered_request_added", e.late_add, "P10: nothing joins the resource manager after its terminal answer"),
        always("waiting_is_one_batch", e.waiting.length <= e.slot.size, "what waits fits into the slots"),
        always("waiting_bounded", e.waiting.length <= e.slot.size + 1, "what waits fits into the slots, but for one fetch"),
        sometimes("some_request_waits", ~e.waiting.empty, "a request waits"),
        sometimes("some_batch_gathers", stepping & (e.waiting.length >= e.slot.size), "as many requests wait as there are slots, during a step"),
    ]


def _threads(e: Engine, machines: dict[str, Machine]) -> list[Property]:
    """P11, P15, and that no thread is held up by a rank."""
    sched, fetch = machines["schedule"], machines["fetch"]
    s, looking = Schedule, sched.at().is_in(Schedule.LOOKING, Schedule.LOOKING_FORWARD)
    properties = [
        never("no_schedule_thread_dies", sched.at() == s.DEAD, "no exception ends the scheduling thread"),
        never("no_put_waits", (sched.at() == s.PUTTING) & ~e.queue.is_read_by_all, "the batch before has been read when one is put"),
        leads_to("gate_opens", looking, sched.at() == s.SCHEDULING, about="P11: the gate opens again"),
    ]
    if "control" in machines:
        putting = machines["control"].at().is_in(Control.PUTTING_STOP, Control.CONTROLLING, Control.PUTTING_PREEMPTED)
        held_up = putting & ~e.queue.is_read_by_all & ~e.socket.empty
        properties += [
            leads_to("messages_taken", ~e.socket.empty, e.socket.empty, about="every message of the client is taken"),
            never("no_message_behind_put", FALSE if e.epoch.one_putter else held_up, "no message waits behind a put that waits for a rank"),
            sometimes("some_message_comes", ~e.socket.empty, "the client says something"),
        ]
    if e.exits != "none":
        ended = all_of(e.thread, lambda t: fetch.at(t) == (Fetch.IDLE if e.epoch.pooled else Fetch.ENDED))
        closed = machines["exit"].at() == Exit.CLOSED
        over = sched.at().is_in(s.ENDED, s.DEAD)
        properties.append(leads_to("threads_end", closed, over & ended, about="P15: an exit ends all threads"))
        properties.append(sometimes("some_exit_closes", closed, "the engine exits"))
    return properties
