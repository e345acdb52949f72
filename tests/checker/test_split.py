"""Splitting by environments: what `covers` says agrees with an obvious twin, and what holds in the parts holds in the whole.

The twin knows nothing of ghosts or of folded expressions: it runs a side, its stand-in and the other side's stand-in in one system, keeps
the set of states in which the stand-in may be in Python, and asks of each step which rows of the stand-in do the same.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from enum import IntEnum
from itertools import islice
from random import Random
from typing import Any

import pytest

from checker import check
from checker.result import Limits, Verdict
from protocol import (
    BOOL,
    TRUE,
    Array,
    DefinitionError,
    Index,
    Machine,
    Range,
    Record,
    Row,
    Sequence,
    System,
    always,
    channel,
    choice,
    deadlock,
    each,
    ghost,
    hang,
    illegal,
    leads_to,
    lost_store,
    me,
    never,
    private,
    sometimes,
    unlocked,
    when,
    write_conflict,
)
from protocol.errors import OutOfRange
from protocol.evaluate import loader, may_fire, successor
from protocol.split import Side, Split
from protocol.variable import Medium
from tests.checker.random_systems import EXAMPLES

SMALL = Limits(max_states=1200, max_memory_gb=0.05)


class Three(IntEnum):
    A, B, C = range(3)


class Two(IntEnum):
    ON, OFF = range(2)


class One(IntEnum):
    ON = 0


NUMBER, RANK = Range(0, 2), Index("rank", 2)
PAIR = Record("Pair", flag=BOOL, number=NUMBER)
V, R = choice("some_number", NUMBER), choice("some_rank", RANK)


class Common:
    """The variables that both sides touch."""

    def __init__(self) -> None:
        self.x = unlocked("x", NUMBER)
        self.array = unlocked("array", Array(BOOL, RANK))
        self.cells = unlocked("cells", NUMBER, over=RANK)
        self.pair = unlocked("pair", PAIR)
        self.row = unlocked("row", Sequence(NUMBER, 2))
        self.mail = channel("mail", NUMBER, 2, on_full="drop")
        self.net = channel("net", BOOL, 1, kind="bag", on_full="drop")
        self.seen = ghost("seen", BOOL)

    def deeds(self, known: Any) -> list[tuple[Any, list[Any]]]:
        """Guards and effects that a row may have; `known` is a number that it knows."""
        r = R
        return [
            (True, [self.x.set(known)]),
            (self.x == known, [self.x.set(V)]),
            (self.x < 2, [self.x.add(1)]),
            (True, [self.array.cell()[r].set(known > 0)]),
            (self.array.cell()[r], [self.array.cell()[r].set(False), self.cells[r].set(V)]),
            (self.cells[r] == V, [each(RANK, lambda i: when(i != r, self.cells[i].set(known)))]),
            (True, [self.cells[0].set(self.cells[1]), self.cells[1].set(self.cells[0])]),
            (~self.pair.cell().flag, [self.pair.set(PAIR(flag=True, number=known))]),
            (self.pair.cell().flag, [self.pair.cell().number.set(V), self.pair.cell().flag.set(False)]),
            (self.row.cell().length < 2, [self.row.push(known)]),
            (~self.row.cell().empty, [self.x.set(self.row.cell().head), self.row.pop()]),
            (True, [self.mail.send(known)]),
            (self.mail.cell().head == known, [self.mail.receive()]),
            (True, [self.net.send(True)]),
            (True, [self.net.receive(True), self.seen.set(True)]),
            (True, []),
        ]


def side(rng: Random, common: Common, name: str, drops: bool, pool: list[int]) -> Side:
    """A machine of random rows that do some of the deeds, and a stand-in that has most of them, in fewer states, and knows less."""
    copies = rng.choice(((), (), (RANK,)))
    hand = private(f"{name}_hand", NUMBER, over=copies)
    mine = hand.cell(*(me(dim) for dim in copies))
    merged = rng.choice((One, Two, Three))
    memory = not copies and rng.random() < 0.5
    own = rng.choice((private, private, ghost))(f"any_{name}_memory", NUMBER, over=copies)
    remembered: Any = own.cell(*(me(dim) for dim in copies)) if memory else V
    rows, others = [], []
    for k in range(rng.randint(2, 4)):
        source, target = (rng.choice(list(Three)) for _ in range(2))
        source = Three.A if k == 0 else source
        deed = rng.choice(pool)
        learns = rng.random() < 0.5
        (guard, effects), (other, more) = common.deeds(mine)[deed], common.deeds(remembered)[deed]
        note, noted = ([mine.set(V)], [remembered.set(V)] if memory else []) if learns else ([], [])
        secret = rng.choice((TRUE, mine > 0, mine == V))
        chosen = choices_of(guard, secret, *effects, *note)
        rows.append(Row(f"e{k}", source, target, secret & guard, [*effects, *note], choose=chosen, assume_atomic="a test"))
        if not drops or rng.random() < 0.7:
            here, there = (merged(min(s, len(merged) - 1)) for s in (source, target))
            others.append(Row(f"s{k}", here, there, other, [*more, *noted], choose=choices_of(other, *more, *noted)))
    if rng.random() < 0.3:
        rows.append(illegal("stray", tuple(Three), common.mail, common.mail.cell().head == 2))
    machine = Machine(name, Three, rows, copies=copies)
    stand_in = Machine(f"any_{name}", merged, others or [Row("none", merged(0), merged(0), False)], copies=copies, stands_for=(name,))
    return Side(name, [machine], [stand_in])


def choices_of(*parts: Any) -> tuple:
    """The choices that a guard and effects mention."""
    named = (
        " ".join(map(str, parts)).replace("[", " ").replace("]", " ").replace("(", " ").replace(")", " ").replace(",", " ").replace("~", " ").split()
    )
    return tuple(c for c in (V, R) if c.name in named)


def random_split(seed: int) -> Split | None:
    """A system of two or three sides and what stands for each; None where the rows make none."""
    rng, common = Random(seed), Common()
    drops, pool = rng.random() < 0.5, rng.sample(range(len(common.deeds(0))), 3)
    sides = [side(rng, common, name, drops, pool) for name in ("one", "two", "three")[: rng.choice((2, 2, 2, 3))]]
    at = {s.name: s.machines[0].at(*(0 for _ in s.machines[0].copies)) for s in sides}
    states = [p for n, here in at.items() for p in (never(f"{n}_ends", here == Three.C), leads_to(f"{n}_leaves", here == Three.A, here != Three.A))]
    asked = [never("x_is_two", common.x == 2), never("net_is_seen", common.seen), always("cells_alike", common.cells[0] == common.cells[1])]
    try:
        return Split(System("random", [s.machines[0] for s in sides], [*states, *asked]), *sides)
    except DefinitionError:
        return None  # two effects of a row on one place, or what only one side touches


def random_splits(count: int) -> Iterator[Split]:
    """So many, always the same; INTERLOCK_EXAMPLES asks for more."""
    return islice((split for split in map(random_split, itertools.count()) if split is not None), count)


def obvious(split: Split, name: str) -> bool | None:
    """Whether the side's stand-in covers it, decided in Python; None where that takes too long, or a value leaves its type."""
    side = split.sides[name]
    beside = [machine for other in split.sides.values() if other is not side for machine in other.stand_in]
    joint = System("joint", [*side.machines, *beside, *side.stand_in])
    shared_variables = {id(v) for v in split.shared(side)}
    shared = [k for k, v in enumerate(joint.variables) if id(v) in shared_variables]
    own = [k for k, v in enumerate(joint.variables) if v.name.startswith(f"any_{name}")]
    instances = list(joint.instances())
    making = [i for i in instances if i.action.machine in side.stand_in]

    def after(state: Any, instance: Any) -> Any:
        return successor(joint, state, instance) if may_fire(instance, loader(joint, state)) else None

    def taken(state: Any, places: list[int]) -> tuple:
        return tuple(state[k] for k in places)

    def put(state: Any, values: tuple) -> Any:
        return tuple(dict(zip(own, values)).get(k, cell) for k, cell in enumerate(state))

    start = joint.initial_state(), frozenset([taken(joint.initial_state(), own)])
    found, waiting = {start}, [start]
    for state, possible in waiting:
        if len(found) > 300:
            return None
        for instance in instances:
            try:
                then = None if instance in making else after(state, instance)
                if then is None:
                    continue
                now = possible
                if instance.action.machine in side.machines and any(id(s.cell.variable) in shared_variables for s in instance.action.stores):
                    made = [after(put(state, values), other) for values in possible for other in making]
                    now = frozenset(taken(m, own) for m in made if m is not None and taken(m, shared) == taken(then, shared))
                    now |= possible if taken(then, shared) == taken(state, shared) else frozenset()
            except OutOfRange:
                return None
            if not now:
                return False
            if (then, now) not in found:
                found.add((then, now))
                waiting.append((then, now))
    return True


