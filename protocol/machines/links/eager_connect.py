"""Connections that the messagers make ahead of the first send (CH10, FD_ENABLE_PD_RDMA_EAGER_CONNECT).

The engine puts the peer into a mailbox that every rank reads. All ranks meet, connect, meet again, and each adds its answer to a round
that the engine reads when it is full. A rank whose connect raises goes back to its mailbox without the second meeting and without
an answer: the others wait for it, and the engine for them. The sender of the rank connects by itself where there is no connection yet: it
looks and then connects, as the eager thread does, so both may find none and connect twice; the first connection is lost with what
is posted on it.

Ours: no meetings, for nothing depends on them; a failure is an answer like another, and the engine counts one of each rank; who connects
holds the peer's lock from the look to the entry.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import all_of, any_of, me, passed
from ...effect import each, when
from ...expr import TRUE
from ...machine import Machine, Row
from ...properties import leads_to, never, sometimes
from ...system import System
from ...types import BOOL, Index, Range
from ...variable import Lock, barrier, ghost, locked, private, unlocked
from ..arguments import one_of

VARIANTS = ("published", "published-silent", "repaired")
_engine, _rank = partial(Row, actor="prefill"), partial(Row, actor="messager")


class Engine(IntEnum):
    """The engine's adapter has ... the connection."""

    WANTED, ASKED, ANSWERED = range(3)


class Eager(IntEnum):
    """The connecting thread of the rank is ..., in its order."""

    POLLING, READ, MEETING, READY, LOOKED, CONNECTING, CONNECTED, MEETING_AGAIN, ANSWERING = range(9)


class Sender(IntEnum):
    """The sending thread of the rank is ..."""

    WAITING, LOOKED, CONNECTING, SENDING = range(4)


def build(variant: str = "repaired", ranks: int = 2, fails: bool = False, sends: bool = False) -> System:
    """One peer, to which all ranks are to be connected.

    Args:
        variant: published, whose failed connect is an answer; published-silent, whose failed connect raises; repaired.
        ranks: messager ranks. fails: a connect may fail. sends: each rank may have something to send to the peer at any time.

    Raises:
        DefinitionError: an unknown variant.
    """
    one_of(VARIANTS, variant=variant)
    parts = _Parts(variant, ranks, fails)
    engine = parts.engine()
    machines = [engine, parts.eager(), *([parts.sender()] if sends else [])]
    asked, answered, rank = engine.at() == Engine.ASKED, engine.at() == Engine.ANSWERED, parts.rank
    properties = [
        leads_to("ask_answered", asked, answered, about="the engine hears of every ask"),
        never("connected_twice", any_of(rank, lambda i: parts.times[i] == 2), about="a rank has one connection to a peer"),
        sometimes("some_connected", all_of(rank, lambda i: parts.made[i]), about="twin: all ranks are connected"),
    ]
    return System("eager_connect", machines, properties, doc=__doc__ or "")


