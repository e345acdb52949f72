"""Recordings of runs in lockstep: every choice that a policy made, so that the run can be had again without the policy.

A recording says nothing of the engine: it is for the same engine, the same requests and the same version, and notices when it is not.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from protocol import TraceError
from protocol.action import Instance
from protocol.trace import write_whole

from .agent import Offer
from .policy import Policy

Choice = int | list[int]
"""A place in a list, or places in an order."""
CHOICES = "choices"


class Recorder:
    """Another policy, whose choices are written down. A choice among one is none.

    `choices`: where in a list the chosen copy or value was, or in which order rows were tried; what `Repeated` repeats.
    """

    def __init__(self, policy: Policy):
        self._policy = policy
        self.choices: list[Choice] = []

    def turn(self, able: Sequence[int]) -> int:
        """As the other policy says."""
        chosen = self._policy.turn(able)
        if len(able) > 1:
            self.choices.append(able.index(chosen))
        return chosen

    def order(self, offers: list[Offer]) -> list[Offer]:
        """As the other policy says."""
        before = [id(offer) for offer in offers]
        ordered = self._policy.order(offers)
        self.choices.append([before.index(id(offer)) for offer in ordered])
        return ordered

    def pick(self, instances: Sequence[Instance]) -> Instance:
        """As the other policy says."""
        chosen = self._policy.pick(instances)
        if len(instances) > 1:
            self.choices.append(instances.index(chosen))
        return chosen


class Repeated:
    """The choices that a `Recorder` wrote down, for the same engine and the same requests."""

    def __init__(self, choices: Sequence[Choice]):
        self._choices, self._next = choices, 0

    def turn(self, able: Sequence[int]) -> int:
        """The copy that had the turn."""
        return able[self._place(len(able))]

    def order(self, offers: list[Offer]) -> list[Offer]:
        """The order in which its rows were tried."""
        places = self._take()
        if not isinstance(places, list) or sorted(places) != list(range(len(offers))):
            raise self._unlike()
        return [offers[place] for place in places]

    def pick(self, instances: Sequence[Instance]) -> Instance:
        """The values that the row took."""
        return instances[self._place(len(instances))]

    def _place(self, of: int) -> int:
        place = 0 if of == 1 else self._take()
        if not isinstance(place, int) or not 0 <= place < of:
            raise self._unlike()
        return place

    def _take(self) -> Choice:
        if self._next == len(self._choices):
            raise TraceError(f"the recorded run made {self._next:,} choices, and this one makes more; repeat it with the same options (--seed, too)")
        self._next += 1
        return self._choices[self._next - 1]

    def _unlike(self) -> TraceError:
        return TraceError(
            f"choice {self._next:,} of the recorded run was among others; repeat it with the same options (--seed, too) and the same version"
        )


def save_choices(choices: Sequence[Choice], path: str | os.PathLike[str]) -> None:
    """Write the choices of a run.

    Raises:
        TraceError: the file cannot be written.
    """
    write_whole(path, json.dumps({CHOICES: list(choices)}) + "\n")


def load_choices(path: str | os.PathLike[str]) -> list[Choice]:
    """Read the choices of a run.

    Raises:
        TraceError: the file cannot be read, or holds something else.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        choices = found[CHOICES]
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror or error}; give the file that `interlock run --lockstep --record` wrote") from error
    except (ValueError, KeyError, TypeError) as error:
        raise TraceError(f"{path}: holds no choices of a run ({error}); give the file that `interlock run --lockstep --record` wrote") from error
    return list(choices)
