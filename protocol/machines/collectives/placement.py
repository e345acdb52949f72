"""Where a signal lies: shared memory is one node's, and a name may stand for two segments (H24, H25).

The signals of an instance are cells of POSIX shared memory (facts 1.1). Two things put reader and writer before different
cells of one name:

- *two nodes*: with tensor parallelism across nodes the ranks of the second node write its own copy, which the engine never
  sees (H24). What goes through the queue's server (read_finish_flag, RF) reaches everybody;
- *a left-over segment*: the engine creates a signal by unlinking what is there and making it anew. A rank that has attached
  before keeps the old one, an orphan: nobody reads what it stores there (H25). Left-overs exist, as forward_signal is not
  cleaned up at exit, and so does the order: nothing makes the ranks of a further instance wait for its engine's signals.

One instance. The ranks' loop is that of B' (TPB#0, TPB#1, a `sync` forward) without experts, reduced to what the signals
need; the versions differ in who moves the forward signal, as in `signalling/forward_signal.py`: every rank (B'), every rank by
counting up and down (*counted*, a fix of the facts, 9.4), or rank 0 alone behind TPB#0 (*repaired*).

The repaired rule, in two sentences: *A signal has one writer, and it lies on the engine's node: rank 0 runs there and speaks
for all behind a barrier; what ranks tell each other goes through the server, or through a collective. The name of a segment
carries the generation of the engine that made it, so that attaching waits for the right one.*

What the model says more than the facts: in B' the second node adds nothing to the early zero, which is there on one node
already. It shows where the zero is right on one node: *counted* is, and is wrong on two. And of the two nnode formulas
(`nodes_counted`): the older finds a node too many when the ranks fill their nodes exactly, as tp=8 on one node with eight
chips; that costs a remote call per iteration and is otherwise harmless, and neither formula ever finds too few.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import any_of, me
from ...expr import TRUE, Expr, Literal
from ...machine import Machine, Row
from ...properties import Property, leads_to, never, sometimes
from ...system import System
from ...types import BOOL, Index, Range
from ...variable import Lock, Variable, locked, private, register, unlocked
from ..arguments import one_of, within
from .meeting import Call, Meetings
from .queues import TaskQueues

VARIANTS = ("B'", "counted", "repaired")
LAYOUTS = ("one_node", "two_nodes", "left_over")
FLAGS = ("shared_memory", "server")
_worker = partial(Row, actor="worker")
_engine = partial(Row, actor="prefill")


class Engine(IntEnum):
    """The engine's thread is ..."""

    CREATING, CHECKING, CHECKING_FORWARD, SCHEDULING, PUTTING = range(5)


class Rank(IntEnum):
    """The rank is ..., in the order of one iteration."""

    ATTACHING, STARTING, AT_TOP, LOOKING, ANNOUNCING, RETRACTING, LOOKED, AT_FLAG, RAISING, READING, READY = range(11)
    FORWARDING, FINISHED = range(11, 13)


def nodes_counted(ranks: int, chips: int, rounds_up: bool) -> int:
    """How many nodes the worker believes its ranks lie on: A and B add a node too many, B' rounds up (facts 1.2)."""
    return (ranks + chips - 1) // chips if rounds_up else (ranks + chips) // chips


def build(variant: str = "repaired", ranks: int = 2, layout: str = "two_nodes", flag: str = "server") -> System:
    """The system of one instance.

    Args:
        variant: who moves the forward signal. ranks: tensor-parallel ranks; on two nodes each has a node of its own.
        layout: all on one node; on two nodes; or on one, where a segment of an earlier engine is left over.
        flag: the announcement lies in shared memory (exist_task_signal, XT) or on the server (read_finish_flag, RF).

    Raises:
        DefinitionError: an unknown choice, or a bound that does not fit the layout.
    """
    one_of(VARIANTS, variant=variant)
    one_of(LAYOUTS, layout=layout)
    one_of(FLAGS, flag=flag)
    within(1, 2, ranks=ranks)
    signals = _Signals(variant, ranks, layout, flag)
    engine, worker = _engine_machine(signals), _worker_machine(signals)
    return System("placement", [engine, worker], _properties(signals, engine, worker), doc=__doc__ or "")


