"""A rank of a tensor-parallel group dies in its loop and is started again: do the ranks go on as one group?

A forward joins all ranks in one collective (here one a forward), which the transport pairs by order and not by batch. The dead
rank's place in a collective stays as it was. In the published versions nothing starts a rank again, and its siblings wait for it
for ever (H6, facts 9.6). To start it again and do no more is worse: it knows nothing of the batch that it had read, reads the
next one, and is joined with a sibling that is still in the last one's forward. Ours:

1. *A generation.* For every exit of a rank the supervisor raises the group's number, before it starts the rank again. It counts exits, as
   waitpid hands them out; to look who is dead would miss a rank that dies again before it was seen alive.
2. *Whatever is shared carries it.* A rank reads a batch of its own generation only, and a collective joins ranks of one
   generation. A rank that finds a newer number drops its batch, takes back its place in the collective, and takes the number.
3. *The queue is emptied with the raise*, in the same call: what some ranks have read and others never will is gone.
4. *The engine answers.* A batch that was put ends with its output, or with an error when the number is newer.

Nobody waits for anybody at the rejoining: to have the number is to have joined. The engine puts the next batch when all have read the last
one, as A does. Left out: the announcement, the signal and EPB
(`expert_round.py`), the death of the engine or of the supervisor, and the KV blocks of requests that were decoding, which
rule 4 ends with their batch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import all_of, any_of, choice, me
from ...effect import each, when
from ...expr import FALSE, TRUE, Expr
from ...machine import Machine, Process, Row
from ...properties import Property, leads_to, never, sometimes
from ...system import System
from ...types import BOOL, Enum, Index, Optional, Range
from ...variable import Lock, channel, ghost, locked, private, world
from ..arguments import one_of, within

_engine, _work, _fault = (partial(Row, actor=actor) for actor in ("engine", "worker", "environment"))


class Engine(IntEnum):
    """The engine's threads are ..."""

    RUNNING = 0


class Rank(IntEnum):
    """The rank is ..."""

    STARTING, READING, HOLDING, FORWARDING, WITHDRAWING = range(5)


class Supervisor(IntEnum):
    """The supervisor is ..."""

    WATCHING = 0


class Faults(IntEnum):
    """The operator of the processes."""

    WATCHING = 0


class Answer(IntEnum):
    """What the clients of a batch were told."""

    NOTHING, DONE, FAILED, TWICE = range(4)


@dataclass(frozen=True)
class Rejoin:
    """What happens after a death.

    Args:
        restarts: the rank is started again. numbers: the supervisor raises a generation first. counts: for every exit; else when it sees one dead.
        tags: collectives join ranks of one generation only. empties: the queue is emptied with the raise.
        answers: the engine ends its batch with an error when it finds a newer generation. skips: an output that comes after that is skipped.
    """

    name: str
    restarts: bool = True
    numbers: bool = True
    counts: bool = True
    tags: bool = True
    empties: bool = True
    answers: bool = True
    skips: bool = True


_OURS = Rejoin("repaired")
VARIANTS = {
    v.name: v
    for v in (
        Rejoin("published", restarts=False, numbers=False, tags=False, empties=False, answers=False),
        Rejoin("restarted", numbers=False, tags=False, empties=False, answers=False),
        _OURS,
        replace(_OURS, name="repaired-looking-for-the-dead", counts=False),
        replace(_OURS, name="repaired-joined-by-order", tags=False),
        replace(_OURS, name="repaired-keeping-the-queue", empties=False),
        replace(_OURS, name="repaired-without-answer", answers=False),
        replace(_OURS, name="repaired-taking-late-outputs", skips=False),
    )
}


def build(variant: str = "repaired", ranks: int = 2, batches: int = 2, deaths: int = 1) -> System:
    """One engine, its queue, and a group of so many ranks, one of which may die so often.

    Raises:
        DefinitionError: an unknown variant, or a number out of bounds.
    """
    one_of(VARIANTS, variant=variant)
    within(2, 4, ranks=ranks)
    within(1, 4, batches=batches)
    within(0, 3, deaths=deaths)
    group = _Group(VARIANTS[variant], ranks, batches, deaths)
    machines = [group.engine(), group.worker(), *group.supervisor(), *([group.faults()] if deaths else [])]
    return System("rejoin", machines, group.properties(), doc=__doc__ or "")


