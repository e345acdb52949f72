"""A hunt: the engine with one rule of its protocol left out, under many seeded schedules. In how many does it go wrong, and what is damaged?

Every run has the same requests at once, a policy of its own seed, and what the rule is about: clients that give up, processes that die,
messages that are lost, an operator who pauses - each at moments drawn from the seed. The repaired protocol under the same adversity is
harmed by none of them. In every third seed a step of D takes as long as some hundred rows, else no time; in every second, D's steps read and
write their blocks when they end, else when they begin.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from protocol import ProtocolError

from ..audit import HEALTHY_K3, Audit, Record, audit
from ..errors import StandsStill
from ..generation import Finish, Generation
from ..model.config import TINY
from ..model.named import weights_of
from ..runtime.ensemble import RETURN_S
from ..runtime.policy import Policy
from .lockstep import LockstepEngine
from .lockstep_memory import FREE, Cost
from .plant import BLOCK_SIZE, Plant

ROWS_MAX = 6_000
"""A run that takes more is given up as standing still; a healthy one takes some thousands."""
SMALL = Plant(TINY, ranks=2, decodes=1, sequences=2, context_tokens=64, slots=2, threads=2, mortal=True, turns=8, prefix_cache=False)
"""The engine that is hunted: small, so that numbers, slots and rooms are used again and again."""
REQUESTS, ANSWER_TOKENS = 8, 6
ROWS_REQUEST = 300
"""About how many rows a request takes."""
PAUSE_ROWS = 200
"""So long a pause lasts."""
STALL_ROWS = 800
"""So long a copy has no turn, unless nobody else could have one."""
SLOW = Cost(row_s=4e-5, step_s=0.02)
"""A step of D takes as long as 500 rows: meanwhile blocks that it works on may be given up, given to another request, and written by P."""
RETURNS_S = (0.0, RETURN_S)
"""Virtual time from a death to the return; it goes by where rows take time, or nobody has one."""


@dataclass(frozen=True)
class Adversity:
    """What happens to a run beside its schedule: how many clients give up, processes die, unfair rows of the protocol fire, and pauses there are.

    `stalls`: of these machines a copy each loses its processor for a while. `troubles`: the builder's arguments that the rows for it need.
    `sizes`: of the plant, where it is another than usual. `shared_tokens`: prompts begin in one of two ways, alike for so many tokens.
    """

    aborts: int = 0
    kills: int = 0
    faults: int = 0
    pauses: int = 0
    stalls: tuple[str, ...] = ()
    troubles: Mapping[str, Any] = field(default_factory=dict)
    sizes: Mapping[str, Any] = field(default_factory=dict)
    shared_tokens: int = 0

    def __str__(self) -> str:
        counted = [(self.aborts, "clients give up"), (self.kills, "deaths"), (self.faults, "faults"), (self.pauses, "pauses")]
        said = [f"{number} {what if number > 1 else what.removesuffix('s')}" for number, what in counted if number]
        said += [f"{number} stalls of a {machine}" for machine, number in Counter(self.stalls).items()]
        said += [name if value is True else f"{name} {value}" for name, value in {**self.troubles, **self.sizes}.items()]
        said += [f"{self.shared_tokens} shared tokens"] if self.shared_tokens else []
        return ", ".join(said).replace("_", " ") or "nothing"


CALM = Adversity()
LAUNCHED = {"asynchronous": True, "slots": 1, "context_tokens": 128}
"""Long prompts, one after the other, on devices: then a withdrawal is a batch of its own, and may overtake the chunks before it."""
ADVERSITIES: dict[str, Adversity] = {
    "cleans_first": Adversity(stalls=("sender",) * 4),
    "keeps_until_sent": Adversity(stalls=("sender",) * 4),
    "owns_signals": Adversity(kills=3),
    "reports_last": Adversity(faults=3, troubles={"errors": True}),
    "drains_before_cancel": Adversity(aborts=4),
    "reserves_once": Adversity(faults=4),
    "reserves_posted": Adversity(faults=4),
    "sends_again": Adversity(faults=3, troubles={"losses": True}),
    "fences_writes": Adversity(faults=3, troubles={"suspicions": True}),
    "dies_whole": Adversity(kills=1, troubles={"crash": "rank"}),
    "names_turns": Adversity(aborts=4, faults=12),
    "names_lives": Adversity(kills=3),
    "leaves_intake": Adversity(aborts=4),
    "speaks_in_stream": Adversity(aborts=6, stalls=("device",) * 4, sizes=LAUNCHED),
    "ends_steps": Adversity(aborts=4),
    "credits_singly": Adversity(aborts=4),
    "drains_before_pause": Adversity(pauses=2),
    "holds_posts": Adversity(pauses=2),
    "publishes_computed": Adversity(aborts=4, sizes={"prefix_cache": True}, shared_tokens=32),
    "counts_users": Adversity(stalls=("prepare",) * 8, sizes={"prefix_cache": True}, shared_tokens=32),
}
"""What each rule is about, where a schedule alone does not do."""


@dataclass(frozen=True)
class HuntedRun:
    """What a run came to.

    `stall`: who waits for what, if it stood still; `failure`: what an engine's process died of. `strays`: layers of a chunk written into
    blocks that were no longer, or never, the request's; `cut`: answers that ended as complete and are not of their length; `awake`: tokens
    that came while the operator had been told that nothing is under way.
    """

    seed: int
    rows: int
    found: Audit
    strays: int
    cut: int = 0
    awake: int = 0
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
            (self.cut, "cut short", f"{self.cut} complete answers are not of their length"),
            (self.awake, "no pause", f"{self.awake} tokens come during a pause"),
            (found.lost and self.calm and ended, "lost", f"{found.lost} requests lost"),
            (self.stall, "stands still", f"it stands still: {self.stall}"),
            (self.failure, "fails", f"the engine fails: {self.failure}"),
            (found.leaks and ended, "leaks", f"held by nobody: {', '.join(found.leaks)}"),
        ]
        return [(kind, text) for harm, kind, text in said if harm]


class Stalling:
    """A policy under which a copy may lose its processor for a while.

    Args:
        policy: who decides between the others.
    """

    def __init__(self, policy: Policy):
        self._policy, self._turns = policy, 0
        self._until: dict[int, int] = {}
        self.order, self.pick = policy.order, policy.pick

    def stall(self, number: int) -> None:
        """From now on."""
        self._until[number] = self._turns + STALL_ROWS

    def turn(self, able: Sequence[int]) -> int:
        """Of those who have not lost theirs, if there are any."""
        self._turns += 1
        return self._policy.turn([k for k in able if self._until.get(k, 0) < self._turns] or able)


class Hunt:
    """One version of the engine, hunted again and again.

    Args:
        without: the rule that is left out; None for none. adversity: what happens beside; what the rule is about if None.
        plant: the engine's sizes. requests: how many.
    """

    def __init__(self, without: str | None, adversity: Adversity | None = None, plant: Plant = SMALL, requests: int = REQUESTS):
        self.adversity = adversity if adversity is not None else ADVERSITIES.get(without or "", CALM)
        self.plant = replace(plant, without=without, troubles=self.adversity.troubles, **self.adversity.sizes)
        self._weights = weights_of(plant.config)
        self._requests = requests
        self._last: LockstepEngine | None = None

    def run(self, policy: Policy, seed: int) -> HuntedRun:
        """One run. The seed draws the requests and the moments at which something happens to them; the policy has its own."""
        cost, late = SLOW if seed % 3 == 2 else FREE, seed % 2 == 1
        turns = Stalling(policy)
        engine = self._last = LockstepEngine(self._weights, self.plant, policy=turns, cost=cost, like=self._last, late=late)
        self._awake = 0
        rng = random.Random(seed)
        keys = [engine.submit(self._generation(rng)) for _ in range(self._requests)]
        events = self._events(rng, engine, keys, turns)
        stall = failure = ""
        try:
            self._play(engine, events)
        except StandsStill as error:
            stall = str(error)
        except (ProtocolError, LookupError, TypeError, ValueError, AttributeError, AssertionError) as error:
            failure = " ".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())])
        leaks = [] if failure else engine.leaks()
        found = audit(self._weights, engine.records.values(), leaks)
        cut = sum(_is_cut(answer) for answer in engine.records.values())
        return HuntedRun(seed, engine.ensemble.fired, found, engine.strays, cut, self._awake, stall, failure, self.adversity == CALM)

    def _generation(self, rng: random.Random) -> Generation:
        prompt = tuple(rng.randrange(256) for _ in range(rng.randrange(1, self.plant.context_tokens - BLOCK_SIZE)))
        if shared := self.adversity.shared_tokens:
            beginning = random.Random(rng.randrange(2))
            prompt = (*(beginning.randrange(256) for _ in range(shared)), *prompt[: self.plant.context_tokens - shared - ANSWER_TOKENS])
        return Generation(prompt, rng.randrange(1, ANSWER_TOKENS + 1))

    def _events(self, rng: random.Random, engine: LockstepEngine, keys: Sequence[int], turns: Stalling) -> list[tuple[int, Callable[[], bool]]]:
        """What happens, and after how many rows; each says whether it could."""
        adversity, wanted = self.adversity, list[Callable[[], bool]]()
        for key in rng.sample(list(keys), adversity.aborts):
            wanted.append(partial(self._abort, engine, key))
        mortal = [name for name in engine.ensemble.mortal if name != "router"]
        for _ in range(adversity.kills):
            wanted.append(partial(self._kill, engine, rng.choice(mortal), rng.choice(RETURNS_S)))
        wanted += [partial(engine.ensemble.misfortune, rng)] * adversity.faults
        wanted += [partial(self._pause, engine, self._generation(rng)) for _ in range(adversity.pauses)]
        wanted += [partial(self._stall, turns, rng.choice(engine.ensemble.turns_of(machine))) for machine in adversity.stalls]
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

    def _stall(self, turns: Stalling, number: int) -> bool:
        turns.stall(number)
        return True

    def _abort(self, engine: LockstepEngine, key: int) -> bool:
        engine.abort(key)
        return True

    def _kill(self, engine: LockstepEngine, process: str, return_s: float) -> bool:
        """Once it lives."""
        if engine.ensemble.is_dead(process):
            return False
        engine.ensemble.kill(process, return_s)
        return True

    def _pause(self, engine: LockstepEngine, generation: Generation) -> bool:
        """Pause, watch for a while whether anything comes all the same, also of what is asked for meanwhile, and go on."""
        engine.pause()
        before = _told(engine)
        engine.submit(generation)
        for _ in range(PAUSE_ROWS):
            if not engine.turn():
                engine.ensemble.pass_time()
        self._awake += _told(engine) - before
        engine.resume()
        return True


def _told(engine: LockstepEngine) -> int:
    """Tokens that clients have got."""
    return sum(len(answer.tokens) for answer in engine.records.values())


def _is_cut(answer: Record) -> bool:
    """Whether an answer that ended by its length has another; no token of a hunt stops one."""
    return answer.finish is Finish.LENGTH and len(answer.tokens) != answer.generation.max_tokens
