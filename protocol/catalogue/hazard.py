"""A hazard of the facts: what happens, where it was found, and what the model says to it.

Hazards are numbered as in the facts: H1 .. H31 of the engine-worker side, H-01 .. H-43 of the cache hand-over. H1 and H-01
are different hazards. Each is owned by one group of the catalogue; scenarios cite it by number in their `sources`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Hazard:
    """One hazard.

    Args:
        number: "H1" or "H-01". title: a few words. pulls: pull requests that opened, met or mended it ("#6680").
        about: what happens, in one paragraph of plain sentences.
        claim: what the facts expect, in short, with their evidence ("E1; observed", "all versions; inferred").
        finding: what the model found where it says more than the claim or contradicts it; empty where it agrees.
        unmodelled: why no interleaving model can express it; such a hazard has no scenarios.
        told_by: the scenario whose shortest path is the story of the claim; without one, the first that names this hazard first.
    """

    number: str
    title: str
    pulls: tuple[str, ...]
    about: str
    claim: str
    finding: str = ""
    unmodelled: str = ""
    told_by: str = ""
