"""What leads to what, asked of representatives: answered as of all states, and told as a behaviour of the system."""

from collections.abc import Callable
from enum import IntEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checker import Result, Verdict, check
from checker.reference import check_lasso
from protocol import DefinitionError, Index, Machine, Optional, Row, System, choice, count, if_else, leads_to, me, unlocked
from protocol.catalogue import scenarios
from tests.checker.random_systems import EXAMPLES


class S(IntEnum):
    A, B, C = range(3)


A, B, C = S
PEER = Index("peer", 3)
NEAR, WHO = me(PEER), choice("who", PEER)


def agree(system: System) -> Result:
    """The verdicts with and without symmetry are the same, and what is told of representatives is a fair behaviour of the system."""
    whole, reduced = check(system), check(system, reduced=True)
    assert {n: (f.verdict, f.reason) for n, f in whole.findings.items()} == {n: (f.verdict, f.reason) for n, f in reduced.findings.items()}
    for prop in system.properties:
        finding = reduced.findings[prop.name]
        if finding.verdict is Verdict.VIOLATED:
            assert finding.path is not None and finding.loop_start is not None
            case = next(c for c in prop.cases if c[0] == finding.reason)
            check_lasso(system, case, list(finding.path[: finding.loop_start]), list(finding.path[finding.loop_start :]))
    return reduced


@st.composite
def crowds(draw: Callable[[Any], Any]) -> System:
    """Interchangeable copies that hand a turn to one another, with random fairness."""
    turn = unlocked("turn", Optional(PEER))
    guards = (True, True, turn == NEAR, turn.is_none, ~turn.is_none & (turn != NEAR))
    rows = []
    for k in range(draw(st.integers(2, 6))):
        effects = draw(st.sampled_from(([], [], [turn.set(NEAR)], [turn.set(None)], [turn.set(WHO)])))
        source, destination = draw(st.sampled_from((*S, *S, (A, B)))), draw(st.sampled_from(list(S)))
        fair, chosen = draw(st.sampled_from(("weak", "strong", "strong", "none"))), WHO if effects and "who" in str(effects[0]) else ()
        rows.append(Row(f"e{k}", source if k else A, destination, draw(st.sampled_from(guards)), effects, fair=fair, choose=chosen,
                        assume_atomic="a test"))  # fmt: skip
    crowd = Machine("crowd", S, rows, copies=PEER, fairness=draw(st.sampled_from(("row", "row", "copy"))))
    p, q = draw(st.sampled_from(list(S))), draw(st.sampled_from(list(S)))
    return System("crowd", [crowd], [
        leads_to("mine", crowd.at(0) == p, crowd.at(0) == q),
        leads_to("each", lambda i: crowd.at(i) == p, lambda i: (crowd.at(i) == q) & (turn == i), each=PEER),
        leads_to("two", crowd.at(1) == p, crowd.at(2) == q),
        leads_to("some", True, count(PEER, lambda i: crowd.at(i) == q) >= draw(st.sampled_from((1, 2, 3)))),
    ])  # fmt: skip


@EXAMPLES
@given(crowds())
def test_random_crowds_are_answered_alike(system: System) -> None:
    for name in [p.name for p in system.properties]:
        asked = system.focused(name)
        try:
            agree(asked)
        except DefinitionError as error:
            assert "no values are interchangeable" in str(error) or "enabled at once" in str(error)


def passing(fair: str) -> System:
    """A turn goes from whoever has it to any other."""
    turn = unlocked("turn", Optional(PEER))
    rows = [
        Row("take", A, A, turn.is_none, [turn.set(NEAR)], fair=fair, assume_atomic="a test"),
        Row("hand_on", A, A, (turn == NEAR) & (WHO != NEAR), [turn.set(WHO)], choose=WHO, fair="weak", assume_atomic="a test"),
    ]
    return System("passing", [Machine("crowd", S, rows, copies=PEER)], [leads_to("my_turn", True, turn == 0)])


