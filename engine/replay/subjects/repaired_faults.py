"""What may die along the repaired protocol, and what begins anew: roles of the world in `repaired.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...binding import after
from ..walk import Step

if TYPE_CHECKING:
    from .repaired import Repaired


class Losses:
    """A D that dies breaks its clients' connections."""

    def __init__(self, world: Repaired):
        self._world = world

    @after("router.report_lost")
    def report(self, step: Step) -> None:
        """The client has an error."""
        self._world.answers[step.copy[0]].over = True


class PrefillStart:
    """P begins anew."""

    def __init__(self, world: Repaired):
        self._world = world

    @after("faults.restart_prefill")
    def start(self, step: Step) -> None:
        """With the weights in force."""
        for number in range(len(self._world.ranks)):
            self._world.load(number)


class PrefillCrash:
    """P dies at once."""

    def __init__(self, world: Repaired):
        self._world = world

    @after("faults.crash_prefill")
    def crash(self, step: Step) -> None:
        """Nothing of it is left."""
        self._world.lose_prefill()


class PrefillEnd:
    """A part of P has died, and its supervisor ends the others."""

    def __init__(self, world: Repaired):
        self._world = world

    @after("faults.end_prefill")
    def end(self, step: Step) -> None:
        """As a crash of all of P."""
        self._world.lose_prefill()


class DecodeCrash:
    """A D dies."""

    def __init__(self, world: Repaired):
        self._world = world

    @after("faults.crash_decode")
    def crash(self, step: Step) -> None:
        """It holds nothing, and runs nothing."""
        self._world.lose_decode(step.values["decode"])


class DecodeStart:
    """A D begins anew."""

    def __init__(self, world: Repaired):
        self._world = world

    @after("faults.restart_decode")
    def start(self, step: Step) -> None:
        """With the weights in force."""
        self._world.load_decode(step.values["decode"])


class DecodesTogether:
    """The D's that share their experts end and begin anew together."""

    def __init__(self, world: Repaired):
        self._world = world

    @after("faults.end_decode")
    def end(self, step: Step) -> None:
        """As a crash of that D."""
        self._world.lose_decode(step.values["decode"])

    @after("faults.restart_decodes")
    def start(self, step: Step) -> None:
        """All with the weights in force."""
        for number in range(self._world.decodes):
            self._world.load_decode(number)
