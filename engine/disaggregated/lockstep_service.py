"""The lockstep engine as a service: generations in, tokens out, on an event loop that has its time from the engine."""

from __future__ import annotations

from ..generation import Finish, Generation, Handle, Stats, Token
from ..model.weights import Weights
from ..runtime.policy import Policy
from .ledger import Heard
from .lockstep import LockstepEngine
from .lockstep_memory import FREE, Cost
from .plant import Plant


class LockstepService:
    """A `generation.Service`. The event loop calls `wait` where it has nothing to do itself: nothing else lets the engine turn.

    Args:
        weights, plant, policy, logged, cost: see `LockstepEngine`.
    """

    def __init__(self, weights: Weights, plant: Plant, policy: Policy, logged: bool = False, cost: Cost = FREE):
        self.engine = LockstepEngine(weights, plant, policy=policy, logged=logged, cost=cost, told=self._told)
        self._handles: dict[int, Handle] = {}
        self._has_told = False

    @property
    def context_tokens(self) -> int:
        """The most tokens that a prompt and its answer may have together."""
        return self.engine.plant.context_tokens

    def submit(self, generation: Generation) -> Handle:
        """Start a generation; see `Service`."""
        handle = Handle(generation)
        self._handles[self.engine.submit(generation)] = handle
        return handle

    def abort(self, handle: Handle) -> None:
        """End a generation early; see `Service`."""
        for key in [key for key, mine in self._handles.items() if mine is handle]:
            self.engine.abort(key)

    def stats(self) -> Stats:
        """Generations that P has begun, those that wait for it, the share of D's blocks that are promised to the former, P's prefix cache."""
        return self.engine.ledger.stats(self.engine.plant)

    def close(self) -> None:
        """Drop what runs."""
        for handle in self._handles.values():
            handle.end(Finish.ABORT)
        self._handles = {}
        self.engine.ensemble.close()

    def wait(self, until: float) -> None:
        """Let the engine turn until a client is told something, or until that moment of virtual time.

        Raises:
            EngineError: it stands still, and no client has anything to do; who waits for what.
        """
        self._has_told = False
        time = self.engine.ensemble.time
        while not self._has_told and time.now < until:
            if not self.engine.turn():
                self.engine.ensemble.pass_time(until)

    def _told(self, key: int, heard: Heard) -> None:
        self._has_told = True
        if isinstance(heard, Token):
            self._handles[key].put(heard)
        else:
            self._handles.pop(key).end(heard.finish, heard.message)
