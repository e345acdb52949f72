"""The disaggregated engine as a user has it: renewed before it wears out, and started again when it fails.

An engine wears out: in the protocol a number is used so many times, and a process has so many lives. Long before that a fresh engine is
started beside it; new requests go there, and the old engine ends with its last request. So nothing ever wraps around, and nobody waits.
An engine that has failed (its queue server or its router died, a handler raised) has ended its requests with one error each; a fresh one
takes the next, and those that come meanwhile wait for it.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from dataclasses import fields, replace
from functools import reduce
from operator import add
from pathlib import Path

from ..audit import Record
from ..clock import LiveClock
from ..errors import EngineError
from ..generation import Finish, Generation, Handle, Stats
from ..log import beside
from ..meter import Usage
from ..runtime.interrupts import Interrupts
from .plant import Plant
from .service import Disaggregated

RESTARTS = 5
"""How often an engine is started again before that is given up ..."""
STEADY_S = 60.0
"""... unless it has run for so long in between."""
PAUSE_S = 0.5
"""Before the first of these starts; doubled for each."""
logger = logging.getLogger(__name__)


class Succession:
    """A `generation.Service` by one engine after another.

    Args:
        plant: of each. keeps_records: whether everything that was generated is kept, for an audit.
        log: where the event log of the first engine goes when it ends; those of later ones get names of their own beside it.
        signals: whether Ctrl-C and SIGTERM end the engines.

    Raises:
        EngineError: the first engine does not start; nothing is left then.
    """

    def __init__(self, plant: Plant, log: str | os.PathLike[str] | None = None, *, keeps_records: bool = False, signals: bool = False):
        self.plant, self._log, self._keeps, self._clock = plant, log, keeps_records, LiveClock()
        self.failure: EngineError | None = None
        """Why nothing is started any more; None while it goes on."""
        self.lost = 0
        """Engines that have failed, or could not be started, one after another."""
        self.usage, self.leaked, self.written = Usage(), list[str](), dict[Path, str]()
        """Of the engines that have ended in good order: what they used, what they held at their end, and their event logs, each with its engine's
        name, which the first has not."""
        self._past = Stats(0, 0, 0.0)
        self._lock, self._orders, self._news = threading.RLock(), threading.RLock(), threading.Event()
        self._waiting: list[Handle] = []
        self._started, self._since, self._closing = 0, 0.0, threading.Event()
        self._weights: str | os.PathLike[str] | None = None
        self.is_paused = False
        self._names: dict[Disaggregated, str] = {}
        self._generated: list[Record] = []
        self._draining: list[Disaggregated] = []
        self._interrupts = Interrupts()
        try:
            if signals:
                self._interrupts.take()
            self._current: Disaggregated | None = self._start()
        except BaseException:
            self._interrupts.give_back()
            raise
        self._keeper = threading.Thread(target=self._keep, name="interlock-keeper", daemon=True)
        self._keeper.start()

    @property
    def context_tokens(self) -> int:
        """The most tokens that a prompt and its answer may have together."""
        return self.plant.context_tokens

    @property
    def engines(self) -> list[Disaggregated]:
        """Those that run."""
        with self._lock:
            return [*self._draining, *([] if self._current is None else [self._current])]

    @property
    def records(self) -> list[Record]:
        """What was generated, if that is kept."""
        return [*self._generated, *(record for engine in self.engines for record in engine.records.values())]

    def submit(self, generation: Generation) -> Handle:
        """Start a generation, or have it wait for the next engine.

        Raises:
            DefinitionError: it is longer than the context. EngineError: it was started again in vain.
        """
        self.plant.check(generation)
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
        """What the engines are doing, and what those before have counted.

        Raises:
            EngineError: it was started again in vain.
        """
        with self._lock:
            if self.failure is not None:
                raise self.failure
            waiting = Stats(0, len(self._waiting), 0.0)
            return total([self._past, waiting, *(engine.stats() for engine in self.engines if engine.failure is None)])

    def leaks(self) -> list[str]:
        """What the engines hold, to be asked when no request is under way; and what earlier ones held at their end.

        Raises:
            EngineError: an engine has ended, or one of its processes does not answer.
        """
        return [*self.leaked, *(leak for engine in self.engines for leak in engine.leaks())]

    def pause(self, *, abort: bool = False) -> None:
        """Begin no further request, and return when none is under way; see `Operated`."""
        with self._orders:
            for engine in self.engines:
                engine.pause(abort=abort)
            self.is_paused = True

    def resume(self) -> None:
        """Begin what has waited; see `Operated`."""
        with self._orders:
            for engine in self.engines:
                engine.resume()
            self.is_paused = False

    def update_weights(self, path: str | os.PathLike[str]) -> None:
        """Give every rank the weights of a file; see `Operated`."""
        with self._orders:
            for engine in self.engines:
                engine.update_weights(path)
            self._weights = path

    def stop(self) -> Usage:
        """End in good order, with the log written: how many rows were fired, and what they took.

        Raises:
            EngineError: it was started again in vain before.
        """
        self._end_keeping()
        for engine in self.engines:
            self._retire(engine, inspect=False)
        self.close()
        if self.failure is not None:
            raise self.failure
        return self.usage

    def close(self) -> None:
        """End everything; called again, it does nothing."""
        self._end_keeping()
        for engine in self.engines:
            self._let_go(engine)
            engine.close()
        with self._lock:
            self._end_waiting(Finish.ABORT, "")
        self._interrupts.give_back()

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
        while self.failure is None and (self._current is None or self._current.is_worn) and not self._closing.is_set():
            if not self._closing.wait(PAUSE_S * 2 ** min(self.lost - 1, RESTARTS) if self.lost else 0.0):
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
        name = f"engine{self._started + 1}" if self._started else ""
        engine = Disaggregated(self.plant, self._log_of(name), keeps_records=self._keeps, changed=self._news.set)
        try:
            if self._weights is not None:
                engine.update_weights(self._weights)
            if self.is_paused:
                engine.pause()
        except BaseException:
            engine.close()
            raise
        self._started += 1
        self._since, self._names[engine] = self._clock.now(), name
        return engine

    def _log_of(self, name: str) -> Path | None:
        """Where the log of the engine of that name goes."""
        if self._log is None:
            return None
        return beside(self._log, name) if name else Path(self._log)

    def _lose(self, error: EngineError) -> None:
        """An engine has failed, or could not be started. After so many in a row there is no further one, unless a worn one still takes requests."""
        with self._lock:
            self.lost = 1 if self._clock.now() - self._since > STEADY_S else self.lost + 1
            if self.lost > RESTARTS and (self._current is None or not self._current.has_room):
                self.failure = EngineError(f"{error}; it has been started again {RESTARTS} times in vain")
                self._end_waiting(Finish.ERROR, str(self.failure))
            logger.error("%s", self.failure or f"{error.cause}; a fresh engine takes over")

    def _retire(self, engine: Disaggregated, *, inspect: bool = True) -> None:
        """An engine has no request any more, or has failed."""
        name = self._let_go(engine)
        try:
            if engine.failure is None:
                self.leaked += engine.leaks() if inspect else []
                self.usage += engine.stop()
                if (log := self._log_of(name)) is not None:
                    self.written[log] = name
            else:
                logger.error("%s; its last requests have ended with it", engine.failure.cause)
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


def total(stats: Sequence[Stats]) -> Stats:
    """All together; the share of KV blocks is the largest."""
    sums = {f.name: reduce(add, (getattr(each, f.name) for each in stats)) for f in fields(Stats)}
    return Stats(**sums | {"kv_usage": max(each.kv_usage for each in stats)})
