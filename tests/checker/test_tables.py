"""The tables against the interpreter: every instance in every reachable state, and states that nothing reaches."""

import random
from enum import IntEnum

import pytest

from checker.kernel import DISABLED, DOUBLE, GUARD_ERROR, RANGE
from checker.tables import tabulate
from protocol import (
    BOOL,
    Array,
    DefinitionError,
    DoubleWrite,
    Index,
    Lock,
    Machine,
    Optional,
    OutOfRange,
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
    each,
    ghost,
    if_else,
    locked,
    me,
    never,
    passed,
    private,
    sometimes,
    sum_of,
    unlocked,
    when,
)
from protocol.evaluate import holds, loader, may_fire, successor
from protocol.types import Array as ArrayType
from protocol.types import Record as RecordType
from protocol.types import Scalar, all_values
from tests.reference.two_phase_commit import build as two_phase_commit


class Side(IntEnum):
    IDLE, BUSY, DONE = range(3)


class Pace(IntEnum):
    OUT, MEETING, AT_WORK, RINGING = range(4)


def queues() -> System:
    """Sequences of records edited in every way, and channels that block, drop and fail."""
    slots, values = Index("slot", 2), Range(-1, 2)
    task = Record("Task", slot=slots, grade=values)
    todo = unlocked("todo", Sequence(task, 3))
    kept = private("kept", Sequence(values, 2), over=slots)
    inbox = channel("inbox", task, 1, on_full="drop")
    strict = channel("strict", values, 1, on_full="error")
    bag = channel("bag", slots, 2, kind="bag")
    here, value, free = me(slots), choice("value", values), "queues are edited one operation at a time; the test looks at values, not media"
    s = Side
    # fmt: off
    worker = Machine("worker", s, [
        Row("push",      s.IDLE, s.BUSY, True, [todo.push(task(slot=here, grade=value))], choose=value, assume_atomic=free),
        Row("front",     s.IDLE, s.DONE, True, [todo.push_front(task(slot=here, grade=0)), inbox.send(task(slot=here, grade=1))], assume_atomic=free),
        Row("pop",       s.BUSY, s.IDLE, todo.length > 0, [todo.pop(), kept[here].push(todo.head.grade)], assume_atomic=free),
        Row("pop_back",  s.BUSY, s.DONE, todo.at(1).slot == here, [todo.pop_back()], assume_atomic=free),
        Row("remove",    s.DONE, s.IDLE, todo.has(task(slot=here, grade=0)), [todo.remove(task(slot=here, grade=0)), bag.send(here)],
            assume_atomic=free),
        Row("remove_at", s.DONE, s.BUSY, ~todo.empty & (todo.head.grade >= 1), [todo.remove_at(todo.length - 2)], assume_atomic=free),
        Row("amend",     s.DONE, s.DONE, todo.length == 2, [todo.at(todo.head.grade).grade.set(todo.at(1).grade - 1)], assume_atomic=free),
        Row("find",      s.DONE, s.IDLE, kept[here].index_of(1) == 0, [kept[here].clear(), strict.send(1)], assume_atomic=free),
        Row("take",      s.IDLE, s.IDLE, inbox.head.slot != here, [inbox.receive(), kept[here].push(inbox.head.grade)], assume_atomic=free),
        Row("unbag",     s.BUSY, s.BUSY, True, [bag.receive(here)], assume_atomic=free),
        Row("loosen",    s.IDLE, s.IDLE, True, [strict.receive()], assume_atomic=free),
    ], copies=slots, final=(s.DONE,))
    # fmt: on
    return System("queues", [worker], [never("same", kept[0] == kept[1]), sometimes("full", todo.full & ~kept[0].empty)])


def arrays() -> System:
    """Dynamic indices, optionals, sets, folds, conditional effects, and two stores that may hit one place."""
    slots, blocks = Index("slot", 3), Index("block", 3)
    owner = unlocked("owner", Optional(slots), over=blocks)
    grid = unlocked("grid", Array(Range(0, 2), slots, blocks))
    used = unlocked("used", SetOf(blocks))
    cursor = unlocked("cursor", Range(-1, 3), over=slots, init=0)
    total = ghost("total", Range(0, 20))
    here, block, free = me(slots), choice("block", blocks), "the test looks at values, not media"
    s = Side
    # fmt: off
    worker = Machine("worker", s, [
        Row("claim",   s.IDLE, s.BUSY, owner[block].is_none & ~used[block],
            [owner[block].set(here), used[block].set(True)], choose=block, assume_atomic=free),
        Row("count",   s.BUSY, s.BUSY, count(blocks, lambda b: owner[b] == here) >= 1,
            [grid[here, cursor[here]].set(sum_of(blocks, lambda b: grid[here, b])), cursor[here].add(1)], assume_atomic=free),
        Row("step",    s.BUSY, s.DONE, any_of(blocks, lambda b: used[b] & (owner[b].value == here)),
            [when(owner[0] != here, owner[cursor[here]].set(None)), owner[1].set(here)], assume_atomic=free),
        Row("back",    s.DONE, s.IDLE, all_of(slots, lambda i: (cursor[i] >= 0) | (owner[cursor[i]] == i)),
            [each(blocks, lambda b: when(owner[b] == here, owner[b].set(None), used[b].set(False))),
             cursor[here].set(if_else(used[0], 0, cursor[here] - 1))],
            assume_atomic=free),
        Row("measure", s.DONE, s.DONE, True, [total.set(sum_of(slots, lambda i: sum_of(blocks, lambda b: grid[i, b])))], assume_atomic=free),
    ], copies=slots, final=(s.DONE,))
    # fmt: on
    wide = all_of(slots, lambda i: all_of(blocks, lambda b: grid[i, b] * 2 + total >= cursor[i]))
    return System("arrays", [worker], [always("wide", wide), sometimes("sum", total == 7)])


