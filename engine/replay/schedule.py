"""Who may fire once there is no recorded path, and when a run is over. Whose turn it is, and with which row, a policy of the runtime says.

*Fair*: every copy fires one of its enabled rows a round; faults do not happen, and a time-out ends only when nothing else goes on.
*Rough*: as on a loaded machine, some copies get a turn in every third or ninth round only, which ones is drawn for each run; faults
(whatever is not fair) and time-outs happen with a small chance whenever they can.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from protocol.action import Action
from protocol.effect import Restart

from ..driver import Copy
from ..runtime.policy import Policy, SeededRandom
from .walk import Walk
from .world import World

ROUNDS_MAX = 3000
HURRY_ROUNDS = 5
"""Rounds in which nothing new happens, after which nobody is slow any more: who only waits for a slow copy is not stuck."""
PATIENCE_ROUNDS = 15
"""Such rounds, after which time-outs end."""
QUIET_ROUNDS = 40
"""Such rounds, after which nothing new is expected to happen any more."""
SPEEDS = (1.0, 1 / 3, 1 / 9)
FAULT_CHANCE = 0.05


class Schedule:
    """The fair one.

    Args:
        seed: of the policy's draws. policy: the order of the turns in a round, and the row that a copy takes; None: drawn at random.
    """

    def __init__(self, seed: int, policy: Policy | None = None):
        self.policy = policy or SeededRandom(seed)
        self.quiet = 0
        """For how many rounds nothing new has happened."""

    def next_round(self) -> None:
        """A round begins."""

    def gets_turn(self, copy: Copy) -> bool:
        """Whether a copy has a turn in this round."""
        return True

    def takes(self, action: Action) -> bool:
        """Whether a row may be picked now, where it is enabled."""
        return action.fairness != "none" and (action.row.decided != "timer" or self.quiet > PATIENCE_ROUNDS)


class Held(Schedule):
    """The fair one, in which the copy of one name gets no turn for so many rounds."""

    def __init__(self, seed: int, copy: str, rounds: int):
        super().__init__(seed)
        self._copy, self._rounds = copy, rounds

    def next_round(self) -> None:
        """One round less to wait."""
        self._rounds -= 1

    def gets_turn(self, copy: Copy) -> bool:
        """Everybody but the one that is held."""
        return copy.name != self._copy or self._rounds < 0


class Rough(Schedule):
    """The rough one; its speeds and faults are drawn from the same seed.

    Args:
        faults: the chance of a fault or a time-out, whenever one could happen. returns: who has died and may come back does so at last.
    """

    def __init__(self, seed: int, policy: Policy | None = None, *, faults: float = FAULT_CHANCE, returns: bool = False):
        super().__init__(seed, policy)
        self._faults, self._returns = faults, returns
        self._rng = random.Random(seed)
        self._speeds: dict[str, float] = {}

    def gets_turn(self, copy: Copy) -> bool:
        """By the copy's speed, while something happens."""
        return self.quiet > HURRY_ROUNDS or self._rng.random() < self._speeds.setdefault(copy.name, self._rng.choice(SPEEDS))

    def takes(self, action: Action) -> bool:
        """Fair rows always, the others by chance."""
        is_due = self._returns and self.quiet > PATIENCE_ROUNDS and any(isinstance(effect, Restart) for effect in action.row.effects)
        return is_due or super().takes(action) or self._rng.random() < self._faults


def go_on(walk: Walk, worlds: Sequence[World], schedule: Schedule) -> None:
    """Rounds until nothing happens: for many rounds no state is new and no token comes, not even by a time-out."""
    seen, permits = {walk.state}, worlds[0].permits

    def takes(action: Action) -> bool:
        return worlds[0].invites(action) or schedule.takes(action)

    for _ in range(ROUNDS_MAX):
        schedule.next_round()
        left = [k for k, copy in enumerate(walk.copies) if schedule.gets_turn(copy)]
        while left:
            left.remove(chosen := schedule.policy.turn(left))
            fired = walk.turn(walk.copies[chosen], takes, permits, schedule.policy.pick)
            if fired is not None and fired.action.row.decided == "timer":
                schedule.quiet = 0  # What it has brought about goes on before the next one ends.
        worked, fresh = any([world.turn() for world in worlds]), walk.state not in seen
        seen.add(walk.state)
        schedule.quiet = 0 if worked or fresh else schedule.quiet + 1
        if schedule.quiet > QUIET_ROUNDS:
            return