def test_two_who_hand_a_turn_to_each_other_for_ever_are_fair_to_all() -> None:
    """Of the representatives this is one state that leads to itself, and the path goes round twice."""
    reduced = agree(passing("weak"))
    finding = reduced.findings["my_turn"]
    assert reduced.notes[0] == "peer: 1 and 2 are interchangeable" and finding.path is not None
    assert reduced.distinct < check(passing("weak")).distinct
    assert [str(i) for i in finding.path[finding.loop_start :]] in (  # type: ignore[misc]
        ["crowd[1].hand_on(who=2)", "crowd[2].hand_on(who=1)"], ["crowd[2].hand_on(who=1)", "crowd[1].hand_on(who=2)"],
    )  # fmt: skip


@pytest.mark.parametrize(("fair", "verdict"), [("none", Verdict.VIOLATED), ("weak", Verdict.VIOLATED), ("strong", Verdict.HOLDS)])
def test_whom_fairness_is_owed_to_is_followed_through_renamings(fair: str, verdict: Verdict) -> None:
    """Two copies pass a seat on; each may leave only while the other sits. A search that knew not which is which could not tell."""
    seat = unlocked("seat", PEER)
    rows = [
        Row("pass_on", A, A, (seat == NEAR) & (WHO != NEAR), [seat.set(WHO)], choose=WHO, fair="weak", assume_atomic="a test"),
        Row("leave", A, B, seat != NEAR, fair=fair, assume_atomic="a test"),
    ]
    start = Machine("start", S, [Row("seat_one", A, B, True, [seat.set(WHO)], choose=WHO)])
    crowd = Machine("crowd", S, rows, copies=PEER)
    asked = System("seats", [start, crowd], [leads_to("some_leave", True, count(PEER, lambda i: crowd.at(i) == B) >= 1)])
    assert agree(asked).findings["some_leave"].verdict is verdict if fair != "weak" else agree(asked)


def test_of_cases_that_are_renamings_of_each_other_one_is_asked() -> None:
    crowd = Machine("crowd", S, [Row("go", A, B), Row("on", B, C)], copies=PEER)
    system = System("s", [crowd], [leads_to("ends", lambda i: crowd.at(i) == A, lambda i: crowd.at(i) == C, each=PEER)])
    reduced = agree(system)
    assert reduced.findings["ends"].verdict is Verdict.HOLDS
    assert reduced.notes[0] == "peer: 1 and 2 are interchangeable" and (check(system).distinct, reduced.distinct) == (27, 18)


def test_every_case_that_is_asked_keeps_its_copies_apart() -> None:
    """One case names a copy and the next, which is judged on the same representatives, names none."""
    side = Index("side", 2)
    turn = unlocked("turn", Optional(PEER))
    crowd = Machine("crowd", S, [Row("go", A, B, turn.is_none, [turn.set(NEAR)], assume_atomic="a test")], copies=PEER)
    some = count(PEER, lambda i: crowd.at(i) == B) >= 1
    system = System("s", [crowd], [leads_to("goes", lambda _: True, lambda i: if_else(i == 0, crowd.at(0) == B, some), each=side)])
    assert agree(system).findings["goes"].verdict is Verdict.VIOLATED
    system = System("s", [crowd], [leads_to("goes", lambda _: True, lambda i: if_else(i == 1, crowd.at(0) == B, some), each=side)])
    assert agree(system).findings["goes"].reason == "side=1"


def test_more_copies_than_can_be_followed_are_kept_apart() -> None:
    many = Index("many", 6)
    crowd = Machine("crowd", S, [Row("go", A, B, fair="none")], copies=many)
    system = System("s", [crowd], [leads_to("all", True, count(many, lambda i: crowd.at(i) == B) == 6)])
    reduced = agree(system)
    assert reduced.findings["all"].verdict is Verdict.VIOLATED and "many: 4 is kept apart" in " ".join(reduced.notes)
    assert (check(system).distinct, reduced.distinct) == (64, 20)


def test_the_catalogue_leads_to_the_same() -> None:
    compared = 0
    for scenario in scenarios().values():
        if (scenario.distinct or 10**6) > 400:
            continue
        system = scenario.system()
        if any(p.kind == "leads_to" for p in system.properties):
            try:
                compared += agree(system).distinct < (scenario.distinct or 0)
            except DefinitionError as error:
                assert "no values are interchangeable" in str(error)
    assert compared
