"""Rests: where the loops of ranks and gates, which poll, wait for what they look for instead of looking again.

A rest moves no row and decides nothing: whoever rests is roused by the change that it waits for, and looks after `IDLE_S` anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from ..binding import after
from ..clock import Clock
from ..step import Step

IDLE_S = 1.0
"""Longest pause of a loop that has nothing to do."""


class WorkerRest:
    """The pause of rank 0 of P before it looks for a batch; the others wait for it at a barrier."""

    machine: ClassVar[str] = "worker"
    _queue: ClassVar[str] = "queue_filled"

    def __init__(self, clock: Clock):
        self._clock = clock

    @after(".find_batch", ".find_no_batch", finds=False, rests=True)
    def look(self, step: Step) -> None:
        """It has looked: what comes later is news."""
        self._clock.forget()

    @after(".lower_forward", finds=False, rests=True)
    def rest(self, step: Step) -> None:
        """Until a batch is put."""
        self._clock.doze(IDLE_S, self._queue)


class LaunchingRest(WorkerRest):
    """The same where the loop lowers no signal, as the devices do it: rank 0 rests where it leaves the barrier."""

    @after("worker.leave_top_barrier", finds=False, rests=True)
    def rest(self, step: Step) -> None:
        """Until a batch is put."""
        if step.copy[-1] == 0:
            super().rest(step)


class DecodeRest(WorkerRest):
    """The same of rank 0 of a D."""

    machine = "decode_rank"
    _queue = "decode_queue_filled"


class PartnerRest:
    """The pause of rank 0 of a D where it is summoned to the batches of other instances, too: it goes round twice between two pauses.

    In the round in which it is called the others may have looked before the batch was put, and wait for it to say that there is none. In the next
    one they have seen the batch.
    """

    def __init__(self, clock: Clock):
        self._clock = clock
        self._goes_round_again = False

    @after("decode_rank.lower_forward", finds=False, rests=True)
    def rest(self, step: Step) -> None:
        """Until a batch is put, here or elsewhere."""
        self._goes_round_again = not self._goes_round_again
        if not self._goes_round_again:
            self._clock.doze(IDLE_S, "decode_queue_filled")


class GateRest:
    """The pauses of P's gate: while a forward runs, and when there is nothing to schedule."""

    machine: ClassVar[str] = "gate"
    _signal: ClassVar[str] = "forward_signal"

    def __init__(self, clock: Clock):
        self._clock = clock

    @after(".find_forward_running", finds=False, rests=True)
    def wait(self, step: Step) -> None:
        """Until the forward signal falls."""
        self._clock.forget()
        self._clock.doze(IDLE_S, self._signal)

    @after(".schedule_nothing", finds=False, rests=True)
    def rest(self, step: Step) -> None:
        """Until something has changed."""
        self._clock.doze(IDLE_S)


class DecodeGateRest(GateRest):
    """The same of a D's gate, which schedules what D's worker has begun. `partners`: processes to call along with its batches."""

    machine = "decode_gate"
    _signal = "decode_forward_signal"

    def __init__(self, clock: Clock, post: Callable[[str], None], partners: Sequence[str]):
        super().__init__(clock)
        self._post, self._partners = post, partners

    @after(".schedule_nothing", finds=False, rests=True)
    def rest(self, step: Step) -> None:
        """Until a step is due."""
        self._clock.doze(IDLE_S, "step_due")

    @after(".put_batch", finds=False)
    def summon(self, step: Step) -> None:
        """Wake the ranks that come along with a batch of another instance: a letter to each of their processes. The next step is not due yet."""
        for process in self._partners:
            self._post(process)
        self._clock.forget()
        self.rest(step)
