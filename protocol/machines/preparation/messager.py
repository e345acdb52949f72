"""P's messager as preparation meets it: the mailbox of cache tasks (CH2), registration (MA), and sending (MS), on one rank.

A cache task comes in two halves, put by two threads of P: its own blocks by the prepare thread, for the whole batch at once, and
D's blocks by the thread that handles D's answer. It is registered when both are there. A request that runs is computed
and becomes work for the sender, one after the other; the sender looks the task up, and from E1 on waits for it without a
bound (`_maybe_wait_for_cache_task`).

Ours: P puts both halves in one, after D has granted, so nothing is ever half there; registration is under the sender's lock, and work
that is not registered yet is passed over.

Left out here, and found in the groups "layer0-signal" and "sending": ranks, layers, signals that are lost, slots, errors.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial

from ...combine import all_of, choice, me
from ...effect import each, when
from ...expr import TRUE
from ...machine import Machine, Row
from ...types import Enum, Optional
from ...variable import Variable, private
from .instances import Half, Instances, Stage

_row = partial(Row, actor="messager")


class Registrar(IntEnum):
    """MA is ..."""

    POLLING, LOOKING, INSERTING, MERGING, PUBLISHING, ACKNOWLEDGING = range(6)


class Sender(IntEnum):
    """MS is ..."""

    IDLE, LOOKING, SENDING, REPORTING, CLEANING, DELETING = range(6)


class Forward(IntEnum):
    """The workers are ..."""

    RUNNING = 0


class TokenProcessor(IntEnum):
    """P.T is ..."""

    READING, ANSWERING = range(2)


def machines(i: Instances) -> list[Machine]:
    """The messager, and P from the schedule to the first token around it."""
    return [registrar(i), sender(i), forward(i), token_processor(i)]


def registrar(i: Instances) -> Machine:
    """MA: `_add_cache_task_thread` (6.1)."""
    p, s = me(i.prefill), Registrar
    taken = private("taken_halves", Enum(Half), over=(i.prefill, i.request))
    get = [i.infos_read[p].set(True), each(i.request, lambda j: (taken[p, j].set(i.infos[p, j]), i.infos[p, j].set(Half.NONE)))]
    empty = all_of(i.request, lambda j: taken[p, j] == Half.NONE)
    rows = [
        _row("get_halves", s.POLLING, s.LOOKING, ~i.infos_read[p], get, under=i.infos_lock[p], cite="6.1 a1, CH2"),
        _row("end_list", s.LOOKING, s.POLLING, empty, cite="6.1"),
        *(_whole_rows if i.variant.splits else _half_rows)(i, taken),
    ]
    return Machine("registrar", s, rows, copies=i.prefill, final=s.POLLING, doc="MA: registers cache tasks (6.1).")


def _half_rows(i: Instances, taken: Variable) -> list[Row]:
    """Before the repair: the first half is stored, the second is merged with it; every access is by itself."""
    p, q, s = me(i.prefill), choice("request", i.request), Registrar
    head = (taken[p, q] != Half.NONE) & all_of(i.request, lambda j: (j >= q) | (taken[p, j] == Half.NONE))
    known, task, done = i.cache_info[p, q], i.cache_task[p, q], taken[p, q].set(Half.NONE)
    twice = (known == taken[p, q]) & (known != Half.NONE)
    lost = [each(i.request, lambda j: taken[p, j].set(Half.NONE)), i.assertion_failed.set(True)]
    published = [task.set(True), when(i.registered[q], i.registered_again.set(True)), i.registered[q].set(True)]
    step = partial(_row, choose=(q,))
    # fmt: off
    rows = [
        step("find_none",  s.LOOKING,    s.INSERTING,  head & (known == Half.NONE),         cite="6.1 a3"),
        step("find_other", s.LOOKING,    s.MERGING,    head & (known != Half.NONE) & ~twice, cite="6.1 a3"),
        step("fail",       s.LOOKING,    s.POLLING,    head & twice, lost,                  cite="6.1 a3: the rest of the list is lost, H-19"),
        step("insert",     s.INSERTING,  s.LOOKING,    head, [known.set(taken[p, q]), done], cite="6.1 a3"),
        step("merge",      s.MERGING,    s.PUBLISHING, head, [known.set(Half.BOTH)],        cite="6.1 a3"),
    ]
    if i.variant.single:
        rows += [
            step("publish",     s.PUBLISHING,    s.ACKNOWLEDGING, head, published,                         cite="6.1 a3"),
            step("acknowledge", s.ACKNOWLEDGING, s.LOOKING, head, [i.added[p, q].set(True), done], under=i.added_lock[p], cite="6.1 a4, CH3"),
        ]
    else:
        rows.append(step("publish", s.PUBLISHING, s.LOOKING, head, [*published, done], cite="6.1 a3; #7724"))
    # fmt: on
    return rows


def _whole_rows(i: Instances, taken: Variable) -> list[Row]:
    """Ours: what arrives is whole, and is registered under the sender's lock."""
    p, q, s = me(i.prefill), choice("request", i.request), Registrar
    head = (taken[p, q] != Half.NONE) & all_of(i.request, lambda j: (j >= q) | (taken[p, j] == Half.NONE))
    register = [i.cache_task[p, q].set(True), taken[p, q].set(Half.NONE), i.registered[q].set(True)]
    return [_row("register", s.LOOKING, s.LOOKING, head, register, choose=(q,), under=i.messager[p], cite="ours")]


