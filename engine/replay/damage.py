"""What a replay did to the answers, measured against the monolithic pass over the same weights.

k3 is taken over the tokens that the clients got: the reference is asked for the probability of those very tokens after that very
prompt. A token is *hit* when the engine's log-probability is further from the reference's than rounding goes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import numpy as np

from ..model.reference import greedy, k3, log_probabilities
from .instance import weights
from .world import ANSWER_TOKENS, Answer, World

HIT = 0.01
"""Difference of log-probabilities above which a token counts as hit in the exact engine, whose rounding stays below 1e-5."""


@dataclass(frozen=True)
class Damage:
    """One replay's outcome.

    Args:
        tokens, mismatched, hit: told to clients; unlike the reference's greedy answer; of another probability than the reference's.
        k3_sum: of k3 over the tokens told. requests, unanswered: all, and those that never end.
        waiting: who is left in the middle of its work, and what for. leaked: blocks of each instance still held by requests that are over
            or never end. overwritten: bytes of keys and values put into blocks of another request; stray: into blocks that nobody holds.
        distances: of the distributions drawn from to those asked for (total variation), where a subject has no answers but draws.
        noted: what handlers noticed, with how often. steps: rows fired.
    """

    tokens: int
    mismatched: int
    hit: int
    k3_sum: float
    requests: int
    unanswered: tuple[str, ...]
    waiting: tuple[str, ...]
    leaked: dict[str, int]
    overwritten: int
    stray: int
    distances: tuple[float, ...] = ()
    noted: dict[str, int] = field(default_factory=dict)
    steps: int = 0

    @property
    def k3_mean(self) -> float:
        """k3_kl_mean of the tokens told; 0 where none was."""
        return self.k3_sum / self.tokens if self.tokens else 0.0

    @property
    def harmless(self) -> bool:
        """No token hit, nobody left waiting for ever, nothing leaked or overwritten."""
        lost = self.unanswered or self.waiting or any(self.leaked.values())
        return not (self.hit or self.mismatched or lost or self.overwritten or self.stray or any(self.distances))


def measure(world: World, waiting: list[str], steps: int) -> Damage:
    """The damage in a world in which nothing happens any more."""
    told = [a for a in world.answers.values() if a.tokens]
    differences = [_against_reference(a) for a in told]
    divergence = [k3(reference, np.array(a.logs)) for a, (reference, _) in zip(told, differences)]
    unanswered = tuple(str(q) for q, a in world.answers.items() if not a.over)
    written = [instance.written for instance in world.instances.values()]
    return Damage(
        tokens=sum(len(a.tokens) for a in told),
        mismatched=sum(wrong for _, wrong in differences),
        hit=sum(int((np.abs(reference - np.array(a.logs)) > HIT).sum()) for a, (reference, _) in zip(told, differences)),
        k3_sum=float(sum(d.sum() for d in divergence)),
        requests=len(world.answers),
        unanswered=unanswered,
        waiting=tuple(waiting) if unanswered or not (world.answers or world.distances) else (),
        leaked={name: sum(owner not in world.kept for owner in i.holder.values()) for name, i in world.instances.items()},
        overwritten=sum(w["other"] for w in written),
        stray=sum(w["free"] for w in written),
        distances=tuple(world.distances),
        noted=dict(world.noted),
        steps=steps,
    )


def _against_reference(answer: Answer) -> tuple[np.ndarray, int]:
    """The reference's log-probabilities of the tokens told, and how many of them its own greedy answer does not have there."""
    logs = log_probabilities(weights(answer.version), answer.sequence)
    first = len(answer.prompt) - 1
    reference = np.array([logs[first + k, token] for k, token in enumerate(answer.tokens)], np.float64)
    expected = _expected(answer.prompt, answer.version)
    return reference, sum(token != right for token, right in zip(answer.tokens, expected))


@cache
def _expected(prompt: tuple[int, ...], version: int) -> list[int]:
    return greedy(weights(version), prompt, ANSWER_TOKENS)
