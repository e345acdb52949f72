"""The ranks of instances that share the experts: what each does at its rows, and where it stands."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from protocol.machines.collectives.meeting import Call

from ..binding import after
from ..model.balancing import Balance, Rebalance
from ..model.experts import ExpertPlacement
from ..model.sampling import Sampling, choose
from ..model.shard import Forward, Shard
from ..model.transport import Place, Transport
from ..step import Step
from .scheduler import Result, Work

INTERVAL_VISITS = 64
"""Visits of tokens to experts before a new placement is thought of."""


class ExpertRank:
    """A rank's handlers: it takes its batch, enters the forward of all, and ends it; rank 0 chooses the tokens.

    `call`: the collective that it has entered last and not left, as its rows tell. `rows`: how many of them it has fired. `forwards`: entered.
    """

    def __init__(self, place: Place, shard: Shard, transport: Transport):
        self._place, self._shard, self._transport = place, shard, transport
        self._work: Work | None = None
        self.call, self.rows, self.forwards = Call.NONE, 0, 0

    def note(self, step: Step) -> None:
        """A row of the rank has fired."""
        self.rows += 1
        entered = step.left("collective_entered", *self._place)
        if entered is not None:
            self.call = Call(entered)

    @after("worker.read_batch", "worker.read_last_batch")
    def take(self, step: Step) -> None:
        """The batch has been read; its contents came with it, unless it is an empty one."""
        self.note(step)
        empty = step.reads[f"queue_tasks[{self._place[0]}]"] == "EMPTY"
        self._work = None if empty else step.cargo

    @after("worker.start_forward")
    def enter(self, step: Step) -> None:
        """Enter the forward, with no rows if there is no work."""
        self.note(step)
        self.forwards += 1
        self._forward = Forward(self._shard, () if self._work is None else self._work.chunks)
        self._transport.enter(self._forward)

    @after("worker.finish_forward")
    def leave(self, step: Step) -> Result | None:
        """The forward is over: the result, once an instance."""
        self.note(step)
        self._transport.leave()
        work, self._work = self._work, None
        if work is None or self._place[1] != 0 or self._forward.logits is None:
            return None
        rows = iter(self._forward.logits)
        return Result(work, tuple(choose(next(rows), Sampling(), 0) if chunk.outputs else None for chunk in work.chunks))


class BalancingRank(ExpertRank):
    """A rank that goes over to another placement of the experts when a meeting of all ranks comes to one.

    Args:
        placement: of the experts, at first. told: called with what was decided, when the rank has gone over.
    """

    def __init__(self, place: Place, shard: Shard, transport: Transport, placement: ExpertPlacement, told: Callable[[Rebalance], None]):
        super().__init__(place, shard, transport)
        self._balance, self._told = Balance(shard, transport, placement, INTERVAL_VISITS), told

    @after("worker.finish_forward")
    def leave(self, step: Step) -> Result | None:
        """The forward is over, and its tokens have visited experts."""
        result = super().leave(step)
        self._balance.count(self._forward)
        return result

    def enter_meeting(self, step: Step) -> None:
        """The rank brings what it has counted."""
        self.note(step)
        self._balance.enter()

    def leave_meeting(self, step: Step) -> None:
        """And goes over to what all have come to."""
        self.note(step)
        moved = self._balance.leave()
        if moved is not None:
            self._told(moved)


class EndBalancingRank(BalancingRank):
    """One that meets the others behind every forward."""

    @after("worker.enter_balance")
    def enter_meeting(self, step: Step) -> None:
        """See `BalancingRank`."""
        super().enter_meeting(step)

    @after("worker.leave_balance")
    def leave_meeting(self, step: Step) -> None:
        """See `BalancingRank`."""
        super().leave_meeting(step)


class TopBalancingRank(BalancingRank):
    """One that meets the others at the top of its loop, in every iteration."""

    @after("worker.enter_status")
    def enter_meeting(self, step: Step) -> None:
        """See `BalancingRank`."""
        super().enter_meeting(step)

    @after("worker.leave_status")
    def leave_meeting(self, step: Step) -> None:
        """See `BalancingRank`."""
        super().leave_meeting(step)


BALANCING = {"end": EndBalancingRank, "top": TopBalancingRank}
"""Where in an iteration the ranks meet to balance."""


def witness(rank: ExpertRank, rows: Iterable[str]) -> object:
    """A role that lets the rank note these rows, at which it does nothing; which there are depends on the version of the loop."""

    class Witness:
        @after(*rows)
        def note(self, step: Step) -> None:
            rank.note(step)

    return Witness()
