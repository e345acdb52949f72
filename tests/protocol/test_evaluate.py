"""What rows mean, medium by medium: each system is small enough to follow, each answer is found by hand."""

from typing import Any

import pytest

from checker.reference import explore
from checker.result import Verdict
from protocol import (
    BOOL,
    Array,
    DefinitionError,
    Index,
    Lock,
    Machine,
    Medium,
    Optional,
    OutOfRange,
    Process,
    Range,
    Record,
    Row,
    Sequence,
    SetOf,
    System,
    all_of,
    always,
    any_of,
    barrier,
    channel,
    choice,
    count,
    deadlock,
    each,
    ghost,
    if_else,
    locked,
    lost_store,
    me,
    never,
    passed,
    private,
    register,
    sometimes,
    sum_of,
    unlocked,
    when,
    write_conflict,
)
from protocol.evaluate import effects_of, holds, loader, may_fire, successor
from tests.four_states import PAIR, A, B, C, D, S

PEER = Index("peer", 2, symmetric=True)
NOTE = Record("Note", flag=BOOL, number=Range(0, 2))


def after(system: System, *steps: str) -> dict[str, Any]:
    """Values of the variables after these instances, each of which must be enabled; a single cell is not a tuple."""
    state = system.initial_state()
    named = {str(i): i for i in system.instances()}
    for step in steps:
        assert may_fire(named[step], loader(system, state)), f"{step} is not enabled"
        state = successor(system, state, named[step])
    return {v.name: cells if v.over else cells[0] for v, cells in zip(system.variables, state)}


def enabled(system: System, *steps: str) -> set[str]:
    """The instances that are enabled after these steps."""
    state = system.initial_state()
    named = {str(i): i for i in system.instances()}
    for step in steps:
        state = successor(system, state, named[step])
    return {str(i) for i in system.instances() if may_fire(i, loader(system, state))}


def one(*rows: Row, **options: Any) -> System:
    return System("s", [Machine("m", S, rows, **options)])


# -- expressions and effects -----------------------------------------------------------------------------------------


def test_effects_read_the_state_before_the_row() -> None:
    x, y = private("x", Range(0, 2), init=1), private("y", Range(0, 2), init=2)
    found = after(one(Row("swap", A, B, True, [x.set(y), y.set(x)])), "m.swap")
    assert (found["x"], found["y"]) == (2, 1)


def test_condition_of_an_effect_reads_the_state_before_the_row() -> None:
    x, y = private("x", BOOL), private("y", BOOL)
    found = after(one(Row("go", A, B, True, [x.set(True), *when(x, y.set(True))])), "m.go")
    assert (found["x"], found["y"]) == (True, False)


def test_each_and_folds_range_over_the_index() -> None:
    x, total, most = private("x", Range(0, 2), over=(PAIR,)), private("total", Range(0, 4)), private("most", Range(0, 2))
    rows = [
        Row("fill", A, B, all_of(PAIR, lambda i: x[i] == 0), list(each(PAIR, lambda i: x[i].set(i + 1)))),
        Row("add", B, C, any_of(PAIR, lambda i: x[i] == 2), [total.set(sum_of(PAIR, lambda i: x[i])), most.set(count(PAIR, lambda i: x[i] > 1))]),
    ]
    found = after(one(*rows), "m.fill", "m.add")
    assert (found["x"], found["total"], found["most"]) == ((1, 2), 3, 1)


def test_parts_of_records_arrays_and_sequences_are_stored_by_themselves() -> None:
    note, grid = private("note", NOTE), private("grid", Array(Range(0, 2), PAIR, PAIR))
    queue = private("queue", Sequence(NOTE, 2), init=((False, 0), (False, 1)))
    effects = [note.flag.set(True), note.number.set(2), grid[1, 0].set(2), grid[0, 1].set(1), queue.at(1).number.set(2)]
    found = after(one(Row("go", A, B, True, effects)), "m.go")
    assert found["note"] == (True, 2) and found["grid"] == (0, 1, 2, 0) and found["queue"] == ((False, 0), (False, 2))


