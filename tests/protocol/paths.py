"""Shortest paths as text, and the stories that tests expect of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, partial

from checker import check
from protocol import System
from protocol.catalogue import find_scenario


def paths_of(group: str = "") -> Callable[[str], list[str]]:
    """The function from a scenario's name, without its group, to its shortest path."""
    return partial(_path_of, f"{group}-" if group else "")


@cache
def _path_of(prefix: str, name: str) -> list[str]:
    asked = find_scenario(prefix + name)
    return path_to(asked.system(), asked.property)


def path_to(system: System, asked: str) -> list[str]:
    """The steps of the shortest path that answers that property, as `worker[0,1].read_batch(slot=0)`."""
    path = check(system.focused(asked)).findings[asked].path
    assert path is not None, f"{asked} is answered without a path"
    return [str(step) for step in path]


def events(steps: list[str]) -> list[str]:
    """The steps as `worker.read_batch`: without copies and choices."""
    return [re.sub(r"\[.*?\]|\(.*", "", step) for step in steps]


def in_order(steps: list[str], *expected: str) -> bool:
    """Whether the expected steps occur in this order, others between them.

    A step is expected by its event, or by its event and the beginning of its choices: `prepare[0].hold`, `prepare[0].hold(request=1`.
    """
    rest = iter(steps)
    return all(any(is_step(step, e) for step in rest) for e in expected)


def is_step(step: str, expected: str) -> bool:
    """Whether it is the expected step."""
    return step == expected or step.startswith(expected if "(" in expected else f"{expected}(")
