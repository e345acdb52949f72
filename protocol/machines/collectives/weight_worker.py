"""The event loop of one rank while weights are updated (facts W1 to W6), for every version; see `weight_update.py`.

Forwards are one step here. A rank without a batch meets the others at TPB#2 or TPB#1b, which are one collective of the
same group.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import if_else, me
from ...expr import TRUE, Expr, Literal
from ...machine import Machine, Row
from ...types import Enum
from .meeting import Call
from .weights import Status, Weights

_row = partial(Row, actor="worker")


class Worker(IntEnum):
    """The rank is ..., in the order of one iteration."""

    STARTING, STATUS_LOADED, AT_STATUS, PREPARING, AT_TOP, LOOKING, ANNOUNCING, RETRACTING, FINDING, LOOKED, AT_FLAG = range(11)
    JUDGING, AT_UPDATE, COPYING, LOADING, LOADED, AT_LOADED, STORING, AWAITING, CLEARING, AT_CLEARING = range(11, 21)
    CLEARING_ALONE, CLEARED, AT_CLEARED, LEAVING, DROPPED, DROPPED_LOADED, AT_DROPPED, SEEING, READING, RESETTING = range(21, 31)
    READ, AT_READ, MEETING, AT_MEETING, READY, WORKING, IDLING, AT_IDLE, FAILED = range(31, 40)


@dataclass(frozen=True)
class WeightTable:
    """The rows of one version. `experts`: EPB after reading. `update_meets`: the update holds the ranks together."""

    system: Weights
    experts: bool
    update_meets: bool

    def machine(self) -> Machine:
        """The machine with a copy per rank."""
        s = self.system
        rows = [*self._hand_out(), *self._ask()] if s.update.handed_out else [*self._broadcast(), *self._top(), *self._announce()]
        rows += self._hand_update() if s.update.handed_out else [*self._judge(), *self._update(), *self._leave()]
        rows += [*self._clear(), *self._read(), *self._work()]
        dropped = s.status.initial[0] == Status.CLEARED and not s.update.handed_out
        initial = Worker.DROPPED if dropped else self.first
        return Machine("worker", Worker, rows, copies=(s.instances, s.ranks), initial=initial, doc="the event loop of one rank")

    # -- who and what ------------------------------------------------------------------------------------------------

    @property
    def first(self) -> Worker:
        """Where an iteration begins."""
        return Worker.PREPARING if self.system.update.handed_out else Worker.STARTING

    @property
    def own(self) -> tuple[Expr, Expr]:
        """This rank of the instance."""
        return me(self.system.instances), me(self.system.ranks)

    @property
    def leads(self) -> Expr:
        """This is rank 0, which looks for all."""
        return me(self.system.ranks) == 0

    @property
    def follows(self) -> Expr:
        """This is another rank."""
        return me(self.system.ranks) != 0

    @property
    def speaks(self) -> Expr:
        """This is rank 0 of all, which loads and stores the weights' status."""
        return (me(self.system.instances) == 0) & self.leads

    @property
    def known(self) -> Expr:
        """The weights' status that this rank acts on."""
        return self.system.known[self.own]

    @property
    def updates(self) -> Expr:
        """This rank was told of an update."""
        return self.known.is_in(Status.CLEARING, Status.UPDATING)

    @property
    def result(self) -> Expr:
        """What the status is once the update is made."""
        return if_else(self.known == Status.CLEARING, Literal(Status.CLEARED, Enum(Status)), Literal(Status.NORMAL, Enum(Status)))

    def _give(self, call: Call) -> tuple[list[Any], list[Any]]:
        """Effects of entering a collective that hands out the status of rank 0, for rank 0 and for the others."""
        s, m = self.system, self.system.meetings
        give = [s.given.set(self.known), *m.enter(call, lambda j, r: s.received[j, r].set(self.known))]
        return give, m.enter(call, lambda j, r: s.received[j, r].set(s.given))

    # -- the parts of an iteration -----------------------------------------------------------------------------------

    def _broadcast(self) -> list[Row]:
        """W1: rank 0 loads the status and broadcasts it."""
        w, s, m = Worker, self.system, self.system.meetings
        give, take = self._give(Call.STATUS)
        after = w.PREPARING if s.update.barriers else w.LOOKING
        receive = [self.known.set(s.received[self.own])]
        return [
            _row("load_status", w.STARTING, w.STATUS_LOADED, self.speaks, [self.known.set(s.status)], cite="facts 4.1 W1"),
            _row("give_status", w.STATUS_LOADED, w.AT_STATUS, TRUE, give, under=m.lock, cite="facts 4.1 W1"),
            _row("take_status", w.STARTING, w.AT_STATUS, ~self.speaks, take, under=m.lock, cite="facts 4.1 W1"),
            _row("leave_status", w.AT_STATUS, after, m.may_leave, receive, under=m.lock, cite="facts 4.1 W1"),
        ]

    def _top(self) -> list[Row]:
        """TPB#0."""
        w = Worker
        if not self.system.update.barriers:
            return []
        return self.system.meetings.meet(Call.TOP, w.PREPARING, w.AT_TOP, w.LOOKING, "facts 4.3: TPB#0")

    def _announce(self) -> list[Row]:
        """W3 and TPB#1."""
        w, s, m = Worker, self.system, self.system.meetings
        announced, filled, cite = s.announced[s.instance], s.queues.exist_tasks, "facts 4.1 W3, 4.3 W3'"
        without = w.RETRACTING if s.update.barriers else w.LOOKED
        enter = partial(_row, "enter_flag", destination=w.AT_FLAG, effects=m.enter(Call.FLAG), under=m.lock, cite="facts 4.1 W4: TPB#1")
        rows = [
            _row("find_batch", w.LOOKING, w.ANNOUNCING, self.leads & filled, [], cite=cite),
            _row("find_no_batch", w.LOOKING, without, self.leads & ~filled, [], cite=cite),
            _row("announce", w.ANNOUNCING, w.LOOKED, TRUE, [announced.set(True)], cite=cite),
            enter(w.LOOKED, guard=TRUE),
            enter(w.LOOKING, guard=self.follows),
            _row("leave_flag", w.AT_FLAG, w.JUDGING, m.may_leave, [], under=m.lock, cite="facts 4.1 W4: TPB#1"),
        ]
        if s.update.barriers:
            rows.append(_row("retract", w.RETRACTING, w.LOOKED, TRUE, [announced.set(False)], cite=cite))
        return rows

    def _hand_out(self) -> list[Row]:
        """Ours: TPB#0; rank 0 of each instance looks at its queue, and that of all at the status, unless it knows it: an update is made."""
        w, s, seen = Worker, self.system, self.system.seen[self.own]
        filled, cite = s.queues.exist_tasks, "ours: one place; H3, H4, H8"
        top = self.system.meetings.meet(Call.TOP, w.PREPARING, w.AT_TOP, w.LOOKING, "facts 4.3: TPB#0")
        if not s.update.barriers:
            top = [_row("skip_top", w.PREPARING, w.LOOKING, TRUE, [], cite="ours without TPB#0")]
        made = [self.known.set(self.result), s.owes[self.own].set(True)]
        return [
            *top,
            _row("find_batch", w.LOOKING, w.FINDING, self.leads & filled, [seen.set(True)], cite=cite),
            _row("find_no_batch", w.LOOKING, w.FINDING, self.leads & ~filled, [seen.set(False)], cite=cite),
            _row("load_status", w.FINDING, w.LOOKED, self.speaks & ~self.updates, [self.known.set(s.status)], cite=cite),
            _row("find_itself_updated", w.FINDING, w.LOOKED, self.speaks & self.updates, made, cite=cite),
        ]

    def _ask(self) -> list[Row]:
        """Ours: one all_gather hands out who has a batch, and the status; behind it rank 0 says that all have made their update."""
        w, s, m, (i, r) = Worker, self.system, self.system.meetings, self.own
        owes, cite = s.owes[i, r], "ours"

        def told(speaks: bool, leads: bool) -> list[Any]:
            status = self.known if speaks else s.given

            def deliver(j: Any, rank: Any) -> list[Any]:
                batch = if_else(j == i, s.seen[i, r], s.offered[j]) if leads else s.offered[j]
                return [s.received[j, rank].set(status), s.told[j, rank].set(batch)]

            given = [s.given.set(status)] if speaks else []
            return [*given, *([s.offered[i].set(s.seen[i, r])] if leads else []), *m.enter(Call.MEET, deliver)]

        receive = [self.known.set(s.received[i, r]), s.seen[i, r].set(s.told[i, r])]
        said = [s.status.set(self.known), owes.set(False)]
        return [
            _row("give_status", w.LOOKED, w.AT_FLAG, TRUE, told(True, True), under=m.lock, cite=cite),
            _row("offer", w.FINDING, w.AT_FLAG, ~self.speaks, told(False, True), under=m.lock, cite=cite),
            _row("attend", w.LOOKING, w.AT_FLAG, self.follows, told(False, False), under=m.lock, cite=cite),
            _row("leave_flag", w.AT_FLAG, w.JUDGING, m.may_leave & ~owes, receive, under=m.lock, cite=cite),
            _row("find_all_updated", w.AT_FLAG, w.STORING, m.may_leave & owes, receive, under=m.lock, cite=cite),
            _row("store_result", w.STORING, w.JUDGING, TRUE, said, cite="ours: by one, behind the all_gather"),
        ]

    def _judge(self) -> list[Row]:
        """W5: is there an update? All meet before it."""
        w, m = Worker, self.system.meetings
        return [
            _row("find_weights_normal", w.JUDGING, w.SEEING, ~self.updates, [], cite="facts 4.1 W5"),
            _row("enter_updating", w.JUDGING, w.AT_UPDATE, self.updates, m.enter(Call.UPDATING), under=m.lock, cite="facts 4.1 W5: world barrier"),
            _row("leave_updating", w.AT_UPDATE, w.COPYING, m.may_leave, [], under=m.lock, cite="facts 4.1 W5"),
        ]

    def _update(self) -> list[Row]:
        """W5: every rank copies the status back and updates; rank 0 stores the result, the others wait for it."""
        w, s, m = Worker, self.system, self.system.meetings
        cite, own = "facts 4.1 W5, 1.2", "the update's own collectives"
        rows = [
            _row("copy_status", w.COPYING, w.LOADING, TRUE, [s.status.set(self.known)], cite=cite),
            _row("store_result", w.STORING, w.CLEARING, TRUE, [s.status.set(self.result)], cite=cite),
            _row("find_result", w.AWAITING, w.CLEARING, s.status != self.known, [], cite=cite),
        ]
        if not self.update_meets:
            return [
                *rows,
                _row("load_weights", w.LOADING, w.STORING, self.speaks, [], cite=cite),
                _row("load_weights", w.LOADING, w.AWAITING, ~self.speaks, [], cite=cite),
            ]
        return [
            *rows,
            _row("load_weights", w.LOADING, w.LOADED, TRUE, [], cite=cite),
            _row("enter_loaded", w.LOADED, w.AT_LOADED, TRUE, m.enter(Call.LOADED), under=m.lock, cite=own),
            _row("leave_loaded", w.AT_LOADED, w.STORING, m.may_leave & self.speaks, [], under=m.lock, cite=own),
            _row("leave_loaded", w.AT_LOADED, w.AWAITING, m.may_leave & ~self.speaks, [], under=m.lock, cite=own),
        ]

    def _hand_update(self) -> list[Row]:
        """Ours: a rank that is told of an update makes it and starts over; one without weights rests."""
        w = Worker
        after = self.first if self.system.update.clears == "none" else w.CLEARING
        rows = [
            _row("find_weights_normal", w.JUDGING, w.SEEING, self.known == Status.NORMAL, [], cite="facts 4.1 W5"),
            _row("begin_update", w.JUDGING, w.LOADING, self.updates, [], cite="ours"),
            _row("rest_without_weights", w.JUDGING, self.first, self.known == Status.CLEARED, [], cite="ours: no loop of its own"),
            _row("load_weights", w.LOADING, after, TRUE, [], cite="ours"),
        ]
        if after is w.CLEARING:
            rows.append(_row("start_over", w.LEAVING, self.first, TRUE, [], cite="ours"))
        return rows

    def _clear(self) -> list[Row]:
        """`clear_data` after the update: by every rank, by one between two barriers, or by none."""
        w, s, m = Worker, self.system, self.system.meetings
        clear, lock = [*s.queues.clear(s.update.lowers), *s.note_clear()], s.queues.own_lock
        if s.update.clears == "none":
            return []
        if s.update.clears == "all":
            return [_row("clear_data", w.CLEARING, w.LEAVING, TRUE, clear, under=lock, cite="#7111; facts 2.2, 4.1 W5; H3, H4")]
        return [
            _row("enter_clearing", w.CLEARING, w.AT_CLEARING, TRUE, m.enter(Call.CLEARING), under=m.lock, cite="facts 9.4"),
            _row("leave_clearing", w.AT_CLEARING, w.CLEARING_ALONE, m.may_leave & self.leads, [], under=m.lock, cite="facts 9.4"),
            _row("leave_clearing", w.AT_CLEARING, w.CLEARED, m.may_leave & self.follows, [], under=m.lock, cite="facts 9.4"),
            _row("clear_data", w.CLEARING_ALONE, w.CLEARED, TRUE, clear, under=lock, cite="facts 9.4: by one rank"),
            *self.system.meetings.meet(Call.CLEARED, w.CLEARED, w.AT_CLEARED, w.LEAVING, "facts 9.4"),
        ]

    def _leave(self) -> list[Row]:
        """W5: after new weights the iteration goes on or starts over; without weights the ranks loop over the broadcast."""
        w, s, m = Worker, self.system, self.system.meetings
        after = self.first if s.update.starts_over else w.SEEING
        updated = _row("go_on", w.LEAVING, after, self.known == Status.UPDATING, [], cite="facts 4.1 W5: falls through, or `continue`")
        give, take = self._give(Call.STATUS)
        leave = partial(_row, source=w.AT_DROPPED, under=m.lock, cite="facts 4.1 W5: 1 s broadcast loop")
        wanted = s.received[self.own] == Status.UPDATING
        return [
            updated,
            _row("drop_weights", w.LEAVING, w.DROPPED, self.known == Status.CLEARING, [], cite="facts 4.1 W5: clearing mode"),
            _row("load_status_again", w.DROPPED, w.DROPPED_LOADED, self.speaks, [self.known.set(s.status)], cite="facts 4.1 W5"),
            _row("give_status_again", w.DROPPED_LOADED, w.AT_DROPPED, TRUE, give, under=m.lock, cite="facts 4.1 W5"),
            _row("take_status_again", w.DROPPED, w.AT_DROPPED, ~self.speaks, take, under=m.lock, cite="facts 4.1 W5"),
            leave("find_weights_wanted", destination=self.first, guard=m.may_leave & wanted),
            leave("find_weights_dropped", destination=w.DROPPED, guard=m.may_leave & ~wanted),
        ]

    def _read(self) -> list[Row]:
        """W6: what was announced, `get_tasks`, and the last reader's reset."""
        w, s = Worker, self.system
        queues, (i, r) = s.queues, self.own
        tasks, others = queues.tasks[i], queues.is_read_by_others
        announced = s.seen[i, r] if s.update.handed_out else s.announced[i]
        last = w.READ if s.update.handed_out else w.RESETTING
        got = [s.batch[i, r].set(tasks), *s.note_read(tasks.value)]
        read = partial(_row, source=w.READING, under=queues.own_lock, cite="facts 2.2: get_tasks")
        there = ~queues.is_empty
        rows = [
            _row("see_batch", w.SEEING, w.READING, announced, [], cite="facts 4.1 W6"),
            _row("see_no_batch", w.SEEING, w.IDLING, ~announced, [], cite="facts 4.1 W8, 4.2"),
            read("read_batch", destination=w.READ, guard=there & ~others, effects=[queues.get(last=False), got]),
            read("read_last_batch", destination=last, guard=there & others, effects=[queues.get(last=True), got]),
            read("read_nothing", destination=last, guard=~there, effects=queues.get(last=True)),
        ]
        if last is w.RESETTING:
            rows.append(_row("reset_flag", w.RESETTING, w.READ, TRUE, [s.announced[i].set(False)], cite="facts 4.1 W6"))
        return rows

    def _work(self) -> list[Row]:
        """TPB#2', EPB, the assertion of #6680 and the forward; the idle branch."""
        w, s = Worker, self.system
        batch = s.batch[self.own]
        after = w.MEETING if self.experts else w.READY
        if s.update.barriers and not s.update.handed_out:
            rows = self.system.meetings.meet(Call.READ, w.READ, w.AT_READ, after, "facts 4.3: TPB#2'")
        else:
            rows = [_row("insert_batch", w.READ, after, TRUE, [], cite="facts 4.1 W6")]
        if self.experts:
            rows += self.system.meetings.meet(Call.MEET, w.MEETING, w.AT_MEETING, w.READY, "facts 4.2: EPB")
        nothing = "fail_assertion" if s.update.asserts else "go_without_batch"
        rows += [
            _row("start_forward", w.READY, w.WORKING, ~batch.is_none, [], cite="facts 4.1 W10"),
            _row(nothing, w.READY, w.FAILED if s.update.asserts else w.IDLING, batch.is_none, [], cite="facts 4.2; H3"),
            _row("finish_forward", w.WORKING, self.first, TRUE, [batch.set(None)], cite="facts 4.1 W10"),
        ]
        if s.update.handed_out:
            return [*rows, _row("start_over_idle", w.IDLING, self.first, TRUE, [], cite="ours: TPB#0 suffices")]
        return rows + self.system.meetings.meet(Call.IDLE, w.IDLING, w.AT_IDLE, self.first, "facts 4.1 W8: TPB#2, 4.2: TPB#1b")