def test_sequence_operations() -> None:
    queue = private("queue", Sequence(Range(0, 2), 3), init=(1, 2, 1))
    results = {
        queue.pop(): (2, 1),
        queue.pop_back(): (1, 2),
        queue.remove(1): (2, 1),
        queue.remove_at(1): (1, 1),
        queue.clear(): (),
    }
    for effect, expected in results.items():
        assert after(one(Row("go", A, B, True, [effect])), "m.go")["queue"] == expected
    for effect in (queue.push(0), queue.push_front(0), queue.remove(0), queue.remove_at(3)):
        with pytest.raises(OutOfRange):
            after(one(Row("go", A, B, True, [effect])), "m.go")


def test_symmetric_copies_are_not_summed() -> None:
    with pytest.raises(DefinitionError, match="sum_of"):
        sum_of(PEER, lambda i: i)


def test_short_circuit_protects_what_stands_on_the_right() -> None:
    slot = private("slot", Optional(Range(0, 1)))
    queue = private("queue", Sequence(BOOL, 1))
    fine = [slot.is_none | (slot.value == 1), ~queue.empty & queue.head, if_else(queue.empty, False, queue.head)]
    assert [may_fire(i, loader(s, s.initial_state())) for s in (one(Row("go", A, B, g)) for g in fine) for i in s.instances()] == [True, False, False]
    for guard in (slot.value == 1, queue.head, queue.at(queue.length - 1)):
        system = one(Row("go", A, B, guard))
        with pytest.raises(OutOfRange):
            may_fire(next(system.instances()), loader(system, system.initial_state()))


def test_negative_ranges_and_sets_and_choices() -> None:
    x, chosen = private("x", Range(-2, 1), init=-2), choice("i", PAIR)
    members = private("members", SetOf(PAIR))
    system = one(Row("go", A, A, ~members[chosen], [x.add(1), members[chosen].set(True)], choose=chosen))
    found = after(system, "m.go(i=1)", "m.go(i=0)")
    assert found["x"] == 0 and found["members"] == (True, True)
    assert enabled(system, "m.go(i=1)") == {"m.go(i=0)"}


def test_writes_are_told_cell_by_cell() -> None:
    x = private("x", NOTE, over=PAIR)
    system = System("s", [Machine("m", S, [Row("go", A, B, True, [x[me(PAIR)].number.set(1)])], copies=PAIR)])
    writes = effects_of(list(system.instances())[1], loader(system, system.initial_state()))
    assert [(v.name, where, value) for v, where, value in writes] == [("x", (1,), (False, 1)), ("m.state", (1,), B)]


# -- locks -----------------------------------------------------------------------------------------------------------


def test_lock_excludes_others_but_not_its_holder() -> None:
    lock = Lock("lock")
    x = locked("x", Range(0, 2), lock)
    rows = [Row("take", A, B, acquire=lock), Row("count", B, C, True, [x.add(1)], under=lock), Row("give", C, D, release=lock)]
    peek = Machine("peek", S, [Row("look", A, B, x >= 0, under=lock)])
    system = System("s", [Machine("m", S, rows, copies=PAIR), peek])
    assert enabled(system) == {"m[0].take", "m[1].take", "peek.look"}
    assert enabled(system, "m[1].take") == {"m[1].count"}
    assert enabled(system, "m[1].take", "m[1].count", "m[1].give") == {"m[0].take", "peek.look"}
    assert after(system, "m[1].take")["lock"] == 2
    # Both copies in A or D: 4. One of the two inside (B or C), the other in A or D: 8. Each with peek before or after.
    assert explore(system).distinct == 24


