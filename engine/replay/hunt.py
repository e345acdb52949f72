"""Versions of the catalogue under seeded schedules of a policy, with tensors: the same subjects as along a path.

One row at a time, of whoever the policy says: a copy that it does not choose may stand for as long as it likes. Faults happen with a
small chance whenever they can; time-outs end when nothing else goes on.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from protocol import OutOfRange
from protocol.action import Action
from protocol.catalogue import Scenario

from ..model.numerics import exact
from ..readiness import Readiness
from ..runtime.policy import PATIENCE, Policy
from .damage import Damage, measure
from .replay import holding, subject_of, violated, walk_of
from .schedule import FAULT_CHANCE
from .walk import Walk
from .world import World

ROWS = 400
"""About how many rows a run takes."""
QUIET = 2 * PATIENCE
"""Rows of every copy, on average, after which a run without a new state is over: each has lost its priority by then."""


def attempt_on(scenario: Scenario, *, holds: bool = False) -> Callable[[Policy, int], list[tuple[str, str]]]:
    """A run of the scenario's version under a policy: what it damages, by kind and in words; prompts and faults are drawn from the seed.

    Args:
        holds: run the version that holds instead, at the same bounds.
    """
    subject = subject_of(scenario)
    system, config = holding(scenario, subject) if holds else violated(scenario, subject)

    def attempt(policy: Policy, seed: int) -> list[tuple[str, str]]:
        world = subject(system, config, seed, exact)
        walk = walk_of(system, [world])
        _Run(walk, world, policy, seed).go()
        return _harms(measure(world, walk.waiting(), walk.fired))

    return attempt


class _Run:
    """One run; the decoding that is the world's counts as one more copy."""

    def __init__(self, walk: Walk, world: World, policy: Policy, seed: int):
        self._walk, self._world, self._policy, self._rng = walk, world, policy, random.Random(seed)
        self._ready = Readiness(walk.driver, walk.copies, lambda number, action: self._is_owed(action))
        self._copies = len(walk.copies) + 1
        self._seen, self._quiet = {walk.state}, 0
        self._declined: set[int] = set()

    def go(self) -> None:
        """To where nothing new happens; a guard that leaves its types ends it, as it would end the engine."""
        try:
            while self._quiet <= QUIET * self._copies and self._turn():
                pass
        except OutOfRange:
            return

    def _turn(self) -> bool:
        """One row, or a token of the world's; False when nothing is left to do."""
        if self._rng.random() < FAULT_CHANCE / self._copies:
            self._fire(self._rng.randrange(self._copies - 1), lambda action: True)
        able = [k for k in self._ready.able() if k not in self._declined] + ([self._copies - 1] if self._world.running else [])
        if not able:
            return self._time_out()
        chosen = self._policy.turn(able)
        if self._world.turn() if chosen == self._copies - 1 else self._fire(chosen, self._is_owed):
            self._declined.clear()
        else:
            self._declined.add(chosen)
        return True

    def _time_out(self) -> bool:
        """Somebody has waited for too long; False when nobody waits."""
        order = self._rng.sample(range(self._copies - 1), self._copies - 1)
        return any(self._fire(k, lambda action: action.row.decided == "timer" and action.fairness != "none") for k in order)

    def _fire(self, number: int, takes: Callable[[Action], bool]) -> bool:
        fired = self._walk.fired
        self._walk.turn(self._walk.copies[number], takes, self._world.permits, self._policy.pick)
        self._quiet = self._quiet + 1 if self._walk.state in self._seen else 0
        self._seen.add(self._walk.state)
        return self._walk.fired > fired

    def _is_owed(self, action: Action) -> bool:
        """Whether a row fires as soon as its copy has a turn."""
        return self._world.invites(action) or (action.fairness != "none" and action.row.decided != "timer")


def _harms(damage: Damage) -> list[tuple[str, str]]:
    """By kind, and in words."""
    waits = "; ".join(damage.waiting) or "nobody waits for it any more"
    leaked = ", ".join(f"{count} of {name}" for name, count in damage.leaked.items() if count)
    wrong = f"{damage.mismatched} of {damage.tokens} tokens are not the reference's, {damage.hit} have another probability"
    said = [
        (damage.mismatched or damage.hit, "wrong tokens", f"{wrong}; k3_kl_mean {damage.k3_mean:.2g}"),
        (damage.overwritten, "overwritten", f"{damage.overwritten:,} bytes of keys and values written into blocks of others"),
        (damage.stray, "stray writes", f"{damage.stray:,} bytes of keys and values written into free blocks"),
        (damage.unanswered, "never ends", f"requests {', '.join(damage.unanswered)} never end: {waits}"),
        (any(damage.distances), "wrong distribution", f"drawn at a distance of up to {max(damage.distances, default=0):.2f}"),
        (leaked, "leaks", f"blocks stay taken: {leaked}"),
        (damage.waiting and not damage.unanswered, "stands still", waits),
    ]
    return [(kind, text) for harm, kind, text in said if harm]
