"""The strike table: every rule of the repaired protocol left out, and the versions of docs/damage.md, under seeded schedules."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from protocol.errors import DefinitionError, TraceError

from .hunting import BOTH, Tally, Version, engine_version, scenario_version, tally
from .printing import print_prose, print_table

if TYPE_CHECKING:
    from engine.replay.strikes import Struck


@dataclass(frozen=True)
class Listed:
    """A line of the table: its name, the hazards that it is about, how it is had, and what it meets beside the schedule."""

    name: str
    hazards: str
    version: Callable[[], Version]
    is_rule: bool
    meets: str = ""


def print_strikes(seeds: range, changes: int, requests: int, keep: Path | None, output: Path | None) -> int:
    """Hunt all of them, those first that are not in the file that keeps what is done; the exit code: 1 where a version that holds was struck.

    Raises:
        TraceError: a file cannot be read or written.
    """
    from engine.replay.strikes import page, reason, row
    from protocol.trace import write_whole

    done = _Kept(keep, {"first": seeds.start, "seeds": len(seeds), "changes": changes, "requests": requests})
    found = [_struck(listed, done, seeds, changes) for listed in _listed(requests)]
    for is_rule, title in ((True, "the engine without a rule"), (False, "the versions of docs/damage.md")):
        lines = [row(struck) for struck in found if struck.is_rule is is_rule]
        print_table(title, ["left out" if is_rule else "scenario", "~hazards", ">random", ">pct", ">version that holds", "~what", ">?first"], lines)
        print_prose([f"{struck.name}: {reason(struck)}" for struck in found if struck.is_rule is is_rule and not struck.count])
    if output is not None:
        write_whole(output, page(found, seeds, changes, requests))
        print(f"written to {output}")
    return 1 if any(struck.beside for struck in found) else 0


def _listed(requests: int) -> Iterator[Listed]:
    from dataclasses import fields

    from engine.disaggregated.hunt import ADVERSITIES, CALM
    from engine.replay.chosen import CHOSEN
    from protocol.catalogue.repaired_rules import RULES
    from protocol.machines.repaired.bounds import Rules

    for rule in (field.name for field in fields(Rules)):
        hazards = " ".join(source for source in RULES[rule].hazards if source.startswith("H")) if rule in RULES else ""
        yield Listed(rule, hazards, lambda rule=rule: engine_version(rule, requests), True, str(ADVERSITIES.get(rule, CALM)))  # type: ignore[misc]
    for hazard, names in CHOSEN.items():
        for name in names:
            yield Listed(name, hazard, lambda name=name: scenario_version(name), is_rule=False)  # type: ignore[misc]


def _struck(listed: Listed, done: _Kept, seeds: range, changes: int) -> Struck:
    from engine.replay.strikes import Struck

    tallies: list[Tally] = []
    version: Version | None = None
    for which in BOTH:
        known = done.get(listed.name, which.value)
        if known is None:
            try:
                version = version or listed.version()
                known = tally(which, version, seeds, changes)
            except DefinitionError as error:
                return Struck(listed.name, listed.hazards, listed.is_rule, refused=str(error), meets=listed.meets)
            done.add(listed.name, known)
        tallies.append(known)
    random, pct = tallies
    kinds = sum((Counter(t["kinds"]) for t in tallies), Counter[str]())
    first = next((f"{t['policy']} {t['first_seed']}" for t in tallies if t["struck"]), "")
    beside = sum(t["struck_beside"] or 0 for t in tallies)
    return Struck(listed.name, listed.hazards, listed.is_rule, random["struck"], pct["struck"], beside, tuple(kinds), first, meets=listed.meets)


class _Kept:
    """What has been done, a line of JSON each; of other options than these, nothing.

    Raises:
        TraceError: the file holds something else.
    """

    def __init__(self, path: Path | None, options: dict[str, Any]):
        self._path, self._options = path, options
        self._known: dict[tuple[str, str], Tally] = {}
        for line in _lines(path):
            try:
                entry = json.loads(line)
                if entry["options"] == options:
                    self._known[entry["version"], entry["tally"]["policy"]] = entry["tally"]
            except (ValueError, KeyError, TypeError) as error:
                raise TraceError(f"{path}: holds no line of `interlock hunt --all --keep` ({error}); give another file") from error

    def get(self, name: str, policy: str) -> Tally | None:
        """What came of a version under a policy, if it is known."""
        return self._known.get((name, policy))

    def add(self, name: str, found: Tally) -> None:
        """Keep it.

        Raises:
            TraceError: the file cannot be written.
        """
        if self._path is None:
            return
        try:
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({"options": self._options, "version": name, "tally": found}) + "\n")
        except OSError as error:
            raise TraceError(f"{self._path}: cannot be written ({error}); give --keep another file") from error


def _lines(path: Path | None) -> Sequence[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines() if path is not None and path.exists() else []
    except (OSError, UnicodeDecodeError) as error:
        raise TraceError(f"{path}: cannot be read ({error}); give --keep another file") from error