def test_lock_that_nobody_holds_across_rows_needs_no_variable() -> None:
    lock = Lock("lock")
    x = locked("x", BOOL, lock)
    system = one(Row("go", A, B, ~x, [x.set(True)], under=lock))
    assert [v.name for v in system.variables] == ["m.state", "x"]


def test_lock_survives_the_crash_of_its_holder() -> None:
    host, lock = Process("host"), Lock("lock")
    worker = Machine("worker", S, [Row("take", A, B, acquire=lock), Row("give", B, C, release=lock)], process=host)
    other = Machine("other", S, [Row("take", A, B, acquire=lock)])
    faults = Machine("faults", S, [Row("crash", A, B, host.is_alive(), [host.crash()])], environment=True)
    system = System("s", [worker, other, faults])
    assert enabled(system, "worker.take", "faults.crash") == set()
    assert after(system, "worker.take", "faults.crash")["worker.state"] is A


def test_a_restarted_copy_does_not_hold_what_it_died_with() -> None:
    """It begins anew in the middle of the section, and is as shut out as everybody else: in its own process and in the other."""
    host, lock, at = Process("host", over=PAIR), Lock("lock"), choice("at", PAIR)
    rows = [Row("take", A, B, acquire=lock), Row("give", B, A, release=lock), Row("look", B, C, under=lock)]
    faults = [
        Row("crash", A, B, True, [host.crash(at)], choose=at),
        Row("restart", B, A, ~host.is_alive(at), [host.restart(at)], choose=at),
    ]
    workers = Machine("worker", S, rows, copies=PAIR, process=host, restart=B)
    system = System("s", [workers, Machine("faults", S, faults, environment=True)])
    assert enabled(system, "worker[0].take") >= {"worker[0].give", "worker[0].look"}
    died = ("worker[0].take", "faults.crash(at=0)", "faults.restart(at=0)")
    assert enabled(system, *died) == {"faults.crash(at=0)", "faults.crash(at=1)"}
    assert lock.show_holder(after(system, *died)["lock"]) == "a dead copy"
    other = ("worker[0].take", "faults.crash(at=1)", "faults.restart(at=1)")
    assert enabled(system, *other) >= {"worker[0].give", "worker[0].look"}


# -- channels --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("on_full", "sent"), [("block", None), ("drop", ((True),)), ("error", OutOfRange)])
def test_full_channel_blocks_drops_or_fails(on_full: str, sent: Any) -> None:
    mail = channel("mail", BOOL, 1, on_full=on_full)
    system = one(Row("first", A, B, True, [mail.send(True)]), Row("second", B, C, True, [mail.send(False)]))
    if sent is None:
        assert enabled(system, "m.first") == set()
    elif sent is OutOfRange:
        with pytest.raises(OutOfRange):
            after(system, "m.first", "m.second")
    else:
        assert after(system, "m.first", "m.second")["mail"] == (True,)


@pytest.mark.parametrize("on_full", ["block", "drop", "error"])
def test_bag_is_full_by_its_total_not_by_one_count(on_full: str) -> None:
    net = channel("net", NOTE, 1, kind="bag", on_full=on_full)
    system = one(
        Row("first", A, B, True, [net.send(NOTE(flag=True, number=0))]),
        Row("second", B, C, True, [net.send(NOTE(flag=False, number=2))]),
        Row("take", C, D, True, [net.receive(NOTE(flag=True, number=0))]),
    )
    if on_full == "block":
        assert enabled(system, "m.first") == set()
    elif on_full == "drop":
        assert sum(after(system, "m.first", "m.second")["net"]) == 1
        assert sum(after(system, "m.first", "m.second", "m.take")["net"]) == 0
    else:
        with pytest.raises(OutOfRange):
            after(system, "m.first", "m.second")


