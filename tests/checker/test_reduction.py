"""A reduced search answers as the exhaustive one does, with no more states, and refuses what it might answer wrongly.

INTERLOCK_SCENARIOS=n compares every scenario of the catalogue of fewer than n states, INTERLOCK_EXAMPLES=n draws n random
systems and asks each every property by itself.
"""

import os
from enum import IntEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checker import Limits, Result, Verdict, check
from checker.reduction import ORDER_REFUSED
from checker.tables import tabulate
from protocol import (
    BOOL,
    DefinitionError,
    Index,
    Machine,
    Range,
    Row,
    System,
    always,
    deadlock,
    hang,
    leads_to,
    lost_store,
    me,
    never,
    private,
    sometimes,
    unlocked,
    write_conflict,
)
from protocol.catalogue import scenarios
from protocol.trace import trace_of
from tests.checker.lassos import judge_lasso
from tests.checker.random_systems import EXAMPLES, digraphs, systems
from tests.reference.two_phase_commit import build as two_phase_commit

SMALL = Limits(max_states=20_000)
MOST_STATES = int(os.environ.get("INTERLOCK_SCENARIOS", "400"))
"""Every scenario of the catalogue of fewer states is compared."""


def same_answers(system: System, whole: Result) -> Result:
    """Check the system reduced and hold the answers to those of the whole search."""
    reduced = check(system, reduced=True)
    assert reduced.complete
    assert {n: f.verdict for n, f in reduced.findings.items()} == {n: f.verdict for n, f in whole.findings.items()}
    assert reduced.distinct <= whole.distinct and reduced.generated <= whole.generated
    for name, finding in reduced.findings.items():
        prop = next((p for p in system.properties if p.name == name), None)
        if prop is not None and prop.kind == "leads_to":
            judge_lasso(system, prop, reduced)
        elif finding.path is not None:
            shortest = whole.findings[name].path_length
            assert shortest is not None and len(finding.path) >= shortest
            trace_of(system, finding.path, property=name)  # a real path: the interpreter takes every step of it
    return reduced


def supported(system: System) -> list[str]:
    """The author's properties."""
    return [p.name for p in system.properties if p.kind != "illegal"]


def ordered(system: System) -> list[str]:
    """Those of them that both reductions preserve."""
    return [n for n in supported(system) if system.find_property(n).kind not in ORDER_REFUSED]


def compare(system: System) -> None:
    """Compare the answers to all supported properties together, to those that both reductions preserve, and to single ones.

    The fewer are asked, the more is left out. Which of them is asked alone depends on the system, unless there is time for all.
    """
    single = [[n] for n in [*ordered(system), "range"]]
    if "INTERLOCK_EXAMPLES" not in os.environ:
        single = single[len(list(system.instances())) % len(single) :][:1]
    for names in [supported(system), ordered(system), *single]:
        asked = system.focused(*names)
        if any(p.kind in ORDER_REFUSED for p in asked.properties) and not tabulate(asked, turned=True).symmetry.elements:
            with pytest.raises(DefinitionError, match="no values are interchangeable"):
                check(asked, reduced=True)
            continue
        try:
            whole = check(asked, limits=SMALL)
        except DefinitionError:
            with pytest.raises(DefinitionError):
                check(asked, limits=SMALL, reduced=True)
            continue
        if whole.complete:
            same_answers(asked, whole)


@EXAMPLES
@given(st.sampled_from((2, 2, 3)).flatmap(systems))
def test_random_systems_are_answered_alike(system: System) -> None:
    compare(system)


@EXAMPLES
@given(digraphs())
def test_random_graphs_are_answered_alike(system: System) -> None:
    compare(system)


def test_the_catalogue_is_answered_as_recorded() -> None:
    """Of the whole search the record is taken; it is compared with the search by `interlock check --all`."""
    compared = symmetric = 0
    for scenario in (s for s in scenarios().values() if (s.distinct or MOST_STATES) < MOST_STATES):
        system = scenario.system()
        try:
            reduced = check(system, reduced=True)
        except DefinitionError as error:
            assert "not sound for property" in str(error)
            continue
        finding = reduced.findings[scenario.property]
        assert finding.verdict.value == scenario.expected, scenario.name
        assert all(f.verdict is not Verdict.VIOLATED for n, f in reduced.findings.items() if n != scenario.property), scenario.name
        assert reduced.complete and scenario.distinct is not None and reduced.distinct <= scenario.distinct, scenario.name
        if finding.path is not None:
            assert scenario.path_length is not None and len(finding.path) >= scenario.path_length, scenario.name
            trace_of(system, finding.path, property=scenario.property)
        compared += 1
        symmetric += any(note.endswith("are interchangeable") for note in reduced.notes)
    assert compared > 150 and symmetric > 30


