"""Signals of an earlier life of P, found in the kernel's queue after a restart (H-26, Q1).

The queue of kv signals is a System V object: it outlives the process. E1 throws such a signal away while it knows no task, which
absorbed them; E2 parks a layer-0 signal of an unregistered slot, and the registration of a new request in that slot forwards
it: the sender believes that layers are written which are not. Whether a parked signal is valid is decided by an unknown test
(Q1): none, or that it does not exceed the new prompt; neither tells lives apart. Ours: a signal names the life of P, or the queue
is drained before anything else is done.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial

from ...effect import when
from ...errors import DefinitionError
from ...expr import TRUE
from ...machine import Machine, Row
from ...properties import leads_to, never, sometimes
from ...system import System
from ...types import BOOL, Range, Record
from ...variable import Lock, channel, ghost, locked, private, register

VARIANTS = ("E1", "E2", "E2-tested", "drained", "repaired")


class Prefill(IntEnum):
    """P's engine and worker are ..."""

    OLD, FORWARDED, RESTARTING, DRAINED, RESTARTED, HELD, ADDED, DONE = range(8)


class Messager(IntEnum):
    """The messager is ..."""

    STARTING, POLLING, APPLYING, SENDING = range(4)


class Registrar(IntEnum):
    """The registering thread is ..."""

    WAITING, REGISTERED = range(2)


def build(variant: str = "repaired", old_tokens: int = 2, tokens: int = 2) -> System:
    """One request before a restart, one after it in the same slot.

    Args:
        variant: E1 discards, E2 parks, E2-tested parks and drops what exceeds the prompt, drained empties the queue at start, repaired.
        old_tokens, tokens: lengths of the two prompts.

    Raises:
        DefinitionError: an unknown variant, or a length outside 1 .. 3.
    """
    if variant not in VARIANTS:
        raise DefinitionError(f"variant={variant!r}: choose one of {', '.join(VARIANTS)}")
    if not (1 <= old_tokens <= 3 and 1 <= tokens <= 3):
        raise DefinitionError(f"old_tokens={old_tokens}, tokens={tokens}: choose from 1, 2, 3")
    length, life = Range(0, 3), Range(0, 1)
    signals = channel("kv_signals", Record("Signal", tokens=length, life=life), 2, cite="CH6: survives restarts")
    lock = Lock("messager_lock", cite="engine_cache_task_thread_lock")
    task = locked("cache_task", BOOL, lock, cite="idx_cache_task_dict of the new life")
    info = locked("cache_info_put", BOOL, lock, cite="CH2, here under the same lock: its order is not the subject")
    parked = locked("parked_tokens", length, lock, cite="#7872")
    started = register("new_life_ready", BOOL, cite="worker_ready_signal and its like: the messager starts with the new P")
    work = channel("prefilled_queue", length, 3, cite="cache_prefilled_engine_ids_queue")
    written, uncomputed, sent = ghost("tokens_written", length), ghost("uncomputed_sent", BOOL), ghost("sent", BOOL)
    prefill = _prefill(variant, old_tokens, tokens, signals, info, lock, written, started)
    machines = [prefill, _registrar(variant, tokens, task, info, lock, parked, work), _messager(variant, signals, task, lock, parked, work, started)]
    machines.append(_sender(work, tokens, written, uncomputed, sent))
    properties = [
        never("uncomputed_sent", uncomputed, about="S2: nothing is sent before the worker of this life has written it"),
        sometimes("some_request_sent", sent, about="twin of uncomputed_sent"),
        leads_to("prompts_sent", prefill.at() == Prefill.DONE, sent, about="L1"),
    ]
    return System("stale_signals", machines, properties, doc=__doc__ or "")


