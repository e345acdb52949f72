"""The router's process: admits generations, gives each a number, and with it a P and a D, posts it, and gives up what its client gives up."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from protocol.machines.repaired.bounds import Homes

from ..binding import Outcome, after, carries, decides
from ..generation import Finish, Generation
from ..step import Step
from .job import Job, Shape
from .letters import Absent, Closed
from .loss import Loss


class Router:
    """All numbers, and the generations that wait for one.

    Args:
        numbers: how many there are. homes: the P and the D of each. shape: of tokens. mortal: whether a D may die.
    """

    def __init__(self, numbers: int, homes: Homes, shape: Shape, *, mortal: bool):
        self._waiting: deque[tuple[int, Generation]] = deque()
        self._homes, self._turn = homes, 0
        self.absent = Absent()
        """Who has died: nothing is posted there before they are back. Without that news it would be, and be lost."""
        kind = BreakableLine if mortal else Line
        self.lines = [kind(self, number, shape) for number in range(numbers)]

    def submit(self, key: int, generation: Generation) -> None:
        """Take a generation in, with the key by which its tokens come back."""
        self._waiting.append((key, generation))

    def abort(self, key: int) -> bool:
        """Give a generation up; whether it had no number yet, and is over at once."""
        for one in self._waiting:
            if one[0] == key:
                self._waiting.remove(one)
                return True
        for line in self.lines:
            line.is_given_up |= line.job is not None and line.job.key == key
        return False

    def next_job(self, number: int) -> Job | None:
        """The generation that has waited longest, under that number, if its P is the next to get one."""
        prefill = self._homes.prefill_of(number)
        if not self._waiting or not self._is_present(number) or prefill != self._next_prefill():
            return None
        self._turn = prefill + 1
        return Job(number, *self._waiting.popleft())

    def _next_prefill(self) -> int:
        """The P whose turn it is, of those that have a number free. Not the one with the fewest generations: a P that has just died has few."""
        free = {self._homes.prefill_of(number) for number, line in enumerate(self.lines) if line.job is None and self._is_present(number)}
        return min(free, key=lambda prefill: (prefill - self._turn) % self._homes.prefills)

    def _is_present(self, number: int) -> bool:
        """Whether the P and the D of the number live, as far as is known."""
        return self._homes.prefill_of(number) not in self.absent.prefills and self._homes.decode_of(number) not in self.absent.decodes


class Line:
    """One copy of the router machine: a number, and the request that it stands for at the moment."""

    def __init__(self, router: Router, number: int, shape: Shape):
        self._router, self._number, self._shape = router, number, shape
        self.job: Job | None = None
        self.is_given_up = False

    @decides(
        "router.post_to_decode", "router.post_next", "router.register",
        "router.abort_alone", "router.abort_at_prefill",
    )  # fmt: skip
    def decide(self, open_rows: Sequence[Outcome]) -> Outcome | None:
        """Post the next generation; register it with the chunks that its prompt has; abort what is given up."""
        by_event = {outcome.event: outcome for outcome in open_rows if not outcome.values}
        if "post_to_decode" in by_event or "post_next" in by_event:
            self.job = self.job or self._router.next_job(self._number)
            return None if self.job is None else by_event.get("post_to_decode") or by_event["post_next"]
        if self.is_given_up:
            return by_event.get("abort_alone") or by_event.get("abort_at_prefill")
        if self.job is None:
            return None
        wanted = (self._shape.chunks_for(len(self.job.prompt)),)
        return next((outcome for outcome in open_rows if outcome.event == "register" and outcome.values == wanted), None)

    @carries("router.post_to_decode", "router.post_next", "router.post_to_prefill", "router.abort_at_decode")
    def contents(self, outcome: Outcome) -> Job | None:
        """The request itself; an abort that leaves D's entry open stores there, and would take away what the post has laid down."""
        return self.job

    @after("router.receive_answer")
    def close(self, step: Step) -> Closed:
        """D's answer: why the request has ended, or why there is nothing to answer."""
        return self.end(step.cargo)

    def end(self, ended: Finish | Loss | None) -> Closed:
        """The request is over; the number is free. One without an end of its own is an abort if its client gave it up."""
        job, given_up = self.job, self.is_given_up
        self.job, self.is_given_up = None, False
        assert job is not None
        if isinstance(ended, Finish):
            return Closed(job.key, ended)
        return Closed(job.key, Finish.ABORT) if given_up else Closed(job.key, Finish.ERROR, ended)


class BreakableLine(Line):
    """A line to a D that may die."""

    @after("router.report_lost", finds=False)
    def lose(self, step: Step) -> Closed:
        """The connection to D is broken: there will be no answer."""
        return self.end(Loss.DECODING)
