"""Scenarios that share a system are answered by one exploration, as each would be by itself."""

from enum import IntEnum

from checker import check
from checker.batch import answered, batches
from checker.report import differences, records_of
from protocol import TRUE, Index, Machine, Optional, Row, System, always, ghost, me, never, sometimes
from protocol.catalogue import scenarios


class S(IntEnum):
    A, B = range(2)


A, B = S


def test_scenarios_of_one_system_are_answered_together_as_alone() -> None:
    """By one exploration where the properties keep the same ghosts; counts and paths are those of each by itself."""
    batch = max((b for b in batches(s for s in scenarios().values() if (s.distinct or 10**6) < 2000)), key=len)
    shared = list(answered(batch))
    assert len({id(target.system) for target, _ in shared}) < len(shared) == len(batch)
    assert {t.name for t, _ in shared} == {s.name for s in batch}
    for target, result in shared:
        alone = check(target.scenario.system())  # type: ignore[union-attr]
        assert (result.distinct, result.generated, result.depth, result.never_fired) == (
            alone.distinct, alone.generated, alone.depth, alone.never_fired,
        )  # fmt: skip
        assert {n: (f.verdict, str(f.path)) for n, f in result.findings.items()} == {n: (f.verdict, str(f.path)) for n, f in alone.findings.items()}
        assert differences(target, records_of(target, result)) == []


def test_properties_with_other_ghosts_are_explored_by_themselves() -> None:
    """A ghost that one property needs would split the states of another."""
    seen = Index("rank", 2)
    last = ghost("last", Optional(seen))
    crowd = Machine("crowd", S, [Row("go", A, B, TRUE, [last.set(me(seen))])], copies=seen)
    system = System("s", [crowd], [never("second", last == 1), always("one", crowd.at(0) == A), sometimes("both", crowd.at(1) == B)])
    assert system.alike(["one", "second", "both"]) == [["one", "both"], ["second"]]
    assert [check(system.focused(*names)).distinct for names in (["one", "both"], ["second"], ["one"])] == [4, 5, 4]
