"""The catalogue as a reader meets it: by pull request, by hazard, and the verdict per variant.

Both the command (`interlock list`, `interlock show`) and the generated docs/catalogue.md are made of these parts, so that they
cannot differ. Nothing is explored here: every figure is the recorded one, which the tests compare with a fresh exploration.

A *claim* is a scenario that asks whether something can go wrong; a *witness* (`some_...`) shows that a claim is not empty, and
has no part in a verdict. Neither has a scenario that leaves a part of a variant out on purpose (*-without-* in its name).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ..catalogue import Scenario, hazards, scenarios
from ..catalogue.hazard import Hazard
from ..errors import DefinitionError
from ..system import System
from .pulls import PULLS

BESIDE = "beside the pull requests"
REFERENCE = "repaired"
OURS = "protocol.machines.repaired."
"""Where the whole of the repaired protocol is built, and parts of it that leave a rule out."""


# -- what a scenario is about ----------------------------------------------------------------------------------------


def pulls_of(scenario: Scenario) -> list[str]:
    """The pull requests among its sources."""
    return [s for s in scenario.sources if s.startswith("#")]


def hazards_of(scenario: Scenario) -> list[str]:
    """The hazards among its sources."""
    return [s for s in scenario.sources if re.fullmatch(r"H-?\d+", s)]


def is_witness(scenario: Scenario) -> bool:
    """Whether it only shows that claims are not empty."""
    return scenario.property.startswith("some_")


def is_judged(scenario: Scenario) -> bool:
    """Whether it has a part in the verdict of its variant."""
    return not is_witness(scenario) and "-without-" not in scenario.name


def question(scenario: Scenario) -> str:
    """The question that its system is about: the file of its builder, in words."""
    *_, subject, file = scenario.build.__module__.split(".")
    return (f"{subject} {file}" if file == "protocol" else file).replace("_", " ")


def by_pull(listed: Iterable[Scenario]) -> dict[str, list[Scenario]]:
    """Scenarios by their first pull request, in the order of the numbers; those without one at the end."""
    found: dict[str, list[Scenario]] = {}
    for scenario in listed:
        found.setdefault(next(iter(pulls_of(scenario)), BESIDE), []).append(scenario)
    return {pull: found[pull] for pull in sorted(found, key=_pull_order)}


def pull_title(pull: str) -> str:
    """`#7724: what it did`."""
    return f"{pull}: {PULLS[pull]}" if pull in PULLS else pull


def by_question(listed: Iterable[Scenario]) -> dict[str, list[Scenario]]:
    """Scenarios by the question that they ask, in catalogue order."""
    found: dict[str, list[Scenario]] = {}
    for scenario in listed:
        found.setdefault(question(scenario), []).append(scenario)
    return found


def _pull_order(pull: str) -> tuple[bool, int]:
    return pull == BESIDE, int(pull.lstrip("#")) if pull != BESIDE else 0


# -- verdicts --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tally:
    """What the claims about one hazard in one variant come to. `shortest`: the violated one with the shortest path."""

    variant: str
    question: str
    scenarios: tuple[Scenario, ...]

    @property
    def violated(self) -> list[Scenario]:
        """The claims that are violated, the shortest path first."""
        found = [s for s in self.scenarios if s.expected == "violated"]
        return sorted(found, key=lambda s: (s.path_length is None, s.path_length or 0))

    @property
    def told(self) -> Scenario:
        """The scenario whose counts are shown: the shortest path of the violated, else the largest that holds."""
        return self.violated[0] if self.violated else max(self.scenarios, key=lambda s: s.distinct or 0)

    @property
    def verdict(self) -> str:
        """violated or holds."""
        return "violated" if self.violated else "holds"

    @property
    def share(self) -> str:
        """How many claims are violated, of how many."""
        return f"{len(self.violated)} of {len(self.scenarios)}" if self.violated else str(len(self.scenarios))


def tallies(number: str, listed: Iterable[Scenario] | None = None) -> list[Tally]:
    """The verdicts about a hazard or pull request: by question, then by variant in catalogue order, ours last."""
    mine = [s for s in (scenarios().values() if listed is None else listed) if number in s.sources and is_judged(s)]
    found: dict[tuple[str, str], list[Scenario]] = {}
    for scenario in mine:
        found.setdefault((question(scenario), scenario.variant), []).append(scenario)
    order = list(dict.fromkeys(asked for asked, _ in found))
    keys = sorted(found, key=lambda key: (order.index(key[0]), key[1] == REFERENCE))
    return [Tally(variant, asked, tuple(found[asked, variant])) for asked, variant in keys]


def counterexamples(number: str) -> list[Scenario]:
    """The violated claims about a hazard, the main one first: the one that tells it, or an everyday one that names it before any other."""
    main = hazards()[number].told_by

    def order(scenario: Scenario) -> tuple[bool, bool, bool]:
        return scenario.name != main, scenario.deep, hazards_of(scenario)[0] != number

    cited = [s for s in scenarios().values() if number in hazards_of(s) and is_judged(s)]
    return sorted((s for s in cited if s.expected == "violated" and s.path_length is not None), key=order)


# -- looking up ------------------------------------------------------------------------------------------------------


def find_hazard(name: str) -> Hazard | None:
    """The hazard of that number; None when the name is no hazard number at all.

    Raises:
        DefinitionError: it looks like a hazard number and is none; names both that it may mean.
    """
    known = hazards()
    if name in known:
        return known[name]
    number = re.fullmatch(r"[hH]?[-_ ]?0*(\d{1,2})", name)
    if number is None:
        return None
    near = [n for n in (f"H{int(number[1])}", f"H-{int(number[1]):02}") if n in known]
    if not near:
        raise DefinitionError(f"there is no hazard {name!r}; see `interlock list`")
    meant = " or ".join(f"{n} ({known[n].title})" for n in near)
    raise DefinitionError(f"there is no hazard {name!r}; did you mean {meant}?")


def find_pull(name: str) -> str | None:
    """The pull request of that number, `#7724` or `7724`; None when the name is no such number.

    Raises:
        DefinitionError: no scenario and no hazard cites it.
    """
    number = re.fullmatch(r"#?(\d{3,6})", name)
    if number is None:
        return None
    pull = f"#{number[1]}"
    cited = {p for s in scenarios().values() for p in pulls_of(s)} | {p for h in hazards().values() for p in h.pulls}
    if pull not in cited:
        raise DefinitionError(f"no scenario cites {pull}; those cited are {', '.join(sorted(cited, key=_pull_order))}")
    return pull


def mentions(word: str) -> tuple[list[Hazard], list[Scenario]]:
    """The hazards that speak of something, and the scenarios that do, or whose system is written with it: a cell, a row, a state."""
    wanted = word.lower()
    told = [h for h in hazards().values() if wanted in f"{h.title} {h.about} {h.claim} {h.finding} {h.unmodelled}".lower()]
    written = {build: wanted in _source(build).lower() for build in {s.build for s in scenarios().values()}}
    found = [s for s in scenarios().values() if wanted in f"{s.name} {s.property} {s.about}".lower() or written[s.build]]
    return told, found


def _source(build: Callable[..., System]) -> str:
    module = inspect.getmodule(build)
    assert module is not None
    return inspect.getsource(module)


def hazards_about(pull: str, listed: Iterable[Scenario] | None = None) -> list[Hazard]:
    """The hazards of a pull request: those that name it, and those that a version of it has. Ours cites all that it keeps, and has none."""
    own = [s for s in (scenarios().values() if listed is None else listed) if pull in s.sources and not s.build.__module__.startswith(OURS)]
    cited = {number for s in own if s.expected == "violated" for number in hazards_of(s)}
    return [h for h in hazards().values() if pull in h.pulls or h.number in cited]


def cited_hazards(listed: Iterable[Scenario]) -> list[Hazard]:
    """The hazards that some of the scenarios cite."""
    cited = {number for s in listed for number in hazards_of(s)}
    return [h for h in hazards().values() if h.number in cited]


def variants(verdict: str, found: Sequence[Tally]) -> str:
    """The variants with that verdict, each once."""
    return ", ".join(dict.fromkeys(t.variant for t in found if t.verdict == verdict))
