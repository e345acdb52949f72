"""A system that was handed over to another process is the one that was built."""

from __future__ import annotations

import pickle

from engine.disaggregated.plant import Plant
from engine.model.config import TINY
from engine.numbering import Numbering
from engine.row import Row
from protocol.evaluate import loader, may_fire
from protocol.machines.repaired.protocol import build
from protocol.system import System


def copy_of(system: System) -> System:
    return pickle.loads(pickle.dumps(system))  # type: ignore[no-any-return]


def test_a_copy_has_the_same_rows_over_the_same_cells() -> None:
    system = Plant(TINY, ranks=2, decodes=2, mortal=True).protocol.system()
    copy = copy_of(system)
    assert [(v.name, v.type, v.medium, v.initial) for v in copy.variables] == [(v.name, v.type, v.medium, v.initial) for v in system.variables]
    rows, copies = ([Row(action, Numbering(each)).text for action in each.actions] for each in (system, copy))
    assert rows == copies and len(rows) > 100


def test_a_copy_can_do_and_asks_the_same() -> None:
    system = build(crash="any", repeats=True, ranks=2)
    copy = copy_of(system)
    able = [
        [(a.name, i.copy, i.values) for a in each.actions for i in a.instances() if may_fire(i, loader(each, each.initial_state()))]
        for each in (system, copy)
    ]
    assert able[0] == able[1] and able[0]
    assert [(p.name, str(p.expr)) for p in copy.properties] == [(p.name, str(p.expr)) for p in system.properties]
    assert str(copy.all_final()) == str(system.all_final())