class _Signals:
    """The signals with a cell per place, and the place where each rank's cells are."""

    def __init__(self, variant: str, ranks: int, layout: str, flag: str):
        self.variant, self.layout, self.local = variant, layout, flag == "shared_memory"
        self.instances, self.ranks, self.places = Index("instance", 1), Index("rank", ranks), Index("place", 2)
        both = (self.instances, self.ranks)
        self.queues = TaskQueues.create(self.instances, self.ranks, BOOL)
        self.meetings = Meetings.create(self.instances, self.ranks)
        self.lock = Lock("signal_lock", over=self.places, cite="facts 9.4: a counter needs one")
        self.raised: Variable = register("forward_signal", BOOL, over=self.places, cite="engine_forward_signal; facts 1.2: FWD")
        self.count: Variable = locked("forward_count", Range(0, ranks), self.lock, over=self.places, cite="facts 9.4: FWD as a counter")
        self.announced: Variable = register("batch_announced", BOOL, over=self.places, cite="facts 1.2: XT, RF")
        self.segment: Variable = unlocked("segment_named", self.places, cite="facts 1.1: what the name stands for")
        spread = layout == "two_nodes"
        self.place = private("attached_to", self.places, over=both, init=lambda _, r: r if spread else 0)
        self.batch = private("worker_has_batch", BOOL, over=both)

    @property
    def home(self) -> Literal:
        """The engine's place: its node, or the segment that it creates."""
        return Literal(1 if self.layout == "left_over" else 0, self.places)

    @property
    def own(self) -> tuple[Expr, Expr]:
        """This rank of the instance."""
        return me(self.instances), me(self.ranks)

    @property
    def here(self) -> Expr:
        """The place of this rank's cells."""
        return self.place[self.own]

    @property
    def flag(self) -> Expr:
        """The announcement as this rank sees it."""
        return self.announced[self.here] if self.local else self.announced[self.home]


def _engine_machine(s: _Signals) -> Machine:
    """Creates its signals, and is the gate of B' from then on."""
    e, queues, home = Engine, s.queues, s.home
    counted = s.variant == "counted"
    up: Any = s.count[home] > 0 if counted else s.raised[home]
    look = partial(_engine, under=s.lock[home] if counted else None, cite="#6680; facts 3.2 B3")
    rows = [
        _engine("find_queue_empty", e.CHECKING, e.CHECKING_FORWARD, ~queues.exist_tasks, [], cite="#5376; facts 3.3"),
        look("find_forward_over", e.CHECKING_FORWARD, e.SCHEDULING, ~up, []),
        look("find_forward_running", e.CHECKING_FORWARD, e.CHECKING, up, [], poll=True),
        _engine("schedule", e.SCHEDULING, e.PUTTING, True, [], decided="decided", cite="facts 3.1 A5"),
        _engine("put_batch", e.PUTTING, e.CHECKING, queues.is_read_by_all, queues.put(True), under=queues.own_lock, cite="facts 2.2: put_tasks"),
    ]
    if s.layout == "left_over":
        rows.append(_engine("create_signals", e.CREATING, e.CHECKING, True, [s.segment.set(home)], cite="facts 1.1: unlinked and recreated; H25"))
    begins = e.CREATING if s.layout == "left_over" else e.CHECKING
    return Machine("engine", e, rows, copies=s.instances, initial=begins, doc="the engine: its signals and its gate")