class Walk(IntEnum):
    FIRST, SECOND, THIRD, LAST = range(4)


shared = unlocked("told", Range(0, 3))


def strollers(*properties, meet: bool = False) -> System:  # noqa: ANN002
    """Three copies of three private steps; with `meet` the last is a store that all see."""
    people = Index("person", 3)
    here, shared = me(people), unlocked("shared", Range(0, 3))
    fresh = private("fresh", BOOL, over=people)
    rows = [
        Row("one", Walk.FIRST, Walk.SECOND, True, [fresh[here].set(True)]),
        Row("two", Walk.SECOND, Walk.THIRD, fresh[here]),
        Row("three", Walk.THIRD, Walk.LAST, shared == 0, []) if meet else Row("three", Walk.THIRD, Walk.LAST),
        *([Row("mark", Walk.LAST, Walk.FIRST, True, [shared.set(1)])] if meet else []),
    ]
    return System(
        "strollers", [Machine("stroller", Walk, rows, copies=people, final=() if meet else (Walk.LAST,))], [p(fresh, shared) for p in properties]
    )


def test_private_steps_go_one_copy_after_the_other() -> None:
    system = strollers(lambda fresh, shared: deadlock())
    whole = check(system)
    reduced = same_answers(system, whole)
    assert (whole.distinct, reduced.distinct, reduced.generated) == (4**3, 3 * 3 + 1, 3 * 3 + 1)
    assert reduced.reduced and not reduced.never_fired and reduced.notes == ("person: 0, 1 and 2 are interchangeable",)


def test_a_deadlock_behind_private_steps_is_found() -> None:
    """Whoever passes first shuts the others out for good: every reduced order must still end there."""
    system = strollers(lambda fresh, shared: deadlock(), meet=True)
    whole = check(system)
    reduced = same_answers(system, whole)
    assert whole.findings["deadlock"].verdict is Verdict.VIOLATED
    assert reduced.distinct < whole.distinct
    assert reduced.findings["deadlock"].path_length == whole.findings["deadlock"].path_length


def test_a_step_that_the_property_sees_is_not_put_first() -> None:
    """Two copies between their steps at once: a search that lets one finish before the other begins never sees it."""
    both = lambda fresh, shared: never("both", fresh[0] & fresh[1] & ~fresh[2])  # noqa: E731
    system = strollers(both, lambda fresh, shared: sometimes("last", fresh[2] & ~fresh[0]))
    reduced = same_answers(system, check(system))
    assert reduced.findings["both"].verdict is Verdict.VIOLATED and reduced.findings["last"].verdict is Verdict.HOLDS


def test_a_copy_that_others_may_call_away_is_not_put_first() -> None:
    """It may leave by itself; but once the other has raised the flag it may raise the alarm instead, and not after it left."""
    flag, alarm = unlocked("flag", BOOL), unlocked("alarm", BOOL)
    caller = Machine("caller", Walk, [Row("call", Walk.FIRST, Walk.LAST, True, [flag.set(True)])], final=Walk.LAST)
    rows = [
        Row("leave", Walk.FIRST, Walk.LAST),
        Row("heed", Walk.FIRST, Walk.SECOND, flag),
        Row("ring", Walk.SECOND, Walk.LAST, True, [alarm.set(True)]),
    ]
    system = System("calls", [Machine("guest", Walk, rows, final=Walk.LAST), caller], [never("rung", alarm)])
    assert same_answers(system, check(system)).findings["rung"].verdict is Verdict.VIOLATED


def test_an_environment_that_moves_alone_is_no_deadlock() -> None:
    """Its private steps come first where they may; not where a deadlock is asked, which is that it alone can move."""
    rows = [Row("one", Walk.FIRST, Walk.SECOND), Row("two", Walk.SECOND, Walk.LAST)]
    weather = Machine("weather", Walk, rows, environment=True)
    worker = Machine("worker", Walk, [Row("work", Walk.FIRST, Walk.LAST, True, [shared.set(1)])], final=Walk.LAST)
    system = System("s", [weather, worker], [deadlock(), never("told", shared == 2)])
    for name in ("deadlock", "told"):
        asked = system.focused(name)
        whole = check(asked)
        reduced = same_answers(asked, whole)
        assert (reduced.verdict, whole.distinct, reduced.distinct) == (Verdict.HOLDS, 6, 4)


LOOPS = {
    "two steps": [Row("there", Walk.FIRST, Walk.SECOND), Row("back", Walk.SECOND, Walk.FIRST)],
    "one step that changes nothing": [Row("stay", Walk.FIRST, Walk.FIRST)],
    "three steps and a way in": [
        Row("in", Walk.FIRST, Walk.SECOND),
        Row("on", Walk.SECOND, Walk.THIRD),
        Row("out", Walk.THIRD, Walk.LAST),
        Row("back", Walk.LAST, Walk.SECOND),
    ],
}


