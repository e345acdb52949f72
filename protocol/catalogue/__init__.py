"""The catalogue: named scenarios, each a system at given bounds, one property, and what is known of the answer.

A scenario's counts are recorded beside it; `interlock check --all` explores it again and fails when a verdict or a count
differs. `distinct` and `path_length` of None mean: not recorded yet, which the tests do not accept.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any

from ..errors import DefinitionError
from ..system import System
from .hazard import Hazard

GROUPS = (
    "forward_signal",
    "collectives",
    "engine_threads",
    "intake",
    "lifecycle",
    "preparation",
    "prefix_cache",
    "layer0_signal",
    "sending",
    "network",
    "decode",
    "buffers",
    "links",
    "words",
    "repaired",
    "repaired_halves",
    "decode_ranks",
)
"""The modules of this package that hold a group each: its SCENARIOS and the HAZARDS that it owns."""


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
    found: dict[str, Scenario] = {}
    for group in GROUPS:
        for scenario in _module(group).SCENARIOS:
            if scenario.name in found:
                raise DefinitionError(f"two scenarios are called {scenario.name}; rename one")
            found[scenario.name] = scenario
    return found


@cache
def hazards() -> dict[str, Hazard]:
    """Every hazard by number, H1 .. H31 before H-01 .. H-43."""
    listed = [hazard for group in GROUPS for hazard in _module(group).HAZARDS]
    found = {hazard.number: hazard for hazard in sorted(listed, key=lambda h: ("-" in h.number, int(h.number.lstrip("H-"))))}
    if len(found) < len(listed):
        twice = sorted(n for n in found if sum(h.number == n for h in listed) > 1)
        raise DefinitionError(f"hazards given by two groups: {', '.join(twice)}; leave each to one")
    return found


@cache
def _named(group: str) -> dict[str, Scenario]:
    return {scenario.name: scenario for scenario in _module(group).SCENARIOS}


def _module(group: str) -> Any:
    return import_module(f".{group}", __package__)


DEEP_STATES = {"holds": 1_000_000, "violated": 3_500_000}
"""Above so many states a scenario is deep; a fault may cost more, so that the everyday run shows every one of them."""


def is_deep(distinct: int | None, expected: str) -> bool:
    """Whether a scenario of so many states is left out of the everyday run."""
    return distinct is not None and distinct > DEEP_STATES[expected]


def variant_scenario(
    group: str, build: Callable[..., System], name: str, asked: str, expected: str, distinct: int, path: int | None,
    sources: tuple[str, ...], about: str, variant: str, **bounds: Any,
) -> Scenario:  # fmt: skip
    """One scenario, called `group-name`, whose variant is part of its configuration."""
    config, deep = {"variant": variant, **bounds}, is_deep(distinct, expected)
    return Scenario(f"{group}-{name}", group, build, asked, expected, sources, variant, about, config, distinct, path, deep)


def find_scenario(name: str) -> Scenario:
    """The scenario of that name; a DefinitionError that suggests near misses when there is none.

    Cost: a look into one group after another, so that those behind it are not imported.
    """
    for known in map(_named, GROUPS):
        if name in known:
            return known[name]
    if ".py" in name:
        raise DefinitionError(f"{name} is no scenario: the engine drives the catalogue's only; check, explain or draw a system of your own")
    if name in hazards():
        raise DefinitionError(f"{name} is a hazard and no scenario; `interlock show {name}` lists its scenarios")
    near = difflib.get_close_matches(name, scenarios(), n=3, cutoff=0.4)
    hint = f"did you mean {', '.join(near)}?" if near else "see `interlock list`"
    raise DefinitionError(f"there is no scenario {name!r}; {hint}")
