"""The table explorer: published counts, shortest least paths, budgets, two-word states, growth of its arrays."""

import weakref
from enum import IntEnum

import numpy as np
import pytest

from checker import Limits, Verdict, check, search
from checker import kernel as k
from checker.space import Space
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
    choice,
    deadlock,
    hang,
    leads_to,
    me,
    never,
    private,
    sometimes,
    unlocked,
)
from protocol.evaluate import successor
from protocol.trace import trace_of
from tests.reference.two_phase_commit import build as two_phase_commit

# TwoPhase.tla of the TLA+ Examples; distinct and generated states for 3 .. 7 resource managers, depth 3 n + 1.
PUBLISHED = [(3, 288, 1_146), (4, 1_568, 8_258), (5, 8_832, 58_146), (6, 50_816, 402_306), (7, 296_448, 2_744_706)]


class Walk(IntEnum):
    GOING, DONE = range(2)


def counters(width: int, last: int, *properties) -> System:
    """`width` counters 0 .. last that step one by one: (last + 1) ** width states."""
    slots = Index("slot", width)
    slot = choice("slot", slots)
    level = private("level", Range(0, last), over=slots)
    row = Row("step", Walk.GOING, Walk.GOING, level[slot] < last, [level[slot].add(1)], choose=slot)
    return System("counters", [Machine("walker", Walk, [row], final=())], [p(level) for p in properties])


@pytest.mark.parametrize("managers, distinct, generated", PUBLISHED)
def test_two_phase_commit_has_the_published_counts(managers, distinct, generated):
    result = check(two_phase_commit(managers))
    assert (result.distinct, result.generated, result.depth) == (distinct, generated, 3 * managers + 1)
    assert result.complete and result.verdict is Verdict.HOLDS


def test_states_of_several_words_are_told_apart():
    system = counters(100, 1)
    assert tabulate(system).layout.words == 2
    small = check(counters(15, 1))
    assert (small.distinct, small.generated, small.depth) == (2**15, 15 * 2**14 + 1, 15)


def test_a_state_of_two_words_is_explored_exactly():
    """Ten counters beside 60 bits that never change: two words, the second full of the last counters."""
    slots, cells = Index("slot", 10), Index("cell", 60)
    slot, level, idle = choice("slot", slots), private("level", Range(0, 2), over=slots), private("idle", BOOL, over=cells)
    rows = [
        Row("step", Walk.GOING, Walk.GOING, level[slot] < 2, [level[slot].add(1)], choose=slot),
        Row("wake", Walk.GOING, Walk.DONE, level[9] > 5, [idle[choice("cell", cells)].set(True)], choose=choice("cell", cells)),
    ]
    system = System("two_words", [Machine("walker", Walk, rows)])
    assert tabulate(system).layout.words == 2
    result = check(system)
    assert (result.distinct, result.generated, result.depth) == (3**10, 10 * 2 * 3**9 + 1, 20)


def test_the_path_is_shortest_and_least():
    system = counters(3, 3, lambda level: always("low", ~((level[0] == 1) & (level[2] == 1))))
    finding = check(system).findings["low"]
    assert [str(step) for step in finding.path] == ["walker.step(slot=0)", "walker.step(slot=2)"]
    trace_of(system, finding.path)


def test_a_witness_has_its_path_and_a_missing_one_is_a_violation():
    asked = (lambda level: sometimes("top", level[0] + level[1] == 4), lambda level: sometimes("beyond", level[0] > level[1] + 2))
    result = check(counters(2, 2, *asked))
    assert result.findings["top"].verdict is Verdict.HOLDS and result.findings["top"].path_length == 4
    assert result.findings["beyond"].verdict is Verdict.VIOLATED and result.findings["beyond"].path is None


def test_a_deadlock_is_found_at_its_depth():
    finding = check(counters(3, 2, lambda level: deadlock())).findings["deadlock"]
    assert finding.verdict is Verdict.VIOLATED and finding.path_length == 6


def test_leaving_a_type_is_a_range_violation_with_the_step():
    level = private("level", Range(0, 2))
    system = System("over", [Machine("walker", Walk, [Row("step", Walk.GOING, Walk.GOING, True, [level.add(1)])], final=())])
    result = check(system)
    assert (result.distinct, result.generated, result.depth) == (3, 3, 2)
    assert result.findings["range"].path_length == 3
    trace = trace_of(system, result.findings["range"].path)
    assert trace.steps[-1].failure