def waits() -> System:
    """Locks, barriers and a passive machine."""
    slots = Index("slot", 2)
    lock = Lock("lock")
    level = locked("level", Range(0, 2), lock)
    meet = barrier("meet", 2)
    ring = barrier("ring", 2, kind="sense")
    here, s, p = me(slots), Side, Pace
    request = Machine("request", s, [Row("start", s.IDLE, s.BUSY), Row("stop", s.BUSY, s.IDLE)], copies=slots, passive=True, lock=lock)
    # fmt: off
    worker = Machine("worker", p, [
        Row("enter", p.OUT,     p.MEETING, True,         [meet.arrive()], acquire=lock),
        Row("work",  p.MEETING, p.AT_WORK, passed(meet), [level.add(1)],  under=lock, moves=request[here].start),
        Row("leave", p.AT_WORK, p.RINGING, level > 0,    [ring.arrive()], release=lock, assume_atomic="the test looks at values, not media"),
        Row("turn",  p.RINGING, p.OUT,     passed(ring), [],              under=lock, moves=request[here].stop),
    ], copies=slots)
    # fmt: on
    return System("waits", [worker, request], [sometimes("top", level == 2)])


def random_value(kind, rng):
    if isinstance(kind, Scalar):
        return kind.value(rng.randrange(kind.size))
    if isinstance(kind, RecordType):
        return tuple(random_value(t, rng) for _, t in kind.fields)
    if isinstance(kind, ArrayType):
        return tuple(random_value(kind.element, rng) for _ in range(kind.length))
    return tuple(random_value(kind.element, rng) for _ in range(rng.randrange(kind.capacity + 1)))


def random_state(system, rng):
    return tuple(tuple(random_value(v.type, rng) for _ in all_values(v.over)) for v in system.variables)


def run_program(tables, number, words):
    """The code that ends a program (0: none) and the words of the successor: `run` of `kernel/programs.py`, plainly."""
    width = tables.layout.words
    work = [int(w) for w in words] * 2 + [0] * (tables.work_words - 2 * width)
    at, last = (int(x) for x in tables.programs[number])
    if at < 0:
        return DISABLED, None
    while at < last:
        head, kept = int(tables.code[at]), int(tables.code[at + 1])
        index = head >> 32
        for gather in (int(g) for g in tables.code[at + 2 : at + 2 + (head & 0xFFFF)]):
            index += (work[gather & 0xFFFF] >> (gather >> 16 & 0xFF) & ((1 << (gather >> 32)) - 1)) << (gather >> 24 & 0xFF)
        entry = int(tables.entries[index])
        if entry >> 63:
            return entry & 0xFF, None
        word = head >> 16 & 0xFFFF
        work[word] = work[word] & kept | entry
        at += 2 + (head & 0xFFFF)
    return 0, work[width : 2 * width]


def selected(tables, words):
    """The numbers of the instances that the selectors leave."""
    found, at, code = set(), 0, [int(c) for c in tables.selector_code]
    while at < len(code):
        index = 0
        for gather in code[at + 2 : at + 2 + (code[at] & 0xFFFF)]:
            index |= (int(words[gather & 0xFFFF]) >> (gather >> 16 & 0xFF) & ((1 << (gather >> 32)) - 1)) << (gather >> 24 & 0xFF)
        first, size = code[at] >> 16 & 0xFFFFFF, code[at] >> 40
        for w in range(size):
            chosen = int(tables.selector_sets[code[at + 1] + index * size + w])
            found |= {(first + w) * 64 + k for k in range(64) if chosen >> k & 1}
        at += 2 + (code[at] & 0xFFFF)
    return found


def interpreted(system, state, instance):
    """The code and the successor, by the interpreter."""
    try:
        if not may_fire(instance, loader(system, state)):
            return DISABLED, None
    except OutOfRange:
        return GUARD_ERROR, None
    try:
        return 0, successor(system, state, instance)
    except OutOfRange:
        return RANGE, None
    except DoubleWrite:
        return DOUBLE, None


