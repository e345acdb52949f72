"""Workloads: when requests arrive and how many tokens they bring, from a trace file or from a seed.

One rule: a line is either understood completely or is an error that names the file, the line and the remedy. The format
is recognised from the first line, never from the file's name; only as many lines are read as requests are asked for.

Formats: Mooncake JSONL (milliseconds), ShareGPT lengths JSONL (nanoseconds), Azure CSV (date and time), BurstGPT CSV
(seconds). Arrivals are counted from the first request of the file.
"""

from __future__ import annotations

import csv
import json
import math
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import IO, Any

from protocol import TraceError

FORMATS = "Mooncake or ShareGPT JSONL, Azure or BurstGPT CSV"
TOKENS_MAX = 10_000_000
"""No request is longer: a larger count is a damaged line, and would never end."""

LINE_BYTES_MAX = 1 << 24
"""No line is longer: a longer one is no text file, and may have no end."""


@dataclass(frozen=True)
class Request:
    """One request: arrival in seconds after the first, lengths in tokens."""

    arrival_s: float
    prompt_tokens: int
    output_tokens: int


@dataclass(frozen=True)
class Format:
    """Where a trace format keeps its three numbers; `seconds` turns its time into seconds."""

    name: str
    columns: tuple[str, str, str]
    seconds: Callable[[Any], float]


def _number(value: Any) -> float:
    if isinstance(value, bool):
        raise ValueError(value)
    seconds = float(value)
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(value)
    return seconds


JSON_FORMATS = (
    Format("Mooncake", ("timestamp", "input_length", "output_length"), lambda v: _number(v) / 1e3),
    Format("ShareGPT", ("arrival_time_ns", "input_toks", "output_toks"), lambda v: _number(v) / 1e9),
)
CSV_FORMATS = (
    Format("Azure", ("TIMESTAMP", "ContextTokens", "GeneratedTokens"), lambda v: datetime.fromisoformat(v).replace(tzinfo=UTC).timestamp()),
    Format("BurstGPT", ("Timestamp", "Request tokens", "Response tokens"), _number),
)


def load(path: str | os.PathLike[str], limit: int | None = None) -> list[Request]:
    """The first `limit` requests of a trace file (all for None), in order of arrival.

    Raises:
        TraceError: the file cannot be read, is of no known format, has no requests, or a line is malformed.
    Cost: one pass over the lines that are asked for.
    """
    check_limit(limit)
    try:
        with open(path, "rb") as stream:
            requests = list(islice(_read(str(path), stream), limit))
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror or error}; give a request trace ({FORMATS})") from error
    if not requests:
        raise TraceError(f"{path}:1: no requests; give a request trace ({FORMATS})")
    first = min(r.arrival_s for r in requests)
    counted = (Request(r.arrival_s - first, r.prompt_tokens, r.output_tokens) for r in requests)
    return sorted(counted, key=lambda r: r.arrival_s)


def generate(seed: int = 0, count: int = 100, rate: float = 10.0) -> list[Request]:
    """Requests from a seed: Poisson arrivals, `rate` a second; lengths log-normal about 512 and 64 tokens.

    Raises:
        TraceError: a count or a rate that is not positive.
    """
    check_limit(count)
    if not math.isfinite(rate) or rate <= 0:
        raise TraceError(f"workload: a rate of {rate} requests a second; give a positive number")
    rng = random.Random(seed)
    requests, arrival = [], 0.0
    for _ in range(count):
        prompt, output = (max(1, min(8192, round(rng.lognormvariate(math.log(median), 0.8)))) for median in (512, 64))
        requests.append(Request(arrival, prompt, output))
        arrival += rng.expovariate(rate)
    return requests


def check_limit(limit: int | None) -> None:
    """Refuse a number of requests that asks for none."""
    if limit is not None and limit < 1:
        raise TraceError(f"workload: {limit} requests asked for; give at least 1")


