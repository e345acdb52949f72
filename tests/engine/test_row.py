"""Compiled rows mean what the interpreter says: guards, effects, the search for choices, and whole runs, over every medium.

The slow twin is `System.instances()` with `may_fire` and `effects_of`. Variables count as sparse from few cells on here, so that small
systems have such.
"""

from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine.numbering
from engine.clock import VirtualTime
from engine.driver import Driver
from engine.numbering import Numbering
from engine.row import Bound, Row
from engine.runtime.lockstep import Lockstep
from engine.runtime.policy import Policy, Priorities, RoundRobin, SeededRandom
from engine.store import Sparse, Store
from protocol import BOOL, DoubleWrite, Lock, Machine, Optional, OutOfRange, ProtocolError, Range, System, choice, locked, private
from protocol import Row as ProtocolRow
from protocol.action import Action, Instance
from protocol.catalogue import Scenario, scenarios
from protocol.evaluate import effects_of, loader, may_fire, successor
from protocol.machines.repaired.protocol import build as repaired
from protocol.system import State
from protocol.types import Value, all_values, flat_index
from tests.checker.random_systems import EXAMPLES, systems

from .free_agent import FreeAgent
from .small_system import RANK

FEW = 2
BUILDERS: dict[Any, Scenario] = {s.build: s for s in scenarios().values()}
VARIANTS: dict[Any, Scenario] = {(s.build, s.variant): s for s in scenarios().values()}
STEPS = 3
FEWER = settings(EXAMPLES, max_examples=EXAMPLES.max_examples // 4)
FAULTS: dict[str, Any] = {"aborts": True, "deadlines": True, "repeats": True, "losses": True, "errors": True, "suspicions": True}
PRODUCTION_LIKE: dict[str, Any] = {"requests": 3, "turns": 4, "ranks": 2, "slots": 2, "layers": 2, "chunks": 2, "decodes": 2, "room": 2, "threads": 2}


@pytest.fixture(autouse=True)
def few_cells_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.numbering, "SPARSE_CELLS", FEW)


def outcome(ask: Callable[[], Any]) -> Any:
    """What comes of it, a range error or a double write included."""
    try:
        return ask()
    except (OutOfRange, DoubleWrite) as error:
        return type(error)


def cells_of(numbering: Numbering, state: State) -> list[Any]:
    """The cells of a state as a store keeps them."""
    kept: list[Any] = []
    for variable, values in zip(numbering.variables, state):
        if numbering.is_sparse(variable):
            kept.append(Sparse(variable.initial[0]))
            for place, value in enumerate(values):
                kept[-1][place] = value
        else:
            kept.append(list(values))
    return kept


class Twin:
    """A system at a state, by the interpreter and by compiled rows."""

    def __init__(self, system: System):
        self.system, self.numbering = system, Numbering(system)
        self.rows = [Row(action, self.numbering) for action in system.actions]
        self.state = system.initial_state()

    def compare(self) -> list[Instance]:
        """Everything that the rows say in this state; returns what is enabled."""
        cells, load = cells_of(self.numbering, self.state), loader(self.system, self.state)
        enabled: list[Instance] = []
        for row in self.rows:
            bound, machine = row.bind(cells), row.action.machine
            for copy in all_values(machine.copies):
                if load(machine.state, copy) in row.action.row.sources:
                    enabled += self._compare_copy(row.action, bound, copy)
                else:
                    assert not any(may_fire(i, load) for i in row.action.instances() if i.copy == copy)
        return enabled

    def _compare_copy(self, action: Action, bound: Bound, copy: tuple[Value, ...]) -> list[Instance]:
        load = loader(self.system, self.state)
        able, failure = [], None
        for instance in (i for i in action.instances() if i.copy == copy):
            slow, fast = outcome(partial(may_fire, instance, load)), outcome(partial(bound.guard, *copy, *instance.values))
            assert slow == fast, instance
            if slow is True:
                able.append(instance)
                assert self._slow_writes(instance) == self._fast_writes(bound, instance), instance
            elif slow is not False:
                failure = failure or slow
        found = outcome(lambda: list(bound.search(*copy)))
        assert found == (failure or [i.values for i in able]), action
        return able

    def _slow_writes(self, instance: Instance) -> Any:
        """The step's stores. A crash that resets a sparse variable stores to what has changed of it only."""
        own = instance.action.machine.state
        writes = outcome(lambda: effects_of(instance, loader(self.system, self.state)))
        if isinstance(writes, type):
            return writes
        cells = [(self.numbering.number(v), flat_index(v.over, where), value) for v, where, value in writes if v is not own or where != instance.copy]
        return self._without_needless(cells)

    def _fast_writes(self, bound: Bound, instance: Instance) -> Any:
        writes = outcome(lambda: bound.effects(*instance.copy, *instance.values))
        return writes if isinstance(writes, type) else self._without_needless(writes)

    def _without_needless(self, writes: Sequence[tuple[int, int, Value]]) -> dict[tuple[int, int], Value]:
        sparse = [self.numbering.is_sparse(v) for v in self.numbering.variables]
        return {(n, place): value for n, place, value in writes if not sparse[n] or self.state[n][place] != value}

    def step(self, instances: Sequence[Instance]) -> bool:
        """Fire the first that has a successor."""
        for instance in instances:
            try:
                self.state = successor(self.system, self.state, instance)
                return True
            except ProtocolError:
                continue
        return False


