"""Answers as records: what `--json` writes and what `check --all` compares with the catalogue."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from protocol.catalogue.target import Target

from .result import Finding, Result, Verdict


@dataclass(frozen=True)
class Record:
    """One property of one target, answered. `seconds` is wall time of the exploration; `path` are step names."""

    name: str
    property: str
    verdict: str
    expected: str | None
    distinct: int
    generated: int
    depth: int
    seconds: float
    distinct_per_s: float
    path_length: int | None
    path: list[str] | None
    reason: str = ""
    reduced: bool = False
    never_fired: tuple[str, ...] = ()
    """Rows that never took a step; empty, too, when the exploration is not complete."""
    notes: tuple[str, ...] = ()
    """Of a reduced search: what each reduction was used for, or why it was not."""

    def as_json(self) -> dict[str, Any]:
        """A plain dictionary."""
        return asdict(self)


def records_of(target: Target, result: Result) -> list[Record]:
    """One record per asked property; a property that nobody asked for appears when it is violated (range, illegal messages)."""
    asked = [target.scenario.property] if target.scenario is not None else [p.name for p in target.system.properties]
    chosen = [f for n, f in result.findings.items() if n in asked or f.verdict is Verdict.VIOLATED]
    if not chosen:
        chosen = [result.findings["range"]]
    return [_record(target, result, finding) for finding in chosen]


def _record(target: Target, result: Result, finding: Finding) -> Record:
    return Record(
        name=target.name,
        property=finding.property,
        verdict=finding.verdict.value,
        expected=target.expected,
        distinct=result.distinct,
        generated=result.generated,
        depth=result.depth,
        seconds=round(result.seconds, 6),
        distinct_per_s=round(result.distinct_per_s, 1),
        path_length=finding.path_length,
        path=None if finding.path is None else [str(i) for i in finding.path],
        reason=finding.reason or result.reason,
        reduced=result.reduced,
        never_fired=result.never_fired if result.complete else (),
        notes=result.notes,
    )


def differences(target: Target, records: list[Record]) -> list[str]:
    """How the answer differs from the record of the catalogue; empty when it is as recorded."""
    scenario = target.scenario
    assert scenario is not None
    answer = next((r for r in records if r.property == scenario.property), None)
    if answer is None:
        return [f"{scenario.property}: no answer"]
    found = []
    for what, recorded, now in (
        ("verdict", scenario.expected, answer.verdict),
        ("distinct", scenario.distinct, answer.distinct),
        ("path_length", scenario.path_length, answer.path_length),
    ):
        if recorded != now:
            found.append(f"{what} is {now}, recorded {recorded}")
    found += [f"{r.property} is {r.verdict}" for r in records if r is not answer]
    return found


def exit_code(records: list[Record]) -> int:
    """0 holds, 1 violated, 3 inconclusive."""
    verdicts = {r.verdict for r in records}
    if Verdict.VIOLATED.value in verdicts:
        return 1
    return 3 if Verdict.INCONCLUSIVE.value in verdicts else 0
