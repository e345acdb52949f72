"""Directed graphs, small and plain: what the reference explorer asks of the states it has found.

Nodes are whole numbers, edges a function from a node to its (label, target) pairs, in order. This is the only file that
imports networkx. The compiled search (`liveness.py`) shares no line with it, so that each can convict the other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

import networkx

Edges = Callable[[int], Iterable[tuple[int, int]]]
"""The (label, target) pairs that leave a node."""


def components(nodes: set[int], edges: Edges) -> list[set[int]]:
    """The strongly connected components of the subgraph of these nodes, the one with the least node first."""
    graph = networkx.DiGraph()
    graph.add_nodes_from(nodes)
    graph.add_edges_from((node, target) for node in nodes for _, target in edges(node) if target in nodes)
    return sorted(networkx.strongly_connected_components(graph), key=min)


def reaching(goals: set[int], nodes: Iterable[int], edges: Edges) -> set[int]:
    """The nodes from which some goal can be reached, the goals included."""
    before: dict[int, list[int]] = {}
    for node in nodes:
        for _, target in edges(node):
            before.setdefault(target, []).append(node)
    found, queue = set(goals), deque(goals)
    while queue:
        for node in before.get(queue.popleft(), ()):
            if node not in found:
                found.add(node)
                queue.append(node)
    return found


def reachable(starts: Iterable[int], inside: set[int], edges: Edges) -> set[int]:
    """The nodes that some start reaches without leaving `inside`, the starts included."""
    found = set(starts)
    queue = deque(found)
    while queue:
        for _, target in edges(queue.popleft()):
            if target in inside and target not in found:
                found.add(target)
                queue.append(target)
    return found


def shortest_walk(starts: Iterable[int], goal: Callable[[int], bool], inside: set[int], edges: Edges) -> tuple[int, list[int], int] | None:
    """A shortest walk from one of the starts to a goal inside a set of nodes: (start, labels, end); None when there is none."""
    came: dict[int, tuple[int, int] | None] = dict.fromkeys(starts)
    queue = deque(came)
    while queue:
        node = end = queue.popleft()
        if goal(node):
            labels: list[int] = []
            while (step := came[node]) is not None:
                node = step[0]
                labels.append(step[1])
            return node, labels[::-1], end
        for label, target in edges(node):
            if target in inside and target not in came:
                came[target] = (node, label)
                queue.append(target)
    return None
