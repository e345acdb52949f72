"""Firing rows: steps, rows that are not enabled, handlers that are missing or bound to nothing."""

from collections.abc import Sequence
from enum import IntEnum

import pytest

from engine.binding import Bindings, Outcome, after, carries, decides
from engine.clock import VirtualClock
from engine.driver import Copy, Driver
from engine.meter import Meter
from engine.runtime.agent import Agent
from engine.store import Store
from protocol import BOOL, DefinitionError, GuardFailed, Machine, Process, Range, Row, System, choice, me, private, world
from protocol.action import Instance

from .ordering import order
from .small_system import RANK, Giver, Taker, build


@pytest.fixture
def driver() -> Driver:
    system = build()
    return Driver(system, Store(system))


def row(copy: Copy, event: str, *values: int) -> Instance:
    return next(Instance(a, copy.indices, values) for rows in copy.rows.values() for a in rows if a.row.event == event)


class Choosing:
    """Decides on a number, and puts a word along with it."""

    def __init__(self, outcome: Outcome | None):
        self.outcome = outcome

    @decides("giver.choose_number")
    def choose(self, open_rows: Sequence[Outcome]) -> Outcome | None:
        return self.outcome

    @carries("giver.give")
    def contents(self, outcome: Outcome) -> str:
        return "word"


def test_a_fired_row_is_a_step_with_what_it_read_and_wrote(driver: Driver) -> None:
    giver, taker = driver.copies["giver", ()], driver.copies["taker", (1,)]
    driver.fire(giver, row(giver, "choose_number", 2))
    step = driver.fire(giver, row(giver, "give"), "word")
    assert (step.name, step.copy_name, giver.state) == ("giver.give", "giver", Giver.WAITING)
    assert step.writes == {"box": "<2>", "box_filled": "True"}
    step = driver.fire(taker, row(taker, "take"))
    assert step.cargo == "word" and step.reads["box"] == "<2>" and taker.state is Taker.MEETING


def test_a_row_that_is_not_enabled_changes_nothing(driver: Driver) -> None:
    taker = driver.copies["taker", (0,)]
    take = row(taker, "take")
    assert list(driver.enabled(taker)) == [] and driver.attempt(taker, take) is None and taker.state is Taker.TAKING
    with pytest.raises(GuardFailed, match=r"taker\[0\]\.take: not enabled in state TAKING"):
        driver.fire(taker, take)
    assert driver.attempt(taker, row(taker, "meet")) is None


def test_a_row_that_names_another_rank_is_no_row_of_this_copy(driver: Driver) -> None:
    assert [a.row.event for a in driver.copies["taker", (0,)].rows[Taker.DONE]] == ["start_over"]
    assert driver.copies["taker", (1,)].rows[Taker.DONE] == []


def test_a_decided_row_fires_on_its_handlers_word_only(driver: Driver) -> None:
    role, giver = Choosing(None), driver.copies["giver", ()]
    agent = Agent(driver, giver, Bindings(driver.system, [role], ["giver"]), VirtualClock(), None, lambda data: None)
    assert not agent.turn() and giver.state is Giver.CHOOSING
    role.outcome = Outcome("choose_number", (1,))
    assert agent.turn() and agent.turn() and agent.fired == 2
    assert driver.store.load(driver.system.variable("box"), ()) == (1,)


def test_a_decision_on_a_row_that_is_not_open_is_an_error(driver: Driver) -> None:
    bindings = Bindings(driver.system, [Choosing(Outcome("give"))], ["giver"])
    agent = Agent(driver, driver.copies["giver", ()], bindings, VirtualClock(), None, lambda data: None)
    with pytest.raises(DefinitionError, match="giver: its handler decided on give; open are choose_number"):
        agent.turn()


class Gate(IntEnum):
    SCHEDULING, PUTTING = range(2)


class Scheduling:
    """Decides between two rows."""

    @decides("gate.schedule", "gate.schedule_nothing")
    def schedule(self, open_rows: Sequence[Outcome]) -> Outcome | None:
        return Outcome("schedule")


@pytest.mark.parametrize("meter", [None, Meter()], ids=["plain", "metered"])
def test_rows_that_one_handler_decides_are_offered_to_it_together(meter: Meter | None) -> None:
    rows = [
        Row("schedule_nothing", Gate.SCHEDULING, Gate.SCHEDULING, True, [], decided="decided"),
        Row("schedule", Gate.SCHEDULING, Gate.PUTTING, True, [], decided="decided"),
    ]
    system = System("gate", [Machine("gate", Gate, rows)])
    driver = Driver(system, Store(system))
    gate = driver.copies["gate", ()]
    agent = Agent(driver, gate, Bindings(system, [Scheduling()], ["gate"], meter), VirtualClock(), None, lambda data: None)
    assert agent.turn() and gate.state is Gate.PUTTING


