"""Cargo: contents that travel with the protocol and that it does not look at - a batch, a prompt, the tokens of a forward.

One rule: cargo belongs to one message or to one cell. A row that sends or pushes puts its cargo with that message, in a bag as
in a queue; a message that moves on in a queue, or is dropped, takes its cargo along. A row that does neither puts it beside every shared cell
that it stores to; whoever stores there next replaces it, with nothing if it carries nothing. A row that takes a message finds what
came with it; any other finds the youngest of what lies beside the cells that it reads, and with the heads of the queues that it reads.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

from protocol.types import Sequence
from protocol.variable import Channel, Variable

Change = tuple[Hashable, Variable, Any, Any]
"""A store: the cell's key, its variable, its value before and after."""
Laid = tuple[int, Any]
"""Cargo, and when it was laid down (a count of rows)."""
NOTHING: Laid = (0, None)
UNASKED = object()
"""Instead of cargo, where nobody was to look at it, and hence nobody has looked for it."""


class Hold:
    """Everything that lies with messages and beside cells of one store."""

    def __init__(self) -> None:
        self._queues: dict[Hashable, list[Laid]] = {}
        self._bags: dict[Hashable, dict[int, list[Laid]]] = {}
        self._beside: dict[Hashable, Laid] = {}
        self._rows = 0

    def move(self, reads: Iterable[Hashable], changes: Iterable[Change], cargo: Any) -> Any:
        """Account for one fired row: lay its cargo down, return what it found (None for nothing). Cost: one look per cell."""
        self._rows += 1
        mine, found, sent, stored = (self._rows, cargo), None, False, []
        seen = max((laid for key in reads for laid in self._seen(key)), key=lambda laid: laid[0], default=NOTHING)
        for key, variable, before, after in changes:
            taken = None
            if is_bag(variable):
                taken = self._move_in_bag(key, before, after, mine)
                sent = sent or sum(after) > sum(before)
            elif isinstance(variable.type, Sequence):
                taken = self._move_in_queue(key, before, after, mine)
                sent = sent or len(after) > len(before)
            else:
                stored.append(key)
            found = taken or found
        for key in stored:
            self._beside.pop(key, None)
            if cargo is not None and not sent:
                self._beside[key] = mine
        return (found or seen)[1]

    def _seen(self, key: Hashable) -> Iterable[Laid]:
        if key in self._beside:
            yield self._beside[key]
        if self._queues.get(key):
            yield self._queues[key][0]

    def _move_in_bag(self, key: Hashable, before: tuple[int, ...], after: tuple[int, ...], mine: Laid) -> Laid | None:
        """What came with the oldest of the messages that are gone."""
        taken = None
        for message, (had, has) in enumerate(zip(before, after)):
            if had != has:
                lying = self._bags.setdefault(key, {}).setdefault(message, [])
                lying += [NOTHING] * (had - len(lying))  # those that were there from the start brought nothing
                if has > had:
                    lying.append(mine)
                else:
                    taken = lying.pop(0)
        return taken

    def _move_in_queue(self, key: Hashable, before: tuple[Any, ...], after: tuple[Any, ...], mine: Laid) -> Laid | None:
        """What came with the message that is gone."""
        lying = self._queues.setdefault(key, [])
        lying += [NOTHING] * (len(before) - len(lying))
        if len(after) == len(before) - 1:
            return lying.pop(_removed(before, after))
        if len(after) == len(before) + 1:
            lying.insert(len(before) if after[:-1] == before else 0, mine)
        else:
            had: dict[Any, list[Laid]] = {}
            for message, laid in zip(before, lying):
                had.setdefault(message, []).append(laid)
            lying[:] = [had[message].pop(0) if had.get(message) else mine for message in after]
        return None


def is_bag(variable: Variable) -> bool:
    """Whether the variable counts its messages instead of listing them."""
    return isinstance(variable, Channel) and variable.kind == "bag"


def _removed(before: tuple[Any, ...], after: tuple[Any, ...]) -> int:
    """Which element is gone; the head where several could be."""
    if before[1:] == after:
        return 0
    return next((k for k, (had, has) in enumerate(zip(before, after)) if had != has), len(after))
