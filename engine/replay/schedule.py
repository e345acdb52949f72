"""Who fires next once there is no recorded path: seeded schedules, and when a run is over.

*Fair*: every copy fires one of its enabled rows a round; faults do not happen, and a time-out ends only when nothing else goes on.
*Rough*: as on a loaded machine, some copies get a turn in every third or ninth round only, which ones is drawn for each run; faults
(whatever is not fair) and time-outs happen with a small chance whenever they can.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from protocol.lower import Action

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
    """The fair one. `quiet`: for how many rounds nothing new has happened."""

    def __init__(self, seed: int):
        self.rng = random.Random(seed)
        self.quiet = 0

    def next_round(self) -> None:
        """A round begins."""

    def gets_turn(self, copy: object) -> bool:
        """Whether a copy, (machine, indices), has a turn in this round."""
        return True

    def takes(self, action: Action) -> bool:
        """Whether a row may be picked now, where it is enabled."""
        return action.fairness != "none" and (action.row.decided != "timer" or self.quiet > PATIENCE_ROUNDS)


class Held(Schedule):
    """The fair one, in which one copy gets no turn for so many rounds."""

    def __init__(self, seed: int, copy: object, rounds: int):
        super().__init__(seed)
        self._copy, self._rounds = copy, rounds

    def next_round(self) -> None:
        """One round less to wait."""
        self._rounds -= 1

    def gets_turn(self, copy: object) -> bool:
        """Everybody but the one that is held."""
        return copy != self._copy or self._rounds < 0


class Rough(Schedule):
    """The rough one."""

    def __init__(self, seed: int):
        super().__init__(seed)
        self._speeds: dict[object, float] = {}

    def gets_turn(self, copy: object) -> bool:
        """By the copy's speed, while something happens."""
        return self.quiet > HURRY_ROUNDS or self.rng.random() < self._speeds.setdefault(copy, self.rng.choice(SPEEDS))

    def takes(self, action: Action) -> bool:
        """Fair rows always, the others by chance."""
        return super().takes(action) or self.rng.random() < FAULT_CHANCE


def go_on(walk: Walk, worlds: Sequence[World], schedule: Schedule) -> None:
    """Rounds until nothing happens: for many rounds no state is new and no token comes, not even by a time-out."""
    seen = {walk.state}
    for _ in range(ROUNDS_MAX):
        schedule.next_round()
        walk.round(schedule, worlds[0].permits)
        worked, fresh = any([world.turn() for world in worlds]), walk.state not in seen
        seen.add(walk.state)
        schedule.quiet = 0 if worked or fresh else schedule.quiet + 1
        if schedule.quiet > QUIET_ROUNDS:
            return
