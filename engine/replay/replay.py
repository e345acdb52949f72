"""A replay: the engine is driven along a recorded path, goes on with a seeded fair schedule until nothing happens, and is measured.

*Before* is the same builder with the argument that makes it hold, the same requests and seed, without a path: what a healthy engine's
k3 is. Both are run in 32 bits, where rounding is all that a healthy engine shows, and in bfloat16.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from protocol import DefinitionError
from protocol.catalogue import Scenario, find_scenario
from protocol.system import System
from protocol.trace import Trace

from ..model.numerics import bfloat16, exact
from ..roles.binding import Bindings
from .damage import Damage, measure
from .registry import SUBJECTS
from .walk import Step, Walk
from .world import World

ROUNDS_MAX = 3000
PATIENCE_ROUNDS = 15
"""Rounds in which nothing new happens, after which time-outs end."""
QUIET_ROUNDS = 40
"""Such rounds, after which nothing new is expected to happen any more."""


@dataclass(frozen=True)
class Replay:
    """The damage along a path, beside that of the version that holds; both also in an engine of bfloat16."""

    scenario: Scenario
    before: Damage
    after: Damage
    before_bfloat16: Damage
    after_bfloat16: Damage

    @property
    def ratio(self) -> float | None:
        """How many times k3_kl_mean has grown; None where either run told no token."""
        return _ratio(self.before, self.after)

    @property
    def ratio_bfloat16(self) -> float | None:
        """The same in bfloat16."""
        return _ratio(self.before_bfloat16, self.after_bfloat16)


def replay(trace: Trace, seed: int = 0) -> Replay:
    """Replay a trace of a catalogue scenario.

    Raises:
        DefinitionError: there are no handlers for its builder. TraceError: its steps are not the system's.
    """
    scenario = find_scenario(trace.scenario) if trace.scenario else None
    if scenario is None:
        raise DefinitionError("the trace names no scenario of the catalogue, and handlers exist for those only; see `interlock list`")
    subject, config = subject_of(scenario), {**scenario.config, **trace.config}
    config |= subject.engine_bounds(config)
    system = scenario.build(**config).focused(scenario.property)
    holding = {**config, **subject.harmless(config)}
    harmless = scenario.build(**holding)
    before, before_bfloat16 = run(subject, harmless, holding, seed=seed)
    after, after_bfloat16 = run(subject, system, config, trace, seed=seed)
    return Replay(scenario, before, after, before_bfloat16, after_bfloat16)


def subject_of(scenario: Scenario) -> type[World]:
    """The world of a scenario's builder.

    Raises:
        DefinitionError: there is none.
    """
    if scenario.build not in SUBJECTS:
        known = ", ".join(sorted({build.__module__.rpartition(".")[2] for build in SUBJECTS}))
        raise DefinitionError(f"{scenario.name}: no handlers are bound to the rows of {scenario.build.__module__}; they are for {known}")
    return SUBJECTS[scenario.build]


def run(subject: type[World], system: System, config: dict[str, Any], trace: Trace | None = None, *, seed: int = 0) -> list[Damage]:
    """One run in 32 bits and in bfloat16: along the trace if there is one, then by a fair schedule until nothing happens any more.

    What the tensors hold decides nothing, so both worlds see the same rows.
    """
    worlds = [subject(system, config, seed, narrow) for narrow in (exact, bfloat16)]
    bindings = [Bindings(system, world.roles(), ()) for world in worlds]

    def act(step: Step) -> None:
        for world, bound in zip(worlds, bindings):
            world.committed(step)
            handler = bound.after(step.name)
            if handler is not None:
                handler(step)

    walk = Walk(system, act)
    if trace is not None:
        walk.follow(trace)
    go_on(walk, worlds, random.Random(seed))
    return [measure(world, walk.waiting(), walk.fired) for world in worlds]


def go_on(walk: Walk, worlds: Sequence[World], rng: random.Random) -> None:
    """The fair schedule, until nothing happens: no row fires, or for many rounds no state is new and no token comes, not even by a timer."""
    quiet, seen = 0, {walk.state}
    for _ in range(ROUNDS_MAX):
        fired = walk.round(rng, worlds[0].permits, timers=quiet > PATIENCE_ROUNDS)
        worked, fresh = any([world.turn() for world in worlds]), walk.state not in seen
        seen.add(walk.state)
        quiet = 0 if worked or fresh else quiet + 1 if fired else max(quiet + 1, PATIENCE_ROUNDS + 1)
        if quiet > QUIET_ROUNDS or (not fired and quiet > PATIENCE_ROUNDS + 1):
            return


def _ratio(before: Damage, after: Damage) -> float | None:
    return after.k3_mean / before.k3_mean if before.tokens and after.tokens and before.k3_mean else None
