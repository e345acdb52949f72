"""Scenarios of the group "preparation": Preparation on P and reservation on D."""

from __future__ import annotations

from . import Scenario
from .hazard import Hazard

HAZARDS: list[Hazard] = []

SCENARIOS: list[Scenario] = []
