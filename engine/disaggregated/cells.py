"""The disaggregated engine as a user has it: cells that are renewed before they wear out, and started again when they fail.

A *cell* is one composition: prefill instances, and the decode instances that they share. Of several cells, which have nothing in common, a
request goes to the one that has the fewest under way for its size; a deployment is one cell.

An engine of a cell wears out: in the protocol a number is used so many times, and a process has so many lives. Long before that a
fresh engine is started beside it; new requests go there, and the old engine ends with its last request. So nothing ever wraps around, and
nobody waits. An engine that has failed (its queue server or its router died, a handler raised) has ended its requests with one
error each; a fresh one takes the next, and those that come meanwhile wait for it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from functools import reduce
from operator import add
from pathlib import Path

from ..audit import Record
from ..clock import LiveClock
from ..errors import EngineError
from ..generation import Finish, Generation, Handle, Stats
from ..meter import Usage
from ..runtime.interrupts import Interrupts
from .plant import Plant
from .service import Disaggregated

RESTARTS = 5
"""How often an engine is started again before its cell gives up ..."""
STEADY_S = 60.0
"""... unless it has run for so long in between."""
PAUSE_S = 0.5
"""Before the first of these starts; doubled for each."""
Logs = Mapping[str, str | os.PathLike[str]]


class Cell:
    """Prefill instances and their decode instances, by one engine after another.

    Args:
        name: for logs of its own; empty for the only cell. logs: where those of its first engine go, by system.

    Raises:
        EngineError: its first engine does not start.
    """

    def __init__(self, plant: Plant, name: str, logs: Logs, *, keeps_records: bool):
        self.plant, self._name, self._logs, self._keeps, self._clock = plant, name, logs, keeps_records, LiveClock()
        self.failure: EngineError | None = None
        """Why the cell has given up; None while it goes on."""
        self.lost = 0
        """Engines that have failed, or could not be started, one after another."""
        self.usage, self.leaked, self.written = Usage(), list[str](), dict[Path, str]()
        """Of the engines that have ended in good order: what they used, what they held at their end, and their logs, each with its engine's name."""
        self._past = Stats(0, 0, 0.0)
        self._lock, self._orders, self._news = threading.RLock(), threading.RLock(), threading.Event()
        self._waiting: list[Handle] = []
        self._started = 0
        self._since, self._closing = 0.0, threading.Event()
        self._weights: str | os.PathLike[str] | None = None
        self.is_paused = False
        self._names: dict[Disaggregated, str] = {}
        self._generated: list[Record] = []
        self._draining: list[Disaggregated] = []
        self._current: Disaggregated | None = self._start()
        self._keeper = threading.Thread(target=self._keep, name="interlock-keeper", daemon=True)
        self._keeper.start()

    @property
    def under_way(self) -> int:
        """Requests that have not ended."""
        with self._lock:
            return len(self._waiting) + sum(engine.under_way for engine in self.engines)

    @property
    def engines(self) -> list[Disaggregated]:
        """Those that run."""
        with self._lock:
            return [*self._draining, *([] if self._current is None else [self._current])]

    @property
    def records(self) -> list[Record]:
        """What every engine of the cell has generated."""
        return [*self._generated, *(record for engine in self.engines for record in engine.records.values())]

    def submit(self, generation: Generation) -> Handle:
        """Start a generation, or have it wait for the next engine.

        Raises:
            EngineError: the cell has given up.
        """
        with self._lock:
            if self.failure is not None:
                raise self.failure
            handle = Handle(generation)
            self._waiting.append(handle)
            self._hand_out()
        return handle

    def abort(self, handle: Handle) -> None:
        """End a generation early."""
        with self._lock:
            if handle in self._waiting:
                self._waiting.remove(handle)
                handle.end(Finish.ABORT)
            for engine in self.engines:
                engine.abort(handle)

    def stats(self) -> Stats:
        """What its engines are doing, and what those before have counted."""
        with self._lock:
            if self.failure is not None:
                raise self.failure
            waiting = Stats(0, len(self._waiting), 0.0)
            return total([self._past, waiting, *(engine.stats() for engine in self.engines if engine.failure is None)])

    def leaks(self) -> list[str]:
        """What its engines hold with no request under way, and what earlier ones held at their end."""
        return [*self.leaked, *(leak for engine in self.engines for leak in engine.leaks())]

    def order(self, order: Callable[[Disaggregated], None], *, is_paused: bool | None = None, weights: str | os.PathLike[str] | None = None) -> None:
        """Give an order to every engine, and note what a later one is to be told at its start."""
        with self._orders:
            for engine in self.engines:
                order(engine)
            self.is_paused = self.is_paused if is_paused is None else is_paused
            self._weights = weights or self._weights

    def stop(self) -> None:
        """End every engine in good order."""
        self._end_keeping()
        for engine in self.engines:
            self._retire(engine, inspect=False)
        self.close()

    def close(self) -> None:
        """End everything; called again, it does nothing."""
        self._end_keeping()
        for engine in self.engines:
            self._let_go(engine)
            engine.close()
        with self._lock:
            self._end_waiting(Finish.ABORT, "")

    # -- the keeper's thread -------------------------------------------------------------------------------------------

    def _keep(self) -> None:
        while not self._closing.is_set():
            self._news.wait()
            self._news.clear()
            if not self._closing.is_set():
                self._tend()

    def _tend(self) -> None:
        """Let those go that are through, and see to it that there is an engine for the next request."""
        for engine in [e for e in list(self._draining) if e.failure is not None or not e.under_way]:
            self._retire(engine)
        current = self._current
        if current is not None and current.failure is not None:
            self._lose(current.failure)
            self._let_go(current)
            current.close()
        while self._current is None and self.failure is None and not self._closing.is_set():
            if not self._closing.wait(PAUSE_S * 2 ** (self.lost - 1)):
                self._renew()
        if self._current is not None and self._current.is_worn:
            self._renew()

    def _renew(self) -> None:
        """A fresh engine takes over; the one before goes on with what it has."""
        while not self._orders.acquire(timeout=PAUSE_S):
            if self._closing.is_set():
                return  # whoever gives an order waits for what is under way, which ends now
        try:
            fresh = self._start()
            with self._lock:
                if self._current is not None:
                    self._draining.append(self._current)
                self._current = fresh
                self._hand_out()
        except EngineError as error:
            self._lose(error)
        finally:
            self._orders.release()
            self._news.set()

    def _start(self) -> Disaggregated:
        self._started += 1
        part = ".".join(part for part in (self._name, f"engine{self._started}" if self._started > 1 else "") if part)
        logs = {system: beside(path, part) for system, path in self._logs.items()}
        engine = Disaggregated(self.plant, logs, keeps_records=self._keeps, changed=self._news.set)
        try:
            if self._weights is not None:
                engine.update_weights(self._weights)
            if self.is_paused:
                engine.pause()
        except BaseException:
            engine.close()
            raise
        self._since, self._names[engine] = self._clock.now(), part
        return engine

    def _lose(self, error: EngineError) -> None:
        """An engine has failed, or could not be started. After so many in a row the cell gives up."""
        with self._lock:
            self.lost = 1 if self._clock.now() - self._since > STEADY_S else self.lost + 1
            if self.lost > RESTARTS:
                self.failure = EngineError(f"{error}; it has been started again {RESTARTS} times in vain")
                self._end_waiting(Finish.ERROR, str(self.failure))

    def _retire(self, engine: Disaggregated, *, inspect: bool = True) -> None:
        """An engine has no request any more, or has failed."""
        name = self._let_go(engine)
        try:
            if engine.failure is None:
                self.leaked += engine.leaks() if inspect else []
                self.usage += engine.stop()
                self.written |= dict.fromkeys(engine.written, name)
        except EngineError as error:
            self.leaked.append(f"an engine that was to end: {error}")
        finally:
            engine.close()

    def _let_go(self, engine: Disaggregated) -> str:
        """Nothing stays of an engine that ends but its counts, and what it has generated if that is kept; returns its name."""
        with self._lock:
            if engine.failure is None:
                self._past = total([self._past, replace(engine.stats(), running=0, waiting=0, kv_usage=0.0)])
            self._draining = [other for other in self._draining if other is not engine]
            self._current = None if self._current is engine else self._current
            self._generated += engine.records.values()
            return self._names.pop(engine)

    def _hand_out(self) -> None:
        """Give what waits to the engine, as far as it has numbers left."""
        engine = self._current
        while self._waiting and engine is not None and engine.has_room:
            try:
                engine.take(self._waiting[0])
            except EngineError:
                return  # the keeper hears of it, too
            self._waiting.pop(0)

    def _end_waiting(self, finish: Finish, message: str) -> None:
        for handle in self._waiting:
            handle.end(finish, message)
        self._waiting = []

    def _end_keeping(self) -> None:
        self._closing.set()
        self._news.set()
        if self._keeper is not threading.current_thread():
            self._keeper.join()