class _Parts:
    """The mailbox, the round of answers, the ranks' connections, and the machines over them."""

    def __init__(self, variant: str, ranks: int, fails: bool):
        self.variant, self.ours, self.fails = variant, variant == "repaired", fails
        rank = self.rank = Index("rank", ranks)
        self.tasks, self.answers = Lock("connect_task_lock", cite="CH10"), Lock("connect_response_lock", cite="CH10")
        self.read = locked("task_read", BOOL, self.tasks, over=rank, init=True, cite="CH10: read by all")
        self.answered = locked("answer_there", BOOL, self.answers, over=rank, cite="CH10: flags of the responses")
        self.failed = locked("some_failed", BOOL, self.answers, cite="CH10: the engine joins the success fields")
        self.made = unlocked("connection", BOOL, over=rank, cite="6.4: connections by peer")
        self.times = ghost("times_connected", Range(0, 2), over=rank)
        self.met = barrier("connect_task_barrier", ranks, kind="sense", cite="CH10")
        self.met_again = barrier("connect_task_response_barrier", ranks, kind="sense", cite="CH10")
        r, lock = me(rank), Lock("peer_lock", over=rank, cite="ours")
        self.take: dict[str, Any] = {"acquire": lock[r]} if self.ours else {}
        self.drop: dict[str, Any] = {"release": lock[r]} if self.ours else {}
        self.connect = [self.made[r].set(True), when(self.times[r] < 2, self.times[r].add(1))]

    def engine(self) -> Machine:
        """Asks for a connection, and reads the answers."""
        e, rank = Engine, self.rank
        all_read, full = all_of(rank, lambda i: self.read[i]), all_of(rank, lambda i: self.answered[i])
        post = [each(rank, lambda i: self.read[i].set(False))]
        rows = [
            _engine("put_task", e.WANTED, e.ASKED, all_read, post, under=self.tasks, cite="CH10"),
            _engine("read_answers", e.ASKED, e.ANSWERED, full, [self.failed.set(False)], under=self.answers, cite="CH10: all flags"),
        ]
        return Machine("engine", e, rows, final=e.ANSWERED, doc="The engine's adapter: asks for a connection, reads the answers.")

    def eager(self) -> Machine:
        """The eager thread, with its meetings or without."""
        c, r = Eager, me(self.rank)
        after, looks = (c.ANSWERING, c.LOOKED) if self.ours else (c.CONNECTED, c.READY)
        could_not = private("connect_failed", BOOL, over=self.rank)[r]
        first = c.READY if self.ours else c.READ
        answer = [self.answered[r].set(True), when(could_not, self.failed.set(True), could_not.set(False))]
        # fmt: off
        rows = [
            _rank("read_task", c.POLLING,    first, ~self.read[r], [self.read[r].set(True)], under=self.tasks, cite="CH10"),
            _rank("find",      looks,        after,        self.made[r],  [], **self.drop, cite="6.4: reuse if connected"),
            _rank("find_none", looks,        c.CONNECTING, ~self.made[r], [], cite="6.4"),
            _rank("connect",   c.CONNECTING, after,        TRUE, self.connect, **self.drop, cite="CH10"),
            _rank("answer",    c.ANSWERING,  c.POLLING,    ~self.answered[r], answer, under=self.answers, cite="CH10"),
        ]
        if self.ours:
            rows.append(_rank("take_peer", c.READY, c.LOOKED, TRUE, [], **self.take, cite="ours: from the look to the entry"))
        else:
            rows += [
                _rank("meet",        c.READ,          c.MEETING,       TRUE, [self.met.arrive()],       cite="CH10: connect_task_barrier"),
                _rank("go_on",       c.MEETING,       c.READY,         passed(self.met), [],            cite="CH10"),
                _rank("meet_again",  c.CONNECTED,     c.MEETING_AGAIN, TRUE, [self.met_again.arrive()], cite="CH10: connect_task_response_barrier"),
                _rank("go_on_again", c.MEETING_AGAIN, c.ANSWERING,     passed(self.met_again), [],      cite="CH10"),
            ]
        # fmt: on
        if self.fails:
            fail = partial(_rank, decided="observed", fair="none", cite="CH8: connection error")
            silent = self.variant == "published-silent"
            note = [could_not.set(True)]
            rows.append(fail("raise", c.CONNECTING, c.POLLING, TRUE, []) if silent else fail("fail", c.CONNECTING, after, TRUE, note, **self.drop))
        return Machine("eager", c, rows, copies=self.rank, final=c.POLLING, doc="P.MR[r]: eager connects.")

    def sender(self) -> Machine:
        """The sender, which connects where nobody has."""
        s, r = Sender, me(self.rank)
        rows = [
            _rank("begin", s.WAITING, s.LOOKED, TRUE, [], **self.take, decided="decided", fair="none", cite="6.4"),
            _rank("find", s.LOOKED, s.SENDING, self.made[r], [], **self.drop, cite="6.4: reuse if connected"),
            _rank("find_none", s.LOOKED, s.CONNECTING, ~self.made[r], [], cite="6.4"),
            _rank("connect", s.CONNECTING, s.SENDING, TRUE, self.connect, **self.drop, cite="6.4: connects lazily"),
        ]
        return Machine("sender", s, rows, copies=self.rank, final=(s.WAITING, s.SENDING), doc="P.MS[r]: connects where nobody has.")
