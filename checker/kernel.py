"""The compiled kernel: everything of the checker that numba compiles, and nothing else.

It interprets the programs of `tables.py` and knows words, bits and instance numbers only. It is compiled once per machine
and version of this file, never per model: the compiled code is kept under the user's cache directory, in a directory
named after a hash of this source (numba does not notice an edited callee in another file, hence the one file).

Where the time goes: a probe of the hash table is a cache miss, and so is the comparison with the state it names. So the
successors of a few hundred states are generated first, then the slots of all of them are touched in one pass and the
states that these name in a second (independent loads overlap in the memory system), and only then are they
resolved, exactly and in order.

An entry of the hash table is a 32-bit tag and the state's number (from 1), or, where a state is one word, the state itself
with bit 63 set, which saves the second cache miss; 0 is empty.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numba import config, njit, types

from .kernel_cache import cache_directory, seal

U = np.uint64
ZERO, ONE = U(0), U(1)
LOW16, LOW24, LOW32, LOW8 = U(0xFFFF), U(0xFFFFFF), U(0xFFFFFFFF), U(0xFF)
S8, S16, S24, S32, S40, S48, S58, S63 = U(8), U(16), U(24), U(32), U(40), U(48), U(58), U(63)
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

# The helpers are inlined before typing (not by LLVM, which leaves calls): this alone makes the whole search a third faster.

BLOCK = 256
"""States expanded before their successors are resolved."""


_directory, _compiled_before = cache_directory(Path(__file__))
if not _compiled_before:
    print("compiling the checker's kernel (once on this machine, a few seconds) ...", file=sys.stderr, flush=True)
_numba_directory, config.CACHE_DIR = config.CACHE_DIR, str(_directory)  # type: ignore[attr-defined]

_words = types.Array(types.uint64, 1, "C")
_numbers = types.Array(types.int64, 1, "C")
_pairs = types.Array(types.int64, 2, "C")
_small = types.Array(types.uint8, 1, "C")
_short = types.Array(types.int32, 1, "C")
_tiny = types.Array(types.int8, 1, "C")
_links = types.Array(types.uint32, 1, "C")
_sets = types.Array(types.uint64, 2, "C")


@njit(inline="always")
def _run(code, entries, first, last, work):
    """Run a program; 0, or the code that ended it."""
    at = first
    while at < last:
        head = code[at]
        end = at + 2 + np.int64(head & LOW16)
        index = head >> S32
        for k in range(at + 2, end):
            gather = code[k]
            field = work[gather & LOW16] >> ((gather >> S16) & LOW8)
            index += (field & ((ONE << (gather >> S32)) - ONE)) << ((gather >> S24) & LOW8)
        entry = entries[index]
        if entry >> S63:
            return np.int64(entry & LOW8)
        word = (head >> S16) & LOW16
        work[word] = (work[word] & code[at + 1]) | entry
        at = end
    return np.int64(0)


@njit(inline="always")
def _hash(words, at, count):
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
def _select(selector_code, selector_sets, work, chosen):
    """The instances whose leading conjuncts hold, as a bit set."""
    chosen[:] = ZERO
    at = 0
    while at < selector_code.size:
        head = selector_code[at]
        end = at + 2 + np.int64(head & LOW16)
        index = ZERO
        for k in range(at + 2, end):
            gather = selector_code[k]
            field = work[gather & LOW16] >> ((gather >> S16) & LOW8)
            index |= (field & ((ONE << (gather >> S32)) - ONE)) << ((gather >> S24) & LOW8)
        first, count = (head >> S16) & LOW24, head >> S40
        row = selector_code[at + 1] + index * count
        for w in range(np.int64(count)):
            chosen[first + U(w)] |= selector_sets[row + U(w)]
        at = end


@njit(inline="always")
def _resolve_single(made, hashes, made_parents, made_instances, pending, count, states, parents, via, table, slots, tail):
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
def _resolve(made, hashes, made_parents, made_instances, places, named, pending, count, width, states, parents, via, table, slots, tail, counters):
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


@njit(types.int64(_words, types.int64, _words, _words, types.int64), cache=True, nogil=True)
def find(states, width, table, wanted, at):
    """The number of the state at `wanted[at:]` in a numbered table; -1 when it is not there."""
    h = _hash(wanted, at, width)
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


@njit(types.int64(_words, _words, _pairs, _sets, types.boolean, types.int64, _words, _words), cache=True, nogil=True)
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
            _run(code, entries, turns[g, 2], turns[g, 3], turned)
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
    types.void(_words, _words, _pairs, _pairs, _sets, _pairs, _sets, types.boolean, types.int64, _words, _words, _words, _words, _words, types.int64),
    cache=True, nogil=True,
)  # fmt: skip
def narrow(code, entries, programs, alone, alone_sets, turns, moves, whole, width, states, table, work, turned, chosen, head):
    """Leave in `chosen` the instances of the first copy that may move alone in the state in `work`, if there is one.

    One of its successors must be new or still waiting for its expansion: else whoever else waits might be put off for ever.
    """
    for c in range(alone.shape[0]):
        if _run(code, entries, alone[c, 0], alone[c, 1], work):
            continue
        for v in range(chosen.size):
            rest = chosen[v] & alone_sets[c, v]
            while rest:
                lowest = rest & (~rest + ONE)
                i = v * 64 + BIT_PLACE[(lowest * LOWEST_BIT) >> S58]
                rest ^= lowest
                for w in range(width):
                    work[width + w] = work[w]
                if _run(code, entries, programs[i, 0], programs[i, 1], work) == 0:
                    if turns.shape[0]:
                        represent(code, entries, turns, moves, whole, width, work, turned)
                    number = find(states, width, table, work, width)
                    if number < 0 or number > head:
                        for u in range(chosen.size):
                            chosen[u] &= alone_sets[c, u]
                        return


@njit(
    types.int64(_words, _words, _pairs, _words, _words, _small, _short, _numbers, _small, types.int64, types.int64, types.int64,
                _pairs, _sets, _pairs, _sets, types.boolean,
                _words, _words, _numbers, _numbers, _words, _words, _words, _links, _links, _words, _words, _words, types.int64),
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
                status = np.int64(DISABLED) if first < 0 else _run(code, entries, first, last, work)
                if status > DISABLED and event[q] != TOLERANT:
                    if counters[PREDICATE_STATE] < 0:
                        counters[PREDICATE_STATE], counters[PREDICATE_NUMBER], counters[FOUND] = head, q, 1
                elif (status == 0 and event[q] == WHEN_TRUE) or (status == DISABLED and event[q] != WHEN_TRUE):
                    events[q] = head
                    if event[q] != WHEN_TRUE:
                        counters[FOUND] = 1
        _select(selector_code, selector_sets, work, chosen)
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
                status = _run(code, entries, programs[i, 0], programs[i, 1], work)
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
                    hashes[count] = _hash(made, count * width, width)
                    made_parents[count] = head
                    made_instances[count] = i
                    count += 1
            fired[v] |= taken
        if not moved and final_program >= 0 and counters[DEADLOCK] < 0:
            first, last = programs[final_program, 0], programs[final_program, 1]
            if first < 0 or _run(code, entries, first, last, work):
                counters[DEADLOCK] = head
                counters[FOUND] = 1
        head += 1
    counters[HEAD], counters[TRANSITIONS] = head, transitions
    return count


@njit(
    types.void(_words, _words, _links, _links, _words, _words, _numbers, types.int64, types.int64, types.boolean,
               _words, _links, _links, _words, _numbers),
    cache=True, nogil=True,
)  # fmt: skip
def insert(made, hashes, made_parents, made_instances, places, named, pending, count, width, numbered, states, parents, via, table, counters):
    """Insert the new ones of `count` successors, in order: numbers from `counters[TAIL]` on.

    Shapes:  as for `expand`; places, named, pending [room] are scratch; parents, via [capacity]; table [slots].
    """
    slots, tail = U(table.size), counters[TAIL]
    if width == 1 and not numbered:
        tail = _resolve_single(made, hashes, made_parents, made_instances, pending, count, states, parents, via, table, slots, tail)
    else:
        tail = _resolve(
            made, hashes, made_parents, made_instances, places, named, pending, count, width, states, parents, via, table, slots, tail, counters
        )  # fmt: skip
    counters[TAIL] = tail


@njit(
    types.void(_words, _words, _pairs, _words, _words, _small, _short, _numbers, _small, types.int64, types.int64, types.int64,
               _pairs, _sets, _pairs, _sets, types.boolean, types.int64, types.int64, types.boolean, types.boolean,
               _words, _links, _links, _words, _numbers, _numbers, _words, _words, _words, _links, _links),
    cache=True, nogil=True,
)  # fmt: skip
def explore(
    code, entries, programs, selector_code, selector_sets, environment, rivals, last_rival, event, watched, final_program, width,
    alone, alone_sets, turns, moves, whole, work_words, head_target, stop_when_found, numbered, states, parents, via, table, counters, events, fired,
    made, hashes, made_parents, made_instances,
):  # fmt: skip
    """Expand states from `counters[HEAD]` on, until `head_target`, or until the arrays might overflow in the next block.

    Shapes:  as for `expand` and `insert`.
    Returns: nothing; all in `counters` and `events`. HEAD == TAIL: the whole space is explored.
    """
    work, turned = np.zeros(work_words, dtype=np.uint64), np.zeros(work_words, dtype=np.uint64)
    chosen = np.zeros((environment.size + 63) // 64, dtype=np.uint64)
    room = hashes.size
    block = 1 if alone.shape[0] else BLOCK  # who may move alone depends on what is known
    capacity = min(parents.size, np.int64(table.size * 0.8)) - room
    places, named, pending = np.empty(room, dtype=np.uint64), np.empty(room, dtype=np.uint64), np.empty(room, dtype=np.int64)
    while counters[HEAD] < counters[TAIL] and counters[HEAD] < head_target and counters[TAIL] <= capacity:
        if counters[HEAD] == counters[LEVEL_END]:
            counters[DEPTH] += 1
            counters[LEVEL_END] = counters[TAIL]
        count = expand(
            code, entries, programs, selector_code, selector_sets, environment, rivals, last_rival, event, watched, final_program, width,
            alone, alone_sets, turns, moves, whole, table, states, counters, events, fired, made, hashes, made_parents, made_instances,
            work, turned, chosen,
            min(counters[HEAD] + block, counters[LEVEL_END]),
        )  # fmt: skip
        insert(made, hashes, made_parents, made_instances, places, named, pending, count, width, numbered, states, parents, via, table, counters)
        if stop_when_found and counters[FOUND]:
            break


@njit(types.void(_words, types.int64, types.int64, _words, types.boolean), cache=True, nogil=True)
def fill(states, width, count, table, numbered):
    """Enter the first `count` states, all distinct, into an empty table; by number even where a word would do."""
    slots = U(table.size)
    hashes = np.empty(1024, dtype=np.uint64)
    sink = ZERO
    for start in range(0, count, 1024):
        end = min(start + 1024, count)
        for k in range(start, end):
            hashes[k - start] = _hash(states, k * width, width)
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


@njit(
    types.void(_words, _words, _pairs, _words, _words, _pairs, _sets, types.boolean, types.int64, types.int64, types.int64, _words, _words,
               types.int64, types.int64, _numbers, _short, _short, _tiny),
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
        _select(selector_code, selector_sets, work, chosen)
        for v in range(chosen.size):
            rest = chosen[v]
            while rest:
                lowest = rest & (~rest + ONE)
                i = v * 64 + BIT_PLACE[(lowest * LOWEST_BIT) >> S58]
                rest ^= lowest
                for w in range(width):
                    work[width + w] = work[w]
                if _run(code, entries, programs[i, 0], programs[i, 1], work) == 0:
                    if turns.shape[0]:
                        by = represent(code, entries, turns, moves, whole, width, work, turned)
                        if turned_by.size:
                            turned_by[edge] = by
                    targets[edge] = find(states, width, table, work, width)
                    labels[edge] = i
                    edge += 1
        offsets[head + 1] = edge


@njit(types.void(_words, _words, types.int64, types.int64, types.int64, types.int64, _words, types.int64, _small), cache=True, nogil=True)
def judge(code, entries, first, last, width, work_words, states, count, answers):
    """The code with which a program ends on each of the first `count` states, [count] uint8; 0 where it holds."""
    work = np.zeros(work_words, dtype=np.uint64)
    for k in range(count):
        if first < 0:
            answers[k] = DISABLED
            continue
        for w in range(width):
            work[w] = states[k * width + w]
        answers[k] = _run(code, entries, first, last, work)


config.CACHE_DIR = _numba_directory  # type: ignore[attr-defined]
seal(_directory)
