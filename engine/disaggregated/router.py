"""The router's process: admits generations, gives each a number, and with it a P and a D, posts it, and gives up what its client gives up."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from protocol.machines.repaired.router import Router as RouterState

from ..binding import Outcome, after, carries, decides
from ..generation import Finish, Generation
from ..step import Step
from .job import Job, Shape
from .letters import Closed
from .loss import Loss

GIVEN_UP = (RouterState.ABORTING, RouterState.ABORTED)
"""The states of a request whose abort is under way."""


class Router:
    """All numbers, and what clients have asked for.

    `to_post`: generations that no row has posted yet, with their keys, in the order in which they came. `to_abort`: the keys of requests
    under way that their clients have given up.

    Args:
        numbers: how many there are. shape: of tokens. mortal: whether a D may die.
    """

    def __init__(self, numbers: int, shape: Shape, *, mortal: bool):
        self.to_post: deque[tuple[int, Generation]] = deque()
        self.to_abort: set[int] = set()
        kind = BreakableLine if mortal else Line
        self.lines = [kind(self, number, shape) for number in range(numbers)]

    def submit(self, key: int, generation: Generation) -> None:
        """Take a generation in, with the key by which its tokens come back."""
        self.to_post.append((key, generation))

    def abort(self, key: int) -> bool:
        """Give a generation up; whether it had no number yet, and is over at once."""
        for one in self.to_post:
            if one[0] == key:
                self.to_post.remove(one)
                return True
        if any(line.job is not None and line.job.key == key for line in self.lines):
            self.to_abort.add(key)
        return False


class Line:
    """One copy of the router machine: a number, and the request that it stands for while one is under way."""

    def __init__(self, router: Router, number: int, shape: Shape):
        self._router, self._number, self._shape = router, number, shape
        self.job: Job | None = None

    @decides(
        "router.post_to_decode", "router.post_next", "router.register",
        "router.abort_alone", "router.abort_at_prefill",
    )  # fmt: skip
    def decide(self, open_rows: Sequence[Outcome]) -> Outcome | None:
        """Post the generation that has waited longest; abort what is given up; register a request with the chunks that its prompt has."""
        by_event = {outcome.event: outcome for outcome in open_rows if not outcome.values}
        post = by_event.get("post_to_decode") or by_event.get("post_next")
        if post is not None:
            return post if self._router.to_post else None
        assert self.job is not None
        if self.job.key in self._router.to_abort:
            return by_event.get("abort_alone") or by_event.get("abort_at_prefill")
        wanted = (self._shape.chunks_for(len(self.job.prompt)),)
        return next((outcome for outcome in open_rows if outcome.event == "register" and outcome.values == wanted), None)

    @carries("router.post_to_decode", "router.post_next", "router.post_to_prefill", "router.abort_at_decode")
    def contents(self, outcome: Outcome) -> Job | None:
        """The request itself; an abort that leaves D's entry open stores there, and would take away what the post has laid down."""
        return self.job or Job(self._number, *self._router.to_post[0])

    @after("router.post_to_decode", "router.post_next", finds=False)
    def post(self, step: Step) -> None:
        """The number stands for that generation now."""
        self.job = Job(self._number, *self._router.to_post.popleft())

    @after("router.receive_answer")
    def close(self, step: Step) -> Closed:
        """D's answer: why the request has ended, or why there is nothing to answer."""
        return self.end(step, step.cargo)

    def end(self, step: Step, ended: Finish | Loss | None) -> Closed:
        """The request is over; the number is free. One without an end of its own is an abort if it was being given up."""
        job, self.job = self.job, None
        assert job is not None
        self._router.to_abort.discard(job.key)
        if isinstance(ended, Finish):
            return Closed(job.key, ended)
        return Closed(job.key, Finish.ABORT) if step.source in GIVEN_UP else Closed(job.key, Finish.ERROR, ended)


class BreakableLine(Line):
    """A line to a D that may die."""

    @after("router.report_lost", finds=False)
    def lose(self, step: Step) -> Closed:
        """The connection to D is broken: there will be no answer."""
        return self.end(step, Loss.DECODING)
