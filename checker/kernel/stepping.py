"""From a state to its successors, one after the other or all edges again, each as its representative."""

from __future__ import annotations

import numpy as np
from numba import njit, types

from .hashing import find, hash_of
from .programs import run, select
from .words import (
    BIT_PLACE,
    DEADLOCK,
    DISABLED,
    DOUBLE,
    DOUBLE_INSTANCE,
    DOUBLE_STATE,
    FOUND,
    GUARD_ERROR,
    HEAD,
    LINKS,
    LOW16,
    LOWEST_BIT,
    NUMBERS,
    ONE,
    PAIRS,
    PREDICATE_NUMBER,
    PREDICATE_STATE,
    RANGE,
    RANGE_INSTANCE,
    RANGE_STATE,
    RIVAL_INSTANCE,
    RIVAL_STATE,
    S16,
    S32,
    S48,
    S58,
    SETS,
    SHORT,
    SMALL,
    TINY,
    TOLERANT,
    TRANSITIONS,
    WHEN_TRUE,
    WORDS,
    ZERO,
    U,
)


@njit(types.int64(WORDS, WORDS, PAIRS, SETS, types.boolean, types.int64, WORDS, WORDS), cache=True, nogil=True)
def represent(code, entries, turns, moves, whole, width, work, turned):
    """Replace the successor in `work[width:]` by its representative, the least of what the permutations make of it; by which, -1 for none.

    `whole`: they are all of a group but the identity, so that one round finds the least of all. Else rounds follow as long
    as one of them helps, and the last that did is told. Shapes: `turns`, `moves` as in `tables.Tables`; turned [work words], scratch.
    """
    for w in range(width):
        turned[w] = work[width + w]
    again, chosen = True, np.int64(-1)
    while again:
        again = False
        for g in range(turns.shape[0]):
            for w in range(width):
                turned[width + w] = ZERO
            for m in range(turns[g, 0], turns[g, 1]):
                step = moves[m, 0]
                bits = (turned[step & LOW16] & moves[m, 1]) << ((step >> S32) & LOW16) >> (step >> S48)
                turned[U(width) + ((step >> S16) & LOW16)] |= bits
            run(code, entries, turns[g, 2], turns[g, 3], turned)
            w = 0
            while w < width - 1 and turned[width + w] == work[width + w]:
                w += 1
            if turned[width + w] < work[width + w]:
                chosen = g
                for w in range(width):
                    work[width + w] = turned[width + w]
                    if not whole:
                        turned[w] = turned[width + w]
                again = not whole
    return chosen


@njit(
    types.void(WORDS, WORDS, PAIRS, PAIRS, SETS, PAIRS, SETS, types.boolean, types.int64, WORDS, WORDS, WORDS, WORDS, WORDS, types.int64),
    cache=True, nogil=True,
)  # fmt: skip
def narrow(code, entries, programs, alone, alone_sets, turns, moves, whole, width, states, table, work, turned, chosen, head):
    """Leave in `chosen` the instances of the first copy that may move alone in the state in `work`, if there is one.

    One of its successors must be new or still waiting for its expansion: else whoever else waits might be put off for ever.
    """
    for c in range(alone.shape[0]):
        if run(code, entries, alone[c, 0], alone[c, 1], work):
            continue
        for v in range(chosen.size):
            rest = chosen[v] & alone_sets[c, v]
            while rest:
                lowest = rest & (~rest + ONE)
                i = v * 64 + BIT_PLACE[(lowest * LOWEST_BIT) >> S58]
                rest ^= lowest
                for w in range(width):
                    work[width + w] = work[w]
                if run(code, entries, programs[i, 0], programs[i, 1], work) == 0:
                    if turns.shape[0]:
                        represent(code, entries, turns, moves, whole, width, work, turned)
                    number = find(states, width, table, work, width)
                    if number < 0 or number > head:
                        for u in range(chosen.size):
                            chosen[u] &= alone_sets[c, u]
                        return


