"""The two explorers agree: on counts, verdicts and the very paths, for every random system.

A disagreement convicts one of them (or the interpreter, which both are held to by `check_lasso` and by replaying paths).
INTERLOCK_EXAMPLES=2000 hunts longer, on new systems each time.
"""

import pytest
from hypothesis import given

from checker import check
from checker.result import Limits, Result
from protocol import DefinitionError, System
from protocol.trace import trace_of
from tests.checker.lassos import judge_lasso
from tests.checker.random_systems import EXAMPLES, digraphs, systems
from tests.reference.orphaned_lock import build as orphaned_lock
from tests.reference.two_phase_commit import build as two_phase_commit

SMALL = Limits(max_states=1500)


def agree(system: System) -> None:
    """Check the system with both explorers and compare."""
    try:
        reference = check(system, explorer="reference", limits=SMALL)
    except DefinitionError as error:
        with pytest.raises(DefinitionError) as raised:
            check(system, limits=SMALL)
        assert str(raised.value) == str(error)
        return
    if not reference.complete:
        return  # too large to be worth the wait
    table = check(system)
    assert (table.distinct, table.generated, table.depth) == (reference.distinct, reference.generated, reference.depth)
    assert table.never_fired == reference.never_fired
    assert {n: f.verdict for n, f in table.findings.items()} == {n: f.verdict for n, f in reference.findings.items()}
    for name in reference.findings:
        prop = next((p for p in system.properties if p.name == name), None)
        if prop is not None and prop.kind == "leads_to":
            for result in (reference, table):
                judge_lasso(system, prop, result)
        else:
            assert path(table, name) == path(reference, name)
            if reference.findings[name].path is not None:
                trace_of(system, reference.findings[name].path, property=name)  # type: ignore[arg-type]


def path(result: Result, name: str) -> list[str] | None:
    steps = result.findings[name].path
    return None if steps is None else [str(step) for step in steps]


@EXAMPLES
@given(systems())
def test_explorers_agree_on_random_systems(system: System) -> None:
    agree(system)


@EXAMPLES
@given(digraphs())
def test_explorers_agree_on_random_graphs(system: System) -> None:
    agree(system)


def test_explorers_agree_on_what_a_dead_copy_held() -> None:
    agree(orphaned_lock())
    assert check(orphaned_lock()).distinct == 27


def test_explorers_agree_on_two_phase_commit() -> None:
    agree(two_phase_commit(3))