class Cells:
    """A `generation.Service` over one cell or several.

    Args:
        plants: of the cells. keeps_records: whether everything that was generated is kept, for an audit.
        logs: where the event logs of the first cell's first engine go when it is stopped, by the names of its systems; those of others
            get names of their own beside them.
        signals: whether Ctrl-C and SIGTERM end the engines.

    Raises:
        EngineError: a process did not start; nothing is left then.
    """

    def __init__(self, plants: Sequence[Plant], logs: Logs | None = None, *, keeps_records: bool = False, signals: bool = False):
        self._interrupts = Interrupts()
        if signals:
            self._interrupts.take()
        self.cells: list[Cell] = []
        try:
            for number, plant in enumerate(plants):
                known = {"", *plant.decode_systems}
                mine = {system: path for system, path in (logs or {}).items() if system in known}
                self.cells.append(Cell(plant, f"cell{number}" if number else "", mine, keeps_records=keeps_records))
        except BaseException:
            self.close()
            raise

    @property
    def context_tokens(self) -> int:
        """The most tokens that a prompt and its answer may have together."""
        return self.cells[0].plant.context_tokens

    @property
    def records(self) -> list[Record]:
        """What was generated, if that is kept."""
        return [record for cell in self.cells for record in cell.records]

    @property
    def written(self) -> dict[Path, str]:
        """The event logs that were written - one for each life of each system of each engine that ended in good order - and whose they are."""
        return {path: name for cell in self.cells for path, name in cell.written.items()}

    def submit(self, generation: Generation) -> Handle:
        """Start a generation in the cell that has the fewest under way for its size.

        Raises:
            DefinitionError: it is longer than the context. EngineError: every cell has given up.
        """
        self.cells[0].plant.check(generation)
        working = [cell for cell in self.cells if cell.failure is None] or self.cells
        return min(working, key=lambda cell: cell.under_way / cell.plant.numbers).submit(generation)

    def abort(self, handle: Handle) -> None:
        """End a generation early."""
        for cell in self.cells:
            cell.abort(handle)

    def stats(self) -> Stats:
        """What all cells are doing; a cell that has given up does nothing.

        Raises:
            EngineError: every cell has given up.
        """
        working = [cell for cell in self.cells if cell.failure is None]
        return total([cell.stats() for cell in working or self.cells])

    @property
    def is_paused(self) -> bool:
        """Whether no request is begun; see `Operated`."""
        return any(cell.is_paused for cell in self.cells)

    def pause(self, *, abort: bool = False) -> None:
        """Begin no further request, and return when none is under way; see `Operated`."""
        for cell in self.cells:
            cell.order(lambda engine: engine.pause(abort=abort), is_paused=True)

    def resume(self) -> None:
        """Begin what has waited; see `Operated`."""
        for cell in self.cells:
            cell.order(lambda engine: engine.resume(), is_paused=False)

    def update_weights(self, path: str | os.PathLike[str]) -> None:
        """Give every rank the weights of a file, cell by cell; see `Operated`."""
        for cell in self.cells:
            cell.order(lambda engine: engine.update_weights(path), weights=path)

    def leaks(self) -> list[str]:
        """What is held; to be asked when no request is under way.

        Raises:
            EngineError: an engine has ended, or one of its processes does not answer.
        """
        several = len(self.cells) > 1
        return [f"cell {number}: {leak}" if several else leak for number, cell in enumerate(self.cells) for leak in cell.leaks()]

    def stop(self) -> Usage:
        """End in good order, with the logs written: how many rows were fired, and what they took.

        Raises:
            EngineError: every cell has given up before.
        """
        for cell in self.cells:
            cell.stop()
        self.close()
        if all(cell.failure is not None for cell in self.cells) and self.cells[0].failure is not None:
            raise self.cells[0].failure
        return reduce(add, (cell.usage for cell in self.cells))

    def close(self) -> None:
        """End everything; called again, it does nothing."""
        for cell in self.cells:
            cell.close()
        self._interrupts.give_back()


def total(stats: Sequence[Stats]) -> Stats:
    """All together; the share of KV blocks is the largest."""
    sums = {f.name: reduce(add, (getattr(each, f.name) for each in stats)) for f in fields(Stats)}
    return Stats(**sums | {"kv_usage": max(each.kv_usage for each in stats)})


def beside(path: str | os.PathLike[str], part: str) -> Path:
    """A name beside that one: `events.ndjson` and `cell1` are `events.cell1.ndjson`. A device has no neighbours."""
    target = Path(path)
    return target.with_name(f"{target.stem}.{part}{target.suffix}") if part and (target.is_file() or not target.exists()) else target