@njit(
    types.int64(WORDS, WORDS, PAIRS, WORDS, WORDS, SMALL, SHORT, NUMBERS, SMALL, types.int64, types.int64, types.int64,
                PAIRS, SETS, PAIRS, SETS, types.boolean,
                WORDS, WORDS, NUMBERS, NUMBERS, WORDS, WORDS, WORDS, LINKS, LINKS, WORDS, WORDS, WORDS, types.int64),
    cache=True, nogil=True,
)  # fmt: skip
def expand(
    code, entries, programs, selector_code, selector_sets, environment, rivals, last_rival, event, watched, final_program, width,
    alone, alone_sets, turns, moves, whole, table, states, counters, events, fired, made, hashes, made_parents, made_instances,
    work, turned, chosen, end,
):  # fmt: skip
    """Expand states from `counters[HEAD]` on, up to `end` or until the successors of one more might not fit; how many were made.

    Shapes:  alone, alone_sets, turns, moves as in `tables.Tables`; `whole` as for `represent`; table numbered where any copy may
             move alone; states [capacity * width]; made [room * width]; hashes, made_parents, made_instances [room];
             work, turned [work words]; chosen [instances / 64]; events [watched] int64 (-1: not yet);
             fired [instances / 64], the instances that took a step; last_rival [groups].
    """
    instances, room = environment.size, hashes.size
    head, transitions = counters[HEAD], counters[TRANSITIONS]
    count = 0
    while head < end and count + instances <= room:
        for w in range(width):
            work[w] = states[head * width + w]
        for q in range(watched):
            if events[q] < 0:
                first, last = programs[instances + q, 0], programs[instances + q, 1]
                status = np.int64(DISABLED) if first < 0 else run(code, entries, first, last, work)
                if status > DISABLED and event[q] != TOLERANT:
                    if counters[PREDICATE_STATE] < 0:
                        counters[PREDICATE_STATE], counters[PREDICATE_NUMBER], counters[FOUND] = head, q, 1
                elif (status == 0 and event[q] == WHEN_TRUE) or (status == DISABLED and event[q] != WHEN_TRUE):
                    events[q] = head
                    if event[q] != WHEN_TRUE:
                        counters[FOUND] = 1
        select(selector_code, selector_sets, work, chosen)
        if alone.shape[0]:
            narrow(code, entries, programs, alone, alone_sets, turns, moves, whole, width, states, table, work, turned, chosen, head)
        moved = False
        for v in range(chosen.size):
            rest, taken = chosen[v], ZERO
            while rest:
                lowest = rest & (~rest + ONE)
                i = v * 64 + BIT_PLACE[(lowest * LOWEST_BIT) >> S58]
                rest ^= lowest
                for w in range(width):
                    work[width + w] = work[w]
                status = run(code, entries, programs[i, 0], programs[i, 1], work)
                if status == DISABLED:
                    continue
                if status == GUARD_ERROR or status == RANGE:
                    if counters[RANGE_STATE] < 0:
                        counters[RANGE_STATE], counters[RANGE_INSTANCE], counters[FOUND] = head, i, 1
                    if status == GUARD_ERROR:
                        continue
                elif status == DOUBLE and counters[DOUBLE_STATE] < 0:
                    counters[DOUBLE_STATE], counters[DOUBLE_INSTANCE], counters[FOUND] = head, i, 1
                if environment[i] == 0:
                    moved = True
                if rivals[i] >= 0:
                    if last_rival[rivals[i]] == head and counters[RIVAL_STATE] < 0:
                        counters[RIVAL_STATE], counters[RIVAL_INSTANCE], counters[FOUND] = head, i, 1
                    last_rival[rivals[i]] = head
                if status:
                    continue
                transitions += 1
                taken |= lowest
                if turns.shape[0]:
                    represent(code, entries, turns, moves, whole, width, work, turned)
                same = True
                for w in range(width):
                    made[count * width + w] = work[width + w]
                    same &= work[width + w] == work[w]
                if not same:
                    hashes[count] = hash_of(made, count * width, width)
                    made_parents[count] = head
                    made_instances[count] = i
                    count += 1
            fired[v] |= taken
        if not moved and final_program >= 0 and counters[DEADLOCK] < 0:
            first, last = programs[final_program, 0], programs[final_program, 1]
            if first < 0 or run(code, entries, first, last, work):
                counters[DEADLOCK] = head
                counters[FOUND] = 1
        head += 1
    counters[HEAD], counters[TRANSITIONS] = head, transitions
    return count


@njit(
    types.void(WORDS, WORDS, PAIRS, WORDS, WORDS, PAIRS, SETS, types.boolean, types.int64, types.int64, types.int64, WORDS, WORDS,
               types.int64, types.int64, NUMBERS, SHORT, SHORT, TINY),
    cache=True, nogil=True,
)  # fmt: skip
def connect(
    code, entries, programs, selector_code, selector_sets, turns, moves, whole, instances, width, work_words, states, table,
    first_state, last_state, offsets, targets, labels, turned_by,
):  # fmt: skip
    """Regenerate the edges of states first_state .. last_state - 1; `offsets[first_state]` is where they begin.

    Shapes: offsets [states + 1]; targets, labels [transitions]; turned_by [transitions], the permutation by which the successor
    became its representative (-1: none), or [0] where nobody asks.
    """
    work, turned = np.zeros(work_words, dtype=np.uint64), np.zeros(work_words, dtype=np.uint64)
    chosen = np.zeros((instances + 63) // 64, dtype=np.uint64)
    edge = offsets[first_state]
    for head in range(first_state, last_state):
        for w in range(width):
            work[w] = states[head * width + w]
        select(selector_code, selector_sets, work, chosen)
        for v in range(chosen.size):
            rest = chosen[v]
            while rest:
                lowest = rest & (~rest + ONE)
                i = v * 64 + BIT_PLACE[(lowest * LOWEST_BIT) >> S58]
                rest ^= lowest
                for w in range(width):
                    work[width + w] = work[w]
                if run(code, entries, programs[i, 0], programs[i, 1], work) == 0:
                    if turns.shape[0]:
                        by = represent(code, entries, turns, moves, whole, width, work, turned)
                        if turned_by.size:
                            turned_by[edge] = by
                    targets[edge] = find(states, width, table, work, width)
                    labels[edge] = i
                    edge += 1
        offsets[head + 1] = edge
