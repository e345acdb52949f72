"""Turns: the copies of one live process, a few rows each, and nothing at all while no row of theirs can fire.

A copy is looked at again when a cell in a guard of its rows has changed, a letter has come, or a time that it waits for is
here; of its rows, those are searched anew in whose guard a cell has changed. A process is roused by the variables that its copies
heed: those in guards of rows that can leave the state that they are in. A handler that has left a row alone is asked again when a letter
has come or another handler of the process has acted; what else changes does not change its word. A polling loop that went round without news is not
gone round again before there are some: the same look would come to the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import IntEnum
from functools import partial, reduce
from multiprocessing.connection import Connection
from operator import or_
from select import POLLIN, poll
from typing import Any

from protocol.action import Action, Instance

from ..binding import Bindings, Handlers
from ..clock import LiveClock, Sleeper
from ..driver import Copy, Driver
from ..step import Step
from .agent import Agent, Offer
from .alarms import Alarms
from .directory import Key, Span
from .heeds import Heeds, Vainly
from .journal import Journal
from .live_store import LiveStore, Stale
from .placement import Crew
from .queue_client import Client

ROUNDS_BETWEEN_LOOKS = 8
"""A busy process looks for news and for the order to stop every so many rounds; an idle one at once."""
ROWS_IN_A_TURN = 8
"""A copy goes on for so many rows before the next one has its turn: what its rows take is in the caches."""
ROWS_AT_ONCE = 3
"""Rows that are worth being written down before a handler acts: afterwards they would have to be fetched from memory."""
LOOK_S = 1.0
"""The longest time without a turn: a heartbeat, and a second look at everything."""

ALL_ROWS = -1


class CopyClock(Sleeper, LiveClock):
    """One copy's clock: who sleeps gets no turn until then, and holds nobody else of the process up."""

    now = staticmethod(LiveClock.now)


