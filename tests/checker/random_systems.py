"""Random small closed systems, as Hypothesis strategies: what the explorers must agree on.

`digraphs()` are bare graphs with random fairness, for liveness; `systems()` use every type, every medium and every kind
of row that the language has. Rows are drawn so that they keep the rules of their media; what still breaks one is
rejected. Expressions over shared variables may leave their types: range errors are part of the agreement.

INTERLOCK_EXAMPLES=n asks for n examples a test instead of the default.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum
from typing import Any

from hypothesis import HealthCheck, reject, settings
from hypothesis import strategies as st

from protocol import (
    BOOL,
    TRUE,
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
    hang,
    if_else,
    ignored,
    illegal,
    leads_to,
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
    world,
    write_conflict,
)
from protocol.expr import Expr
from protocol.types import Scalar, Type

EXAMPLES = settings(
    max_examples=int(os.environ.get("INTERLOCK_EXAMPLES", "150")),
    derandomize="INTERLOCK_EXAMPLES" not in os.environ,
    print_blob=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


class S(IntEnum):
    A, B, C, WAIT = range(4)


class Colour(IntEnum):
    RED, GREEN, BLUE = range(3)


A, B, C, WAIT = S
RANK = Index("rank", 2)
PAIR = Record("Pair", flag=BOOL, number=Range(-1, 1))
FAIR = ("none", "weak", "strong")
TOUCHES = ("nothing", "load", "store", "operate", "under", "under", "send", "receive", "send_bag", "receive_bag", "move", "move", "anything")


@st.composite
def digraphs(draw: Callable[[Any], Any]) -> System:
    """One or two machines that are bare graphs with random fairness, asked deadlock, hang and leads_to."""
    machines = []
    for name in ("one", "two")[: draw(st.integers(1, 2))]:
        size = draw(st.integers(2, 5))
        states = IntEnum("States", [(f"S{k}", k) for k in range(size)])  # type: ignore[misc]
        number, fair = st.integers(0, size - 1), st.sampled_from(("weak", "strong", "strong", "none"))
        rows = [
            Row(f"e{k}", states(draw(number)), states(draw(number)), fair=draw(fair), poll=draw(st.booleans()))
            for k in range(draw(st.integers(2, 9)))
        ]
        fairness = draw(st.sampled_from(("row", "copy")))
        machines.append(Machine(name, states, rows, copies=draw(st.sampled_from(((), RANK))), fairness=fairness))
    properties = [deadlock(), hang()]
    for name in ("first", "second"):
        p, q = ([m.at(*(0 for _ in m.copies)) == draw(st.sampled_from(list(m.states))) for m in machines] for _ in range(2))
        properties.append(leads_to(name, p[0], q[-1]))
    for machine in machines:
        for state in machine.states:
            where = machine.at(*(0 for _ in machine.copies))
            properties.append(leads_to(f"{machine.name}_{state.name}", TRUE, where == state))
    return System("digraph", machines, properties)


@st.composite
def systems(draw: Callable[[Any], Any], peers: int = 2) -> System:
    """A random small system over a random choice of media, with that many symmetric copies where it has such."""
    try:
        return _Author(draw, peers).system()
    except DefinitionError:
        return reject()  # type: ignore[no-any-return]


class _NoPeer(Exception):
    """A symmetric copy was asked for where there is none to name."""


class _Author:
    """Writes one system; holds its shared variables and what may stand in the expression being written."""

    def __init__(self, draw: Callable[[Any], Any], peers: int):
        self.draw = draw
        peer = self.peer = Index("peer", peers, symmetric=True)
        scalars: tuple[Scalar, ...] = (BOOL, Range(0, 2), Range(-2, 1), Enum(Colour), Optional(Range(-1, 0)), RANK, peer, Optional(peer))
        arrays = (SetOf(peer), Array(Range(0, 1), RANK), Array(BOOL, RANK, peer))
        self.types: tuple[Type, ...] = (*scalars, PAIR, *arrays, *2 * (Sequence(Range(0, 1), 2),), Sequence(PAIR, 1), Sequence(peer, 2))
        self.process = Process("host", over=self.pick((), RANK)) if self.chance(2) else None
        self.lock = Lock("lock", over=self.pick((), RANK))
        self.register = register("reg", self.pick(*scalars), over=self.pick((), RANK))
        self.unlocked = unlocked("obj", self.pick(*self.types), over=self.pick((), RANK))
        homes = [(*self.lock.over, *self.pick((), (peer,))) for _ in range(2)]
        self.locked = [locked(f"guarded{k}", self.pick(*self.types), self.lock, over=home) for k, home in enumerate(homes)]
        message = self.pick(BOOL, Range(0, 1), PAIR, self.peer)
        self.fifo = channel("mail", message, self.pick(1, 2), on_full=self.pick("block", "drop", "error"), over=self.pick((), RANK))
        message = self.pick(BOOL, Range(0, 1), Record("Note", flag=BOOL, rank=RANK))
        self.bag = channel("net", message, self.pick(1, 2), kind="bag", on_full=self.pick("block", "drop", "error"))
        self.fact = world("link_up", self.pick(BOOL, Range(0, 1)), init=None)
        self.ghost = ghost("shadow", self.pick(*self.types), over=self.pick((), RANK))
        self.parties: list[tuple[str, Any]] = []
        self.readable: list[Expr] = []
        self.total = False

    def pick(self, *options: Any) -> Any:
        return self.draw(st.sampled_from(options))

    def chance(self, one_in: int) -> bool:
        return bool(self.draw(st.integers(0, one_in - 1)) == one_in - 1)

    # -- expressions -------------------------------------------------------------------------------------------------

    def of(self, kind: Type, depth: int = 2) -> Any:
        """An expression or a constant of that type."""
        if kind == BOOL:
            return self.condition(depth)
        fitting = [e for e in self.parts() if e.type == kind]
        if fitting and not self.chance(3):
            return self.pick(*fitting)
        if depth and self.chance(4):
            sides = [self.of(kind, depth - 1) for _ in range(2)]
            if any(isinstance(s, Expr) for s in sides):
                return if_else(self.condition(depth - 1), *sides)
        if isinstance(kind, Range) and depth and self.chance(2):
            numbers = [e for e in self.parts() if isinstance(e.type, Range)]
            if numbers:
                return self.arithmetic(self.pick(*numbers), depth)
        if isinstance(kind, Record):
            return kind(**{n: self.of(t, depth - 1 if depth else 0) for n, t in kind.fields})
        return self.constant(kind)

    def arithmetic(self, number: Expr, depth: int) -> Expr:
        form = self.draw(st.integers(0, 3))
        if form == 0:
            return number + self.pick(-1, 1)
        if form == 1:
            return 1 - number
        if form == 2:
            return number * self.pick(-1, 2)
        return self.pick(count, sum_like)(RANK, lambda i: self.condition(0) & (i >= 0))  # type: ignore[no-any-return]

    def constant(self, kind: Type) -> Any:
        """A value of the type; for a symmetric copy, which has no constants, an expression or nothing."""
        inner = kind.inner if isinstance(kind, Optional) else kind
        if inner == self.peer:
            peers = [e for e in self.parts() if e.type == self.peer]
            if isinstance(kind, Optional) and (not peers or self.chance(2)):
                return None
            return self.pick(*peers) if peers else self.nothing()
        if isinstance(kind, Scalar):
            return self.pick(*kind.values())
        return kind.default()

    def nothing(self) -> Any:
        raise _NoPeer

    def parts(self) -> list[Expr]:
        """What may be read, and its parts."""
        found = []
        for expr in self.readable:
            found.append(expr)
            kind = expr.type
            if isinstance(kind, Record):
                found += [getattr(expr, n) for n, _ in kind.fields]
            elif isinstance(kind, Array):
                with suppress(_NoPeer):
                    found.append(expr[tuple(self.index(d) for d in kind.dims)])
            elif isinstance(kind, Sequence):
                found.append(expr.length)
                if not self.total:
                    found.append(self.pick(expr.head, expr.at(1)))
            elif isinstance(kind, Optional) and not self.total:
                found.append(expr.value)
        return found

    def index(self, dim: Scalar) -> Any:
        """An index of that type; now and then one that may leave it."""
        fitting = [e for e in self.readable if e.type == dim]
        if not self.total and dim == RANK:
            fitting += [e for e in self.readable if isinstance(e.type, Range)]
        if fitting:
            return self.pick(*fitting)
        return self.pick(*dim.values()) if dim != self.peer else self.nothing()

    def condition(self, depth: int = 2) -> Expr:
        """A boolean expression."""
        form = self.draw(st.integers(0, 5 if depth else 1))
        if form <= 1:
            return self.test()
        if form == 2:
            return ~self.condition(depth - 1)
        if form == 3:
            return self.condition(depth - 1) & self.condition(depth - 1)
        if form == 4:
            return self.condition(depth - 1) | self.condition(depth - 1)
        return self.fold(depth)

    def fold(self, depth: int) -> Expr:
        over = self.pick(RANK, self.peer)

        def body(bound: Expr) -> Expr:
            self.readable.append(bound)
            inner = self.condition(depth - 1)
            self.readable.pop()
            return inner

        # A fold calls its body again where names clash, so the body is written once and for all.
        written: list[tuple[Any, Expr]] = []

        def once(bound: Expr) -> Expr:
            if not written:
                written.append((bound, body(bound)))
            return written[0][1]

        kind = self.pick(all_of, any_of, count)
        folded = kind(over, once)
        return folded if kind is not count else folded >= 1  # type: ignore[no-any-return]

    def test(self) -> Expr:
        """A comparison, a boolean part, or TRUE."""
        parts = self.parts()
        if not parts:
            return TRUE
        expr = self.pick(*parts)
        kind = expr.type
        if kind == BOOL:
            return expr  # type: ignore[no-any-return]
        if isinstance(kind, Sequence):
            form = self.draw(st.integers(0, 2))
            if form < 2 or (self.total and kind.element == self.peer):
                return expr.full if form else expr.empty
            return expr.has(self.constant(kind.element))
        if isinstance(kind, Range) and self.chance(2):
            return self.pick(expr < 1, expr >= 0, expr + 1 <= 1)  # type: ignore[no-any-return]
        if isinstance(kind, (Enum, Range)) and self.chance(2):
            return expr.is_in(*self.draw(st.sets(st.sampled_from(list(kind.values())), min_size=1)))  # type: ignore[no-any-return]
        return self.pick(expr == self.constant(kind), expr != self.constant(kind))  # type: ignore[no-any-return]

    # -- effects and rows --------------------------------------------------------------------------------------------

    def change(self, place: Expr) -> Any:
        """An effect on a place or a part of it."""
        kind = place.type
        if isinstance(kind, Sequence):
            value = self.of(kind.element, 1)
            form = self.draw(st.integers(0, 7))
            simple = (place.pop, place.pop_back, place.clear)
            if form < 3:
                return simple[form]()
            if form < 7:
                edits = (place.push, place.push_front, place.remove, lambda _: place.remove_at(self.pick(0, 1)))
                return edits[form - 3](value)
            return place.at(0).set(value)
        if isinstance(kind, Record) and self.chance(2):
            name, part = self.pick(*kind.fields)
            return getattr(place, name).set(self.of(part, 1))
        if isinstance(kind, Array):
            return place[tuple(self.index(d) for d in kind.dims)].set(self.of(kind.element, 1))
        return place.set(self.of(kind, 1))

    def changes(self, places: list[Expr]) -> list[Any]:
        """Effects on some of the places, some of them conditional."""
        effects: list[Any] = []
        for place in places:
            if not self.chance(2):
                continue
            effect = self.change(place)
            effects.append(when(self.condition(1), effect) if self.chance(4) else effect)
        return effects

    def at(self, variable: Any) -> Any:
        """One cell of a shared variable."""
        return variable.cell(*(self.index(d) for d in variable.over))

    def row(self, event: str, copies: tuple[Index, ...], own: list[Expr], source: Any, destination: Any) -> list[Row]:
        """One row (or two with excluding guards) that touches at most one shared thing."""
        at_hand = [*own, *(me(d) for d in copies), self.fact.cell()]
        options: dict[str, Any] = {"fair": self.pick(None, None, *FAIR), "poll": self.chance(5)}
        chosen = choice("chosen", self.pick(RANK, self.peer, BOOL, Range(-1, 0)))
        touch = self.pick(*TOUCHES)
        try:
            if not self.chance(4):
                self.readable = list(at_hand)
                return self.row_of(event, own, source, destination, touch, dict(options))
        except _NoPeer:
            chosen = choice("chosen", self.peer)
        self.readable = [*at_hand, chosen]
        try:
            return self.row_of(event, own, source, destination, touch, options | {"choose": chosen})
        except _NoPeer:
            return [Row(event, source, destination, **options)]

    def row_of(self, event: str, own: list[Expr], source: Any, destination: Any, touch: str, options: dict[str, Any]) -> list[Row]:
        """The row that touches that kind of shared thing."""
        effects: list[Any] = []
        guard: Any = TRUE
        if touch == "load":
            self.readable.append(self.at(self.pick(self.register, self.unlocked)))
        elif touch == "store":
            cell = self.at(self.register)
            effects.append(cell.set(self.of(cell.type)))
        elif touch == "operate":
            effects.append(self.change(self.at(self.unlocked)))
        elif touch == "under":
            effects += self.critical(options)
        elif touch == "send":
            effects.append(self.at(self.fifo).send(self.of(self.fifo.message, 1)))
        elif touch == "receive":
            effects.append(self.receive(options))
        elif touch in ("send_bag", "receive_bag"):
            message = self.of(self.bag.message, 1)
            effects.append(self.bag.send(message) if touch == "send_bag" else self.bag.receive(message))
        elif touch == "move":
            options["moves"] = getattr(self.passive[self.index(self.peer)], self.pick("born", "die"))
        elif touch == "anything":
            options["assume_atomic"] = "a random row"
            self.readable += [self.at(self.register), self.at(self.unlocked)]
            effects += self.changes([self.at(self.register), self.at(self.unlocked)])
        effects += self.changes(own)
        guard = self.condition() if self.chance(2) else TRUE
        if self.chance(3):
            effects += self.haunt()
        rows = [Row(event, source, destination, guard, effects, **options)]
        if guard is not TRUE and self.chance(3):
            rows.append(Row(event, source, self.pick(A, B, C, None), ~guard, self.changes(own), choose=options.get("choose", ())))
        return rows

    def critical(self, options: dict[str, Any]) -> list[Any]:
        """Effects under the lock, held for this row or across rows."""
        lock = self.at(self.lock)
        options[self.pick("under", "acquire", "release")] = lock
        cells = [v.cell(*lock.indices, *(self.index(d) for d in v.over[len(lock.indices) :])) for v in self.locked]
        self.readable += cells
        return self.changes(cells)

    def receive(self, options: dict[str, Any]) -> Any:
        cell = self.at(self.fifo)
        self.readable.append(cell.head)
        return cell.receive()

    def haunt(self) -> Any:
        """An effect on the ghost."""
        if self.ghost.over and self.chance(2):
            return list(each(RANK, lambda i: self.change(self.ghost[i])))
        return [self.change(self.at(self.ghost))]

    # -- machines ----------------------------------------------------------------------------------------------------

    def system(self) -> System:
        self.passive = self.request()
        machines = [self.worker(f"worker{k}") for k in range(self.pick(1, 1, 2))]
        machines.append(self.passive)
        if any(m.process is not None for m in machines) or self.chance(3):
            machines.append(self.environment(machines))
        return System("random", machines, self.properties(machines))

    def request(self) -> Machine:
        """A passive machine with a row of two alternatives."""
        tries = unlocked("tries", Range(0, 1), over=self.peer)
        mine = tries[me(self.peer)]
        rows = [
            Row("born", A, B, mine == 0, [mine.set(1)], assume_atomic="a random row"),
            Row("born", A, C, mine == 1),
            Row("die", (B, C), self.pick(A, C), effects=[mine.set(0)]),
        ]
        return Machine("request", S, rows, copies=self.peer, passive=True, medium=Medium.UNLOCKED, final=(A, B, C))

    def worker(self, name: str) -> Machine:
        """An active machine; some of them meet at a barrier."""
        home = self.process.over if self.process is not None else ()
        copies = home or self.pick((), (RANK,), (self.peer,))
        variables = [private(f"{name}_x{k}", self.pick(*self.types), over=copies) for k in range(self.draw(st.integers(0, 2)))]
        own = [v.cell(*(me(d) for d in copies)) for v in variables]
        rows: list[Row] = []
        for k in range(self.draw(st.integers(3, 6))):
            rows += self.row(f"e{k}", copies, own, self.pick(A, B, C, (A, B), (A, B, C)) if k else A, self.pick(A, B, C, None))
        if self.chance(2):
            over = self.pick((), copies)
            owner = self.pick(None, self.process) if over[: len(home)] == home else None
            meeting = barrier(f"{name}_meeting", 2, over=over, kind=self.pick("draining", "sense"), process=owner)
            cell = meeting.cell(*(me(d) for d in meeting.over))
            rows.append(Row("arrive", self.pick(A, (A, B)), WAIT, TRUE, [cell.arrive()]))
            rows.append(Row("leave", WAIT, self.pick(A, C), passed(cell)))
            if self.chance(2):
                rows.append(Row("arrive_again", C, WAIT, TRUE, [cell.arrive()]))
            self.parties.append((name, meeting))
        if self.chance(3):
            self.readable = [me(d) for d in copies]
            with suppress(_NoPeer):
                rows += self.holding()
        if not self.fifo.over and self.chance(3):
            self.readable = [self.fifo.cell().head]
            with suppress(_NoPeer):
                kind = self.pick(ignored, illegal)
                rows.append(kind("unexpected", self.pick(A, B, C), self.fifo, self.condition(1)))
        if not any(r.acquire is not None for r in rows):
            for row in rows:  # without a row that acquires, one that releases takes the whole critical section
                row.under, row.release = row.under if row.release is None else row.release, None
        entered = [A, *(s for s in (B, C) if any(r.destination is s and A in r.sources for r in rows))]
        final = self.pick((), tuple(entered[-1:]), tuple(entered))
        fairness, restart = self.pick("row", "row", "copy"), self.pick(A, B)
        return Machine(name, S, rows, copies=copies, process=self.process, fairness=fairness, final=final, restart=restart)

    def holding(self) -> list[Row]:
        """Rows that take the lock, touch what it guards in one step or inside, and give it back."""
        options: dict[str, Any] = {}
        effects = self.critical(options)
        (lock,) = options.values()
        take, give = Row("take", A, B, acquire=lock), Row("give", B, self.pick(A, C), release=lock)
        return [take, Row("touch", self.pick(A, B, (A, B)), None, effects=effects, under=lock), give]

    def environment(self, machines: list[Machine]) -> Machine:
        """Faults with a budget of one: a crash and a restart, a broken barrier, a lost message, a changed fact."""
        at = choice("victim", RANK)
        rows = [Row("flip", A, A, TRUE, [self.fact.set(~self.fact if self.fact.type == BOOL else 1 - self.fact)])]
        if any(m.process is not None for m in machines):
            assert self.process is not None
            where, choose = ((at,), at) if self.process.over else ((), ())
            rows.append(Row("crash", A, B, self.process.is_alive(*where), [self.process.crash(*where)], choose=choose))
            rows.append(Row("restart", B, C, ~self.process.is_alive(*where), [self.process.restart(*where)], choose=choose))
        if self.parties and self.chance(2):
            meeting = self.parties[0][1]
            rows.append(Row("break_open", (A, C), WAIT, TRUE, [meeting.cell(*(0 for _ in meeting.over)).break_open()]))
        if not self.fifo.over:
            rows.append(Row("lose", C, C, TRUE, [self.fifo.receive()]))
        return Machine("environment", S, rows, environment=True)

    # -- properties --------------------------------------------------------------------------------------------------

    def properties(self, machines: list[Machine]) -> list[Any]:
        """One of each kind, over control states, the register, the ghost and what the machines own."""
        self.total = True
        draft = System("draft", machines)
        self.readable = []
        stated = []
        for variable in [*draft.variables, self.ghost]:
            if not any(d == self.peer for d in variable.over) and variable.medium is not Medium.LOCK and variable.name.isidentifier():
                stated.append(variable.cell(*(self.pick(*d.values()) for d in variable.over)))
            elif variable.name.endswith(".state"):
                stated.append(variable.cell(*(self.pick(*d.values()) for d in variable.over)) if self.peer not in variable.over else None)
        self.readable = [e for e in stated if e is not None]
        properties = [deadlock(), hang(), always("invariant", self.condition()), never("excluded", self.condition())]
        properties += [sometimes("some_state", self.condition()), leads_to("served", self.condition(1), self.condition(1))]
        if self.chance(2):
            active = next(m for m in machines if not m.passive)
            if active.copies and active.copies[0] == RANK:
                properties.append(leads_to("each_served", lambda i: active.at(i) == A, lambda i: active.at(i) == B, each=RANK))
        touched = {id(s.cell.variable) for a in draft.actions for s in a.stores if s.operation == "store"}
        for variable in (self.register, self.unlocked):
            if id(variable) in touched and self.chance(2):
                properties.append(self.pick(write_conflict, lost_store)(variable))
        return properties


def sum_like(over: Scalar, body: Callable[[Expr], Any]) -> Expr:
    """A sum where a count would do."""
    return sum_of(over, lambda i: if_else(body(i), 1, 0))
