"""A replay: the engine is driven along a recorded path, goes on with a seeded fair schedule until nothing happens, and is measured.

A path ends where a property is broken; what that costs is up to who goes on. Of some schedules the first that hurts a token is told,
else the first that does any damage.

*Before* is the same builder with the argument that makes it hold, the same requests and seed, without a path: what a healthy engine's
k3 is. Both are run in 32 bits, where rounding is all that a healthy engine shows, and in bfloat16.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from protocol import DefinitionError
from protocol.catalogue import Scenario, find_scenario
from protocol.system import System
from protocol.trace import Trace

from ..binding import Bindings
from ..model.numerics import Narrow, bfloat16, exact
from .damage import Damage, measure
from .registry import SUBJECTS
from .schedule import Held, Rough, Schedule, go_on
from .walk import Step, Walk
from .world import Spectator, World

CONTINUATIONS = 6
"""Schedules after a path that are tried."""
BASE_RUNS = 4
"""Runs of the version that holds, which all show the same noise."""


@dataclass(frozen=True)
class Replay:
    """The damage along a path, beside that of the version that holds; both also in an engine of bfloat16. `seed`: of the schedule after it."""

    scenario: Scenario
    seed: int
    before: Damage
    after: Damage
    before_bfloat16: Damage
    after_bfloat16: Damage


def replay(trace: Trace, seed: int = 0) -> Replay:
    """Replay a trace of a catalogue scenario; `seed`: of the prompts, and of the first schedule that is tried.

    Raises:
        DefinitionError: the trace names no scenario. TraceError: its steps are not the system's.
    """
    if not trace.scenario:
        raise DefinitionError("the trace names no scenario of the catalogue, and only those are replayed; see `interlock list`")
    scenario = find_scenario(trace.scenario)
    subject = subject_of(scenario)
    before, before_bfloat16 = run(subject, *holding(scenario, subject), Schedule(seed), seed=seed)
    system, config = violated(scenario, subject, trace)
    worst, damage = seed, None
    for tried in range(seed, seed + CONTINUATIONS):
        (found,) = run(subject, system, config, Schedule(tried), trace, seed=seed, kept=(exact,))
        if damage is None or _badness(found) > _badness(damage):
            worst, damage = tried, found
        if found.hit:
            break
    after, after_bfloat16 = run(subject, system, config, Schedule(worst), trace, seed=seed)
    return Replay(scenario, worst, before, after, before_bfloat16, after_bfloat16)


def _badness(damage: Damage) -> tuple[bool, bool]:
    """What makes one schedule worse than another: a token is hit; there is any damage."""
    return bool(damage.hit), not damage.harmless


LATE_ROUNDS = (1, 2, 4, 6, 8, 12, 16, 24)
"""Rounds for which the copy of the last step is held back."""


@dataclass(frozen=True)
class Late:
    """The path with its last step held back for some rounds: the rounds that do most damage to tokens, and that damage."""

    rounds: int
    after: Damage
    after_bfloat16: Damage


def late(trace: Trace, seed: int = 0) -> Late:
    """Follow a path but for its last step, and hold the copy that was to fire it back for some rounds, as if it lost its processor there."""
    scenario = find_scenario(trace.scenario)
    subject = subject_of(scenario)
    system, config = violated(scenario, subject, trace)
    last, before = trace.steps[-1].copy, replace(trace, steps=trace.steps[:-1])
    found = [Late(rounds, *run(subject, system, config, Held(seed, last, rounds), before, seed=seed)) for rounds in LATE_ROUNDS]
    return max(found, key=lambda one: (one.after.hit, -one.rounds))


def holding(scenario: Scenario, subject: type[World]) -> tuple[System, dict[str, Any]]:
    """The version that holds, at the same bounds."""
    config = {**scenario.config, **subject.harmless(scenario.config)}
    config |= subject.engine_bounds(config)
    return scenario.build(**config), config


def violated(scenario: Scenario, subject: type[World], trace: Trace | None = None) -> tuple[System, dict[str, Any]]:
    """The scenario's own system, with the settings of the trace, at the engine's bounds if the path exists there."""
    config = {**scenario.config, **({} if trace is None else trace.config)}
    large = {**config, **subject.engine_bounds(config)}
    system = scenario.build(**large).focused(scenario.property)
    rows = {action.name for action in system.actions}
    if trace is None or all(f"{step.machine}.{step.event}" in rows for step in trace.steps):
        return system, large
    return scenario.build(**config).focused(scenario.property), config


@dataclass(frozen=True)
class Exposure:
    """What rough schedules do to a version: over all runs, the tokens told and hit, and the means of k3.

    `stuck`: runs in which a request never ended. `base_bfloat16`: the k3 of the version that holds, in bfloat16.
    """

    runs: int
    damaged: int
    stuck: int
    tokens: int
    hit: int
    k3_mean: float
    k3_mean_bfloat16: float
    base_bfloat16: float

    @property
    def fraction(self) -> float:
        """Of the tokens told, those that were hit."""
        return self.hit / self.tokens if self.tokens else 0.0

    @property
    def ratio_bfloat16(self) -> float:
        """How many times k3_kl_mean has grown in a bfloat16 engine."""
        return self.k3_mean_bfloat16 / self.base_bfloat16 if self.base_bfloat16 else 1.0


def expose(scenario: Scenario, runs: int, seed: int = 0) -> Exposure:
    """The scenario's system under rough schedules from its initial state; each run has prompts and a schedule of its own.

    Only runs with a token hit are repeated in bfloat16: in the others it shows the noise of the version that holds.
    """
    subject = subject_of(scenario)
    system, config = violated(scenario, subject)
    found = [run(subject, system, config, Rough(seed + k), seed=seed + k, kept=(exact,))[0] for k in range(runs)]
    hit = [k for k in range(runs) if found[k].hit]
    narrow = [run(subject, system, config, Rough(seed + k), seed=seed + k, kept=(bfloat16,))[0] for k in hit]
    mended = holding(scenario, subject)
    base = _mean([run(subject, *mended, Schedule(seed + k), seed=seed + k, kept=(bfloat16,))[0] for k in range(min(runs, BASE_RUNS))])
    tokens, tokens_of_hit = sum(d.tokens for d in found), sum(d.tokens for d in narrow)
    return Exposure(
        runs=runs,
        damaged=len(hit),
        stuck=sum(bool(d.unanswered) for d in found),
        tokens=tokens,
        hit=sum(d.hit for d in found),
        k3_mean=_mean(found),
        k3_mean_bfloat16=(base * (tokens - tokens_of_hit) + sum(d.k3_sum for d in narrow)) / max(1, tokens),
        base_bfloat16=base,
    )


def _mean(damages: list[Damage]) -> float:
    """k3_kl_mean over all tokens of some runs."""
    return sum(d.k3_sum for d in damages) / max(1, sum(d.tokens for d in damages))


def subject_of(scenario: Scenario) -> type[World]:
    """The world of a scenario's builder; where no handlers are bound to its rows, one that only looks on."""
    subject = SUBJECTS.get(scenario.build, Spectator)
    return subject if subject.drives(scenario.config) else Spectator


def walk_of(system: System, worlds: Sequence[World]) -> Walk:
    """A walk of the system that these worlds follow: each acts on every row once it has fired."""
    bindings = [Bindings(system, world.roles(), ()) for world in worlds]

    def act(step: Step) -> None:
        for world, bound in zip(worlds, bindings):
            world.committed(step)
            handler = bound.of(step.name).after
            if handler is not None:
                handler(step)
            world.settled(step)

    return Walk(system, act)


def run(
    subject: type[World],
    system: System,
    config: dict[str, Any],
    schedule: Schedule,
    trace: Trace | None = None,
    *,
    seed: int,
    kept: Sequence[Narrow] = (exact, bfloat16),
) -> list[Damage]:
    """One run, with a world for each precision: along the trace if there is one, then by the schedule until nothing happens any more.

    What the tensors hold decides nothing, so all worlds see the same rows.
    """
    worlds = [subject(system, config, seed, narrow) for narrow in kept]
    walk = walk_of(system, worlds)
    if trace is not None:
        walk.follow(trace)
    go_on(walk, worlds, schedule)
    return [measure(world, walk.waiting(), walk.fired) for world in worlds]