def _worker_machine(s: _Signals) -> Machine:
    """The loop of B', reduced."""
    w, m, queues, (i, r) = Rank, s.meetings, s.queues, s.own
    leads, follows, owned = me(s.ranks) == 0, me(s.ranks) != 0, s.variant == "repaired"
    leave = partial(_worker, under=m.lock)
    see = partial(leave, "see_batch", w.AT_FLAG, guard=m.may_leave & s.flag, cite="facts 4.1 W6")
    top = m.may_leave & (follows if owned else TRUE)
    get = [queues.get(last=False), s.batch[i, r].set(True)], [queues.get(last=True), s.batch[i, r].set(True)]
    there, last = ~queues.is_empty, queues.is_read_by_others
    done = [s.batch[i, r].set(False)]
    rows = [
        _worker("enter_top", w.STARTING, w.AT_TOP, TRUE, m.enter(Call.TOP), under=m.lock, cite="facts 4.3: TPB#0"),
        leave("leave_top", w.AT_TOP, w.LOOKING, top, [], cite="facts 4.3: TPB#0"),
        _worker("find_batch", w.LOOKING, w.ANNOUNCING, leads & queues.exist_tasks, [], cite="facts 4.3 W3'"),
        _worker("find_no_batch", w.LOOKING, w.RETRACTING, leads & ~queues.exist_tasks, [], cite="facts 4.3 W3'"),
        _worker("announce", w.ANNOUNCING, w.LOOKED, TRUE, [s.flag.set(True)], cite="facts 4.3 W3'; H24, H25"),
        _worker("retract", w.RETRACTING, w.LOOKED, TRUE, [s.flag.set(False)], cite="facts 4.3 W3'"),
        _worker("enter_flag", w.LOOKED, w.AT_FLAG, TRUE, m.enter(Call.FLAG), under=m.lock, cite="facts 4.1 W4: TPB#1"),
        _worker("enter_flag", w.LOOKING, w.AT_FLAG, follows, m.enter(Call.FLAG), under=m.lock, cite="facts 4.1 W4: TPB#1"),
        leave("see_no_batch", w.AT_FLAG, w.STARTING, m.may_leave & ~s.flag, [], cite="facts 4.1 W6"),
        _worker("read_batch", w.READING, w.READY, there & ~last, get[0], under=queues.own_lock, cite="facts 2.2: get_tasks"),
        _worker("read_last_batch", w.READING, w.READY, there & last, get[1], under=queues.own_lock, cite="facts 2.2: get_tasks"),
        _worker("start_forward", w.READY, w.FORWARDING, TRUE, m.enter(Call.FORWARD), under=m.lock, cite="facts 9.2: SYNC"),
        leave("finish_forward", w.FORWARDING, w.STARTING if owned else w.FINISHED, m.may_leave, done, cite="facts 4.1 W10"),
    ]
    if owned:
        lower = [s.raised[s.here].set(False)]
        rows += [
            see(destination=w.RAISING, guard=m.may_leave & s.flag & leads),
            see(destination=w.READING, guard=m.may_leave & s.flag & follows),
            _worker("raise_forward", w.RAISING, w.READING, TRUE, [s.raised[s.here].set(True)], cite="ours: one writer, on the engine's node"),
            leave("lower_forward", w.AT_TOP, w.LOOKING, m.may_leave & leads, lower, cite="ours: one writer, on the engine's node"),
        ]
    else:
        rows += [see(destination=w.RAISING), *_moves_by_all(s)]
    if s.layout == "left_over":
        current = s.segment == s.home if owned else TRUE
        attach = [s.place[i, r].set(s.home if owned else s.segment)]
        rows.append(_worker("attach", w.ATTACHING, w.STARTING, current, attach, cite="ours: by generation; H25" if owned else "facts 1.1; H25"))
    begins = w.ATTACHING if s.layout == "left_over" else w.STARTING
    return Machine("worker", w, rows, copies=(s.instances, s.ranks), initial=begins, doc="the event loop of one rank")


def _moves_by_all(s: _Signals) -> list[Row]:
    """Every rank moves the signal in its own place: by storing, or by counting under a lock of that place."""
    w, here = Rank, s.here
    if s.variant == "counted":
        lock, cite = s.lock[here], "facts 9.4: a counter"
        return [
            _worker("raise_forward", w.RAISING, w.READING, TRUE, [s.count[here].add(1)], under=lock, cite=cite),
            _worker("lower_forward", w.FINISHED, w.STARTING, TRUE, [s.count[here].sub(1)], under=lock, cite=cite),
        ]
    return [
        _worker("raise_forward", w.RAISING, w.READING, TRUE, [s.raised[here].set(True)], cite="#6680; facts 4.2 W6"),
        _worker("lower_forward", w.FINISHED, w.STARTING, TRUE, [s.raised[here].set(False)], cite="#6680; facts 4.2 W10"),
    ]


def _properties(s: _Signals, engine: Machine, worker: Machine) -> list[Property]:
    zero = Literal(0, s.instances)
    working = any_of(s.ranks, lambda r: s.batch[zero, r])
    scheduling = engine.at(0) == Engine.SCHEDULING
    full = ~s.queues.tasks[zero].is_none
    closed = (engine.at(0) == Engine.CHECKING_FORWARD) & working
    return [
        never("no_schedule_during_forward", scheduling & working, "P3: schedule() does not run while a rank has a batch whose forward is not over"),
        sometimes("some_forward_waited_for", closed, "the gate looks at the signal while a rank has a batch"),
        leads_to("batch_is_read", full, ~full, about="P4: a batch that was put is read by every rank"),
        leads_to("gate_opens", engine.at(0) == Engine.CHECKING, scheduling, about="P11: a closed gate opens again"),
    ]
