"""Dining philosophers: the classical deadlock, and the ordered variant that has none.

A fork is a channel with one place: taking the fork fills it, and who finds it full waits.
"""

from enum import IntEnum

from protocol import Index, Machine, Range, Row, System, channel, deadlock, if_else, me


class Philosopher(IntEnum):
    THINKING, HOLDING, EATING = range(3)


def build(philosophers: int = 5, ordered: bool = False) -> System:
    """14, 82, 1,154, 6,726, 39,202 states for 3, 5, 8, 10, 12; ordered 12, 70, 5,741 for 3, 5, 10.

    One deadlock, at depth `philosophers`. `ordered`: the last philosopher takes the other fork first.
    """
    seats = Index("seat", philosophers)
    fork = channel("fork", Range(0, 0), 1, over=seats)
    left, right = me(seats), if_else(me(seats) == philosophers - 1, 0, me(seats) + 1)
    if ordered:
        last = me(seats) == philosophers - 1
        left, right = if_else(last, 0, me(seats)), if_else(last, philosophers - 1, me(seats) + 1)
    p, why = Philosopher, "the published model lays both forks down at once"
    # fmt: off
    philosopher = Machine("philosopher", p, [
        Row("take_one",   p.THINKING, p.HOLDING,  True, [fork[left].send(0)],                            "philosopher"),
        Row("take_other", p.HOLDING,  p.EATING,   True, [fork[right].send(0)],                           "philosopher"),
        Row("lay_down",   p.EATING,   p.THINKING, True, [fork[left].receive(), fork[right].receive()],   "philosopher", assume_atomic=why),
    ], copies=seats)
    # fmt: on
    return System("dining", [philosopher], [deadlock()])