def test_a_decided_row_without_a_handler_is_an_error_at_start(driver: Driver) -> None:
    with pytest.raises(DefinitionError, match="giver.choose_number is decided by a handler and has none"):
        Bindings(driver.system, [], ["giver"])
    Bindings(driver.system, [], ["taker"])


def test_a_handler_for_a_row_that_does_not_exist_is_an_error_at_start(driver: Driver) -> None:
    class Misnamed:
        @after("taker.took")
        def act(self, step: object) -> None: ...

    with pytest.raises(DefinitionError, match="Misnamed.act is bound to taker.took, which system small has not"):
        Bindings(driver.system, [Misnamed()], ["taker"])


def test_a_role_says_of_which_machine_its_events_are(driver: Driver) -> None:
    class Taking:
        @after(".take")
        def act(self, step: object) -> None: ...

    class Taker(Taking):
        machine = "taker"

    assert Bindings(driver.system, [Taker()], ["taker"]).of("taker.take").after is not None
    with pytest.raises(DefinitionError, match=r"Taking.act is bound to .take, which system small has not"):
        Bindings(driver.system, [Taking()], ["taker"])


def test_two_handlers_for_one_row_are_an_error_at_start(driver: Driver) -> None:
    with pytest.raises(DefinitionError, match="giver.choose_number has two handlers"):
        Bindings(driver.system, [Choosing(None), Choosing(None)], ["giver"])


class World(IntEnum):
    RUNNING = 0


class Worker(IntEnum):
    LOOKING, WORKING = range(2)


def breakable() -> Driver:
    """Two workers of one process each; the world may take a link down, and end a process."""
    rank, dead = me(RANK), choice("rank", RANK)
    process, link = Process("host", over=RANK), world("link_up", BOOL, init=True)
    count = private("looks", Range(0, 3), over=RANK)
    rows = [
        Row("look", Worker.LOOKING, Worker.WORKING, link & (count[rank] < 3), [count[rank].add(1)]),
        Row("go_on", Worker.WORKING, Worker.LOOKING),
        Row("rest", Worker.LOOKING, None, link),
    ]
    run = World.RUNNING
    faults = [
        Row("cut", run, run, link, [link.set(False)], decided="observed"),
        Row("crash", run, run, process.is_alive(dead), [process.crash(dead)], choose=[dead], decided="observed"),
    ]
    workers = Machine("worker", Worker, rows, copies=RANK, process=process)
    system = System("breakable", [workers, Machine("faults", World, faults, environment=True)])
    return Driver(system, Store(system))


def agent_of(driver: Driver, *key: int) -> Agent:
    return Agent(driver, driver.copies["worker", key], Bindings(driver.system, [], []), VirtualClock(), None, lambda data: None)


def test_the_environments_rows_fire_on_order_only_and_the_others_see_what_they_did() -> None:
    driver = breakable()
    assert [copy.name for copy in driver.copies.values()] == ["worker[0]", "worker[1]"]
    step = order(driver, "faults.cut")
    assert step.writes == {"link_up": "False"} and step.stored[driver.system.variable("link_up"), ()] is False
    assert not agent_of(driver, 0).turn()
    with pytest.raises(GuardFailed, match="faults.cut: not enabled in state RUNNING"):
        order(driver, "faults.cut")


def test_a_crash_resets_the_state_and_what_is_private_to_the_dead_copy() -> None:
    driver = breakable()
    for rank in (0, 1):
        assert agent_of(driver, rank).turn()
    order(driver, "faults.crash", rank=1)
    first, second = driver.copies["worker", (0,)], driver.copies["worker", (1,)]
    assert (first.state, second.state) == (Worker.WORKING, Worker.LOOKING)
    looks = driver.system.variable("looks")
    assert [driver.store.load(looks, (rank,)) for rank in (0, 1)] == [1, 0]
    assert list(driver.enabled(second)) == [] and agent_of(driver, 0).turn()


def test_a_row_that_stays_enabled_has_its_turn() -> None:
    driver, fired = breakable(), list[str]()
    driver.observers.append(lambda copy, instance, writes: fired.append(instance.action.row.event))
    agent = agent_of(driver, 0)
    for _ in range(6):
        agent.turn()
    assert fired == ["look", "go_on", "rest", "look", "go_on", "rest"]