def sender(i: Instances) -> Machine:
    """MS: the send loop (6.4)."""
    p, q, s = me(i.prefill), choice("request", i.request), Sender
    hand = i.work_in_hand
    mine, task = hand[p] == q, i.cache_task[p, q]
    step = partial(_row, choose=(q,))
    report, empty = i.reports[p].send(q), hand[p].set(None)
    # fmt: off
    if i.variant.splits:
        rows = [
            step("take_registered", s.IDLE, s.SENDING, task, [i.work[p].receive(q), hand[p].set(q)], under=i.messager[p], cite="ours: others wait"),
            step("send",   s.SENDING,   s.CLEANING,  mine,                                       cite="6.4 s4"),
            step("clean",  s.CLEANING,  s.REPORTING, mine, [task.set(False)], under=i.messager[p], cite="ours: clean before report"),
            step("report", s.REPORTING, s.IDLE,      mine, [report, empty],                      cite="CH4"),
        ]
    else:
        pop = [hand[p].set(i.work[p].head), i.work[p].receive()]
        rows = [
            _row("pop",         s.IDLE,      s.LOOKING,   TRUE, pop,                              cite="6.4 s1"),
            step("find_task",   s.LOOKING,   s.SENDING,   mine & task,                            cite="6.4 s3; #7724: waits without a bound, H-02"),
            step("send",        s.SENDING,   s.REPORTING, mine,                                   cite="6.4 s4"),
            step("report",      s.REPORTING, s.CLEANING,  mine, [report],                         cite="CH4"),
            step("delete_info", s.CLEANING,  s.DELETING,  mine, [i.cache_info[p, q].set(Half.NONE)], cite="6.4"),
            step("delete_task", s.DELETING,  s.IDLE,      mine, [task.set(False), empty],         cite="6.4"),
        ]
    # fmt: on
    return Machine("sender", s, rows, copies=i.prefill, final=s.IDLE, doc="MS: sends what is registered (6.4).")


def forward(i: Instances) -> Machine:
    """P.S and the workers: a request that runs is computed."""
    p, q, s = me(i.prefill), choice("request", i.request), Forward.RUNNING
    effects = [i.stage[p, q].set(Stage.COMPUTED), i.work[p].send(q)]
    row = Row("compute", s, s, i.stage[p, q] == Stage.RUNNING, effects, "worker", choose=(q,), under=i.resources[p], cite="4.8, 6.2, 6.3")
    return Machine("forward", Forward, [row], copies=i.prefill, final=s, doc="P.S, P.W and MC: a running request becomes work for the sender.")


def token_processor(i: Instances) -> Machine:
    """P.T and P.FIN: a request that was sent is committed and released."""
    p, q, s = me(i.prefill), choice("request", i.request), TokenProcessor
    hand = private("reported_request", Optional(i.request), over=i.prefill)
    answer = [i.stage[p, q].set(Stage.DONE), i.first_tokens.send(q), i.ended[q].set(True), hand[p].set(None)]
    rows = [
        Row("read_report", s.READING, s.ANSWERING, TRUE, [hand[p].set(i.reports[p].head), i.reports[p].receive()], "prefill", cite="4.9, CH4"),
        Row("answer", s.ANSWERING, s.READING, hand[p] == q, answer, "prefill", choose=(q,), under=i.resources[p], cite="4.9, 4.10"),
    ]
    return Machine("token_processor", s, rows, copies=i.prefill, final=s.READING, doc="P.T and P.FIN (4.9, 4.10).")
