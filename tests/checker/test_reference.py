"""The reference explorer on systems small enough to count by hand; each test says how its numbers come about."""

from typing import Any

import pytest

from checker.reference import Search, check_lasso, explore
from checker.result import Limits, Result, Verdict
from protocol import (
    BOOL,
    DefinitionError,
    Lock,
    Machine,
    Property,
    Range,
    Row,
    Sequence,
    System,
    always,
    channel,
    choice,
    deadlock,
    hang,
    illegal,
    leads_to,
    lost_store,
    me,
    never,
    private,
    register,
    sometimes,
    unlocked,
    write_conflict,
)
from tests.four_states import PAIR, A, B, C, D, S
from tests.reference.two_phase_commit import build as two_phase_commit

Ends = dict[str, tuple[S, S]]


def walker(edges: Ends, name: str = "walker", *, fair: dict[str, str] | None = None, poll: tuple[str, ...] = (), **options: Any) -> Machine:
    """A machine that is a bare graph: event -> (source, destination)."""
    rows = [Row(event, *ends, fair=(fair or {}).get(event), poll=event in poll) for event, ends in edges.items()]
    return Machine(name, S, rows, **options)


def told(result: Result, name: str) -> tuple[Verdict, list[str] | None]:
    finding = result.findings[name]
    return finding.verdict, None if finding.path is None else [str(i) for i in finding.path]


@pytest.mark.parametrize(("managers", "counts"), [(3, (288, 1146, 10)), (4, (1568, 8258, 13))])
def test_two_phase_commit_has_the_published_counts(managers: int, counts: tuple[int, int, int]) -> None:
    result = explore(two_phase_commit(managers))
    assert (result.distinct, result.generated, result.depth) == counts
    assert result.verdict is Verdict.HOLDS


def test_generated_counts_self_loops_and_depth_counts_edges() -> None:
    result = explore(System("s", [walker({"go": (A, B), "stay": (B, B), "back": (B, A)})]))
    assert (result.distinct, result.generated, result.depth) == (2, 4, 1)


def test_always_and_never_give_the_least_of_the_shortest_paths() -> None:
    machine = walker({"long_way": (A, B), "second": (A, C), "then": (B, D), "other": (C, D)})
    asked = [always("not_d", machine.at() != D), never("d", machine.at() == D), never("b_or_c", machine.at().is_in(B, C))]
    result = explore(System("s", [machine], asked))
    assert told(result, "not_d") == told(result, "d") == (Verdict.VIOLATED, ["walker.long_way", "walker.then"])
    assert told(result, "b_or_c") == (Verdict.VIOLATED, ["walker.long_way"])


def test_property_that_the_initial_state_violates_has_an_empty_path() -> None:
    machine = walker({"go": (A, B)})
    assert told(explore(System("s", [machine], [never("a", machine.at() == A)])), "a") == (Verdict.VIOLATED, [])


def test_sometimes_has_a_witness_or_is_violated() -> None:
    machine = walker({"go": (A, B)})
    result = explore(System("s", [machine], [sometimes("some_b", machine.at() == B), sometimes("some_c", machine.at() == C)]))
    assert told(result, "some_b") == (Verdict.HOLDS, ["walker.go"])
    assert told(result, "some_c") == (Verdict.VIOLATED, None)


def test_deadlock_is_no_row_but_the_environments_and_a_copy_that_is_not_final() -> None:
    machine, world = walker({"go": (A, B)}), walker({"tick": (A, A)}, "world", environment=True)
    assert told(explore(System("s", [machine, world], [deadlock()])), "deadlock") == (Verdict.VIOLATED, ["walker.go"])
    resting = walker({"go": (A, B)}, final=B)
    assert explore(System("s", [resting, world], [deadlock()])).verdict is Verdict.HOLDS


def test_hang_is_seen_through_a_polling_loop_that_hides_the_deadlock() -> None:
    machine = walker({"go": (A, B), "look": (B, C), "again": (C, B)}, poll=("look", "again"))
    result = explore(System("s", [machine], [deadlock(), hang()]))
    assert told(result, "deadlock") == (Verdict.HOLDS, None)
    assert told(result, "hang") == (Verdict.VIOLATED, ["walker.go"])


def test_poll_that_may_still_succeed_is_no_hang() -> None:
    machine = walker({"look": (A, B), "again": (B, A), "succeed": (A, C)}, poll=("look", "again"), final=C)
    assert explore(System("s", [machine], [hang()])).verdict is Verdict.HOLDS


def test_range_violation_ends_in_the_offending_step_which_has_no_successor() -> None:
    counter = private("counter", Range(0, 2))
    machine = Machine("m", S, [Row("count", A, A, True, [counter.add(1)])])
    result = explore(System("s", [machine], [hang()]))
    assert told(result, "range") == (Verdict.VIOLATED, ["m.count"] * 3)
    assert (result.distinct, result.generated, result.depth) == (3, 3, 2)