def covered(split: Split, name: str) -> Verdict:
    """What both explorers say of a side, which must be the same."""
    asked = split.part(name).focused(f"{name}_covered")
    reference = check(asked, explorer="reference", limits=SMALL)
    remembered = max((v.cells for v in asked.variables if v.name.endswith(".possible")), default=1)
    if reference.complete and remembered <= 2:  # the tables of larger ones take seconds
        table, reduced = check(asked, limits=SMALL), check(asked, reduced=True, limits=SMALL)
        assert {n: (f.verdict, f.path and list(map(str, f.path))) for n, f in table.findings.items()} == {
            n: (f.verdict, f.path and list(map(str, f.path))) for n, f in reference.findings.items()
        }
        assert table.distinct == reference.distinct
        assert {n: f.verdict for n, f in reduced.findings.items()} == {n: f.verdict for n, f in reference.findings.items()}
    return reference.findings[f"{name}_covered"].verdict


def test_covers_agrees_with_the_obvious_twin() -> None:
    verdicts: Counter[object] = Counter()
    for split in random_splits(EXAMPLES.max_examples // 15):
        for name in split.sides:
            expected = obvious(split, name)
            verdicts[expected] += 1
            if expected is not None:
                found = covered(split, name)
                if not split.part(name).unseen:
                    assert found is (Verdict.HOLDS if expected else Verdict.VIOLATED)
                elif found is Verdict.HOLDS:  # whatever the value of what the part does not keep: the twin looks at those that there are
                    assert expected
    assert min(verdicts[kind] for kind in (True, False)) > 2, verdicts


def states_of(system: System) -> set[Any] | None:
    """All states, found in Python; None where there are too many, or a value leaves its type."""
    found, waiting, instances = {system.initial_state()}, [system.initial_state()], list(system.instances())
    for state in waiting:
        for instance in instances:
            try:
                then = successor(system, state, instance) if may_fire(instance, loader(system, state)) else state
            except OutOfRange:
                return None
            if then not in found:
                found.add(then)
                waiting.append(then)
        if len(found) > 600:
            return None
    return found


def seen_by(split: Split, name: str, system: System, states: set[Any]) -> set[Any]:
    """What the side sees of the states: the variables that it touches and its part keeps."""
    kept = [v.name for v in split.part(name).variables if id(v) in split.touched[name] and v.medium is not Medium.GHOST]
    places = [k for k, v in enumerate(system.variables) if v.name in kept]
    places.sort(key=lambda k: system.variables[k].name)
    return {tuple(state[k] for k in places) for state in states}


def test_the_whole_is_in_its_parts_and_what_holds_there_holds_in_it() -> None:
    kept = set[str]().union(*map(kept_by, random_splits(EXAMPLES.max_examples // 8)))
    assert {"ends", "leaves", "stray", "states"} <= kept


def kept_by(split: Split) -> set[str]:
    """What the parts have shown of the whole, by the last word of its name, when all that stand for others cover them."""
    whole, states, kept = check(split.whole, explorer="reference", limits=SMALL), states_of(split.whole), set()
    parts = {name: check(split.part(name), explorer="reference", limits=SMALL) for name in split.sides}
    if not whole.complete or any(r.findings[f"{n}_covered"].verdict is not Verdict.HOLDS for n, r in parts.items()):
        return set()
    for side, result in parts.items():
        for name, finding in result.findings.items():
            if name in whole.findings and finding.verdict is Verdict.HOLDS and name != "range":
                assert whole.findings[name].verdict is Verdict.HOLDS
                kept.add(name.split("_")[-1])
        part = split.part(side).focused(f"{side}_ends")
        found = states_of(part)
        if states is not None and found is not None:
            assert seen_by(split, side, split.whole, states) <= seen_by(split, side, part, found)
            kept.add("states")
    if all(r.findings["range"].verdict is Verdict.HOLDS for r in parts.values()):
        assert whole.findings["range"].verdict is Verdict.HOLDS
    return kept


# -- one small split, by hand -----------------------------------------------------------------------------------------


class Asking(IntEnum):
    IDLE, SENT, DONE = range(3)


def asking(without: str = "", progress: Callable[[Any, Any], list[Any]] = lambda client, server: []) -> Split:
    """One asks, the other replies with the opposite; what stands for the second replies anything to anything."""
    v, ask, reply = choice("value", BOOL), channel("ask", BOOL, 2), channel("reply", BOOL, 2)
    hand, i = private("hand", BOOL), Asking
    asks = [
        Row("ask", i.IDLE, i.SENT, True, [ask.send(v)], choose=(v,)),
        Row("hear", i.SENT, i.DONE, True, [reply.receive()]),
    ]
    replies = [
        Row("get", Two.ON, Two.OFF, True, [hand.set(ask.cell().head), ask.receive()]),
        Row("answer", Two.OFF, Two.ON, True, [reply.send(~hand)]),
    ]
    anything = [
        Row("ask", One.ON, One.ON, True, [ask.send(v)], choose=(v,)),
        Row("hear", One.ON, One.ON, True, [reply.receive()]),
    ]
    answers = [
        Row("get", Two.ON, Two.OFF, True, [ask.receive()]),
        Row("answer", Two.OFF, Two.ON, True, [reply.send(v)], choose=(v,)),
    ]
    client, server = Machine("client", i, asks, final=i.DONE), Machine("server", Two, replies)
    any_client = Machine("any_client", One, [r for r in anything if r.event != without], stands_for=("client",))
    any_server = Machine("any_server", Two, [r for r in answers if r.event != without], stands_for=("server",))
    asked = [
        never("reply_unasked", (client.at() == i.IDLE) & ~reply.empty),
        never("done", client.at() == i.DONE),
        *progress(client.at(), server.at()),
    ]
    return Split(System("asking", [client, server], asked), Side("client", [client], [any_client]), Side("server", [server], [any_server]))


def test_both_parts_cover_and_answer_for_the_whole() -> None:
    client, server = (check(asking().part(name)) for name in ("client", "server"))
    assert client.findings["client_covered"].verdict is server.findings["server_covered"].verdict is Verdict.HOLDS
    assert client.findings["reply_unasked"].verdict is Verdict.HOLDS
    assert client.findings["done"].verdict is Verdict.VIOLATED  # it is no error that what a stand-in may do is found
    assert set(server.findings) == {"server_covered", "range"}  # the control state of the client is not seen there


@pytest.mark.parametrize("explorer", ["table", "reference"])
def test_a_row_left_out_is_the_last_step_of_a_shortest_path(explorer: str) -> None:
    finding = check(asking("answer").part("server"), explorer=explorer).findings["server_covered"]
    assert finding.verdict is Verdict.VIOLATED and finding.path is not None
    assert list(map(str, finding.path)) == ["any_client.ask(value=False)", "server.get", "server.answer"]
    finding = check(asking("ask").part("client"), explorer=explorer).findings["client_covered"]
    assert finding.path is not None and list(map(str, finding.path)) == ["client.ask(value=False)"]


def test_a_reduced_search_says_the_same() -> None:
    for without, verdict in (("", Verdict.HOLDS), ("answer", Verdict.VIOLATED)):
        asked = asking(without).part("server").focused("server_covered")
        assert check(asked, reduced=True).findings["server_covered"].verdict is verdict


def test_a_part_is_not_asked_what_a_stand_in_does_not_keep() -> None:
    part = asking().part("client")
    for asked in (deadlock(), hang(), sometimes("s", TRUE), write_conflict(unlocked("x", BOOL)), lost_store(unlocked("y", BOOL))):
        with pytest.raises(DefinitionError, match=f"{asked.name}.*cannot be asked where any_server stands for server"):
            System("part", part.machines, [asked])


def test_progress_that_needs_nobody_else_is_kept() -> None:
    """The client asks, whatever the server does; it hears only when the server replies, which what stands for the server need not do."""

    def progress(client: Any, server: Any) -> list[Any]:
        return [leads_to("asks", client == Asking.IDLE, client != Asking.IDLE), leads_to("hears", client == Asking.SENT, client == Asking.DONE)]

    split = asking(progress=progress)
    whole, part = check(split.whole).findings, check(split.part("client")).findings
    assert [whole[name].verdict for name in ("asks", "hears")] == [Verdict.HOLDS, Verdict.HOLDS]
    assert [part[name].verdict for name in ("asks", "hears")] == [Verdict.HOLDS, Verdict.VIOLATED]
