"""An ensemble: every process of a placement in this one, in lockstep. The same stations, crews and roles as on the live engine.

What the operating system does for a live engine is done here between two turns: letters are handed out in the order in which they were
written, a process that is killed forgets everything that its crew knew, and the rows of its death and of its return are those that the
supervisor of a live engine fires. Time is virtual. Same placement, same policy, same letters: same bytes.
"""

from __future__ import annotations

import math
import os
import random
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import IO, Any

from protocol import DefinitionError
from protocol.action import Instance
from protocol.types import Value

from ..binding import Bindings
from ..clock import VirtualClock, VirtualTime
from ..driver import Copy, Driver
from ..errors import EngineError, StandsStill
from ..log import TextPart, lines_of, merge, whole
from ..store import Store
from .faults import SUPERVISOR, FaultRow, fault_rows
from .lockstep import Lockstep, LockstepAgent, standing
from .novelty import Novelty
from .placement import OUTSIDE, Crew, Letter, Life, Placement, Station
from .policy import PATIENCE, Policy

UNBIDDEN = ("timer", "observed")
"""Rows that fire without anybody's word, if they have no handler."""
RETURN_S = 0.05
"""Virtual time from the death of a process to its return."""
ROUNDS = 2 * PATIENCE
"""Rows of every copy, on average, after which a run that has come to no new state goes round in a circle; by then each has lost its priority."""
QUIET_ROUNDS = 5
"""As many without a new state let somebody wake who sleeps: time goes by for those, too, who do nothing but ask and refuse one another."""


class EnsembleDesk:
    """A crew's desk; see `placement.Desk`."""

    def __init__(self, name: str, time: VirtualTime, post: Callable[[str, Letter], None]):
        self.name, self._time, self._post = name, time, post
        self._clocks: dict[tuple[str, tuple[Value, ...]], VirtualClock] = {}

    def now(self) -> float:
        """Seconds of virtual time."""
        return self._time.now

    def clock(self, machine: str, copy: tuple[Value, ...] = ()) -> VirtualClock:
        """The copy's own clock."""
        return self._clocks.setdefault((machine, copy), VirtualClock(self._time))

    def post(self, to: str, content: Any) -> None:
        """Send a letter to another process, or to the outside."""
        self._post(to, Letter(self.name, content))


class LockstepProcess:
    """A process of the ensemble: its crew while it lives, and the numbers of its agents with the parts that they play."""

    def __init__(self, station: Station, life: Life | None):
        self.station, self.life = station, life
        self.crew: Crew | None = None
        self.agents: dict[int, tuple[str, tuple[Value, ...]]] = {}