@pytest.mark.parametrize("group", sorted({s.group for s in VARIANTS.values()}))
def test_rows_agree_with_the_interpreter_over_the_catalogue(group: str) -> None:
    for scenario in (s for s in VARIANTS.values() if s.group == group):
        rng, twin = SeededRandom(0), Twin(scenario.build(**scenario.config))
        for _ in range(STEPS):
            enabled = twin.compare()
            if not enabled or not twin.step([rng.pick(enabled), *enabled]):
                break


@pytest.mark.parametrize("crash", ["none", "prefill", "rank", "decode"])
def test_rows_agree_with_the_interpreter_over_our_protocol_with_turns_and_faults(crash: str) -> None:
    rng, twin = SeededRandom(1), Twin(repaired(**PRODUCTION_LIKE, **FAULTS, crash=crash))
    for _ in range(25):
        assert twin.step([rng.pick(twin.compare())])


@FEWER
@given(st.data())
def test_rows_agree_with_the_interpreter_over_random_systems(data: st.DataObject) -> None:
    twin = Twin(data.draw(systems()))
    for _ in range(4):
        enabled = twin.compare()
        if not enabled or not twin.step([data.draw(st.sampled_from(enabled)), *enabled]):
            break


POLICIES: tuple[Callable[[], Policy], ...] = (RoundRobin, lambda: SeededRandom(3), lambda: Priorities(3, 3, 40))


def slow_run(system: System, policy: Policy, rows: int) -> Iterator[str]:
    """What a lockstep run fires, found by trying every instance."""
    state, fired, last = system.initial_state(), 0, dict[tuple[int, tuple[Value, ...]], int]()
    copies = [(m, c) for m in system.active for c in all_values(m.copies)]
    instances = list(system.instances())
    while fired < rows:
        load = loader(system, state)
        able = [[i for i in instances if i.action.machine is m and i.copy == c and may_fire(i, load)] for m, c in copies]
        ready = [k for k, found in enumerate(able) if found]
        if not ready:
            return
        offers: dict[int, list[Instance]] = {}
        for instance in able[policy.turn(ready)]:
            offers.setdefault(instance.action.number, []).append(instance)
        ordered = sorted(offers.values(), key=lambda o: (o[0].action.row.decided != "observed", last.get((o[0].action.number, o[0].copy), 0)))
        instance = policy.pick((policy.order(ordered) if len(ordered) > 1 else ordered)[0])
        state, fired = successor(system, state, instance), fired + 1
        last[instance.action.number, instance.copy] = fired
        yield str(instance)


def fast_run(system: System, policy: Policy, rows: int) -> Iterator[str]:
    """The same by the engine."""
    driver, time, fired = Driver(system, Store(system)), VirtualTime(), list[str]()
    driver.observers.append(lambda copy, instance, writes: fired.append(str(instance)))
    everybody = {**driver.copies, **driver.environment}
    lockstep = Lockstep([FreeAgent(driver, everybody[m.name, c], time) for m in system.active for c in all_values(m.copies)], time, policy)
    while len(fired) < rows and lockstep.turn():
        yield fired[-1]


def until_an_error(run: Iterator[str]) -> Iterator[str]:
    """A step that leaves its types ends a run; which of several that would is met first is no matter here."""
    try:
        yield from run
    except ProtocolError:
        return


@FEWER
@given(st.data())
def test_a_lockstep_run_is_that_of_the_plain_enumeration(data: st.DataObject) -> None:
    policy = data.draw(st.sampled_from(POLICIES))
    system = data.draw(systems())
    slow = list(until_an_error(slow_run(system, policy(), 12)))
    fast = list(until_an_error(fast_run(system, policy(), 12)))
    assert fast[: len(slow)] == slow


@pytest.mark.parametrize("policy", POLICIES)
def test_a_lockstep_run_of_our_protocol_is_that_of_the_plain_enumeration(policy: Callable[[], Policy]) -> None:
    bounds = {**PRODUCTION_LIKE, "turns": 3, "requests": 2, "chunks": 1}
    slow, fast = (run(repaired(**bounds, aborts=True, repeats=True).focused(), policy(), 150) for run in (slow_run, fast_run))
    assert list(fast) == list(slow)


@pytest.mark.parametrize("group", sorted({s.group for s in BUILDERS.values()}))
def test_every_system_of_the_catalogue_can_be_driven(group: str) -> None:
    for scenario in (s for s in BUILDERS.values() if s.group == group):
        assert list(until_an_error(fast_run(scenario.system(), SeededRandom(5), 60))), scenario.name


class Only(IntEnum):
    HERE = 0


def test_a_guard_fails_in_the_search_where_it_fails_in_the_interpreter() -> None:
    q = choice("rank", RANK)
    lock = Lock("lock")
    found = locked("found", Optional(Range(0, 1)), lock, over=RANK, init=lambda rank: rank or None)
    row = ProtocolRow("look", Only.HERE, None, (found[q].value == 1) & (q == 1), choose=[q], under=lock)
    twin = Twin(System("failing", [Machine("looker", Only, [row])]))
    twin.compare()
    assert outcome(lambda: list(twin.rows[0].bind(cells_of(twin.numbering, twin.state)).search())) is OutOfRange


def test_two_stores_into_one_place_are_found_where_they_meet() -> None:
    a, b = choice("a", RANK), choice("b", RANK)
    taken = private("taken", BOOL, over=RANK)
    row = ProtocolRow("take", Only.HERE, None, True, [taken[a].set(True), taken[b].set(False)], choose=[a, b])
    twin = Twin(System("double", [Machine("taker", Only, [row])]))
    assert len(twin.compare()) == 4
    assert outcome(lambda: twin.rows[0].bind(cells_of(twin.numbering, twin.state)).effects(1, 1)) is DoubleWrite
