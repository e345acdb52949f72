"""The store of one process: cells at rest need no room, and cargo travels with its row."""

import pytest

from engine.driver import Driver
from engine.numbering import SPARSE_CELLS, indices_at
from engine.row import Write
from engine.store import Sparse, Store
from protocol import BOOL, Index, Machine, Range, Row, System, choice, private, unlocked
from protocol.types import flat_index

from .ordering import order
from .small_system import RANK, Giver, build


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
    order(driver, "giver.ask", turn=5)
    assert isinstance(store.cells(plain), list) and list(store.cells(asked).active()) == [SPARSE_CELLS + 1 + 5]
    assert store.load(asked, (1, 5)) is True and store.load(asked, (0, 5)) is False


@pytest.mark.parametrize("place", range(6))
def test_a_place_tells_its_indices(place: int) -> None:
    variable = private("v", BOOL, over=(Index("row", 2), Range(-1, 1)))
    assert flat_index(variable.over, indices_at(variable, place)) == place


def test_cargo_is_found_by_the_row_that_reads_what_it_lies_beside() -> None:
    system = build()
    store, number = Store(system), system.position[id(system.variable("box_filled"))]
    write: list[Write] = [(number, 0, True)]
    assert store.commit(write, {}, "word") is None
    assert store.commit([], {(number, 0): True}) == "word"
    store.commit(write, {})
    assert store.commit([], {(number, 0): True}) is None
