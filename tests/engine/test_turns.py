"""What a live process heeds: who polls in vain waits for whatever its loop looks at, not only for what the state that it has come back to does."""

from __future__ import annotations

import math
import multiprocessing
import socket
from multiprocessing.connection import Connection
from types import SimpleNamespace
from typing import Any, cast

from engine.binding import Bindings, Outcome, decides
from engine.driver import Driver
from engine.runtime.heeds import Heeds, Vainly
from engine.runtime.placement import Crew, Letter
from engine.runtime.polling import vain_rows
from engine.runtime.turns import ROUNDS_BETWEEN_LOOKS, ROWS_IN_A_TURN, CopyClock, Player, Turns
from engine.store import Store
from protocol.machines.signalling.forward_signal import build


class Scheduler:
    """Schedules whatever it is asked."""

    @decides("gate.schedule", "gate.schedule_nothing")
    def schedule(self, open_rows: list[Outcome]) -> Outcome:
        """The first."""
        return open_rows[0]


def gate(*, forward_running: bool) -> tuple[Player, list[str]]:
    """A gate that has not yet had a turn, and the names of the variables by number."""
    system = build("repaired", ranks=1, batches=None).focused()
    store: Any = Store(system)
    driver = Driver(system, store)
    signal = next(variable for variable in system.variables if variable.name == "forward_signal")
    store.cells(signal)[0] = forward_running
    store.recorded, store.since, store.finds, store.announce = False, None, None, lambda: None
    bindings = Bindings(system, [Scheduler()], ["gate"])
    player = Player(driver, driver.copies["gate", ()], bindings, CopyClock(), None, lambda data: None, store, {})
    names = [variable.name for variable in system.variables]
    looks_at = {"find_queue_empty": "queue_filled", "find_forward_over": "forward_signal", "find_forward_running": "forward_signal"}
    for action in player.actions:
        if action.row.event in looks_at:
            name = looks_at[action.row.event]
            player.mention(action, names.index(name), name)
    return player, names


def test_a_gate_that_has_found_a_forward_running_heeds_the_signal() -> None:
    """It is back where it looks at the queue, which is empty and stays so: only the signal's fall lets it go on."""
    player, names = gate(forward_running=True)
    while player.wakes == 0:
        player.play(0.0)
    assert player.copy.state.name == "CHECKING" and player.fired == 2
    both = 1 << names.index("queue_filled") | 1 << names.index("forward_signal")
    assert player.heeds == Heeds(both)


def test_a_gate_whose_batch_is_under_way_is_not_woken_to_find_a_forward_running() -> None:
    """The queue runs empty while the signal is up: only its fall, or the queue's news once it is down, could give the gate something to do."""
    player, names = gate(forward_running=False)
    key = names.index("forward_signal"), 0
    for state, action, variable, where, values in vain_rows(player.copy, player.is_quiet):
        assert (state.name, action.row.event, variable.name, where, values) == ("CHECKING", "find_queue_empty", "forward_signal", (), {True})
        player.is_vain(state, action, key, [1])
    both = 1 << names.index("queue_filled") | 1 << names.index("forward_signal")
    assert player.copy.state.name == "CHECKING" and player.heeds == Heeds(0, frozenset({Vainly(both, key, (1,))}))


UNTIL_IT_LOOKS = ROUNDS_BETWEEN_LOOKS * ROWS_IN_A_TURN


class Busy:
    """A player that plays until its process looks up, and once more when it is roused; it notes by what."""

    asks = has_acted = False
    heeds = Heeds()

    def __init__(self, end: Connection):
        self._end, self.wakes, self.played = end, 0.0, 0
        self.roused: list[str] = []

    def bit(self, action: Any) -> int:
        """Of its one row."""
        return 1

    def reopen(self, rows: int) -> None:
        """Nothing is kept."""

    def rouse(self, variable: str = "") -> None:
        """Play again."""
        self.roused.append(variable)
        self.wakes = 0.0

    def play(self, now: float) -> bool:
        """A turn; the last one before the process looks up is the last that it wants."""
        self.played += 1
        if self.played >= UNTIL_IT_LOOKS:
            self.wakes = math.inf
        if self.played > UNTIL_IT_LOOKS:
            self._end.send("stop")
        return True


STORE: Any = SimpleNamespace(written=[])
"""To whose cells nobody stores."""


class News:
    """A client to whom one cell has changed when it looks up for the first time."""

    def __init__(self) -> None:
        self._socket, self._other = socket.socketpair()
        self.changed: list[tuple[int, int]] = []
        self.letters: list[Any] = []
        self._news = [(0, 0)]

    def fileno(self) -> int:
        """Of a socket on which nothing comes any more."""
        return self._socket.fileno()

    def await_news(self, heeds: int = 0) -> None:
        """Nobody answers."""

    def take_news(self) -> None:
        """Once there is something."""
        self.changed += self._news
        self._news = []


def test_news_that_a_busy_process_takes_between_two_rounds_rouse_whom_they_concern() -> None:
    """They have left the socket, so that a process with nothing else to do would sleep on beside them."""
    ours, theirs = multiprocessing.Pipe()
    player: Any = Busy(theirs)
    client: Any = News()
    Turns([player], [((0, 0, 1), player, cast(Any, None))], STORE, client, Crew(), ours, lambda now: None, ["cell"]).run()
    assert player.roused[0] == "cell" and player.played == UNTIL_IT_LOOKS + 1


def test_a_letter_is_news_to_whoever_is_awake_too() -> None:
    """It may be about to doze off: a rank that is summoned to a batch while it goes round would else sleep through it."""
    ours, theirs = multiprocessing.Pipe()
    player: Any = Busy(theirs)
    client: Any = News()
    client.letters.append(Letter("gate", None))
    Turns([player], [((0, 0, 1), player, cast(Any, None))], STORE, client, Crew(), ours, lambda now: None, ["cell"]).run()
    assert player.roused[0] == "" and player.played > ROUNDS_BETWEEN_LOOKS
