"""What small machines of tests are made of: four control states, and an index of two."""

from enum import IntEnum

from protocol import Index


class S(IntEnum):
    A, B, C, D = range(4)


A, B, C, D = S
PAIR = Index("pair", 2)
