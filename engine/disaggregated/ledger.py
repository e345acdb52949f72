"""The ledger of an engine: what has come of its requests, and of its caches, drafts and experts, as its processes tell it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..audit import Record
from ..generation import DraftUse, Finish, Generation, PrefixUse, Stats, Token
from ..model.balancing import ExpertUse, Rebalance
from ..routing.store import RoutingStore
from .letters import Begun, Closed, GivenUp, Produced
from .loss import loss_text
from .plant import Plant


@dataclass(frozen=True)
class End:
    """The end of an answer; of one that has failed, with what its client is told."""

    finish: Finish
    message: str = ""


Heard = Token | End
"""What a client gets."""


class Ledger:
    """Every request by its key.

    `open`: the requests that have not ended; `begun`: those of them that P has begun. `records`: all, where they are kept. `rebalances`: the
    placements of experts that the D's have gone over to; `experts` sums them up.

    Args:
        told: called with a request's key when its client gets something. keeps: whether requests that have ended stay, for an audit.
        routing: a folder for the experts that tokens visit; empty for none. rollouts: how names begin of rollouts that have none.
    """

    def __init__(self, told: Callable[[int, Heard], None], *, keeps: bool, routing: str = "", rollouts: str = ""):
        self._told, self._keeps = told, keeps
        self._routing = RoutingStore(Path(routing), rollouts) if routing else None
        self.open: dict[int, Record] = {}
        self.begun: set[int] = set()
        self.records: dict[int, Record] = {}
        self.prefix, self.drafts, self.experts = PrefixUse(), DraftUse(), ExpertUse()
        self.rebalances: list[Rebalance] = []

    def submit(self, key: int, generation: Generation) -> None:
        """A request begins."""
        self.open[key] = Record(generation)
        if self._keeps:
            self.records[key] = self.open[key]

    def note(self, content: object) -> None:
        """A letter's content; what is not of the ledger is passed over."""
        if isinstance(content, Begun):
            self.begun |= self.open.keys() & content.keys
        elif isinstance(content, Produced):
            self._produce(content.key, content.token)
        elif isinstance(content, Closed):
            self.end(content.key, content.finish, self._message(content))
        elif isinstance(content, GivenUp):
            self.end(content.key, Finish.ABORT)
        elif isinstance(content, PrefixUse):
            self.prefix += content
        elif isinstance(content, DraftUse):
            self.drafts += content
        elif isinstance(content, Rebalance):
            self.rebalances.append(content)
            self.experts += content.use

    def stats(self, plant: Plant) -> Stats:
        """What an engine of these sizes is doing: as KV usage, the share of D's blocks that are promised to the requests that P has begun."""
        running = len(self.begun)
        taken = sum(plant.shape.blocks_for(self.open[key].generation.tokens) for key in self.begun)
        return Stats(running, len(self.open) - running, taken / plant.decode_blocks, self.prefix, self.drafts, self.experts)

    def end(self, key: int, finish: Finish, message: str = "") -> None:
        """A request has ended; `message`: what its client is told of an error.

        Its routes are written before its client hears of it; of a second end, which is wrong, no client hears.
        """
        record = self._record(key)
        if record is None:
            return
        record.ends.append(finish)
        if self._routing is not None:
            self._routing.end(key, finish, record.generation.rollout)
        self.begun.discard(key)
        if self.open.pop(key, None) is not None:
            self._told(key, End(finish, message))

    def _message(self, closed: Closed) -> str:
        record = self._record(closed.key)
        return loss_text(closed.loss, len(record.tokens)) if closed.finish is Finish.ERROR and record is not None else ""

    def _produce(self, key: int, token: Token) -> None:
        record = self._record(key)
        if record is None:
            return
        record.tokens.append(token)
        if self._routing is not None:
            self._routing.add(key, token)
        if key in self.open:
            self.begun.add(key)  # if P's letter is still under way
            self._told(key, token)

    def _record(self, key: int) -> Record | None:
        """None of one that has ended and is not kept."""
        return self.open.get(key) or self.records.get(key)
