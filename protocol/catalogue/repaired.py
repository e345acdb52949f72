"""Scenarios of the group "repaired": The repaired protocol, whole."""

from __future__ import annotations

from . import Scenario
from .hazard import Hazard

HAZARDS: list[Hazard] = []

SCENARIOS: list[Scenario] = []