def test_bag_takes_a_record_variable_as_message_and_keeps_no_order() -> None:
    net, note = channel("net", NOTE, 2, kind="bag"), private("note", NOTE, init={"flag": True})
    number = choice("n", Range(0, 2))
    system = one(
        Row("send", A, B, True, [net.send(note)]),
        Row("again", B, C, True, [net.send(NOTE(flag=True, number=1))]),
        Row("take", C, C, True, [net.receive(NOTE(flag=True, number=number))], choose=number),
    )
    assert enabled(system, "m.send", "m.again") == {"m.take(n=0)", "m.take(n=1)"}


def test_receive_takes_the_head_that_the_row_reads() -> None:
    mail, seen = channel("mail", Range(0, 2), 2), private("seen", Range(0, 2))
    system = one(Row("send", A, B, True, [mail.send(2)]), Row("take", (A, B), C, mail.head == 2, [mail.receive(), seen.set(mail.head)]))
    assert enabled(system) == {"m.send"}
    found = after(system, "m.send", "m.take")
    assert found["seen"] == 2 and found["mail"] == ()


# -- barriers --------------------------------------------------------------------------------------------------------


def meeting(kind: str, **options: Any) -> System:
    """Two copies that meet again and again."""
    gate = barrier("gate", 2, kind=kind)
    rows = [Row("arrive", A, B, True, [gate.arrive()]), Row("leave", B, A, passed(gate))]
    return System("s", [Machine("m", S, rows, copies=PAIR, **options)], [deadlock()])


def test_draining_barrier_lets_nobody_arrive_until_all_have_left() -> None:
    system = meeting("draining")
    assert enabled(system, "m[0].arrive") == {"m[1].arrive"}
    both = ("m[0].arrive", "m[1].arrive")
    assert enabled(system, *both) == {"m[0].leave", "m[1].leave"}
    assert enabled(system, *both, "m[0].leave") == {"m[1].leave"}
    assert enabled(system, *both, "m[0].leave", "m[1].leave") == {"m[0].arrive", "m[1].arrive"}
    assert explore(system).distinct == 6  # both out; one in, twice; both in; one left, twice


def test_sense_barrier_lets_a_fast_copy_arrive_again() -> None:
    system = meeting("sense")
    both = ("m[0].arrive", "m[1].arrive")
    assert enabled(system, *both) == {"m[0].leave", "m[1].leave"}
    assert enabled(system, *both, "m[0].leave") == {"m[0].arrive", "m[1].leave"}
    assert enabled(system, *both, "m[0].leave", "m[0].arrive") == {"m[1].leave"}
    assert explore(system).findings["deadlock"].verdict is Verdict.HOLDS


def crashing(kind: str, copies: Any, over: Any, parties: int = 2) -> System:
    """Threads that meet once, in processes that crash."""
    gate, host, at = barrier("gate", parties, kind=kind), Process("host", over=over), choice("at", PAIR)
    where = (at,) if over else ()
    rows = [Row("arrive", A, B, True, [gate.arrive()]), Row("leave", B, C, passed(gate))]
    late = Machine("late", S, [Row("come", A, B, True, [gate.arrive()]), Row("go", B, C, passed(gate))])
    crash = Row("crash", A, B, host.is_alive(*where), [host.crash(*where)], choose=at if over else ())
    return System("s", [Machine("m", S, rows, copies=copies, process=host), late, Machine("faults", S, [crash], environment=True)])


@pytest.mark.parametrize("kind", ["draining", "sense"])
def test_arrival_of_a_crashed_copy_stays_counted_and_it_leaves_without_a_step(kind: str) -> None:
    system = crashing(kind, PAIR, PAIR)
    crashed = ("m[0].arrive", "faults.crash(at=0)")
    assert enabled(system, *crashed, "late.come") >= {"late.go"}
    gate = after(system, *crashed, "late.come", "late.go")["gate"]
    assert gate == 0  # empty again, for the next two
    assert enabled(system, *crashed, "late.come", "late.go") == {"m[1].arrive"}


