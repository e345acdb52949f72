"""When sessions begin: the trace's times, a rate, its burstiness."""

from __future__ import annotations

import math
import statistics
from itertools import pairwise

import pytest

from engine.load.bench import at_their_times
from engine.load.prompts import IDS, prompt_of
from engine.load.traffic import Traffic
from engine.workload import Request, sessions_of
from protocol import DefinitionError

SESSIONS = sessions_of([Request(float(k), 1, 1) for k in range(4000)])


def intervals(traffic: Traffic) -> list[float]:
    return [later - earlier for earlier, later in pairwise([0.0, *traffic.starts_s(SESSIONS)])]


@pytest.mark.parametrize("burstiness", [0.25, 1.0, 4.0])
def test_intervals_have_the_mean_of_the_rate_and_the_spread_of_the_burstiness(burstiness: float) -> None:
    """A gamma distribution of shape k has a standard deviation of mean / sqrt(k); k = 1 is the Poisson process."""
    drawn = intervals(Traffic(20.0, burstiness))
    assert math.fsum(drawn) == pytest.approx(4000 / 20)
    assert statistics.stdev(drawn) == pytest.approx(1 / 20 / math.sqrt(burstiness), rel=0.1)


def test_intervals_of_a_poisson_process_are_exponential() -> None:
    drawn = intervals(Traffic(20.0))
    for share in (0.5, 1.0, 2.0):
        longer = sum(interval > share / 20 for interval in drawn) / len(drawn)
        assert longer == pytest.approx(math.exp(-share), abs=0.03)


def test_the_limits_of_rate_and_burstiness() -> None:
    assert Traffic(math.inf).starts_s(SESSIONS[:3]) == [0.0, 0.0, 0.0]
    assert Traffic(4.0, math.inf).starts_s(SESSIONS[:3]) == [0.25, 0.5, 0.75]
    assert Traffic(speed=2.0).starts_s(SESSIONS[:3]) == [0.0, 0.5, 1.0]


def test_a_seed_gives_one_sequence() -> None:
    assert intervals(Traffic(20.0, seed=1)) == intervals(Traffic(20.0, seed=1)) != intervals(Traffic(20.0, seed=2))


@pytest.mark.parametrize(
    "wrong",
    [{"request_rate": 0.0}, {"request_rate": math.nan}, {"burstiness": -1.0}, {"speed": 0.0}, {"speed": math.inf}, {"concurrency": 0}],
)
def test_numbers_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(DefinitionError, match=f"^{next(iter(wrong))}=.*give"):
        Traffic(**wrong)  # type: ignore[arg-type]


def test_an_engine_that_plays_the_requests_itself_gets_their_times() -> None:
    requests = [Request(0.0, 1, 1, "a"), Request(1.0, 2, 2), Request(2.0, 3, 3, "a")]
    assert at_their_times(requests, Traffic()) == requests
    # It divides times by the speed, which a rate does not mean.
    assert [r.arrival_s for r in at_their_times(requests, Traffic(2.0, math.inf, speed=10.0))] == [5.0, 10.0, 5.0]
    with pytest.raises(DefinitionError, match="only a load client"):
        at_their_times(requests, Traffic(concurrency=1))


def test_prompts_have_their_lengths_and_share_their_blocks() -> None:
    one, two = Request(0.0, 10, 1, blocks=(7, 8), block_tokens=4), Request(0.0, 7, 1, blocks=(7, 9), block_tokens=4)
    first, second = prompt_of(one, 0, seed=0), prompt_of(two, 1, seed=0)
    assert (len(first), len(second)) == (10, 7)
    assert first[:4] == second[:4] and first[4:7] != second[4:7]
    assert set(first) <= set(IDS)
    assert prompt_of(one, 0, seed=0) == first and prompt_of(one, 5, seed=0)[:8] == first[:8] and prompt_of(one, 5, seed=0) != first
    assert prompt_of(one, 0, seed=1)[:4] != first[:4]
