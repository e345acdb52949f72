"""Every kind of wrong definition fails where docs/semantics.md says, naming the machine, the row and the remedy."""

from collections.abc import Callable
from enum import IntEnum
from typing import Any

import pytest

from protocol import (
    BOOL,
    Array,
    DefinitionError,
    Enum,
    Index,
    Lock,
    Machine,
    Medium,
    Optional,
    Process,
    Range,
    Record,
    Row,
    Sequence,
    System,
    all_of,
    always,
    any_of,
    barrier,
    channel,
    choice,
    deadlock,
    each,
    ghost,
    hang,
    if_else,
    locked,
    lost_store,
    me,
    never,
    passed,
    private,
    register,
    sum_of,
    unlocked,
    when,
    world,
    write_conflict,
)


class Light(IntEnum):
    RED, GREEN = range(2)


class Door(IntEnum):
    OPEN, SHUT = range(2)


RANK = Index("rank", 2)
ANONYMOUS = Index("peer", 2, symmetric=True)
A, B = Light.RED, Light.GREEN


def machine(*rows: Row, name: str = "lamp", **options: Any) -> Machine:
    return Machine(name, Light, rows, **options)


def build(*rows: Row, properties: Any = (), **options: Any) -> System:
    return System("s", [machine(*rows, **options)], properties)


def guarded(guard: Any, **options: Any) -> System:
    return build(Row("go", A, B, guard), **options)


def doing(*effects: Any, **options: Any) -> System:
    return build(Row("go", A, B, True, effects), **options)


R1, R2 = register("first", BOOL), register("second", BOOL)
PER_RANK = register("cell", Range(0, 3), over=RANK)
SHELF = unlocked("shelf", Sequence(Range(0, 3), 2))
LOCK, OTHER = Lock("lock"), Lock("other")
LOCKS = Lock("locks", over=RANK)
HELD, HELD_OTHER = locked("held", BOOL, LOCK), locked("held_other", BOOL, OTHER)
HELD_BY_RANK = locked("held_by_rank", BOOL, LOCKS, over=RANK)
MINE = private("mine", Range(0, 3), over=RANK)
FACT, GHOST = world("fact"), ghost("ghost", BOOL)
TUBE = channel("tube", Range(0, 3), 2)
GATE = barrier("gate", 2)
TASK = Record("Task", request=Range(0, 3), last=BOOL)
INBOX = unlocked("inbox", TASK)


def passive(*rows: Row, **options: Any) -> Machine:
    return Machine("request", Door, rows, passive=True, **{"medium": Medium.UNLOCKED, **options})


def two_passives_moved() -> System:
    request = passive(Row("shut", Door.OPEN, Door.SHUT))
    move = request[()].shut
    return System("s", [machine(Row("go", A, B, moves=(move, move))), request])


