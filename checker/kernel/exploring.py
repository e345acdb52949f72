"""The search: blocks of states expanded, their successors inserted, until all are known or an array might overflow."""

from __future__ import annotations

import numpy as np
from numba import njit, types

from .hashing import insert
from .stepping import expand
from .words import BLOCK, DEPTH, FOUND, HEAD, LEVEL_END, LINKS, NUMBERS, PAIRS, SETS, SHORT, SMALL, TAIL, WORDS


@njit(
    types.void(WORDS, WORDS, PAIRS, WORDS, WORDS, SMALL, SHORT, NUMBERS, SMALL, types.int64, types.int64, types.int64,
               PAIRS, SETS, PAIRS, SETS, types.boolean, types.int64, types.int64, types.boolean, types.boolean,
               WORDS, LINKS, LINKS, WORDS, NUMBERS, NUMBERS, WORDS, WORDS, WORDS, LINKS, LINKS),
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
