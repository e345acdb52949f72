"""The result of a run as users of `vllm bench serve` know it: its table, line for line, and the fields of its result file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from protocol import DefinitionError

from ..metrics import Completion, Measurement, Summary
from .traffic import Traffic

WIDTH = 50
TITLES = {
    "ttft": ("TTFT", "Time to First Token"),
    "tpot": ("TPOT", "Time per Output Token (excl. 1st token)"),
    "itl": ("ITL", "Inter-token Latency"),
    "e2el": ("E2EL", "End-to-end Latency"),
}
"""The latencies by their names on the command line: as lines of the table and as headings, in their order."""
OBJECTIVES = ("ttft", "tpot", "e2el")
"""What a goodput may be asked of: latencies that a request has one of."""


@dataclass(frozen=True)
class Selection:
    """What to tell of a measurement: which latencies, which percentiles of them, and the goodput's objectives in milliseconds."""

    metrics: tuple[str, ...] = tuple(TITLES)
    percentiles: tuple[float, ...] = (90.0, 99.0)
    objectives_ms: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def parse(cls, metrics: str, percentiles: str, goodput: str) -> Selection:
        """From the command line: `ttft,tpot`, `90,99`, `ttft:200 tpot:50`.

        Raises:
            DefinitionError: an unknown name, or a number out of range.
        """
        wanted = tuple(name.strip() for name in metrics.split(","))
        for name in wanted:
            if name not in TITLES:
                raise DefinitionError(f"--percentile-metrics: {name!r} is no latency; choose among {','.join(TITLES)}")
        numbers = tuple(_number(text, "--metric-percentiles") for text in percentiles.split(","))
        if not all(0 <= number <= 100 for number in numbers):
            raise DefinitionError(f"--metric-percentiles {percentiles}: give numbers from 0 to 100, commas between")
        objectives = {}
        for pair in goodput.replace(",", " ").split():
            name, _, most = pair.partition(":")
            if name not in OBJECTIVES:
                raise DefinitionError(f"--goodput: {pair!r} is no objective; give {' '.join(f'{o}:MS' for o in OBJECTIVES)} or some of them")
            objectives[name] = _number(most, "--goodput")
        return cls(wanted, numbers, objectives)


def _number(text: str, option: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number < 0:
        raise DefinitionError(f"{option}: {text!r} is no number; give one, 0 or more")
    return number


def table(measured: Measurement, traffic: Traffic, selection: Selection) -> str:
    """The table."""
    lines = [f"{' Serving Benchmark Result ':=^{WIDTH}}"]
    lines += [_line(label, value) for label, value in _totals(measured, traffic, selection)]
    for metric, (name, heading) in TITLES.items():
        if metric in selection.metrics:
            summary = _summary(measured, metric, selection)
            lines.append(f"{heading:-^{WIDTH}}")
            lines.append(_line(f"Mean {name} (ms):", summary.mean))
            lines.append(_line(f"Median {name} (ms):", summary.median))
            lines += [_line(f"P{_word(p)} {name} (ms):", value) for p, value in zip(selection.percentiles, summary.percentiles)]
    return "\n".join([*lines, "=" * WIDTH])


def _totals(measured: Measurement, traffic: Traffic, selection: Selection) -> list[tuple[str, float]]:
    """The lines above the latencies; whole numbers are counts."""
    rows: list[tuple[str, float]] = [("Successful requests:", len(measured.answered)), ("Failed requests:", len(measured.failed))]
    if traffic.concurrency is not None:
        rows.append(("Maximum request concurrency:", traffic.concurrency))
    if traffic.request_rate is not None and math.isfinite(traffic.request_rate):
        rows.append(("Request rate configured (RPS):", float(traffic.request_rate)))
    rows.append(("Benchmark duration (s):", float(measured.duration_s)))
    rows.append(("Total input tokens:", measured.input_tokens))
    rows.append(("Total generated tokens:", measured.output_tokens))
    rows.append(("Request throughput (req/s):", measured.per_second(len(measured.answered))))
    if selection.objectives_ms:
        rows.append(("Request goodput (req/s):", measured.per_second(measured.good(selection.objectives_ms))))
    rows.append(("Output token throughput (tok/s):", measured.per_second(measured.output_tokens)))
    rows.append(("Peak output token throughput (tok/s):", float(measured.peak_pieces)))
    rows.append(("Peak concurrent requests:", float(measured.peak_requests)))
    rows.append(("Total token throughput (tok/s):", measured.per_second(measured.input_tokens + measured.output_tokens)))
    return rows


def _line(label: str, value: float) -> str:
    return f"{label:<40} {value:<10}" if isinstance(value, int) else f"{label:<40} {value:<10.2f}"


def _word(percentile: float) -> str:
    return str(int(percentile)) if percentile == int(percentile) else str(percentile)


def _summary(measured: Measurement, metric: str, selection: Selection) -> Summary:
    return Summary.of([value * 1e3 for value in measured.values_s(metric)], selection.percentiles)


def result(measured: Measurement, traffic: Traffic, selection: Selection, *, detailed: bool = False) -> dict[str, Any]:
    """The fields of a result file, with vLLM's names; latencies of the summary in milliseconds, of single requests in seconds.

    `detailed`: with the lists that have an entry for every request, of which a failed one has empty latencies.
    """
    rate = traffic.request_rate
    found: dict[str, Any] = {
        "num_prompts": len(measured.completions),
        "request_rate": "inf" if rate is None or math.isinf(rate) else rate,
        "burstiness": traffic.burstiness if math.isfinite(traffic.burstiness) else "inf",
        "max_concurrency": traffic.concurrency,
        "duration": measured.duration_s,
        "completed": len(measured.answered),
        "failed": len(measured.failed),
        "total_input_tokens": measured.input_tokens,
        "total_output_tokens": measured.output_tokens,
        "request_throughput": measured.per_second(len(measured.answered)),
        "request_goodput": measured.per_second(measured.good(selection.objectives_ms)) if selection.objectives_ms else None,
        "output_throughput": measured.per_second(measured.output_tokens),
        "total_token_throughput": measured.per_second(measured.input_tokens + measured.output_tokens),
        "max_output_tokens_per_s": float(measured.peak_pieces),
        "max_concurrent_requests": measured.peak_requests,
    }
    if detailed:
        found |= _lists(measured.completions)
    for metric in TITLES:
        if metric in selection.metrics:
            summary = _summary(measured, metric, selection)
            found |= {f"mean_{metric}_ms": summary.mean, f"median_{metric}_ms": summary.median, f"std_{metric}_ms": summary.std}
            found |= {f"p{_word(p)}_{metric}_ms": value for p, value in zip(selection.percentiles, summary.percentiles)}
    return found


def _lists(completions: tuple[Completion, ...]) -> dict[str, list[Any]]:
    return {
        "input_lens": [c.prompt_tokens for c in completions],
        "output_lens": [c.output_tokens for c in completions],
        "ttfts": [0.0 if c.error else c.ttft_s for c in completions],
        "itls": [c.itl_s for c in completions],
        "latencies": [0.0 if c.error else c.e2el_s for c in completions],
        "start_times": [c.sent_s for c in completions],
        "queue_times": [c.queued_s for c in completions],
        "errors": [c.error for c in completions],
    }