@pytest.mark.parametrize("kind", ["draining", "sense"])
def test_threads_of_one_process_crash_in_one_barrier(kind: str) -> None:
    filling = crashing(kind, PAIR, (), parties=3)
    both = ("m[0].arrive", "m[1].arrive")
    assert after(filling, *both, "faults.crash", "late.come", "late.go")["gate"] == 0
    draining = crashing(kind, PAIR, ())
    assert after(draining, *both, "faults.crash")["gate"] == 0
    assert after(draining, *both, "m[0].leave", "faults.crash")["gate"] == 0
    assert "late.come" in enabled(draining, *both, "faults.crash")


def test_two_rows_that_arrive_are_one_arrival_when_the_copy_crashes() -> None:
    gate, host = barrier("gate", 2), Process("host")
    rows = [Row("arrive", A, B, True, [gate.arrive()]), Row("later", C, B, True, [gate.arrive()]), Row("leave", B, C, passed(gate))]
    faults = Machine("faults", S, [Row("crash", A, B, True, [host.crash()])], environment=True)
    other = Machine("other", S, [Row("come", A, B, True, [gate.arrive()]), Row("go", B, C, passed(gate))])
    system = System("s", [Machine("m", S, rows, process=host), other, faults])
    assert after(system, "m.arrive", "faults.crash", "other.come", "other.go")["gate"] == 0


@pytest.mark.parametrize("kind", ["draining", "sense"])
def test_barrier_that_ends_with_its_process_counts_nobody_afterwards(kind: str) -> None:
    """Whether the process ends while the barrier fills, drains, or is broken: those who start again meet as at first."""
    host = Process("host")
    gate = barrier("gate", 2, kind=kind, process=host)
    threads = Machine("m", S, [Row("arrive", A, B, True, [gate.arrive()]), Row("leave", B, A, passed(gate))], copies=PAIR, process=host)
    rows = [Row("crash", (A, B), None, host.is_alive(), [host.crash()]), Row("restart", (A, B), None, ~host.is_alive(), [host.restart()])]
    rows.append(Row("break_open", A, B, True, [gate.break_open()]))
    system = System("s", [threads, Machine("faults", S, rows, environment=True)])
    filling, again = ("m[0].arrive",), ("faults.crash", "faults.restart")
    full = (*filling, "m[1].arrive")
    for crashed in (filling, full, (*full, "m[0].leave"), (*filling, "faults.break_open")):
        state = after(system, *crashed, *again)
        fresh = after(system, *(("faults.break_open",) if crashed[-1] == "faults.break_open" else ()), *again)
        assert state == fresh
        assert enabled(system, *crashed, *again, *full) >= {"m[0].leave", "m[1].leave"}


def test_draining_barrier_is_no_state_to_begin_in_but_a_sense_reversing_one_may_be() -> None:
    for kind in ("draining", "sense"):
        gate = barrier("gate", 2, kind=kind)
        rows = [Row("leave", A, B, passed(gate)), Row("arrive", B, A, True, [gate.arrive()])]
        if kind == "draining":
            with pytest.raises(DefinitionError, match="arrive in the row before"):
                System("s", [Machine("m", S, rows, copies=PAIR)])
        else:
            assert enabled(System("s", [Machine("m", S, rows, copies=PAIR)])) == {"m[0].leave", "m[1].leave"}


def test_copy_arrives_at_one_cell_of_a_sense_reversing_barrier() -> None:
    gate = barrier("gate", 2, over=PAIR, kind="sense")
    rows = [Row("arrive", A, B, True, [gate[0].arrive()]), Row("leave", B, C, passed(gate[0])), Row("other", C, D, True, [gate[1].arrive()])]
    with pytest.raises(DefinitionError, match="one cell a copy"):
        System("s", [Machine("m", S, rows, copies=PAIR)])


