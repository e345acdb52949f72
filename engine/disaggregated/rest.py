"""Rests: where the loops of ranks and gates, which poll, wait for what they look for instead of looking again.

A rest moves no row and decides nothing: whoever rests is roused by the change that it waits for, and looks after `IDLE_S` anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..binding import after
from ..clock import Clock
from ..step import Step

IDLE_S = 1.0
"""Longest pause of a loop that has nothing to do."""


class WorkerRest:
    """The pause of rank 0 before it looks for a batch; the others wait for it at a barrier."""

    def __init__(self, clock: Clock):
        self._clock = clock

    @after("worker.find_batch", "worker.find_no_batch", finds=False, rests=True)
    def look(self, step: Step) -> None:
        """It has looked: what comes later is news."""
        self._clock.forget()

    @after("worker.lower_forward", finds=False, rests=True)
    def rest(self, step: Step) -> None:
        """Until a batch is put."""
        self._clock.doze(IDLE_S, "queue_filled")


class LaunchingRest(WorkerRest):
    """The same where the loop lowers no signal, as the devices do it: rank 0 rests where it leaves the barrier."""

    @after("worker.leave_top_barrier", finds=False, rests=True)
    def rest(self, step: Step) -> None:
        """Until a batch is put."""
        if step.copy[-1] == 0:
            super().rest(step)


class PartnerRest:
    """The same where it is summoned to the batches of other instances, too: it goes round twice between two pauses.

    In the round in which it is called the others may have looked before the batch was put, and wait for it to say that there is none. In the next
    one they have seen the batch.
    """

    def __init__(self, clock: Clock):
        self._clock = clock
        self._goes_round_again = False

    @after("worker.lower_forward", finds=False, rests=True)
    def rest(self, step: Step) -> None:
        """Until a batch is put, here or elsewhere."""
        self._goes_round_again = not self._goes_round_again
        if not self._goes_round_again:
            self._clock.doze(IDLE_S, "queue_filled")


class Summons:
    """What wakes ranks that come along with a batch of another instance: a letter to each of these processes."""

    def __init__(self, post: Callable[[str], None], processes: Sequence[str]):
        self._post, self._processes = post, processes

    def call(self) -> None:
        """A batch was put."""
        for process in self._processes:
            self._post(process)


class GateRest:
    """The pauses of a gate: while a forward runs, and when there is nothing to schedule."""

    def __init__(self, clock: Clock):
        self._clock = clock

    @after("gate.find_forward_running", finds=False, rests=True)
    def wait(self, step: Step) -> None:
        """Until the forward signal falls."""
        self._clock.forget()
        self._clock.doze(IDLE_S, "forward_signal")

    @after("gate.schedule_nothing", finds=False, rests=True)
    def rest(self, step: Step) -> None:
        """Until something has changed, or a handler of this process has acted."""
        self._clock.doze(IDLE_S)
