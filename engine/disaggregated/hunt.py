"""A hunt: the engine with one rule of its protocol left out, under many seeded schedules. In how many does it go wrong, and what is damaged?

Every run has the same requests at once, a policy of its own seed, and what the rule is about: clients that give up, processes that die,
messages that are lost - each at moments drawn from the seed. The repaired protocol under the same adversity is harmed by none of them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from protocol import ProtocolError

from ..audit import HEALTHY_K3, Audit, audit
from ..errors import StandsStill
from ..generation import Generation
from ..model.config import TINY
from ..model.named import weights_of
from ..runtime.policy import Policy
from .lockstep import LockstepEngine
from .plant import Plant

ROWS_MAX = 60_000
"""A run that takes more is given up as standing still; a healthy one takes some thousands."""
SMALL = Plant(TINY, ranks=2, decodes=1, sequences=2, context_tokens=64, slots=2, threads=2, mortal=True, turns=8, prefix_cache=False)
"""The engine that is hunted: small, so that numbers, slots and rooms are used again and again."""
REQUESTS, PROMPT_TOKENS, ANSWER_TOKENS = 8, 48, 6
ROWS_REQUEST = 300
"""About how many rows a request takes."""


@dataclass(frozen=True)
class Adversity:
    """What happens to a run beside its schedule: how many clients give up, processes die, and unfair rows of the protocol fire.

    `troubles`: the builder's arguments that the rows for it need.
    """

    aborts: int = 0
    kills: int = 0
    faults: int = 0
    troubles: Mapping[str, Any] = field(default_factory=dict)


CALM = Adversity()
ADVERSITIES: dict[str, Adversity] = {
    "reports_last": Adversity(faults=3, troubles={"errors": True}),
    "drains_before_cancel": Adversity(aborts=4),
    "reserves_once": Adversity(faults=4),
    "reserves_posted": Adversity(faults=4),
    "sends_again": Adversity(faults=3, troubles={"losses": True}),
    "fences_writes": Adversity(faults=3, troubles={"suspicions": True}),
    "dies_whole": Adversity(kills=1, troubles={"crash": "rank"}),
    "names_turns": Adversity(aborts=3, faults=3),
    "names_lives": Adversity(kills=2),
    "ends_steps": Adversity(aborts=4),
}
"""What each rule is about, where a schedule alone does not do."""


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    `stall`: who waits for what, if it stood still; `failure`: what an engine's process died of. `strays`: layers of a chunk written into
    blocks that were no longer, or never, the request's.
    """

    seed: int
    rows: int
    found: Audit
    strays: int
    stall: str = ""
    failure: str = ""
    calm: bool = True

    @property
    def harms(self) -> list[tuple[str, str]]:
        """What was damaged, by kind and in words; nothing in a healthy run. Where things go wrong on purpose, errors told to clients are none."""
        found, ended = self.found, not (self.stall or self.failure)
        said = [
            (found.mismatched, "wrong tokens", f"{found.mismatched} of {found.tokens} tokens are not the reference's"),
            (found.k3_kl_mean >= HEALTHY_K3, "k3", f"k3_kl_mean {found.k3_kl_mean:.2g}"),
            (self.strays, "stray writes", f"{self.strays} KV layers written into blocks of others"),
            (found.answered_twice, "answered twice", f"{found.answered_twice} requests answered twice"),
            (found.lost and self.calm and ended, "lost", f"{found.lost} requests lost"),
            (self.stall, "stands still", f"it stands still: {self.stall}"),
            (self.failure, "fails", f"the engine fails: {self.failure}"),
            (found.leaks and ended, "leaks", f"held by nobody: {', '.join(found.leaks)}"),
        ]
        return [(kind, text) for harm, kind, text in said if harm]


class Hunt:
    """One version of the engine, hunted again and again.

    Args:
        without: the rule that is left out; None for none. adversity: what happens beside; what the rule is about if None.
        plant: the engine's sizes. requests: how many.
    """

    def __init__(self, without: str | None, adversity: Adversity | None = None, plant: Plant = SMALL, requests: int = REQUESTS):
        self.adversity = adversity if adversity is not None else ADVERSITIES.get(without or "", CALM)
        self.plant = replace(plant, without=without, troubles=self.adversity.troubles)
        self._weights = weights_of(plant.config)
        self._requests = requests
        self._last: LockstepEngine | None = None

    def run(self, policy: Policy, seed: int) -> Outcome:
        """One run. The seed draws the requests and the moments at which something happens to them; the policy has its own."""
        engine = self._last = LockstepEngine(self._weights, self.plant, policy=policy, like=self._last)
        rng = random.Random(seed)
        keys = [engine.submit(self._generation(rng)) for _ in range(self._requests)]
        events = self._events(rng, engine, keys)
        stall = failure = ""
        try:
            self._play(engine, events)
        except StandsStill as error:
            stall = str(error)
        except (ProtocolError, LookupError, TypeError, ValueError, AttributeError, AssertionError) as error:
            failure = f"{type(error).__name__}: {error}"
        leaks = [] if failure else engine.leaks()
        found = audit(self._weights, engine.answers.values(), leaks)
        return Outcome(seed, engine.ensemble.fired, found, engine.strays, stall, failure, self.adversity == CALM)

    def _generation(self, rng: random.Random) -> Generation:
        prompt = tuple(rng.randrange(256) for _ in range(rng.randrange(1, PROMPT_TOKENS)))
        return Generation(prompt, rng.randrange(1, ANSWER_TOKENS + 1))

    def _events(self, rng: random.Random, engine: LockstepEngine, keys: Sequence[int]) -> list[tuple[int, Callable[[], bool]]]:
        """What happens, and after how many rows; each says whether it could."""
        adversity, wanted = self.adversity, list[Callable[[], bool]]()
        for key in rng.sample(list(keys), adversity.aborts):
            wanted.append(partial(self._abort, engine, key))
        mortal = [name for name in engine.ensemble.mortal if name != "router"]
        for _ in range(adversity.kills):
            wanted.append(partial(self._kill, engine, rng.choice(mortal)))
        wanted += [partial(engine.ensemble.misfortune, rng)] * adversity.faults
        span = 150 * self._requests
        return sorted(((rng.randrange(1, span), event) for event in wanted), key=lambda one: one[0])

    def _play(self, engine: LockstepEngine, events: list[tuple[int, Callable[[], bool]]]) -> None:
        while engine.open and events:
            if engine.ensemble.fired >= events[0][0] and events[0][1]():
                events.pop(0)
            elif not engine.turn():
                engine.ensemble.pass_time()
            if engine.ensemble.fired > ROWS_MAX:
                break
        engine.run(ROWS_MAX)

    def _abort(self, engine: LockstepEngine, key: int) -> bool:
        engine.abort(key)
        return True

    def _kill(self, engine: LockstepEngine, process: str) -> bool:
        engine.ensemble.kill(process)
        return True