def _prefill(variant, old_tokens, tokens, signals, info, lock, written, started) -> Machine:  # type: ignore[no-untyped-def]
    """The old life ends right behind its signal; the new one holds, registers, schedules, writes and signals."""
    s, step, signal = Prefill, partial(Row, actor="prefill"), signals.message
    drains = variant == "drained"
    rows = [
        step("forward_old", s.OLD, s.FORWARDED, TRUE, [signals.send(signal(tokens=old_tokens, life=0))], cite="6.2"),
        step("restart", s.FORWARDED, s.RESTARTING, TRUE, [], cite="H-26"),
        step("hold", s.RESTARTED, s.HELD, TRUE, [info.set(True)], under=lock, cite="4.3, 4.7"),
        step("add", s.HELD, s.ADDED, TRUE, [], cite="4.8: nothing is acknowledged"),
        step("forward", s.ADDED, s.DONE, TRUE, [signals.send(signal(tokens=tokens, life=1)), written.set(tokens)], cite="6.2"),
    ]
    if drains:
        head = signals.cell().head
        rows.append(step("drain", s.RESTARTING, s.RESTARTING, head.life == 0, [signals.receive()], cite="ours"))
        rows.append(step("find_none", s.RESTARTING, s.DRAINED, signals.cell().empty, [], cite="ours"))
    rows.append(step("begin", s.DRAINED if drains else s.RESTARTING, s.RESTARTED, TRUE, [started.set(True)], cite="a new process"))
    return Machine("prefill", s, rows, final=s.DONE, doc="P's engine and worker, before and after a restart.")


def _registrar(variant, tokens, task, info, lock, parked, work) -> Machine:  # type: ignore[no-untyped-def]
    s, step = Registrar, partial(Row, actor="messager", under=lock)
    register = [task.set(True)]
    valid = parked.cell() <= tokens if variant == "E2-tested" else TRUE
    rows = [step("register", s.WAITING, s.REGISTERED, info.cell() & (parked.cell() == 0), register, cite="6.1 a3")]
    if variant != "E1":
        forward = [*register, work.send(parked.cell()), parked.set(0)]
        rows.append(step("register_and_forward", s.WAITING, s.REGISTERED, info.cell() & (parked.cell() != 0) & valid, forward, cite="#7872"))
    if variant == "E2-tested":
        drop = [*register, parked.set(0)]
        rows.append(step("register_and_drop", s.WAITING, s.REGISTERED, info.cell() & (parked.cell() != 0) & ~valid, drop, cite="#7872, Q1"))
    return Machine("registrar", s, rows, final=(s.WAITING, s.REGISTERED), doc="MA of the new life.")


def _messager(variant, signals, task, lock, parked, work, started) -> Machine:  # type: ignore[no-untyped-def]
    """MC of the new life; it begins with an empty table, and the old life's signal may be there. It starts when the new life is ready."""
    s, step = Messager, partial(Row, actor="messager")
    seen, head = private("seen_tokens", signals.message.fields[0][1]), signals.cell().head
    current = head.life == 1 if variant == "repaired" else TRUE
    begin = step("start", s.STARTING, s.POLLING, started.cell(), [], cite="a new process")
    rows = [begin, step("receive", s.POLLING, s.APPLYING, current, [seen.set(head.tokens), signals.receive()], cite="6.3 c1")]
    if variant == "repaired":
        rows.append(step("drop_old", s.POLLING, s.POLLING, head.life == 0, [signals.receive()], cite="ours: of an earlier life"))
    queue, rest = [work.send(seen.cell()), seen.set(0)], [seen.set(0)]
    rows.append(step("queue_item", s.APPLYING, s.POLLING, task.cell(), queue, under=lock, cite="6.3 c4"))
    if variant == "E1":
        rows.append(step("discard", s.APPLYING, s.POLLING, ~task.cell(), rest, under=lock, cite="6.3 c2"))
    else:
        rows.append(step("park", s.APPLYING, s.POLLING, ~task.cell(), [parked.set(seen.cell()), *rest], under=lock, cite="#7872"))
    return Machine("consumer", s, rows, final=(s.STARTING, s.POLLING), doc="MC of the new life.")


def _sender(work, tokens, written, uncomputed, sent) -> Machine:  # type: ignore[no-untyped-def]
    """MS: what an item says is written is sent. The progress mark has outlived the restart as the signal has."""
    s, head = Messager, work.cell().head
    send = [work.receive(), when(head > written.cell(), uncomputed.set(True)), when(head >= tokens, sent.set(True))]
    row = Row("send", s.SENDING, s.SENDING, TRUE, send, "messager", cite="6.4 s4")
    return Machine("sender", s, [row], initial=s.SENDING, final=s.SENDING, doc="MS of the new life.")
