"""A scenario of the repaired protocol: whole at named bounds, or there without a rule."""

from __future__ import annotations

from ..machines.repaired.protocol import build
from . import Scenario
from .repaired_asked import ASKED
from .repaired_bounds import BOUNDS
from .repaired_rules import RULES

PULLS = ("#6680", "#7724", "#7944")


def kept(bounds: str, asked: str, distinct: int, path: int | None, deep: bool = False) -> Scenario:
    """The whole protocol, at these bounds."""
    name = f"repaired-{bounds}-{asked.replace('_', '-')}"
    hazards = {h for note in RULES.values() for h in note.hazards if not h.startswith("#")} if asked == "requests_answered" else ()
    sources = (*PULLS, *sorted(hazards))
    return Scenario(name, "repaired", build, asked, "holds", sources, "repaired", ASKED[asked], BOUNDS[bounds], distinct, path, deep)


def left_out(rule: str, bounds: str, asked: str, distinct: int, path: int | None, deep: bool = False) -> Scenario:
    """The protocol without one rule: the hazard is back."""
    name = f"repaired-{bounds}-without-{rule.replace('_', '-')}-{asked.replace('_', '-')}"
    note, config = RULES[rule], {**BOUNDS[bounds], "without": rule}
    about = f"Left out: {note.says} {note.then}"
    return Scenario(name, "repaired", build, asked, "violated", note.hazards, "repaired", about, config, distinct, path, deep)
