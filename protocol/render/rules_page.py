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

_OPEN = """\
Found by review after the proofs, and not mended yet. "Holds" on this page is about the properties and bounds that it names.

- **A fault.** When a client gives up while D decodes, D frees the reservation at once, although its own step may still be at work on it;
  another request can be granted that room meanwhile (42 steps, 45 to a reused reservation). No property on this page looks at D's worker. The
  end of the step has to free it.
- **Death is seen without error.** D and P know of each other's death, and are never wrong. A wrong suspicion breaks `foreign_written`,
  `requests_answered` and `reservations_come_back`; the group [network](catalogue.md) fences instead.
- **The death of a rank is that of P, in one step:** what the rest of P does until the supervisor ends it is not there.
- **No bounds make two requests contend for P's slot,** and no request is decoded by a D that has restarted, by any witness here.
- **Rows that are larger than the real steps:** a worker writes a layer and signals it in one row; the sender looks at the mark and writes into
  D's memory in one row, under the lock. Forwards end together on all ranks (SYNC). An abort reaches P before D, and only after the post.
- **`remembers_closed`** is misnamed: what is left out lets D reserve for an entry that its own server has not opened.
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
    parts += ["## Known faults and assumptions\n", _OPEN]
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
