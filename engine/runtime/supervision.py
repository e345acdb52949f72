"""Supervision: the thread that waits for the deaths, the silence and the words of an engine's processes, and brings back whom it may.

A process that the system knows may die: when it is killed, or is taken for dead, what lives with it is ended, the row of that
crash is fired, and it starts anew if there is a row for that. Whoever is lost on the way back is started again, a bounded
number of times. Any other end of a process ends the engine with one error that names it.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import wait

from ..errors import EngineError
from .faults import SUPERVISOR, FaultRow, Faults
from .household import QUEUE_SERVER, Household
from .placement import Letter, Life
from .process import Child

LOOKS = 4
"""How often the times of a process are looked at within the silence that is allowed: those that stood still at every look count."""


@dataclass(frozen=True)
class Died:
    """What the outside hears when a process has died and the engine goes on: who died with it, and how."""

    names: tuple[str, ...]
    fate: str


@dataclass(frozen=True)
class Returned:
    """What the outside hears when processes that had died run again."""

    names: tuple[str, ...]


@dataclass
class Return:
    """Processes that are to run again by a row.

    Args:
        names: of all. missing: those that are not ready yet. until: when they must be.
        lost: how many of them were lost again meanwhile. due: when those of them that do not run are started again.
    """

    row: FaultRow
    names: frozenset[str]
    missing: set[str]
    until: float
    lost: int = 0
    due: dict[str, float] = field(default_factory=dict)


class Supervision:
    """The thread. `tell` gets every letter to the outside, and the error that ends the engine."""

    def __init__(self, house: Household, faults: Faults, tell: Callable[[Letter | EngineError], None]):
        self._house, self._faults, self._tell, self._patience = house, faults, tell, house.patience
        self.failure: EngineError | None = None
        self._returning: list[Return] = []
        self._look_s = min(self._patience.frozen_s, self._patience.hung_s) / LOOKS
        self._stalls = {"frozen": Stalls(house.last_beat, 2 * self._look_s), "hung": Stalls(house.last_turn, 2 * self._look_s)}
        self._next_look = 0.0
        self._ending, self._end = socket.socketpair()
        self._thread = threading.Thread(target=self._supervise, name="interlock-supervisor", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Supervise no more; whoever ends from now on is expected to. Called again, it does nothing."""
        if self._thread.is_alive():
            self._end.send(b"x")
        self._thread.join()
        self._ending.close()
        self._end.close()

    def await_failure(self) -> None:
        """Wait until it knows what has ended the engine, as something has; not if it was ended before."""
        self._thread.join(self._patience.frozen_s)

    def is_returning(self, name: str) -> bool:
        """Whether the process has died and is not yet back."""
        return any(name in r.names for r in list(self._returning))

    def _supervise(self) -> None:
        assert self._house.client is not None
        try:
            self._house.client.listen()
            while self._watch():
                pass
        except EngineError as error:
            self._fail(error)
        except EOFError:
            self._fail(self._lost_server(self._patience.stop_s))
        except TimeoutError:
            self._fail(self._lost_server(0.0))
        except Exception as error:  # nobody would ever hear of it
            self._fail(EngineError(f"the supervisor failed: {type(error).__name__}: {error}; start the engine again"))

    def _fail(self, error: EngineError) -> None:
        self.failure = error
        self._tell(error)

    def _watch(self) -> bool:
        """One wait for whatever happens next; False once the engine is being stopped."""
        house = self._house
        assert house.client is not None
        self._hand_out()  # what came along while the last event was dealt with: no socket tells of it again
        children = list(house.children.values())
        controls, sentinels = {c.control: c for c in children}, {c.process.sentinel: c for c in children}
        left = max(0.0, self._next_event() - house.clock.now())
        ready = wait([self._ending, house.client, *controls, *sentinels], left)  # type: ignore[list-item]
        if self._ending in ready:
            return False
        if house.client in ready:
            house.client.take_news()
        self._hand_out()
        ended = next((sentinels[handle] for handle in ready if handle in sentinels), None)
        if ended is not None:
            self._ended(ended)
            return True
        for handle in ready:
            if handle in controls:
                self._said(controls[handle])
        self._be_on_time()
        return True

    def _next_event(self) -> float:
        """When something is to be done that nobody announces."""
        times = [moment for r in self._returning for moment in (r.until, *r.due.values())]
        return min([self._next_look, *times])

    def _be_on_time(self) -> None:
        now = self._house.clock.now()
        for back in self._returning:
            for name in sorted(name for name, moment in back.due.items() if moment <= now):
                del back.due[name]
                self._launch(name)
            if back.until <= now:
                text = f"{min(back.missing)} has not come back for {self._patience.start_s:g} s"
                raise EngineError(f"{text}; start the engine again on a machine that is less busy", cause=text)
        if self._next_look <= now:
            self._look_for_silence()
            self._next_look = now + self._look_s

    def _hand_out(self) -> None:
        client = self._house.client
        assert client is not None
        for letter in client.letters:
            self._tell(letter)
        client.letters.clear()

    # -- silence -------------------------------------------------------------------------------------------------------

    def _look_for_silence(self) -> None:
        """Take those for dead that have been still for too long; who starts has its own time."""
        limits = {"frozen": self._patience.frozen_s, "hung": self._patience.hung_s}
        for kind, stalls in self._stalls.items():
            for child in list(self._house.children.values()):
                if self.is_returning(child.name) or (kind == "hung" and child.name == QUEUE_SERVER):
                    stalls.forget(child.name)
                elif stalls.seconds(child.name, self._house.clock.now()) > limits[kind]:
                    child.shoot(f"was {kind}: it has {'no heartbeat' if kind == 'frozen' else 'not taken a turn'} for {limits[kind]:g} s")
                    stalls.forget(child.name)

    def _lost_server(self, seconds: float) -> EngineError:
        """The queue server has so long to end by itself: it has closed its end; or it does not answer."""
        server = self._house.children[QUEUE_SERVER]
        server.process.join(seconds)
        if not server.has_ended:
            server.shoot(f"has not answered for {self._patience.frozen_s:g} s")
            server.process.join(self._patience.stop_s)
        return self._house.early_end()

    # -- deaths and returns --------------------------------------------------------------------------------------------

    def _said(self, child: Child) -> None:
        said = child.heard()
        if said is not None and said[0] == "failed":
            if not self.is_returning(child.name):
                raise self._house.early_end(f"{child.name} failed: {said[1]}")
            self._lose_again(child.name, f"{child.name} failed: {said[1]}")
        elif said is None or said[0] == "lost":
            wait([c.process.sentinel for c in self._house.children.values()], self._patience.stop_s)
        elif said[0] == "ready":
            self._ready(child.name)

    def _ended(self, child: Child) -> None:
        """A process has ended by itself. It was a crash, if the system knows of it; else the engine ends."""
        child.process.join(self._patience.stop_s)  # the sentinel falls a moment before the exit code can be had
        house, life = self._house, self._house.life(child.name)
        if life is None or not house.children[QUEUE_SERVER].process.is_alive():
            raise house.early_end()
        if self.is_returning(child.name):
            return self._lose_again(child.name, child.last_words() or child.fate())
        if not child.was_killed:
            raise house.early_end()
        fate, before = child.fate(), set(house.children)
        self._bury({life})
        if not self._faults.crash(life):
            raise EngineError(f"{fate}, and the protocol has no row for that (again); the run is given up, start it again", cause=fate)
        while (row := self._faults.ending()) is not None:
            self._bury(set(row.crashes))
            self._faults.fire(row)
        self._tell(Letter(SUPERVISOR, Died(tuple(sorted(before - set(house.children))), fate)))
        self._bring_back()

    def _bring_back(self) -> None:
        """Start whoever may come back now."""
        house = self._house
        for row in self._faults.returning():
            stations = [s.name for s in house.placement.stations if house.life(s.name) in row.restarts]
            names = frozenset(name for name in stations if name not in house.children and not self.is_returning(name))
            if names:
                self._returning.append(Return(row, names, set(names), house.clock.now() + self._patience.start_s))
                for name in sorted(names):
                    self._launch(name)

    def _launch(self, name: str) -> None:
        try:
            self._house.launch(name, mortal=True, returns=True)
        except OSError as error:
            self._lose_again(name, f"{name} could not be started ({error})")

    def _lose_again(self, name: str, fate: str) -> None:
        """A process was lost on its way back: the protocol has not heard of it yet, so it is started again and nothing else changes."""
        back = next(r for r in self._returning if name in r.names)
        if name in self._house.children:
            self._house.bury(name)
        back.lost += 1
        if back.lost > self._patience.attempts:
            text = f"{fate} while it was coming back, {back.lost} times"
            raise EngineError(f"{text}; the run is given up, find out why and start it again", cause=text)
        now, pause = self._house.clock.now(), self._patience.pause_s * 2 ** (back.lost - 1)
        back.missing.add(name)
        back.due[name], back.until = now + pause, now + pause + self._patience.start_s

    def _bury(self, lives: set[Life]) -> None:
        """End every process with one of these lives."""
        for name in [name for name in self._house.children if self._house.life(name) in lives]:
            self._house.bury(name)
        self._returning = [r for r in self._returning if not lives & r.row.restarts]

    def _ready(self, name: str) -> None:
        """A process is ready again; with the last of those that come back with it, they go."""
        for back in [r for r in self._returning if name in r.missing]:
            back.missing.remove(name)
            if not back.missing:
                self._returning.remove(back)
                if not self._faults.fire(back.row):
                    raise EngineError(f"{name} is back, and {back.row.instance.action.name} is not enabled; the run is given up, start it again")
                for other in back.names:
                    self._house.children[other].tell("go")
                self._tell(Letter(SUPERVISOR, Returned(tuple(sorted(back.names)))))


class Stalls:
    """For how long a time that processes keep has stood still, as it was looked at: a supervisor that did not run itself sees no silence."""

    def __init__(self, time_of: Callable[[str], float], most_s: float):
        self._time_of, self._most_s = time_of, most_s
        self._seen: dict[str, tuple[float, float, float]] = {}

    def seconds(self, name: str, now: float) -> float:
        """Between the looks at which it stood still, of which none counts for more than `most_s`."""
        value = self._time_of(name)
        before, last, still = self._seen.get(name, (value, now, 0.0))
        still = still + min(now - last, self._most_s) if value == before else 0.0
        self._seen[name] = value, now, still
        return still

    def forget(self, name: str) -> None:
        """Its time begins anew."""
        self._seen.pop(name, None)
