"""The audit of a run: every token of the engine against one monolithic pass over the same prompt and answer, and what was left behind.

Every token is to be the one that the reference chooses: the likeliest, or where the request's draw falls. Where two are less than `TIE` apart
- in log-probability, or the draw from the part of the other - rounding may choose either, which is counted and not held against the engine.
`k3_kl_mean` compares log-probabilities.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .generation import Finish, Generation, Token
from .model.reference import k3, log_probabilities
from .model.sampling import missed
from .model.weights import Floats, Weights
from .routing.file import RoutingError
from .routing.reader import RoutingReader

TIE = 1e-4
"""Log-probabilities, and draws, closer than this are equal up to rounding."""
HEALTHY_K3 = 1e-9


@dataclass
class Record:
    """What a generation came to: its tokens, and every end that the engine has told."""

    generation: Generation
    tokens: list[Token] = field(default_factory=list)
    ends: list[Finish] = field(default_factory=list)

    @property
    def finish(self) -> Finish | None:
        """Why it has ended; None while it has not."""
        return self.ends[0] if self.ends else None


@dataclass(frozen=True)
class Routes:
    """Rollouts whose routes were looked for, those that could not be read, and those that replay another pass."""

    rollouts: int
    unread: int
    differing: int

    def __str__(self) -> str:
        return f"{self.rollouts} rollouts read back: {self.unread} missing or not whole, {self.differing} that replay another pass"


@dataclass(frozen=True)
class Audit:
    """What was found.

    Args:
        requests, tokens: how many were compared. mismatched: tokens that are not the reference's. ties: those that differ where
            the reference has none to prefer.
        k3_kl_mean: mean over all tokens, without a unit. lost, answered_twice: requests. leaks: what is held with no request under way.
        routes: of the files with the experts that tokens have visited; None where none were asked for.
    """

    requests: int
    tokens: int
    mismatched: int
    ties: int
    k3_kl_mean: float
    lost: int
    answered_twice: int
    leaks: tuple[str, ...]
    routes: Routes | None = None

    @property
    def healthy(self) -> bool:
        """Whether nothing was found."""
        told = self.routes is None or not (self.routes.unread or self.routes.differing)
        return told and not (self.mismatched or self.lost or self.answered_twice or self.leaks) and self.k3_kl_mean < HEALTHY_K3

    def lines(self) -> list[str]:
        """The audit as text."""
        return [
            f"audit: {'healthy' if self.healthy else 'NOT healthy'}; {self.requests} requests, {self.tokens} tokens against the monolithic pass",
            f"  k3_kl_mean {self.k3_kl_mean:.3g} (healthy below {HEALTHY_K3:g})",
            f"  mismatching tokens {self.mismatched}, ties {self.ties}",
            f"  requests lost {self.lost}, answered twice {self.answered_twice}",
            f"  held by nobody: {', '.join(self.leaks) or 'nothing'}",
            *([] if self.routes is None else [f"  routes of {self.routes}"]),
        ]


def audit(weights: Weights, records: Iterable[Record], leaks: Sequence[str], routing: str = "") -> Audit:
    """Compare. Cost: one monolithic pass over each request with its answer.

    Args:
        routing: the folder where the experts that tokens have visited were stored. They are read back, as a trainer does, and replayed in a
            second pass, which must come to what the first one did.
    """
    reader = RoutingReader(Path(routing), patience_s=0) if routing else None
    read: list[bool | None] = []
    divergences: list[np.ndarray] = []
    requests = mismatched = ties = lost = twice = 0
    for record in records:
        requests += 1
        lost += not record.ends or record.ends[0] is Finish.ERROR
        twice += len(record.ends) > 1
        if not record.tokens:
            continue
        chosen, prompt = np.array([token.id for token in record.tokens]), record.generation.prompt
        logs = log_probabilities(weights, (*prompt, *chosen.tolist()))[len(prompt) - 1 : -1]
        told = np.array([token.log_probability for token in record.tokens])
        own = logs[np.arange(len(chosen)), chosen]
        divergences.append(k3(own, told))
        if reader is not None and record.finish in (Finish.STOP, Finish.LENGTH):
            read.append(_replays(reader, weights, record, logs))
        misses = np.array([missed(logs[drawn], record.generation.sampling, drawn, token) for drawn, token in enumerate(chosen)])
        mismatched += int((misses >= TIE).sum())
        ties += int(((misses > 0) & (misses < TIE)).sum())
    every = np.concatenate(divergences) if divergences else np.zeros(1)
    tokens = sum(len(part) for part in divergences)
    routes = None if reader is None else Routes(len(read), read.count(None), read.count(False))
    return Audit(requests, tokens, mismatched, ties, float(every.mean()), lost, twice, tuple(leaks), routes)


def _replays(reader: RoutingReader, weights: Weights, record: Record, logs: Floats) -> bool | None:
    """Whether a pass along the stored routes of a request's tokens has these log-probabilities, too; None when they cannot be read."""
    tokens = [*record.generation.prompt, *(token.id for token in record.tokens[:-1])]
    try:
        routes = reader.read(record.generation.rollout, weights.config.layers)
    except RoutingError:
        return None
    if any(len(layer) != len(tokens) for layer in routes):
        return False
    along = log_probabilities(weights, tokens, routes)[-len(record.tokens) :]
    return bool(np.abs(along - logs).max() < TIE)
