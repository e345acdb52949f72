"""What a split refuses because its argument would not hold, each in one line with the remedy; and what once was not refused and should have been."""

from collections.abc import Callable
from enum import IntEnum
from typing import Any

import pytest

from checker import check
from checker.result import Verdict
from protocol import (
    BOOL,
    DefinitionError,
    Index,
    Lock,
    Machine,
    Process,
    Range,
    Row,
    Sequence,
    System,
    barrier,
    channel,
    choice,
    ghost,
    locked,
    never,
    passed,
    private,
    unlocked,
)
from protocol.machine import illegal
from protocol.split import Side, Split


class One(IntEnum):
    ON = 0


class Three(IntEnum):
    A, B, C = range(3)


ON = One.ON
V = choice("value", BOOL)


def split(one: Any, two: Any, any_one: Any, any_two: Any, *asked: Any, passive: tuple[Machine, ...] = ()) -> Split:
    """Two sides, each of one machine; a stand-in may be given as its rows."""
    stands = [m if isinstance(m, Machine) else Machine(f"any_{n}", One, m, stands_for=(n,)) for n, m in (("one", any_one), ("two", any_two))]
    return Split(System("whole", [*passive, one, two], asked), Side("one", [one], [stands[0]]), Side("two", [two], [stands[1]]))


def both(machine: Callable[[str], Machine]) -> tuple[Machine, Machine]:
    return machine("one"), machine("two")


NOTHING = [Row("nothing", ON, ON, False)]
X = unlocked("x", BOOL)
FLIP_A = [Row("flip", Three.A, Three.A, True, [X.set(~X)], assume_atomic="a test")]
FLIP, SET = [Row("flip", ON, ON, True, [X.set(~X)], assume_atomic="a test")], [Row("set", ON, ON, True, [X.set(V)], choose=(V,))]


def flipping() -> tuple[Machine, Machine]:
    """Two machines that share a bit."""
    return both(lambda name: Machine(name, One, FLIP))


def of_one(rows: list[Row], **more: Any) -> Split:
    return split(*flipping(), Machine("any_one", more.pop("states", One), rows, stands_for=more.pop("stands_for", ("one",)), **more), SET)


def one_side() -> Split:
    one, two = flipping()
    return Split(System("whole", [one, two]), Side("one", [one, two], []))


def machine_nowhere() -> Split:
    one, two = flipping()
    return Split(System("whole", [one, two]), Side("one", [one], []), Side("two", [], []))


def machine_twice() -> Split:
    one, two = flipping()
    return Split(System("whole", [one, two]), Side("one", [one], []), Side("two", [one, two], []))


def foreign_variable() -> Split:
    secret = private("secret", BOOL)
    one = Machine("one", One, [*FLIP, Row("note", ON, ON, True, [secret.set(X)])])
    return split(one, flipping()[1], [Row("note", ON, ON, True, [secret.set(True)])], SET)


def unasked_ghost() -> Split:
    """The ghost is in the rows, and nothing asked depends on it: the whole does not keep it, the stand-in would."""
    seen = ghost("seen", BOOL)
    one = Machine("one", One, [Row("flip", ON, ON, True, [X.set(~X), seen.set(True)], assume_atomic="a test")])
    return split(one, flipping()[1], [Row("set", ON, ON, seen, [X.set(V)], choose=(V,))], SET)


def common_memory() -> Split:
    memory = private("memory", BOOL)
    return split(*flipping(), [Row("set", ON, ON, True, [X.set(memory), memory.set(~memory)])], [Row("set", ON, ON, memory, [X.set(True)])])


def sequence_memory() -> Split:
    memory = private("memory", Sequence(BOOL, 2))
    return of_one([Row("set", ON, ON, True, [X.set(V), memory.push(V)], choose=(V,))])


def large_memory() -> Split:
    memory = private("memory", Range(0, 299))
    return of_one([Row("set", ON, ON, memory < 299, [X.set(V), memory.add(1)], choose=(V,))])


def element_of_sequence() -> Split:
    row = unlocked("row", Sequence(BOOL, 2))
    machines = both(lambda n: Machine(n, One, [Row("put", ON, ON, row.cell().length < 2, [row.push(True)], assume_atomic="t"), *FLIP]))
    machines[0].rows.append(Row("change", ON, ON, ~row.cell().empty, [row.cell().at(0).set(False)], assume_atomic="a test"))
    rows = [Row("put", ON, ON, row.cell().length < 2, [row.push(True)]), *SET]
    return split(*machines, rows, rows)


