"""The passes of one request along `empty_range`: each sends the blocks between its marks. If D's list is the shorter one, D has the first blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...binding import after
from ..instance import layer_groups
from ..walk import Step
from .sends import Sends


class Passes:
    """The passes over a task that was registered."""

    def __init__(self, world: EmptyRange):
        self._world = world

    @after("sender.send_range")
    def send_range(self, step: Step) -> None:
        """As a list is cut: a place before its beginning counts from its end."""
        first, end = step.before("sended_block_num"), step.after("sended_block_num")
        assert isinstance(first, int) and isinstance(end, int)
        if first < 0:
            self._world.noted["a range that begins before the list: blocks counted from its end are sent"] += 1
        self._world.copy(range(first, end))

    @after("sender.report")
    def report(self, step: Step) -> None:
        """Sent: D decodes."""
        self._world.begin(0)


class Refusing:
    """The registration that refuses a list of another length."""

    def __init__(self, world: EmptyRange):
        self._world = world

    @after("sender.refuse")
    def refuse(self, step: Step) -> None:
        """The client hears of it."""
        self._world.fail(0)


class EmptyRange(Sends):
    """One request of so many blocks, computed before its first pass."""

    @staticmethod
    def harmless(config: dict[str, Any]) -> dict[str, Any]:
        """Ours."""
        return {"variant": "repaired"}

    def start(self) -> None:
        """What D does not ask for, it has in its own prefix cache."""
        self.blocks: int = self.config.get("source", 2)
        self.lay_out(1, self.blocks, 1)
        self.write(0, 0)
        cached = max(0, self.blocks - self.config.get("destination", 2))
        self.copy(range(cached))

    def roles(self) -> Sequence[object]:
        """Those that the version has."""
        return [role(self) for role in (Passes, Refusing) if self.has(role)]

    def copy(self, places: range) -> None:
        """These places of P's list go to the same places of D's."""
        for place in places:
            here, there = [self.here[0][place]], [self.there[0][: self.blocks][place]]
            for rank in self.ranks:
                self.instances["decode"].receive(self.instances["prefill"], rank, layer_groups(1)[0], here, there, 0)
