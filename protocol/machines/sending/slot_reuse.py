"""A slot changes hands: whose cache task does a signal find there? (H-05)

The messager's tables are keyed by slot. A request that is aborted after its registration leaves its task behind, because nobody tells
the messager; the slot goes to the next one. When that one's first signal comes before its own registration, it drives the
old task: blocks that P has given to others are sent into memory of D that is reserved for others. In E0 the next occupant is
registered, and so overwrites the task, before it may run.

Ours: tables and signals name the request, and an abort reaches the messager as a withdrawal behind the request's signals.
One rank and one layer suffice. What a task says of its blocks is its request, so a write is judged by whose task it used.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial

from ...combine import all_of, any_of, me
from ...effect import when
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from ...properties import deadlock, leads_to, never, sometimes
from ...system import System
from ...types import BOOL, Index, Optional, Record
from ...variable import Lock, channel, ghost, locked, private, unlocked
from ..arguments import one_of, within

VARIANTS = ("E0", "E1", "E2", "named", "repaired")


class Life(IntEnum):
    """The request is ..."""

    QUEUED, HELD, PUT, RUNNING, FORWARDED, ANSWERED, ABORTED = range(7)


class Registrar(IntEnum):
    """The registering thread is ..."""

    POLLING, PUBLISHING, FORWARDING = range(3)


class Messager(IntEnum):
    """The consuming and sending thread is ..."""

    POLLING, LOOKING, SENDING, REPORTING = range(4)


def build(variant: str = "repaired", requests: int = 2) -> System:
    """Requests that use one slot after another; the first may be aborted.

    Args:
        variant: E0, E1, E2; named: E2 whose tables and signals name the request, without the withdrawal; repaired.
        requests: how many.

    Raises:
        DefinitionError: an unknown variant, or a number outside 1 .. 3.
    """
    one_of(VARIANTS, variant=variant)
    within(1, 3, requests=requests)
    p = _Parts(variant, requests)
    life = _life(p)
    registering, sending = _registrar(p), _messager(p)
    properties = [
        never("foreign_task_used", p.foreign, about="S3, S5: what is sent belongs to the request that the signal is about"),
        sometimes("some_task_used", p.used, about="twin of foreign_task_used"),
        deadlock(about="L3"),
        leads_to("forwards_answered", lambda q: life.at(q) == Life.FORWARDED, lambda q: life.at(q) == Life.ANSWERED, each=p.request, about="L1"),
        never("task_left_behind", _left_behind(p, life, registering, sending), about="S7: a task is there when all is over"),
    ]
    return System("slot_reuse", [life, registering, sending], properties, doc=__doc__ or "")


class _Parts:
    """The shared variables; `key` is the slot, of which there is one, or the request."""

    def __init__(self, variant: str, requests: int):
        self.acknowledged, self.parks = variant == "E0", variant not in ("E0", "E1")
        self.named, self.withdraws = variant in ("named", "repaired"), variant == "repaired"
        self.request = Index("request", requests)
        self.key = self.request if self.named else Index("slot", 1)
        self.resources = Lock("resource_lock", cite="facts 2.1: RM.lock")
        self.owner = locked("slot_owner", Optional(self.request), self.resources, cite="tasks_list, stop_flags")
        self.infos_lock = Lock("cache_infos_lock", cite="facts 2.2: lock_info")
        self.info = locked("cache_info_put", Optional(self.request), self.infos_lock, cite="CH2")
        self.signals = channel("kv_signals", Record("Signal", request=self.request, withdraws=BOOL), 2 * requests, cite="CH6")
        self.messager = Lock("messager_lock", cite="engine_cache_task_thread_lock")
        self.task = unlocked("cache_task", Optional(self.request), over=self.key, cite="idx_cache_task_dict")
        self.parked = locked("parked_signal", Optional(self.request), self.messager, over=self.key, cite="#7872")
        self.parked_withdrawal = locked("parked_withdrawal", BOOL, self.messager, over=self.key, cite="ours")
        self.finished = channel("finished", self.request, requests, cite="CH4")
        self.foreign, self.used = ghost("foreign_task_used", BOOL), ghost("task_used", BOOL)

    def key_of(self, request: object) -> object:
        """Where the tables hold that request's task."""
        return request if self.named else 0


def _life(p: _Parts) -> Machine:
    """P's engine and worker, as far as one request's steps go: hold, register, run, forward, answer; or an abort."""
    q, s = me(p.request), Life
    step = partial(Row, actor="prefill")
    mine, free = p.owner.cell() == q, [p.owner.set(None)]
    turn = p.owner.is_none
    registered = p.task[p.key_of(q)] == q
    rows = [
        step("hold", s.QUEUED, s.HELD, turn, [p.owner.set(q)], under=p.resources, cite="4.3"),
        step("put_info", s.HELD, s.PUT, p.info.is_none, [p.info.set(q)], under=p.infos_lock, cite="4.7"),
        step("add", s.PUT, s.RUNNING, registered if p.acknowledged else TRUE, [], cite="4.8; E0: acknowledged, 5.1 F5"),
        step("forward", s.RUNNING, s.FORWARDED, TRUE, [p.signals.send(_signal(p, q, False))], cite="6.2"),
        step("answer", s.FORWARDED, s.ANSWERED, p.finished.cell().head == q, [p.finished.receive()], cite="4.9"),
        step("free_slot", s.ANSWERED, s.ANSWERED, mine, free, under=p.resources, cite="4.10"),
        step("free_aborted_slot", s.ABORTED, s.ABORTED, mine, free, under=p.resources, cite="9.4"),
    ]
    withdraw = [p.signals.send(_signal(p, q, True))] if p.withdraws else []
    rows.append(step("abort", (s.PUT, s.RUNNING), s.ABORTED, q == 0, withdraw, fair="none", cite="9.4; ours: behind the signals"))
    return Machine("life", s, rows, copies=p.request, final=(s.ANSWERED, s.ABORTED), doc="One request in P's engine and worker.")


