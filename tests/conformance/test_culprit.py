"""What was done to a log that does not conform is told: what is missing, again, exchanged or forged. And the search for an order leaves none out."""

from __future__ import annotations

import random
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from checker.conform import conform
from checker.event_log import Event
from checker.log_order import Ordering
from checker.logged_rows import LoggedRows, State

from .test_conform import EVENTS, LINES, SYSTEM, written

SAMPLE = range(30, len(EVENTS) - 30, 40)
READING = [k for k in SAMPLE if EVENTS[k]["reads"]]


def told(tmp_path: Path, events: list[dict[str, Any]], last: str = LINES[-1]) -> tuple[int | None, str]:
    found = conform(written(tmp_path, events, last))
    return found.line, found.reason


def name(k: int) -> str:
    return f"{EVENTS[k]['copy']}.{EVENTS[k]['event']}"


@pytest.mark.parametrize("k", SAMPLE)
def test_what_was_dropped_is_named(k: int, tmp_path: Path) -> None:
    line, reason = told(tmp_path, EVENTS[:k] + EVENTS[k + 1 :])
    assert line is not None and line > k
    assert f"before this line a row is missing: {name(k)}" in reason and "rows by the last line" in reason


@pytest.mark.parametrize("k", SAMPLE)
def test_what_is_there_twice_is_named(k: int, tmp_path: Path) -> None:
    line, reason = told(tmp_path, EVENTS[: k + 1] + EVENTS[k:])
    assert line == k + 2 and f"it is line {k + 1} again" in reason


@pytest.mark.parametrize("k", READING)
def test_a_forged_value_is_told_from_a_row_that_is_missing(k: int, tmp_path: Path) -> None:
    cell = min(EVENTS[k]["reads"])
    line, reason = told(tmp_path, [e | {"reads": e["reads"] | {cell: "?"}} if n == k else e for n, e in enumerate(EVENTS)])
    assert line == k + 1 and f"reads {cell} = ?" in reason and "forged" in reason


@pytest.mark.parametrize("k", SAMPLE)
def test_for_a_forged_row_the_one_that_fits_is_named(k: int, tmp_path: Path) -> None:
    other = next(e for e in EVENTS if e["copy"] == EVENTS[k]["copy"] and e["event"] != EVENTS[k]["event"])
    line, reason = told(tmp_path, [e | {"event": other["event"]} if n == k else e for n, e in enumerate(EVENTS)])
    assert line == k + 1 and f"what fits here is {name(k)}" in reason


def test_exchanged_lines_are_both_named(tmp_path: Path) -> None:
    k = next(k for k in SAMPLE if EVENTS[k]["t"] < EVENTS[k + 9]["t"])
    events = list(EVENTS)
    events[k], events[k + 9] = events[k + 9], events[k]
    line, reason = told(tmp_path, events)
    assert line == k + 1 and f"exchanged with line {k + 10}, {name(k)}" in reason


def test_exchanged_rows_are_both_named(tmp_path: Path) -> None:
    a = next(k for k, e in enumerate(EVENTS) if e["event"] == "announce")
    b = next(k for k in range(a + 1, len(EVENTS)) if EVENTS[k]["copy"] == EVENTS[a]["copy"])
    rows = [{f: e[f] for f in ("event", "values", "reads", "writes")} for e in (EVENTS[b], EVENTS[a])]
    line, reason = told(tmp_path, [e | rows[(a, b).index(n)] if n in (a, b) else e for n, e in enumerate(EVENTS)])
    assert line == a + 1 and f"exchanged with line {b + 1}, {name(a)}" in reason


def test_names_that_nothing_has_and_a_wrong_process_are_told_at_once(tmp_path: Path) -> None:
    def forged(field: str, value: object) -> str:
        return told(tmp_path, [e | {field: value} if n == 40 else e for n, e in enumerate(EVENTS)])[1]

    assert "there is no such copy" in forged("copy", "worker[9]")
    assert "there is no such row" in forged("event", "sleep")
    assert "other values than the row's choices" in forged("values", {"request": "3"})
    assert "fires in the process nobody" in forged("process", "nobody")


def test_a_row_that_changes_nothing_is_missed_all_the_same(tmp_path: Path) -> None:
    line, reason = told(tmp_path, EVENTS, LINES[-1].replace('"gate": ', '"gate": 1'))
    assert line == len(LINES) and "behaviour without what is missing" in reason


def all_orders(events: list[Event]) -> bool:
    """Whether any order that keeps each process's and the brackets is a behaviour: all of them are tried."""
    state = State(SYSTEM)
    rows = LoggedRows(SYSTEM, state)
    failed = set()

    def go_on(left: tuple[int, ...]) -> bool:
        if not left:
            return True
        if (left, key := tuple(state.cells)) in failed:
            return False
        first_end = min(events[k].ended for k in left)
        heads = {events[k].process: k for k in reversed(left)}.values()
        for k in heads:
            for row in rows.of(events[k]) if events[k].began <= first_end else ():
                outcome = row.fits(events[k])
                if outcome is not None and outcome.writes is not None:
                    before = list(state.cells)
                    for place, value in outcome.writes:
                        state.cells[place] = value
                    if go_on(tuple(other for other in left if other != k)):
                        return True
                    state.cells[:] = before
        failed.add((left, key))
        return False

    return go_on(tuple(range(len(events))))


@pytest.mark.parametrize("seed", range(40))
def test_no_order_is_left_out(seed: int) -> None:
    """Of short logs with wide brackets and a fault, those are accepted of which some order is a behaviour."""
    rng = random.Random(seed)
    events = []
    for number, fields in enumerate(islice(EVENTS, rng.randint(12, 24))):
        events.append(Event.of(fields | {"began": max(0.0, number - rng.choice([0.5, 2.5, 6.5])), "t": float(number)}))
    a, b = sorted(rng.sample(range(len(events)), 2))
    if seed % 4 == 0:
        events[a], events[b] = (of._replace(ended=at.ended, began=at.began) for of, at in ((events[b], events[a]), (events[a], events[b])))
    elif seed % 4 == 1:
        events = [e for k, e in enumerate(events) if k != a]
    elif seed % 4 == 2:
        events[a] = events[a]._replace(reads=events[b].reads)
    state = State(SYSTEM)
    answer = all_orders(events)
    assert (not Ordering(LoggedRows(SYSTEM, state), state, events).run()) == answer
    ANSWERS[answer] += 1


ANSWERS = Counter[bool]()
"""What `test_no_order_is_left_out` was answered, where it has run."""


def test_both_answers_are_given() -> None:
    assert not ANSWERS or min(ANSWERS[True], ANSWERS[False]) > 8
