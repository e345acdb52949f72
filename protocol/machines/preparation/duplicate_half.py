"""An answer of D for several requests, whose halves P puts once for each of them (H-19), over two or more ranks.

`cache_sync` may carry an entry for each of several requests. For each entry that says "finished" P.IO stores the status, and then
puts the *whole* payload into the mailbox (CH2): two entries, two puts. P's own halves are put once, after the prepare thread has seen
both statuses: before or after the second put. Each rank reads every put in turn (CH2), meets the others (`cache_info_barrier`), and
stores or merges each half; in E0 it acknowledges what it registered (CH3) and meets them again. When a request is registered
everywhere it is sent, and each rank then forgets it by itself.

Ours: P puts the merged task once. Left out: everything else; requests are alike, and nothing fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import partial

from ...combine import all_of, any_of, choice, me, passed
from ...effect import each, when
from ...expr import TRUE, Expr
from ...machine import Machine, Row
from ...properties import deadlock, leads_to, never, sometimes
from ...system import System
from ...types import BOOL, Enum, Index, Range
from ...variable import Lock, barrier, ghost, locked, private, unlocked
from ..arguments import one_of, within
from .instances import Half

_row, _messager = partial(Row, actor="prefill"), partial(Row, actor="messager")
ENTRIES = 2
"""Requests in one answer of D."""


class Answer(IntEnum):
    """The thread that handles the answer is ..."""

    STORING, PUTTING, DONE = range(3)


class Prepare(IntEnum):
    """The prepare thread is ..."""

    WAITING, REGISTERING, COLLECTING, RUNNING, DONE = range(5)


class Registrar(IntEnum):
    """MA is ..."""

    POLLING, MEETING, LOOKING, INSERTING, MERGING, PUBLISHING, ACKNOWLEDGING, LEAVING = range(8)


class Sender(IntEnum):
    """MS is ..."""

    WAITING, LOOKING, FORGETTING, DELETING, DONE = range(5)


@dataclass(frozen=True)
class Variant:
    """What is put, and what is waited for.

    Args:
        acknowledged: the request runs only when every rank has acknowledged it. once: P alone puts, and once.
        merged: what P puts has D's half in it.
    """

    name: str
    acknowledged: bool = False
    once: bool = False
    merged: bool = False


VARIANTS = {
    v.name: v
    for v in (
        Variant("E0", acknowledged=True),
        Variant("E1"),
        Variant("repaired", once=True, merged=True),
        # Ours with a part left out, to show that the part is needed.
        Variant("unmerged", once=True),
    )
}


def build(variant: str = "repaired", ranks: int = 2) -> System:
    """The registration of two requests that D answered in one message.

    Raises:
        DefinitionError: an unknown variant, or a number of ranks out of bounds.
    """
    one_of(VARIANTS, variant=variant)
    within(1, 3, ranks=ranks)
    return _Registration(VARIANTS[variant], ranks).system()


class _Registration:
    """The variables that these threads share, and the machines on them."""

    def __init__(self, variant: Variant, ranks: int):
        self.variant, self.rank, self.request = variant, Index("rank", ranks), Index("request", ENTRIES)
        rank, request = self.rank, self.request
        self.status = unlocked("status_stored", BOOL, over=request, cite="facts 2.1: current_request_ids")
        self.infos_lock = Lock("cache_infos_lock", cite="facts 2.2: lock_info")
        self.infos = locked("cache_infos", Enum(Half), self.infos_lock, cite="CH2: one half of both requests")
        self.infos_read = locked("cache_infos_read", BOOL, self.infos_lock, over=rank, init=True, cite="CH2; every rank has polled once")
        self.met = barrier("cache_info_barrier", ranks, kind="sense", cite="6.1 a2")
        self.left = barrier("finish_add_barrier", ranks, kind="sense", cite="6.1 a5")
        self.known = unlocked("cache_info", Enum(Half), over=(rank, request), cite="facts 2.3: no lock")
        self.task = unlocked("cache_task", BOOL, over=(rank, request), cite="idx_cache_task_dict: no lock")
        self.added_lock = Lock("added_lock", cite="facts 2.2: finish_add_cache_task_lock")
        self.added_by = locked("added_by_rank", BOOL, self.added_lock, over=rank, cite="CH3")
        self.forwarded = unlocked("forward_over", BOOL, cite="4.8: the requests run, are computed and signalled")
        self.failed = ghost("assertion_failed", BOOL)
        self.registered, self.again = ghost("registered", BOOL, over=(rank, request)), ghost("registered_again", BOOL)
        self.sent = ghost("sent", BOOL, over=(rank, request))

    def system(self) -> System:
        """The machines, and what is asked of them."""
        answer, prepare, registrar, sender = self.answer(), self.prepare(), self.registrar(), self.sender()
        idle = all_of(self.rank, lambda r: (registrar.at(r) == Registrar.POLLING) & (sender.at(r) == Sender.DONE) & self.infos_read[r])
        quiet = (answer.at() == Answer.DONE) & (prepare.at() == Prepare.DONE) & idle
        left = any_of(self.rank, lambda r: any_of(self.request, lambda q: (self.known[r, q] != Half.NONE) | self.task[r, q]))
        waiting = any_of(self.rank, lambda r: self.added_by[r])
        sent = all_of(self.rank, lambda r: all_of(self.request, lambda q: self.sent[r, q]))
        properties = [
            deadlock(about="L3: barriers, mailboxes and acknowledgements keep nobody for ever"),
            never("no_assertion_fails", self.failed.cell(), about="a half is merged with the other half"),
            never("no_second_registration", self.again.cell(), about="no record is rewritten: it may be in the sender's hands"),
            never("no_half_left", quiet & left, about="S7: no key in cache_info and idx_cache_task_dict"),
            never("no_acknowledgement_left", quiet & waiting, about="S7: the next round is not mixed with this one"),
            leads_to("every_request_is_sent", ~sent, sent, about="L1"),
            sometimes("some_run_is_quiet", quiet, about="twin of the properties about what is left"),
        ]
        return System("duplicate_half", [answer, prepare, registrar, sender], properties, doc=__doc__ or "")

    def _put(self, half: Half) -> tuple[Expr, list]:
        """CH2: waits until every rank has read the previous content."""
        unread = each(self.rank, lambda r: self.infos_read[r].set(False))
        return all_of(self.rank, lambda r: self.infos_read[r]), [self.infos.set(half), unread]

    def answer(self) -> Machine:
        """P.IO: per entry, status first, then the whole payload (4.5)."""
        a, q, entry = Answer, choice("request", self.request), private("entry", self.request)
        may_put, put = self._put(Half.DECODE)
        now, last, store = entry == q, entry == ENTRIES - 1, self.status[q].set(True)
        if self.variant.once:
            rows = [
                _row("store_status", a.STORING, a.STORING, now & ~last, [store, entry.add(1)], choose=(q,), cite="4.5"),
                _row("store_last", a.STORING, a.DONE, now & last, [store, entry.set(0)], choose=(q,), cite="4.5"),
            ]
        else:
            rows = [
                _row("store_status", a.STORING, a.PUTTING, now, [store], choose=(q,), cite="4.5: status first"),
                _row(
                    "put_payload",
                    a.PUTTING,
                    a.STORING,
                    may_put & ~last,
                    [*put, entry.add(1)],
                    under=self.infos_lock,
                    cite="4.5: once per entry; H-19",
                ),
                _row("put_again", a.PUTTING, a.DONE, may_put & last, [*put, entry.set(0)], under=self.infos_lock, cite="4.5; H-19"),
            ]
        return Machine("answer", a, rows, final=a.DONE, doc="P.IO: one `cache_sync` with two entries (4.5).")

    def prepare(self) -> Machine:
        """P.F: see both statuses, put P's halves, (E0) collect the acknowledgements, run."""
        p, q, entry = Prepare, choice("request", self.request), private("entry_awaited", self.request)
        may_put, put = self._put(Half.BOTH if self.variant.merged else Half.PREFILL)
        seen, last = (entry == q) & self.status[q], entry == ENTRIES - 1
        ready = p.COLLECTING if self.variant.acknowledged else p.RUNNING
        rows = [
            _row("see_status", p.WAITING, p.WAITING, seen & ~last, [entry.add(1)], choose=(q,), cite="4.6"),
            _row("see_last_status", p.WAITING, p.REGISTERING, seen & last, [entry.set(0)], choose=(q,), cite="4.6"),
            _row("put_prefill_halves", p.REGISTERING, ready, may_put, put, under=self.infos_lock, cite="4.7"),
            _row("run", p.RUNNING, p.DONE, TRUE, [self.forwarded.set(True)], cite="4.8"),
        ]
        if self.variant.acknowledged:
            full = all_of(self.rank, lambda r: self.added_by[r])
            taken = each(self.rank, lambda r: self.added_by[r].set(False))
            rows.append(_row("collect", p.COLLECTING, p.RUNNING, full, [taken], under=self.added_lock, cite="5.1 F5, CH3"))
        return Machine("prepare", p, rows, final=p.DONE, doc="P.F: a batch of two (5.1).")

    def registrar(self) -> Machine:
        """MA[r]: `_add_cache_task_thread` (6.1)."""
        r, s = me(self.rank), Registrar
        taken, entry = private("taken_half", Enum(Half), over=self.rank), private("entry_at", Range(0, ENTRIES), over=self.rank)
        acks = private("to_acknowledge", BOOL, over=self.rank)
        get = [self.infos_read[r].set(True), taken[r].set(self.infos), self.met.arrive()]
        q = choice("request", self.request)
        now, known, rest = entry[r] == q, self.known[r, q], [entry[r].set(0), taken[r].set(Half.NONE), acks[r].set(False)]
        twice = (known == taken[r]) & (known != Half.NONE)
        publish = [self.task[r, q].set(True), acks[r].set(True), entry[r].add(1)]
        publish += [*when(self.registered[r, q], self.again.set(True)), self.registered[r, q].set(True)]
        whole, over = taken[r] == Half.BOTH, entry[r] == ENTRIES
        step = partial(_messager, choose=(q,))
        # fmt: off
        rows = [
            _messager("get_halves", s.POLLING, s.MEETING, ~self.infos_read[r], get, under=self.infos_lock, cite="6.1 a1, a2"),
            _messager("meet", s.MEETING, s.LOOKING, passed(self.met), cite="6.1 a2"),
            step("find_none",  s.LOOKING,    s.INSERTING,  now & (known == Half.NONE),           cite="6.1 a3"),
            step("find_other", s.LOOKING,    s.MERGING,    now & (known != Half.NONE) & ~twice,  cite="6.1 a3"),
            step("fail",       s.LOOKING,    s.POLLING,    now & twice, [*rest, self.failed.set(True)], cite="6.1: a4, a5 skipped; H-19"),
            step("insert",     s.INSERTING,  s.LOOKING,    now & ~whole, [known.set(taken[r]), entry[r].add(1)], cite="6.1 a3"),
            step("insert_whole", s.INSERTING, s.PUBLISHING, now & whole, [known.set(Half.BOTH)], cite="ours"),
            step("merge",      s.MERGING,    s.PUBLISHING, now, [known.set(Half.BOTH)],          cite="6.1 a3"),
            step("publish",    s.PUBLISHING, s.LOOKING,    now, publish,                         cite="6.1 a3"),
        ]
        # fmt: on
        if self.variant.acknowledged:
            full = all_of(self.rank, lambda i: self.added_by[i])
            put = [self.added_by[r].set(True), self.left.arrive(), *rest]
            rows += [
                _messager("acknowledge", s.LOOKING, s.LEAVING, over & acks[r] & ~full, put, under=self.added_lock, cite="6.1 a4, a5, CH3"),
                _messager("end_round", s.LOOKING, s.LEAVING, over & ~acks[r], [self.left.arrive(), *rest], cite="6.1 a5"),
                _messager("leave", s.LEAVING, s.POLLING, passed(self.left), cite="6.1 a5"),
            ]
        else:
            rows.append(_messager("end_round", s.LOOKING, s.POLLING, over, rest, cite="6.1; #7724: no acknowledgement"))
        return Machine("registrar", s, rows, copies=self.rank, final=s.POLLING, doc="MA[r] (6.1).")

    def sender(self) -> Machine:
        """MS[r]: sends both requests, one after the other, and forgets each (6.4)."""
        r, s, q = me(self.rank), Sender, choice("request", self.request)
        entry = private("entry_sent", self.request, over=self.rank)
        now, last = entry[r] == q, entry[r] == ENTRIES - 1
        step = partial(_messager, choose=(q,))
        # fmt: off
        rows = [
            _messager("begin",    s.WAITING,    s.LOOKING, self.forwarded.cell(),                           cite="6.4 s1"),
            step("find_task",     s.LOOKING,    s.FORGETTING, now & self.task[r, q], [self.sent[r, q].set(True)], cite="6.4 s3, s4"),
            step("delete_info",   s.FORGETTING, s.DELETING, now, [self.known[r, q].set(Half.NONE)],        cite="6.4 finish phase"),
            step("delete_task",   s.DELETING,   s.LOOKING, now & ~last, [self.task[r, q].set(False), entry[r].add(1)], cite="6.4 finish phase"),
            step("delete_last",   s.DELETING,   s.DONE,    now & last, [self.task[r, q].set(False), entry[r].set(0)], cite="6.4 finish phase"),
        ]
        # fmt: on
        return Machine("sender", s, rows, copies=self.rank, final=s.DONE, doc="MS[r] (6.4).")
