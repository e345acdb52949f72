"""The hash table of the states that are known, and where a new one goes."""

from __future__ import annotations

import numpy as np
from numba import njit, types

from .words import LINKS, LOW32, MARK, MIX_A, MIX_B, NUMBERS, ONE, S29, S32, SINK, TAIL, WORDS, ZERO, U


@njit(inline="always")
def hash_of(words, at, count):
    """A 64-bit hash of a state: its upper half picks the slot, its lower half is the tag."""
    h = ZERO
    for w in range(count):
        h = (h ^ words[at + w]) * MIX_A
        h ^= h >> S32
    h *= MIX_B
    h ^= h >> S29
    h *= MIX_A
    return h ^ (h >> S32)


@njit(inline="always")
def resolve_single(made, hashes, made_parents, made_instances, pending, count, states, parents, via, table, slots, tail):
    """Insert the new ones of some successors of one word, in order; the number of states after that."""
    unknown = 0
    for k in range(count):
        # No branch: the loads of many successors are under way at once.
        pending[unknown] = k
        unknown += 1 if table[((hashes[k] >> S32) * slots) >> S32] != made[k] | MARK else 0
    for n in range(unknown):
        k = pending[n]
        slot, key = ((hashes[k] >> S32) * slots) >> S32, made[k] | MARK
        entry = table[slot]
        while entry != ZERO and entry != key:
            slot += ONE
            if slot == slots:
                slot = ZERO
            entry = table[slot]
        if entry == ZERO:
            table[slot] = key
            states[tail] = made[k]
            parents[tail] = made_parents[k]
            via[tail] = made_instances[k]
            tail += 1
    return tail


@njit(inline="always")
def resolve(made, hashes, made_parents, made_instances, places, named, pending, count, width, states, parents, via, table, slots, tail, counters):
    """Insert the new ones of some successors, in order; the number of states after that."""
    sink = ZERO
    for k in range(count):
        sink ^= table[((hashes[k] >> S32) * slots) >> S32]
    # A slot once taken keeps its entry: what is passed over here, and a match, need no second look.
    for k in range(count):
        slot, tag = ((hashes[k] >> S32) * slots) >> S32, hashes[k] & LOW32
        entry = table[slot]
        while entry != ZERO and (entry >> S32) != tag:
            slot += ONE
            if slot == slots:
                slot = ZERO
            entry = table[slot]
        places[k] = slot
        named[k] = ((entry & LOW32) - ONE) * U(width) if entry else ZERO
        sink ^= states[named[k]]
    counters[SINK] ^= np.int64(sink)
    unknown = 0
    for k in range(count):
        differ = ZERO
        for w in range(width):
            differ |= states[named[k] + U(w)] ^ made[k * width + w]
        pending[unknown] = k
        unknown += 1 if differ else 0
    for n in range(unknown):
        k = pending[n]
        slot, tag = places[k], hashes[k] & LOW32
        while True:
            entry = table[slot]
            if entry == ZERO:
                table[slot] = (tag << S32) | U(tail + 1)
                for w in range(width):
                    states[tail * width + w] = made[k * width + w]
                parents[tail] = made_parents[k]
                via[tail] = made_instances[k]
                tail += 1
                break
            if (entry >> S32) == tag:
                at = np.int64((entry & LOW32) - ONE) * width
                same = True
                for w in range(width):
                    same &= states[at + w] == made[k * width + w]
                if same:
                    break
            slot += ONE
            if slot == slots:
                slot = ZERO
    return tail


@njit(types.int64(WORDS, types.int64, WORDS, WORDS, types.int64), cache=True, nogil=True)
def find(states, width, table, wanted, at):
    """The number of the state at `wanted[at:]` in a numbered table; -1 when it is not there."""
    h = hash_of(wanted, at, width)
    slots = U(table.size)
    slot = ((h >> S32) * slots) >> S32
    while True:
        entry = table[slot]
        if entry == ZERO:
            return np.int64(-1)
        if (entry >> S32) == (h & LOW32):
            number = np.int64((entry & LOW32) - ONE)
            same = True
            for w in range(width):
                same &= states[number * width + w] == wanted[at + w]
            if same:
                return number
        slot += ONE
        if slot == slots:
            slot = ZERO


@njit(
    types.void(WORDS, WORDS, LINKS, LINKS, WORDS, WORDS, NUMBERS, types.int64, types.int64, types.boolean,
               WORDS, LINKS, LINKS, WORDS, NUMBERS),
    cache=True, nogil=True,
)  # fmt: skip
def insert(made, hashes, made_parents, made_instances, places, named, pending, count, width, numbered, states, parents, via, table, counters):
    """Insert the new ones of `count` successors, in order: numbers from `counters[TAIL]` on.

    Shapes:  as for `expand`; places, named, pending [room] are scratch; parents, via [capacity]; table [slots].
    """
    slots, tail = U(table.size), counters[TAIL]
    if width == 1 and not numbered:
        tail = resolve_single(made, hashes, made_parents, made_instances, pending, count, states, parents, via, table, slots, tail)
    else:
        tail = resolve(
            made, hashes, made_parents, made_instances, places, named, pending, count, width, states, parents, via, table, slots, tail, counters
        )  # fmt: skip
    counters[TAIL] = tail


@njit(types.void(WORDS, types.int64, types.int64, WORDS, types.boolean), cache=True, nogil=True)
def fill(states, width, count, table, numbered):
    """Enter the first `count` states, all distinct, into an empty table; by number even where a word would do."""
    slots = U(table.size)
    hashes = np.empty(1024, dtype=np.uint64)
    sink = ZERO
    for start in range(0, count, 1024):
        end = min(start + 1024, count)
        for k in range(start, end):
            hashes[k - start] = hash_of(states, k * width, width)
        for k in range(end - start):
            sink ^= table[((hashes[k] >> S32) * slots) >> S32]
        for k in range(start, end):
            h = hashes[k - start]
            slot = ((h >> S32) * slots) >> S32
            while table[slot] != ZERO:
                slot += ONE
                if slot == slots:
                    slot = ZERO
            table[slot] = ((h & LOW32) << S32) | U(k + 1) if numbered or width > 1 else states[k] | MARK
    if sink == ONE:
        hashes[0] = sink
