"""Cargo: with the message that brought it, in queues and bags, or beside the cell that was stored."""

from engine.cargo import Hold
from protocol.types import BOOL, Range, Sequence
from protocol.variable import Channel, Lock, Variable, channel, locked

NUMBER = Range(0, 3)
QUEUE: Channel = channel("queue", NUMBER, 3)
BAG: Channel = channel("bag", NUMBER, 3, kind="bag")
LIST: Variable = locked("list", Sequence(NUMBER, 3), Lock("lock"))
FLAG: Variable = locked("flag", BOOL, Lock("other_lock"))


def test_messages_of_a_queue_keep_their_own() -> None:
    hold = Hold()
    hold.move((), [("q", QUEUE, (), (1,))], "one")
    hold.move((), [("q", QUEUE, (1,), (1, 1))], None)
    hold.move((), [("q", QUEUE, (1, 1), (1, 1, 1))], "three")
    assert hold.move(["q"], [("f", FLAG, False, True)], None) == "one"
    found = [hold.move(["q"], [("q", QUEUE, (1,) * n, (1,) * (n - 1))], None) for n in (3, 2, 1)]
    assert found == ["one", None, "three"]


def test_messages_of_a_bag_are_told_apart_by_what_they_say() -> None:
    hold = Hold()
    hold.move((), [("b", BAG, (0, 0, 0, 0), (0, 1, 0, 0))], "first")
    hold.move((), [("b", BAG, (0, 1, 0, 0), (0, 1, 1, 0))], "other")
    hold.move((), [("b", BAG, (0, 1, 1, 0), (0, 2, 1, 0))], "second")
    assert hold.move((), [("b", BAG, (0, 2, 1, 0), (0, 2, 0, 0))], None) == "other"
    assert hold.move((), [("b", BAG, (0, 2, 0, 0), (0, 1, 0, 0))], None) == "first"
    assert hold.move((), [("b", BAG, (0, 1, 0, 0), (0, 0, 0, 0))], None) == "second"


def test_what_was_dropped_takes_its_cargo_along() -> None:
    hold = Hold()
    hold.move((), [("b", BAG, (0, 0, 0, 0), (0, 0, 0, 0))], "dropped")
    hold.move((), [("b", BAG, (0, 0, 0, 0), (1, 0, 0, 0))], "sent")
    assert hold.move((), [("b", BAG, (1, 0, 0, 0), (0, 0, 0, 0))], None) == "sent"


def test_elements_of_a_list_are_taken_from_anywhere() -> None:
    hold = Hold()
    for before, after in (((), (1,)), ((1,), (1, 2)), ((1, 2), (3, 1, 2))):
        hold.move((), [("l", LIST, before, after)], after)
    assert hold.move((), [("l", LIST, (3, 1, 2), (3, 2))], None) == (1,)
    assert hold.move((), [("l", LIST, (3, 2), (3,))], None) == (1, 2)
    assert hold.move((), [("l", LIST, (3,), ())], None) == (3, 1, 2)


def test_messages_that_move_on_in_a_list_keep_their_own_and_one_put_among_them_brings_the_rows() -> None:
    hold = Hold()
    for before, after in (((), (1,)), ((1,), (1, 2)), ((1, 2), (1, 2, 3))):
        hold.move((), [("l", LIST, before, after)], after[-1])
    hold.move((), [("l", LIST, (1, 2, 3), (0, 1, 3))], None)  # 2 is out, and 0 is in front
    found = [hold.move((), [("l", LIST, before, before[1:])], None) for before in ((0, 1, 3), (1, 3), (3,))]
    assert found == [None, 1, 3]


def test_a_message_that_was_there_from_the_start_brings_nothing() -> None:
    assert Hold().move((), [("q", QUEUE, (1, 2), (2,))], None) is None


def test_cargo_beside_a_cell_stays_until_the_next_store() -> None:
    hold = Hold()
    hold.move((), [("f", FLAG, False, True)], "old")
    hold.move((), [("g", FLAG, False, True)], "young")
    assert hold.move(["f"], [], None) == "old" and hold.move(["g", "f"], [], None) == "young"
    assert hold.move(["f"], [("f", FLAG, True, True)], None) == "old"
    assert hold.move(["f"], [], None) is None


def test_a_row_that_sends_leaves_nothing_beside_its_cells() -> None:
    hold = Hold()
    hold.move((), [("f", FLAG, False, True), ("q", QUEUE, (), (1,))], "sent")
    assert hold.move(["f"], [], None) is None
    assert hold.move(["f"], [("q", QUEUE, (1,), ())], None) == "sent"