def test_broken_barrier_lets_nobody_pass() -> None:
    gate = barrier("gate", 1)
    rows = [Row("arrive", A, B, True, [gate.arrive()]), Row("leave", B, A, passed(gate))]
    faults = Machine("faults", S, [Row("break_it", A, B, True, [gate.break_open()])], environment=True)
    system = System("s", [Machine("m", S, rows), faults])
    assert enabled(system, "m.arrive") == {"m.leave", "faults.break_it"}
    assert enabled(system, "m.arrive", "faults.break_it") == set()


# -- processes -------------------------------------------------------------------------------------------------------


def test_crash_loses_private_memory_and_disables_rows_until_restart() -> None:
    host, at = Process("host", over=PAIR), choice("at", PAIR)
    kept, shared = private("kept", Range(0, 1), over=PAIR), register("shared", Range(0, 1), over=PAIR)
    memory = unlocked("memory", BOOL, over=PAIR, process=host)
    rows = [
        Row("note", A, B, True, [kept[me(PAIR)].set(1)]),
        Row("tell", B, C, True, [shared[me(PAIR)].set(1)]),
        Row("store", C, D, True, [memory[me(PAIR)].set(True)]),
        Row("recover", D, D),
    ]
    faults = Machine("faults", S, [
        Row("crash", A, B, host.is_alive(at), [host.crash(at)], choose=at),
        Row("restart", B, C, ~host.is_alive(at), [host.restart(at)], choose=at),
    ], environment=True)  # fmt: skip
    system = System("s", [Machine("m", S, rows, copies=PAIR, process=host, restart=D), faults])
    busy = ("m[0].note", "m[1].note", "m[0].tell", "m[0].store", "faults.crash(at=0)")
    found = after(system, *busy)
    assert found["kept"] == (0, 1) and found["shared"] == (1, 0) and found["memory"] == (False, False)
    assert enabled(system, *busy) == {"m[1].tell", "faults.restart(at=0)"}
    assert enabled(system, *busy, "faults.restart(at=0)") == {"m[0].recover", "m[1].tell"}


def test_crash_loses_the_whole_row_of_a_table_indexed_twice_by_the_process() -> None:
    host, at = Process("host", over=PAIR), choice("at", PAIR)
    table = private("table", BOOL, over=(PAIR, PAIR))
    fill = Row("fill", A, B, True, list(each(PAIR, lambda i: table[me(PAIR), i].set(True))))
    faults = Machine("faults", S, [Row("crash", A, B, host.is_alive(at), [host.crash(at)], choose=at)], environment=True)
    system = System("s", [Machine("m", S, [fill], copies=PAIR, process=host), faults])
    assert after(system, "m[0].fill", "m[1].fill", "faults.crash(at=1)")["table"] == (True, True, False, False)


# -- moves -----------------------------------------------------------------------------------------------------------


def moving(second_guard: Any = True) -> System:
    tries = unlocked("tries", Range(0, 2), over=PEER)
    mine = tries[me(PEER)]
    request = Machine("request", S, [
        Row("admit", A, B, mine == 0, [mine.set(1)]),
        Row("admit", A, C, mine == 1),
        Row("retry", (B, C), A),
    ], copies=PEER, passive=True, medium=Medium.UNLOCKED)  # fmt: skip
    chosen = choice("r", PEER)
    actor = Machine("actor", S, [
        Row("admit", A, A, second_guard, choose=chosen, moves=request[chosen].admit, assume_atomic="test"),
        Row("retry", A, A, True, choose=chosen, moves=request[chosen].retry),
    ])  # fmt: skip
    return System("s", [request, actor], [sometimes("some_c", any_of(PEER, lambda i: request.at(i) == C))])


def test_move_conjoins_the_passive_guard_and_takes_the_row_whose_guard_holds() -> None:
    system = moving()
    assert enabled(system) == {"actor.admit(r=0)", "actor.admit(r=1)"}
    first = after(system, "actor.admit(r=1)")
    assert first["request.state"] == (A, B) and first["tries"] == (0, 1)
    assert enabled(system, "actor.admit(r=1)") == {"actor.admit(r=0)", "actor.retry(r=1)"}
    second = after(system, "actor.admit(r=1)", "actor.retry(r=1)", "actor.admit(r=1)")
    assert second["request.state"] == (A, C) and second["tries"] == (0, 1)
    # Per request A0 B1 A1 C1: four states, and the two are independent.
    assert explore(system).distinct == 16


