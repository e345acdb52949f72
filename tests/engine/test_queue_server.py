"""The queue server and the stores over it: rows that commit or are overtaken, news, letters, and what the dead leave."""

import select
from collections.abc import Iterator

import pytest

from engine.driver import Driver
from engine.runtime.directory import Directory
from engine.runtime.heeds import Heeds, Vainly
from engine.runtime.live_store import LiveStore, Stale
from engine.runtime.placement import Letter
from engine.runtime.queue_client import Client
from engine.runtime.queue_server import Commit
from engine.runtime.segment import Segment
from engine.store import Store

from .served import Connect, serving, shared
from .small_system import Giver, Taker, build

SYSTEM = build()
DIRECTORY = Directory(SYSTEM)
ALL = [(number, 0, variable.cells) for number, variable in enumerate(DIRECTORY.variables)]


def key(name: str, place: int = 0) -> tuple[int, int]:
    return SYSTEM.position[id(SYSTEM.variable(name))], place


BOX, TAKEN, FILLED = key("box"), key("box_taken"), key("box_filled")


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


@pytest.fixture
def segment() -> Iterator[Segment]:
    with shared(DIRECTORY) as made:
        yield made


@pytest.fixture
def connect(segment: Segment) -> Iterator[Connect]:
    """Makes clients of a server that ends when the test is over."""
    with serving(DIRECTORY, segment, ALL, lambda client: client.known.update({BOX[0]: {}})) as connect:
        yield connect


def hear(client: Client) -> None:
    """Wait for news."""
    client.await_news()
    assert select.select([client], [], [], 10)[0]
    client.take_news()


def test_a_row_commits_when_what_it_read_is_still_so(connect: Connect) -> None:
    first, second = connect("first"), connect("second")
    assert first.commit(Commit({BOX: ()}, {BOX: (1,)})) == (True, None)
    assert second.commit(Commit({BOX: ()}, {BOX: (2,)})) == (False, None)
    assert second.known[BOX[0]] == {0: (1,)} and second.commit(Commit({BOX: (1,)}, {BOX: (2,)}))[0]
    hear(first)
    assert first.known[BOX[0]] == {0: (2,)} and first.changed == [BOX]


def test_a_register_is_checked_and_stored_with_the_row(connect: Connect, segment: Segment) -> None:
    client = connect("client")
    place = DIRECTORY.memory_place(FILLED)
    assert place is not None
    assert not client.commit(Commit({BOX: (), FILLED: 1}, {BOX: (1,)}))[0]
    assert client.commit(Commit({BOX: (), FILLED: 0}, {BOX: (1,), FILLED: 1}))[0]
    assert segment.cells[place] == 1


def test_who_watches_is_told_once_and_not_of_its_own_stores(connect: Connect) -> None:
    first, second = connect("first"), connect("second")
    second.await_news()
    first.commit(Commit({}, {BOX: (1,)}))
    first.commit(Commit({}, {BOX: (2,)}))
    first.stored((FILLED,))
    first.look(())  # an answer: the server has dealt with everything before
    hear(second)
    second.commit(Commit({}, {}))
    assert second.changed[0] == BOX and set(second.changed) == {BOX, FILLED} and second.known[BOX[0]] == {0: (2,)}
    assert first.changed == []


def test_who_waits_for_some_variables_is_not_roused_by_others(connect: Connect) -> None:
    first, second = connect("first"), connect("second")
    second.await_news(Heeds(1 << FILLED[0]))
    second.look(())  # the server knows what it waits for
    first.commit(Commit({}, {BOX: (1,)}))
    first.look(())
    assert not select.select([second], [], [], 0)[0]
    first.stored((FILLED,))
    first.look(())
    hear(second)
    assert set(second.changed) == {BOX, FILLED}


def test_who_would_look_in_vain_is_not_roused_before_the_cell_has_another_value(connect: Connect, segment: Segment) -> None:
    first, second = connect("first"), connect("second")
    place = DIRECTORY.memory_place(FILLED)
    assert place is not None
    segment.cells[place] = 1
    second.await_news(Heeds(0, frozenset({Vainly(1 << BOX[0] | 1 << FILLED[0], FILLED, (1,))})))
    second.look(())
    first.commit(Commit({}, {BOX: (1,)}))
    first.look(())
    assert not select.select([second], [], [], 0)[0]
    segment.cells[place] = 0
    first.stored((FILLED,))
    first.look(())
    hear(second)
    assert set(second.changed) == {BOX, FILLED}
    second.await_news(Heeds(0, frozenset({Vainly(1 << BOX[0] | 1 << FILLED[0], FILLED, (1,))})))
    first.commit(Commit({}, {BOX: (2,)}))
    hear(second)
    assert second.known[BOX[0]] == {0: (2,)}