def _lines(path: str, stream: IO[bytes]) -> Iterator[tuple[int, str]]:
    """The lines of an open file with their numbers, decoded one by one so that an error can name its line."""
    number = 0
    while raw := stream.readline(LINE_BYTES_MAX + 1):
        number += 1
        if len(raw) > LINE_BYTES_MAX:
            raise TraceError(f"{path}:{number}: a line of more than {LINE_BYTES_MAX} bytes; give a request trace ({FORMATS})")
        try:
            yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise TraceError(f"{path}:{number}: not text ({error.reason}); give a request trace ({FORMATS})") from error


def _read(path: str, stream: IO[bytes]) -> Iterator[Request]:
    """The requests of an open file, in file order, arrivals on the file's own clock."""
    lines = _lines(path, stream)
    for number, line in lines:
        if not line.strip():
            continue
        if line.lstrip().startswith("{"):
            form = _json_format(path, number, line)
            yield _json_request(form, path, number, line)
            yield from (_json_request(form, path, n, text) for n, text in lines if text.strip())
        else:
            header = [name.strip() for name in _fields(path, number, line)]
            form = _csv_format(path, number, header)
            yield from (_csv_request(form, header, path, n, text) for n, text in lines if text.strip())
        return


def _fields(path: str, number: int, line: str) -> list[str]:
    try:
        return next(csv.reader([line.strip()]), [])
    except csv.Error as error:
        raise TraceError(f"{path}:{number}: not CSV ({error}); mend or remove the line") from error


def _json_format(path: str, number: int, line: str) -> Format:
    data = _json_object(path, number, line)
    for form in JSON_FORMATS:
        if any(column in data for column in form.columns):
            return form
    raise TraceError(f"{path}:{number}: an object of no known trace format; give a request trace ({FORMATS})")


def _csv_format(path: str, number: int, header: list[str]) -> Format:
    for form in CSV_FORMATS:
        if set(form.columns) <= set(header):
            return form
    raise TraceError(f"{path}:{number}: a first line of no known trace format; give a request trace ({FORMATS})")


def _json_object(path: str, number: int, line: str) -> dict[str, Any]:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise TraceError(f"{path}:{number}: not JSON ({error}); mend or remove the line") from error
    if not isinstance(data, dict):
        raise TraceError(f"{path}:{number}: not an object; mend or remove the line")
    return data


def _json_request(form: Format, path: str, number: int, line: str) -> Request:
    return _request(form, _json_object(path, number, line), path, number)


def _csv_request(form: Format, header: list[str], path: str, number: int, line: str) -> Request:
    fields = _fields(path, number, line)
    if len(fields) != len(header):
        raise TraceError(f"{path}:{number}: {len(fields)} fields where the header has {len(header)}; mend or remove the line")
    return _request(form, dict(zip(header, fields)), path, number)


def _request(form: Format, data: dict[str, Any], path: str, number: int) -> Request:
    missing = [column for column in form.columns if column not in data]
    if missing:
        raise TraceError(f"{path}:{number}: no {missing[0]!r}, which the {form.name} format has; mend or remove the line")
    when, prompt, output = (data[column] for column in form.columns)
    try:
        arrival = form.seconds(when)
    except (ValueError, TypeError, OverflowError) as error:
        raise TraceError(f"{path}:{number}: {form.columns[0]} {when!r} is no time; mend or remove the line") from error
    return Request(arrival, _tokens(prompt, form.columns[1], path, number), _tokens(output, form.columns[2], path, number))


def _tokens(value: Any, column: str, path: str, number: int) -> int:
    try:
        if isinstance(value, (bool, float)):
            raise ValueError(value)
        count = int(value)
    except (ValueError, TypeError) as error:
        raise TraceError(f"{path}:{number}: {column} {value!r} is no whole number; mend or remove the line") from error
    if not 1 <= count <= TOKENS_MAX:
        raise TraceError(f"{path}:{number}: {column} {count} lies outside 1..{TOKENS_MAX}; mend or remove the line")
    return count
