"""Versions of the catalogue under seeded schedules of a policy, with tensors: the same subjects as along a path."""

from __future__ import annotations

from collections.abc import Callable

from protocol.catalogue import Scenario

from ..model.numerics import exact
from ..runtime.policy import Policy
from .damage import Damage
from .replay import _violated, run, subject_of
from .schedule import Rough

ROWS = 400
"""About how many rows a run takes."""


def attempt_on(scenario: Scenario) -> Callable[[Policy, int], tuple[list[str], list[str]]]:
    """What a run under a policy damages, in words and by kind; faults and slow copies are drawn from the seed."""
    subject = subject_of(scenario)
    system, config = _violated(scenario, subject)

    def attempt(policy: Policy, seed: int) -> tuple[list[str], list[str]]:
        (damage,) = run(subject, system, config, Rough(seed, policy), seed=seed, kept=(exact,))
        found = _harms(damage)
        return [text for _, text in found], [kind for kind, _ in found]

    return attempt


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