def moves_a_stranger() -> System:
    return build(Row("go", A, B, moves=passive(Row("shut", Door.OPEN, Door.SHUT))[()].shut))


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    # names
    "unknown destination": (lambda: build(Row("go", A, Door.SHUT)), "lamp.go: .*is no state of it; its states are RED, GREEN"),
    "unknown source": (lambda: build(Row("go", Door.SHUT, B)), "lamp.go: .*is no state of it"),
    "unknown final state": (lambda: guarded(True, final=Door.OPEN), "lamp: .*is no state of it"),
    "unknown passive event": (lambda: passive(Row("shut", Door.OPEN, Door.SHUT))[()].slam, "no event 'slam'; it has shut"),
    "moved machine not in the system": (moves_a_stranger, "request is not a machine of the system; add it"),
    "unlisted choice": (lambda: guarded(PER_RANK[choice("who", RANK)] == 0), "choice who is not listed in the row's choose="),
    "index without copies": (lambda: guarded(PER_RANK[me(RANK)] == 0), "no copies over rank"),
    "unknown field": (lambda: INBOX.author, "no field 'author'; it has request, last"),
    "missing field": (lambda: TASK(request=1), "give exactly the fields request, last"),
    "unknown property": (lambda: guarded(True).focused("fairness"), "no property 'fairness'"),
    "two machines of one name": (lambda: System("s", [machine(Row("go", A, B)), machine(Row("go", A, B))]), "two machines .* rename one"),
    "two variables of one name": (
        lambda: build(Row("go", A, B, register("x", BOOL)), Row("back", B, A, register("x", BOOL))),
        "two variables are called x",
    ),
    "two properties of one name": (lambda: guarded(True, properties=[hang("p"), hang("p")]), "two properties"),
    "bad machine name": (lambda: machine(Row("go", A, B), name="a lamp"), "identifier"),
    "bad event name": (lambda: Row("go!", A, B), "identifier"),
    "bad variable name": (lambda: register("x y", BOOL), "identifier"),
    "bad index name": (lambda: Index("a rank", 2), "identifier"),
    "unknown decided": (lambda: Row("go", A, B, decided="chance"), "prompt, timer, observed, decided"),
    "unknown fairness": (lambda: Row("go", A, B, fair="very"), "none, weak, strong"),
    "unknown fairness unit": (lambda: machine(Row("go", A, B), fairness="all"), "'row' or 'copy'"),
    # types
    "constant never equal": (lambda: PER_RANK[0] == 7, "7 lies outside its type 0..3"),
    "constant stored outside": (lambda: PER_RANK[0].set(4), "4 lies outside its type 0..3"),
    "constant sent outside": (lambda: TUBE.send(9), "9 lies outside"),
    "initial value outside": (lambda: register("x", Range(0, 3), init=4), "initial value 4 lies outside"),
    "index outside": (lambda: PER_RANK[2], "2 lies outside its type rank"),
    "index count": (lambda: PER_RANK[0, 1], "takes 1 indices"),
    "not indexed": (lambda: guarded(PER_RANK == 0), "takes 1 indices"),
    "indexing a scalar": (lambda: R1[0], "not an array"),
    "empty range": (lambda: Range(3, 1), "empty"),
    "empty index": (lambda: Index("rank", 0), "at least one"),
    "empty record": (lambda: Record("Nothing"), "at least one field"),
    "array without index": (lambda: Array(BOOL), "at least one index"),
    "sequence without room": (lambda: Sequence(BOOL, 0), "at least 1"),
    "optional of a record": (lambda: Optional(TASK), "takes a scalar"),
    "enum with gaps": (lambda: Enum(IntEnum("Gap", {"X": 0, "Y": 5})), "number its members"),
    "not a type": (lambda: register("x", int), "is not a type"),
    "register of a record": (lambda: register("x", TASK), "a register cell is one scalar"),
    "boolean as number": (lambda: R1 + 1, "takes numbers"),
    "number as boolean": (lambda: PER_RANK[0] & R1, "takes booleans"),
    "number as guard": (lambda: guarded(PER_RANK[0]), "takes booleans"),
    "boolean equals number": (lambda: R1 == PER_RANK[0], "never compare"),
    "boolean equals constant": (lambda: R1 == 1, "1 lies outside its type bool"),
    "two enums": (lambda: unlocked("light", Enum(Light)) == unlocked("door", Enum(Door)), "never compare"),
    "enum stored as another": (lambda: unlocked("light", Enum(Light)).set(Door.OPEN), "lies outside"),
    "wrong type stored": (lambda: R1.set(PER_RANK[0]), "cannot be stored as bool"),
    "sides of if_else": (lambda: if_else(R1, PER_RANK[0], R2), "one type"),
    "value of a plain": (lambda: PER_RANK[0].value, "not optional"),
    "head of a plain": (lambda: R1.head, "takes a sequence"),
    "symmetric order": (lambda: choice("p", ANONYMOUS) < choice("q", ANONYMOUS), "ordered indices"),
    "symmetric sum": (lambda: choice("p", ANONYMOUS) + 1, "ordered indices"),
    "symmetric literal": (lambda: choice("p", ANONYMOUS) == 0, "symmetric index peer has no named values"),
    "symmetric copies unlike": (lambda: register("x", Range(0, 1), over=ANONYMOUS, init=lambda i: i), "start alike"),
    "fold over a list": (lambda: any_of([1, 2], lambda i: R1), "runs over an index type"),
    "sum of booleans": (lambda: sum_of(RANK, lambda i: R1), "sum_of takes numbers"),
    "python and": (lambda: R1 and R2, "write & for and"),
    "python not": (lambda: not R1, "~ for not"),
    "python if": (lambda: 1 if R1 else 0, r"if_else\(c, a, b\)"),
    "chained comparison": (lambda: 0 < PER_RANK[0] < 3, "one comparison at a time"),
    "not an expression": (lambda: R1 & "yes", "neither an expression nor a constant"),
    # effects
    "not an effect": (lambda: Row("go", A, B, True, [R1]), "is not an effect"),
    "storing into a value": (lambda: (PER_RANK[0] + 1).set(1), "no place to store into"),
    "storing into a channel": (lambda: TUBE.set(()), "use send and receive"),
    "storing into a barrier": (lambda: GATE.set(0), "arrive on a barrier"),
    "sending to a register": (lambda: R1.send(True), "not a channel"),
    "arriving at a register": (lambda: R1.arrive(), "not a barrier"),
    "naming a FIFO's message": (lambda: TUBE.receive(1), "a FIFO gives its head"),
    "not naming a bag's message": (lambda: channel("net", Range(0, 3), 2, kind="bag").receive(), "a bag names the message"),
    "bag of sequences": (lambda: channel("net", Sequence(BOOL, 2), 2, kind="bag"), "must be scalar"),
    "unknown channel kind": (lambda: channel("net", BOOL, 2, kind="pile"), "neither 'fifo' nor 'bag'"),
    "unknown on_full": (lambda: channel("net", BOOL, 2, on_full="wait"), "'block', 'drop', 'error'"),
    "unknown barrier kind": (lambda: barrier("b", 2, kind="loose"), "neither 'draining' nor 'sense'"),
    "barrier of nobody": (lambda: barrier("b", 0), "at least one party"),
    "passing a register": (lambda: passed(R1), "takes a barrier"),
    # tables
    "identical guards": (lambda: build(Row("go", A, B, R1), Row("go", A, A, R1)), "lamp.go: .*identical guards"),
    "always true beside another": (lambda: build(Row("go", A, B, R1), Row("go", A, A)), "lamp.go: .*always true"),
    "choices of one event": (
        lambda: build(Row("go", A, B, R1), Row("go", A, B, ~R1, choose=choice("who", RANK))),
        "choose the same values",
    ),
    "unreachable final state": (lambda: build(Row("stay", A, A), final=B), "final state GREEN cannot be reached"),
    "moving an active machine": (lambda: machine(Row("go", A, B))[()], "only a passive machine"),
    "moving one copy twice": (two_passives_moved, "at most one row per passive copy"),
    "passive without medium": (lambda: Machine("m", Light, [], passive=True), "medium= or lock="),
    "active with medium": (lambda: Machine("m", Light, [], medium=Medium.UNLOCKED), "an active one does not"),
    "passive row with a lock": (lambda: System("s", [passive(Row("shut", Door.OPEN, Door.SHUT, under=LOCK))]), "belong to the active row"),
    "process index not a copy": (lambda: machine(Row("go", A, B), process=Process("p", over=RANK)), "not among its copies"),
    "process index count": (lambda: Process("p", over=RANK).crash(), "takes 1 indices"),
    # media
    "two registers": (lambda: guarded(R1 & R2), "lamp.go: makes 2 accesses .*split it, or say assume_atomic"),
    "load and store": (lambda: build(Row("go", A, B, R1, [R1.set(False)])), "load first, store first"),
    "every cell at once": (lambda: guarded(all_of(RANK, lambda r: PER_RANK[r] == 0)), "2 cells"),
    "stores to every cell": (lambda: doing(each(RANK, lambda r: PER_RANK[r].set(0))), "makes 2 accesses"),
    "test and append": (lambda: build(Row("go", A, B, ~SHELF.has(1), [SHELF.push(1)])), "makes 2 accesses"),
    "send and test": (lambda: build(Row("go", A, B, TUBE.empty, [TUBE.send(1)])), "makes 2 accesses"),
    "send and store": (lambda: doing(TUBE.send(1), R1.set(True)), "makes 2 accesses"),
    "conditional second store": (lambda: doing(R1.set(True), when(MINE[me(RANK)] == 0, R2.set(True)), copies=RANK), "makes 2 accesses"),
    "locked without lock": (lambda: guarded(HELD), "touches held without its lock; add under=lock"),
    "locked under another": (lambda: build(Row("go", A, B, HELD, under=OTHER)), "touches held without its lock"),
    "locked under a sibling": (
        lambda: build(Row("go", A, B, HELD_BY_RANK[1 - me(RANK)], under=LOCKS[me(RANK)]), copies=RANK),
        "without its lock",
    ),
    "a lock and a register": (
        lambda: build(Row("go", A, B, HELD & R1, under=LOCK, acquire=OTHER), Row("back", B, A, release=OTHER)),
        "makes 2 accesses",
    ),
    "under a register": (lambda: build(Row("go", A, B, under=R1)), "is not a lock"),
    "lock as a variable": (lambda: guarded(LOCKS[0] == 0), "use under=, acquire= or release="),
    "release without acquire": (lambda: build(Row("go", A, B, release=LOCK)), "no row of the machine acquires"),
    "lock that is none": (lambda: locked("x", BOOL, R1), "is not a Lock"),
    "lock index order": (lambda: locked("x", BOOL, LOCKS), "must start with those of locks"),
    "world written": (lambda: doing(FACT.set(True)), "only environment rows do"),
    "ghost in a guard": (lambda: guarded(GHOST), "depends on the ghost ghost"),
    "ghost in a value": (lambda: doing(R1.set(GHOST)), "depends on the ghost"),
    "private of another copy": (lambda: guarded(MINE[1 - me(RANK)] == 0, copies=RANK), "index it by the copy itself"),
    "private of another machine": (
        lambda: System("s", [machine(Row("go", A, B, MINE[me(RANK)] == 0), copies=RANK, name=n) for n in ("lamp", "lamp2")]),
        "private to lamp",
    ),
    "state of another copy": (lambda: spying(), "control state of another copy"),
    "passed without arriving": (lambda: guarded(passed(GATE)), "not entered only by arriving"),
    "leaving a draining barrier": (lambda: build(Row("go", A, B, True, [GATE.arrive()]), Row("back", B, A)), r"without passed\(gate\)"),
    "arriving on a condition": (lambda: doing(when(MINE[me(RANK)] == 0, GATE.arrive()), copies=RANK), "arrives at gate on a condition"),
    "arriving at another process's barrier": (lambda: doing(barrier("own", 2, process=Process("host")).arrive()), "only its own copies meet there"),
    "passed inside an or": (
        lambda: build(Row("go", A, B, True, [GATE.arrive()]), Row("back", B, A, passed(GATE) | R1)),
        r"passed\(...\) stands alone",
    ),
    "ghost machine": (
        lambda: System("s", [machine(Row("go", A, B, moves=GHOSTLY[()].shut)), GHOSTLY]),
        "a ghost would restrict the system",
    ),
    "move and store": (
        lambda: System("s", [machine(Row("go", A, B, True, [R1.set(True)], moves=REQUEST[()].shut)), REQUEST]),
        "store first, move request.state",
    ),
    "move that loads": (
        lambda: System("s", [machine(Row("go", A, B, moves=LOADING[()].shut)), LOADING]),
        "move request.state, load first",
    ),
    "crash by a machine": (lambda: doing(Process("p").crash()), "only environment rows do"),
    "breaking by a machine": (lambda: doing(GATE.break_open()), "only environment rows do"),
    # properties
    "write conflict on a lock's variable": (lambda: write_conflict(HELD), "register and unlocked"),
    "lost store on a channel": (lambda: lost_store(TUBE), "register and unlocked"),
    "write conflict without writers": (lambda: guarded(R1, properties=[write_conflict(R1)]), "no row stores to it"),
    "property of a number": (lambda: always("p", PER_RANK[0]), "takes booleans"),
    "property of nobody": (lambda: guarded(True, properties=[always("p", PER_RANK[me(RANK)] == 0)], copies=RANK), r"me\(rank\) is nobody.*all_of"),
    "property of a choice": (lambda: guarded(True, properties=[never("p", PER_RANK[choice("who", RANK)] == 0)]), "no row chooses `who` for it"),
    "property behind a barrier": (lambda: guarded(True, properties=[always("p", passed(GATE))]), r"nobody waits in `passed\(gate\)`"),
    "property of a machine left out": (
        lambda: System("s", [machine()], [never("p", REQUEST.at() == Door.SHUT)]),
        "which is of no machine of the system",
    ),
    "properties that are no list": (lambda: build(properties=deadlock()), "give a list of machines and a list of properties"),
    "machines that are no list": (lambda: System("s", REQUEST), "give a list of machines"),  # type: ignore[arg-type]
    "effects that are no list": (lambda: Row("go", A, B, True, R1.set(True)), r"write \[first := True\]"),  # type: ignore[arg-type]
    "comparison for an effect": (lambda: Row("go", A, B, True, [R1 == True]), "`first == True` is not an effect"),  # noqa: E712
    "property of a ghost number": (lambda: never("p", GHOST == 1), "lies outside"),
}