def lock_across() -> Split:
    lock = Lock("lock")
    one = Machine("one", Three, [Row("take", Three.A, Three.B, acquire=lock), Row("give", Three.B, Three.A, release=lock)])
    two = Machine("two", One, [Row("flip", ON, ON, True, [X.set(~X)], under=lock, assume_atomic="a test")])
    return split(one, two, NOTHING, NOTHING)


def barrier_across() -> Split:
    met = barrier("met", 1, kind="sense")
    one = Machine("one", Three, [*FLIP_A, Row("arrive", Three.A, Three.B, True, [met.arrive()]), Row("leave", Three.B, Three.A, passed(met))])
    two = Machine("two", One, [*FLIP, Row("break_it", ON, ON, True, [met.break_open()])], environment=True)
    return split(one, two, SET, SET)


def crash_across() -> Split:
    process = Process("host")
    one = Machine("one", One, FLIP, process=process)
    two = Machine("two", One, [*FLIP, Row("kill", ON, ON, process.is_alive(), [process.crash()])], environment=True)
    return split(one, two, SET, SET)


def no_such_side() -> System:
    return of_one(SET).part("router")


MET, LOCK = barrier("met", 1, kind="sense"), Lock("lock")
SAY = [Row("set", ON, ON, True, [X.set(True)])]
NOT_SHARED = "does not share with another side; give it a variable of its own"
MAY = "stands for other machines and may only set, send, receive and move; not "

# fmt: off
REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "one side":            (one_side, "takes two sides or more, of different names"),
    "nowhere":             (machine_nowhere, "two: split whole: put the machine on one of the sides one, two"),
    "twice":               (machine_twice, "one: split whole: put the machine on one of the sides one, two"),
    "no such side":        (no_such_side, "there is no side 'router'; choose one of one, two"),
    "stands for nobody":   (lambda: of_one(SET, stands_for=()), "any_one: name in stands_for= which machines of one it replaces"),
    "stands for another":  (lambda: of_one(SET, stands_for=("two",)), "any_one: name in stands_for= which machines of one it replaces"),
    "foreign variable":    (foreign_variable, f"any_one.note: touches secret, which one {NOT_SHARED}"),
    "unasked ghost":       (unasked_ghost, f"any_one.set: touches seen, which one {NOT_SHARED}"),
    "common memory":       (common_memory, "any_two.set: touches memory of what stands for one; give each stand-in variables of its own"),
    "sequence memory":     (sequence_memory, "any_one.set: a stand-in touches shared variables and scalars of its own; memory is"),
    "large memory":        (large_memory, r"\(any_one\) has more than 256 states of its own; let it remember less"),
    "element of sequence": (element_of_sequence, "whether a store into an element of a sequence is covered is not decided; store the whole"),
    "lock across":         (lock_across, "one.take: acquires lock across rows, and both sides use it; keep its users on one side"),
    "barrier across":      (barrier_across, "one.leave: does not do the same without the other sides: .* must stay on one side"),
    "crash across":        (crash_across, "does not do the same without the other sides: .* must stay on one side"),
    "passive":             (lambda: of_one(SAY, passive=True, lock=LOCK), "it has a thread, and lives in no process that could crash"),
    "in a process":        (lambda: of_one(SET, process=Process("host")), "it has a thread, and lives in no process that could crash"),
    "under a lock":        (lambda: of_one([Row("set", ON, ON, True, [X.set(True)], under=LOCK)]), MAY + "`lock`"),
    "at a barrier":        (lambda: of_one([Row("arrive", ON, ON, True, [MET.arrive()])]), MAY + "`arrive"),
    "an illegal message":  (lambda: of_one([illegal("stray", ON, channel("mail", BOOL, 1), True)]), MAY + "`an illegal message`"),
}
# fmt: on


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_in_one_line(name: str) -> None:
    build, says = REFUSED[name]
    with pytest.raises(DefinitionError, match=says) as error:
        part = build()
        assert not isinstance(part, Split) or [part.part(side) for side in part.sides]
    assert "\n" not in str(error.value)


