"""Turns: the copies of one live process, one row at a time, and nothing at all while no row of theirs can fire.

A copy is looked at again when a cell in a guard of its rows has changed, a letter has come, or a time that it waits for is
here; a row that was found not to be enabled, when a cell in its own guard has. A polling loop that went round without news is not
gone round again before there are some: the same look would come to the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from multiprocessing.connection import Connection
from select import POLLIN, poll
from typing import Any

from protocol.action import Action, Instance

from ..clock import LiveClock, Sleeper
from ..driver import Copy, Driver
from ..log import LogPart
from ..queue_server import Client
from ..roles.binding import Bindings
from .agent import Agent, Offer
from .alarms import Alarms
from .directory import Key, Span
from .live_store import LiveStore, Note, Stale
from .placement import Crew

ROUNDS_BETWEEN_LOOKS = 64
"""A busy process looks for news and for the order to stop every so many rounds; an idle one at once."""
LOOK_S = 1.0
"""The longest time without a turn: a heartbeat, and a second look at everything."""

ALL_ROWS = -1
NOTHING: Offer = []


class CopyClock(Sleeper, LiveClock):
    """One copy's clock: who sleeps gets no turn until then, and holds nobody else of the process up."""

    now = LiveClock.now


class Player(Agent):
    """The agent of one copy in a live process: it fires again what was overtaken, and knows when a look is worth it."""

    def __init__(
        self,
        driver: Driver,
        copy: Copy,
        bindings: Bindings,
        clock: CopyClock,
        log: LogPart | None,
        deliver: Callable[[Any], None],
        store: LiveStore,
        timers: Mapping[str, float],
    ):
        super().__init__(driver, copy, bindings, clock, log, deliver)
        self.name, self._own, self._store, self._alarms = copy.name, clock, store, Alarms(driver, copy, timers)
        self._ready, self._news, self._in_vain = True, False, False
        self.actions = list({action.number: action for rows in copy.rows.values() for action in rows}.values())
        self._bits = {action.number: 1 << k for k, action in enumerate(self.actions)}
        self._closed = 0
        self.asks = any(self._handler(action) is not None for action in self.actions)
        """Whether some of its rows wait for a handler's word."""
        self.has_acted = False
        """Whether a handler has acted in its last turn."""

    @property
    def wakes(self) -> float:
        """When it wants a turn: 0 for now, infinity for not before there are news."""
        own = self._own.wakes if self._ready else math.inf
        return own if own <= 0 else min(own, self._alarms.next)

    def bit(self, action: Action) -> int:
        """What stands for the row in a set of the copy's rows."""
        return self._bits[action.number]

    def reopen(self, rows: int) -> None:
        """Cells in the guards of these rows have changed."""
        self._closed &= ~rows

    def rouse(self, variable: str = "") -> None:
        """That variable, which guards of its rows mention, has changed; or a letter has come."""
        self._news = self._ready
        self._ready = True
        self._own.rouse(variable)

    def play(self) -> bool:
        """A turn, and when to take the next; whether a row has fired."""
        self._ready = self._in_vain = self.has_acted = False
        self._alarms.wind(self._own.now())
        fired = self.turn()
        if fired and not self._in_vain:
            self._ready = True
        elif fired:
            self._ready, self._news = self._ready or self._news, False
        if self._own.wakes > self._own.now():
            self._ready = True
        return fired

    def _enabled(self, action: Action) -> Offer:
        bit = self._bits[action.number]
        if self._closed & bit:
            return NOTHING
        found = super()._enabled(action)
        if not found:
            self._closed |= bit
        return found

    def _rest(self) -> None:
        self._in_vain = True

    def _fire(self, instance: Instance) -> bool:
        while True:
            if self._store.recorded:
                values = {p.name: p.type.show(v) for p, v in zip(instance.action.row.choose, instance.values)}
                self._store.note = Note(self._store.name, self.name, instance.action.row.event, values, self._own.now(), self.fired)
            try:
                fired = super()._fire(instance)
            except Stale:
                continue
            if fired:
                self._alarms.stop(instance)
                self.has_acted = self._bindings.after(instance.action.name) is not None
            return fired

    def _is_due(self, instance: Instance) -> bool:
        return self._alarms.is_due(instance, self._own.now())


class Turns:
    """The players of a process, and what they wait for.

    Args:
        guarding: which cells the guards of a player's rows mention.
        control: readable when the process is to stop.
        beat: told the time of every round. names: of the variables, by number.
    """

    def __init__(
        self,
        players: Sequence[Player],
        guarding: Iterable[tuple[Span, Player, Action]],
        stores: Iterable[LiveStore],
        client: Client,
        crew: Crew,
        control: Connection,
        beat: Callable[[float], None],
        names: Sequence[str],
    ):
        self._names = names
        self._players, self._stores, self._client, self._crew, self._control, self._beat = players, list(stores), client, crew, control, beat
        self._clock = LiveClock()
        rows: dict[tuple[Span, Player], int] = {}
        for span, player, action in guarding:
            rows[span, player] = rows.get((span, player), 0) | player.bit(action)
        self._watching: dict[int, list[tuple[int, int, Player, int]]] = {}
        for ((number, first, end), player), bits in rows.items():
            self._watching.setdefault(number, []).append((first, end, player, bits))
        self._poll = poll()
        self._poll.register(client.fileno(), POLLIN)
        self._poll.register(control.fileno(), POLLIN)

    def run(self) -> None:
        """Until told to stop.

        Raises:
            EOFError: the queue server or the supervisor has gone.
        """
        rounds = 0
        while True:
            rounds += 1
            if not self._round():
                if self._wait():
                    return
            elif rounds % ROUNDS_BETWEEN_LOOKS == 0:
                self._client.await_news()
                self._client.take_news()
                if self._control.poll():
                    return

    def _round(self) -> bool:
        """A turn for everybody who wants one; whether there was any."""
        now, any_played = self._clock.now(), False
        self._beat(now)
        for player in self._players:
            if player.wakes <= now:
                any_played = True
                player.play()
                self._spread(player)
                if player.has_acted:
                    # What a handler has done may be what another handler of this process has waited for.
                    for other in self._players:
                        if other.asks and other is not player:
                            other.rouse()
        self._crew.settle()
        return any_played

    def _spread(self, author: Player | None = None) -> None:
        """Rouse those whose cells have changed, here or elsewhere."""
        for store in self._stores:
            self._rouse(store.written, author)
            store.written.clear()
        self._rouse(self._client.changed, None)
        self._client.changed.clear()
        if self._client.letters:
            letters, self._client.letters = self._client.letters, []
            for letter in letters:
                self._crew.receive(letter)
            for player in self._players:
                player.rouse()

    def _rouse(self, keys: Iterable[Key], author: Player | None) -> None:
        for number, place in keys:
            for first, end, player, rows in self._watching.get(number, ()):
                if first <= place < end:
                    player.reopen(rows)
                    if player is not author:
                        player.rouse(self._names[number])

    def _wait(self) -> bool:
        """Until there are news or somebody's time has come; whether to stop."""
        self._client.await_news()
        left = min((p.wakes for p in self._players), default=math.inf) - self._clock.now()
        ready = {handle for handle, _ in self._poll.poll(1000 * min(max(left, 0.0), LOOK_S))}
        if self._control.fileno() in ready:
            return True
        if self._client.fileno() in ready:
            self._client.take_news()
        elif left > LOOK_S:
            # Who has stored to a register and was killed before it could say so leaves a change that nobody hears of.
            for player in self._players:
                player.reopen(ALL_ROWS)
                player.rouse()
        self._spread()
        return False