class _Group:
    """The variables of the group and its machines."""

    def __init__(self, v: Rejoin, ranks: int, batches: int, deaths: int):
        self.v, self.deaths = v, deaths
        self.rank, self.batch, self.number = Index("rank", ranks), Index("batch", batches), Range(0, deaths)
        self.process = Process("rank_process", over=self.rank)
        self.queue_lock = Lock("queue_lock", cite="facts 2.1: a server-side threading.Lock, taken by remote call")
        self.tasks = locked("queue_tasks", Optional(self.batch), self.queue_lock, cite="facts 2.2: Q")
        self.tasks_number = locked("queue_generation", self.number, self.queue_lock, cite="ours: of the batch that is there")
        self.read = locked("queue_read", BOOL, self.queue_lock, over=self.rank, init=True, cite="facts 2.2: CRF")
        self.generation = locked("group_generation", self.number, self.queue_lock, cite="ours: the group's number, beside the queue")
        self.collective_lock = Lock("collective", cite="the communicator completes a collective at once")
        self.entered = locked("collective_entered", Optional(self.batch), self.collective_lock, over=self.rank, cite="facts 9.3 P5, P6")
        self.entered_number = locked("collective_generation", self.number, self.collective_lock, over=self.rank, cite="ours: a communicator each")
        self.outputs = channel("step_outputs", self.batch, batches, cite="facts 9.1: OUTQ, from rank 0")
        self.exits = world("exits", self.number)
        self.next, self.batches = private("next_batch", Range(0, batches)), batches
        self.awaited, self.put_number = private("batch_awaited", BOOL, over=self.batch), private("put_generation", self.number, over=self.batch)
        self.held = private("held_batch", Optional(self.batch), over=self.rank)
        self.mine = private("rank_generation", self.number, over=self.rank)
        self.answer = ghost("answers", Enum(Answer), over=self.batch)
        self.mismatched, self.after = ghost("forward_mismatched", BOOL), ghost("forward_after_death", BOOL)

    def tell(self, batch: Expr, answer: Answer) -> list[Any]:
        """The clients of that batch are told its end."""
        nothing = self.answer[batch] == Answer.NOTHING
        return [when(nothing, self.answer[batch].set(answer)), when(~nothing, self.answer[batch].set(Answer.TWICE))]

    def engine(self) -> Machine:
        """SCHED puts batches, TOK takes their outputs."""
        e, b, head = Engine.RUNNING, choice("batch", self.batch), self.outputs.head
        put = [self.tasks.set(b), self.tasks_number.set(self.generation), each(self.rank, lambda r: self.read[r].set(False))]
        begin = [self.next.add(1), self.awaited[b].set(True), self.put_number[b].set(self.generation)]
        may_put = (self.next == b) & all_of(self.rank, lambda r: self.read[r])
        took = [*self.tell(head, Answer.DONE), self.awaited[head].set(False), self.outputs.receive()]
        rows = [
            _engine("put_batch", e, e, may_put, [*put, *begin], choose=(b,), under=self.queue_lock, cite="facts 2.2: put_tasks"),
            _engine("take_output", e, e, self.awaited[head] if self.v.skips else TRUE, took, cite="facts 6.5"),
        ]
        if self.v.answers and self.deaths:
            newer, end = self.awaited[b] & (self.generation > self.put_number[b]), [*self.tell(b, Answer.FAILED), self.awaited[b].set(False)]
            rows.append(_engine("answer_error", e, e, newer, end, choose=(b,), under=self.queue_lock, cite="ours: one terminal answer"))
            if self.v.skips:
                rows.append(_engine("skip_output", e, e, ~self.awaited[head], [self.outputs.receive()], cite="ours: of a batch that was answered"))
        return Machine("engine", Engine, rows, final=e, doc="the engine's threads that put batches and take their outputs")

    def worker(self) -> Machine:
        """The event loop of one rank."""
        w, r, v = Rank, me(self.rank), self.v
        here: dict[str, Any] = {"under": self.queue_lock}
        newer = self.generation > self.mine[r] if v.numbers else FALSE
        own = (self.tasks_number == self.mine[r]) & ~newer if v.numbers else TRUE
        last = all_of(self.rank, lambda s: (s == r) | self.read[s])
        get = [self.held[r].set(self.tasks), self.read[r].set(True), when(last, self.tasks.set(None))]
        unread, gone = ~self.read[r] & ~self.tasks.is_none, self.entered[r].is_none
        done = [self.held[r].set(None)]
        met: dict[str, Any] = {"under": self.collective_lock}
        first = w.STARTING if v.numbers else w.READING
        rows = [
            _work("read_batch", w.READING, w.HOLDING, own & unread, get, **here, cite="facts 2.2: get_tasks"),
            _work("enter_forward", w.HOLDING, w.FORWARDING, TRUE, self._enter(r), **met, cite="facts 7: the collectives of a forward"),
            _work("report_output", w.FORWARDING, w.READING, gone & (r == 0), [*done, self.outputs.send(self.held[r].value)], **met, cite="9.1: OUTQ"),
            _work("end_forward", w.FORWARDING, w.READING, gone & (r != 0), done, **met, cite="facts 4.1 W10"),
        ]
        if v.numbers and self.deaths:
            take, drop = [self.mine[r].set(self.generation)], [self.mine[r].set(self.generation), *done]
            withdraw = [self.entered[r].set(None)]
            rows += [
                _work("join", w.STARTING, w.READING, TRUE, take, **here, cite="ours: to have the number is to have joined"),
                _work("find_newer", (w.READING, w.HOLDING), w.READING, newer, drop, **here, cite="ours: the generation"),
                _work("find_newer", w.FORWARDING, w.WITHDRAWING, newer, drop, **here, cite="ours: the generation"),
                _work("withdraw", w.WITHDRAWING, w.READING, TRUE, withdraw, **met, cite="ours: nobody is joined with the last generation"),
            ]
        elif v.numbers:
            first = w.READING
        return Machine("worker", w, rows, copies=self.rank, initial=w.READING, restart=first, process=self.process, final=w.READING,
                       doc="the event loop of one rank")  # fmt: skip

    def _enter(self, r: Expr) -> list[Any]:
        """Effects of entering the collective; the last one lets all go."""
        tags = self.v.tags

        def joined(s: Any) -> Expr:
            return ~self.entered[s].is_none & ((self.entered_number[s] == self.mine[r]) if tags else TRUE)

        last = all_of(self.rank, lambda s: (s == r) | joined(s))
        differs = any_of(self.rank, lambda s: (s != r) & joined(s) & (self.entered[s] != self.held[r]))
        late = self.mine[r] > 0 if self.v.numbers else FALSE
        return [
            when(last, *each(self.rank, lambda s: self.entered[s].set(None)), self.after.set(self.after.cell() | late)),
            when(~last, self.entered[r].set(self.held[r]), self.entered_number[r].set(self.mine[r])),
            when(differs, self.mismatched.set(True)),
        ]

    def supervisor(self) -> list[Machine]:
        """Raises the generation for every death that it sees."""
        if not (self.v.numbers and self.deaths):
            return []
        s, lock = Supervisor.WATCHING, self.queue_lock
        empty = [self.tasks.set(None), each(self.rank, lambda r: self.read[r].set(True))] if self.v.empties else []
        raised, cite = [self.generation.add(1), *empty], "ours: before the rank is started again"
        if self.v.counts:
            rows = [_engine("raise_generation", s, s, self.generation < self.exits, raised, under=lock, cite=cite)]
        else:
            dead, seen = any_of(self.rank, lambda r: ~self.process.is_alive(r)), private("death_seen", BOOL)
            rows = [
                _engine("raise_generation", s, s, dead & ~seen.cell(), [*raised, seen.set(True)], under=lock, cite="left out: counting"),
                _engine("see_alive", s, s, ~dead & seen.cell(), [seen.set(False)], cite="left out: counting"),
            ]
        return [Machine("supervisor", Supervisor, rows, final=s, doc="who watches the ranks' processes")]

    def faults(self) -> Machine:
        """A rank dies anywhere in its loop; where it is started again, that is sure to come."""
        f, r = Faults.WATCHING, choice("rank", self.rank)
        alive, dies = self.process.is_alive(r), [self.exits.add(1), self.process.crash(r)]
        one = all_of(self.rank, lambda s: self.process.is_alive(s))
        rows = [_fault("kill_rank", f, f, (self.exits < self.deaths) & one & alive, dies, choose=(r,), cite="facts 9.6, H6")]
        if self.v.restarts:
            counted = self.v.numbers and self.v.counts
            numbered = self.generation == self.exits if counted else self.generation > 0 if self.v.numbers else TRUE
            lock: dict[str, Any] = {"under": self.queue_lock} if self.v.numbers else {}
            back = [self.process.restart(r)]
            rows.append(_fault("restart_rank", f, f, ~alive & numbered, back, choose=(r,), fair="weak", **lock, cite="facts 9.6"))
        return Machine("faults", Faults, rows, environment=True, doc="what kills a rank, and starts it again")

    def properties(self) -> list[Property]:
        """P2, P4, P10, P12 and their twins."""
        answer = self.answer

        return [
            never("no_mismatched_forward", self.mismatched.cell(), "P2, P6: a forward joins ranks that hold one batch"),
            never("no_second_answer", any_of(self.batch, lambda b: answer[b] == Answer.TWICE), "P10: one terminal answer"),
            leads_to("batches_answered", lambda b: self.awaited[b], lambda b: ~self.awaited[b], each=self.batch, about="P12: a batch ends, or fails"),
            leads_to("batches_put", self.next < self.batches, self.next == self.batches, about="P11: the next batch is put"),
            sometimes("some_forward_after_death", self.after.cell(), "twin: the group of the next generation runs a forward"),
            sometimes("some_batch_done", any_of(self.batch, lambda b: answer[b] == Answer.DONE), "twin: a batch is done"),
            sometimes("some_batch_failed", any_of(self.batch, lambda b: answer[b] == Answer.FAILED), "twin: a batch ends with an error"),
        ]
