"""The cross-check of machines and tensors: where the properties hold, no walk may damage anything.

The checker knows the rows and no bytes, the handlers the bytes and no properties. Each version that holds is driven along seeded rough
walks; a token hit, a byte in a free or a foreign block, a request that never ends or a block that stays taken there is an error of the
machines (a property is missing) or of the handlers. So was found that a stopped request gave its block back while a step wrote it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from protocol.catalogue import Scenario, scenarios
from protocol.system import System

from ..model.numerics import exact
from .damage import Damage
from .instance import weights
from .registry import SUBJECTS
from .replay import run
from .schedule import FAULT_CHANCE, Rough

FAULT_CHANCES = (FAULT_CHANCE, FAULT_CHANCE / 10, FAULT_CHANCE / 100)


@dataclass(frozen=True)
class Version:
    """One configuration of a builder: the first scenario that asks about it, and the arguments."""

    scenario: Scenario
    config: dict[str, Any]

    def walk(self, seed: int) -> Damage:
        """What one rough walk does; the seed is of prompts and schedule. A request may wait for who is dead, so the dead return.

        Of any `len(FAULT_CHANCES)` seeds in a row each has another chance of faults: where they are frequent, hardly a request gets through.
        """
        schedule = Rough(seed, faults=FAULT_CHANCES[seed % len(FAULT_CHANCES)], returns=True)
        return run(SUBJECTS[self.scenario.build], self._system, self.config, schedule, seed=seed, kept=(exact,))[0]

    @property
    def _system(self) -> System:
        return self.scenario.build(**self.config)

    def __str__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.config.items())
        return f"{self.scenario.build.__module__}.build({arguments})"


def holding(build: Callable[..., System]) -> list[Version]:
    """Every configuration of the catalogue in the version that holds, each once."""
    subject = SUBJECTS[build]
    found: dict[str, Version] = {}
    for scenario in (s for s in scenarios().values() if s.build is build and subject.drives(s.config)):
        config = {**scenario.config, **subject.harmless(scenario.config)}
        config |= subject.engine_bounds(config)
        found.setdefault(repr(sorted(config.items(), key=str)), Version(scenario, config))
    return [version for version in found.values() if _fits(version)]


def _fits(version: Version) -> bool:
    """Whether the model can be cut into so many ranks."""
    config, ranks = weights().config, version.config.get("ranks", 1)
    return not (config.kv_heads % ranks or config.intermediate % ranks)
