"""The whole catalogue: every hazard is there, found and mended; no claim is empty, and none holds because nothing could break it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from protocol import machines
from protocol.catalogue import GROUPS, Scenario, find_scenario, hazards, scenarios
from protocol.catalogue.hazard import Hazard
from protocol.errors import DefinitionError
from protocol.machines.repaired import decode_ranks, decode_rounds, halves, protocol
from protocol.render.catalogue import (
    BESIDE,
    by_pull,
    counterexamples,
    find_hazard,
    find_pull,
    hazards_about,
    hazards_of,
    is_witness,
    pull_title,
    pulls_of,
    tallies,
)
from protocol.render.pulls import PULLS
from protocol.system import System

NUMBERS = [f"H{n}" for n in range(1, 32)] + [f"H-{n:02}" for n in range(1, 44)]
Build = Callable[..., System]

CLAIMS = ("always", "never")
"""Kinds that a `sometimes` of the same system must accompany, or they may hold because nothing happens."""

UNBROKEN_KINDS = {
    "sometimes": "a witness: that it is violated somewhere would only say that something is not reachable there",
    "illegal": "free with every row that is marked illegal; it is violated only where a received message was forgotten in a table",
}
"""Kinds of properties that need not be violated anywhere, and why."""

WHOLE_OF = {halves.build: protocol.build, decode_ranks.build: protocol.build, decode_rounds.build: protocol.build}
"""Builders of parts (docs/semantics.md, "Environments"), and of the whole that they are parts of. In a part no `sometimes` can be asked,
and some faults are left to the whole: there its properties have their witnesses, and are violated."""


@cache
def systems() -> list[tuple[Build, System]]:
    """A system for every variant of every builder, and for every property that is asked of it."""
    found: list[tuple[Build, System]] = []
    met: set[tuple[Build, str]] = set()
    for scenario in scenarios().values():
        new = {(scenario.build, scenario.variant), (scenario.build, scenario.property)} - met
        if new:
            met |= new
            found.append((scenario.build, scenario.build(**scenario.config)))
    return found


@cache
def kinds() -> dict[tuple[Build, str], str]:
    """The kind of every property that a scenario asks, by builder."""
    return {(build, p.name): p.kind for build, system in systems() for p in system.properties}


def kind_of(scenario: Scenario) -> str:
    return kinds()[scenario.build, scenario.property]


def asked() -> dict[Build, dict[str, list[Scenario]]]:
    """Scenarios by builder and property."""
    found: dict[Build, dict[str, list[Scenario]]] = defaultdict(lambda: defaultdict(list))
    for scenario in scenarios().values():
        found[scenario.build][scenario.property].append(scenario)
    return found


def told(missing: list[str]) -> str:
    return f"{len(missing)} missing:\n" + "\n".join(missing)


def where(build: Build) -> str:
    return f"{build.__module__.removeprefix('protocol.machines.')}:{build.__name__}"


# -- hazards ---------------------------------------------------------------------------------------------------------


def test_every_hazard_of_the_facts_is_there_and_no_other() -> None:
    missing = [number for number in NUMBERS if number not in hazards()]
    assert not missing, told(missing)
    assert list(hazards()) == NUMBERS


def test_every_hazard_is_found_somewhere_and_mended_somewhere() -> None:
    missing = []
    for number in NUMBERS:
        hazard = hazards().get(number)
        if hazard is not None and hazard.unmodelled:
            continue
        verdicts = {s.expected for s in scenarios().values() if number in s.sources and not is_witness(s)}
        missing += [
            f"{number}: no scenario in which it {'is violated' if v == 'violated' else v}" for v in ("violated", "holds") if v not in verdicts
        ]
    assert not missing, told(missing)


def test_hazard_is_told_by_an_everyday_counterexample_of_its_own() -> None:
    told = {h.number: find_scenario(h.told_by) for h in hazards().values() if h.told_by}
    wrong = [f"{n}: {s.name}" for n, s in told.items() if n not in hazards_of(s) or s.expected != "violated" or s.deep or is_witness(s)]
    assert not wrong, ", ".join(wrong)
    assert all(counterexamples(n)[0] is s for n, s in told.items())


def test_hazard_that_is_not_modelled_has_no_violated_scenario() -> None:
    wrong = [h.number for h in hazards().values() if h.unmodelled and counterexamples(h.number)]
    assert not wrong, told(wrong)


def test_what_is_violated_for_a_hazard_holds_in_another_variant() -> None:
    """The very property, in the very system: else the mend may be about something else."""
    missing = []
    for hazard in hazards().values():
        broken = {(s.build, s.property) for s in counterexamples(hazard.number)}
        holds = {(s.build, s.property) for s in scenarios().values() if hazard.number in s.sources and s.expected == "holds"}
        if broken and not broken & holds:
            missing.append(f"{hazard.number}: none of {sorted({p for _, p in broken})} holds in another scenario of {hazard.number}")
    assert not missing, told(missing)


@pytest.mark.parametrize("hazard", hazards().values(), ids=lambda h: h.number)
def test_hazard_says_what_happens(hazard: Hazard) -> None:
    assert hazard.title and hazard.claim
    assert len(hazard.about) > 60 and hazard.about.rstrip().endswith(".")
    assert all(re.fullmatch(r"#\d{3,6}", pull) for pull in hazard.pulls)
    assert not (hazard.unmodelled and hazard.finding)


# -- no claim is empty -------------------------------------------------------------------------------------------------


def test_every_claim_has_a_witness_in_the_same_system() -> None:
    missing = []
    of_all = asked()
    for build, properties in of_all.items():
        claims = sorted(p for p in properties if kinds()[build, p] in CLAIMS)
        of = WHOLE_OF.get(build, build)
        witnessed = any(s.expected == "holds" for p, mine in of_all[of].items() if kinds()[of, p] == "sometimes" for s in mine)
        missing += [f"{where(build)}: no `sometimes` scenario that holds, for {', '.join(claims)}"] if claims and not witnessed else []
    assert not missing, told(missing)


def test_every_property_that_holds_is_violated_in_another_scenario_of_its_system() -> None:
    """Or in one of the whole that it is a part of, or of a part of it."""
    missing = []
    of_all = asked()
    for build, properties in of_all.items():
        for name, mine in properties.items():
            of = WHOLE_OF.get(build, build)
            family = {build, of, *(part for part, whole in WHOLE_OF.items() if whole is of)}
            answers = {s.expected for member in family for s in of_all[member].get(name, ())}
            if kinds()[build, name] not in UNBROKEN_KINDS and answers == {"holds"}:
                missing.append(f"{where(build)}: {name} ({kinds()[build, name]}) holds in {len(mine)} scenarios and is violated in none")
    assert not missing, told(missing)


def test_witnesses_are_named_as_such() -> None:
    """The reading parts go by the name, so that nothing need be built."""
    wrong = [s.name for s in scenarios().values() if is_witness(s) != (kind_of(s) == "sometimes")]
    assert not wrong, told(wrong)


# -- scenarios -----------------------------------------------------------------------------------------------------------


def test_every_scenario_is_complete() -> None:
    wrong = []
    for s in scenarios().values():
        needs = {
            "a source": bool(s.sources),
            "a paragraph that ends in a full stop": s.about.endswith((".", ".)")),
            "its number of states": bool(s.distinct),
            "its path's length": s.path_length is not None or s.expected == "holds" or is_witness(s),
            "a name in kebab-case": bool(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", s.name)),
        }
        wrong += [f"{s.name}: {need}" for need, met in needs.items() if not met]
    assert not wrong, told(wrong)


def test_every_source_is_known() -> None:
    wrong = []
    for s in scenarios().values():
        wrong += [f"{s.name}: hazard {n}" for n in hazards_of(s) if n not in NUMBERS]
        wrong += [f"{s.name}: {p} has no title in protocol/render/pulls.py" for p in pulls_of(s) if p not in PULLS]
    wrong += [f"{h.number}: {p} has no title in protocol/render/pulls.py" for h in hazards().values() for p in h.pulls if p not in PULLS]
    assert not wrong, told(wrong)


def test_no_row_claims_atomicity() -> None:
    """Read from the sources: a row may exist at bounds only that no system built here has."""
    claiming = [path.name for path in sorted(Path(machines.__file__).parent.rglob("*.py")) if "assume_atomic" in path.read_text()]
    assert not claiming


def test_every_group_has_scenarios() -> None:
    missing = [g for g in GROUPS if not any(s.group == g.replace("_", "-") for s in scenarios().values())]
    assert not missing, told(missing)


def test_repaired_protocol_is_violated_only_with_a_part_left_out() -> None:
    wrong = [s.name for s in scenarios().values() if s.variant == "repaired" and s.expected == "violated" and "-without-" not in s.name]
    assert not wrong, told([f"{name}: names a part as left out in its variant, or has -without- in its name" for name in wrong])


# -- reading it ------------------------------------------------------------------------------------------------------------


def test_pull_requests_come_in_order_and_the_rest_last() -> None:
    grouped = by_pull(scenarios().values())
    pulls = [p for p in grouped if p != BESIDE]
    assert pulls == sorted(pulls, key=lambda p: int(p[1:])) and list(grouped)[-1] in (BESIDE, *pulls[-1:])
    assert [len(mine) for mine in grouped.values()] and sum(map(len, grouped.values())) == len(scenarios())
    assert all(pulls_of(s)[0] == pull for pull, mine in grouped.items() for s in mine if pull != BESIDE)
    assert pull_title("#7791") == "#7791: reverts #6680"


def test_verdicts_are_by_variant_with_the_shortest_path() -> None:
    found = {(t.question, t.variant): t for t in tallies("H18")}
    assert found["batching", "T1"].verdict == "violated" and found["batching", "T2"].verdict == "holds"
    assert found["batching", "T1"].told.path_length == min(s.path_length or 0 for s in found["batching", "T1"].violated)
    assert not any(is_witness(s) for t in found.values() for s in t.scenarios)
    questions = [t.question for t in tallies("H18")]
    assert [q for k, q in enumerate(questions) if q not in questions[:k]] == list(dict.fromkeys(questions))


def test_main_counterexample_names_its_hazard_first_and_is_quick() -> None:
    assert counterexamples("H17")[0].name == "intake-returned-twice-in-b"
    assert counterexamples("H-10")[0].name == "intake-request-in-flight-returned-twice-in-locked"
    assert not any(is_witness(s) or s.expected == "holds" for number in NUMBERS for s in counterexamples(number))


@pytest.mark.parametrize("name", ["h1", "H01", "H-1", "1", "h-01", "H_1", "H 01"])
def test_near_miss_suggests_both_hazards(name: str) -> None:
    with pytest.raises(DefinitionError) as error:
        find_hazard(name)
    for number in ("H1", "H-01"):
        if number in hazards():
            assert f"{number} ({hazards()[number].title})" in str(error.value)


def test_number_of_no_hazard_is_told() -> None:
    with pytest.raises(DefinitionError, match="there is no hazard 'H-77'"):
        find_hazard("H-77")
    assert find_hazard("early-zero-in-b-async-tp2") is None and find_pull("early-zero-in-b-async-tp2") is None


def test_pull_requests_are_found_with_and_without_their_mark() -> None:
    assert find_pull("#7791") == find_pull("7791") == "#7791"
    assert {"H19"} <= {h.number for h in hazards_about("#7791")}
    with pytest.raises(DefinitionError, match="no scenario cites #1234; those cited are"):
        find_pull("#1234")


def test_scenario_is_suggested_for_a_near_miss() -> None:
    with pytest.raises(DefinitionError, match="did you mean .*intake-third-request-skipped-in-t1"):
        find_scenario("intake-third-request-skipped")
