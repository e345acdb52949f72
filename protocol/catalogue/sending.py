"""Scenarios of the group "sending": The layer-wise send: chunks, errors, stale signals."""

from __future__ import annotations

from . import Scenario
from .hazard import Hazard

HAZARDS: list[Hazard] = []

SCENARIOS: list[Scenario] = []
