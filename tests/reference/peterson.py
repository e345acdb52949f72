"""Peterson's mutual exclusion of two processes, with five control locations."""

from enum import IntEnum

from protocol import BOOL, Index, Machine, Row, System, always, count, leads_to, me, register


class Process(IntEnum):
    IDLE, WANTING, YIELDING, WAITING, CRITICAL = range(5)


def build(fair: str = "weak") -> System:
    """34 states, 62 transitions, depth 9; mutual exclusion; free of starvation with `fair="weak"`, not with "none"."""
    sides = Index("side", 2)
    flag = register("flag", BOOL, over=sides)
    turn = register("turn", sides)
    own, other = me(sides), 1 - me(sides)
    p, look = Process, "the published model looks at flag and turn in one step"
    # fmt: off
    process = Machine("process", p, [
        Row("want",  p.IDLE,     p.WANTING,  True,                           [],                     "process"),
        Row("raise_flag", p.WANTING, p.YIELDING, True,                       [flag[own].set(True)],  "process"),
        Row("give_way", p.YIELDING, p.WAITING, True,                         [turn.set(other)],      "process"),
        Row("enter", p.WAITING,  p.CRITICAL, ~flag[other] | (turn == own),   [],                     "process", assume_atomic=look),
        Row("leave", p.CRITICAL, p.IDLE,     True,                           [flag[own].set(False)], "process"),
    ], copies=sides, fairness="copy", fair=fair)
    # fmt: on
    return System(
        "peterson",
        [process],
        [
            always("exclusive", count(sides, lambda i: process.at(i) == p.CRITICAL) <= 1),
            leads_to("enters", lambda i: process.at(i) == p.WANTING, lambda i: process.at(i) == p.CRITICAL, each=sides),
        ],
    )
