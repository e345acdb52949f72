"""Scenarios of one system, answered by one exploration.

Many scenarios ask one system at the same bounds different questions. Where these keep the same ghosts the states are the same, so that one
exploration answers all of them, and each gets the answer, the counts and the path that it would get by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from protocol.catalogue import Scenario
from protocol.catalogue.target import Target
from protocol.errors import DefinitionError

from . import UNLIMITED, check
from .result import Limits, Result


def batches(scenarios: Iterable[Scenario]) -> list[list[Scenario]]:
    """The scenarios of one builder and configuration side by side, in the order of the first of each."""
    found: dict[tuple[int, str], list[Scenario]] = {}
    for scenario in scenarios:
        found.setdefault((id(scenario.build), repr(sorted(scenario.config.items()))), []).append(scenario)
    return list(found.values())


def answered(batch: list[Scenario], limits: Limits = UNLIMITED) -> Iterator[tuple[Target, Result]]:
    """Each scenario of a batch with its answer; `seconds` are those of the exploration that it shares.

    Raises:
        DefinitionError: of their system, with the name of one of them.
    """
    try:
        whole = batch[0].build(**batch[0].config)
        for names in whole.alike(list(dict.fromkeys(s.property for s in batch))):
            system = whole.focused(*names)
            result = check(system, limits=limits)
            for scenario in (s for s in batch if s.property in names):
                others = {n for n in names if n != scenario.property}
                own = {n: f for n, f in result.findings.items() if n not in others}
                yield Target(scenario.name, system, dict(scenario.config), scenario), replace(result, findings=own)
    except DefinitionError as error:
        raise DefinitionError(f"{batch[0].name}: {error}") from error
