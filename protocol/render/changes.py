"""What pull requests did to the hazards: the verdicts of the version before compared with those of the version behind them.

Nothing here is judged by hand but which version lies before and behind which pull requests. A *claim* is a property about a hazard; it is
opened where it held before and is violated behind, and closed the other way round.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..catalogue import Scenario, hazards, scenarios
from .catalogue import hazards_of, is_judged, pull_title
from .listing import Table
from .table import markdown

FREE = ("deadlock", "hang")
"""Properties that any scenario may ask: two that ask the same of them need not be about the same."""


@dataclass(frozen=True)
class Change:
    """Pull requests between two versions of a group. `before` is empty where the version without them is not in the catalogue.

    `apart`: properties of which the two versions are asked at bounds that cannot be compared; nothing is told of them.
    """

    pulls: tuple[str, ...]
    group: str
    before: str
    after: str
    note: str = ""
    apart: tuple[str, ...] = ()


# fmt: off
CHANGES = (
    Change(("#7364", "#7387"),           "prefix-cache",        "E0",              "E0_7364"),
    Change(("#6680",),                   "forward-signal",      "A",               "B"),
    Change(("#6680",),                   "collectives",         "A",               "B"),
    Change(("#6680",),                   "collectives-weights", "A",               "B"),
    Change(("#6680",),                   "engine-threads",      "A",               "B",    apart=("gate_opens",)),
    Change(("#6680",),                   "intake",              "T2",              "N1"),
    Change(("#6680",),                   "forward-signal",      "B",               "B'",   "its follow-ups"),
    Change(("#6680",),                   "collectives",         "B",               "B'",   "its follow-ups"),
    Change(("#6680",),                   "engine-threads",      "B",               "B'",   "its follow-ups"),
    Change(("#7111",),                   "collectives-weights", "B",               "B-with-7111"),
    Change(("#7111",),                   "collectives-weights", "B'-without-7111", "B'"),
    Change(("#7141",),                   "lifecycle",           "before_7141",     "newest"),
    Change(("#7633", "#7654"),           "collectives-silence", "before-7633",     "since-7633"),
    Change(("#7633", "#7654"),           "lifecycle",           "before_7633",     "newest"),
    Change(("#6743", "#7141", "#7642"),  "engine-threads",      "A",               "A'",   "the newest abort and pause"),
    Change(("#7500", "#7606"),           "decode-tasks-list",   "early",           "late"),
    Change(("#7667",),                   "decode",              "unpopped",        "single"),
    Change(("#7771",),                   "network-socket",      "shared",          "locked"),
    Change(("#7771",),                   "preparation",         "E1",              "E1_7771"),
    Change(("#7791",),                   "forward-signal",      "B'",              "A"),
    Change(("#7791",),                   "collectives",         "B'",              "A"),
    Change(("#7791",),                   "intake",              "N1",              "T2"),
    Change(("#7724",),                   "preparation",         "E0",              "E1"),
    Change(("#7724",),                   "layer0-signal",       "E0",              "E1"),
    Change(("#7724",),                   "sending",             "E0",              "E1"),
    Change(("#7724",),                   "engine-threads",      "A'",              "R'",   "on top of the newest abort and pause"),
    Change(("#7872", "#7896"),           "layer0-signal",       "E1",              "E2"),
    Change(("#7872", "#7896"),           "sending",             "E1",              "E2"),
    Change(("#7931",),                   "sending",             "",                "EP"),
    Change(("#7933", "#7934"),           "buffers",             "cloned",          "full_size"),
    Change(("#7965",),                   "decode",              "single",          "monitored"),
    Change(("#7973",),                   "decode",              "monitored",       "rechecked"),
    Change(("#7944",),                   "lifecycle",           "schedule",        "optimised", "under -O"),
    Change(("#8034", "#8035"),           "layer0-signal",       "E2",              "E3a"),
    Change(("#8034", "#8035"),           "sending",             "E2",              "E3a"),
)
# fmt: on


@dataclass(frozen=True)
class Claim:
    """What a property says of a hazard, and the scenarios that answer it in the version before, and behind; None where it was not asked.

    `number`: of the hazard; the property's name where none is cited.
    """

    number: str
    asked: str
    before: Scenario | None
    after: Scenario | None

    @property
    def is_opened(self) -> bool:
        """It held, and is violated now."""
        return _holds(self.before) and _violated(self.after)

    @property
    def is_closed(self) -> bool:
        """It was violated, and holds now."""
        return _violated(self.before) and _holds(self.after)


def claims(change: Change) -> list[Claim]:
    """Every claim that is asked of a version behind the pull requests, or before them."""
    before, after = _answers(change.group, change.before), _answers(change.group, change.after)
    found = []
    for number, asked in (key for key in dict.fromkeys([*after, *before]) if key[1] not in change.apart):
        if number == asked and asked not in FREE and any(key[1] == asked and key[0] != asked for key in (*before, *after)):
            continue  # told with the hazard that the other version cites
        claim = Claim(number, asked, before.get((number, asked)), after.get((number, asked)))
        unnamed = (asked, asked) if asked not in FREE else (number, asked)
        turned = Claim(number, asked, claim.before or before.get(unnamed), claim.after or after.get(unnamed))
        found.append(turned if turned.is_opened or turned.is_closed else claim)
    return found


def opened(change: Change) -> list[str]:
    """The hazards that the change opens, each with `*` where some of it was there before."""
    found = claims(change)
    were = {c.number for c in found if _violated(c.before)}
    return _marked((c.number for c in found if c.is_opened), were)


def closed(change: Change) -> list[str]:
    """The hazards that the change closes, each with `*` where some of it is still there."""
    found = claims(change)
    are = {c.number for c in found if _violated(c.after)}
    return _marked((c.number for c in found if c.is_closed), are)


def left(change: Change) -> list[str]:
    """The hazards that are there before and behind it."""
    told = {n.rstrip("*") for n in (*opened(change), *closed(change))}
    return list(dict.fromkeys(c.number for c in claims(change) if _violated(c.before) and _violated(c.after) and c.number not in told))


def found_with(change: Change) -> list[str]:
    """The hazards of these pull requests that are there behind them, and of which nothing that is asked there was asked before."""
    told = {n.rstrip("*") for n in (*opened(change), *closed(change), *left(change))}
    new = [c for c in claims(change) if _violated(c.after) and c.number not in told]
    named = [c for c in new if c.number in hazards() and c.after is not None]
    return list(dict.fromkeys(c.number for c in named if set(change.pulls) & {*hazards()[c.number].pulls, *c.after.sources}))  # type: ignore[union-attr]


def changes_of(pull: str) -> list[Change]:
    """The changes that a pull request is a part of."""
    return [change for change in CHANGES if pull in change.pulls]


# -- as text ---------------------------------------------------------------------------------------------------------

_INTRO = """\
Which pull request of FastDeploy opened which race, and which closed it. Read off the verdicts of [the catalogue](catalogue.md) on the
version before and the version behind it; where they differ, a test asks both at the same bounds (`tests/protocol/test_changes.py`).
*Opens*: a claim about the hazard held before, and is violated behind. *Closes*: one was violated, and holds. *Leaves*: violated before
and behind. *Found with it*: a hazard of this pull request that is there behind it, and was not asked before, mostly because what it is
about was not there. A star: in part; some of the hazard was there before, or still is. A claim that is about no numbered hazard stands
there by its property. The letters are [the versions](catalogue.md#versions); others are explained in the group's section of the catalogue. None of
these is left in [the repaired protocol](repaired.md). `interlock show '#7724'` has a pull request's scenarios, `interlock show H-01` a
hazard's path.
"""


def changes_page(generated: str) -> str:
    """docs/pulls.md: the matrix, and every claim that turned, with what happens."""
    rows = []
    for change in CHANGES:
        cells = [" ".join(map(_to, numbers(change))) for numbers in (opened, closed, left, found_with)]
        rows.append((_who(change), _versions(change), *cells))
    parts = ["# Pull requests\n", generated, _INTRO]
    parts += [markdown(("pull requests", "versions", "opens", "closes", "leaves", "found with it"), rows), "## What they did\n"]
    cited = sorted({pull for change in CHANGES for pull in change.pulls}, key=lambda pull: int(pull[1:]))
    parts += ["\n".join(f"- {pull_title(pull)}" for pull in cited) + "\n", "## Claim by claim\n"]
    return "\n".join([*parts, markdown(("pull requests", "hazard", "claim", "before", "behind", "what happens"), list(_turned()))])


def change_table(pull: str) -> Table:
    """For the terminal: what a pull request opens, closes and leaves, a row for each group that it changed."""
    rows = [[_versions(c), *(" ".join(numbers(c)) for numbers in (opened, closed, left, found_with))] for c in changes_of(pull)]
    return ["versions", "~opens", "~closes", "~leaves", "~found with it"], rows


def _turned() -> Iterable[tuple[str, ...]]:
    for change in CHANGES:
        for claim in claims(change):
            if claim.before is not None and claim.after is not None and (claim.is_opened or claim.is_closed):
                bad = claim.after if claim.is_opened else claim.before
                marks = [f"[{'✗ ' + str(s.path_length or '') if _violated(s) else '✓'}]({_link(s)})" for s in (claim.before, claim.after)]
                hazard = _to(claim.number) if claim.number in hazards() else ""
                yield (_who(change), hazard, f"`{claim.asked}`", *marks, bad.about)


def _who(change: Change) -> str:
    return " ".join(change.pulls) + (f", {change.note}" if change.note else "")


def _versions(change: Change) -> str:
    return f"{change.group}: {change.before or '-'} → {change.after}"


def _link(scenario: Scenario) -> str:
    return f"machines/{scenario.group}-scenarios.md#{scenario.name}"


def _to(number: str) -> str:
    star = "\\*" if number.endswith("*") else ""
    plain = number.rstrip("*")
    return f"[{plain}](catalogue.md#{plain.lower()}){star}" if plain in hazards() else f"`{plain}`{star}"


def _marked(numbers: Iterable[str], partly: set[str]) -> list[str]:
    return [number + ("*" if number in partly else "") for number in dict.fromkeys(numbers)]


def _answers(group: str, variant: str) -> dict[tuple[str, str], Scenario]:
    """Of each (hazard, property): the violated claim with the shortest path, else the largest that holds."""
    found: dict[tuple[str, str], list[Scenario]] = {}
    for scenario in scenarios().values():
        if scenario.group == group and scenario.variant == variant and is_judged(scenario):
            for number in hazards_of(scenario) or [scenario.property]:
                found.setdefault((number, scenario.property), []).append(scenario)
    return {key: _telling(mine) for key, mine in found.items()}


def _telling(mine: Sequence[Scenario]) -> Scenario:
    violated = [s for s in mine if _violated(s)]
    return min(violated, key=lambda s: s.path_length or 0) if violated else max(mine, key=lambda s: s.distinct or 0)


def _holds(scenario: Scenario | None) -> bool:
    return scenario is not None and scenario.expected == "holds"


def _violated(scenario: Scenario | None) -> bool:
    return scenario is not None and scenario.expected == "violated"
