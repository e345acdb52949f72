"""What a check answers: verdicts, counts and paths. Running out of a budget is *inconclusive*, never *holds*."""

from __future__ import annotations

import builtins
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from protocol.action import Instance
from protocol.system import System


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
    never_fired: tuple[str, ...] = ()
    """Rows, by `row_names`, of which no instance ever took a step; says something of the system only when `complete`."""
    reduced: bool = False
    """Interleavings were left out: counts are those of the reduced search, paths need not be shortest, `never_fired` is not told."""
    notes: tuple[str, ...] = ()
    """What each reduction was used for, or why it was not."""

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


def row_names(system: System) -> list[str]:
    """Per action a name of its own: `machine.event`; with its sources where the event has several rows, and numbered where these clash."""
    rows = Counter(a.name for a in system.actions)
    seen: Counter[str] = Counter()
    names = []
    for action in system.actions:
        name = action.name if rows[action.name] == 1 else f"{action.name} from {' or '.join(s.name for s in action.row.sources)}"
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return names


def never_fired(system: System, fired: Iterable[int]) -> tuple[str, ...]:
    """The names of the rows whose action is not among the fired ones (by number), in the order of the tables."""
    known = set(fired)
    return tuple(name for name, action in zip(row_names(system), system.actions) if action.number not in known)
