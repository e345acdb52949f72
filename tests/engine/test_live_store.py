"""Rows that commit in their own process: they belong at the moment up to which it has heard of everything."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import Any

import pytest

from engine.driver import Driver
from engine.runtime.directory import Directory, Key
from engine.runtime.live_store import LiveStore, Stale, done
from engine.runtime.queue_server import Commit
from engine.runtime.segment import INTENT_BYTES, Segment
from engine.step import Step
from protocol import BOOL, DefinitionError, Lock, Machine, Process, Range, Row, System, locked, private, register

from .served import Connect, serving, shared


class Reader(IntEnum):
    READING = 0


def build() -> System:
    """A process that may die reads a locked box, and a register; what it has read is its own."""
    process = Process("reader")
    number = Range(0, 2)
    lock = Lock("box_lock")
    box = locked("box", number, lock)
    flag, read = register("flag", BOOL), private("read", number)
    rows = [
        Row("look", Reader.READING, Reader.READING, process.is_alive(), [read.set(box)], "reader", under=lock),
        Row("see_flag", Reader.READING, Reader.READING, flag, [read.set(0)], "reader"),
        Row("raise_flag", Reader.READING, Reader.READING, True, [flag.set(True)], "reader"),
        Row("forget", Reader.READING, Reader.READING, True, [read.set(0)], "reader"),
    ]
    return System("small", [Machine("reader", Reader, rows, process=process, final=Reader.READING)])


SYSTEM = build()
FLAG_NUMBER = next(k for k, v in enumerate(SYSTEM.variables) if v.name == "flag")
DIRECTORY = Directory(SYSTEM, stored_by_one=frozenset({FLAG_NUMBER}))


def key(name: str) -> Key:
    return next(k for k, v in enumerate(DIRECTORY.variables) if v.name == name), 0


BOX, FLAG, ALIVE = key("box"), key("flag"), key("reader.alive")


@pytest.fixture
def segment() -> Iterator[Segment]:
    with shared(DIRECTORY) as made:
        yield made


@pytest.fixture
def connect(segment: Segment) -> Iterator[Connect]:
    with serving(DIRECTORY, segment, [(BOX[0], 0, 1)], lambda client: client.known.update({BOX[0]: {0: 0}})) as connect:
        yield connect


class Station:
    """The reader's process, beside another one that stores to the box."""

    def __init__(self, connect: Connect, segment: Segment, *, own: tuple[Key, ...] = (ALIVE,), finds: bool = False):
        self.other, self.client = connect("other"), connect("reader")
        self.store = LiveStore(DIRECTORY, segment, self.client, recorded=False, own=own)
        self.store.finds = finds
        self._driver = Driver(SYSTEM, self.store)

    def fire(self, event: str) -> Step | None:
        copy = self._driver.copies["reader", ()]
        return self._driver.attempt(copy, next(i for i in self._driver.enabled(copy) if i.action.row.event == event))

    def put(self, value: int) -> None:
        """The other stores to the box, and the reader does not take notice."""
        assert self.other.commit(Commit({}, {BOX: value}))[0]


def read(step: Step | None) -> Any:
    assert step is not None
    return step.left("read")


def test_a_row_that_stores_at_home_belongs_at_the_moment_of_the_last_message(connect: Connect, segment: Segment) -> None:
    process = Station(connect, segment)
    process.put(1)
    assert read(process.fire("look")) == 0
    assert process.store.since == process.client.heard_at > 0


def test_a_row_that_touches_only_what_is_at_home_may_come_before_one_that_belongs_earlier(connect: Connect, segment: Segment) -> None:
    """Of another process a row may lie between the two, which the second must not come behind."""
    process = Station(connect, segment)
    assert process.fire("forget") is not None
    heard = process.store.since
    assert process.fire("look") is not None and process.store.since == heard == process.client.heard_at
    segment.cells[DIRECTORY.memory_place(FLAG)] = 1
    assert process.fire("see_flag") is not None and process.fire("forget") is not None and process.store.since is None


def test_what_was_heard_is_what_is_read(connect: Connect, segment: Segment) -> None:
    process = Station(connect, segment)
    process.put(1)
    process.client.look(())
    assert read(process.fire("look")) == 1


def test_behind_a_register_the_server_is_asked(connect: Connect, segment: Segment) -> None:
    process = Station(connect, segment)
    process.put(1)
    segment.cells[DIRECTORY.memory_place(FLAG)] = 1  # may have been stored because of the box
    assert process.fire("see_flag") is not None and process.store.since is None
    with pytest.raises(Stale):
        process.fire("look")
    assert read(process.fire("look")) == 1


def test_somebody_elses_flag_is_a_register_like_any_other(connect: Connect, segment: Segment) -> None:
    process = Station(connect, segment, own=())
    process.put(1)
    with pytest.raises(Stale):
        process.fire("look")


def test_who_wants_the_cargo_asks_the_server(connect: Connect, segment: Segment) -> None:
    process = Station(connect, segment, finds=True)
    process.put(1)
    with pytest.raises(Stale):
        process.fire("look")
    step = process.fire("look")
    assert read(step) == 1 and step is not None and step.cargo is None


def test_cargo_that_was_not_asked_for_is_not_nothing(connect: Connect, segment: Segment) -> None:
    step = Station(connect, segment).fire("look")
    assert step is not None
    with pytest.raises(DefinitionError, match="reader.look has looked for no cargo"):
        _ = step.cargo


class MortalStation(Station):
    """The reader's process, whose rows are to be known when it dies. `happened`: what it did before others could see its row."""

    def __init__(self, connect: Connect, segment: Segment, note: bytes = b"note"):
        super().__init__(connect, segment)
        self.store.recorded, self.store.note = True, lambda loads, stores: note
        self.store.intend, self.happened = self._intend, list[str]()
        self._segment = segment
        self.client.before_sending = [lambda: self.happened.append("journal")]

    def _intend(self, intent: bytes) -> bool:
        self.happened.append("intent")
        assert not self._segment.cells[DIRECTORY.memory_place(FLAG)]
        return self._segment.intend(0, intent)

    def died(self) -> tuple[Commit | None, Commit | None]:
        """It is killed: the last row that the server knows of, and the one that it has left in shared memory."""
        return self.other.bury("reader"), done(self._segment.intent(0), self._segment, DIRECTORY)


def test_a_mortal_process_leaves_its_intent_before_it_stores_to_a_register(connect: Connect, segment: Segment) -> None:
    process = MortalStation(connect, segment)
    assert process.fire("raise_flag") is not None and segment.cells[DIRECTORY.memory_place(FLAG)]
    assert process.happened == ["journal", "intent"]
    server, left = process.died()
    assert server is None and left is not None and left.writes == {FLAG: 1} and left.note == b"note"


def test_an_intent_that_was_not_carried_out_is_no_row(connect: Connect, segment: Segment) -> None:
    process = MortalStation(connect, segment)
    process.fire("raise_flag")
    segment.cells[DIRECTORY.memory_place(FLAG)] = 0  # it was killed a moment before
    assert process.died() == (None, None)
    segment.intend(0, b"")
    assert done(segment.intent(0), segment, DIRECTORY) is None


def test_a_row_too_long_for_an_intent_is_the_servers(connect: Connect, segment: Segment) -> None:
    process = MortalStation(connect, segment, note=bytes(INTENT_BYTES))
    assert process.fire("raise_flag") is not None and segment.cells[DIRECTORY.memory_place(FLAG)]
    server, left = process.died()
    assert server is not None and server.writes == {FLAG: 1} and left is None
