"""What may surprise a reader of docs/semantics.md, sentence by sentence; both explorers are asked."""

import pytest

from checker import Verdict, check
from protocol import (
    BOOL,
    TRUE,
    Lock,
    Machine,
    Process,
    Range,
    Record,
    Row,
    System,
    barrier,
    channel,
    choice,
    deadlock,
    hang,
    leads_to,
    lost_store,
    never,
    passed,
    register,
    unlocked,
    write_conflict,
)
from tests.four_states import PAIR, A, B, C, S


def violated(system: System) -> set[str]:
    """The properties that are violated, by both explorers."""
    found = [check(system, explorer=explorer).findings.values() for explorer in ("table", "reference")]
    one, other = ({f.property for f in findings if f.verdict is Verdict.VIOLATED} for findings in found)
    assert one == other
    return one


def walker(name: str, *rows: Row, **options: object) -> Machine:
    return Machine(name, S, rows, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["draining", "sense"])
def test_a_copy_that_dies_at_a_barrier_and_comes_back_may_fill_it_alone(kind: str) -> None:
    """Arrivals are anonymous, and its first one stays counted."""
    gate, host, at = barrier("gate", 2, kind=kind), Process("host", over=PAIR), choice("at", PAIR)
    crew = walker("crew", Row("arrive", A, B, TRUE, [gate.arrive()]), Row("leave", B, C, passed(gate)), copies=PAIR, process=host)
    faults = [Row("crash", A, B, host.is_alive(at), [host.crash(at)], choose=at)]
    faults.append(Row("restart", B, C, ~host.is_alive(at), [host.restart(at)], choose=at))
    alone = never("through_alone", (crew.at(0) == C) & (crew.at(1) == A) & host.is_alive(1))
    assert violated(System("s", [crew, walker("faults", *faults, environment=True)], [alone])) == {"through_alone"}
    assert violated(System("s", [crew], [never("through_alone", (crew.at(0) == C) & (crew.at(1) == A))])) == set()


@pytest.mark.parametrize("fair", ["weak", "strong"])
def test_a_row_that_chooses_may_choose_the_same_for_ever(fair: str) -> None:
    """A row in a copy is one unit of fairness, over all values of its choices; a row for each value is one each."""
    one = choice("one", PAIR)
    served = register("served", PAIR)
    server = walker("server", Row("serve", A, A, TRUE, [served.set(one)], choose=one, fair=fair))
    assert violated(System("s", [server], [leads_to("each_served", TRUE, served == 1)])) == {"each_served"}
    apart = walker("server", *(Row(f"serve_{k}", A, A, TRUE, [served.set(k)], fair=fair) for k in PAIR))
    assert violated(System("s", [apart], [leads_to("each_served", TRUE, served == 1)])) == set()


def test_a_copy_that_is_one_unit_is_served_by_any_of_its_rows() -> None:
    """It is strong where one of its rows is; but taking any row, a poll too, is all that fairness owes it."""
    lock = Lock("lock")
    look, take, give = Row("look", A, A, TRUE, poll=True), Row("take", A, B, acquire=lock), Row("give", B, A, release=lock)
    for fairness, found in (("row", set()), ("copy", {"taken"})):
        crew = walker("crew", look, take, give, copies=PAIR, fairness=fairness)
        assert violated(System("s", [crew], [leads_to("taken", TRUE, crew.at(0) == B)])) == found
    other = walker("other", take, give)
    patient = walker("patient", Row("take", A, B, acquire=lock), Row("rest", B, B, fair="weak"), fairness="copy")
    assert violated(System("s", [patient, other], [leads_to("taken", TRUE, patient.at() == B)])) == set()


def test_what_the_environment_could_mend_is_no_hang_but_a_deadlock() -> None:
    """It need not: a hang is only that from which nothing leads away. Who asks for more asks leads_to."""
    link = unlocked("link", BOOL, init=False)
    sender = walker("sender", Row("send", A, B, link), Row("look", A, A, ~link, poll=True), final=B)
    for rows, found in (([Row("mend", A, B, TRUE, [link.set(True)])], {"sent"}), ([Row("wait", A, A)], {"hang", "sent"})):
        weather = walker("weather", *rows, environment=True)
        system = System("s", [sender, weather], [deadlock(), hang(), leads_to("sent", TRUE, sender.at() == B)])
        assert violated(system) == found
    silent = walker("sender", Row("send", A, B, link), final=B)
    weather = walker("weather", Row("mend", A, B, TRUE, [link.set(True)]), environment=True)
    assert violated(System("s", [silent, weather], [deadlock(), hang()])) == {"deadlock"}


def test_a_copy_that_waits_for_ever_beside_one_that_works_for_ever_is_no_hang() -> None:
    stuck, busy = walker("stuck", Row("go", A, B, register("never", BOOL)), final=B), walker("busy", Row("there", A, B), Row("back", B, A))
    system = System("s", [stuck, busy], [deadlock(), hang(), leads_to("through", TRUE, stuck.at() == B)])
    assert violated(system) == {"through"}


def test_a_fault_that_sends_needs_room() -> None:
    """A duplicate takes a place: a channel that holds what is sent, and no more, hides every duplication."""
    for capacity, found in ((1, set()), (2, {"twice"})):
        mail = channel("mail", BOOL, capacity)
        sender = walker("sender", Row("send", A, B, TRUE, [mail.send(True)]))
        reader = walker("reader", Row("first", A, B, TRUE, [mail.receive()]), Row("again", B, C, TRUE, [mail.receive()]))
        network = walker("network", Row("duplicate", A, B, ~mail.empty, [mail.send(mail.head)], assume_atomic="the network"), environment=True)
        assert violated(System("s", [sender, reader, network], [never("twice", reader.at() == C)])) == found


def test_a_critical_section_in_one_step_is_not_interrupted_by_a_crash() -> None:
    """Who may die inside is modelled by a row that acquires and one that releases."""
    for whole, found in ((True, set()), (False, {"shut_out"})):
        lock, host = Lock("lock"), Process("host")
        inside = [Row("work", A, C, under=lock)] if whole else [Row("take", A, B, acquire=lock), Row("give", B, C, release=lock)]
        mortal = walker("mortal", *inside, process=host, final=C)
        other = walker("other", Row("pass_by", A, B, under=lock), final=B)
        crash = walker("faults", Row("crash", A, B, TRUE, [host.crash()]), environment=True)
        assert violated(System("s", [mortal, other, crash], [hang("shut_out")])) == found


def test_parts_of_a_cell_are_one_cell_to_a_lost_store_and_apart_to_a_write_conflict() -> None:
    note = unlocked("note", Record("Note", left=Range(0, 1), right=Range(0, 1)))
    machines = [walker(n, Row("set", A, B, TRUE, [getattr(note, n).set(1)])) for n in ("left", "right")]
    assert violated(System("s", machines, [lost_store(note), write_conflict(note)])) == {"no_lost_store_on_note"}


@pytest.mark.parametrize("left", [0, 1])
def test_a_store_into_a_whole_cell_conflicts_with_one_into_a_part_where_that_part_differs(left: int) -> None:
    record = Record("Note", left=Range(0, 1), right=Range(0, 1))
    note = unlocked("note", record)
    whole = walker("whole", Row("set", A, B, TRUE, [note.set(record(left=left, right=1))]))
    part = walker("part", Row("set", A, B, TRUE, [note.left.set(1)]))
    assert violated(System("s", [whole, part], [write_conflict(note)])) == ({"no_write_conflict_on_note"} if left == 0 else set())