# -- free properties -------------------------------------------------------------------------------------------------


def test_conflict_is_of_one_place_not_of_one_cell() -> None:
    pair = unlocked("pair", NOTE)

    def writer(name: str, effect: Any) -> Machine:
        return Machine(name, S, [Row("write", A, B, True, [effect])])

    apart = [writer("flag", pair.flag.set(True)), writer("number", pair.number.set(1))]
    assert explore(System("s", apart, [write_conflict(pair)])).verdict is Verdict.HOLDS
    together = [writer("flag", pair.number.set(2)), writer("number", pair.number.set(1))]
    assert explore(System("s", together, [write_conflict(pair)])).verdict is Verdict.VIOLATED
    whole = [writer("flag", pair.set(NOTE(flag=True, number=0))), writer("number", pair.number.set(1))]
    assert explore(System("s", whole, [write_conflict(pair)])).verdict is Verdict.VIOLATED


def test_load_inside_a_fold_counts_and_a_load_that_is_skipped_does_not() -> None:
    flag = register("flag", Range(0, 2), over=PAIR)

    def lost(guard: Any) -> Verdict:
        turn = register("turn", BOOL)
        one = Machine("one", S, [Row("write", A, B, True, [flag[0].set(1)])])
        reader = Machine("reader", S, [Row("look", A, B, guard, assume_atomic="test"), Row("pass_on", B, C, True, [turn.set(True)])])
        two = Machine("two", S, [Row("wait", A, B, turn), Row("write", B, C, True, [flag[0].set(2)])])
        return explore(System("s", [one, reader, two], [lost_store(flag)])).findings["no_lost_store_on_flag"].verdict

    assert lost(any_of(PAIR, lambda i: flag[i] == 1)) is Verdict.HOLDS
    assert lost((flag[1] == 0) | (flag[0] == 1)) is Verdict.VIOLATED
    assert lost((flag[1] == 0) & (flag[0] == 1)) is Verdict.HOLDS


def test_store_that_saw_what_it_replaces_loses_nothing() -> None:
    counter = unlocked("counter", Range(0, 2))
    machine = Machine("m", S, [Row("count", A, B, True, [counter.add(1)], assume_atomic="test")], copies=PAIR)
    blind = Machine("b", S, [Row("reset", A, B, True, [counter.set(0)])])
    assert explore(System("s", [machine], [lost_store(counter)])).verdict is Verdict.HOLDS
    found = explore(System("s", [machine, blind], [lost_store(counter)]))
    assert [str(i) for i in found.findings["no_lost_store_on_counter"].path or ()] == ["m[0].count", "b.reset"]


def test_ghost_that_indexes_a_ghost_is_kept() -> None:
    where, marks = ghost("where", PAIR), ghost("marks", SetOf(PAIR))
    rows = [Row("move", A, B, True, [where.set(1)]), Row("mark", B, C, True, [marks[where].set(True)])]
    machine = Machine("m", S, rows)
    result = explore(System("s", [machine], [never("first_marked", marks[0]), sometimes("some_mark", marks[1])]))
    assert result.verdict is Verdict.HOLDS


def test_property_holds_is_asked_of_a_state() -> None:
    x = private("x", Range(0, 2), over=PAIR, init=lambda i: i)
    system = System("s", [Machine("m", S, [Row("go", A, B, True, [x[me(PAIR)].set(2)])], copies=PAIR)], [always("p", x[0] < x[1])])
    assert holds(system, system.initial_state(), system.properties[0].expr)
    with pytest.raises(DefinitionError):
        system.find_property("q")
