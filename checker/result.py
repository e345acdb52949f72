"""What a check answers: verdicts, counts and paths. Running out of a budget is *inconclusive*, never *holds*."""

from __future__ import annotations

import builtins
from dataclasses import dataclass, field
from enum import Enum

from protocol.lower import Instance


class Verdict(Enum):
    """Three-valued, and the exit code of the command that asked."""

    HOLDS = "holds"
    VIOLATED = "violated"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Limits:
    """Budgets; None = no limit.

    Units: states; GB (10^9 bytes) of memory of the search's own arrays; seconds of wall time.
    """

    max_states: int | None = None
    max_memory_gb: float | None = None
    time_limit_s: float | None = None


@dataclass(frozen=True)
class Finding:
    """The answer for one property.

    `path`: the instances from the initial state: the shortest path to a violating state (always, never, deadlock, hang,
    write_conflict, lost_store), to the offending step (range: its last step has no successor), or to the witness of a
    `sometimes` that holds. For a violated leads_to: stem and cycle, the cycle being `path[loop_start:]`; a cycle of no
    steps means that the behaviour ends there and stutters.
    """

    property: str
    verdict: Verdict
    path: tuple[Instance, ...] | None = None
    loop_start: int | None = None
    reason: str = ""

    @builtins.property  # the field named property hides the built-in from type checkers
    def path_length(self) -> int | None:
        """Steps of the path; None when there is none."""
        return None if self.path is None else len(self.path)


@dataclass
class Result:
    """The outcome of one exploration.

    `generated` = transitions + 1, self-loops included; `depth` = edges of the longest shortest path.
    """

    system: str
    explorer: str
    findings: dict[str, Finding] = field(default_factory=dict)
    distinct: int = 0
    generated: int = 0
    depth: int = 0
    seconds: float = 0.0
    complete: bool = True
    reason: str = ""
    """Why the exploration is not complete."""

    @property
    def verdict(self) -> Verdict:
        """Violated when any property is; else inconclusive when any is; else holds."""
        found = {f.verdict for f in self.findings.values()}
        for verdict in (Verdict.VIOLATED, Verdict.INCONCLUSIVE):
            if verdict in found:
                return verdict
        return Verdict.HOLDS

    @property
    def distinct_per_s(self) -> float:
        """States per second of wall time."""
        return self.distinct / self.seconds if self.seconds > 0 else 0.0
