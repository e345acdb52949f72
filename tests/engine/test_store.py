"""Cells per medium: local, shared memory, and the queue server's sections."""

import threading
from collections.abc import Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import pytest

from engine.driver import Driver
from engine.queue_server import Client, serve
from engine.store import Registers, Store, initial_sections, section_of
from protocol.system import System
from protocol.variable import Variable

from .small_system import Taker, build


@pytest.fixture
def registers() -> Iterator[Registers]:
    made = Registers.create(build())
    yield made
    made.close()
    made.unlink()


@pytest.fixture
def connections() -> Iterator[list[Connection]]:
    """Two client ends of a queue server that runs in a thread, and ends when both are closed."""
    pairs = [Pipe() for _ in range(2)]
    server = threading.Thread(target=serve, args=(initial_sections(build()), [theirs for theirs, _ in pairs]))
    server.start()
    yield [ours for _, ours in pairs]
    for _, ours in pairs:
        ours.close()
    server.join()


def take_turns(driver: Driver, fires: dict[str, tuple[int, ...]]) -> list[str]:
    """Fire what is enabled, copy after copy, until nothing is; decided rows only with the values given."""
    fired = []
    progress = True
    while progress:
        progress = False
        for copy in driver.copies.values():
            for instance in list(driver.enabled(copy)):
                if instance.values == fires.get(instance.action.row.event, ()) and driver.attempt(copy, instance):
                    fired.append(str(instance))
                    progress = True
                    break
    return fired


def test_a_variable_lives_where_its_medium_says() -> None:
    system = build()
    homes = {v.name: section_of(v) for v in system.variables}
    assert homes["box"] == homes["box_taken"] == "box_lock"
    assert homes["meeting"] == homes["meeting.waiting.taker"] == "meeting"
    assert homes["box_filled"] is homes["giver_number"] is None


def test_a_register_is_seen_by_whoever_attaches(registers: Registers) -> None:
    system = build()
    filled: Variable = system.variable("box_filled")
    other = Registers.attach(system, registers.name)
    assert other.load(filled, 0) is False
    registers.store(filled, 0, True)
    assert other.load(filled, 0) is True
    other.close()


def test_a_section_belongs_to_one_client_until_it_closes_it(connections: list[Connection]) -> None:
    first, second = Client(connections[0]), Client(connections[1])
    cells, cargo = first.open("box_lock")
    assert cells[("box", 0)] == () and cargo is None
    connections[1].send(("open", "box_lock"))
    first.look("meeting")
    first.look("meeting")
    assert not connections[1].poll()
    first.close("box_lock", {("box", 0): (1,)}, "contents")
    cells, cargo = connections[1].recv()
    assert cells[("box", 0)] == (1,) and cargo == "contents"
    second.close("box_lock", {}, None)


def test_the_same_rows_fire_over_every_medium(registers: Registers, connections: list[Connection]) -> None:
    def finish(system: System, store: Store) -> tuple[set[str], list[int]]:
        driver = Driver(system, store)
        fired = take_turns(driver, {"choose_number": (2,)})
        return set(fired), [int(c.state) for c in driver.copies.values()]

    served = build()
    over_media = finish(served, Store(served, registers, Client(connections[0])))
    local = build()
    assert over_media == finish(local, Store(local))
    assert "taker[1].take" in over_media[0] and Taker.DONE in over_media[1]


def test_an_abandoned_row_writes_nothing_and_lets_go(connections: list[Connection]) -> None:
    system = build()
    store = Store(system, None, Client(connections[0]))
    take = next(a for a in system.actions if a.row.event == "take")
    store.begin(take)
    store.abandon()
    cells, _ = Client(connections[1]).open("box_lock")
    assert cells[("box", 0)] == ()
    Client(connections[1]).close("box_lock", {}, None)
