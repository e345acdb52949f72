"""The page of the repaired protocol: rule by rule, what it changes against the real versions and what comes back without it.

Made from `Rules`, `RuleNote` and the recorded scenarios of the group, so that no figure on it is written by hand.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..catalogue import Scenario
from ..catalogue.repaired import ASKED, BOUNDS, RULES
from .table import markdown

_PREFACE = """\
One composition from the router's post to the client's answer: `protocol/machines/repaired/`. It keeps what the pull requests were
after:

- #6680: P schedules after the forward, and then everything that is ready, in one batch;
- #7724: requests are prepared in parallel, and nothing is acknowledged between registration and forward;
- #7944: P has no waiting queue, allocates nothing and preempts nobody when it schedules;
- a full D holds up no request for another D.

`interlock check --all` explores every scenario on this page but the deep ones, `interlock check --deep` these as well. No row
of the composition assumes more atomicity than its medium gives (`assume_atomic` is used nowhere).
"""

_RULES = """\
Every rule is a field of `Rules` in [`plane.py`](../protocol/machines/repaired/plane.py). To take one away and look:
`interlock check protocol/machines/repaired/protocol.py:build --set without=counts_reports --set ranks=2`.
"""

_ELSEWHERE = """\
Asked in other groups, because it concerns machines that this composition does not have: CH-S6 (the prefix cache), CH-P1 (the senders'
meetings: here senders do not meet), EW-P13 (rounds of the data-parallel instances), EW-P15 (shutdown). P dies for good here;
its restart, with generations, is in the group [network](catalogue.md).
"""


def repaired_page(scenarios: Iterable[Scenario], generated: str) -> str:
    """The page as Markdown; `generated` is the line that says so."""
    mine = [s for s in scenarios if s.group == "repaired"]
    whole = [s for s in mine if "without" not in s.config]
    parts = ["# The repaired protocol\n", generated, _PREFACE, "## Rules\n", _RULES]
    for rule, note in RULES.items():
        left_out = [s for s in mine if s.config.get("without") == rule]
        parts += [
            f"### {rule.replace('_', ' ')}\n",
            f"{note.says}\n",
            f"- **Instead:** {note.instead}",
            f"- **Removes:** {', '.join(note.hazards)}",
            f"- **Without it:** {note.then} " + "; ".join(_broken(s) for s in left_out) + "\n",
        ]
    parts += ["## What holds\n", _kept_table(whole), _ELSEWHERE, "## At which bounds\n", _bounds_table(whole)]
    return "\n".join(parts)


def _broken(scenario: Scenario) -> str:
    steps = f" in {scenario.path_length} steps" if scenario.path_length else ""
    return f"`{scenario.property}` is violated{steps} (`{scenario.name}`)"


def _kept_table(scenarios: list[Scenario]) -> str:
    rows = []
    for asked, says in ASKED.items():
        named = [_bounds_of(s) + (" (deep)" if s.deep else "") for s in scenarios if s.property == asked]
        rows.append((f"`{asked}`", says, ", ".join(named)))
    return markdown(("property", "says", "explored at"), rows)


def _bounds_table(scenarios: list[Scenario]) -> str:
    rows = []
    for name, config in BOUNDS.items():
        counts = [s.distinct or 0 for s in scenarios if _bounds_of(s) == name]
        if counts:
            settings = ", ".join(f"{key}={value}" for key, value in config.items())
            rows.append((name, settings, str(len(counts)), f"{max(counts):,}"))
    return markdown(("bounds", "settings", "properties", "most states"), rows)


def _bounds_of(scenario: Scenario) -> str:
    return next(name for name, config in BOUNDS.items() if config == scenario.config)
