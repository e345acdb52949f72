"""Dining philosophers: everybody takes the left fork first and deadlocks; when the last takes the other first, nobody does."""

from enum import IntEnum

from protocol import BOOL, Index, Machine, Row, System, deadlock, if_else, me, register, sometimes


class Philosopher(IntEnum):
    THINKING, HOLDING_ONE, EATING = range(3)


def build(philosophers: int = 5, ordered: bool = False) -> System:
    """14, 82, 1,154, 6,726, 39,202 states for 3, 5, 8, 10, 12; ordered: 12, 70, 5,741 for 3, 5, 10."""
    seats = Index("seat", philosophers)
    taken = register("taken", BOOL, over=seats)
    own, p = me(seats), Philosopher
    left, right = own, if_else(own == philosophers - 1, 0, own + 1)
    last = own == philosophers - 1
    first, second = (if_else(last, right, left), if_else(last, left, right)) if ordered else (left, right)
    take = {"actor": "philosopher", "assume_atomic": "the published model takes and releases forks in one step"}
    # fmt: off
    philosopher = Machine("philosopher", p, [
        Row("take_first",  p.THINKING,    p.HOLDING_ONE, ~taken[first],  [taken[first].set(True)], **take),
        Row("take_second", p.HOLDING_ONE, p.EATING,      ~taken[second], [taken[second].set(True)], **take),
        Row("put_back",    p.EATING,      p.THINKING,    True,           [taken[left].set(False), taken[right].set(False)], **take),
    ], copies=seats)
    # fmt: on
    return System("dining", [philosopher], [deadlock(), sometimes("some_philosopher_eats", philosopher.at(0) == p.EATING)])
