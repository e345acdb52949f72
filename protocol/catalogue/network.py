"""Scenarios of the group "network": Between P and D: loss, disorder, crash and restart."""

from __future__ import annotations

from . import Scenario
from .hazard import Hazard

HAZARDS: list[Hazard] = []

SCENARIOS: list[Scenario] = []
