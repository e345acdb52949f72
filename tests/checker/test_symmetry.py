"""What is interchangeable is found and nothing else is; a state stands for all its renamings; paths are the system's own."""

from enum import IntEnum

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checker import Limits, Result, Verdict, check, kernel, search
from checker.permutation import Permutation, group, swap
from checker.reference import Search
from checker.space import Space
from checker.symmetry import IDENTITY, Symmetry
from checker.tables import Tables, tabulate
from protocol import (
    BOOL,
    Array,
    DefinitionError,
    Index,
    Lock,
    Machine,
    Optional,
    OutOfRange,
    Process,
    Range,
    Record,
    Row,
    Sequence,
    System,
    all_of,
    always,
    any_of,
    choice,
    count,
    deadlock,
    each,
    hang,
    if_else,
    lost_store,
    me,
    never,
    private,
    sometimes,
    unlocked,
    when,
    write_conflict,
)
from protocol.evaluate import holds, loader, may_fire, successor
from protocol.trace import trace_of
from tests.checker.random_systems import EXAMPLES, systems
from tests.reference.two_phase_commit import build as two_phase_commit

SMALL = Limits(max_states=120)
FEWER = settings(EXAMPLES, max_examples=EXAMPLES.max_examples // 3)


class S(IntEnum):
    A, B, C = range(3)


A, B, C = S
PEER = Index("peer", 3)
NEAR = me(PEER)


def symmetric_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a reduced search use symmetry and nothing else."""
    monkeypatch.setattr(search, "reduced_tables", lambda system: (tabulate(system, turned=True), []))


def reached(system: System) -> Search | None:
    """All states of the system by the reference explorer; None when there are many, or the definition is wrong."""
    found = Search(system)
    try:
        return None if found.run(SMALL, False, None, 0.0) else found
    except DefinitionError:
        return None


def representatives(tables: Tables, states: list) -> set:
    """The representative of every state."""
    return {tables.symmetry.least(tables.layout, s)[0] for s in states}


# -- random systems --------------------------------------------------------------------------------------------------


@FEWER
@given(st.sampled_from((2, 2, 3)).flatmap(systems))
def test_exchanging_interchangeable_values_maps_the_graph_of_states_to_itself(system: System) -> None:
    """The interpreter's judgement: every step, and every error, is there in the renamed state as well."""
    whole = reached(system)
    if whole is None:
        return
    for exchange in [g for g in tabulate(system, turned=True).symmetry.elements if g.after(g) == g.after(g.inverse)]:
        for state in whole.states:
            turned = exchange.state(system, state)
            for instance in whole.instances:
                assert step(system, turned, exchange.instance(instance)) == renamed(exchange, system, step(system, state, instance))


def step(system: System, state: tuple, instance) -> object:  # noqa: ANN001
    """The state after the instance fires; None where it may not; the name of the error."""
    try:
        return successor(system, state, instance) if may_fire(instance, loader(system, state)) else None
    except OutOfRange:
        return "out of range"


def renamed(permutation: Permutation, system: System, outcome: object) -> object:
    return permutation.state(system, outcome) if isinstance(outcome, tuple) else outcome


@FEWER
@given(st.sampled_from((2, 2, 3)).flatmap(systems))
def test_one_state_of_each_orbit_is_explored(system: System) -> None:
    with pytest.MonkeyPatch.context() as patch:
        symmetric_only(patch)
        asked = system.focused(*[p.name for p in system.properties if p.kind in ("always", "never", "sometimes", "deadlock")])
        whole = reached(asked)
        if whole is None:
            return
        reduced = check(asked, reduced=True)
    tables = tabulate(whole.system, turned=True)
    assert reduced.distinct == len(representatives(tables, whole.states))
    assert reduced.depth == max(whole.depth)


@FEWER
@given(st.sampled_from((2, 3, 5)).flatmap(systems), st.randoms(use_true_random=False))
def test_the_kernel_finds_the_representative(system: System, random) -> None:  # noqa: ANN001
    """On any state, reachable or not: each cell is some value of its type."""
    tables = tabulate(system, turned=True)
    if not tables.symmetry.elements:
        return
    for _ in range(5):
        state = tuple(tuple(value_of(v.type, random) for _ in cells) for v, cells in zip(system.variables, system.initial_state()))
        assert kernel_least(tables, state) == tables.symmetry.least(tables.layout, state)[0]


def value_of(kind, random) -> object:  # noqa: ANN001
    """Some value of a type."""
    if isinstance(kind, Record):
        return tuple(value_of(t, random) for _, t in kind.fields)
    if isinstance(kind, Array):
        return tuple(value_of(kind.element, random) for _ in range(kind.length))
    if isinstance(kind, Sequence):
        return tuple(value_of(kind.element, random) for _ in range(random.randrange(kind.capacity + 1)))
    return kind.value(random.randrange(kind.size))


def kernel_least(tables: Tables, state: tuple) -> tuple:
    width = tables.layout.words
    work = np.zeros(tables.work_words, dtype=np.uint64)
    work[width : 2 * width] = tables.layout.pack(state)
    kernel.represent(tables.code, tables.entries, tables.turns, tables.moves, tables.symmetry.whole, width, work, np.zeros_like(work))
    return tables.layout.unpack(work[width : 2 * width])


# -- known systems ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("managers", [4, 5, 6])
def test_two_phase_commit_has_one_state_a_multiset_of_managers(managers: int) -> None:
    """Beyond four managers representatives are found by exchanges; here, where no cell holds a manager's number, that is exact, too."""
    reduced = check(two_phase_commit(managers), reduced=True)
    assert (reduced.distinct, reduced.verdict) == ({4: 166, 5: 314, 6: 553}[managers], Verdict.HOLDS)


@pytest.mark.parametrize("managers", [2, 3])
def test_two_phase_commit_has_one_state_an_orbit(managers: int) -> None:
    system = two_phase_commit(managers)
    everything = Search(system)
    everything.run(Limits(), False, None, 0.0)
    turns = group([(Index("rm", managers), tuple(range(managers)))])
    orbits = {min(g.state(system, s) for g in turns) for s in everything.states}
    reduced = check(system, reduced=True)
    assert reduced.distinct == len(orbits) == {2: 34, 3: 80}[managers]
    assert reduced.verdict is Verdict.HOLDS and len(reduced.notes) == 1 and reduced.notes[0].endswith("are interchangeable")


def queue_up(first: bool = True, *properties, sent=NEAR, guard=True) -> System:  # noqa: ANN001, ANN002
    """Three copies enter a queue once; the head is served, or refused by all that wait."""
    line = unlocked("line", Sequence(PEER, 3))
    served = unlocked("served", Optional(PEER))
    who = choice("who", PEER)
    rows = [Row("enter", A, B, guard, [line.push(sent)], assume_atomic="a test"), Row("rest", B, C, served == NEAR)]
    next_one = line.has(who) & (line.head == who if first else True)
    server = [Row("serve", A, A, next_one, [line.remove(who), served.set(who)], choose=who, assume_atomic="a test")]
    clients = Machine("client", S, rows, copies=PEER, final=(A, B, C))
    return System("queue", [clients, Machine("server", S, server, final=A)], [p(line, served, clients) for p in properties])


def test_numbers_in_queues_and_optional_cells_are_renamed() -> None:
    system = queue_up()
    whole, reduced = check(system), check(system, reduced=True)
    assert reduced.notes == ("peer: 0, 1 and 2 are interchangeable",)
    states = Search(system)
    states.run(Limits(), False, None, 0.0)
    turns = group([(PEER, (0, 1, 2))])
    assert (whole.distinct, reduced.distinct) == (len(states.states), len({min(g.state(system, s) for g in turns) for s in states.states}))
    assert reduced.distinct < whole.distinct / 4


def test_a_property_that_names_a_value_is_asked_of_every_value() -> None:
    """Representatives never have copy 2 at the head alone, yet the witness is found, and its path ends where it says."""
    system = queue_up(
        True,
        lambda line, served, clients: sometimes("two_first", served == 2),
        lambda line, served, clients: never("two_then_one", (served == 2) & (line.length == 1) & line.has(1)),
        lambda line, served, clients: always("zero_rests", clients.at(0) != C),
    )
    for name, path in (("two_first", 2), ("two_then_one", 3), ("zero_rests", 3)):
        for asked in (system, system.focused(name)):
            whole, reduced = (check(asked, reduced=r).findings[name] for r in (False, True))
            assert reduced.verdict is whole.verdict and reduced.path is not None and whole.path is not None
            assert len(reduced.path) == len(whole.path) == path
            trace_of(asked, reduced.path, property=name)
    trace = trace_of(system, check(system, reduced=True).findings["two_first"].path, property="two_first")  # type: ignore[arg-type]
    assert trace.states[-1]["served"] == "2" or trace.states[-1]["served"] == 2


def test_every_path_is_one_of_the_system_whatever_is_done_at_its_end() -> None:
    """Through all representatives of a system whose steps rename in turn: the interpreter takes each path, and ends where it should."""
    tables = tabulate(queue_up(first=False), turned=True)
    system, space = tables.system, Space(tables, 10**5, 10**9)
    space.expand(10**5, -1, False)
    longest = 0
    for number in range(space.distinct):
        kept = tables.layout.unpack(space.words(number))
        for seen in (IDENTITY, *tables.symmetry.elements):
            assert walked(system, space.path(number, seen=seen)) == seen.state(system, kept)
        for k, instance in enumerate(tables.instances):
            if may_fire(instance, loader(system, kept)):
                walked(system, space.path(number, k))
        longest = max(longest, len(space.path(number)))
    assert longest == 9 and len(tables.symmetry.elements) == 5


def walked(system: System, path: tuple) -> tuple:
    """The state at the end of a path that the interpreter takes."""
    state = system.initial_state()
    for instance in path:
        assert may_fire(instance, loader(system, state)), instance
        state = successor(system, state, instance)
    return state


def test_every_renaming_of_a_property_is_watched_once() -> None:
    many = Index("many", 4)
    crowd = Machine("crowd", S, [Row("go", A, B), Row("on", B, C)], copies=many)
    system = System("s", [crowd], [sometimes("two", (crowd.at(0) == A) & (crowd.at(1) == B))])
    states, two = Search(system), system.find_property("two").expr
    states.run(Limits(), False, None, 0.0)

    def truth(renaming: Permutation) -> tuple[bool, ...]:
        return tuple(holds(system, renaming.state(system, s), two) for s in states.states)

    watched = [truth(g) for g in tabulate(system, turned=True).symmetry.renamings["two"]]
    assert len(watched) == len(set(watched)) == 12
    assert set(watched) == {truth(g) for g in group([(many, (0, 1, 2, 3))])}


def notes(system: System) -> str:
    return " ".join(tabulate(system, turned=True).symmetry.notes)


shared = unlocked("shared", Range(0, 2))
seat = unlocked("seat", Optional(PEER))
taken = unlocked("taken", BOOL, over=PEER)
mine = private("mine", Range(0, 2), over=PEER)
REFUSED = {
    "a row that names a value": ([Row("go", A, B, NEAR == 1)], "row crowd.go: crowd[0].go is not renamed crowd[1].go: `peer == 1`"),
    "an order": ([Row("go", A, B, ~seat.is_none & (seat.value < NEAR))], "row crowd.go: `seat < peer` mixes values of peer with numbers"),
    "arithmetic": ([Row("go", A, B, True, [mine[NEAR].set(NEAR + 0)])], "`mine[peer] := peer + 0`"),
    "a number stored": ([Row("go", A, B, True, [shared.set(NEAR)])], "`shared := peer`"),
    "an index that is a number": ([Row("go", A, B, True, [mine[NEAR].set(seat.value)])], "mixes values of peer with numbers"),
    "a literal stored": ([Row("go", A, B, True, [seat.set(0)])], "crowd[0].go is not renamed crowd[1].go: `seat := 0`"),
    "the lowest free": (
        [Row("go", A, B, all_of(PEER, lambda i: (i >= NEAR) | taken[i]), [taken[NEAR].set(True)], assume_atomic="a test")],
        "crowd[0].go is not renamed crowd[1].go: `all((any_peer >= peer) or taken[any_peer] for any_peer in peer)`",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_tells_values_apart_is_named(case: str) -> None:
    rows, reason = REFUSED[case]
    system = System("s", [Machine("crowd", S, rows, copies=PEER)])
    said = notes(system)
    assert said.startswith("peer: ") and "not interchangeable" in said and reason in said, said
    assert check(system, reduced=True).distinct <= check(system).distinct


def test_unlike_beginnings_are_named() -> None:
    first = private("first", BOOL, over=PEER, init=lambda i: i == 0)
    system = System("s", [Machine("crowd", S, [Row("go", A, B, first[NEAR])], copies=PEER)])
    assert tabulate(system, turned=True).symmetry.classes == [(PEER, (1, 2))]
    assert "peer: 0 and 1 are not interchangeable: the initial value of first tells them apart" in notes(system)


def test_a_special_value_leaves_the_others_interchangeable() -> None:
    rows = [Row("go", A, B, NEAR != 1), Row("lead", A, C, NEAR == 1)]
    symmetry = tabulate(System("s", [Machine("crowd", S, rows, copies=PEER)]), turned=True).symmetry
    assert symmetry.classes == [(PEER, (0, 2))] and symmetry.elements == [swap(PEER, 0, 2)]


def test_the_order_of_what_may_fail_keeps_values_apart() -> None:
    """`any` ends at the first that is true: where a later one fails, the order decides whether there is an error."""
    box = unlocked("box", Optional(Range(0, 1)), over=PEER)
    careless = any_of(PEER, lambda i: box[i].value == 1)
    careful = any_of(PEER, lambda i: ~box[i].is_none & (box[i].value == 1))
    rows = [Row("fill", A, B, True, [box[NEAR].set(1)])]
    for test, classes in ((careless, []), (careful, [(PEER, (0, 1, 2))])):
        looker = Machine("looker", S, [Row("look", A, B, test, assume_atomic="a test")])
        system = System("s", [Machine("crowd", S, rows, copies=PEER), looker])
        assert tabulate(system, turned=True).symmetry.classes == classes
        assert check(system, reduced=True).findings["range"].verdict is check(system).findings["range"].verdict


@pytest.mark.parametrize("apart", [True, False])
def test_the_order_of_stores_to_one_place_keeps_values_apart(apart: bool) -> None:
    """Whether a step that stores twice, and leaves a type as well, is the one error or the other is decided by what comes first."""
    wanted = unlocked("wanted", BOOL, over=PEER)
    level, target = unlocked("level", Range(0, 3), over=PEER), unlocked("target", Range(0, 2), over=PEER)
    stores = each(PEER, lambda i: when(wanted[i], (target[i] if apart else shared).set(level[i])))
    rows = [Row("go", A, B, True, [wanted[NEAR].set(True), level[NEAR].set(2)], assume_atomic="a test")]
    clerk = Machine("clerk", S, [Row("store", A, B, True, [stores], assume_atomic="a test")])
    tables = tabulate(System("s", [Machine("crowd", S, rows, copies=PEER), clerk]), turned=True)
    assert tables.symmetry.classes == ([(PEER, (0, 1, 2))] if apart else [])
    assert apart or "the order in which it is judged" in tables.symmetry.notes[0]


def test_the_graph_of_representatives_has_every_edge() -> None:
    tables = tabulate(queue_up(first=False), turned=True)
    space = Space(tables, 10**5, 10**9)
    space.expand(10**5, -1, False)
    graph, turned_by = space.graph()
    states = [tables.layout.unpack(space.words(s)) for s in range(space.distinct)]
    for number, state in enumerate(states):
        edges = range(graph.offsets[number], graph.offsets[number + 1])
        taken = {(int(graph.instances[e]), states[graph.targets[e]]) for e in edges}
        fired = {k: i for k, i in enumerate(tables.instances) if may_fire(i, loader(tables.system, state))}
        assert taken == {(k, tables.symmetry.least(tables.layout, successor(tables.system, state, i))[0]) for k, i in fired.items()}
        for e in edges:
            after = successor(tables.system, state, tables.instances[graph.instances[e]])
            by = tables.symmetry.elements[turned_by[e]] if turned_by[e] >= 0 else IDENTITY
            assert by.state(tables.system, after) == states[graph.targets[e]]


def test_copies_that_differ_in_a_later_word_are_ordered_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    wide, level = private("wide", Range(0, 2**20 - 1), over=PEER), private("level", Range(0, 2**18 - 1), over=PEER)
    step = Row("step", A, A, (wide[NEAR] == 0) & (level[NEAR] < 2), [level[NEAR].add(1)])
    system = System("s", [Machine("crowd", S, [step], copies=PEER)])
    tables = tabulate(system, turned=True)
    assert tables.layout.words == 3 and all(leaf.word > 0 for leaf in tables.layout.leaves_of(level))
    symmetric_only(monkeypatch)
    assert (check(system).distinct, check(system, reduced=True).distinct) == (27, 10)


@pytest.mark.parametrize("named", [True, False])
def test_fields_named_after_values_belong_to_them(named: bool) -> None:
    """A record `peer_0`, `peer_1`, `peer_2` is renamed like an array; one with other names is not."""
    board = Record("Board", **{f"{'peer' if named else 'place'}_{k}": BOOL for k in PEER})
    shown, last = unlocked("shown", board), unlocked("last", board)
    names = [name for name, _ in board.fields]
    own = if_else(NEAR == 0, getattr(shown, names[0]), if_else(NEAR == 1, getattr(shown, names[1]), getattr(shown, names[2])))
    raised = board(**{name: if_else(NEAR == k, True, getattr(shown, name)) for k, name in enumerate(names)})
    rows = [
        Row("show", A, B, ~own, [shown.set(raised)], assume_atomic="a test"),
        Row("keep", B, C, True, [last.set(raised)], assume_atomic="a test"),
    ]
    crowd = Machine("crowd", S, rows, copies=PEER)
    system = System("s", [crowd], [never("all", getattr(last, names[0]) & getattr(last, names[1])), sometimes("two", getattr(last, names[2]))])
    reduced = agree(system)
    assert (reduced.notes[0] == "peer: 0, 1 and 2 are interchangeable") is named
    assert (reduced.distinct < check(system).distinct) is named


def test_holders_of_locks_are_renamed() -> None:
    """A lock's number of its holder is a copy's, in the numbering of all that acquire it."""
    lock, other = Lock("lock"), private("n", Range(0, 1), over=PEER)
    rows = [Row("take", A, B, acquire=lock), Row("work", B, C, True, [other[NEAR].set(1)]), Row("give", C, A, release=lock)]
    alone = Machine("alone", S, [Row("take", A, B, acquire=lock), Row("give", B, A, release=lock)])
    system = System("s", [alone, Machine("crowd", S, rows, copies=PEER)], [deadlock()])
    whole, reduced = check(system), check(system, reduced=True)
    assert reduced.notes[0] == "peer: 0, 1 and 2 are interchangeable"
    states = Search(system)
    states.run(Limits(), False, None, 0.0)
    orbits = {min(g.state(system, s) for g in group([(PEER, (0, 1, 2))])) for s in states.states}
    assert len(orbits) >= reduced.distinct and len(orbits) < whole.distinct
    assert len({s[tabulate(system).system.position[id(lock)]] for s in orbits}) > 1


def test_crashes_and_their_processes_are_renamed() -> None:
    host = Process("host", over=PEER)
    victim = choice("victim", PEER)
    faults = Machine("faults", S, [Row("crash", A, B, host.is_alive(victim), [host.crash(victim)], choose=victim)], environment=True)
    crowd = Machine("crowd", S, [Row("go", A, B), Row("on", B, C)], copies=PEER, process=host)
    system = System("s", [crowd, faults], [always("two", count(PEER, lambda i: host.is_alive(i)) >= 2)])
    assert agree(system).distinct < check(system).distinct


def agree(system: System) -> Result:
    whole, reduced = check(system), check(system, reduced=True)
    assert {n: f.verdict for n, f in whole.findings.items()} == {n: f.verdict for n, f in reduced.findings.items()}
    for name, finding in reduced.findings.items():
        if finding.path is not None:
            trace_of(system, finding.path, property=name)
    return reduced


# -- which property may be asked -------------------------------------------------------------------------------------


def writers(*properties) -> System:  # noqa: ANN002
    """Three copies store their own state's number to one cell, in two steps."""
    cell = unlocked("cell", Range(0, 2))
    rows = [Row("one", A, B, True, [cell.set(1)]), Row("two", B, C, True, [cell.set(2)])]
    return System("s", [Machine("crowd", S, rows, copies=PEER, final=C)], [p(cell) for p in properties])


def test_a_write_conflict_is_asked_of_representatives() -> None:
    system = writers(write_conflict)
    assert agree(system).findings["no_write_conflict_on_cell"].verdict is Verdict.VIOLATED
    assert check(system, reduced=True).distinct < check(system).distinct


def test_a_hang_is_asked_with_symmetry_alone() -> None:
    rows = [Row("look", A, A, shared == 1, poll=True), Row("set", A, B, shared == 0, [shared.set(1)], assume_atomic="a test")]
    stuck = System("s", [Machine("crowd", S, rows, copies=PEER, final=B)], [hang()])
    assert agree(stuck).findings["hang"].verdict is Verdict.VIOLATED
    assert any("partial order is not sound for property hang" in note for note in agree(stuck).notes)
    fine = System("s", [Machine("crowd", S, [*rows, Row("leave", A, C, shared == 1)], copies=PEER, final=(B, C))], [hang()])
    assert agree(fine).findings["hang"].verdict is Verdict.HOLDS
    assert check(fine, reduced=True).distinct < check(fine).distinct


def test_a_lost_store_numbers_the_copies_and_so_tells_them_apart() -> None:
    reduced = agree(writers(lost_store))
    assert "`cell.unread_writer := peer`" in reduced.notes[0] and not tabulate(writers(lost_store), turned=True).symmetry.elements


def test_too_many_renamings_are_refused() -> None:
    many = Index("many", 5)
    crowd = Machine("crowd", S, [Row("go", A, B), Row("on", B, C)], copies=many)
    ranked = sometimes("ranked", (crowd.at(0) == A) & (crowd.at(1) == B) & (crowd.at(2) == C) & (crowd.at(3) == B) & (crowd.at(4) == A))
    said = notes(System("s", [crowd], [ranked]))
    assert "many: property ranked has more than 24 renamings" in said
    few = sometimes("few", (crowd.at(0) == A) & (crowd.at(1) == B) & (crowd.at(2) == C) & (crowd.at(3) == B) & (crowd.at(4) == B))
    assert len(tabulate(System("s", [crowd], [few]), turned=True).symmetry.renamings["few"]) == 20
    agree(System("s", [crowd], [few]))


def test_permutations_compose_as_functions() -> None:
    there, back = swap(PEER, 0, 1), swap(PEER, 1, 2)
    turn = there.after(back)
    assert [turn.value(PEER, v) for v in range(3)] == [there.value(PEER, back.value(PEER, v)) for v in range(3)]
    assert turn.inverse.after(turn).value(PEER, 2) == 2 and IDENTITY.value(PEER, 1) == 1
    assert Symmetry().elements == []
