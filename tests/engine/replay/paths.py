"""Paths for the replays of the tests, found by the checker, and what they do: once a scenario, for all tests."""

from __future__ import annotations

from functools import cache

from checker import check
from engine.replay import Replay, replay
from protocol.catalogue import find_scenario
from protocol.trace import Trace, trace_of


@cache
def found(name: str) -> Trace:
    """The shortest counterexample of a scenario, or its witness."""
    scenario = find_scenario(name)
    system = scenario.system()
    path = check(system, first=True).findings[scenario.property].path
    assert path is not None
    trace = trace_of(system, path, property=scenario.property)
    trace.scenario, trace.config = name, scenario.config
    return trace


@cache
def replayed(name: str) -> Replay:
    """What the path does."""
    return replay(found(name))
