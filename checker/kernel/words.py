"""Words and numbers that the parts of the kernel agree on: shifts and masks, the codes with which a program ends, counters, types."""

from __future__ import annotations

import numpy as np
from numba import types

U = np.uint64
ZERO, ONE = U(0), U(1)
LOW16, LOW24, LOW32, LOW8 = U(0xFFFF), U(0xFFFFFF), U(0xFFFFFFFF), U(0xFF)
S16, S24, S32, S40, S48, S58, S63 = U(16), U(24), U(32), U(40), U(48), U(58), U(63)
MARK = U(1 << 63)
MIX_A, MIX_B, S29 = U(0x9E3779B97F4A7C15), U(0xBF58476D1CE4E5B9), U(29)
LOWEST_BIT = U(0x03F79D71B4CB0A89)
BIT_PLACE = np.zeros(64, dtype=np.int64)
for _k in range(64):
    BIT_PLACE[((0x03F79D71B4CB0A89 << _k) & 0xFFFFFFFFFFFFFFFF) >> 58] = _k

DISABLED, GUARD_ERROR, RANGE, DOUBLE = 1, 2, 3, 4
WHEN_FALSE, WHEN_TRUE, TOLERANT = 0, 1, 2
"""What a watched predicate waits for; a tolerant one for false, and an error of it is no event."""

# Positions in `counters`.
HEAD, TAIL, TRANSITIONS, DEPTH, LEVEL_END, DEADLOCK = range(6)
RANGE_STATE, RANGE_INSTANCE, DOUBLE_STATE, DOUBLE_INSTANCE = range(6, 10)
RIVAL_STATE, RIVAL_INSTANCE, PREDICATE_STATE, PREDICATE_NUMBER, SINK, FOUND = range(10, 16)
COUNTERS = 16

BLOCK = 256
"""States expanded before their successors are resolved."""

WORDS = types.Array(types.uint64, 1, "C")
NUMBERS = types.Array(types.int64, 1, "C")
PAIRS = types.Array(types.int64, 2, "C")
SMALL = types.Array(types.uint8, 1, "C")
SHORT = types.Array(types.int32, 1, "C")
TINY = types.Array(types.int8, 1, "C")
LINKS = types.Array(types.uint32, 1, "C")
SETS = types.Array(types.uint64, 2, "C")
