"""What the scheduler puts into a batch: token budget, chunks, decodes first, admission, and the tokens that come back."""

from engine.binding import Outcome
from engine.clock import VirtualClock, VirtualTime
from engine.forward_signal.batch import Batch, Result
from engine.forward_signal.scheduler import REQUESTS_MAX, TOKENS_MAX, Scheduler
from engine.workload import Request


class Bench:
    """A scheduler whose forwards take no time and come back when asked for."""

    def __init__(self, *requests: Request, speed: float = 1.0):
        self.time, self.results = VirtualTime(), list[Result]()
        self.scheduler = Scheduler(requests, speed, VirtualClock(self.time), self._taken)

    def _taken(self) -> list[Result]:
        taken, self.results = self.results, []
        return taken

    def schedule(self) -> Batch | None:
        """The next batch, which is what `put_batch` would carry; None for `schedule_nothing`."""
        outcome = self.scheduler.schedule(())
        batch = self.scheduler.contents(outcome)
        assert outcome == Outcome("schedule_nothing" if batch is None else "schedule")
        return batch

    def finish(self, batch: Batch | None) -> None:
        """The forward of the batch is over now."""
        assert batch is not None
        self.results.append(Result(batch, self.time.now))


def test_a_long_prompt_is_prefilled_in_chunks_and_answers_after_the_last() -> None:
    bench = Bench(Request(0.0, TOKENS_MAX + 100, 1))
    assert (first := bench.schedule()) == Batch(1, TOKENS_MAX, (0,), ())
    bench.finish(first)
    assert (second := bench.schedule()) == Batch(2, 100, (0,), (0,))
    bench.finish(second)
    assert bench.schedule() is None and bench.scheduler.finished


def test_decodes_come_before_prefills_in_a_batch() -> None:
    bench = Bench(Request(0.0, 10, 5), Request(1.0, TOKENS_MAX, 5))
    bench.finish(bench.schedule())
    bench.time.advance(1.0)
    assert bench.schedule() == Batch(2, TOKENS_MAX, (0, 1), (0,))


def test_a_request_whose_forward_is_not_back_is_left_out() -> None:
    bench = Bench(Request(0.0, 10, 5))
    first = bench.schedule()
    assert bench.schedule() is None
    bench.finish(first)
    assert bench.schedule() == Batch(2, 1, (0,), (0,))


def test_requests_arrive_by_the_clock_and_as_many_times_faster() -> None:
    bench = Bench(Request(0.0, 10, 9), Request(4.0, 10, 9), speed=2.0)
    bench.finish(bench.schedule())
    bench.time.advance(1.9)
    assert (second := bench.schedule()) is not None and second.requests == (0,)
    bench.finish(second)
    bench.time.advance(2.0)
    assert (third := bench.schedule()) is not None and third.requests == (0, 1)


def test_no_more_requests_run_than_are_allowed() -> None:
    bench = Bench(*[Request(0.0, 1, 1)] * (REQUESTS_MAX + 1))
    batch = bench.schedule()
    assert batch is not None and len(batch.requests) == REQUESTS_MAX
    bench.finish(batch)
    last = bench.schedule()
    assert last is not None and last.requests == (REQUESTS_MAX,)


def test_a_completion_has_the_times_of_its_first_and_last_token() -> None:
    bench = Bench(Request(0.0, 10, 2))
    for moment in (1.0, 3.0):
        batch = bench.schedule()
        bench.time.advance(moment)
        bench.finish(batch)
    assert bench.schedule() is None
    (done,) = bench.scheduler.completions
    assert (done.ttft_s, done.e2el_s, done.output_tokens) == (1.0, 3.0, 2)