def test_what_is_heeded_covers_what_is_heeded_less() -> None:
    vain = Vainly(0b11, FILLED, (1,))
    assert Heeds(0b10, frozenset({vain})).covers(Heeds(0b10)) and Heeds(0b11).covers(Heeds(0, frozenset({vain})))
    assert not Heeds(0, frozenset({vain})).covers(Heeds(0b01)) and not Heeds(0b01).covers(Heeds(0, frozenset({vain})))


def test_who_heeds_more_than_before_hears_what_has_changed_meanwhile(connect: Connect) -> None:
    first, second = connect("first"), connect("second")
    second.await_news(Heeds(1 << FILLED[0]))
    second.look(())
    first.commit(Commit({}, {BOX: (1,)}))
    second.await_news(Heeds(1 << BOX[0]))
    assert select.select([second], [], [], 10)[0]


def test_who_has_a_place_in_the_segment_sees_there_whether_it_has_mail(connect: Connect) -> None:
    first, reader = connect("first"), connect("reader")
    reader.await_news()
    reader.look(())
    first.commit(Commit({}, {BOX: (1,)}))
    assert select.select([reader], [], [], 10)[0]
    heard = reader.heard
    reader.hear()
    assert reader.heard == heard + 1 and reader.known[BOX[0]] == {0: (1,)}
    reader.hear()
    assert reader.heard == heard + 1


def test_who_has_been_overtaken_hears_of_those_cells_from_then_on(connect: Connect) -> None:
    first, second = connect("first"), connect("second")
    second.await_news(Heeds(1 << FILLED[0]))
    first.commit(Commit({}, {BOX: (1,)}))
    assert second.commit(Commit({BOX: ()}, {BOX: (2,)})) == (False, None)
    first.commit(Commit({}, {BOX: (0,)}))
    first.look(())
    assert select.select([second], [], [], 10)[0]
    second.take_news()
    assert second.known[BOX[0]] == {0: (0,)}


def test_enclosed_letters_leave_with_the_next_message(connect: Connect) -> None:
    first, second = connect("first"), connect("second")
    first.enclose("second", "one")
    first.enclose("second", "two")
    assert not select.select([second], [], [], 0)[0]
    first.commit(Commit({}, {BOX: (1,)}))
    hear(second)
    assert second.letters == [Letter("first", "one"), Letter("first", "two")] and second.changed == [BOX]


def test_letters_arrive_in_order_and_one_to_nobody_is_lost(connect: Connect) -> None:
    first, second = connect("first"), connect("second")
    first.post("second", "one")
    first.post("nobody", "lost")
    first.post("second", "two")
    first.look(())
    hear(second)
    assert second.letters == [Letter("first", "one"), Letter("first", "two")]


def test_what_a_dead_process_committed_last_is_known_and_its_place_can_be_taken(connect: Connect) -> None:
    supervisor, dying = connect("supervisor"), connect("process")
    last = Commit({BOX: ()}, {BOX: (1,)}, None, "note")
    dying.commit(last)
    dying.close()
    assert supervisor.bury("process") == last and supervisor.bury("process") is None
    connect("process")
    supervisor.post("process", "hello")
    assert supervisor.commit(Commit({BOX: (1,)}, {}))[0]


def test_the_same_rows_fire_over_the_server_as_locally(connect: Connect, segment: Segment) -> None:
    served = LiveStore(DIRECTORY, segment, connect("client"), recorded=False)
    local = build()
    drivers = Driver(SYSTEM, served), Driver(local, Store(local))
    fired = [sorted(take_turns(driver, {"choose_number": (2,)})) for driver in drivers]
    assert fired[0] == fired[1] and "taker[1].take" in fired[0]
    assert all(d.copies["taker", (1,)].state is Taker.DONE for d in drivers)


def test_a_row_that_was_overtaken_changes_nothing_and_can_be_tried_again(connect: Connect, segment: Segment) -> None:
    client, other = connect("client"), connect("other")
    store = LiveStore(DIRECTORY, segment, client, recorded=False)
    driver = Driver(SYSTEM, store)
    giver, taker = driver.copies["giver", ()], driver.copies["taker", (0,)]
    for event in ("choose_number", "give"):
        assert driver.attempt(giver, next(i for i in driver.enabled(giver) if i.action.row.event == event))
    assert giver.state is Giver.WAITING
    take = next(iter(driver.enabled(taker)))
    other.commit(Commit({}, {TAKEN: True, key("box_taken", 1): True}))
    with pytest.raises(Stale):
        driver.attempt(taker, take)
    assert taker.state is Taker.TAKING and driver.attempt(taker, take) is None