def _signal(p: _Parts, request: object, withdraws: bool) -> object:
    record = p.signals.message
    assert isinstance(record, Record)
    return record(request=request, withdraws=withdraws)


def _registrar(p: _Parts) -> Machine:
    """MA: publishes the task; from #7872 on it then forwards what was parked."""
    s, hand = Registrar, private("fetched_info", Optional(p.request))
    key, step = p.key_of(hand.cell().value), partial(Row, actor="messager")
    fetch, publish, done = [hand.set(p.info), p.info.set(None)], [p.task[key].set(hand.cell())], [hand.set(None)]
    rows = [step("fetch_info", s.POLLING, s.PUBLISHING, ~p.info.is_none, fetch, under=p.infos_lock, cite="6.1 a1")]
    if not p.parks:
        rows.append(step("publish_task", s.PUBLISHING, s.POLLING, TRUE, [*publish, *done], cite="6.1 a3"))
        return Machine("registrar", s, rows, final=s.POLLING, doc="MA (6.1).")
    again = [p.signals.send(_signal(p, p.parked[key].value, False)), p.parked[key].set(None), *done]
    withdrawn = [p.signals.send(_signal(p, hand.cell().value, True)), p.parked_withdrawal[key].set(False), p.parked[key].set(None), *done]
    lock = p.messager
    rows.append(step("publish_task", s.PUBLISHING, s.FORWARDING, TRUE, publish, cite="6.1 a3"))
    nothing = p.parked[key].is_none & ~p.parked_withdrawal[key]
    rows += [
        step("find_nothing_parked", s.FORWARDING, s.POLLING, nothing, done, under=lock, cite="#7872"),
        step("forward_parked", s.FORWARDING, s.POLLING, ~p.parked[key].is_none & ~p.parked_withdrawal[key], again, under=lock, cite="#7872"),
    ]
    if p.withdraws:
        rows.append(step("forward_withdrawal", s.FORWARDING, s.POLLING, p.parked_withdrawal[key], withdrawn, under=lock, cite="ours"))
    return Machine("registrar", s, rows, final=s.POLLING, doc="MA (6.1).")


def _messager(p: _Parts) -> Machine:
    """MC and MS, one after the other: look the signal's task up, send what it says, report, delete."""
    s, step = Messager, partial(Row, actor="messager")
    about, record = private("signal_about", Optional(p.request)), private("task_found", Optional(p.request))
    withdrawing = private("signal_withdraws", BOOL)
    head = p.signals.cell().head
    key = p.key_of(about.cell().value)
    take = [about.set(head.request), withdrawing.set(head.withdraws), p.signals.receive()]
    forget, there = [about.set(None), withdrawing.set(False)], ~p.task[key].is_none
    find = [record.set(p.task[key])]
    used = [p.used.set(True), when(record.cell() != about.cell(), p.foreign.set(True))]
    rows = [
        step("receive", s.POLLING, s.LOOKING, TRUE, take, cite="6.3 c1"),
        step("find_task", s.LOOKING, s.SENDING, there, find, cite="6.4 s3"),
        step("send", s.SENDING, s.REPORTING, ~withdrawing, used, cite="6.4 s4"),
        step("report", s.REPORTING, s.REPORTING, ~record.is_none, [p.finished.send(record.cell().value), record.set(None)], cite="CH4"),
        step("delete_task", s.REPORTING, s.POLLING, record.is_none, [p.task[key].set(None), *forget], cite="6.4 finish"),
    ]
    if p.parks:
        park = [when(~withdrawing, p.parked[key].set(about)), when(withdrawing, p.parked_withdrawal[key].set(True)), *forget]
        rows.append(step("park", s.LOOKING, s.POLLING, ~there, park, under=p.messager, cite="#7872"))
    if p.withdraws:
        drop = [p.task[key].set(None), record.set(None), *forget]
        rows.append(step("drop_task", s.SENDING, s.POLLING, withdrawing, drop, cite="ours"))
    return Machine("messager", s, rows, final=s.POLLING, doc="MC and MS (6.3, 6.4).")


def _left_behind(p: _Parts, life: Machine, registering: Machine, sending: Machine) -> Expr:
    """Every request is over, everybody is at rest, and a task or a parked signal is there all the same."""
    over = all_of(p.request, lambda q: life.at(q).is_in(Life.ANSWERED, Life.ABORTED))
    rest = (registering.at() == Registrar.POLLING) & (sending.at() == Messager.POLLING) & p.signals.cell().empty & p.info.is_none
    return over & rest & any_of(p.key, lambda k: ~p.task[k].is_none | ~p.parked[k].is_none)