class Player(Agent):
    """The agent of one copy in a live process: it fires again what was overtaken, and knows when a look is worth it."""

    def __init__(
        self,
        driver: Driver,
        copy: Copy,
        bindings: Bindings,
        clock: CopyClock,
        journal: Journal | None,
        deliver: Callable[[Any], None],
        store: LiveStore,
        timers: Mapping[str, float],
    ):
        super().__init__(driver, copy, bindings, clock, journal, deliver)
        self.name, self._own, self._store, self._alarms = copy.name, clock, store, Alarms(driver, copy, timers)
        self._ready, self._news, self._in_vain = True, False, False
        self.actions = list({action.number: action for rows in copy.rows.values() for action in rows}.values())
        self._bits = {action.number: 1 << k for k, action in enumerate(self.actions)}
        self._found: dict[int, Offer] = {}
        self._known = self._left = 0
        self._mentioned: dict[int, int] = {}
        self._heeded: dict[tuple[IntEnum, int, frozenset[str] | None], Heeds] = {}
        self._vain: dict[tuple[IntEnum, int], Vainly] = {}
        self._bit_of: dict[str, int] = {}
        self.has_acted = False
        """Whether a handler has acted in its last turn."""
        self._journal, self._tried_at = journal, 0.0

    @property
    def wakes(self) -> float:
        """When it wants a turn: 0 for now, infinity for not before there are news."""
        own = self._own.wakes if self._ready else math.inf
        return own if own <= 0 else min(own, self._alarms.next)

    def bit(self, action: Action) -> int:
        """What stands for the row in a set of the copy's rows."""
        return self._bits[action.number]

    def mention(self, action: Action, number: int, name: str) -> None:
        """The row's guard mentions that variable of the server's."""
        self._bit_of[name] = 1 << number
        self._mentioned[action.number] = self._mentioned.get(action.number, 0) | 1 << number

    def is_quiet(self, action: Action) -> bool:
        """Whether no handler acts behind the row, or carries anything."""
        handlers = self._bindings.of(action.name)
        return not handlers.acts and handlers.carries is None

    def is_vain(self, state: IntEnum, action: Action, key: Key, values: Collection[Any]) -> None:
        """In that state the row leads nowhere while that cell of the server's has one of these values, as they travel."""
        self._vain[state, action.number] = Vainly(self._mentioned.get(action.number, 0) | 1 << key[0], key, tuple(values))

    @property
    def heeds(self) -> Heeds:
        """The variables whose change could give it a row to fire."""
        # Who has polled in vain goes round again when anything has changed that his loop looks at, not only where he stands.
        dozes_for = self._own.dozes_for if not self._in_vain else self._own.dozes_for or frozenset()
        key = self.copy.state, self._left, dozes_for
        found = self._heeded.get(key)
        if found is None:
            found = self._heeded[key] = self._heeds(dozes_for)
        return found

    def _heeds(self, dozes_for: frozenset[str] | None) -> Heeds:
        if dozes_for:
            return Heeds(reduce(or_, (self._bit_of.get(name, 0) for name in dozes_for), 0))
        if dozes_for is not None:
            return Heeds(reduce(or_, self._mentioned.values(), 0))
        always, vainly = 0, set()
        for action, _ in self._plan():
            vain = self._vain.get((self.copy.state, action.number))
            if vain is not None:
                vainly.add(vain)
            elif not self._left & self._bits[action.number]:
                always |= self._mentioned.get(action.number, 0)
        return Heeds(always, frozenset(vainly))

    def reopen(self, rows: int) -> None:
        """Cells in the guards of these rows have changed."""
        self._known &= ~rows

    def rouse(self, variable: str = "") -> None:
        """That variable, which guards of its rows mention, has changed; or a letter has come."""
        self._news = self._ready
        self._ready = True
        self._own.rouse(variable)

    def play(self, now: float) -> bool:
        """A turn, and when to take the next; whether a row has fired."""
        self._ready = self._in_vain = self.has_acted = False
        self._left = 0
        self._alarms.wind(now)
        fired = self.turn()
        if fired and not self._in_vain:
            self._ready = True
        elif fired:
            self._ready, self._news = self._ready or self._news, False
        if self._own.sleeps:
            self._ready = True
        return fired

    def _enabled(self, action: Action) -> Offer:
        number = action.number
        bit = self._bits[number]
        if not self._known & bit:
            self._found[number] = super()._enabled(action)
            self._known |= bit
        return self._found[number]

    def _since(self, began: float) -> float:
        return self._tried_at if self._store.since is None else min(self._tried_at, self._store.since)

    def _leave(self, open_rows: Offer) -> None:
        for instance in open_rows:
            if not instance.values:
                self._left |= self._bits[instance.action.number]

    def _rest(self) -> None:
        self._in_vain = True

    def _fire(self, instance: Instance) -> bool:
        fired = super()._fire(instance)
        if not fired:
            # A register has changed, and nobody has said so yet.
            self.reopen(self.bit(instance.action))
        else:
            self._alarms.stop(instance)
        return fired

    def _attempt(self, instance: Instance, handlers: Handlers, cargo: Any) -> Step | None:
        self._store.finds = handlers.finds
        while True:
            self._tried_at = self._own.now()
            if self._journal is not None and self._store.recorded:
                self._store.note = partial(self._journal.note, self.name, self.fired, instance, began=self._tried_at)
            try:
                step = super()._attempt(instance, handlers, cargo)
            except Stale:
                continue
            self.has_acted = step is not None and handlers.acts
            return step

    def _before_acting(self) -> None:
        self._store.announce()
        if self._journal is not None:
            self._journal.flush(ROWS_AT_ONCE)

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
        store: LiveStore,
        client: Client,
        crew: Crew,
        control: Connection,
        beat: Callable[[float], None],
        names: Sequence[str],
    ):
        self._names = names
        self._acted: set[Player] = set()
        self._players, self._store, self._client, self._crew, self._control, self._beat = players, store, client, crew, control, beat
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
                if not self._ask_again() and self._wait():
                    return
            elif rounds % ROUNDS_BETWEEN_LOOKS == 0:
                self._ask_again()
                self._client.await_news()
                self._client.take_news()
                self._spread()  # no socket tells of them again
                if self._control.poll():
                    return

    def _round(self) -> bool:
        """A turn for everybody who wants one; whether there was any."""
        now, any_played = self._now(), False
        for player in self._players:
            rows = 0
            while rows < ROWS_IN_A_TURN and player.wakes <= now:
                any_played = True
                rows = rows + 1 if player.play(now) else ROWS_IN_A_TURN
                self._spread(player)
                if player.has_acted:
                    self._acted.add(player)
                now = self._now()
        self._crew.settle()
        return any_played

    def _now(self) -> float:
        """The time, told to whoever watches over this process."""
        now = self._clock.now()
        self._beat(now)
        return now

    def _ask_again(self) -> bool:
        """What handlers have done may be what others of this process have waited for; whether somebody wants a turn now."""
        acted, self._acted = self._acted, set()
        waiting = [player for player in self._players if player.asks and acted - {player}]
        for player in waiting:
            player.rouse()
        return bool(waiting)

    def _spread(self, author: Player | None = None) -> None:
        """Rouse those whose cells have changed, here or elsewhere."""
        if self._store.written:
            self._rouse(self._store.written, author)
            self._store.written.clear()
        if self._client.changed:
            self._rouse(self._client.changed, None)
            self._client.changed.clear()
        if self._client.letters:
            letters, self._client.letters = self._client.letters, []
            for letter in letters:
                self._crew.receive(letter)
            for player in self._players:
                player.rouse()  # one that is awake, too: it is not to doze off without having looked

    def _rouse(self, keys: Iterable[Key], author: Player | None) -> None:
        for number, place in keys:
            for first, end, player, rows in self._watching.get(number, ()):
                if first <= place < end:
                    player.reopen(rows)
                    if player is not author:
                        player.rouse(self._names[number])

    def _wait(self) -> bool:
        """Until there are news or somebody's time has come; whether to stop."""
        self._client.await_news(reduce(Heeds.__or__, {player.heeds for player in self._players}, Heeds()))
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