def test_two_rows_of_one_event_enabled_at_once_are_a_definition_error():
    level = private("level", Range(0, 2))
    rows = [Row("go", Walk.GOING, Walk.GOING, level < 2, [level.add(1)]), Row("go", Walk.GOING, Walk.DONE, level > 0)]
    with pytest.raises(DefinitionError, match="path: walker.go, walker.go"):
        check(System("two", [Machine("walker", Walk, rows)]))


def test_a_property_that_cannot_be_evaluated_is_a_definition_error():
    slots = Index("slot", 2)
    place, flags = private("place", Range(0, 2)), private("flags", BOOL, over=slots)
    rows = [Row("step", Walk.GOING, Walk.GOING, place < 2, [place.add(1)])]
    with pytest.raises(DefinitionError, match="property down cannot be evaluated"):
        check(System("two", [Machine("walker", Walk, rows)], [always("down", ~flags[place])]))


def test_a_budget_of_states_is_inconclusive():
    asked = (lambda level: always("low", level[0] + level[1] < 3), lambda level: always("sane", level[0] < 4), lambda level: deadlock())
    system = counters(8, 3, *asked)
    result = check(system, limits=Limits(max_states=20_000))
    assert not result.complete and "20,000 states" in result.reason
    assert result.findings["low"].verdict is Verdict.VIOLATED
    assert {result.findings[name].verdict for name in ("sane", "deadlock", "range")} == {Verdict.INCONCLUSIVE}


def test_a_budget_of_memory_is_inconclusive():
    result = check(counters(8, 4), limits=Limits(max_memory_gb=0.002))
    assert not result.complete and "GB" in result.reason and result.verdict is Verdict.INCONCLUSIVE


def test_no_time_is_inconclusive():
    result = check(counters(8, 4), limits=Limits(time_limit_s=0.0))
    assert not result.complete and "0.0 s" in result.reason


def test_first_stops_early_with_the_same_violation():
    make = lambda: counters(7, 4, lambda level: always("low", level[3] < 2), lambda level: deadlock())  # noqa: E731
    whole, early = check(make()), check(make(), first=True)
    assert early.distinct < whole.distinct and not early.complete
    assert list(map(str, early.findings["low"].path)) == list(map(str, whole.findings["low"].path))
    assert early.findings["deadlock"].verdict is Verdict.INCONCLUSIVE


def test_progress_is_told():
    told = []
    result = check(counters(8, 3), progress=lambda *numbers: told.append(numbers))
    assert told[-1][0] == result.distinct and told[-1][1] == result.depth and told[-1][3] == 0


def test_liveness_is_asked_of_the_whole_graph():
    rises, stays = (lambda v: leads_to("rises", v[0] == 0, v[0] == 2)), (lambda v: leads_to("stays", v[1] == 2, v[1] == 0))
    result = check(counters(3, 2, lambda level: hang(), rises, stays))
    assert result.findings["rises"].verdict is Verdict.HOLDS
    assert result.findings["stays"].verdict is Verdict.VIOLATED
    assert result.findings["hang"].verdict is Verdict.VIOLATED and result.findings["hang"].path_length == 6


def test_a_graph_beyond_the_memory_budget_is_inconclusive_with_a_forecast():
    system = counters(8, 3, lambda level: leads_to("rises", level[0] == 0, level[0] == 3))
    result = check(system, limits=Limits(max_memory_gb=0.004))
    finding = result.findings["rises"]
    assert result.complete and finding.verdict is Verdict.INCONCLUSIVE and "GB in all" in finding.reason


def test_what_is_done_after_the_search_is_told(monkeypatch):
    monkeypatch.setattr("checker.space.GRAPH_BATCH", 1 << 14)
    told = []
    check(counters(8, 3, lambda level: leads_to("rises", level[0] == 0, level[0] == 3), lambda level: hang()), phase=told.append)
    graph = [f"graph: {n:,} of 65,536 states" for n in range(0, 1 << 16, 1 << 14)]
    assert told[:5] == [*graph, "rises: a fair behaviour that never gets there, in 65,536 states"]
    assert told[5:] == ["hang: whether something can still be done, in 65,536 states"]


def test_time_that_runs_out_before_a_behaviour_is_judged_is_inconclusive(monkeypatch):
    """The search ends in time; then the clock jumps while the graph is made."""
    clock = [0.0]
    monkeypatch.setattr(search.time, "perf_counter", lambda: clock[0])
    system = counters(4, 3, lambda level: leads_to("rises", level[0] == 0, level[0] == 3), lambda level: never("high", level[0] > 3))
    result = check(system, limits=Limits(time_limit_s=9), phase=lambda _: clock.__setitem__(0, 10.0))
    assert result.complete and result.findings["high"].verdict is Verdict.HOLDS
    assert (result.findings["rises"].verdict, result.findings["rises"].reason) == (Verdict.INCONCLUSIVE, "more than 9 s")


