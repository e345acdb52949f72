"""The forwards of several ranks in one thread, each as far as it has been allowed: the data plane of lockstep.

One rule: a rank writes the keys and values of a layer when it is told to begin that layer, never earlier; all that is not
seen outside (partial sums, what experts compute) is computed when somebody needs it. Who needs what another rank has not begun to
compute cannot go on: the real rank would wait in that collective.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import EngineError
from .collective import AllToAll, complete, describe
from .shard import Forward
from .weights import Floats


@dataclass
class _Member:
    """A rank in its forward: how many collectives it has entered, what the last one delivered, how many layers it may begin."""

    forward: Forward
    entered: int = 0
    delivered: tuple[Any] | None = None
    allowed: int = 0

    def advance(self) -> None:
        self.forward.advance(None if self.delivered is None else self.delivered[0])
        self.entered, self.delivered = self.entered + 1, None


class Group:
    """The ranks of one or more instances that run one forward together.

    Args:
        forwards: of all ranks of all instances, an instance after the other.
        ranks: tensor-parallel ranks an instance, which reduce and gather among themselves; all-to-alls join all.
    """

    def __init__(self, forwards: Sequence[Forward], ranks: int):
        self._members = [_Member(forward) for forward in forwards]
        self._ranks = ranks

    def begin_layer(self, place: int, layer: int) -> None:
        """Let a rank compute up to the attention of a layer; its keys and values are in the rank's cache then.

        Raises:
            EngineError: it needs what another rank has not begun, whom the message names.
        """
        member = self._members[place]
        member.allowed = max(member.allowed, layer + 1)
        while member.forward.begun <= layer:
            self._go_on(place)

    def finish(self, place: int) -> Floats:
        """The logits of a rank, all of whose layers have begun.

        Raises:
            EngineError: it, or one that it needs, has not begun them all.
        """
        forward = self._members[place].forward
        while forward.logits is None:
            self._go_on(place)
        return forward.logits

    def run(self) -> list[Floats]:
        """The whole forward: the logits of every rank."""
        for member in self._members:
            member.allowed = member.forward.layers
        return [self.finish(place) for place in range(len(self._members))]

    # -- one step of one rank ------------------------------------------------------------------------------------------

    def _go_on(self, place: int) -> None:
        member = self._members[place]
        if member.forward.begins and member.forward.begun == member.allowed:
            text = f"rank {place} has not begun layer {member.allowed}, and a collective waits for it"
            raise EngineError(f"{text}; begin a layer on every rank before the next")
        if member.forward.waits is not None and member.delivered is None:
            self._complete(place)
        member.advance()

    def _complete(self, place: int) -> None:
        """Bring all members to the collective that the rank is at, and deliver it."""
        waited, entered = self._members[place].forward.waits, self._members[place].entered
        first = place - place % self._ranks
        places = range(len(self._members)) if isinstance(waited, AllToAll) else range(first, first + self._ranks)
        for other in places:
            while self._members[other].entered < entered:
                self._go_on(other)
        group = [self._members[other] for other in places]
        waits = [member.forward.waits for member in group if member.forward.waits is not None]
        if len(waits) < len(group):
            assert waited is not None
            raise EngineError(f"rank {place} is at {describe(waited)}, and others have ended their forward; give all ranks one batch each")
        for member, received in zip(group, complete(waits)):
            member.delivered = (received,)
