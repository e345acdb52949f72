"""Which components of a graph of states a fair behaviour may stay in for ever: compiled.

Units of fairness are taken in a component, enabled somewhere or everywhere in it; where states stand for their renamings, the thread of a
unit is (`threads.py`). Both judgements are in one file, with what both call, because numba does not notice an edited callee in another one.
"""

from __future__ import annotations

import numpy as np
from numba import njit

OUTSIDE = -1
"""Label of a state that no longer takes part in the search."""


@njit(cache=True, nogil=True)
def extent_of(offsets, targets, component, order, begin):  # type: ignore[no-untyped-def]
    """The end of the component that begins there in the order, and whether an edge stays inside it: else nobody does."""
    name, end, stays = component[order[begin]], begin, False
    while end < len(order) and component[order[end]] == name:
        v = order[end]
        for e in range(offsets[v], offsets[v + 1]):
            stays = stays or component[targets[e]] == name
        end += 1
    return end, stays


@njit(cache=True, nogil=True)
def judge_units(offsets, targets, instances, component, order, part, unit_of_instance, unit_is_strong, goal):  # type: ignore[no-untyped-def]
    """Judge every component: mark the fair ones in `goal`, and leave in `part` what is worth another search.

    Returns whether some component is fair, and whether something is left to search.
    """
    units = len(unit_is_strong)
    enabled_in = np.zeros(units, np.int64)  # states of the component that enable the unit
    seen_at = np.full(units, -1, np.int64)  # the last state that was counted
    taken = np.zeros(units, np.bool_)
    accepted = again = False
    begin = 0
    while begin < len(order):
        name = component[order[begin]]
        end, stays = extent_of(offsets, targets, component, order, begin)
        if not stays:
            part[order[begin]] = OUTSIDE
            begin = end
            continue
        enabled_in[:], taken[:], seen_at[:] = 0, False, -1
        for k in range(begin, end):
            v = order[k]
            for e in range(offsets[v], offsets[v + 1]):
                u = unit_of_instance[instances[e]]
                if u >= 0:
                    taken[u] = taken[u] or component[targets[e]] == name
                    if seen_at[u] != v:
                        seen_at[u] = v
                        enabled_in[u] += 1
        starved = False  # a unit enabled everywhere and never taken: so it is in every smaller part
        owed = False  # a strong unit enabled somewhere and never taken: where it is not, there may be a fair part
        for u in range(units):
            starved = starved or (enabled_in[u] == end - begin and not taken[u])
            owed = owed or (unit_is_strong[u] and enabled_in[u] > 0 and not taken[u])
        for k in range(begin, end):
            v = order[k]
            part[v] = OUTSIDE if starved else name
            goal[v] = not starved and not owed
            if owed and not starved:
                for e in range(offsets[v], offsets[v + 1]):
                    u = unit_of_instance[instances[e]]
                    if u >= 0 and unit_is_strong[u] and not taken[u]:
                        part[v] = OUTSIDE
        accepted = accepted or not (starved or owed)
        again = again or (owed and not starved)
        begin = end
    return accepted, again


@njit(cache=True, nogil=True)
def _root(links, node):  # type: ignore[no-untyped-def]
    """The node that stands for all that are linked to one."""
    while links[node] != node:
        links[node] = links[links[node]]
        node = links[node]
    return node


@njit(cache=True, nogil=True)
def _linked(offsets, targets, component, order, begin, end, place, units, turned_by, renamed):  # type: ignore[no-untyped-def]
    """The threads of one component: per place and unit what stands for its thread; [states of it * units] int64."""
    links = np.arange((end - begin) * units)
    for k in range(begin, end):
        v = order[k]
        for e in range(offsets[v], offsets[v + 1]):
            w = targets[e]
            if component[w] == component[v]:
                for u in range(units):
                    links[_root(links, place[v] * units + u)] = _root(links, place[w] * units + renamed[turned_by[e] + 1, u])
    for node in range(len(links)):
        links[node] = _root(links, node)
    return links


@njit(cache=True, nogil=True)
def judge_threads(offsets, targets, instances, component, order, part, unit_of_instance, unit_is_strong, goal, turned_by, renamed):  # type: ignore[no-untyped-def]
    """Judge every component: mark the fair ones in `goal`, and leave in `part` what is worth another search.

    Returns whether some component is fair, and whether something is left to search.
    """
    units = len(unit_is_strong)
    place = np.zeros(len(component), np.int64)
    accepted = again = False
    begin = 0
    while begin < len(order):
        name = component[order[begin]]
        end, stays = extent_of(offsets, targets, component, order, begin)
        for k in range(begin, end):
            place[order[k]] = k - begin
        if not stays:
            part[order[begin]] = OUTSIDE
            begin = end
            continue
        thread = _linked(offsets, targets, component, order, begin, end, place, units, turned_by, renamed)
        size, enabled_in = np.zeros(len(thread), np.int32), np.zeros(len(thread), np.int32)
        taken, seen = np.zeros(len(thread), np.bool_), np.zeros(len(thread), np.bool_)
        for k in range(begin, end):
            v = order[k]
            for u in range(units):
                size[thread[place[v] * units + u]] += 1
            for e in range(offsets[v], offsets[v + 1]):
                u = unit_of_instance[instances[e]]
                if u >= 0:
                    node = place[v] * units + u
                    taken[thread[node]] = taken[thread[node]] or component[targets[e]] == name
                    if not seen[node]:
                        seen[node] = True
                        enabled_in[thread[node]] += 1
        starved = owed = False
        for node in range(len(thread)):
            untaken = not taken[thread[node]]
            starved = starved or (untaken and enabled_in[thread[node]] == size[thread[node]])
            owed = owed or (untaken and unit_is_strong[node % units] and enabled_in[thread[node]] > 0)
        for k in range(begin, end):
            v = order[k]
            part[v] = OUTSIDE if starved else name
            goal[v] = not starved and not owed
            if owed and not starved:
                for e in range(offsets[v], offsets[v + 1]):
                    u = unit_of_instance[instances[e]]
                    if u >= 0 and unit_is_strong[u] and not taken[thread[place[v] * units + u]]:
                        part[v] = OUTSIDE
        accepted = accepted or not (starved or owed)
        again = again or (owed and not starved)
        begin = end
    return accepted, again
