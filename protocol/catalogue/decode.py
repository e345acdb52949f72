"""Scenarios of the group "decode": D: reservation, insertion, monitor."""

from __future__ import annotations

from . import Scenario
from .hazard import Hazard

HAZARDS: list[Hazard] = []

SCENARIOS: list[Scenario] = []
