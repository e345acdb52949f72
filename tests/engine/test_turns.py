"""What a live process heeds: who polls in vain waits for whatever its loop looks at, not only for what the state that it has come back to does."""

from __future__ import annotations

from typing import Any

from engine.driver import Driver
from engine.roles.binding import Bindings, Outcome, decides
from engine.runtime.turns import CopyClock, Player
from engine.store import Store
from protocol.machines.signalling.forward_signal import build


class Scheduler:
    """Schedules whatever it is asked."""

    @decides("gate.schedule", "gate.schedule_nothing")
    def schedule(self, open_rows: list[Outcome]) -> Outcome:
        """The first."""
        return open_rows[0]


def test_a_gate_that_has_found_a_forward_running_heeds_the_signal() -> None:
    """It is back where it looks at the queue, which is empty and stays so: only the signal's fall lets it go on."""
    system = build("repaired", ranks=1, batches=None).focused()
    store: Any = Store(system)
    driver = Driver(system, store)
    signal = next(variable for variable in system.variables if variable.name == "forward_signal")
    store.cells(signal)[0] = True
    store.recorded, store.since, store.finds = False, None, None
    bindings = Bindings(system, [Scheduler()], ["gate"])
    player = Player(driver, driver.copies["gate", ()], bindings, CopyClock(), None, lambda data: None, store, {})
    names = [variable.name for variable in system.variables]
    looks_at = {"find_queue_empty": "queue_filled", "find_forward_over": "forward_signal", "find_forward_running": "forward_signal"}
    for action in player.actions:
        if action.row.event in looks_at:
            name = looks_at[action.row.event]
            player.mention(action, names.index(name), name)
    while player.wakes == 0:
        player.play()
    assert player.copy.state.name == "CHECKING" and player.fired == 2
    assert player.heeds == 1 << names.index("queue_filled") | 1 << names.index("forward_signal")