def verdicts(parts: Split, *names: str) -> list[Verdict]:
    """What the parts say: of each of these properties, that it holds when it holds in every part that is asked it."""
    found = [check(parts.part(side), explorer="reference").findings for side in parts.sides]
    return [next((f[n].verdict for f in found if n in f and f[n].verdict is not Verdict.HOLDS), Verdict.HOLDS) for n in names]


def test_a_stand_in_that_remembers_in_a_ghost_remembers() -> None:
    """The first stores y and then x; what stands for it would store x only as long as it has not stored y. So it does not cover."""
    y, x, stored = unlocked("y", BOOL), unlocked("x", BOOL), ghost("stored", BOOL)
    one = Machine("one", Three, [Row("y", Three.A, Three.B, True, [y.set(True)]), Row("x", Three.B, Three.C, True, [x.set(True)])])
    two = Machine("two", Three, [Row("see_y", Three.A, Three.B, y), Row("see_x", Three.B, Three.C, x)])
    any_one = [Row("y", ON, ON, True, [y.set(True), stored.set(True)]), Row("x", ON, ON, y & ~stored, [x.set(True)])]
    parts = split(one, two, any_one, NOTHING, never("both", two.at() == Three.C))
    assert check(parts.whole, explorer="reference").findings["both"].verdict is Verdict.VIOLATED
    assert verdicts(parts, "both", "one_covered") == [Verdict.HOLDS, Verdict.VIOLATED]


def test_a_stand_in_that_stores_what_a_ghost_says_has_it_in_every_part() -> None:
    y, said = unlocked("y", BOOL), ghost("said", BOOL)
    one = Machine("one", Three, [Row("say", Three.A, Three.B, True, [y.set(True)])])
    two = Machine("two", One, [Row("take", ON, ON, y, [y.set(False)], assume_atomic="a test")])
    any_one = [Row("think", ON, ON, True, [said.set(True)]), Row("say", ON, ON, True, [y.set(said)])]
    parts = split(one, two, any_one, [Row("take", ON, ON, True, [y.set(False)])])
    assert "said" in [v.name for v in parts.part("two").variables]


def test_an_error_in_what_a_part_does_not_keep_is_found() -> None:
    """Nobody reads the flags; that one is raised beyond the last is an error all the same."""
    rank, number = Index("rank", 2), Range(0, 2)
    n, flags = unlocked("n", number), unlocked("flags", BOOL, over=rank)
    up = Row("up", ON, ON, n < 2, [n.add(1)], assume_atomic="a test")
    one = Machine("one", One, [up, Row("mark", ON, ON, True, [flags[n].set(True)], assume_atomic="a test")])
    two = Machine("two", One, [Row("mark", ON, ON, True, [flags[0].set(True)]), Row("see", ON, ON, n == 2)])
    parts = split(one, two, [up, Row("mark", ON, ON, True, [flags[n].set(True)])], [Row("mark", ON, ON, True, [flags[0].set(True)])])
    assert parts.part("two").unseen == (flags,)
    assert verdicts(parts, "range") == [Verdict.VIOLATED] == [check(parts.whole, explorer="reference").findings["range"].verdict]


def test_a_message_that_is_illegal_is_shared_with_who_sends_it() -> None:
    """The first only looks for it; the stand-in of the second, which would not send it, does not cover."""
    mail = channel("mail", BOOL, 1)
    one = Machine("one", One, [Row("idle", ON, ON, True), illegal("stray", ON, mail, mail.cell().head)])
    two = Machine("two", Three, [Row("send", Three.A, Three.B, True, [mail.send(True)])])
    assert verdicts(split(one, two, NOTHING, NOTHING), "never_one_stray", "two_covered") == [Verdict.HOLDS, Verdict.VIOLATED]
    sends = [Row("send", ON, ON, True, [mail.send(True)])]
    assert verdicts(split(one, two, NOTHING, sends), "never_one_stray", "two_covered") == [Verdict.VIOLATED, Verdict.HOLDS]


def test_a_lock_that_nobody_holds_across_rows_may_be_used_on_both_sides() -> None:
    lock = Lock("lock")
    bit = locked("bit", BOOL, lock)
    row = [Row("flip", ON, ON, True, [bit.set(~bit)], under=lock)]
    rows = [Row("set", ON, ON, True, [bit.set(V)], choose=(V,))]
    parts = split(*both(lambda name: Machine(name, One, row)), rows, rows)
    assert verdicts(parts, "one_covered", "two_covered") == [Verdict.HOLDS, Verdict.HOLDS]