def test_range_is_checked_in_guards_too_and_and_stops_at_the_first_false() -> None:
    queue = private("queue", Sequence(BOOL, 2))
    careless = Machine("m", S, [Row("take", A, B, queue.head)])
    assert told(explore(System("s", [careless])), "range") == (Verdict.VIOLATED, ["m.take"])
    careful = Machine("m", S, [Row("take", A, B, ~queue.empty & queue.head)])
    assert explore(System("s", [careful])).verdict is Verdict.HOLDS


def test_ambiguous_rows_raise_with_the_path() -> None:
    x, n = private("x", Range(0, 2)), choice("n", Range(0, 1))
    rows = [Row("count", A, B, True, [x.add(1)]), Row("go", B, C, x < 2 - n, choose=n), Row("go", B, D, x > 0, choose=n)]
    with pytest.raises(DefinitionError, match=r"m\.go: .*m.*path: m\.count, m\.go\(n=0\)"):
        explore(System("s", [Machine("m", S, rows)]))


def test_double_write_raises_with_the_path() -> None:
    flags, n = register("flags", BOOL, over=PAIR), private("n", PAIR)
    rows = [Row("move", A, B, True, [n.set(1)]), Row("both", B, C, True, [flags[n].set(True), flags[1].set(False)], assume_atomic="test")]
    with pytest.raises(DefinitionError, match=r"two effects write.*path: m\.move, m\.both"):
        explore(System("s", [Machine("m", S, rows)]))


def test_write_conflict_needs_two_copies_able_to_store_different_values() -> None:
    flag = register("flag", PAIR)
    writer = Machine("writer", S, [Row("arm", A, B), Row("write", B, C, True, [flag.set(me(PAIR))])], copies=PAIR, final=C)
    result = explore(System("s", [writer], [write_conflict(flag)]))
    assert told(result, "no_write_conflict_on_flag") == (Verdict.VIOLATED, ["writer[0].arm", "writer[1].arm"])
    same = Machine("writer", S, [Row("write", A, B, True, [flag.set(1)])], copies=PAIR, final=B)
    assert explore(System("s", [same], [write_conflict(flag)])).verdict is Verdict.HOLDS


def test_lost_store_is_a_store_that_nobody_loaded_before_another_replaced_it() -> None:
    flag = register("flag", Range(0, 2))
    one, two = walker_writing(flag, 1, "one"), walker_writing(flag, 2, "two")
    result = explore(System("s", [one, two], [lost_store(flag)]))
    assert told(result, "no_lost_store_on_flag") == (Verdict.VIOLATED, ["one.write", "two.write"])
    turn = register("turn", BOOL)
    reader = Machine("reader", S, [Row("read", A, B, flag == 1), Row("pass_on", B, C, True, [turn.set(True)])])
    waiting = Machine("two", S, [Row("wait", A, B, turn), Row("write", B, C, True, [flag.set(2)])])
    assert explore(System("s", [one, reader, waiting], [lost_store(flag)])).verdict is Verdict.HOLDS


def walker_writing(flag: Any, value: int, name: str) -> Machine:
    return Machine(name, S, [Row("write", A, B, True, [flag.set(value)])], final=B)


def test_illegal_message_is_a_violation_where_it_could_be_received() -> None:
    mail = channel("mail", BOOL, 1)
    sender = Machine("sender", S, [Row("send", A, B, True, [mail.send(True)])])
    receiver = Machine("receiver", S, [illegal("answer", A, mail, mail.head, "receiver")])
    assert told(explore(System("s", [sender, receiver])), "never_receiver_answer") == (Verdict.VIOLATED, ["sender.send"])


def test_property_that_cannot_be_evaluated_is_a_definition_error_with_the_path() -> None:
    queue = unlocked("queue", Sequence(BOOL, 1), init=(True,))
    machine = Machine("m", S, [Row("take", A, B, True, [queue.pop()])])
    with pytest.raises(DefinitionError, match=r"property head cannot be evaluated.*path: m\.take"):
        explore(System("s", [machine], [always("head", queue.head)]))


def test_budget_that_runs_out_is_inconclusive_and_what_was_found_stays_found() -> None:
    system = two_phase_commit(3)
    tm = system.machine("tm")
    asked = System("s", system.machines, [always("undecided", tm.at() == list(tm.states)[0]), deadlock()])
    result = explore(asked, limits=Limits(max_states=20))
    assert not result.complete and result.reason == "more than 20 states"
    assert result.findings["undecided"].verdict is Verdict.VIOLATED
    assert result.findings["deadlock"].verdict is result.findings["range"].verdict is Verdict.INCONCLUSIVE


def test_first_stops_at_the_first_violation() -> None:
    machine = walker({"go": (A, B), "on": (B, C), "further": (C, D)})
    result = explore(System("s", [machine], [never("b", machine.at() == B), never("d", machine.at() == D)]), first=True)
    assert result.findings["b"].verdict is Verdict.VIOLATED and result.findings["d"].verdict is Verdict.INCONCLUSIVE
    assert result.distinct < 4 and not result.complete


