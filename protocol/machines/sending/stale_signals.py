"""Signals of an earlier life of P, found in the kernel's queue after a restart (H-26, Q1).

The queue of kv signals is a System V object: it outlives the process. E1 throws such a signal away while it knows no task, which
absorbed them; E2 parks a layer-0 signal of an unregistered slot, and the registration of a new request in that slot forwards
it: the sender believes that layers are written which are not. Whether a parked signal is valid is decided by an unknown test
(Q1): none, or that it does not exceed the new prompt; neither tells lives apart. Ours: a signal names the life of P, or the queue
is drained before anything else is done. As published, the registrar takes no lock for its tables; in ours it does.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial
from typing import Any

from ...effect import when
from ...expr import TRUE
from ...machine import Machine, Row
from ...properties import leads_to, never, sometimes
from ...system import System
from ...types import BOOL, Range, Record
from ...variable import Lock, channel, ghost, locked, private, register, unlocked
from ..arguments import one_of, within

VARIANTS = ("E1", "E2", "E2-tested", "drained", "repaired")


class Prefill(IntEnum):
    """P's engine and worker are ..."""

    OLD, FORWARDED, RESTARTING, DRAINED, RESTARTED, HELD, ADDED, DONE = range(8)


class Registrar(IntEnum):
    """The registering thread is ..."""

    WAITING, FETCHED, STORED, PUBLISHED, REGISTERED = range(5)


class Consumer(IntEnum):
    """The thread that reads the signals is ..."""

    STARTING, POLLING, CHECKING, APPLYING, QUEUEING = range(5)


class Sender(IntEnum):
    """The sending thread is ..."""

    WAITING, POPPED, SENDING = range(3)


class _Plane:
    """What the machines share."""

    def __init__(self, variant: str, old_tokens: int, tokens: int):
        self.variant, self.old_tokens, self.tokens, self.ours = variant, old_tokens, tokens, variant == "repaired"
        self.parks = variant != "E1"
        length, life = Range(0, 3), Range(0, 1)
        self.signal = Record("Signal", tokens=length, life=life)
        self.signals = channel("kv_signals", self.signal, 2, cite="CH6: survives restarts")
        self.lock = Lock("messager_lock", cite="engine_cache_task_thread_lock")
        self.infos_lock = Lock("cache_infos_lock", cite="CH2")
        self.info_put = locked("cache_info_put", BOOL, self.infos_lock, cite="CH2: the request's halves, merged")
        self.info = unlocked("cache_info", BOOL, cite="2.3")
        self.task = locked("cache_task", BOOL, self.lock, cite="ours") if self.ours else unlocked("cache_task", BOOL, cite="idx_cache_task_dict")
        self.parked = locked("parked_tokens", length, self.lock, cite="#7872: pending_layer0_signals")
        self.started = register("new_life_ready", BOOL, cite="worker_ready_signal and its like: the messager starts with the new P")
        self.work = channel("prefilled_queue", length, 3, cite="cache_prefilled_engine_ids_queue")
        self.written, self.uncomputed, self.sent = ghost("tokens_written", length), ghost("uncomputed_sent", BOOL), ghost("sent", BOOL)


def build(variant: str = "repaired", old_tokens: int = 2, tokens: int = 2) -> System:
    """One request before a restart, one after it in the same slot.

    Args:
        variant: E1 discards, E2 parks, E2-tested parks and drops what exceeds the prompt, drained is E2 and empties the queue at
            start, repaired.
        old_tokens, tokens: lengths of the two prompts.

    Raises:
        DefinitionError: an unknown variant, or a length outside 1 .. 3.
    """
    one_of(VARIANTS, variant=variant)
    within(1, 3, old_tokens=old_tokens, tokens=tokens)
    p = _Plane(variant, old_tokens, tokens)
    prefill = _prefill(p)
    properties = [
        never("uncomputed_sent", p.uncomputed.cell(), about="S2: nothing is sent before the worker of this life has written it"),
        sometimes("some_request_sent", p.sent.cell(), about="twin of uncomputed_sent"),
        leads_to("prompts_sent", prefill.at() == Prefill.DONE, p.sent.cell(), about="L1"),
    ]
    return System("stale_signals", [_consumer(p), prefill, _registrar(p), _sender(p)], properties, doc=__doc__ or "")


def _prefill(p: _Plane) -> Machine:
    """The old life ends right behind its signal; the new one holds, registers, schedules, writes and signals."""
    s, step, head = Prefill, partial(Row, actor="prefill"), p.signals.cell().head
    old, new = p.signal(tokens=p.old_tokens, life=0), p.signal(tokens=p.tokens, life=1)
    drains = p.variant == "drained"
    rows = [
        step("forward_old", s.OLD, s.FORWARDED, TRUE, [p.signals.cell().send(old)], cite="6.2"),
        step("restart", s.FORWARDED, s.RESTARTING, TRUE, [], cite="H-26"),
        step("hold", s.RESTARTED, s.HELD, TRUE, [p.info_put.cell().set(True)], under=p.infos_lock, cite="4.3, 4.7"),
        step("add", s.HELD, s.ADDED, TRUE, [], cite="4.8: nothing is acknowledged"),
        step("forward", s.ADDED, s.DONE, TRUE, [p.signals.cell().send(new), p.written.cell().set(p.tokens)], cite="6.2"),
    ]
    if drains:
        rows.append(step("drain", s.RESTARTING, s.RESTARTING, head.life == 0, [p.signals.cell().receive()], cite="ours"))
        rows.append(step("find_none", s.RESTARTING, s.DRAINED, p.signals.cell().empty, [], cite="ours"))
    rows.append(step("begin", s.DRAINED if drains else s.RESTARTING, s.RESTARTED, TRUE, [p.started.cell().set(True)], cite="a new process"))
    return Machine("prefill", s, rows, final=s.DONE, doc="P's engine and worker, before and after a restart.")


