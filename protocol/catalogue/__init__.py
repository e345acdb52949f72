"""The catalogue: named scenarios, each a system at given bounds, one property, and what is known of the answer.

A scenario's counts are recorded beside it; `interlock check --all` explores it again and fails when a verdict or a count
differs. `distinct` and `path_length` of None mean: not recorded yet, which the tests do not accept.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from ..errors import DefinitionError
from ..system import System


@dataclass(frozen=True)
class Scenario:
    """One question with its recorded answer.

    Args:
        name: a sentence in kebab-case. group: the subject it belongs to.
        build: the builder of its system. config: the keyword arguments it is called with.
        property: the one property that is asked. expected: "holds" or "violated".
        sources: pull requests and hazard numbers as in the facts ("#6680", "H1", "H-03").
        variant: the version of the protocol. about: what happens, in one paragraph.
        distinct, path_length: the recorded counts; path_length None for a property that holds without a witness.
        deep: too large for the everyday run; checked with --deep.
    """

    name: str
    group: str
    build: Callable[..., System]
    property: str
    expected: str
    sources: tuple[str, ...]
    variant: str
    about: str
    config: dict[str, Any] = field(default_factory=dict)
    distinct: int | None = None
    path_length: int | None = None
    deep: bool = False

    def system(self, **changes: Any) -> System:
        """The system at the scenario's bounds (with changes), asking only the scenario's property."""
        return self.build(**{**self.config, **changes}).focused(self.property)


@cache
def scenarios() -> dict[str, Scenario]:
    """Every scenario by name, in catalogue order."""
    from . import forward_signal, layer0_signal

    found: dict[str, Scenario] = {}
    for scenario in [*forward_signal.SCENARIOS, *layer0_signal.SCENARIOS]:
        if scenario.name in found:
            raise DefinitionError(f"two scenarios are called {scenario.name}; rename one")
        found[scenario.name] = scenario
    return found


def find_scenario(name: str) -> Scenario:
    """The scenario of that name; a DefinitionError that suggests near misses when there is none."""
    known = scenarios()
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    hint = f"did you mean {', '.join(near)}?" if near else "see `interlock list`"
    raise DefinitionError(f"there is no scenario {name!r}; {hint}")