def test_a_check_keeps_no_memory_when_it_has_answered(monkeypatch):
    """A catalogue is checked one after the other: the arrays of one are gone when the next begins, though its answer is kept."""
    kept = []

    class Watched(Space):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            kept.append(weakref.ref(self))

    monkeypatch.setattr(search, "Space", Watched)
    answers = []
    for workers in (1, 2):
        answers.append(check(counters(5, 3, lambda level: leads_to("rises", level[0] == 0, level[0] == 3)), workers=workers))
        answers.append(check(two_phase_commit(3), reduced=True))
        assert len(kept) == 2 * workers and all(seen() is None for seen in kept)


@pytest.mark.parametrize("bits", [12, 13, 20])
def test_a_variable_of_many_values_is_read_in_one_table(bits):
    wide, other = (unlocked(name, Range(0, 2**bits - 1)) for name in ("wide", "other"))
    rows = [Row("step", Walk.GOING, Walk.GOING, wide < 3, [wide.add(1)], assume_atomic="a test")]
    rows.append(Row("copy", Walk.GOING, Walk.GOING, True, [other.set(wide)], assume_atomic="a test"))
    system = System("wide", [Machine("walker", Walk, rows, final=())], [never("three", other == 3)])
    table, reference = (check(system, explorer=e) for e in ("table", "reference"))
    assert (table.distinct, table.findings["three"].path_length) == (reference.distinct, reference.findings["three"].path_length) == (10, 4)


@pytest.mark.parametrize("bits", [25, 62])
def test_a_variable_of_too_many_values_is_refused_by_name(bits):
    wide = unlocked("wide", Range(0, 2**bits - 1))
    row = Row("step", Walk.GOING, Walk.DONE, True, [wide.set(1)])
    with pytest.raises(DefinitionError, match="wide has .* values, more than 2.24; lower its bounds"):
        check(System("wide", [Machine("walker", Walk, [row])]))


def test_the_graph_has_every_edge():
    tables = tabulate(two_phase_commit(4))
    space = Space(tables, 10**6, 10**9)
    space.expand(10**6, -1, False)
    graph, _ = space.graph()
    assert graph.offsets[-1] == len(graph.targets) == 8_258 - 1
    states = [tables.layout.unpack(space.words(s)) for s in range(space.distinct)]
    number = {state: s for s, state in enumerate(states)}
    for s in range(0, len(states), 37):
        for e in range(graph.offsets[s], graph.offsets[s + 1]):
            assert number[successor(tables.system, states[s], tables.instances[graph.instances[e]])] == graph.targets[e]


def test_growing_the_table_keeps_every_state():
    space = Space(tabulate(counters(7, 4)), 10**6, 10**9)
    while space.expanded < space.distinct:
        space.expand(1000, -1, False)
        if space.crowded:
            assert space.grow()
    assert space.distinct == 5**7
    k.fill(space.states, space.width, space.distinct, numbered := np.zeros(space.table.size, dtype=np.uint64), True)
    found = [k.find(space.states, space.width, numbered, space.words(s).copy(), 0) for s in range(0, space.distinct, 997)]
    assert found == list(range(0, space.distinct, 997))


def test_rows_of_symmetric_copies_are_explored_in_canonical_order():
    """Row before copy: the path to the first shared goal takes the earlier row of the later copy."""
    slots = Index("slot", 2)
    here, flag = me(slots), unlocked("flag", Range(0, 2))
    rows = [Row("first", Walk.GOING, Walk.DONE, here == 1, [flag.set(1)]), Row("second", Walk.GOING, Walk.DONE, True, [flag.set(1)])]
    finding = check(System("order", [Machine("walker", Walk, rows, copies=slots)], [always("never_set", flag == 0)])).findings["never_set"]
    assert [str(step) for step in finding.path] == ["walker[1].first"]


def test_no_workers_and_no_such_explorer_are_usage_errors():
    with pytest.raises(DefinitionError, match="at least one"):
        check(counters(2, 2), workers=0)
    with pytest.raises(DefinitionError, match="choose 'table' or 'reference'"):
        check(counters(2, 2), explorer="guess")
