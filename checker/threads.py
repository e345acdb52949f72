"""Fairness where states stand for their renamings: each unit that fairness is owed to is followed through a graph of representatives.

In a representative a unit of the system (a row in a copy) has another name, and a step renames it again. A *thread* is what one unit is
called along the states of a component. As the renamings are a finite group, a behaviour that stays in a component meets a unit wherever
its thread is, and nowhere else: so a thread is to the representatives what a unit is to the states themselves (Emerson and Sistla,
Utilizing symmetry when model checking under fairness assumptions, 1997). Why that is exact: docs/semantics.md, "Reductions".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from protocol.action import Instance

from .fairness import judge_threads
from .liveness import Lasso, StateGraph, components_of, cycle_in
from .permutation import Permutation

BYTES_OF_UNIT = 26
"""What one unit takes for a state while its component is judged."""


@dataclass(frozen=True)
class Threads:
    """How the edges of a graph of representatives rename instances, and the units that fairness is owed to.

    Renaming 0 leaves everything as it is. Shapes: turned_by [edges] int8, the renaming by which a successor became its representative, less
    one; units [renamings, units], instances [renamings, instances] int32, what each becomes; inverse [renamings] and
    after [renamings, renamings] int64, `after[g, h]` being first h, then g.
    """

    turned_by: np.ndarray
    units: np.ndarray
    instances: np.ndarray
    inverse: np.ndarray
    after: np.ndarray

    def judge(self, graph: StateGraph, component: Any, order: Any, part: Any, unit_of_instance: Any, unit_is_strong: Any, goal: Any) -> Any:
        """As `liveness` judges every component, with threads for units."""
        arrays = (graph.offsets, graph.targets, graph.instances, component, order, part, unit_of_instance, unit_is_strong, goal)
        return judge_threads(*arrays, self.turned_by, self.units)

    def unfolded(
        self, graph: StateGraph, edges: list[int], component: np.ndarray, end: int, resting: bool, unit_of_instance: Any, unit_is_strong: Any
    ) -> Lasso:
        """The behaviour of the system that goes along these edges to the representative `end`, and round in its component."""
        steps, turn = [], 0  # the renaming of the representative that the behaviour is in
        for edge in edges:
            steps.append(int(self.instances[turn, graph.instances[edge]]))
            turn = int(self._next(np.int64(turn), np.int64(edge)))
        if resting:
            return Lasso(steps, [])
        lifted, place = self._lifted(graph, component, int(component[end]))
        here = int(place[end]) * len(self.inverse) + turn
        return Lasso(steps, cycle_in(lifted, components_of(lifted), here, unit_of_instance, unit_is_strong))

    def _next(self, turn: Any, edge: Any) -> Any:
        return self.after[turn, self.inverse[self.turned_by[edge].astype(np.int64) + 1]]

    def _lifted(self, graph: StateGraph, component: np.ndarray, name: int) -> tuple[StateGraph, np.ndarray]:
        """All states that a component stands for, one per representative and renaming; and the place of each representative."""
        members = np.flatnonzero(component == name)
        place = np.full(graph.states, -1, np.int64)
        place[members] = np.arange(len(members))
        source = np.repeat(np.arange(graph.states), np.diff(graph.offsets))
        edge = np.flatnonzero(component[source] == name)
        renamings, outside = len(self.inverse), len(members) * len(self.inverse)
        turn, edge = np.tile(np.arange(renamings), len(edge)), np.repeat(edge, renamings)
        # What leaves the component enables its unit all the same: it stays, as an edge to one more state.
        target = np.where(component[graph.targets[edge]] == name, place[graph.targets[edge]] * renamings + self._next(turn, edge), outside)
        begins = place[source[edge]] * renamings + turn
        order = np.argsort(begins, kind="stable")
        offsets = np.searchsorted(begins[order], np.arange(outside + 2)).astype(np.int64)
        instances = self.instances[turn, graph.instances[edge]]
        root = np.full(outside + 1, -1, np.int64)
        return StateGraph(offsets, target[order].astype(np.int32), instances[order].astype(np.int32), root, root.astype(np.int32)), place


def threads_of(renamings: list[Permutation], instances: list[Instance], unit_of_instance: np.ndarray, units: int, turned_by: np.ndarray) -> Threads:
    """The threads of a graph whose representatives were found among these renamings, all of a group with the identity first."""
    number = {g: k for k, g in enumerate(renamings)}
    place = {_key(i): k for k, i in enumerate(instances)}
    images = np.array([[place[_key(g.instance(i))] for i in instances] for g in renamings], np.int32)
    renamed = np.tile(np.arange(units, dtype=np.int32), (len(renamings), 1))
    fair = np.flatnonzero(unit_of_instance >= 0)
    renamed[:, unit_of_instance[fair]] = unit_of_instance[images[:, fair]]
    inverse = np.array([number[g.inverse] for g in renamings], np.int64)
    after = np.array([[number[g.after(h)] for h in renamings] for g in renamings], np.int64)
    return Threads(turned_by, renamed, images, inverse, after)


def _key(instance: Instance) -> tuple[int, tuple, tuple]:
    return instance.action.number, instance.copy, instance.values
