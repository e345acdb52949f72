"""Turns: the copies of one live process, one row at a time, and nothing at all while no row of theirs can fire.

A copy is looked at again when a cell that its rows mention has changed, a letter has come, or a time that it waits for is
here. A polling loop that went round without news is not gone round again before there are some: the same look would come to the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from multiprocessing.connection import Connection
from select import POLLIN, poll
from typing import Any

from protocol.lower import Instance

from ..clock import LiveClock
from ..driver import Copy, Driver
from ..log import LogPart
from ..queue_server import Client
from ..roles.binding import Bindings
from .agent import Agent
from .alarms import Alarms
from .directory import Key, Span
from .live_store import LiveStore, Note, Stale
from .placement import Crew

ROUNDS_BETWEEN_LOOKS = 64
"""A busy process looks for news and for the order to stop every so many rounds; an idle one at once."""
LOOK_S = 1.0
"""The longest time without a turn: a heartbeat, and a second look at everything."""


class CopyClock(LiveClock):
    """One copy's clock: who sleeps gets no turn until then, and holds nobody else of the process up."""

    def __init__(self) -> None:
        self.wakes = 0.0
        self._waits_for: frozenset[str] | None = None
        self._changed: set[str] = set()

    def sleep(self, seconds: float) -> None:
        """Give the copy no turn for so long."""
        self.wakes, self._waits_for = self.now() + max(0.0, seconds), None

    def doze(self, seconds: float, *variables: str) -> None:
        """Give the copy no turn for so long, or until it is roused; see `clock.Clock`. What changed since the last time counts."""
        waits_for, changed = frozenset(variables), self._changed
        self._changed = set()
        if not _concerns(changed, waits_for):
            self.sleep(seconds)
            self._waits_for = waits_for

    def rouse(self, variable: str) -> None:
        """That variable has changed; or, without a name, a letter has come."""
        self._changed.add(variable)
        if self._waits_for is not None and _concerns({variable}, self._waits_for):
            self.wakes, self._waits_for = 0.0, None


def _concerns(changed: Set[str], waits_for: Set[str]) -> bool:
    return bool(changed) if not waits_for else bool(changed & waits_for) or "" in changed


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
        self.asks = any(self._handler(action) is not None for rows in copy.rows.values() for action in rows)
        """Whether some of its rows wait for a handler's word."""
        self.has_acted = False
        """Whether a handler has acted in its last turn."""

    @property
    def wakes(self) -> float:
        """When it wants a turn: 0 for now, infinity for not before there are news."""
        return min(self._own.wakes if self._ready else math.inf, self._alarms.next)

    def rouse(self, variable: str = "") -> None:
        """That variable, which its rows mention, has changed; or a letter has come."""
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
        watched: which player's rows mention which cells.
        control: readable when the process is to stop.
        beat: told the time of every round. names: of the variables, by number.
    """

    def __init__(
        self,
        players: Sequence[Player],
        watched: Iterable[tuple[Span, Player]],
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
        self._watching: dict[int, list[tuple[int, int, Player]]] = {}
        for (number, first, end), player in watched:
            self._watching.setdefault(number, []).append((first, end, player))
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
            for first, end, player in self._watching.get(number, ()):
                if first <= place < end and player is not author:
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
            for player in self._players:
                player.rouse()
        self._spread()
        return False