class Ensemble:
    """All processes of a placement.

    Args:
        policy: whose turn it is. logged: whether the events are kept, for a log. row_s: virtual time that a row takes; where somebody
            sleeps while others ask and refuse one another, nothing else moves time on. like: one of the same placement, whose system and
            compiled rows are used again.

    Raises:
        DefinitionError: the placement does not fit its system, or a row that needs a handler has none.
    """

    def __init__(self, placement: Placement, policy: Policy, logged: bool = False, row_s: float = 0.0, like: Ensemble | None = None):
        self._row_s = row_s
        self.placement = placement
        system = placement.composition.system() if like is None else like.driver.system
        placement.check(system)
        self.time = VirtualTime()
        self._log: IO[str] | None = tempfile.TemporaryFile("w+", encoding="utf-8") if logged else None
        self.driver: Driver = Driver(system, Store(system), None if like is None else like.driver.rows)
        self._letters: deque[tuple[str, Letter]] = deque()
        self.received: deque[Letter] = deque()
        """What the processes have written to the outside, in order; whoever reads it takes it out."""
        self._processes = {s.name: LockstepProcess(s, placement.life(s, system)) for s in placement.stations}
        self._agents: list[LockstepAgent] = []
        for process in self._processes.values():
            self._staff(process)
        self._homes = {number: process for process in self._processes.values() for number in process.agents}
        self._turns, self._novelty = Lockstep(self._agents, self.time, policy), Novelty(self.driver)
        self._faults = list(fault_rows(system))
        self._returning: list[tuple[float, FaultRow]] = []

    @property
    def fired(self) -> int:
        """Rows fired by all copies."""
        return self._turns.fired

    @property
    def wakes(self) -> float:
        """When something happens again, where nothing does now; infinity for never."""
        return min(self._turns.wakes, min((moment for moment, _ in self._returning), default=math.inf))

    def send(self, process: str, content: Any) -> None:
        """Hand a message to the crew of a process. One to a process that is dead at the moment is lost."""
        self._post(process, Letter(OUTSIDE, content))
        self._hand_out()

    def turn(self) -> bool:
        """One row of some copy; False when nobody who is awake has one to fire.

        Raises:
            OutOfRange: a row left its types. StandsStill: the run goes round in a circle; who waits for what.
        """
        if not self._turns.turn():
            return False
        process = self._homes[self._turns.last]
        if self._agents[self._turns.last].has_acted:
            self._rouse(number for number in process.agents if number != self._turns.last and self._agents[number].asks)
        assert process.crew is not None
        process.crew.settle()
        self._hand_out()
        if self._row_s:
            self.advance(self.time.now + self._row_s)
        quiet = self._novelty.quiet
        if quiet > ROUNDS * len(self._agents):
            raise StandsStill(f"the run goes round in a circle: {self.standing()}; check the system for a hang")
        if quiet and quiet % (QUIET_ROUNDS * len(self._agents)) == 0 and self.wakes < math.inf:
            self.advance(self.wakes)
        return True

    def advance(self, moment: float) -> None:
        """Move virtual time on; processes whose time has come return."""
        self._turns.advance(moment)
        due = [row for when, row in self._returning if when <= moment]
        self._returning = [(when, row) for when, row in self._returning if when > moment]
        for row in due:
            self._return(row)

    def run(self, finished: Callable[[], bool]) -> None:
        """Turn until finished, moving time on when nobody has a row to fire.

        Raises:
            StandsStill: nothing happens any more, or nothing new; who waits for what.
        """
        while not finished():
            if not self.turn():
                self.pass_time()

    def pass_time(self, until: float = math.inf) -> None:
        """Nobody can fire a row: move on to when somebody wakes, but not beyond a moment.

        Raises:
            StandsStill: nobody ever does, and there is no such moment.
        """
        moment = min(self.wakes, until)
        if moment == math.inf:
            raise StandsStill(f"no copy can fire a row any more: {self.standing()}; check the system for deadlock")
        self.advance(moment)

    def standing(self) -> str:
        """Who waits for what."""
        return standing(self.driver)

    def log(self) -> Iterator[str]:
        """The lines of the event log until now, and its last line."""
        assert self._log is not None, "its events are not kept"
        return whole([lines_of(self._log)], self.placement.composition.described())

    def write_log(self, target: str | os.PathLike[str]) -> None:
        """Write the event log.

        Raises:
            TraceError: the file cannot be written.
        """
        assert self._log is not None, "its events are not kept"
        merge([lines_of(self._log)], target, self.placement.composition.described())

    def close(self) -> None:
        """Drop the log."""
        if self._log is not None:
            self._log.close()

    def turns_of(self, machine: str) -> list[int]:
        """The numbers by which a policy knows the copies of a machine."""
        return [k for process in self._processes.values() for k, (name, _) in process.agents.items() if name == machine]

    @property
    def mortal(self) -> list[str]:
        """The processes whose death the system knows."""
        return [name for name, process in self._processes.items() if any(process.life in row.always for row in self._faults)]

    def is_dead(self, process: str) -> bool:
        """Whether a process has died and has not returned."""
        return self._processes[process].crew is None

    # -- faults --------------------------------------------------------------------------------------------------------

    def kill(self, process: str, return_s: float = RETURN_S) -> tuple[str, ...]:
        """Kill a process as `kill -9` does: who has died, with it or because of it. Those whom the system brings back begin anew in a while.

        Args:
            return_s: virtual time from the death to the return.

        Raises:
            DefinitionError: there is no such process. EngineError: the system has no row for its death now.
        """
        if process not in self._processes:
            raise DefinitionError(f"there is no process {process!r}; there are {', '.join(self._processes)}")
        life = self._processes[process].life
        crash = next((r for r in sorted(self._faults, key=lambda r: len(r.crashes)) if life in r.always and self._is_enabled(r)), None)
        if life is None or crash is None:
            raise EngineError(f"{process} was killed, and the protocol has no row for that (again)")
        dead = self._bury({life})
        self._fire(crash)
        while (ending := next((r for r in self._faults if r.crashes and r.by_supervisor and self._is_enabled(r)), None)) is not None:
            dead += self._bury(set(ending.crashes))
            self._fire(ending)
        expected = [row for _, row in self._returning]
        self._returning += [(self.time.now + return_s, r) for r in self._faults if r.restarts and r not in expected and self._is_enabled(r)]
        return tuple(dead)

    def misfortune(self, rng: random.Random) -> bool:
        """Let a row fire that nobody is owed: a message is lost, a write fails, somebody gives up too early; False when none could."""
        fated = [row.instance.action for row in self._faults]
        found: list[Callable[[], object]] = []
        for copy in self.driver.environment.values():
            for action in copy.rows[copy.state]:
                if action not in fated:
                    found += [partial(self._happen, copy, instance) for instance in self.driver.enabled(copy, action)]
        for agent in self._agents:
            for action in agent.copy.rows[agent.copy.state]:
                if action.row.decided in UNBIDDEN and not agent.is_decided(action):
                    found += [partial(agent.take, instance) for instance in agent.driver.enabled(agent.copy, action)]
        if not found:
            return False
        rng.choice(found)()
        self._hand_out()
        self._turns.ask_again()
        return True

    def _happen(self, copy: Copy, instance: Instance) -> None:
        now, step = self.time.now, self.driver.fire(copy, instance)
        if self._log is not None:
            TextPart(self._log, SUPERVISOR).write(step, now, now)

    def _bury(self, lives: set[Life]) -> list[str]:
        dead = [process for process in self._processes.values() if process.life in lives and process.crew is not None]
        for process in dead:
            process.crew = None
            for number in process.agents:
                self._agents[number].halt()
        self._returning = [(when, row) for when, row in self._returning if not lives & row.restarts]
        return [process.station.name for process in dead]

    def _return(self, row: FaultRow) -> None:
        for process in self._processes.values():
            if process.life in row.restarts and process.crew is None:
                self._staff(process)
        self._fire(row)
        self._turns.ask_again()

    def _is_enabled(self, row: FaultRow) -> bool:
        return row.instance in self.driver.enabled(self._copy(row), row.instance.action)

    def _fire(self, row: FaultRow) -> None:
        self._happen(self._copy(row), row.instance)

    def _copy(self, row: FaultRow) -> Copy:
        return self.driver.environment[row.instance.action.machine.name, row.instance.copy]

    # -- processes and letters -----------------------------------------------------------------------------------------

    def _staff(self, process: LockstepProcess) -> None:
        """Make the crew of a process, and give each of its copies an agent, or begin anew with the one that it had."""
        station = process.station
        desk = EnsembleDesk(station.name, self.time, self._post)
        crew = process.crew = station.crew(desk)

        def deliver(content: Any) -> None:
            desk.post(station.results_to, content)

        driver = self.driver
        if process.agents:
            for number, (machine, where) in process.agents.items():
                bindings = Bindings(driver.system, crew.roles(machine, where), [machine])
                self._agents[number].begin_anew(bindings, desk.clock(machine, where), deliver)
            return
        for part in station.parts:
            log = None if self._log is None else TextPart(self._log, station.name)
            for where in part.copies(driver.system):
                bindings = Bindings(driver.system, crew.roles(part.machine, where), [part.machine])
                process.agents[len(self._agents)] = part.machine, where
                clock, copy = desk.clock(part.machine, where), driver.copies[part.machine, where]
                self._agents.append(LockstepAgent(driver, copy, bindings, clock, log, deliver, self.placement.timers))

    def _post(self, to: str, letter: Letter) -> None:
        if to == OUTSIDE:
            self.received.append(letter)
            self._novelty.begin()
        else:
            self._letters.append((to, letter))

    def _hand_out(self) -> None:
        while self._letters:
            to, letter = self._letters.popleft()
            process = self._processes[to]
            if process.crew is not None:
                process.crew.receive(letter)
                process.crew.settle()
                self._rouse(process.agents)
                self._novelty.begin()

    def _rouse(self, numbers: Iterable[int]) -> None:
        """What a handler or a letter has done may be what these have waited for."""
        for number in numbers:
            self._agents[number].clock.rouse("")
        self._turns.ask_again()
