"""A stand-in system with every medium that the engine serves: a giver, two takers, a lock, a register and a barrier."""

from enum import IntEnum

from protocol import BOOL, Index, Lock, Machine, Range, Row, Sequence, System, barrier, choice, locked, me, passed, private, register

RANK = Index("rank", 2)


class Giver(IntEnum):
    CHOOSING, GIVING, WAITING = range(3)


class Taker(IntEnum):
    TAKING, MEETING, DONE = range(3)


def build() -> System:
    """The giver chooses a number and puts it; both takers read it and meet; the register says that it is there."""
    lock = Lock("box_lock")
    number = choice("number", Range(0, 2))
    chosen = private("giver_number", Range(0, 2))
    box = locked("box", Sequence(Range(0, 2), 1), lock)
    taken = locked("box_taken", BOOL, lock, over=RANK)
    filled = register("box_filled", BOOL)
    got = private("taker_number", Range(0, 2), over=RANK)
    meeting = barrier("meeting", 2, kind="sense")
    own = me(RANK)
    giver = Machine(
        "giver",
        Giver,
        [
            Row("choose_number", Giver.CHOOSING, Giver.GIVING, True, [chosen.set(number)], "giver", choose=[number], decided="decided"),
            Row("give", Giver.GIVING, Giver.WAITING, box.empty, [box.push(chosen), filled.set(True)], "giver", under=lock),
        ],
        final=Giver.WAITING,
    )
    mine = [got[own].set(box.head), taken[own].set(True)]
    taker = Machine(
        "taker",
        Taker,
        [
            Row("take", Taker.TAKING, Taker.MEETING, ~box.empty & ~taken[own], mine, "taker", under=lock),
            Row("meet", Taker.MEETING, Taker.DONE, True, [meeting.arrive()], "taker"),
            Row("start_over", Taker.DONE, Taker.TAKING, passed(meeting) & filled & (own == 0), [], "taker"),
        ],
        copies=RANK,
        final=Taker.DONE,
    )
    return System("small", [giver, taker])


__all__ = ["RANK", "Giver", "Taker", "build"]
