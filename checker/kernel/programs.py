"""Running the programs of `tables.py` on the words of a state. Inlined before typing, not by LLVM: that alone makes a search a third faster."""

from __future__ import annotations

import numpy as np
from numba import njit, types

from .words import DISABLED, LOW8, LOW16, LOW24, ONE, S16, S24, S32, S40, S63, SMALL, WORDS, ZERO, U


@njit(inline="always")
def run(code, entries, first, last, work):
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
def select(selector_code, selector_sets, work, chosen):
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


@njit(types.void(WORDS, WORDS, types.int64, types.int64, types.int64, types.int64, WORDS, types.int64, SMALL), cache=True, nogil=True)
def judge(code, entries, first, last, width, work_words, states, count, answers):
    """The code with which a program ends on each of the first `count` states, [count] uint8; 0 where it holds."""
    work = np.zeros(work_words, dtype=np.uint64)
    for k in range(count):
        if first < 0:
            answers[k] = DISABLED
            continue
        for w in range(width):
            work[w] = states[k * width + w]
        answers[k] = run(code, entries, first, last, work)
