"""The event loop of one rank in a round: from the top of the loop to the end of its forward, for every version.

A copy per instance and rank. The parts of an iteration are those of `signalling/worker.py` (facts section 4), with the
collectives that reach beyond the instance: EPB, the all-to-all of the forward itself, the all_gather of pending controls, the
broadcasts of the weights' status and of load balancing. Where `collective` puts one of the latter:

- "top": at the top of every iteration, over the world: W0 of A (load balancing), W1 (legacy weights, every version).
- "middle": between reading and the forward: W7, the all_gather of pending controls (FD_ENABLE_V1_UPDATE_WEIGHTS).
- "end": after an executed forward: load balancing since #6680.

A `sync` forward is over when all ranks have entered its all-to-all; an `async` one is launched, and blocks nobody's CPU.
Every other row is as in `signalling/worker.py`: one access a row, the announcement taken back by the last reader, and so on.
The repaired loop has, besides TPB#0, one collective: the all_gather in the place of TPB#1, entered by every rank in every
iteration. Rank 0 gives to it what it saw of its queue; each rank learns its part: work on the batch, accompany others with
an empty forward, or rest. The announcement is thus no register at all.

In the decode role requests go on decoding after their batch, for one forward here; all ranks of an instance know, since they
sample the same tokens. In the other versions every iteration of that role has a forward anyway, so only ours says so: it
offers a batch, or else running requests.

Left out: idling without experts (W8; see `signalling`), and what a batch does to the slots.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import any_of, if_else, me
from ...effect import when
from ...expr import FALSE, TRUE, Expr
from ...machine import Machine, Row
from .fate import Fate
from .loop import Batch, Offer, Part, Round
from .meeting import Call

_row = partial(Row, actor="worker")


class Rank(IntEnum):
    """The rank is ..., in the order of one iteration. The last two are parts of a forward, where one looks into it (`repaired/shared_ranks.py`)."""

    STARTING, AT_STATUS, PREPARING, AT_TOP, LOOKING, ANNOUNCING, RETRACTING, OFFERING, LOOKED, AT_FLAG = range(10)
    RAISING, RAISING_EMPTY, READING, RESETTING, READ, AT_READ, MEETING, AT_MEETING, INSERTING, AT_PENDING = range(10, 20)
    READY, FORWARDING, FORWARDED, AT_BALANCE, FINISHED, SKIPPING, AT_SKIP, AT_SLEEP, RETURNING, RETURNED = range(20, 30)
    COMPUTING, SYNCHRONISING = range(30, 32)


@dataclass(frozen=True)
class RankTable:
    """The rows of one version. `collective`: None, "top", "middle" or "end"; `sleeps`, `controls`: such requests may come."""

    system: Round
    forward: str
    collective: str | None
    sleeps: bool = False
    controls: bool = False

    def machine(self) -> Machine:
        """The machine with a copy per instance and rank."""
        s = self.system
        rows = [*self._top(), *self._look(), *self._see(), *self._raise(), *self._read(), *self._gather(), *self._forward(), *self._end()]
        copies, again = (s.instances, s.ranks), self.first
        if s.fate is not None:
            rows, again = [*rows, *self._return(s.fate)], Rank.RETURNING
        return Machine("worker", Rank, rows, copies=copies, initial=self.first, restart=again, process=s.process, doc="the event loop of one rank")

    # -- who and what ------------------------------------------------------------------------------------------------

    @property
    def own(self) -> tuple[Expr, Expr]:
        """This rank of this instance."""
        return self.system.own

    @property
    def leads(self) -> Expr:
        """This is rank 0 of its instance, which looks for all."""
        return me(self.system.ranks) == 0

    @property
    def follows(self) -> Expr:
        """This is another rank."""
        return me(self.system.ranks) != 0

    @property
    def first(self) -> Rank:
        """Where an iteration begins."""
        if self.collective == "top":
            return Rank.STARTING
        return Rank.PREPARING if self.system.loop.top_barrier else Rank.LOOKING

    @property
    def decodes(self) -> bool:
        """Whether requests go on after their batch's forward, and somebody has to say so."""
        return self.system.loop.asks and self.system.role == "decode"

    @property
    def ready(self) -> Rank:
        """Where every rank goes that will run a forward in this iteration."""
        return Rank.INSERTING if self.collective == "middle" else Rank.READY

    # -- the parts of an iteration -----------------------------------------------------------------------------------

    def _top(self) -> list[Row]:
        """W0, W1 and TPB#0; in the repaired loop rank 0 lowers the signal behind it."""
        w, s, rows = Rank, self.system, []
        if self.collective == "top":
            after = w.PREPARING if s.loop.top_barrier else w.LOOKING
            rows += self.system.meetings.meet(Call.STATUS, w.STARTING, w.AT_STATUS, after, "facts 4.1 W0, W1; H8")
        if not s.loop.top_barrier:
            return rows
        if not s.loop.owned:
            return rows + self.system.meetings.meet(Call.TOP, w.PREPARING, w.AT_TOP, w.LOOKING, "facts 4.3: TPB#0")
        assert s.forward_signal is not None
        m, lower = s.meetings, [s.forward_signal[me(s.instances)].set(False)]
        return [
            *rows,
            _row("enter_top", w.PREPARING, w.AT_TOP, TRUE, m.enter(Call.TOP), under=m.lock, cite="facts 4.3: TPB#0"),
            _row("lower_forward", w.AT_TOP, w.LOOKING, m.may_leave & self.leads, lower, under=m.lock, cite="ours: zero by its owner; H1, H6"),
            _row("leave_top", w.AT_TOP, w.LOOKING, m.may_leave & self.follows, [], under=m.lock, cite="ours"),
        ]

    def _look(self) -> list[Row]:
        """W3: rank 0 looks at the queue's register, and announces or offers what it saw."""
        w, s, i = Rank, self.system, me(self.system.instances)
        filled = s.queues.exist_tasks
        found = w.OFFERING if s.loop.asks else w.ANNOUNCING
        without = w.RETRACTING if s.loop.top_barrier and not s.loop.asks else w.LOOKED
        cite = "facts 4.1 W3, 4.3 W3'"
        rows = [
            _row("find_batch", w.LOOKING, found, self.leads & filled, [], cite=cite),
            _row("find_no_batch", w.LOOKING, without, self.leads & ~filled, [], cite=cite),
        ]
        if not s.loop.asks:
            rows.append(_row("announce", w.ANNOUNCING, w.LOOKED, TRUE, [s.announced[i].set(True)], cite=cite))
        if without is w.RETRACTING:
            rows.append(_row("retract", w.RETRACTING, w.LOOKED, TRUE, [s.announced[i].set(False)], cite=cite))
        return rows

    def _see(self) -> list[Row]:
        """TPB#1 and the announcement, or the all_gather in its place; then with a batch or without."""
        w, s = Rank, self.system
        m = s.meetings
        if s.loop.asks:
            return self._ask()
        enter = partial(_row, "enter_flag", destination=w.AT_FLAG, effects=m.enter(Call.FLAG), under=m.lock, cite="facts 4.1 W4: TPB#1")
        rows = [enter(w.LOOKED, guard=TRUE), enter(w.LOOKING, guard=self.follows)]
        announced = s.announced[me(s.instances)]
        see = partial(_row, source=w.AT_FLAG, under=m.lock, cite="facts 4.1 W6")
        found, nothing = m.may_leave & announced, m.may_leave & ~announced
        idle = self.first if s.loop.owned else w.SKIPPING
        rest = idle if s.role in s.loop.skips else self.ready
        if s.loop.owned:
            rows += [
                see("see_batch", destination=w.RAISING, guard=found & self.leads),
                see("see_batch", destination=w.READING, guard=found & self.follows),
            ]
        else:
            rows.append(see("see_batch", destination=w.RAISING if s.loop.gated else w.READING, guard=found))
        return [*rows, see("see_no_batch", destination=rest, guard=nothing)]

    def _ask(self) -> list[Row]:
        """Ours: one all_gather of all ranks, in every iteration: who has a batch?"""
        w, s = Rank, self.system
        m, (i, r) = s.meetings, self.own
        cite = "ours: every rank answers every round; H5, P13"

        def told(offer: Offer | None) -> list[Any]:
            """Effects of entering with that offer, or without a say."""
            given = [] if offer is None else [s.offered[i].set(offer)]

            def made(j: Any, *offers: Offer) -> Expr:
                before = s.offered[j].is_in(*offers)
                return before if offer is None else if_else(j == i, TRUE if offer in offers else FALSE, before)

            def part_of(j: Any, rank: Any) -> Any:
                somebody = any_of(s.instances, lambda k: made(k, Offer.RUNNING, Offer.BATCH))
                return s.part[j, rank].set(if_else(made(j, Offer.BATCH), Part.WORK, if_else(somebody, Part.ACCOMPANY, Part.REST)))

            return [*given, *m.enter(Call.MEET, part_of)]

        part = s.part[i, r]
        leave = partial(_row, source=w.AT_MEETING, under=m.lock, cite=cite)
        taken = [part.set(Part.REST), when(self.leads, s.offered[i].set(Offer.NOTHING))]
        works, helps = m.may_leave & (part == Part.WORK), m.may_leave & (part == Part.ACCOMPANY)
        idle = ~s.decoding[i, r] if self.decodes and s.loop.offers_running else TRUE
        offers = [_row("offer_nothing", w.LOOKED, w.AT_MEETING, idle, told(Offer.NOTHING), under=m.lock, cite=cite)]
        if idle is not TRUE:
            busy = s.decoding[i, r]
            offers.append(_row("offer_running", w.LOOKED, w.AT_MEETING, busy, told(Offer.RUNNING), under=m.lock, cite=cite))
        if s.loop.raises_for_others:
            accompany = [
                leave("accompany", destination=w.RAISING_EMPTY, guard=helps & self.leads, effects=taken),
                leave("accompany", destination=self.ready, guard=helps & self.follows, effects=taken),
            ]
        else:
            accompany = [leave("accompany", destination=self.ready, guard=helps, effects=taken)]
        return [
            _row("offer_batch", w.OFFERING, w.AT_MEETING, TRUE, told(Offer.BATCH), under=m.lock, cite=cite),
            *offers,
            _row("attend", w.LOOKING, w.AT_MEETING, self.follows, told(None), under=m.lock, cite=cite),
            leave("see_batch", destination=w.RAISING, guard=works & self.leads, effects=taken),
            leave("see_batch", destination=w.READING, guard=works & self.follows, effects=taken),
            *accompany,
            leave("rest", destination=self.first, guard=m.may_leave & (part == Part.REST), effects=taken),
        ]

    def _raise(self) -> list[Row]:
        """W6 since #6680: the signal goes up before the batch is read."""
        w, s = Rank, self.system
        if s.forward_signal is None:
            return []
        up = [s.forward_signal[me(s.instances)].set(True)]
        rows = [_row("raise_forward", w.RAISING, w.READING, TRUE, up, cite="#6680; facts 4.2 W6")]
        if s.loop.raises_for_others:
            rows.append(_row("raise_forward", w.RAISING_EMPTY, self.ready, TRUE, up, cite="ours, rejected: starves the gate"))
        return rows

    def _read(self) -> list[Row]:
        """W6: `get_tasks`; before ours the last reader takes the announcement back."""
        w, s = Rank, self.system
        queues, (i, r) = s.queues, self.own
        tasks, others = queues.tasks[i], queues.is_read_by_others
        fresh = (~queues.is_empty) & ~queues.read[i, r] if s.loop.owned else ~queues.is_empty
        got: list[Any] = [s.batch[i, r].set(tasks)]
        if self.sleeps:
            got += [when(tasks == Batch.SLEEP, s.asleep[i, r].set(True)), when(tasks == Batch.WAKE, s.asleep[i, r].set(False))]
        if self.controls:
            got += [when(tasks == Batch.CONTROL, s.waits[i, r].set(True)), when(tasks == Batch.WITHDRAWAL, s.waits[i, r].set(False))]
        read = partial(_row, source=w.READING, under=queues.own_lock, cite="facts 2.2: get_tasks")
        last = w.READ if s.loop.owned else w.RESETTING
        rows = [
            read("read_batch", destination=w.READ, guard=fresh & ~others, effects=[queues.get(last=False), got]),
            read("read_last_batch", destination=last, guard=fresh & others, effects=[queues.get(last=True), got]),
        ]
        if not s.loop.owned:
            rows.append(_row("reset_flag", w.RESETTING, w.READ, TRUE, [s.announced[i].set(False)], cite="facts 4.1 W6"))
        return rows

    def _gather(self) -> list[Row]:
        """TPB#2', EPB and W7, between reading and the forward."""
        w, s = Rank, self.system
        meets = s.role in s.loop.meets
        inserted = w.MEETING if meets else self.ready
        if s.loop.read_barrier:
            rows = self.system.meetings.meet(Call.READ, w.READ, w.AT_READ, inserted, "facts 4.3: TPB#2'")
        else:
            rows = [_row("insert_batch", w.READ, inserted, TRUE, [], cite="facts 4.1 W6: preprocess_new_task")]
        if meets:
            rows += self.system.meetings.meet(Call.MEET, w.MEETING, w.AT_MEETING, self.ready, "#6085, #6164; facts 4.2: EPB")
        if self.controls:
            rows += self._run_control()
        elif self.collective == "middle":
            rows += self.system.meetings.meet(Call.PENDING, w.INSERTING, w.AT_PENDING, w.READY, "facts 4.1 W7")
        return rows

    def _run_control(self) -> list[Row]:
        """W7: a control request is run when an all_gather shows that every rank has one."""
        w, s, m, (i, r) = Rank, self.system, self.system.meetings, self.own

        def waits(j: Any, rank: Any) -> Expr:
            return if_else((j == i) & (rank == r), s.waits[i, r], s.waits_given[j, rank])

        give = [s.waits_given[i, r].set(s.waits[i, r]), *m.enter(Call.PENDING, lambda j, rank: s.waits_all[j, rank].set(s.all_ranks(waits)))]
        run, cite = [s.waits[i, r].set(False)], "facts 4.1 W7; H5"
        return [
            _row("enter_pending", w.INSERTING, w.AT_PENDING, TRUE, give, under=m.lock, cite=cite),
            _row("run_control", w.AT_PENDING, w.READY, m.may_leave & s.waits_all[i, r], run, under=m.lock, cite=cite),
            _row("leave_pending", w.AT_PENDING, w.READY, m.may_leave & ~s.waits_all[i, r], [], under=m.lock, cite=cite),
        ]

    def _forward(self) -> list[Row]:
        """W9 and W10: the forward, or the branch of a rank that sleeps."""
        w, s = Rank, self.system
        m, (i, r) = s.meetings, self.own
        after = self.first if s.loop.owned or not s.loop.gated else w.FINISHED
        after = w.FORWARDED if self.collective == "end" else after
        done, begun = [s.batch[i, r].set(None)], s.count_forward()
        if self.decodes:
            done.append(s.decoding[i, r].set(s.batch[i, r] == Batch.REQUESTS))
        awake = ~s.asleep[i, r] if self.sleeps else TRUE
        if self.forward == "sync":
            rows = [
                _row("start_forward", w.READY, w.FORWARDING, awake, [*m.enter(Call.FORWARD), begun], under=m.lock, cite="facts 7: all-to-all"),
                _row("finish_forward", w.FORWARDING, after, m.may_leave, done, under=m.lock, cite="facts 9.2: SYNC"),
            ]
        else:
            rows = [
                _row("start_forward", w.READY, w.FORWARDING, awake, begun, cite="facts 4.1 W10"),
                _row("finish_forward", w.FORWARDING, after, TRUE, done, cite="facts 9.2: ASYNC"),
            ]
        if self.sleeps:
            enter, cite = [*m.enter(Call.SLEEP), *done], "facts 4.1 W9, 4.2; H6"
            rows += [
                _row("enter_sleep", w.READY, w.AT_SLEEP, s.asleep[i, r], enter, under=m.lock, cite=cite),
                _row("leave_sleep", w.AT_SLEEP, self.first, m.may_leave, [], under=m.lock, cite=cite),
            ]
        return rows

    def _end(self) -> list[Row]:
        """Load balancing and the zero after a forward; TPB#1b of a rank that has none."""
        w, s, rows = Rank, self.system, []
        if self.collective == "end":
            after = self.first if s.loop.owned or not s.loop.gated else w.FINISHED
            rows += self.system.meetings.meet(Call.BALANCE, w.FORWARDED, w.AT_BALANCE, after, "#6680; facts 4.2 W10: _run_eplb")
        if s.loop.gated and not s.loop.owned:
            assert s.forward_signal is not None
            lower = [s.forward_signal[me(s.instances)].set(False)]
            rows.append(_row("lower_forward", w.FINISHED, self.first, TRUE, lower, cite="#6680; facts 4.2 W10"))
        if s.role in s.loop.skips and not s.loop.owned:
            rows += self.system.meetings.meet(Call.SKIP, w.SKIPPING, w.AT_SKIP, self.first, "facts 4.2: TPB#1b")
        return rows

    def _return(self, fate: Fate) -> list[Row]:
        """A rank that comes back takes its place in the collectives anew, and goes on when it may."""
        w, s, (i, r) = Rank, self.system, self.own
        m, given = s.meetings, [s.part[i, r].set(Part.REST), when(self.leads, s.offered[i].set(Offer.NOTHING))]
        place = [m.entered[i, r].set(Call.NONE), *given, *m.take_part(fate.generation[i, r]), fate.ready[i, r].send(0)]
        return [
            _row("return_to_place", w.RETURNING, w.RETURNED, TRUE, place, under=m.lock, cite="ours: 9.6"),
            _row("go_on", w.RETURNED, self.first, fate.gone[i, r], [], cite="ours: nobody before all are ready"),
        ]
