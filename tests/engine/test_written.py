"""The log of a process that was killed: no half line, and the row that the server knows and the process had no time to write."""

import json
from collections.abc import Iterator

import pytest

from engine.queue_server import Commit
from engine.runtime.directory import Directory
from engine.runtime.live_store import Note
from engine.runtime.placement import Composition, Placement
from engine.runtime.written import Logs

from .small_system import build

SYSTEM = build()
BOX = (SYSTEM.position[id(SYSTEM.variable("box"))], 0)
FIRST = '{"copy": "giver", "event": "choose_number"}\n'


@pytest.fixture
def logs() -> Iterator[Logs]:
    placement = Placement({"": Composition("tests.engine.small_system:build")}, ())
    made = Logs(placement, Directory({"": SYSTEM}), {"": "nowhere"})
    yield made
    made.close()


def gave(fired: int) -> Commit:
    """The giver's second row, when so many rows were fired before."""
    return Commit({BOX: ()}, {BOX: (2,)}, None, Note("", "giver", "give", {}, 1.0, fired).packed())


def lines(logs: Logs) -> list[str]:
    """What the part holds, read from its beginning."""
    stream = logs.begin("process")[""].stream
    stream.seek(0)
    return stream.readlines()


def test_the_last_row_is_added_when_its_line_is_missing(logs: Logs) -> None:
    part = logs.begin("process")[""].stream
    part.write(FIRST)
    part.flush()
    logs.complete("process", gave(1))
    first, second = lines(logs)
    event = json.loads(second)
    assert first == FIRST and (event["copy"], event["event"], event["process"]) == ("giver", "give", "process")
    assert event["reads"] == {"box": "<>"} and event["writes"] == {"box": "<2>"} and event["began"] == 1.0 <= event["t"]


@pytest.mark.parametrize("last", [None, gave(0), Commit({}, {}, None, None)])
def test_nothing_is_added_when_the_line_is_there_or_nothing_was_committed(logs: Logs, last: Commit | None) -> None:
    part = logs.begin("process")[""].stream
    part.write(FIRST)
    part.flush()
    logs.complete("process", last)
    assert lines(logs) == [FIRST]


def test_a_half_line_is_cut_off_and_a_later_life_goes_on_behind_it(logs: Logs) -> None:
    part = logs.begin("process")[""].stream
    part.write(FIRST + '{"copy": "gi')
    part.flush()
    logs.complete("process", None)
    later = logs.begin("process")[""].stream
    later.write('{"copy": "giver"}\n')
    later.flush()
    assert lines(logs) == [FIRST, '{"copy": "giver"}\n']


def test_rows_of_an_earlier_life_do_not_count(logs: Logs) -> None:
    part = logs.begin("process")[""].stream
    part.write(FIRST)
    part.flush()
    logs.begin("process")
    logs.complete("process", gave(0))
    assert [json.loads(line)["event"] for line in lines(logs)] == ["choose_number", "give"]
