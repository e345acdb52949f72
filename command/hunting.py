"""Versions that are hunted, and what so many seeded schedules of one came to."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .lockstep import Turns
from .progress import Progress

if TYPE_CHECKING:
    from engine.disaggregated.hunt import Hunt

BOTH = (Turns.RANDOM, Turns.PCT)
Attempt = Callable[[Any, int], list[tuple[str, str]]]
"""A run under a policy, of a seed: what was damaged, by kind and in words."""
Tally = dict[str, Any]
"""What came of some schedules of one policy, as JSON has it."""


@dataclass(frozen=True)
class Version:
    """What is hunted.

    Args:
        attempt: a run of it; rows: about how many rows it takes. control: a run of the version that holds, None where none is known;
            beside: what that is called.
    """

    title: str
    attempt: Attempt
    rows: int
    control: Attempt | None
    beside: str


def engine_version(without: str | None, requests: int) -> Version:
    """The whole engine without a rule, or with all of them.

    Raises:
        DefinitionError: there is no such rule.
    """
    from engine.disaggregated.hunt import ROWS_REQUEST, Hunt

    hunted = Hunt(without, requests=requests)
    control = None if without is None else _all_rules_kept(repr(hunted.adversity), lambda: Hunt(None, hunted.adversity, requests=requests))
    title = f"the engine without {without}" if without else "the engine, all rules kept"
    rows = ROWS_REQUEST * requests
    return Version(title, _harms_of(hunted), rows, control, "all rules kept")


def _harms_of(hunted: Hunt) -> Attempt:
    return lambda policy, seed: hunted.run(policy, seed).harms


_CONTROLS: dict[str, Attempt] = {}


def _all_rules_kept(adversity: str, hunt: Callable[[], Hunt]) -> Attempt:
    """The engine under that adversity, which many rules share; the same policy and seed come to the same, and are run once."""
    if adversity not in _CONTROLS:
        run, known = _harms_of(hunt()), dict[tuple[type, int], list[tuple[str, str]]]()

        def once(policy: Any, seed: int) -> list[tuple[str, str]]:
            if (type(policy), seed) not in known:
                known[type(policy), seed] = run(policy, seed)
            return known[type(policy), seed]

        _CONTROLS[adversity] = once
    return _CONTROLS[adversity]


def scenario_version(name: str) -> Version:
    """The version that a scenario of the catalogue is about, with the tensors that `interlock replay` binds to it."""
    from engine.replay.hunt import ROWS, attempt_on
    from protocol.catalogue import find_scenario

    found = find_scenario(name)
    title = f"{found.name}, variant {found.variant}"
    return Version(title, attempt_on(found), ROWS, attempt_on(found, holds=True), "version that holds")


def tally(which: Turns, version: Version, seeds: range, changes: int) -> Tally:
    """Run the version under the policy once for each seed; `changes`: of PCT.

    Raises:
        DefinitionError: the engine cannot drive the version.
    """
    kinds: Counter[str] = Counter()
    struck: list[tuple[int, list[str]]] = []
    beside, seconds = 0, 0.0
    with Progress(which.value) as shown:
        for done, seed in enumerate(seeds):
            shown.show(f"{done} of {len(seeds)} schedules, {len(struck)} gone wrong")
            began = time.perf_counter()
            harms = version.attempt(which.policy(seed, changes, version.rows), seed)
            seconds += time.perf_counter() - began
            if harms:
                struck.append((seed, [text for _, text in harms]))
                kinds.update(kind for kind, _ in harms)
            if version.control is not None:
                beside += bool(version.control(which.policy(seed, changes, version.rows), seed))
    return {
        "policy": which.value,
        "schedules": len(seeds),
        "struck": len(struck),
        "struck_beside": None if version.control is None else beside,
        "kinds": dict(kinds),
        "seeds": [seed for seed, _ in struck],
        "first_seed": struck[0][0] if struck else None,
        "first_harms": struck[0][1] if struck else [],
        "seconds": seconds,
    }
