"""The scheduler: what the engine's SCHED thread does when the gate's rows fire.

One rule: it decides *what* is in a batch; *when* a batch may be made is the gate's. Continuous batching with chunked
prefill: each running request decodes one token, what is left of the token budget prefills, first come first served. A
request that is in a forward whose result is not back is left out, so a gate that opens too early yields a thinner batch
and never a wrong one - which is what #6680 was about.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence

from ..binding import Outcome, after, carries, decides
from ..clock import Clock
from ..metrics import Completion
from ..workload import Request
from .batch import Batch, Result

REQUESTS_MAX = 128
"""Requests running at once (max_num_seqs)."""
TOKENS_MAX = 8192
"""Tokens of one forward (max_num_batched_tokens)."""
IDLE_S = 1.0
"""Longest pause when there is nothing to schedule. The real thread looks every ms (facts section 3); ours is told of what has changed."""


class Progress:
    """How far one running request is."""

    __slots__ = ("arrived", "in_forward", "number", "prompt_left", "request", "tokens_s")

    def __init__(self, number: int, request: Request, arrived: float):
        self.number, self.request, self.arrived = number, request, arrived
        self.prompt_left = request.prompt_tokens
        self.tokens_s: list[float] = []
        self.in_forward = False


class Scheduler:
    """The engine's side: intake, batches, results.

    Args:
        requests: in order of arrival. `speed`: how much faster than the trace they arrive.
        inbox: gives the results that have come back since it was last asked.
    """

    def __init__(self, requests: Sequence[Request], speed: float, clock: Clock, inbox: Callable[[], Iterable[Result]]):
        self._clock, self._inbox, self._speed = clock, inbox, speed
        self._coming = deque(enumerate(requests))
        self._running: dict[int, Progress] = {}
        self._requested = len(requests)
        self._start: float | None = None
        self._batch: Batch | None = None
        self.completions: list[Completion] = []
        self.forwards = 0

    @property
    def finished(self) -> bool:
        """Whether every request has its last token."""
        return len(self.completions) == self._requested

    @decides("gate.schedule", "gate.schedule_nothing")
    def schedule(self, open_rows: Sequence[Outcome]) -> Outcome:
        """`schedule()`: take in what came back and what arrived, and fill a batch."""
        for result in self._inbox():
            self._credit(result)
        self._admit()
        self._batch = self._fill()
        return Outcome("schedule_nothing" if self._batch is None else "schedule")

    @after("gate.schedule_nothing")
    def rest(self, step: object) -> None:
        """Nothing to do before the next arrival, or until a result is there."""
        seconds = IDLE_S
        if self._coming and self._start is not None and len(self._running) < REQUESTS_MAX:
            seconds = self._start + self._coming[0][1].arrival_s / self._speed - self._clock.now()
        self._clock.doze(seconds)

    @carries("gate.put_batch")
    def contents(self, outcome: Outcome) -> Batch | None:
        """What `put_tasks` puts."""
        return self._batch

    def _admit(self) -> None:
        now = self._clock.now()
        if self._start is None:
            self._start = now
        while self._coming and len(self._running) < REQUESTS_MAX:
            number, request = self._coming[0]
            arrived = self._start + request.arrival_s / self._speed
            if arrived > now:
                return
            self._running[number] = Progress(number, request, arrived)
            self._coming.popleft()

    def _fill(self) -> Batch | None:
        budget, chosen, emitting = TOKENS_MAX, [], []
        ready = [p for p in self._running.values() if not p.in_forward]
        for progress in sorted(ready, key=lambda p: (p.prompt_left > 0, p.number)):
            if budget == 0:
                break
            tokens = min(budget, progress.prompt_left or 1)
            budget -= tokens
            progress.prompt_left = max(0, progress.prompt_left - tokens)
            progress.in_forward = True
            chosen.append(progress.number)
            if progress.prompt_left == 0:
                emitting.append(progress.number)
        if not chosen:
            return None
        self.forwards += 1
        return Batch(self.forwards, TOKENS_MAX - budget, tuple(chosen), tuple(emitting))

    def _credit(self, result: Result) -> None:
        """Give the requests of a finished forward their tokens."""
        for number in result.batch.requests:
            self._running[number].in_forward = False
        for number in result.batch.emitting:
            progress = self._running[number]
            progress.tokens_s.append(result.at)
            if len(progress.tokens_s) == progress.request.output_tokens:
                del self._running[number]
                request = progress.request
                lengths = (request.prompt_tokens, request.output_tokens)
                self.completions.append(Completion(number, *lengths, progress.arrived, progress.arrived, tuple(progress.tokens_s)))
