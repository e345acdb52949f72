"""Workloads: when requests arrive and how many tokens they bring, from a trace file or from a seed.

One rule: a line is either understood completely or is an error that names the file, the line and the remedy. The format
is recognised from the first line, never from the file's name; only as many lines are read as requests are asked for.

Formats: Mooncake JSONL (milliseconds), ShareGPT lengths JSONL (nanoseconds), Azure CSV (date and time), BurstGPT CSV
(seconds). Arrivals are counted from the first request of the file. BurstGPT names the session of a request; its later rounds
bring their prompt on top of what was said before. It also records requests that failed, by an answer of no token: these are left
out. Mooncake names the blocks of a prompt, and equal numbers mean equal tokens.
"""

from __future__ import annotations

import csv
import json
import math
import os
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from typing import IO, Any

from protocol import TraceError

FORMATS = "Mooncake or ShareGPT JSONL, Azure or BurstGPT CSV"
TOKENS_MAX = 10_000_000
"""No request is longer: a larger count is a damaged line, and would never end."""

LINE_BYTES_MAX = 1 << 24
"""No line is longer: a longer one is no text file, and may have no end."""


SYNTHETIC = "synthetic"
"""Names the generator where a file could be named."""
SYNTHETIC_MEDIANS = (512, 64)
SYNTHETIC_TOKENS_MAX = 8192


@dataclass(frozen=True)
class Request:
    """One request: arrival in seconds after the first, lengths in tokens.

    Args:
        session: of which it is the next round; empty for none. A round's prompt comes on top of the earlier prompts and answers.
        blocks: names of the prompt's first blocks of `block_tokens` tokens, where the trace has them; the last may be cut short.
    """

    arrival_s: float
    prompt_tokens: int
    output_tokens: int
    session: str = ""
    blocks: tuple[int, ...] = ()
    block_tokens: int = 512

    def scaled(self, factor: float) -> Request:
        """The request with all its lengths multiplied, none below one token."""
        prompt, output, block = (max(1, round(length * factor)) for length in (self.prompt_tokens, self.output_tokens, self.block_tokens))
        return replace(self, prompt_tokens=prompt, output_tokens=output, block_tokens=block)


Session = list[tuple[int, Request]]
"""The rounds of a session, in order, each with its number in the workload."""


def sessions_of(requests: Iterable[Request]) -> list[Session]:
    """The sessions of a workload, in order of their first rounds; a request of no session is one by itself."""
    sessions: dict[str | int, Session] = {}
    for number, request in enumerate(requests):
        sessions.setdefault(request.session or number, []).append((number, request))
    return list(sessions.values())


@dataclass(frozen=True)
class Format:
    """Where a trace format keeps its three numbers; `seconds` turns its time into seconds.

    `session`, `blocks`: where it may have those; empty for nowhere. `failures`: whether an answer of no token is a request that failed.
    """

    name: str
    columns: tuple[str, str, str]
    seconds: Callable[[Any], float]
    session: str = ""
    blocks: str = ""
    failures: bool = False


def _number(value: Any) -> float:
    if isinstance(value, bool):
        raise ValueError(value)
    seconds = float(value)
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(value)
    return seconds


JSON_FORMATS = (
    Format("Mooncake", ("timestamp", "input_length", "output_length"), lambda v: _number(v) / 1e3, blocks="hash_ids"),
    Format("ShareGPT", ("arrival_time_ns", "input_toks", "output_toks"), lambda v: _number(v) / 1e9),
)
CSV_FORMATS = (
    Format("Azure", ("TIMESTAMP", "ContextTokens", "GeneratedTokens"), lambda v: datetime.fromisoformat(v).replace(tzinfo=UTC).timestamp()),
    Format("BurstGPT", ("Timestamp", "Request tokens", "Response tokens"), _number, session="Session ID", failures=True),
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
    return sorted((replace(r, arrival_s=r.arrival_s - first) for r in requests), key=lambda r: r.arrival_s)


def generate(
    seed: int = 0, count: int = 100, rate: float = 10.0, *, rounds: int = 1, input_len: int | None = None, output_len: int | None = None
) -> list[Request]:
    """Requests from a seed: Poisson arrivals, `rate` a second; lengths log-normal about 512 and 64 tokens, or exactly these.

    With several `rounds` a session, sessions arrive at that rate, their rounds all at once: each waits for the answer before it.

    Raises:
        TraceError: a count, a rate or a number of rounds that is not positive, a length out of range.
    """
    check_limit(count)
    if not math.isfinite(rate) or rate <= 0:
        raise TraceError(f"workload: a rate of {rate} requests a second; give a positive number")
    if rounds < 1:
        raise TraceError(f"workload: {rounds} rounds a session; give at least 1")
    for length in (input_len, output_len):
        if length is not None and not 1 <= length <= TOKENS_MAX:
            raise TraceError(f"workload: a length of {length} tokens; give 1 to {TOKENS_MAX}")
    rng = random.Random(seed)
    requests, arrival = [], 0.0
    for number in range(count):
        drawn = [max(1, min(SYNTHETIC_TOKENS_MAX, round(rng.lognormvariate(math.log(median), 0.8)))) for median in SYNTHETIC_MEDIANS]
        session = f"session {number // rounds}" if rounds > 1 else ""
        requests.append(Request(arrival, input_len or drawn[0], output_len or drawn[1], session))
        if (number + 1) % rounds == 0:
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
            for n, text in lines:
                if text.strip():
                    row = _csv_row(header, path, n, text)
                    if not (form.failures and row[form.columns[2]].strip() == "0"):
                        yield _request(form, row, path, n)
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


def _csv_row(header: list[str], path: str, number: int, line: str) -> dict[str, str]:
    fields = _fields(path, number, line)
    if len(fields) != len(header):
        raise TraceError(f"{path}:{number}: {len(fields)} fields where the header has {len(header)}; mend or remove the line")
    return dict(zip(header, fields))


def _request(form: Format, data: dict[str, Any], path: str, number: int) -> Request:
    missing = [column for column in form.columns if column not in data]
    if missing:
        raise TraceError(f"{path}:{number}: no {missing[0]!r}, which the {form.name} format has; mend or remove the line")
    when, prompt, output = (data[column] for column in form.columns)
    try:
        arrival = form.seconds(when)
    except (ValueError, TypeError, OverflowError) as error:
        raise TraceError(f"{path}:{number}: {form.columns[0]} {when!r} is no time; mend or remove the line") from error
    lengths = (_tokens(prompt, form.columns[1], path, number), _tokens(output, form.columns[2], path, number))
    session = data.get(form.session, "").strip() if form.session else ""
    blocks = _blocks(data.get(form.blocks), form.blocks, path, number) if form.blocks else ()
    return Request(arrival, *lengths, session, blocks)


def _blocks(value: Any, column: str, path: str, number: int) -> tuple[int, ...]:
    """The names of a prompt's blocks; none where the trace has none."""
    if value is None:
        return ()
    if not isinstance(value, list) or not all(type(block) is int for block in value):
        raise TraceError(f"{path}:{number}: {column} is no list of whole numbers; mend or remove the line")
    return tuple(value)


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