REQUEST = passive(Row("shut", Door.OPEN, Door.SHUT))
LOADING = passive(Row("shut", Door.OPEN, Door.SHUT, R1))
GHOSTLY = Machine("life", Door, [Row("shut", Door.OPEN, Door.SHUT)], passive=True, medium=Medium.GHOST)


def spying() -> System:
    lamp = machine(Row("go", A, B), copies=RANK)
    lamp.rows.append(Row("copy", B, A, lamp.at(1 - me(RANK)) == A))
    return System("s", [lamp])


@pytest.mark.parametrize("what", WRONG)
def test_wrong_definition_names_place_and_remedy(what: str) -> None:
    make, message = WRONG[what]
    with pytest.raises(DefinitionError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_assume_atomic_lets_a_row_touch_more() -> None:
    system = build(Row("go", A, B, R1 & R2, assume_atomic="the published model"))
    assert [row.assume_atomic for row in system.machines[0].rows] == ["the published model"]


def test_a_store_inside_the_critical_section_may_touch_one_register() -> None:
    build(Row("go", A, B, HELD, [HELD.set(False), R1.set(True)], under=LOCK))


def test_taking_the_head_is_one_operation() -> None:
    build(Row("go", A, B, TUBE.head == 1, [TUBE.receive()]))
    build(Row("go", A, B, True, [SHELF.pop()]))


def test_passing_a_barrier_costs_no_access() -> None:
    build(Row("go", A, B, True, [GATE.arrive()]), Row("back", B, A, passed(GATE) & R1))
