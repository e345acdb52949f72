"""The log of a process that was killed: no half row, and the row that was seen by others and that the process had no time to write down."""

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from engine.driver import Driver
from engine.runtime.journal import Journal, Shorthand
from engine.runtime.placement import Composition
from engine.runtime.queue_server import Commit
from engine.runtime.written import WrittenLog
from engine.step import Step
from engine.store import Store

from .small_system import build

SYSTEM = build()
GIVER = [("giver", "choose_number"), ("giver", "give")]


def steps() -> list[Step]:
    """The giver's two rows."""
    driver = Driver(SYSTEM, Store(SYSTEM))
    giver = driver.copies["giver", ()]
    return [driver.fire(giver, list(driver.enabled(giver))[-1]) for _ in range(2)]


CHOOSE, GIVE = steps()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[WrittenLog]:
    made = WrittenLog(Composition("tests.engine.small_system:build"), SYSTEM, tmp_path / "log")
    yield made
    made.close()


def journal(log: WrittenLog) -> Journal:
    """That of a life of the process that begins now."""
    return Journal(Shorthand(SYSTEM), part(log))


def part(log: WrittenLog) -> IO[bytes]:
    """Where that life writes."""
    file = log.begin("process")
    assert file is not None
    return file.stream


def writes(journal: Journal, *fired: Step) -> None:
    """The process fires these rows, and lets a message go."""
    for step in fired:
        journal.write(step, 1.0, 2.0)
    journal.flush()


def gave(fired: int) -> Commit:
    """The giver's second row as it commits, when so many rows were fired before."""
    note = Journal(Shorthand(SYSTEM), io.BytesIO()).note("giver", fired, GIVE.instance, GIVE.loads, GIVE.stores, 1.0)
    return Commit({}, {}, None, note)


def events(log: WrittenLog) -> list[Any]:
    """The log as it stands, without its last line."""
    log.merge()
    assert log.target is not None
    return [json.loads(line) for line in Path(log.target).read_text().splitlines()][:-1]


def rows(log: WrittenLog) -> list[tuple[str, str]]:
    return [(event["copy"], event["event"]) for event in events(log)]


def test_rows_are_told_as_the_steps_tell_them(log: WrittenLog) -> None:
    writes(journal(log), CHOOSE, GIVE)
    for event, step in zip(events(log), (CHOOSE, GIVE), strict=True):
        assert event == json.loads(f'{{"t": 2.0, "began": 1.0, "process": "process", {step.told}}}')


def test_rows_are_kept_until_a_message_leaves(log: WrittenLog) -> None:
    kept = journal(log)
    kept.write(CHOOSE, 1.0, 2.0)
    assert rows(log) == []
    kept.flush()
    assert rows(log) == GIVER[:1]


def test_the_last_row_is_added_when_it_is_missing(log: WrittenLog) -> None:
    writes(journal(log), CHOOSE)
    log.complete("process", [Commit({}, {}), gave(1)])
    first, second = events(log)
    assert (first["copy"], first["event"]) == GIVER[0] and (second["copy"], second["event"], second["process"]) == (*GIVER[1], "process")
    assert second["reads"] == {"box": "<>"} and second["writes"] == {"box": "<2>", "box_filled": "True"} and second["began"] == 1.0 < second["t"]


@pytest.mark.parametrize("last", [[], [gave(0)], [Commit({}, {}, None, None)]])
def test_nothing_is_added_when_the_row_is_there_or_nothing_was_committed(log: WrittenLog, last: list[Commit]) -> None:
    writes(journal(log), CHOOSE)
    log.complete("process", last)
    assert rows(log) == GIVER[:1]


def test_a_half_piece_is_cut_off_and_a_later_life_goes_on_behind_it(log: WrittenLog) -> None:
    whole = journal(log)
    writes(whole, CHOOSE)
    stream = part(log)
    size = os.fstat(stream.fileno()).st_size
    writes(whole, CHOOSE, GIVE)
    stream.truncate(size + 20)
    log.complete("process", [])
    assert os.fstat(stream.fileno()).st_size == size
    writes(journal(log), CHOOSE, GIVE)
    assert rows(log) == [GIVER[0], *GIVER]


def test_rows_of_an_earlier_life_do_not_count(log: WrittenLog) -> None:
    writes(journal(log), CHOOSE)
    log.begin("process")
    log.complete("process", [gave(0)])
    assert rows(log) == GIVER