@pytest.mark.parametrize("copies", [(), (Index("person", 2),)])
@pytest.mark.parametrize("loop", LOOPS)
def test_an_endless_private_loop_puts_nobody_off(loop: str, copies: tuple[Index, ...]) -> None:
    """One copy turns round for ever in steps that nobody sees, or two do, in turn: the other's step is found all the same."""
    flag = unlocked("flag", BOOL)
    spinner = Machine("spinner", Walk, LOOPS[loop], copies=copies)
    raiser = Machine("raiser", Walk, [Row("raise_flag", Walk.FIRST, Walk.LAST, True, [flag.set(True)])], final=Walk.LAST)
    system = System("spin", [spinner, raiser], [always("down", ~flag)])
    assert same_answers(system, check(system)).findings["down"].verdict is Verdict.VIOLATED


@pytest.mark.parametrize("prop", [hang(), leads_to("ends", True, True)])
def test_what_is_not_preserved_is_refused(prop) -> None:  # noqa: ANN001
    """Two unlike machines: there is nothing to exchange, and which of them goes first is what is asked."""
    rows = [[Row("tell", Walk.FIRST, Walk.LAST, True, [shared.set(k)])] for k in (1, 2)]
    system = System("two", [Machine(f"teller{k}", Walk, r, final=Walk.LAST) for k, r in enumerate(rows)], [prop])
    with pytest.raises(DefinitionError, match=f"not sound for property {prop.name}"):
        check(system, reduced=True)


@pytest.mark.parametrize("prop", [write_conflict(shared), lost_store(shared)])
def test_who_stores_over_whom_is_seen(prop) -> None:  # noqa: ANN001
    """Each comes to its store by private steps, of which some may come first; the stores themselves may not."""
    machines = []
    for k in (1, 2):
        rows = [
            Row("come", Walk.FIRST, Walk.SECOND),
            Row("near", Walk.SECOND, Walk.THIRD),
            Row("tell", Walk.THIRD, Walk.LAST, True, [shared.set(k)]),
        ]
        machines.append(Machine(f"teller{k}", Walk, rows, final=Walk.LAST))
    system = System("two", machines, [prop])
    whole = check(system)
    reduced = same_answers(system, whole)
    assert reduced.findings[prop.name].verdict is Verdict.VIOLATED
    assert prop.kind == "write_conflict" or reduced.distinct < whole.distinct  # a conflict is read off the control states, so each step is seen


def test_a_copy_that_gives_up_is_not_put_first_where_a_hang_is_asked() -> None:
    """Nothing but giving up is left to them when the worker is done: a hang, though each could have given up before."""
    people = Index("person", 3)
    guests = Machine("guest", Walk, [Row("give_up", Walk.FIRST, Walk.LAST, poll=True)], copies=people, final=Walk.LAST)
    worker = Machine("worker", Walk, [Row("work", Walk.FIRST, Walk.LAST, True, [shared.set(1)])], final=Walk.LAST)
    system = System("s", [guests, worker], [hang()])
    assert same_answers(system, check(system)).findings["hang"].verdict is Verdict.VIOLATED


def test_a_property_that_names_one_copy_sees_every_copy() -> None:
    """A copy that has not begun is always renamed to the one that the property does not name: its steps are seen all the same."""
    people = Index("person", 2)
    here, flag, fresh = me(people), unlocked("flag", BOOL), private("fresh", BOOL, over=people)
    rows = [
        Row("one", Walk.SECOND, Walk.THIRD, True, [fresh[here].set(True)]),
        Row("two", Walk.THIRD, Walk.FIRST, True, [fresh[here].set(False)]),
    ]
    strollers = Machine("stroller", Walk, rows, copies=people, initial=Walk.SECOND)
    raiser = Machine("raiser", Walk, [Row("raise_flag", Walk.FIRST, Walk.LAST, True, [flag.set(True)])])
    for named in people:
        system = System("s", [strollers, raiser], [never("caught", fresh[named] & flag)])
        assert same_answers(system, check(system)).findings["caught"].verdict is Verdict.VIOLATED


def test_the_reference_explorer_does_not_reduce() -> None:
    with pytest.raises(DefinitionError, match="leaves nothing out"):
        check(strollers(), explorer="reference", reduced=True)


def test_a_budget_a_growing_table_and_two_workers() -> None:
    system = two_phase_commit(7)
    whole, reduced = check(system), check(system, reduced=True, workers=2)
    assert reduced.distinct <= whole.distinct and reduced.complete
    assert {n: f.verdict for n, f in reduced.findings.items()} == {n: f.verdict for n, f in whole.findings.items()}
    assert not check(system, reduced=True, limits=Limits(max_states=1000)).complete or reduced.distinct <= 1000
