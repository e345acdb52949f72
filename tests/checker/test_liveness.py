"""The compiled liveness search: hand-made graphs, and agreement with the reference on random machines."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from checker.liveness import Lasso, StateGraph, hang, leads_to
from checker.reference import Search, check_lasso
from checker.result import Limits, Verdict
from protocol import System
from tests.checker.random_systems import EXAMPLES, digraphs


def graph(edges: Iterable[tuple[int, int, int]], states: int) -> StateGraph:
    """A graph of (source, instance, target) edges; its breadth-first tree is found from state 0."""
    ordered = sorted(edges)
    offsets = np.searchsorted([s for s, _, _ in ordered], range(states + 1)).astype(np.int64)
    parents, via, queue = np.full(states, -1, np.int64), np.full(states, -1, np.int32), [0]
    for state in queue:
        for source, instance, target in ordered:
            if source == state and target not in queue:
                parents[target], via[target] = state, instance
                queue.append(target)
    return StateGraph(offsets, *(np.array([e[k] for e in ordered], np.int32) for k in (2, 1)), parents, via)  # type: ignore[misc]


def flags(states: int, *held: int) -> np.ndarray:
    return np.isin(np.arange(states), held)


def units(*strong: bool) -> tuple[np.ndarray, np.ndarray]:
    """One unit per instance."""
    return np.arange(len(strong), dtype=np.int32), np.array(strong, np.bool_)


def test_hang_is_the_first_stuck_state_that_no_progress_follows() -> None:
    # 0 -> 1 -> 2 <-> 3, and 0 -> 4; only instance 0 progresses.
    found = graph([(0, 0, 1), (1, 1, 2), (2, 1, 3), (3, 1, 2), (0, 1, 4)], 5)
    progressing = np.array([True, False])
    assert hang(found, progressing, flags(5, 2, 3, 4)) == 2
    assert hang(found, progressing, flags(5, 0, 4)) == 4
    assert hang(found, progressing, flags(5, 0)) is None
    assert hang(found, np.array([False, False]), flags(5, 0)) == 0


def test_progress_behind_a_cycle_counts() -> None:
    found = graph([(0, 1, 1), (1, 1, 0), (1, 1, 2), (2, 0, 3)], 4)
    assert hang(found, np.array([True, False]), flags(4, 0, 1, 2)) is None


@pytest.mark.parametrize(("strong", "expected"), [(False, Lasso([], [0, 1])), (True, None)])
def test_strong_fairness_takes_what_is_enabled_again_and_again(strong: bool, expected: Lasso | None) -> None:
    found = graph([(0, 0, 1), (1, 1, 0), (1, 2, 2)], 3)
    assert leads_to(found, flags(3, 0, 1, 2), flags(3, 2), *units(False, False, strong)) == expected


def test_behaviour_stutters_where_nothing_fair_is_enabled() -> None:
    found = graph([(0, 0, 1), (1, 1, 2)], 3)
    assert leads_to(found, flags(3, 0), flags(3, 2), np.array([0, -1], np.int32), np.array([False])) == Lasso([0], [])


def test_streett_removes_and_searches_again() -> None:
    # 0 <-> 1 is fair; 1 <-> 2 enables the strong way out (instance 4) in 2.
    found = graph([(0, 0, 1), (1, 1, 0), (1, 2, 2), (2, 3, 1), (2, 4, 3)], 4)
    nothing = np.array([-1, -1, -1, -1, 0], np.int32)
    assert leads_to(found, flags(4, 2), flags(4, 3), nothing, np.array([False])) == Lasso([0, 2, 3], [])
    fair = np.array([1, 2, 3, 4, 0], np.int32)
    strong = np.array([True, False, False, False, False])
    assert leads_to(found, flags(4, 2), flags(4, 3), fair, strong) == Lasso([0, 2, 3], [1, 0])


def test_stem_goes_through_states_that_streett_removed() -> None:
    # Only 2, which enables the strong instance 3, leads from the start to the loop of 1.
    found = graph([(0, 0, 2), (2, 1, 1), (1, 2, 1), (2, 3, 3), (1, 4, 0)], 4)
    fair = np.array([2, -1, 0, 1, -1], np.int32)
    assert leads_to(found, flags(4, 0), flags(4, 3), fair, np.array([False, True, False])) == Lasso([0, 1], [2])


def test_deep_graph_needs_no_recursion() -> None:
    n = 200_000
    ring = np.arange(n, dtype=np.int64)
    found = StateGraph(np.arange(n + 1), ((ring + 1) % n).astype(np.int32), np.zeros(n, np.int32), ring - 1, np.zeros(n, np.int32))
    lasso = leads_to(found, flags(n, 5), flags(n), *units(False))
    assert lasso is not None and len(lasso.stem) == 5 and lasso.cycle  # a step of the one unit, and back round the ring
    assert len(lasso.cycle) == n
    assert hang(found, np.array([False]), flags(n, 7)) == 7


def graph_of(search: Search) -> StateGraph:
    """What the reference found, as the compiled search takes it."""
    offsets = np.cumsum([0, *(len(e) for e in search.edges)]).astype(np.int64)
    steps = np.array([e for edges in search.edges for e in edges], np.int32).reshape(-1, 2)
    came: Any = [(-1, -1) if c is None else c for c in search.came]
    parents, via = np.array(came, np.int64).T
    return StateGraph(offsets, steps[:, 1].copy(), steps[:, 0].copy(), parents.copy(), via.astype(np.int32))


def fairness_of(search: Search) -> tuple[np.ndarray, np.ndarray]:
    """The unit of each instance, -1 for an unfair one, and which units are strong."""
    numbers = {unit: k for k, unit in enumerate(sorted({u for u in search.unit if u is not None}, key=str))}
    unit_of_instance = np.array([-1 if u is None else numbers[u] for u in search.unit], np.int32)
    return unit_of_instance, np.array([u in search.strong for u in numbers], np.bool_)


@EXAMPLES
@given(digraphs())
def test_compiled_search_agrees_with_the_reference(system: System) -> None:
    search = Search(system)
    assert search.run(Limits(), False, None, 0.0) == ""
    found, everything = graph_of(search), range(len(search.states))
    fairness = fairness_of(search)
    for prop in system.properties:
        expected = search.finding(prop, "")
        if prop.kind == "hang":
            progressing = np.array([search.progresses(k) for k in range(len(search.instances))])
            stuck = np.array([not search.ask(search.all_final, s, prop) for s in everything])
            state = hang(found, progressing, stuck)
            assert expected.path == (None if state is None else search.path(state))
        elif prop.kind == "leads_to":
            verdict = Verdict.HOLDS
            for case in prop.cases:
                p, q = (np.array([search.ask(e, s, prop) for s in everything]) for e in case[1:])
                lasso = leads_to(found, p, q, *fairness)
                if lasso is not None:
                    verdict = Verdict.VIOLATED
                    check_lasso(system, case, *([search.instances[k] for k in part] for part in (lasso.stem, lasso.cycle)))
            assert verdict is expected.verdict
            if expected.path is not None:
                loop = expected.loop_start
                case = next(c for c in prop.cases if c[0] == expected.reason)
                check_lasso(system, case, list(expected.path[:loop]), list(expected.path[loop:]))
