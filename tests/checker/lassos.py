"""Counterexamples to leads_to, judged by the interpreter."""

from checker.reference import check_lasso
from checker.result import Result, Verdict
from protocol import Property, System


def judge_lasso(system: System, prop: Property, result: Result) -> None:
    """The counterexample of a leads_to, if there is one, is a fair behaviour of the system."""
    finding = result.findings[prop.name]
    if finding.verdict is not Verdict.VIOLATED:
        return
    assert finding.path is not None and finding.loop_start is not None
    case = next(c for c in prop.cases if c[0] == finding.reason)
    check_lasso(system, case, list(finding.path[: finding.loop_start]), list(finding.path[finding.loop_start :]))
