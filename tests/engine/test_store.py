"""The local store: cells at rest need no room, cargo travels with its row, and rows fire over a remote store alike."""

import pytest

from engine.driver import Driver
from engine.numbering import SPARSE_CELLS, indices_at
from engine.row import Write
from engine.store import Sparse, Store
from protocol import BOOL, Index, Machine, Range, Row, System, choice, private, unlocked
from protocol.evaluate import Writes
from protocol.lower import Action
from protocol.types import Value, flat_index
from protocol.variable import Variable

from .small_system import RANK, Giver, Taker, build


def take_turns(driver: Driver, fires: dict[str, tuple[int, ...]]) -> list[str]:
    """Fire what is enabled, copy after copy, until nothing is; decided rows only with the values given."""
    fired = []
    progress = True
    while progress:
        progress = False
        for copy in driver.copies.values():
            for instance in list(driver.enabled(copy)):
                if instance.values == fires.get(instance.action.row.event, ()) and driver.attempt(copy, instance):
                    fired.append(str(instance))
                    progress = True
                    break
    return fired


class Elsewhere:
    """A store whose cells are fetched one by one, and which counts its transactions."""

    def __init__(self, system: System):
        self.values = {(v.name, k): value for v in system.variables for k, value in enumerate(v.initial)}
        self.open = self.begun = 0

    def begin(self, action: Action, *, firing: bool = True) -> None:
        self.open += 1
        self.begun += 1

    def load(self, variable: Variable, where: tuple[Value, ...]) -> Value:
        return self.values[variable.name, flat_index(variable.over, where)]

    def commit(self, writes: Writes, cargo: object = None) -> None:
        self.open -= 1
        self.values.update(((v.name, flat_index(v.over, where)), value) for v, where, value in writes)

    def abandon(self) -> None:
        self.open -= 1


def test_a_cell_at_rest_takes_no_room() -> None:
    cells = Sparse(False)
    cells[7] = True
    cells[9] = False
    assert cells[7] is True and cells[8] is False and list(cells.active()) == [7]
    cells[7] = False
    assert len(cells) == 0


def test_a_variable_with_many_cells_keeps_what_has_changed() -> None:
    turn, q = Range(0, SPARSE_CELLS), choice("turn", Range(0, SPARSE_CELLS))
    asked, plain = unlocked("asked", BOOL, over=(RANK, turn)), unlocked("plain", BOOL, over=RANK)
    rows = [Row("ask", Giver.CHOOSING, None, True, [asked[1, q].set(True)], choose=[q]), Row("see", Giver.GIVING, None, plain[0])]
    system = System("turns", [Machine("giver", Giver, rows)])
    store = Store(system)
    driver = Driver(system, store)
    driver.order("giver.ask", turn=5)
    assert isinstance(store.cells(plain), list) and list(store.cells(asked).active()) == [SPARSE_CELLS + 1 + 5]
    assert store.load(asked, (1, 5)) is True and store.load(asked, (0, 5)) is False


@pytest.mark.parametrize("place", range(6))
def test_a_place_tells_its_indices(place: int) -> None:
    variable = private("v", BOOL, over=(Index("row", 2), Range(-1, 1)))
    assert flat_index(variable.over, indices_at(variable, place)) == place


def test_the_same_rows_fire_over_a_remote_store() -> None:
    def finish(system: System, store: Store | Elsewhere) -> tuple[list[str], list[int]]:
        driver = Driver(system, store)
        return take_turns(driver, {"choose_number": (2,)}), [int(c.state) for c in driver.copies.values()]

    remote, local = build(), build()
    elsewhere = Elsewhere(remote)
    fired, states = finish(remote, elsewhere)
    assert (fired, states) == finish(local, Store(local))
    assert elsewhere.open == 0 and elsewhere.begun > len(fired)
    assert "taker[1].take" in fired and Taker.DONE in states


def test_cargo_is_found_by_the_row_that_reads_what_it_lies_beside() -> None:
    system = build()
    store, number = Store(system), system.position[id(system.variable("box_filled"))]
    write: list[Write] = [(number, 0, True)]
    assert store.commit(write, {}, "word") is None
    assert store.commit([], {(number, 0): True}) == "word"
    store.commit(write, {})
    assert store.commit([], {(number, 0): True}) is None
