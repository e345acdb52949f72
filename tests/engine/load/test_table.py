"""The table and the result file, letter for letter."""

from __future__ import annotations

import math

import pytest

from engine.load.table import Selection, result, table
from engine.load.traffic import Traffic
from engine.metrics import Completion, Measurement
from protocol import DefinitionError

RUN = Measurement(
    (
        Completion(0, 100, 3, 0.0, 0.0, (0.5, 1.0, 2.5)),
        Completion(1, 50, 1, 0.0, 0.5, (0.75,)),
        Completion(2, 70, 0, 0.0, 1.0, (), "refused"),
    ),
    4.0,
)
TABLE = """\
============ Serving Benchmark Result ============
Successful requests:                     2         
Failed requests:                         1         
Maximum request concurrency:             256       
Request rate configured (RPS):           3.00      
Benchmark duration (s):                  4.00      
Total input tokens:                      150       
Total generated tokens:                  4         
Request throughput (req/s):              0.50      
Request goodput (req/s):                 0.25      
Output token throughput (tok/s):         1.00      
Peak output token throughput (tok/s):    2.00      
Peak concurrent requests:                2.00      
Total token throughput (tok/s):          38.50     
---------------Time to First Token----------------
Mean TTFT (ms):                          375.00    
Median TTFT (ms):                        375.00    
P90 TTFT (ms):                           475.00    
P99.9 TTFT (ms):                         499.75    
-----Time per Output Token (excl. 1st token)------
Mean TPOT (ms):                          1000.00   
Median TPOT (ms):                        1000.00   
P90 TPOT (ms):                           1000.00   
P99.9 TPOT (ms):                         1000.00   
---------------Inter-token Latency----------------
Mean ITL (ms):                           1000.00   
Median ITL (ms):                         1000.00   
P90 ITL (ms):                            1400.00   
P99.9 ITL (ms):                          1499.00   
----------------End-to-end Latency----------------
Mean E2EL (ms):                          1375.00   
Median E2EL (ms):                        1375.00   
P90 E2EL (ms):                           2275.00   
P99.9 E2EL (ms):                         2497.75   
=================================================="""  # noqa: W291 - vLLM pads the values


def test_the_table_is_that_of_vllm_bench_serve() -> None:
    selection = Selection.parse("ttft,tpot,itl,e2el", "90,99.9", "ttft:400 tpot:1000")
    assert table(RUN, Traffic(3.0, concurrency=256), selection).splitlines() == TABLE.splitlines()


def test_lines_that_nobody_asked_for_are_left_out() -> None:
    """As with vLLM: no limit of concurrency, no rate, no goodput, and the latencies that are listed."""
    lines = table(RUN, Traffic(math.inf), Selection.parse("e2el,ttft", "99", "")).splitlines()
    absent = ("Maximum request", "Request rate", "Request goodput", "P90", "P99.9")
    expected = [line for line in TABLE.splitlines() if not line.startswith(absent) and "TPOT" not in line and "ITL" not in line]
    expected = [line for line in expected if "Time per" not in line and "Inter-token" not in line]
    assert [line for line in lines if not line.startswith("P99")] == expected
    assert [line.split(":")[0] for line in lines if line.startswith("P99")] == ["P99 TTFT (ms)", "P99 E2EL (ms)"]


def test_the_result_file_has_vllms_fields() -> None:
    selection = Selection.parse("ttft,itl", "90,99.9", "")
    found = result(RUN, Traffic(math.inf), selection)
    assert found == {
        "num_prompts": 3,
        "request_rate": "inf",
        "burstiness": 1.0,
        "max_concurrency": None,
        "duration": 4.0,
        "completed": 2,
        "failed": 1,
        "total_input_tokens": 150,
        "total_output_tokens": 4,
        "request_throughput": 0.5,
        "request_goodput": None,
        "output_throughput": 1.0,
        "total_token_throughput": 38.5,
        "max_output_tokens_per_s": 2.0,
        "max_concurrent_requests": 2,
        "mean_ttft_ms": 375.0,
        "median_ttft_ms": 375.0,
        "std_ttft_ms": 125.0,
        "p90_ttft_ms": 475.0,
        "p99.9_ttft_ms": pytest.approx(499.75),
        "mean_itl_ms": 1000.0,
        "median_itl_ms": 1000.0,
        "std_itl_ms": 500.0,
        "p90_itl_ms": 1400.0,
        "p99.9_itl_ms": pytest.approx(1499.0),
    }
    detailed = result(RUN, Traffic(math.inf), selection, detailed=True)
    assert {name: detailed[name] for name in detailed.keys() - found.keys()} == {
        "input_lens": [100, 50, 70],
        "output_lens": [3, 1, 0],
        "ttfts": [0.5, 0.25, 0.0],
        "itls": [[0.5, 1.5], [], []],
        "latencies": [2.5, 0.25, 0.0],
        "start_times": [0.0, 0.5, 1.0],
        "queue_times": [0.0, 0.5, 1.0],
        "errors": ["", "", "refused"],
    }


@pytest.mark.parametrize(
    ("metrics", "percentiles", "goodput", "message"),
    [
        ("ttft,latency", "99", "", "--percentile-metrics: 'latency' is no latency; choose among ttft,tpot,itl,e2el"),
        ("ttft", "99,most", "", "--metric-percentiles: 'most' is no number; give one, 0 or more"),
        ("ttft", "101", "", "--metric-percentiles 101: give numbers from 0 to 100, commas between"),
        ("ttft", "nan", "", "--metric-percentiles: 'nan' is no number; give one, 0 or more"),
        ("ttft", "99", "ttft", "--goodput: '' is no number; give one, 0 or more"),
        ("ttft", "99", "ttft:-3", "--goodput: '-3' is no number; give one, 0 or more"),
        ("ttft", "99", "itl:3", "--goodput: 'itl:3' is no objective; give ttft:MS tpot:MS e2el:MS or some of them"),
    ],
)
def test_what_cannot_be_told_is_refused_in_one_line(metrics: str, percentiles: str, goodput: str, message: str) -> None:
    with pytest.raises(DefinitionError) as raised:
        Selection.parse(metrics, percentiles, goodput)
    assert str(raised.value) == message
