"""The disaggregated engine in one process and one thread: every copy of every machine, in the order that a policy gives.

The same placement, crews and roles as in the live engine; only what carries collectives between ranks is another. Same seed, same
bytes. Forwards and rows take the virtual time that `Cost` says, nothing by default.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from ..errors import StandsStill
from ..generation import Generation
from ..model.weights import Weights
from ..runtime.ensemble import Ensemble
from ..runtime.policy import Policy, SeededRandom
from .ledger import Heard, Ledger
from .letters import Abort, Held, Inspect, Submit
from .lockstep_memory import FREE, Cost, LockstepMemory
from .operator import Command, Obeyed, Operated, Order
from .plant import Plant
from .stations import ROUTER, decode_engines, placement_of, prefill_engines

ROWS_MAX = 1_000_000
"""Rows after which a run, or an order, is given up as standing still."""
SETTLE_S = 1.0
"""Virtual time that processes get to put everything away when the last answer is there."""


class LockstepEngine(Operated):
    """An engine in this process.

    Args:
        weights: the model. plant: its sizes. seed: of the order of turns, where no `policy` gives it.
        logged: whether its events are kept. cost: of forwards. told: called with a request's key when its client gets something.
        like: an engine of the same plant, whose system and compiled rows are used again. late: see `LockstepMemory`.
    """

    def __init__(
        self,
        weights: Weights,
        plant: Plant,
        seed: int = 0,
        *,
        policy: Policy | None = None,
        logged: bool = False,
        cost: Cost = FREE,
        told: Callable[[int, Heard], None] = lambda key, heard: None,
        like: LockstepEngine | None = None,
        late: bool = False,
    ):
        self.plant = plant
        self._memory = memory = LockstepMemory(weights, plant, cost, late=late)
        turns = policy if policy is not None else SeededRandom(seed)
        self.ensemble: Ensemble = Ensemble(placement_of(plant, lambda: memory), turns, logged, cost.row_s, None if like is None else like.ensemble)
        self.ledger = Ledger(told, keeps=True, routing=plant.routing)
        self.records = self.ledger.records
        """What has come of every request, by its key."""
        self._held: dict[str, Held] = {}
        self._obeyed: list[Order] = []

    @property
    def strays(self) -> int:
        """Layers of chunks that the messagers have written into blocks that were no longer their request's."""
        return self._memory.strays

    @property
    def open(self) -> list[int]:
        """The keys of the requests that have not ended."""
        return list(self.ledger.open)

    def submit(self, generation: Generation) -> int:
        """Take a generation in.

        Raises:
            DefinitionError: it is longer than the context.
        """
        self.plant.check(generation)
        key = len(self.records) + 1
        self.ledger.submit(key, generation)
        self.ensemble.send(ROUTER, Submit(key, generation))
        return key

    def abort(self, key: int) -> None:
        """Give a generation up."""
        self.ensemble.send(ROUTER, Abort(key))
        self._hear()

    def turn(self) -> bool:
        """One row; False when nobody who is awake has one to fire."""
        fired = self.ensemble.turn()
        self._hear()
        return fired

    def step(self, rows: int) -> None:
        """Turn until so many rows have fired since the start, or nothing more happens before somebody asks."""
        while self.ensemble.fired < rows:
            if not self.turn():
                if not self.open:
                    return
                self.ensemble.pass_time()

    def run(self, most_rows: int = ROWS_MAX) -> int:
        """Turn until every request has ended and everything is put away: the rows that it took.

        Raises:
            StandsStill: nothing happens any more, or nothing new, or it took too many rows; who waits for what.
        """
        while self.open:
            if not self.turn():
                self.ensemble.pass_time()
            if self.ensemble.fired > most_rows:
                raise StandsStill(f"{len(self.open)} requests have not ended after {most_rows:,} rows: {self.ensemble.standing()}")
        with suppress(StandsStill):  # with nothing to do, it may
            self._settle(most_rows)
        return self.ensemble.fired

    def _settle(self, most_rows: int) -> None:
        until = self.ensemble.time.now + SETTLE_S
        while self.ensemble.fired <= most_rows and (self.turn() or self.ensemble.wakes <= until):
            if self.ensemble.wakes <= until and not self.turn():
                self.ensemble.pass_time(until)

    def leaks(self) -> list[str]:
        """What is held although no request is under way: blocks, tables."""
        for name in (*prefill_engines(self.plant), *decode_engines(self.plant)):
            self.ensemble.send(name, Inspect())
        self._hear()
        return [f"{name}: {held}" for name, held in self._held.items() if held]

    def _carry_out(self, command: Command) -> None:
        self.ensemble.send(ROUTER, command)
        self._obeyed.clear()
        most_rows = self.ensemble.fired + ROWS_MAX
        while command.order not in self._obeyed:
            if not self.turn():
                self.ensemble.pass_time()
            if self.ensemble.fired > most_rows:
                raise StandsStill(f"the order to {command.order} is not carried out after {ROWS_MAX:,} rows: {self.ensemble.standing()}")

    def _abort_all(self) -> None:
        for key in self.open:
            self.abort(key)

    def _hear(self) -> None:
        received = self.ensemble.received
        while received:
            letter = received.popleft()
            content = letter.content
            if isinstance(content, Held):
                self._held[letter.sender] = content
            elif isinstance(content, Obeyed):
                self._obeyed.append(content.order)
            else:
                self.ledger.note(content)
