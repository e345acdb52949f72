"""Liveness on the graph of all reachable states, compiled: hang, and leads_to under weak and strong fairness.

Every pass is linear in the edges and needs 20 to 30 bytes a state beyond the graph. Strongly connected components are
found by Pearce's form of Tarjan's algorithm, without recursion and without the reversed graph; strong fairness is
Streett's condition: states that enable a strong unit which their component never takes are removed and the rest is
searched again, at most once per strong unit.

No compiled function calls one of another file, because numba does not notice when that is edited. `reference.py` asks the same
questions in plain Python and shares no line with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from .fairness import OUTSIDE, judge_units

if TYPE_CHECKING:
    from .threads import Threads

ANY_UNIT = -2
"""Units are numbered from 0; this stands for any instance, fair or not."""
LAST = np.int32(2**31 - 1)


@dataclass(frozen=True)
class StateGraph:
    """All states and steps of a system; instances are numbered in the order of `System.instances()`.

    Shapes:  offsets [states + 1] int64, where the edges of a state begin; targets [edges] int32; instances [edges] int32, self-loops
             included; parents [states] int64, the breadth-first tree, its root -1; via [states] int32, the instance that led there.
    """

    offsets: np.ndarray
    targets: np.ndarray
    instances: np.ndarray
    parents: np.ndarray
    via: np.ndarray

    @property
    def states(self) -> int:
        """Number of states."""
        return len(self.parents)

    def edges_to(self, state: int) -> list[int]:
        """The edges of the breadth-first path to a state."""
        way = []
        while self.parents[state] >= 0:
            parent = int(self.parents[state])
            near = np.arange(self.offsets[parent], self.offsets[parent + 1])
            way.append(int(near[(self.targets[near] == state) & (self.instances[near] == self.via[state])][0]))
            state = parent
        return way[::-1]


@dataclass(frozen=True)
class Lasso:
    """A behaviour that goes round for ever: instances of the stem, then of the cycle. No cycle: it stops and stutters."""

    stem: list[int]
    cycle: list[int]


def hang(graph: StateGraph, progressing: np.ndarray, stuck: np.ndarray) -> int | None:
    """The first stuck state from which no progressing instance is ever taken; None when there is none.

    Shapes:  progressing [instances] bool; stuck [states] bool: some copy is not final.
    Cost:    linear in the edges; 26 bytes a state.
    """
    component, order = _components(graph.offsets, graph.targets, np.zeros(graph.states, np.int32))
    hopeless = stuck & ~_able(graph.offsets, graph.targets, graph.instances, component, order, progressing)
    first = int(np.argmax(hopeless))
    return first if hopeless[first] else None


def leads_to(
    graph: StateGraph, p: np.ndarray, q: np.ndarray, unit_of_instance: np.ndarray, unit_is_strong: np.ndarray, threads: Threads | None = None
) -> Lasso | None:
    """A fair behaviour that from a state with p on never meets q; None when there is none, so that p leads to q.

    `threads`: of a graph of representatives, how its edges rename the units; p and q are then alike in all that a state stands for.

    Shapes:  p, q [states] bool; unit_of_instance [instances] int32, -1 = unfair; unit_is_strong [units] bool.
    Cost:    linear in the edges per round, at most one round per strong unit; 30 bytes a state.
    """
    starts = np.flatnonzero(p & ~q).astype(np.int32)
    if not len(starts):
        return None
    part = _region(graph.offsets, graph.targets, starts, ~q)
    goal = _resting(graph.offsets, graph.instances, part, unit_of_instance)
    component = part
    resting = bool(goal.any())
    while not resting:
        component, order = _components(graph.offsets, graph.targets, part)
        if threads is not None:
            accepted, again = threads.judge(graph, component, order, part, unit_of_instance, unit_is_strong, goal)
        else:
            accepted, again = judge_units(
                graph.offsets, graph.targets, graph.instances, component, order, part, unit_of_instance, unit_is_strong, goal
            )
        if accepted:
            break
        if not again:
            return None
    # The stem may pass through any state without q, also through those that Streett's condition removed.
    start, edges, end = _walk(graph, starts, np.where(q, np.int32(OUTSIDE), np.int32(0)), goal)
    if threads is not None:
        return threads.unfolded(graph, graph.edges_to(start) + edges, component, end, resting, unit_of_instance, unit_is_strong)
    stem = [int(graph.instances[e]) for e in graph.edges_to(start) + edges]
    return Lasso(stem, [] if resting else cycle_in(graph, component, end, unit_of_instance, unit_is_strong))


def components_of(graph: StateGraph) -> np.ndarray:
    """The strongly connected component of each state; [states] int32."""
    return _components(graph.offsets, graph.targets, np.zeros(graph.states, np.int32))[0]


def _walk(graph: StateGraph, starts: np.ndarray, part: np.ndarray, goal: np.ndarray) -> tuple[int, list[int], int]:
    """A shortest walk inside one part from a start to a goal, which can be reached: start, edges and end."""
    end, came = _search(graph.offsets, graph.targets, starts, part, goal)
    edges = []
    start = int(end)
    while came[start] >= 0:
        edges.append(int(came[start]))
        start = int(np.searchsorted(graph.offsets, came[start], side="right")) - 1
    return start, edges[::-1], int(end)


def cycle_in(graph: StateGraph, component: np.ndarray, start: int, unit_of_instance: np.ndarray, unit_is_strong: np.ndarray) -> list[int]:
    """A closed walk inside the component of `start` that takes, or for a weak unit sees disabled, whatever fairness asks for."""
    arrays = (graph.offsets, graph.targets, graph.instances, component, component[start], unit_of_instance)
    steps: list[int] = []
    seen = [start]

    def units(state: int) -> set[int]:
        return set(unit_of_instance[graph.instances[graph.offsets[state] : graph.offsets[state + 1]]].tolist())

    def take(edge: int) -> None:
        steps.append(int(graph.instances[edge]))
        seen.append(int(graph.targets[edge]))

    def go(goal: np.ndarray) -> None:
        for edge in _walk(graph, np.array(seen[-1:], np.int32), component, goal)[1]:
            take(edge)

    def enough(unit: int) -> bool:
        taken = any(unit_of_instance[k] == unit for k in steps)
        return taken or (not unit_is_strong[unit] and any(unit not in units(s) for s in seen))

    for unit in np.flatnonzero(_enabled_units(*arrays, len(unit_is_strong))).tolist():
        if not enough(unit):
            go(_serving(*arrays, unit, unit_is_strong[unit]))
            edge = _edge_of(*arrays, unit, seen[-1])
            if edge >= 0:
                take(edge)
    if not steps:
        take(_edge_of(*arrays, ANY_UNIT, start))
    goal = np.zeros(graph.states, np.bool_)
    goal[start] = True
    go(goal)
    return steps


# -- compiled --------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def _region(offsets, targets, starts, inside):  # type: ignore[no-untyped-def]
    """Label 0 for the states that the starts reach without leaving `inside`, OUTSIDE for the others; [states] int32."""
    part = np.full(len(inside), OUTSIDE, np.int32)
    queue = np.empty(len(inside), np.int32)
    filled = 0
    for s in starts:
        part[s] = 0
        queue[filled] = s
        filled += 1
    taken = 0
    while taken < filled:
        v = queue[taken]
        taken += 1
        for e in range(offsets[v], offsets[v + 1]):
            w = targets[e]
            if inside[w] and part[w] == OUTSIDE:
                part[w] = 0
                queue[filled] = w
                filled += 1
    return part


@njit(cache=True, nogil=True)
def _search(offsets, targets, starts, part, goal):  # type: ignore[no-untyped-def]
    """Breadth-first from the starts over states of the starts' part: the first goal (-1: none), and per state the edge to it.

    The edge is -1 for a start and -2 for a state that was not reached.
    """
    came = np.full(len(goal), -2, np.int64)
    queue = np.empty(len(goal), np.int32)
    filled = 0
    for s in starts:
        came[s] = -1
        queue[filled] = s
        filled += 1
    taken = 0
    while taken < filled:
        v = queue[taken]
        taken += 1
        if goal[v]:
            return v, came
        for e in range(offsets[v], offsets[v + 1]):
            w = targets[e]
            if part[w] == part[v] and came[w] == -2:
                came[w] = e
                queue[filled] = w
                filled += 1
    return -1, came


@njit(cache=True, nogil=True)
def _resting(offsets, instances, part, unit_of_instance):  # type: ignore[no-untyped-def]
    """The states of the region in which no fair unit is enabled: there a behaviour may end; [states] bool."""
    resting = np.zeros(len(part), np.bool_)
    for v in range(len(part)):
        if part[v] != OUTSIDE:
            resting[v] = True
            for e in range(offsets[v], offsets[v + 1]):
                if unit_of_instance[instances[e]] >= 0:
                    resting[v] = False
                    break
    return resting


@njit(cache=True, nogil=True)
def _components(offsets, targets, part):  # type: ignore[no-untyped-def]
    """Strongly connected components of each part, edges between parts ignored (Pearce 2016, PEA_FIND_SCC2, without recursion).

    Returns component [states] int32, OUTSIDE for states outside; and the other states by component, each component after
    all that it leads to; [k] int32.
    """
    n = len(part)
    rank = np.zeros(n, np.int32)  # 0 = not seen; small while open; LAST - its component when closed
    followed = np.zeros(n, np.int32)  # edges already followed
    is_root = np.ones(n, np.bool_)
    calls, waiting, order = np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.int32)
    ordered, held, index, closing = 0, 0, 1, LAST
    for start in range(n):
        if part[start] == OUTSIDE or rank[start] != 0:
            continue
        calls[0] = start
        rank[start] = index
        index += 1
        depth = 1
        while depth > 0:
            v = calls[depth - 1]
            e = offsets[v] + followed[v]
            if e < offsets[v + 1]:
                followed[v] += 1
                w = targets[e]
                if part[w] != part[v]:
                    continue
                if rank[w] == 0:
                    rank[w] = index
                    index += 1
                    calls[depth] = w
                    depth += 1
                elif rank[w] < rank[v]:
                    rank[v] = rank[w]
                    is_root[v] = False
                continue
            depth -= 1
            if is_root[v]:
                index -= 1
                while held > 0 and rank[v] <= rank[waiting[held - 1]]:
                    held -= 1
                    w = waiting[held]
                    rank[w] = closing
                    order[ordered] = w
                    ordered += 1
                    index -= 1
                rank[v] = closing
                order[ordered] = v
                ordered += 1
                closing -= 1
            else:
                waiting[held] = v
                held += 1
            if depth > 0 and rank[v] < rank[calls[depth - 1]]:
                rank[calls[depth - 1]] = rank[v]
                is_root[calls[depth - 1]] = False
    for v in range(n):
        rank[v] = LAST - rank[v] if rank[v] != 0 else OUTSIDE
    return rank, order[:ordered]


@njit(cache=True, nogil=True)
def _able(offsets, targets, instances, component, order, progressing):  # type: ignore[no-untyped-def]
    """The states from which some progressing instance can still be taken; [states] bool."""
    able = np.zeros(len(component), np.bool_)
    begin = 0
    while begin < len(order):
        end, found = begin, False
        while end < len(order) and component[order[end]] == component[order[begin]]:
            v = order[end]
            for e in range(offsets[v], offsets[v + 1]):
                found = found or progressing[instances[e]] or able[targets[e]]
            end += 1
        if found:
            for k in range(begin, end):
                able[order[k]] = True
        begin = end
    return able


@njit(cache=True, nogil=True)
def _edge_of(offsets, targets, instances, component, name, unit_of_instance, unit, state):  # type: ignore[no-untyped-def]
    """The first edge of that unit (or of any) from the state that stays in the component; -1 for none."""
    for e in range(offsets[state], offsets[state + 1]):
        if component[targets[e]] == name and (unit == ANY_UNIT or unit_of_instance[instances[e]] == unit):
            return e
    return -1


@njit(cache=True, nogil=True)
def _enabled_units(offsets, targets, instances, component, name, unit_of_instance, units):  # type: ignore[no-untyped-def]
    """The units that some state of the component enables; [units] bool."""
    enabled = np.zeros(units, np.bool_)
    for v in range(len(component)):
        if component[v] == name:
            for e in range(offsets[v], offsets[v + 1]):
                if unit_of_instance[instances[e]] >= 0:
                    enabled[unit_of_instance[instances[e]]] = True
    return enabled


@njit(cache=True, nogil=True)
def _serving(offsets, targets, instances, component, name, unit_of_instance, unit, strong):  # type: ignore[no-untyped-def]
    """The states of the component that take the unit inside it or, when it is weak, disable it; [states] bool."""
    serving = np.zeros(len(component), np.bool_)
    for v in range(len(component)):
        if component[v] == name:
            enabled = False
            for e in range(offsets[v], offsets[v + 1]):
                if unit_of_instance[instances[e]] == unit:
                    enabled = True
                    serving[v] = serving[v] or component[targets[e]] == name
            serving[v] = serving[v] or not (enabled or strong)
    return serving
