"""The disaggregated engine as a service: generations in, tokens out, over real processes."""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import count

from ..clock import LiveClock
from ..errors import EngineError
from ..generation import Finish, Generation, Handle, Stats, Token
from ..meter import Usage
from ..runtime.live import LiveEngine, check_machine, start
from ..runtime.segment import new_name
from ..runtime.supervision import Died, Returned
from .arena import Arena
from .ledger import Heard, Ledger
from .letters import Abort, Begun, Closed, GivenUp, Held, Inspect, Submit
from .live_memory import LiveMemory
from .operator import Command, Obeyed, Operated, Order
from .plant import Plant
from .stations import ROUTER, decode_engines, placement_of, prefill_engines

ANSWER_S = 10.0
"""How long an engine's process may take to answer a question."""
LISTEN_S = 0.2
"""How long the listening thread waits for a letter before it looks whether it is to end."""
LOOK_AGAIN_S = 0.05
"""Before an engine that still holds something is asked again."""
ASK_AGAIN_S = 1.0
"""Before one that has not answered is asked again: a letter to a process that is dead at the moment is lost."""


logger = logging.getLogger(__name__)


class Disaggregated(Operated):
    """A `generation.Service` over some prefill instances and the decode instances that they share, each in processes of its own.

    Args:
        plant: the engine's sizes. keeps_records: whether everything that was generated is kept, for an audit.
        log: where the event log goes when the engine is stopped in good order.
        signals: whether Ctrl-C and SIGTERM end the engine.
        changed: called, from any thread, when the engine has failed, is worn, or has no request any more.

    Raises:
        DefinitionError: the machine does not carry so many processes. EngineError: a process did not start; nothing is left then.
    """

    def __init__(
        self,
        plant: Plant,
        log: str | os.PathLike[str] | None = None,
        *,
        keeps_records: bool = False,
        signals: bool = False,
        changed: Callable[[], None] = lambda: None,
    ):
        self.plant, self._changed, self._clock = plant, changed, LiveClock()
        arena = new_name()
        placement = placement_of(plant, partial(LiveMemory, plant, arena))
        check_machine(placement)
        self._arena = Arena.create(plant, arena)
        try:
            self.engine: LiveEngine = start(placement, log, signals=signals)
        except BaseException:
            self._arena.remove()
            raise
        self._keys, self._lock = count(1), threading.Lock()
        self.ledger = Ledger(self._told, keeps=keeps_records, routing=plant.routing, rollouts=f"{self._arena.name}-")
        self.records = self.ledger.records
        """What has come of the requests, by their keys, if that is kept."""
        self._handles: dict[int, Handle] = {}
        self._held, self._looks = queue.SimpleQueue[tuple[str, Held]](), count(1)
        self._orders, self._obeyed = threading.RLock(), queue.SimpleQueue[Order | EngineError]()
        self._taken, self._deaths = 0, Counter[str]()
        self.failure: EngineError | None = None
        """What has ended the engine; None while it goes on."""
        self._closed = False
        self._thread = threading.Thread(target=self._listen, name="interlock-service", daemon=True)
        self._thread.start()

    @property
    def context_tokens(self) -> int:
        """The most tokens that a prompt and its answer may have together."""
        return self.plant.context_tokens

    def submit(self, generation: Generation) -> Handle:
        """Start a generation.

        Raises:
            DefinitionError: it is longer than the context. EngineError: the engine has ended.
        """
        self.plant.check(generation)
        handle = Handle(generation)
        self.take(handle)
        return handle

    def take(self, handle: Handle) -> None:
        """Start the generation of a handle, which somebody has already.

        Raises:
            EngineError: the engine has ended.
        """
        with self._lock:
            self._check_open()
            key = next(self._keys)
            self.engine.send(ROUTER, Submit(key, handle.generation))
            self._taken += 1
            self._handles[key] = handle
            self.ledger.submit(key, handle.generation)
        if self.is_worn:
            self._changed()

    @property
    def under_way(self) -> int:
        """Requests that have not ended."""
        return len(self._handles)

    @property
    def has_room(self) -> bool:
        """Whether a number is left for one more request, ever."""
        return self._taken < self.plant.numbers * self.plant.turns

    @property
    def is_worn(self) -> bool:
        """Whether it should be replaced: half of its numbers may be used up by now, or a process has but one life to lose."""
        return 2 * self._taken >= self.plant.numbers * self.plant.turns or max(self._deaths.values(), default=0) > max(0, self.plant.lives - 3)

    def abort(self, handle: Handle) -> None:
        """End a generation early."""
        with self._lock:
            key = next((k for k, h in self._handles.items() if h is handle), None)
            if key is None or self._closed:
                return
        with suppress(EngineError):  # which ends the generation
            self.engine.send(ROUTER, Abort(key))

    def stats(self) -> Stats:
        """Generations that P has begun, those that wait for it, the share of D's blocks that are promised to the former, P's prefix cache."""
        with self._lock:
            self._check_open()
            return self.ledger.stats(self.plant)

    def pause(self, *, abort: bool = False) -> None:
        """Begin no further request, and return when none is under way; see `Operated`."""
        with self._orders:
            super().pause(abort=abort)

    def resume(self) -> None:
        """Begin what has waited; see `Operated`."""
        with self._orders:
            super().resume()

    def update_weights(self, path: str | os.PathLike[str]) -> None:
        """Give every rank the weights of a file; see `Operated`."""
        with self._orders:
            super().update_weights(path)

    def leaks(self) -> list[str]:
        """What the engines hold, and go on holding; to be asked when no request is under way.

        Raises:
            EngineError: the engine has ended, or an engine's process does not answer.
        """
        # A request has ended for its client a moment before P or D has let go of all that is its.
        until = self._clock.now() + ANSWER_S
        while (held := self._look_for_leaks()) and self._clock.now() < until:
            self._clock.sleep(LOOK_AGAIN_S)
        return held

    def _look_for_leaks(self) -> list[str]:
        found: dict[str, Held] = {}
        asked, look, until = [*prefill_engines(self.plant), *decode_engines(self.plant)], next(self._looks), self._clock.now() + ANSWER_S
        while missing := [name for name in asked if name not in found]:
            if self._clock.now() > until:
                raise EngineError(f"{missing[0]} has not said for {ANSWER_S:g} s what it holds; try again on a machine that is less busy")
            for name in missing:
                self.engine.send(name, Inspect(look))
            with suppress(queue.Empty):
                while not found.keys() >= set(asked):
                    name, held = self._held.get(timeout=ASK_AGAIN_S)
                    if held.look == look:
                        found[name] = held
        return [f"{name}: {held}" for name, held in found.items() if held]

    def stop(self) -> Usage:
        """End in good order, with the log written: how many rows were fired, and what they took."""
        self._end_listening()
        usage = self.engine.stop()
        self.close()
        return usage

    def close(self) -> None:
        """End everything, first for the clients, who do not wait for the processes; called again, it does nothing."""
        self._end_listening()
        with self._lock:
            self._obeyed.put(EngineError("the engine has been closed; start it again"))
            self._end_all(Finish.ABORT)
        self.engine.close()
        self._arena.remove()

    def _carry_out(self, command: Command) -> None:
        with self._lock:
            self._check_open()
        self.engine.send(ROUTER, command)
        answer = self._obeyed.get()
        if isinstance(answer, EngineError):
            self._obeyed.put(answer)
            raise answer

    def _abort_all(self) -> None:
        with self._lock:
            handles = list(self._handles.values())
        for handle in handles:
            self.abort(handle)

    # -- the listening thread ------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        while not self._closed:
            try:
                letter = self.engine.received(LISTEN_S)
            except EngineError as error:
                with self._lock:
                    self.failure = error
                    self._obeyed.put(error)
                    self._end_all(Finish.ERROR, f"{error.cause}; send it again")
                self._changed()
                return
            if letter is not None:
                with self._lock:
                    self._hear(letter.content, letter.sender)
                if isinstance(letter.content, (GivenUp, Closed, Died)) and (self.is_worn or not self._handles):
                    self._changed()

    def _hear(self, content: object, sender: str) -> None:
        if isinstance(content, Held):
            self._held.put((sender, content))
        elif isinstance(content, Died):
            logger.warning("%s; started again: %s", content.fate, ", ".join(content.names))
            self._deaths.update(content.names)
            if not set(decode_engines(self.plant)).isdisjoint(content.names):
                self.ledger.experts = self.ledger.experts.at_first()
        elif isinstance(content, Returned):
            logger.warning("back: %s", ", ".join(content.names))
        elif isinstance(content, Obeyed):
            self._obeyed.put(content.order)
        else:
            self.ledger.note(content)
            if isinstance(content, Begun):
                for key in self._handles.keys() & content.keys:
                    self._handles[key].begin(self._clock.now())

    def _told(self, key: int, heard: Heard) -> None:
        """A client gets something."""
        if isinstance(heard, Token):
            self._handles[key].begin(self._clock.now())  # if P's letter is still under way
            self._handles[key].put(heard)
        else:
            self._handles.pop(key).end(heard.finish, heard.message)

    def _end_all(self, finish: Finish, message: str = "") -> None:
        for key in list(self._handles):
            self.ledger.end(key, finish, message)

    def _end_listening(self) -> None:
        self._closed = True
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _check_open(self) -> None:
        if self.failure is not None:
            raise self.failure
        if self._closed:
            raise EngineError("the engine has been closed; start it again")
