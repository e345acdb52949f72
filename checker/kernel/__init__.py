"""The compiled kernel: what numba compiles of the search, and nothing else.

It interprets the programs of `tables.py` and knows words, bits and instance numbers only. It is compiled once per machine and version of
these files, never per model. numba does not notice when a callee in another file has been edited, so the compiled code lies in a directory
that is named after a hash of all files of this package; only here is it set and left again.

Where the time goes: a probe of the hash table is a cache miss, and so is the comparison with the state it names. So the
successors of a few hundred states are generated first, then the slots of all of them are touched in one pass and the
states that these name in a second (independent loads overlap in the memory system), and only then are they
resolved, exactly and in order.

An entry of the hash table is a 32-bit tag and the state's number (from 1), or, where a state is one word, the state itself
with bit 63 set, which saves the second cache miss; 0 is empty.
"""

from pathlib import Path

from ..kernel_cache import kept_code
from .words import (
    COUNTERS,
    DEADLOCK,
    DEPTH,
    DISABLED,
    DOUBLE,
    DOUBLE_INSTANCE,
    DOUBLE_STATE,
    FOUND,
    GUARD_ERROR,
    HEAD,
    LEVEL_END,
    PREDICATE_NUMBER,
    PREDICATE_STATE,
    RANGE,
    RANGE_INSTANCE,
    RANGE_STATE,
    RIVAL_INSTANCE,
    RIVAL_STATE,
    SINK,
    TAIL,
    TOLERANT,
    TRANSITIONS,
    WHEN_FALSE,
    WHEN_TRUE,
)

with kept_code(sorted(Path(__file__).parent.glob("*.py"))):
    from .exploring import explore
    from .hashing import fill, find, insert
    from .programs import judge
    from .stepping import connect, expand, represent

__all__ = [
    "COUNTERS", "DEADLOCK", "DEPTH", "DISABLED", "DOUBLE", "DOUBLE_INSTANCE", "DOUBLE_STATE", "FOUND", "GUARD_ERROR", "HEAD", "LEVEL_END",
    "PREDICATE_NUMBER", "PREDICATE_STATE", "RANGE", "RANGE_INSTANCE", "RANGE_STATE", "RIVAL_INSTANCE", "RIVAL_STATE", "SINK", "TAIL",
    "TOLERANT", "TRANSITIONS", "WHEN_FALSE", "WHEN_TRUE", "connect", "expand", "explore", "fill", "find", "insert", "judge", "represent",
]  # fmt: skip