# -- leads_to --------------------------------------------------------------------------------------------------------


def answer(machines: list[Machine], prop: Property) -> tuple[list[str], list[str]] | None:
    """Stem and cycle of the violation, judged by `check_lasso`; None when the property holds."""
    system = System("s", machines, [prop])
    finding = explore(system).findings[prop.name]
    if finding.verdict is Verdict.HOLDS:
        return None
    assert finding.path is not None and finding.loop_start is not None
    stem, cycle = list(finding.path[: finding.loop_start]), list(finding.path[finding.loop_start :])
    case = next(c for c in prop.cases if c[0] == finding.reason)
    check_lasso(system, case, stem, cycle)
    return [i.action.row.event for i in stem], [i.action.row.event for i in cycle]


def reaches(machine: Machine, goal: S) -> Property:
    return leads_to("reached", True, machine.at() == goal)


def test_behaviour_may_stop_only_where_nothing_fair_is_enabled() -> None:
    lazy = walker({"go": (A, B)}, fair={"go": "none"})
    assert answer([lazy], reaches(lazy, B)) == ([], [])
    eager = walker({"go": (A, B)})
    assert answer([eager], reaches(eager, B)) is None


def test_weak_fairness_forbids_waiting_for_ever_beside_a_row_that_stays_enabled() -> None:
    machine, other = walker({"go": (A, B)}), walker({"spin": (A, A)}, "other")
    assert answer([machine, other], reaches(machine, B)) is None
    lazy = walker({"go": (A, B)}, fair={"go": "none"})
    assert answer([lazy, other], reaches(lazy, B)) == ([], ["spin"])


def test_weak_fairness_is_not_enough_where_the_row_is_disabled_again_and_again() -> None:
    edges = {"there": (A, B), "back": (B, A), "leave": (B, C)}
    weak = walker(edges)
    assert answer([weak], reaches(weak, C)) == ([], ["there", "back"])
    strong = walker(edges, fair={"leave": "strong"})
    assert answer([strong], reaches(strong, C)) is None


def test_strong_fairness_asks_nothing_where_the_row_is_never_enabled() -> None:
    machine = walker({"trap": (A, B), "spin": (B, B), "leave": (A, C)}, fair={"leave": "strong"})
    assert answer([machine], reaches(machine, C)) == (["trap"], ["spin"])


def test_streett_removes_the_states_that_enable_a_strong_row_and_searches_the_rest() -> None:
    edges = {"first": (A, B), "second": (B, A), "third": (B, C), "fourth": (C, B), "leave": (C, D)}
    machine = walker(edges, fair={"leave": "strong"})
    assert answer([machine], reaches(machine, D)) == ([], ["first", "second"])


def test_machine_that_is_one_unit_may_do_any_of_its_rows() -> None:
    edges = {"spin": (A, A), "leave": (A, B)}
    by_row, by_copy = walker(edges), walker(edges, fairness="copy")
    assert answer([by_row], reaches(by_row, B)) is None
    assert answer([by_copy], reaches(by_copy, B)) == ([], ["spin"])


def test_lock_is_taken_at_last_because_taking_it_is_strongly_fair() -> None:
    lock = Lock("lock")
    rows = [Row("take", A, B, acquire=lock), Row("give", B, A, release=lock)]
    machine = Machine("user", S, rows, copies=PAIR)
    assert answer([machine], leads_to("served", lambda i: machine.at(i) == A, lambda i: machine.at(i) == B, each=PAIR)) is None
    weak = Machine("user", S, [Row("take", A, B, acquire=lock, fair="weak"), rows[1]], copies=PAIR)
    found = answer([weak], leads_to("served", lambda i: weak.at(i) == A, lambda i: weak.at(i) == B, each=PAIR))
    assert found == ([], ["take", "give"])


def test_p_must_hold_on_the_way_and_q_never_after() -> None:
    machine = walker({"go": (A, B), "on": (B, C), "spin": (C, C)})
    assert answer([machine], leads_to("served", machine.at() == A, machine.at() == B)) is None
    assert answer([machine], leads_to("served", machine.at() == B, machine.at() == A)) == (["go", "on"], ["spin"])


def test_lasso_that_is_not_one_is_refused() -> None:
    machine = walker({"go": (A, B), "spin": (A, A)})
    system = System("s", [machine], [reaches(machine, B)])
    go, spin = system.instances()
    case = system.properties[0].cases[0]
    unfair = [([], [spin], "not fair"), ([], [], "not fair")]
    for stem, cycle, why in [([go, go], [], "not enabled"), ([], [go], "return"), ([go], [], "p never"), *unfair]:
        with pytest.raises(ValueError, match=why):
            check_lasso(system, case, stem, cycle)


def test_search_numbers_states_breadth_first() -> None:
    search = Search(System("s", [walker({"go": (A, B), "other": (A, C), "on": (B, D)})]))
    search.run(Limits(), False, None, 0.0)
    assert search.depth == [0, 1, 1, 2]