@pytest.mark.parametrize("build", [queues, arrays, waits, two_phase_commit])
def test_tables_agree_with_the_interpreter_in_any_state(build):
    system, rng = build(), random.Random(7)
    tables = tabulate(system)
    seen = set()
    for _ in range(400):
        state = random_state(system, rng)
        words = tables.layout.pack(state)
        chosen = selected(tables, words)
        for number, instance in enumerate(tables.instances):
            code, after = run_program(tables, number, words) if number in chosen else (DISABLED, None)
            expected, successor_state = interpreted(system, state, instance)
            assert code == expected, f"{instance} in {tables.layout.pretty(words)}"
            if expected == 0:
                assert tables.layout.unpack(after) == successor_state, f"{instance} in {tables.layout.pretty(words)}"
            seen.add(expected)
    assert {0, DISABLED} <= seen
    if build is arrays:
        assert seen == {0, DISABLED, GUARD_ERROR, RANGE, DOUBLE}


@pytest.mark.parametrize("build", [queues, arrays, waits, two_phase_commit])
def test_predicates_agree_with_the_interpreter_in_any_state(build):
    system, rng = build(), random.Random(8)
    tables = tabulate(system)
    for _ in range(200):
        state = random_state(system, rng)
        words = tables.layout.pack(state)
        for number, predicate in enumerate(tables.predicates):
            code, _ = run_program(tables, len(tables.instances) + number, words)
            try:
                expected = holds(system, state, predicate.expr) != predicate.negated
            except OutOfRange:
                assert code == GUARD_ERROR
            else:
                assert (code == 0) == expected, predicate.name


def test_a_small_row_is_one_look_up():
    tables = tabulate(two_phase_commit(3))
    for first, last in tables.programs[: len(tables.instances)]:
        assert last - first <= 2 + 2  # head, kept bits, and at most two gathers


def test_an_instance_that_can_never_fire_vanishes():
    slots = Index("slot", 3)
    worker = Machine("worker", Side, [Row("go", Side.IDLE, Side.BUSY, me(slots) >= 1)], copies=slots)
    tables = tabulate(System("one", [worker]))
    assert selected(tables, tables.layout.pack(tables.system.initial_state())) == {1, 2}


def test_equal_tables_are_kept_once():
    def build(copies: int) -> System:
        slots = Index("slot", copies)
        flags = unlocked("flags", BOOL, over=slots)
        here = me(slots)
        row = Row("go", Side.IDLE, Side.DONE, flags[here], [flags[here].set(False)], assume_atomic="the test looks at values, not media")
        return System("many", [Machine("worker", Side, [row], copies=slots)])

    # Only where the bits stand differs between copies; words are written at different places, so a table is kept per place.
    assert tabulate(build(4)).entries.size <= 4 * 8


def test_a_table_that_would_be_too_large_names_its_variables():
    wide = Range(0, 2**11 - 1)
    left, right = private("left", wide), private("right", wide)
    worker = Machine("worker", Side, [Row("go", Side.IDLE, Side.BUSY, left * right == 77, [left.set(5), right.set(6)])])
    with pytest.raises(ValueError, match="left, right"):
        tabulate(System("wide", [worker]))


def test_a_wide_fold_goes_through_temporaries():
    slots = Index("slot", 30)
    flags = private("flags", BOOL, over=slots)
    slot = choice("slot", slots)
    rows = [
        Row("raise_flag", Side.IDLE, Side.IDLE, ~flags[slot], [flags[slot].set(True)], choose=slot),
        Row("finish", Side.IDLE, Side.DONE, all_of(slots, lambda i: flags[i])),
        Row("count", Side.IDLE, Side.BUSY, count(slots, lambda i: flags[i]) == 17),
    ]
    system, rng = System("wide", [Machine("worker", Side, rows)]), random.Random(9)
    tables = tabulate(system)
    assert tables.work_words > 2 * tables.layout.words
    for share in (0.0, 0.5, 0.57, 1.0):
        for _ in range(40):
            state = ((Side.IDLE,), tuple(rng.random() < share for _ in range(30)))
            words = tables.layout.pack(state)
            for number in (30, 31):
                assert run_program(tables, number, words)[0] == interpreted(system, state, tables.instances[number])[0]


class Working(IntEnum):
    ON = 0


def test_a_table_that_is_too_large_names_its_variables() -> None:
    wide = Range(0, 2047)
    left, right, product = private("left", wide), private("right", wide), private("product", Range(0, 2047 * 2047))
    system = System("s", [Machine("multiplier", Working, [Row("multiply", Working.ON, None, True, [product.set(left * right)])])])
    with pytest.raises(DefinitionError, match=r"multiplier.multiply: one table would need 2\^22 entries over .*left.*right"):
        tabulate(system)