def _registrar(p: _Plane) -> Machine:
    """MA[r] of the new life: fetch, store, publish; then what was parked for the slot is forwarded, or dropped as invalid."""
    s, step, locked_step = Registrar, partial(Row, actor="messager"), partial(Row, actor="messager", under=p.lock)
    parked, publishes = p.parked.cell(), locked_step if p.ours else step
    valid = parked <= p.tokens if p.variant == "E2-tested" else TRUE
    rows = [
        step("fetch_info", s.WAITING, s.FETCHED, p.info_put.cell(), [p.info_put.cell().set(False)], under=p.infos_lock, cite="6.1 a1"),
        step("store_info", s.FETCHED, s.STORED, TRUE, [p.info.cell().set(True)], cite="6.1 a3"),
        publishes("publish_task", s.STORED, s.PUBLISHED if p.parks else s.REGISTERED, TRUE, [p.task.cell().set(True)], cite="6.1 a3"),
    ]
    if p.parks:
        forward = [p.work.cell().send(parked), parked.set(0)]
        rows.append(locked_step("find_nothing_parked", s.PUBLISHED, s.REGISTERED, parked == 0, [], cite="#7872"))
        rows.append(locked_step("forward_parked", s.PUBLISHED, s.REGISTERED, (parked != 0) & valid, forward, cite="#7872"))
    if p.variant == "E2-tested":
        rows.append(locked_step("drop_parked", s.PUBLISHED, s.REGISTERED, (parked != 0) & ~valid, [parked.set(0)], cite="#7872, Q1"))
    return Machine("registrar", s, rows, final=(s.WAITING, s.REGISTERED), doc="MA of the new life.")


def _consumer(p: _Plane) -> Machine:
    """MC of the new life; it begins with empty tables, and the old life's signal may be there. It starts when the new life is ready."""
    s, step, head = Consumer, partial(Row, actor="messager"), p.signals.cell().head
    seen, task = private("seen_tokens", Range(0, 3)).cell(), p.task.cell()
    got, take = s.APPLYING if p.parks else s.CHECKING, [seen.set(head.tokens), p.signals.cell().receive()]
    queue: list[Any] = [p.work.cell().send(seen), seen.set(0)]
    rows = [
        step("start", s.STARTING, s.POLLING, p.started.cell(), [], cite="a new process"),
        step("receive", s.POLLING, got, head.life == 1 if p.ours else TRUE, take, cite="6.3 c1"),
    ]
    if p.ours:
        rows.append(step("drop_old", s.POLLING, s.POLLING, head.life == 0, [p.signals.cell().receive()], cite="ours: of an earlier life"))
    if p.parks:
        rows += [
            step("park", s.APPLYING, s.POLLING, ~task, [p.parked.cell().set(seen), seen.set(0)], under=p.lock, cite="#7872"),
            step("find_task", s.APPLYING, s.QUEUEING, task, [], acquire=p.lock, cite="#7872"),
            step("queue_item", s.QUEUEING, s.POLLING, TRUE, queue, release=p.lock, cite="6.3 c4"),
        ]
    else:
        rows += [
            step("discard", s.CHECKING, s.POLLING, ~p.info.cell(), [seen.set(0)], cite="6.3 c2"),
            step("accept", s.CHECKING, s.APPLYING, p.info.cell(), [], cite="6.3 c2"),
            step("queue_item", s.APPLYING, s.POLLING, TRUE, queue, under=p.lock, cite="6.3 c4"),
        ]
    return Machine("consumer", s, rows, final=(s.STARTING, s.POLLING), doc="MC of the new life.")


def _sender(p: _Plane) -> Machine:
    """MS: what an item says is written is sent. The progress mark has outlived the restart as the signal has."""
    s, step, item = Sender, partial(Row, actor="messager"), private("item_in_hand", Range(0, 3)).cell()
    send = [when(item > p.written.cell(), p.uncomputed.cell().set(True)), when(item >= p.tokens, p.sent.cell().set(True)), item.set(0)]
    rows = [
        step("pop", s.WAITING, s.POPPED, TRUE, [item.set(p.work.cell().head), p.work.cell().receive()], cite="6.4 s1"),
        step("find_task", s.POPPED, s.SENDING, p.task.cell(), [], under=p.lock if p.ours else None, cite="6.4 s3: waits"),
        step("send", s.SENDING, s.WAITING, TRUE, send, cite="6.4 s4"),
    ]
    return Machine("sender", s, rows, final=(s.WAITING, s.POPPED), doc="MS of the new life.")
